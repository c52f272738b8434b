"""What image files carry beside the picture, ICC profile and EXIF: read from and put into PNG, JPEG, TIFF and WebP.

PNG: third edition, 11.3.2.3 (iCCP), 11.3.4.6 (eXIf). JPEG: ICC.1:2022 annex B.4 (APP2 segments), EXIF 2.32 section
4.7.2 (APP1). TIFF: ICC.1:2022 annex B.3 (tag 34675). WebP: RFC 9649 section 2.7.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from vsr.core.media import MediaInfo
from vsr.io.images import density as densities
from vsr.io.images import exif as exif_blocks
from vsr.io.images import icc as profiles
from vsr.io.images.ifd import Field, is_tiff, longs, pack_directory, raw, read_directory, shorts

ICC_TAG = 34675
_EXTRA_SAMPLES, _PHOTOMETRIC, _SAMPLES = 338, 262, 277
_XMP_TAG = 700
JPEG_EXIF = 65533 - 6  # bytes of a block that one segment holds
_JPEG_ICC = 65533 - 14
_SRGB_GAMMA = 45455  # PNG's gAMA of sRGB, in units of 1/100000

_PROFILE, _EXIF = "ICC profile", "EXIF data"
_TOO_LONG = f"{_EXIF} of more than {JPEG_EXIF} bytes"
_HOLDERS = ("png", "jpeg", "tiff", "webp")


@dataclass(frozen=True, slots=True, kw_only=True)
class Embedded:
    """What a file carries. icc, exif: as they stand in it, b"" where it has none. other: what is not carried on.

    density: as in `SideData`, across and down as the samples lie.
    """

    icc: bytes = b""
    exif: bytes = b""
    density: tuple[int, ...] = ()
    other: tuple[str, ...] = ()


NOTHING = Embedded()


def read_embedded(kind: str, data: bytes) -> Embedded:
    """Read what an image's bytes carry beside the picture; what is damaged is as if it were not there."""
    readers = {"png": _from_png, "jpeg": _from_jpeg, "tiff": _from_tiff, "webp": _from_webp}
    if kind not in readers:
        return NOTHING
    try:
        found = readers[kind](data)
    except (struct.error, zlib.error, IndexError):
        return NOTHING
    return Embedded(
        icc=found.icc if profiles.is_profile(found.icc) else b"",
        exif=found.exif if is_tiff(found.exif) else b"",
        density=found.density,
        other=found.other,
    )


def embed(kind: str, data: bytes, *, icc: bytes = b"", exif: bytes = b"", density: tuple[int, ...] = ()) -> bytes:
    """Put a profile, an EXIF block and the density into the bytes of an image as OpenCV writes it.

    What the file cannot hold stays out, as `image_losses` says before: EXIF of more than a segment in a JPEG. A TIFF is
    told that its fourth channel is alpha, which OpenCV does not.
    """
    if kind == "tiff":
        return _into_tiff(data, icc, exif, density)
    if density and kind == "jpeg":
        data = densities.into_jpeg(data, density)
    if density and kind == "webp" and not exif:
        exif = densities.block(density)
    if density and kind == "png":
        data = _behind_header(data, _png_chunk(b"pHYs", densities.into_png(density)))
    if not icc and not exif:
        return data
    writers = {"png": _into_png, "jpeg": _into_jpeg, "webp": _into_webp}
    return writers[kind](data, icc, exif) if kind in writers else data


def words(found: Embedded) -> tuple[str, ...]:
    """Say for people what a file carries beside its picture; `image_losses` reads these words again."""
    said = []
    if found.icc:
        name = profiles.name_of(found.icc)
        said.append(f"{_PROFILE} ({profiles.space_of(found.icc)}{f', {name}' if name else ''})")
    if found.exif:
        said.append(_TOO_LONG if len(found.exif) > JPEG_EXIF else _EXIF)
    return (*said, *found.other)


def image_losses(info: MediaInfo, container: str) -> tuple[str, ...]:
    """Name what images carry beside their pictures and a result in `container` (`png`, `mp4`) will not.

    () for videos, but for an animated WebP, which is one and carries the same.

    An sRGB profile is no loss in a video, which is tagged sRGB by name.
    """
    if info.kind == "video" and info.container != "webp":
        return ()
    format = info.video.pixel_format
    is_color = not format.startswith("gray") or container == "webp"
    said = []
    for word in info.video.side_data:
        if word.startswith(_PROFILE):
            space = word.removeprefix(f"{_PROFILE} (").split(",")[0].rstrip(")")
            if container not in _HOLDERS:
                if "srgb" not in word.lower():
                    said.append(f"{word} is lost, and colours may look different: write .png or .tiff to keep it")
            elif space != ("RGB" if is_color else "GRAY"):
                said.append(f"{word} is left out: it does not fit {'RGB' if is_color else 'grey'} pictures")
        elif word.startswith(_EXIF):
            if container not in _HOLDERS or (word == _TOO_LONG and container == "jpeg"):
                said.append(f"{word} is lost: {container} does not hold it; write .png or .tiff to keep it")
        else:
            said.append(f"{word} is left out: vsr does not carry it on")
    return tuple(said)


def png_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield type and content of a PNG's chunks, the last one perhaps cut short."""
    at = 8
    while at + 8 <= len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        yield data[at + 4 : at + 8], data[at + 8 : at + 8 + length]
        at += 12 + length


def jpeg_segments(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Yield place, marker and content of a JPEG's segments up to the first scan (ITU-T T.81 annex B.1.1).

    Raises:
        IndexError, struct.error: the data end before that.
    """
    at = 2
    while True:
        while data[at] != 0xFF:
            at += 1
        marker = data[at + 1]
        if marker == 0xFF:
            at += 1
        elif marker == 0x01 or 0xD0 <= marker <= 0xD8:
            at += 2
        else:
            (length,) = struct.unpack_from(">H", data, at + 2)
            yield at, marker, data[at + 4 : at + 2 + length]
            if marker in (0xDA, 0xD9):
                return
            at += 2 + length


def webp_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield type and content of a WebP's chunks, the last one perhaps cut short."""
    at = 12
    while at + 8 <= len(data):
        (size,) = struct.unpack_from("<I", data, at + 4)
        yield data[at : at + 4], data[at + 8 : at + 8 + size]
        at += 8 + size + size % 2


def _from_png(data: bytes) -> Embedded:
    icc = exif = b""
    density: tuple[int, ...] = ()
    kinds, other = set(), []
    for kind, content in png_chunks(data):
        kinds.add(kind)
        if kind == b"iCCP":
            packed = content[content.index(b"\0") + 2 :] if b"\0" in content else b""
            unpacker = zlib.decompressobj()
            icc = unpacker.decompress(packed, profiles.MAX_PROFILE)
            icc = icc if unpacker.eof else b""
        elif kind == b"eXIf":
            exif = content
        elif kind == b"pHYs":
            density = densities.of_png(content)
        elif kind == b"gAMA" and int.from_bytes(content, "big") != _SRGB_GAMMA:
            other.append(f"gamma of {100000 / max(1, int.from_bytes(content, 'big')):.3g} (gAMA)")
        elif kind == b"cICP" and content[:2] not in (b"\1\x0d", b"\1\1"):  # BT.709 primaries, sRGB's or BT.709's curve
            other.append(f"colour tags (cICP {', '.join(map(str, content[:4]))})")
        elif kind == b"iTXt" and content.startswith(b"XML:com.adobe.xmp\0"):
            other.append("XMP data")
    if kinds & {b"iCCP", b"sRGB", b"cICP"}:  # any of these is stronger than gAMA
        other = [word for word in other if "gAMA" not in word]
    return Embedded(icc=icc, exif=exif, density=density, other=tuple(other))


def _from_jpeg(data: bytes) -> Embedded:
    parts: dict[int, bytes] = {}
    count, exif, other = 0, b"", []
    density: tuple[int, ...] = ()
    for _, marker, content in jpeg_segments(data):
        if marker == 0xE0 and content.startswith(b"JFIF\0") and len(content) >= 12:
            density = densities.of_jpeg(content)
        elif marker == 0xE2 and content.startswith(b"ICC_PROFILE\0"):
            parts[content[12]], count = content[14:], content[13]
        elif marker == 0xE2 and content.startswith(b"MPF\0"):
            other.append("further pictures (MPF: a gain map or a preview)")
        elif marker == 0xE1 and content.startswith(b"Exif\0\0") and not exif:
            exif = content[6:]
        elif marker == 0xE1 and content.startswith(b"http://ns.adobe.com/xap/1.0/\0"):
            other.append("XMP data")
    is_whole = sorted(parts) == list(range(1, count + 1))
    icc = b"".join(parts[number] for number in sorted(parts)) if is_whole else b""
    return Embedded(icc=icc, exif=exif, density=density, other=tuple(other))


def _from_tiff(data: bytes) -> Embedded:
    found = read_directory(data)
    icc = found.fields[ICC_TAG].data if ICC_TAG in found.fields else b""
    other = ("XMP data",) if _XMP_TAG in found.fields else ()
    return Embedded(icc=icc, exif=exif_blocks.block_of(found), density=densities.of_directory(found), other=other)


def _from_webp(data: bytes) -> Embedded:
    chunks = dict(webp_chunks(data))
    exif = chunks.get(b"EXIF", b"")
    other = ("XMP data",) if b"XMP " in chunks else ()
    # Some writers leave in front of the block what a JPEG has there.
    return Embedded(icc=chunks.get(b"ICCP", b""), exif=exif.removeprefix(b"Exif\0\0"), other=other)


def _into_png(data: bytes, icc: bytes, exif: bytes) -> bytes:
    added = b""
    if icc:
        added += _png_chunk(b"iCCP", b"ICC profile\0\0" + zlib.compress(icc))
    if exif:
        added += _png_chunk(b"eXIf", exif)
    return _behind_header(data, added)


def _behind_header(data: bytes, chunks: bytes) -> bytes:
    after_header = 8 + 25
    return data[:after_header] + chunks + data[after_header:]


def _png_chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def _into_jpeg(data: bytes, icc: bytes, exif: bytes) -> bytes:
    added = b""
    if exif and len(exif) <= JPEG_EXIF:
        added += _jpeg_segment(0xE1, b"Exif\0\0" + exif)
    parts = [icc[at : at + _JPEG_ICC] for at in range(0, len(icc), _JPEG_ICC)]
    for number, part in enumerate(parts, 1):
        added += _jpeg_segment(0xE2, b"ICC_PROFILE\0" + bytes((number, len(parts))) + part)
    # Behind JFIF's own segment, which readers of JFIF want to be first.
    at = 2 + (2 + int.from_bytes(data[4:6], "big") if data[2:4] == b"\xff\xe0" else 0)
    return data[:at] + added + data[at:]


def _jpeg_segment(marker: int, content: bytes) -> bytes:
    return bytes((0xFF, marker)) + struct.pack(">H", len(content) + 2) + content


def _into_webp(data: bytes, icc: bytes, exif: bytes) -> bytes:
    chunks = list(webp_chunks(data))
    kind, first = chunks[0]
    if kind == b"VP8X":
        chunks, flags, size = chunks[1:], first[0], first[4:10]
    else:
        flags, size = _webp_canvas(kind, first)
    flags |= (0x20 if icc else 0) | (0x08 if exif else 0)
    head = [(b"VP8X", bytes((flags, 0, 0, 0)) + size), *([(b"ICCP", icc)] if icc else [])]
    return riff([*head, *chunks, *([(b"EXIF", exif)] if exif else [])])


def _webp_canvas(kind: bytes, content: bytes) -> tuple[int, bytes]:
    """Give the flags and the size that a simple file's one chunk means, as VP8X writes them."""
    if kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", content, 1)
        width, height, flags = bits & 0x3FFF, bits >> 14 & 0x3FFF, 0x10 if bits >> 28 & 1 else 0
    else:
        width, height = (value - 1 & 0x3FFF for value in struct.unpack_from("<HH", content, 6))
        flags = 0
    return flags, width.to_bytes(3, "little") + height.to_bytes(3, "little")


def riff(chunks: Sequence[tuple[bytes, bytes]]) -> bytes:
    """Make a WebP file of chunks."""
    body = b"".join(kind + struct.pack("<I", len(held)) + held + bytes(len(held) % 2) for kind, held in chunks)
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body


def _into_tiff(data: bytes, icc: bytes, exif: bytes, density: tuple[int, ...]) -> bytes:
    """Write the directory anew at the file's end; the old one stays where it is, and nothing points to it."""
    found = read_directory(data)
    added: dict[int, Field] = densities.fields(density) if density else {}
    if icc:
        added[ICC_TAG] = raw(icc)
    if found.numbers(_SAMPLES) == (4,) and found.numbers(_PHOTOMETRIC) == (2,):
        added[_EXTRA_SAMPLES] = shorts(2)
    block = exif_blocks.directory_of(exif)
    if not added and not block.fields and not block.children:
        return data
    found.fields |= {**block.fields, **added}
    found.children |= block.children
    place = len(data) + len(data) % 2
    written = pack_directory(found, place)
    return data[:4] + longs(place).data + data[8:].ljust(place - 8, b"\0") + written
