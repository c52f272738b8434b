"""Sizes and depths of image files from their first bytes: nothing is decoded, so that nothing can explode."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from vsr.core.errors import InputMissing, NotMedia, UnsupportedInput


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageHeader:
    """What an image's header claims. Width and height are as shown: an EXIF orientation has been applied to them."""

    kind: str  # "png", "jpeg", "tiff", "webp", "bmp"
    width: int
    height: int
    depth: int = 8  # 8 or 16 bits a sample, as it will be decoded
    is_color: bool = True
    has_alpha: bool = False
    is_animated: bool = False  # holds more pictures than one
    orientation: int = 1  # EXIF: 1 is upright


def image_kind(head: bytes) -> str | None:
    """Tell an image format by its first 16 bytes."""
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if head.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    if head.startswith((b"II*\0", b"MM\0*")):
        return "tiff"
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "webp"
    return "bmp" if head.startswith(b"BM") else None


def read_header(path: Path) -> ImageHeader:
    """Read an image's header.

    Raises:
        InputMissing: there is no such file.
        NotMedia: it is no image, or its header is broken off.
        UnsupportedInput: an image of a kind that vsr does not do (floating point, several pages).
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
    return header


def _png(data: bytes) -> ImageHeader:
    """PNG specification (W3C 2003) clause 11.2.2: IHDR."""
    width, height, depth, color = struct.unpack_from(">IIBB", data, 16)
    chunks = _png_chunks(data)
    return ImageHeader(
        kind="png",
        width=width,
        height=height,
        depth=16 if depth == 16 else 8,
        is_color=color in (2, 3, 6),
        # A transparent grey level (color 0) is the one kind that cv2 does not turn into alpha.
        has_alpha=color in (4, 6) or (color in (2, 3) and b"tRNS" in chunks),
        is_animated=b"acTL" in chunks,
    )


def _png_chunks(data: bytes) -> set[bytes]:
    """Give the types of the chunks before the picture's data."""
    found: set[bytes] = set()
    at = 8
    while at + 8 <= len(data) and data[at + 4 : at + 8] != b"IDAT":
        found.add(data[at + 4 : at + 8])
        at += 12 + int.from_bytes(data[at : at + 4], "big")
    return found


def _jpeg(data: bytes) -> ImageHeader:
    """ITU-T T.81 annex B.2.2: the frame header SOF0 to SOF15; EXIF in APP1."""
    at, orientation = 2, 1
    while True:
        while data[at] != 0xFF:
            at += 1
        marker = data[at + 1]
        if marker == 0xFF:
            at += 1
            continue
        if marker == 0x01 or 0xD0 <= marker <= 0xD8:
            at += 2
            continue
        (length,) = struct.unpack_from(">H", data, at + 2)
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            depth, height, width, parts = struct.unpack_from(">BHHB", data, at + 4)
            if depth != 8:
                raise ValueError(f"a JPEG of {depth} bits a sample is not supported")
            if orientation >= 5:
                width, height = height, width
            return ImageHeader(kind="jpeg", width=width, height=height, is_color=parts != 1, orientation=orientation)
        if marker == 0xE1 and data[at + 4 : at + 10] == b"Exif\0\0":
            tags = _tiff_tags(data[at + 10 : at + 2 + length])
            orientation = tags.get(0x0112, (1,))[0]
        at += 2 + length


def _tiff(data: bytes) -> ImageHeader:
    """TIFF 6.0 section 8: baseline tags of the first directory."""
    tags = _tiff_tags(data)
    depth = max(tags.get(258, (1,)))
    if max(tags.get(339, (1,))) not in (1, 4) or depth > 16:
        raise ValueError(f"a TIFF of {depth} bits a sample or of floating point is not supported")
    parts, photometric = tags.get(277, (1,))[0], tags.get(262, (1,))[0]
    return ImageHeader(
        kind="tiff",
        width=tags[256][0],
        height=tags[257][0],
        depth=16 if depth > 8 else 8,
        is_color=parts >= 3 or photometric not in (0, 1),
        has_alpha=parts == 4 and photometric == 2,
        is_animated=bool(tags.get(-1, (0,))[0]),
        orientation=1,
    )


def _tiff_tags(data: bytes) -> dict[int, tuple[int, ...]]:
    """Give the integer tags of the first directory; key -1 holds the offset of the next one."""
    end = "<" if data[:2] == b"II" else ">"
    (at,) = struct.unpack_from(f"{end}I", data, 4)
    (count,) = struct.unpack_from(f"{end}H", data, at)
    tags: dict[int, tuple[int, ...]] = {}
    for entry in range(at + 2, at + 2 + 12 * count, 12):
        tag, kind, number = struct.unpack_from(f"{end}HHI", data, entry)
        if kind not in (3, 4) or not 1 <= number <= 16:
            continue
        letter, size = ("H", 2) if kind == 3 else ("I", 4)
        where = entry + 8
        if number * size > 4:
            (where,) = struct.unpack_from(f"{end}I", data, where)
        tags[tag] = struct.unpack_from(f"{end}{number}{letter}", data, where)
    tags[-1] = struct.unpack_from(f"{end}I", data, at + 2 + 12 * count)
    return tags


def _webp(data: bytes) -> ImageHeader:
    """RFC 9649 sections 2.5 to 2.7: VP8, VP8L or VP8X is the first chunk."""
    chunk = data[12:16]
    if chunk == b"VP8X":
        flags = data[20]
        width = 1 + int.from_bytes(data[24:27], "little")
        height = 1 + int.from_bytes(data[27:30], "little")
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
    """Microsoft's BITMAPINFOHEADER; a negative height is a picture from top to bottom."""
    width, height, _, bits = struct.unpack_from("<iiHH", data, 18)
    return ImageHeader(kind="bmp", width=width, height=abs(height), has_alpha=bits == 32)


_PARSERS: dict[str, Callable[[bytes], ImageHeader]] = {
    "png": _png,
    "jpeg": _jpeg,
    "tiff": _tiff,
    "webp": _webp,
    "bmp": _bmp,
}
