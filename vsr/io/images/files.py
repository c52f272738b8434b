"""Image files as a Source and as a Sink, through OpenCV's codecs; the only user of cv2 for files.

Bytes are read and written by us and only coded by OpenCV: names of any kind work, and a file is whole or not there.
"""

from __future__ import annotations

import logging
import os
import secrets
import struct
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import cast

import numpy as np
from numpy.typing import NDArray

from vsr.core.errors import DecodeError, EncodeError, InputMissing, UnsupportedInput
from vsr.core.frame import NO_SIDE_DATA, Frame, PixelFormat, SideData, pixel_format
from vsr.core.media import MediaInfo, OutputSpec, Span
from vsr.io.atomic import sync, translate
from vsr.io.base import DecodeTally, Written
from vsr.io.images import embedded, icc, tiff
from vsr.io.images.exif import upright
from vsr.io.images.headers import ImageHeader, breaks_off, image_kind, parse_header
from vsr.io.limits import MAX_PIXELS, check_image_file, check_pixels

log = logging.getLogger(__name__)

Plane = NDArray[np.uint8] | NDArray[np.uint16]

JPEG_QUALITY = 95
WEBP_LOSSLESS = 101  # cv2: above 100 is lossless
_DEEP = (".png", ".tif", ".tiff")
_WITH_ALPHA = (".png", ".tif", ".tiff", ".webp")


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageSource:
    """Frames of image files: pts 0, 1, 2, ... in a time_base of 1 / rate."""

    info: MediaInfo
    max_pixels: int = MAX_PIXELS

    def frames(self, span: Span, *, seek: int | None = None, tally: DecodeTally | None = None) -> Iterator[Frame]:
        """Yield a frame for each file in `span`; `seek` is not needed: every file stands alone.

        Raises:
            DecodeError: a file cannot be decoded, or is no longer what it was when it was described.
            InputMissing: a file has gone.
        """
        format = pixel_format(self.info.video.pixel_format)
        counted = tally if tally is not None else DecodeTally()
        for index, file in enumerate(self.info.files):
            if index not in span:
                continue
            data = _load(file, self.max_pixels)
            planes = _fit(file, decode_image(file, data, max_pixels=self.max_pixels), format)
            if planes[0].shape != (self.info.video.height, self.info.video.width):
                height, width = planes[0].shape
                raise DecodeError(f"{file} is {width}x{height} now, it was another size when the job was planned")
            for plane in planes:
                plane.flags.writeable = False  # as from every other Source
            counted.frames += 1
            yield Frame(
                index=index,
                pts=index,
                duration=1,
                planes=planes,
                format=format,
                color=self.info.video.color,
                is_keyframe=True,
                side_data=_side_data(file, data),
            )


@dataclass(slots=True)
class ImageSink:
    """Writes each frame to a file of its own; takes gbrp, gbrap and gray of 8 or 16 bits.

    path: the folder (made if it is not there), or with `single` the one file. pattern: names in the folder
    (`%06d.png`); a frame's number is `start_number` + its index in the source, so that chunks do not collide. names:
    one for each frame of the source, to take the place of the `*` that the pattern begins with (`*.png`). JPEG has
    quality 95, WebP is lossless; what a format cannot hold (16 bits, alpha) is refused.
    """

    path: Path
    spec: OutputSpec
    pattern: str = field(kw_only=True)
    start_number: int = field(default=1, kw_only=True)
    single: bool = field(default=False, kw_only=True)
    names: tuple[str, ...] = field(default=(), kw_only=True)
    _written: list[Path] = field(default_factory=list, init=False, repr=False)
    _times: list[tuple[int, int]] = field(default_factory=list, init=False, repr=False)
    _bytes: int = field(default=0, init=False, repr=False)
    _made_folder: bool = field(default=False, init=False, repr=False)

    def write(self, frame: Frame) -> None:
        """Encode one frame to its file.

        Raises:
            EncodeError: its size or format is not the spec's, the file's format cannot hold it, or it is the second
                one for a single file.
            DiskFull, OutputError: the file cannot be written.
        """
        if self.single and self._times:
            raise EncodeError(f"{self.path} is one image and cannot hold a second frame")
        spec = self.spec
        if (frame.width, frame.height, frame.format.name) != (spec.width, spec.height, spec.pixel_format):
            raise EncodeError(
                f"frame {frame.index} is {frame.width}x{frame.height} {frame.format.name}, "
                f"{self.path} takes {spec.width}x{spec.height} {spec.pixel_format}"
            )
        target = self.path if self.single else self._folder() / self._name(frame.index)
        data = with_side_data(encode_image(frame.planes, frame.format, target), frame)
        write_whole(target, data)
        self._written.append(target)
        self._times.append((frame.pts, frame.duration))
        self._bytes += len(data)

    def close(self) -> Written:
        """Sync the folder; every file was whole when `write` returned.

        Raises:
            EncodeError: no frame was written.
            DiskFull, OutputError: the disk does not take it.
        """
        if not self._times:
            raise EncodeError(f"no frame was written to {self.path}")
        folder = self.path.parent if self.single else self.path
        if folder.is_dir():
            try:
                sync_folder(folder)
            except OSError as error:
                raise translate(error, folder) from error
        return Written(
            path=self.path,
            frames=len(self._times),
            pts=tuple(pts for pts, _ in self._times),
            durations=tuple(duration for _, duration in self._times),
            bytes=self._bytes,
        )

    def abort(self) -> None:
        """Remove the files written, and the folder if it was made here and is empty then."""
        with suppress(OSError):  # the first error is on its way; what stays here was never finished, and is swept
            for file in self._written:
                file.unlink(missing_ok=True)
            self._written.clear()
            if self._made_folder and self.path.is_dir() and not any(self.path.iterdir()):
                self.path.rmdir()
                self._made_folder = False

    def _name(self, index: int) -> str:
        if self.names:
            return self.names[index] + self.pattern[1:]
        return self.pattern % (self.start_number + index)

    def _folder(self) -> Path:
        if not self.path.is_dir():
            try:
                self.path.mkdir()
            except OSError as error:
                raise translate(error, self.path) from error
            self._made_folder = True
        return self.path


def decode_image(path: Path, data: bytes, *, max_pixels: int) -> tuple[Plane, ...]:
    """Decode an image's bytes to planes as the file has them: (Y), (G, B, R) or (G, B, R, A), uint8 or uint16.

    An EXIF orientation is applied. `path` is for messages.

    Raises:
        NotMedia, UnsupportedInput, InputLimits: from its header.
        DecodeError: its data are damaged.
    """
    header = parse_header(path, data)
    check_pixels(path, header.width, header.height, max_pixels)
    array = _samples(path, data, header)
    if array.dtype not in (np.uint8, np.uint16):
        raise DecodeError(f"{path} has samples of type {array.dtype}, which vsr does not process")
    if array.ndim == 3 and not header.has_alpha:
        array = array[..., :3]  # OpenCV makes alpha of the unused bytes of a BMP
    array = _upright(array, header.orientation)
    # Grey, (blue, green, red) or (blue, green, red, alpha).
    apart = [array] if array.ndim == 2 else [array[..., channel] for channel in (1, 0, *range(2, array.shape[2]))]
    planes = tuple(cast("Plane", np.ascontiguousarray(plane)) for plane in apart)
    if header.transparent is not None and len(planes) == 1:
        opaque = planes[0] != header.transparent
        planes = (planes[0], planes[0], planes[0], opaque * planes[0].dtype.type(np.iinfo(planes[0].dtype).max))
    return planes


def _samples(path: Path, data: bytes, header: ImageHeader) -> Plane:
    """Decode to (rows, columns), or with channels blue, green, red and perhaps alpha; not turned.

    Raises:
        DecodeError: the data are damaged.
        UnsupportedInput: a TIFF packed in a way of which only a part can be read.
    """
    damaged = DecodeError(f"{path} is damaged: its {header.kind} data cannot be decoded", hint="Make the file anew.")
    if header.kind == "tiff":
        try:
            layout = tiff.layout_of(data)
            found = tiff.read_samples(data, layout, _unpacked) if layout is not None else None
        except (struct.error, IndexError) as error:
            raise damaged from error
        if layout is not None:
            if found is None:
                raise damaged
            return _blue_first(found)
        if header.has_alpha or header.depth == 16:
            raise UnsupportedInput(f"{path}: a TIFF of this compression is read in 8 bits without alpha only")
    elif breaks_off(header.kind, data):
        raise DecodeError(f"{path} is damaged: it breaks off before its end", hint="Make or fetch the file anew.")
    # UNCHANGED keeps alpha and, but for TIFF, ignores the orientation.
    array = _decoded(path, upright(data) if header.kind == "tiff" else data)
    if array is None:
        raise damaged
    return array


def _decoded(path: Path, data: bytes) -> Plane | None:
    cv2 = _cv2()
    try:
        array: Plane | None = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise DecodeError(f"{path} cannot be decoded: {error}") from error
    return array


def _unpacked(wrapped: bytes, rows: int, row_bytes: int) -> bytes | None:
    """Unpack a strip, as the grey levels of a picture: see `tiff.Unpack`."""
    array = _decoded(Path("strip"), wrapped)
    return array.tobytes() if array is not None and array.shape == (rows, row_bytes) else None


def _blue_first(found: Plane) -> Plane:
    """Put (rows, columns, grey or RGB and perhaps alpha) as OpenCV has it; grey with alpha becomes RGB with alpha."""
    channels = found.shape[2]
    if channels == 1:
        return found[..., 0]
    return found[..., [0, 0, 0, 1] if channels == 2 else [2, 1, 0, *range(3, channels)]]


def _upright(array: Plane, orientation: int) -> Plane:
    """Turn and mirror (rows, columns, ...) as EXIF 2.32 table 6 says of its `orientation`."""
    if orientation in (5, 6, 7, 8):
        array = np.swapaxes(array, 0, 1)
    if orientation in (3, 4, 7, 8):
        array = array[::-1]
    if orientation in (2, 3, 6, 7):
        array = array[:, ::-1]
    return array


def encode_image(
    planes: Sequence[Plane],
    format: PixelFormat,
    target: Path,
    *,
    quality: int | None = None,
    full_chroma: bool = False,
) -> bytes:
    """Encode planes to the bytes of an image file of the target's suffix.

    quality: of JPEG (default 95) and of WebP (default: lossless), 1 to 100. full_chroma: JPEG without chroma
    subsampling (a WebP that is not lossless is 4:2:0 in any case).

    Raises:
        EncodeError: the file format cannot hold them.
    """
    cv2 = _cv2()
    suffix = target.suffix.lower()
    if format.family == "yuv" or format.depth not in (8, 16):
        raise EncodeError(f"{target}: images are written from RGB or grey of 8 or 16 bits, not from {format.name}")
    if format.depth == 16 and suffix not in _DEEP:
        raise EncodeError(f"{target}: {suffix} holds 8 bits a sample, not 16", hint="Write PNG or TIFF.")
    if format.alpha and suffix not in _WITH_ALPHA:
        raise EncodeError(f"{target}: {suffix} holds no alpha channel", hint="Write PNG, TIFF or WebP.")
    array = planes[0] if len(planes) == 1 else np.dstack([planes[1], planes[0], *planes[2:]])
    jpeg = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY if quality is None else quality]
    if full_chroma:
        jpeg += [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
    webp = [cv2.IMWRITE_WEBP_QUALITY, WEBP_LOSSLESS if quality is None else quality]
    options = {".jpg": jpeg, ".jpeg": jpeg, ".webp": webp}
    try:
        done, data = cv2.imencode(suffix, np.ascontiguousarray(array), options.get(suffix, []))
    except cv2.error as error:
        raise EncodeError(f"{target} cannot be encoded: {error}") from error
    if not done:
        raise EncodeError(f"{target} cannot be encoded as {suffix}")
    return bytes(data.tobytes())


def with_side_data(data: bytes, frame: Frame) -> bytes:
    """Put the frame's profile and EXIF into an encoded image; a profile for other channels stays out."""
    kind = image_kind(data[:16]) or ""
    is_color = frame.format.family != "gray" or kind == "webp"  # WebP has no grey
    profile = frame.side_data.icc if icc.fits(frame.side_data.icc, is_color=is_color) else b""
    beside = frame.side_data
    return embedded.embed(kind, data, icc=profile, exif=beside.exif, density=beside.density)


def write_whole(target: Path, data: bytes) -> None:
    """Write a file under a temporary name, sync it, and give it its own: it is whole or not there.

    Raises:
        DiskFull, OutputError: it cannot be written.
    """
    part = target.with_name(f".vsr-part-{secrets.token_hex(8)}{target.suffix}")
    try:
        with part.open("xb") as out:
            out.write(data)
            out.flush()
            os.fsync(out.fileno())
        part.replace(target)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise translate(error, target) from error


def sync_folder(folder: Path) -> None:
    """Make renames in a folder durable.

    Raises:
        OSError: the disk does not take them.
    """
    sync(folder)


def _load(file: Path, max_pixels: int) -> bytes:
    try:
        check_image_file(file, max_pixels)
        return file.read_bytes()
    except FileNotFoundError as error:
        raise InputMissing(f"{file} has gone", hint="Leave the source in place until the job is done.") from error
    except OSError as error:
        raise DecodeError(f"{file} cannot be read: {error.strerror}") from error


def _side_data(file: Path, data: bytes) -> SideData:
    """Give profile, EXIF and density of a picture that is upright, as the planes are."""
    found = embedded.read_embedded(image_kind(data[:16]) or "", data)
    density = found.density
    if len(set(density)) == 2 and parse_header(file, data).orientation >= 5:
        density = density[::-1]
    made = SideData(icc=found.icc, exif=upright(found.exif), density=density)
    return made if made != SideData() else NO_SIDE_DATA


def _fit(file: Path, planes: tuple[Plane, ...], format: PixelFormat) -> tuple[Plane, ...]:
    """Bring planes into the sequence's common format without loss: deeper, coloured or with an opaque alpha.

    Raises:
        DecodeError: the format cannot hold them.
    """
    has_alpha, is_gray = len(planes) in (2, 4), len(planes) == 1
    too_deep = planes[0].dtype == np.uint16 and format.depth == 8
    if too_deep or (not is_gray and format.family == "gray") or (has_alpha and not format.alpha):
        raise DecodeError(f"{file} does not fit {format.name}", hint="It has changed since the job was planned.")
    if planes[0].dtype == np.uint8 and format.depth == 16:
        planes = tuple(plane.astype(np.uint16) * np.uint16(257) for plane in planes)
    if is_gray and format.family == "rgb":
        planes = (planes[0], planes[0], planes[0])
    if format.alpha and not has_alpha:
        planes = (*planes, np.full_like(planes[0], format.peak))
    return planes


def _cv2() -> ModuleType:
    """Load OpenCV where it is first used: it takes a while."""
    import cv2

    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # what is wrong with a file we say ourselves
    module: ModuleType = cv2
    return module
