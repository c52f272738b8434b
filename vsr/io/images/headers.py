"""Sizes and depths of image files from their first bytes: nothing is decoded, so that nothing can explode."""

from __future__ import annotations

import dataclasses
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from vsr.core.errors import InputMissing, NotMedia, UnsupportedInput
from vsr.io.images import tiff
from vsr.io.images.embedded import NOTHING, Embedded, jpeg_segments, png_chunks, read_embedded
from vsr.io.images.exif import ORIENTATION, orientation_of
from vsr.io.images.ifd import read_directory


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageHeader:
    """What an image's header claims. Width and height are as shown: an EXIF orientation has been applied to them.

    transparent: the one grey level of a PNG that means "nothing here", in the picture's own depth. embedded: what the
    file carries beside the picture.
    """

    kind: str  # "png", "jpeg", "tiff", "webp", "bmp"
    width: int
    height: int
    depth: int = 8  # 8 or 16 bits a sample, as it will be decoded
    is_color: bool = True
    has_alpha: bool = False
    is_animated: bool = False  # holds more pictures than one
    orientation: int = 1  # EXIF: 1 is upright
    transparent: int | None = None
    embedded: Embedded = NOTHING


def image_kind(head: bytes) -> str | None:
    """Tell an image format by its first 16 bytes."""
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if head.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    if head.startswith((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")):
        return "tiff"
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "webp"
    return "bmp" if head.startswith(b"BM") else None


def read_header(path: Path) -> ImageHeader:
    """Read an image's header.

    Raises:
        InputMissing: there is no such file.
        NotMedia: it is no image, or its header is broken off.
        UnsupportedInput: an image of a kind that vsr does not do (floating point, CMYK).
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise InputMissing(f"{path} does not exist", hint="Was it moved while vsr was running?") from error
    return parse_header(path, data)


def parse_header(path: Path, data: bytes) -> ImageHeader:
    """Read the header of an image's bytes; `path` is for messages.

    Raises:
        NotMedia, UnsupportedInput: see `read_header`.
    """
    kind = image_kind(data[:16])
    if kind is None:
        raise NotMedia(f"{path} is not an image" + (" (0 bytes)" if not data else ""))
    try:
        header = _PARSERS[kind](data)
    except (struct.error, IndexError, KeyError) as error:
        raise NotMedia(f"{path}: its {kind} header is broken off") from error
    except ValueError as error:
        raise UnsupportedInput(f"{path}: {error}") from error
    if header.width < 1 or header.height < 1:
        raise UnsupportedInput(f"{path} has no size ({header.width}x{header.height})")
    found = read_embedded(kind, data)
    # A TIFF says it in its own directory; the others in an EXIF block.
    turn = header.orientation if kind == "tiff" else orientation_of(found.exif)
    width, height = (header.height, header.width) if turn >= 5 else (header.width, header.height)
    return dataclasses.replace(header, width=width, height=height, orientation=turn, embedded=found)


def breaks_off(kind: str, data: bytes) -> bool:
    """Whether a PNG or JPEG ends too early; OpenCV must not see it.

    libjpeg paints what is missing grey without a word, and for a PNG's chunk memory is taken at its claimed length.
    """
    if kind == "jpeg":
        try:
            scan = max(at for at, _, _ in jpeg_segments(data))
        except (IndexError, struct.error):
            return True
        return data.find(b"\xff\xd9", scan) < 0
    end = 8
    for chunk, content in png_chunks(data) if kind == "png" else ():
        end += 12 + len(content)
        if chunk == b"IEND":
            break
    # A chunk cut short was counted as long as it is, and lacks its check sum.
    return kind == "png" and end > len(data)


def _png(data: bytes) -> ImageHeader:
    """PNG specification (W3C 2003) clause 11.2.2: IHDR."""
    width, height, depth, color = struct.unpack_from(">IIBB", data, 16)
    if depth not in (1, 2, 4, 8, 16):
        raise ValueError(f"a PNG of {depth} bits a sample is not supported")
    chunks = _chunks_before_data(data)
    key = chunks.get(b"tRNS", b"") if color == 0 else b""
    return ImageHeader(
        kind="png",
        width=width,
        height=height,
        depth=16 if depth == 16 else 8,
        is_color=color in (2, 3, 6),
        has_alpha=color in (4, 6) or b"tRNS" in chunks,
        is_animated=b"acTL" in chunks,
        # cv2 turns every kind of transparency into alpha but this one. Levels of 1, 2 and 4 bits are spread over 8.
        transparent=int.from_bytes(key[:2], "big") * (255 // ((1 << depth) - 1) if depth < 8 else 1) if key else None,
    )


def _chunks_before_data(data: bytes) -> dict[bytes, bytes]:
    """Give the chunks before the picture's data."""
    found: dict[bytes, bytes] = {}
    for kind, content in png_chunks(data):
        if kind == b"IDAT":
            break
        found[kind] = content
    return found


def _jpeg(data: bytes) -> ImageHeader:
    """ITU-T T.81 annex B.2.2: the frame header SOF0 to SOF15."""
    for _, marker, content in jpeg_segments(data):
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            depth, height, width, parts = struct.unpack_from(">BHHB", content)
            if depth != 8:
                raise ValueError(f"a JPEG of {depth} bits a sample is not supported")
            if parts not in (1, 3):
                raise ValueError(f"a JPEG of {parts} channels is not supported{_INK if parts == 4 else ''}")
            return ImageHeader(kind="jpeg", width=width, height=height, is_color=parts != 1)
        if marker in (0xD9, 0xDA):
            break
    raise IndexError("no frame header")


_INK = ": CMYK means ink, and needs a colour-managed program to become RGB"


def _tiff(data: bytes) -> ImageHeader:
    """TIFF 6.0 section 8: baseline tags of the first directory."""
    if data[2:3] == b"+" or data[3:4] == b"+":
        raise ValueError("a BigTIFF is not supported")
    found = read_directory(data)
    depth = max(found.numbers(tiff.BITS, (1,)))
    photometric = found.numbers(tiff.PHOTOMETRIC, (1,))[0]
    if max(found.numbers(tiff.FORMAT, (1,))) not in (1, 4) or not 1 <= depth <= 16:
        raise ValueError(f"a TIFF of {depth} bits a sample or of floating point is not supported")
    if photometric == tiff.CMYK:
        raise ValueError(f"a CMYK TIFF is not supported{_INK}")
    turn = found.numbers(ORIENTATION, (1,))[0]
    return ImageHeader(
        kind="tiff",
        width=found.numbers(tiff.WIDTH)[0],
        height=found.numbers(tiff.HEIGHT)[0],
        depth=16 if depth > 8 and photometric != tiff.PALETTE else 8,
        is_color=photometric not in (tiff.WHITE_IS_ZERO, tiff.BLACK_IS_ZERO),
        has_alpha=tiff.alpha_of(found) != 0,
        is_animated=bool(found.next),
        orientation=turn if 1 <= turn <= 8 else 1,
    )


def _webp(data: bytes) -> ImageHeader:
    """RFC 9649 sections 2.5 to 2.7: VP8, VP8L or VP8X is the first chunk."""
    chunk = data[12:16]
    if chunk == b"VP8X":
        flags = data[20]
        width = 1 + int.from_bytes(data[24:27], "little")
        height = 1 + int.from_bytes(data[27:30], "little")
        # The flag only says that there may be alpha; what OpenCV decodes has a fourth channel where it is set.
        return ImageHeader(
            kind="webp", width=width, height=height, has_alpha=bool(flags & 0x10), is_animated=bool(flags & 0x02)
        )
    if chunk == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        return ImageHeader(kind="webp", width=width, height=height, has_alpha=bool(bits >> 28 & 1))
    width, height = struct.unpack_from("<HH", data, 26)
    return ImageHeader(kind="webp", width=width & 0x3FFF, height=height & 0x3FFF)


def _bmp(data: bytes) -> ImageHeader:
    """Microsoft's BITMAPCOREHEADER (12 bytes) and BITMAPINFOHEADER; a negative height: the first row is the top one."""
    (size,) = struct.unpack_from("<I", data, 14)
    if size == 12:
        width, height, _, bits = struct.unpack_from("<HHHH", data, 18)
        return ImageHeader(kind="bmp", width=width, height=height)
    width, height, _, bits = struct.unpack_from("<iiHH", data, 18)
    palette = data[14 + size : int.from_bytes(data[10:14], "little")] if bits <= 8 else b"\0\0\1"
    # The last four bytes of masks say where alpha lies; the short header has none.
    has_mask = size >= 56 and data[66:70] != bytes(4)
    return ImageHeader(
        kind="bmp",
        width=width,
        height=abs(height),
        is_color=not palette[0::4] == palette[1::4] == palette[2::4],
        has_alpha=bits == 32 and has_mask,
    )


_PARSERS: dict[str, Callable[[bytes], ImageHeader]] = {
    "png": _png,
    "jpeg": _jpeg,
    "tiff": _tiff,
    "webp": _webp,
    "bmp": _bmp,
}
