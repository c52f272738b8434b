"""Animated WebP as a video: each frame decoded alone, laid on the canvas as RFC 9649 section 2.7.1.1 says.

FFmpeg 8.1 decodes the first picture of these files only. Times count milliseconds, as in the file.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import accumulate, pairwise
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from vsr.core.errors import DecodeError, InputMissing, NotMedia, UnsupportedInput
from vsr.core.frame import ColorSpec, Frame, SideData, pixel_format
from vsr.core.media import MediaInfo, PacketIndex, Span, VideoInfo
from vsr.io.base import DecodeTally
from vsr.io.images.embedded import Embedded, read_embedded, riff, webp_chunks, words
from vsr.io.images.exif import upright
from vsr.io.images.files import decode_image
from vsr.io.limits import MAX_PIXELS, check_image_file, check_packets, check_pixels

CONTAINER = "webp"
TIME_BASE = Fraction(1, 1000)
_NO_TIME = 100  # milliseconds for a frame of none, as browsers and FFmpeg's GIF reader take it

Canvas = NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One frame of the file: a picture at (x, y), even numbers, shown for `duration` milliseconds."""

    x: int
    y: int
    width: int
    height: int
    duration: int
    is_blended: bool
    is_cleared: bool  # its rectangle becomes transparent before the next frame
    has_alpha: bool
    chunks: tuple[tuple[bytes, bytes], ...]  # of the still picture


@dataclass(frozen=True, slots=True, kw_only=True)
class AnimationSource:
    """Frames of an animated WebP; decoded from the start, or from a frame that hides all before it."""

    info: MediaInfo
    max_pixels: int = MAX_PIXELS

    def frames(self, span: Span, *, seek: int | None = None, tally: DecodeTally | None = None) -> Iterator[Frame]:
        """Yield the frames whose pts lie in `span`; see `io.base.Source`.

        Raises:
            DecodeError: a frame is damaged, or the file is not what it was when it was described.
            InputMissing: the file has gone.
        """
        video, path = self.info.video, self.info.path
        counted = tally if tally is not None else DecodeTally()
        format = pixel_format(video.pixel_format)
        found, (width, height), parts = read_parts(path, self.max_pixels)
        beside = SideData(icc=found.icc, exif=upright(found.exif))
        pts, keyframes = self.info.packets.pts, set(self.info.packets.keyframes)
        if (width, height, len(parts)) != (video.width, video.height, len(pts)):
            raise DecodeError(f"{path} is not what it was when the job was planned", hint="Plan it anew.")
        first = pts.index(seek) if seek is not None and seek in keyframes else 0
        canvas: Canvas = np.zeros((height, width, 4), np.uint8)
        for index in range(first, len(parts)):
            if span.stop is not None and pts[index] >= span.stop:
                break
            part = parts[index]
            _lay(path, canvas, part, self.max_pixels)
            if pts[index] in span:
                counted.frames += 1
                planes = tuple(np.ascontiguousarray(canvas[..., channel]) for channel in range(format.plane_count))
                for plane in planes:
                    plane.flags.writeable = False
                yield Frame(
                    index=index,
                    pts=pts[index],
                    duration=self.info.packets.durations[index],
                    planes=planes,
                    format=format,
                    color=video.color,
                    is_keyframe=pts[index] in keyframes,
                    side_data=beside,
                )
            if part.is_cleared:
                canvas[part.y : part.y + part.height, part.x : part.x + part.width] = 0


def describe_animation(path: Path, *, max_pixels: int) -> MediaInfo:
    """Describe an animated WebP from its chunks; nothing is decoded.

    Raises:
        NotMedia: it holds no frame. UnsupportedInput: its frames are none of WebP's.
        InputLimits: it is too large.
    """
    found, (width, height), parts = read_parts(path, max_pixels)
    durations = [part.duration or _NO_TIME for part in parts]
    pts = [0, *accumulate(durations[:-1])]
    covers = [part.width == width and part.height == height for part in parts]
    hides = [cover and not (part.is_blended and part.has_alpha) for cover, part in zip(covers, parts, strict=True)]
    # A canvas begins transparent. Once it is opaque, a frame that is blended onto it leaves it so, alpha or not.
    has_holes = any(a.is_cleared and not _fills(b, a) for a, b in pairwise(parts))
    has_alpha = not hides[0] or has_holes or any(part.has_alpha and not part.is_blended for part in parts)
    name = "gbrap" if has_alpha else "gbrp"
    silent = sum(part.duration == 0 for part in parts)
    video = VideoInfo(
        index=0,
        codec="webp",
        width=width,
        height=height,
        pixel_format=name,
        coded_pixel_format=name,
        color=ColorSpec(matrix="gbr", range="pc", primaries="bt709", transfer="iec61966-2-1"),
        time_base=TIME_BASE,
        rate=Fraction(len(parts) * 1000, sum(durations)),
        side_data=words(found),
        header_frames=len(parts),
    )
    return MediaInfo(
        path=path,
        kind="video",
        container=CONTAINER,
        video=video,
        duration_s=sum(durations) / 1000,
        size_bytes=path.stat().st_size,
        packets=PacketIndex(
            pts=tuple(pts),
            durations=tuple(durations),
            keyframes=tuple(at for at, hidden in zip(pts, hides, strict=True) if hidden) if hides[0] else (),
            bytes=sum(len(content) for part in parts for _, content in part.chunks),
            digest=_digest(parts),
        ),
        warnings=(f"{silent} frames of {path.name} have no duration: they are shown for {_NO_TIME} ms",)
        if silent
        else (),
        damage=_damage(path),
    )


def read_parts(path: Path, max_pixels: int) -> tuple[Embedded, tuple[int, int], tuple[Part, ...]]:
    """Give what the file carries, the canvas' size, and its frames.

    Raises:
        InputMissing, NotMedia, UnsupportedInput, InputLimits: see `describe_animation`.
    """
    check_image_file(path, max_pixels)
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise InputMissing(f"{path} has gone", hint="Leave the source in place until the job is done.") from error
    chunks = list(webp_chunks(data))
    try:
        size = _size(chunks[0][1])
        check_pixels(path, *size, max_pixels)
        parts = tuple(_part(content) for kind, content in chunks if kind == b"ANMF" and len(content) > 24)
    except (struct.error, IndexError) as error:
        raise NotMedia(f"{path}: its webp header is broken off") from error
    check_packets(path, len(parts))
    if not parts:
        raise NotMedia(f"{path} is an animation without frames")
    for part in parts:
        if part.x + part.width > size[0] or part.y + part.height > size[1]:
            raise UnsupportedInput(f"{path} has a frame outside of its canvas", hint="The file is damaged.")
    return read_embedded("webp", data), size, parts


def _fills(part: Part, hole: Part) -> bool:
    """Whether a frame paints over all of another one's rectangle."""
    is_across = part.x <= hole.x and part.x + part.width >= hole.x + hole.width
    is_down = part.y <= hole.y and part.y + part.height >= hole.y + hole.height
    return is_across and is_down and not (part.is_blended and part.has_alpha)


def _size(content: bytes) -> tuple[int, int]:
    return 1 + int.from_bytes(content[4:7], "little"), 1 + int.from_bytes(content[7:10], "little")


def _part(content: bytes) -> Part:
    x, y, width, height, duration = (int.from_bytes(content[at : at + 3], "little") for at in (0, 3, 6, 9, 12))
    chunks = tuple(webp_chunks(bytes(12) + content[16:]))
    lossless = next((held for kind, held in chunks if kind == b"VP8L"), b"")
    return Part(
        x=2 * x,
        y=2 * y,
        width=width + 1,
        height=height + 1,
        duration=duration,
        is_blended=not content[15] & 0x02,
        is_cleared=bool(content[15] & 0x01),
        has_alpha=any(kind == b"ALPH" for kind, _ in chunks) or (len(lossless) > 4 and bool(lossless[4] & 0x10)),
        chunks=tuple((kind, held) for kind, held in chunks if kind in (b"ALPH", b"VP8 ", b"VP8L")),
    )


def _lay(path: Path, canvas: Canvas, part: Part, max_pixels: int) -> None:
    """Draw a frame on the canvas of (rows, columns, G B R A).

    Raises:
        DecodeError: it is damaged.
    """
    planes = decode_image(path, _still(part), max_pixels=max_pixels)
    if planes[0].shape != (part.height, part.width):
        raise DecodeError(f"{path} is damaged: a frame has another size than is said of it")
    drawn = cast("Canvas", np.dstack([*planes[:3], planes[3] if len(planes) == 4 else np.full_like(planes[0], 255)]))
    below = canvas[part.y : part.y + part.height, part.x : part.x + part.width]
    below[...] = _over(drawn, below) if part.is_blended and part.has_alpha else drawn


def _over(above: Canvas, below: Canvas) -> Canvas:
    """Lay straight alpha over straight alpha, rounded."""
    top, bottom = above[..., 3:].astype(np.float64) / 255, below[..., 3:].astype(np.float64) / 255
    seen = bottom * (1 - top)
    alpha = top + seen
    mixed = (above[..., :3] * top + below[..., :3] * seen) / np.maximum(alpha, 1 / 255)
    return np.rint(np.dstack([mixed, alpha * 255])).astype(np.uint8)


def _still(part: Part) -> bytes:
    """Give a frame as a file of its own."""
    if len(part.chunks) == 1:
        return riff(part.chunks)
    size = (part.width - 1).to_bytes(3, "little") + (part.height - 1).to_bytes(3, "little")
    return riff([(b"VP8X", bytes((0x10 if part.has_alpha else 0, 0, 0, 0)) + size), *part.chunks])


def _digest(parts: Sequence[Part]) -> str:
    content = hashlib.blake2b(digest_size=16)
    for part in parts:
        for _, held in part.chunks:
            content.update(held)
    return content.hexdigest()


def _damage(path: Path) -> tuple[str, ...]:
    """Say so where the file is shorter than its head says."""
    with path.open("rb") as content:
        announced = 8 + int.from_bytes(content.read(8)[4:], "little")
    there = path.stat().st_size
    return (f"{path.name} announces {announced} bytes, {there} are there: it breaks off",) if there < announced else ()
