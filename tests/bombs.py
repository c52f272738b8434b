"""Small files that claim much: headers of pictures and films written by hand, a few bytes each.

Nothing here uses vsr; every file is a claim that a parser would follow.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from pathlib import Path

_MATRIX = struct.pack(">9I", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)


def png(width: int, height: int, *, chunks: bytes = b"", data: bytes = bytes(72)) -> bytes:
    """Give a grey 8 bit PNG; `chunks` stand between its header and its data."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    body = png_chunk(b"IHDR", header) + chunks + png_chunk(b"IDAT", zlib.compress(data, 9)) + png_chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def jpeg(data: bytes, width: int, height: int) -> bytes:
    """Give a JPEG (or a file full of them) whose frame headers claim another size."""
    changed = bytearray(data)
    at = changed.find(b"\xff\xc0\0\x11")
    while at >= 0:
        changed[at + 5 : at + 9] = struct.pack(">HH", height, width)
        at = changed.find(b"\xff\xc0\0\x11", at + 9)
    return bytes(changed)


def tiff(width: int, height: int, *, extra: Sequence[tuple[int, int]] = ()) -> bytes:
    """Give a grey TIFF with one strip of 8 bytes; `extra`: further tags and their numbers."""
    tags = [(256, width), (257, height), (258, 8), (259, 1), (262, 1), (273, 8), (277, 1), (278, height), (279, 8)]
    entries = sorted({**dict(tags), **dict(extra)}.items())
    directory = struct.pack("<H", len(entries))
    directory += b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in entries)
    return struct.pack("<2sHI", b"II", 42, 16) + bytes(8) + directory + struct.pack("<I", 0)


def webp(width: int, height: int) -> bytes:
    """Give an extended WebP (at most 16777216 a side) whose canvas is a claim; lossless data of one pixel."""
    canvas = b"\0" * 4 + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    pixel = b"\x2f\0\0\0\0\x88\x88\x08"
    body = b"WEBPVP8X" + struct.pack("<I", 10) + canvas + b"VP8L" + struct.pack("<I", len(pixel)) + pixel
    return b"RIFF" + struct.pack("<I", len(body)) + body


def y4m(width: int, height: int) -> bytes:
    return f"YUV4MPEG2 W{width} H{height} F25:1 Ip A1:1 C420jpeg\nFRAME\n".encode() + bytes(range(256)) * 16


def avi(clip: bytes, old: tuple[int, int], new: tuple[int, int]) -> bytes:
    """Give an AVI whose two headers claim another size."""
    assert clip.count(struct.pack("<ii", *old)) >= 2
    return clip.replace(struct.pack("<ii", *old), struct.pack("<ii", *new))


def box(kind: bytes, *parts: bytes) -> bytes:
    """Give a box of ISO/IEC 14496-12."""
    body = b"".join(parts)
    return struct.pack(">I4s", 8 + len(body), kind) + body


def full_box(kind: bytes, *parts: bytes, flags: int = 0) -> bytes:
    return box(kind, struct.pack(">I", flags), *parts)


def mp4(
    *,
    width: int = 64,
    height: int = 48,
    samples: int = 1,
    sample_bytes: int = 1,
    ticks: int = 1,
    tracks: int = 1,
    handler: bytes = b"vide",
    reference: bytes | None = None,
    fragments: Sequence[int] = (),
    is_packed: bool = False,
) -> bytes:
    """Give an MP4 of MJPEG tracks whose tables claim `samples` equal samples.

    reference: an entry for the data reference box in place of `in this file`. fragments: how many samples each
    fragment claims. is_packed: the header is compressed (QuickTime's cmov).
    """
    facts = struct.pack(">IIIIIH", 0, 0, 1000, 1000, 0x10000, 0x100) + bytes(10) + _MATRIX + bytes(24)
    every = [
        _track(number + 1, width, height, samples, sample_bytes, ticks, handler, reference) for number in range(tracks)
    ]
    extends = [box(b"mvex", full_box(b"trex", struct.pack(">5I", 1, 1, 1, 1, 0)))] if fragments else []
    moov = box(b"moov", full_box(b"mvhd", facts, struct.pack(">I", 2)), *every, *extends)
    if is_packed:
        packed = struct.pack(">I", len(moov)) + zlib.compress(moov)
        moov = box(b"moov", box(b"cmov", box(b"dcom", b"zlib"), box(b"cmvd", packed)))
    data = box(b"mdat", bytes(1000))
    pieces = [
        box(
            b"moof",
            full_box(b"mfhd", struct.pack(">I", number + 1)),
            box(
                b"traf",
                full_box(b"tfhd", struct.pack(">I", 1), flags=0x20000),
                full_box(b"trun", struct.pack(">Ii", claimed, 0), flags=1),
            ),
        )
        + data
        for number, claimed in enumerate(fragments)
    ]
    return box(b"ftyp", b"isom\0\0\0\0isom") + data + moov + b"".join(pieces)


def alias(name: bytes) -> bytes:
    """Give a data reference to a file beside the film: QuickTime's `alis` record with a path of type 2."""
    path = b"/d/" + name
    path += bytes(len(path) % 2)
    record = bytes(10) + b"\1" + b"v".ljust(27, b"\0") + bytes(12) + bytes([len(name)]) + name.ljust(63, b"\0")
    record += bytes(16) + struct.pack(">HH", 1, 1) + bytes(16) + struct.pack(">HH", 2, len(path)) + path
    return full_box(b"alis", record, struct.pack(">HH", 0xFFFF, 0))


def _track(
    number: int,
    width: int,
    height: int,
    samples: int,
    sample_bytes: int,
    ticks: int,
    handler: bytes,
    reference: bytes | None,
) -> bytes:
    size = struct.pack(">II", width << 16, height << 16)
    head = full_box(b"tkhd", struct.pack(">5I", 0, 0, number, 0, 1000), bytes(16), _MATRIX, size, flags=3)
    entry = box(
        b"jpeg",
        bytes(6) + struct.pack(">H", 1) + bytes(16),
        struct.pack(">HHIIIH", width, height, 0x480000, 0x480000, 0, 1) + bytes(32) + struct.pack(">Hh", 24, -1),
    )
    table = box(
        b"stbl",
        full_box(b"stsd", struct.pack(">I", 1), entry),
        full_box(b"stts", struct.pack(">III", 1, samples, ticks)),
        full_box(b"stsc", struct.pack(">4I", 1, 1, samples, 1)),
        full_box(b"stsz", struct.pack(">II", sample_bytes, samples)),
        full_box(b"stco", struct.pack(">II", 1, 32)),
    )
    where = box(b"dinf", full_box(b"dref", struct.pack(">I", 1), reference or full_box(b"url ", flags=1)))
    media = box(
        b"mdia",
        full_box(b"mdhd", struct.pack(">IIIIHH", 0, 0, 25, samples, 0x55C4, 0)),
        full_box(b"hdlr", struct.pack(">I4s", 0, handler), bytes(13)),
        box(b"minf", full_box(b"vmhd", bytes(8), flags=1), where, table),
    )
    return box(b"trak", head, media)


def mkv(*, width: int = 64, height: int = 48, tracks: int = 1, frames: Sequence[bytes] = (b"x",), codec: str) -> bytes:
    """Give a Matroska file whose video tracks claim a size; `frames` are those of the first, each a keyframe."""
    entries = [
        _element(
            0xAE,
            _element(0xD7, _number(number + 1)),
            _element(0x73C5, _number(number + 1)),
            _element(0x83, b"\1"),
            _element(0x86, codec.encode()),
            _element(0xE0, _element(0xB0, _number(width)), _element(0xBA, _number(height))),
        )
        for number in range(tracks)
    ]
    blocks = [
        _element(0xA3, b"\x81" + struct.pack(">hB", 40 * number, 0x80) + frame) for number, frame in enumerate(frames)
    ]
    segment = _element(
        0x18538067,
        _element(0x1549A966, _element(0x2AD7B1, _number(1_000_000))),
        _element(0x1654AE6B, *entries),
        _element(0x1F43B675, _element(0xE7, b"\0"), *blocks),
    )
    return (
        _element(0x1A45DFA3, _element(0x4282, b"matroska"), _element(0x4287, b"\4"), _element(0x4285, b"\2")) + segment
    )


def _element(name: int, *parts: bytes) -> bytes:
    """Give an EBML element (RFC 8794), its size in eight bytes."""
    body = b"".join(parts)
    return name.to_bytes((name.bit_length() + 7) // 8, "big") + (1 << 56 | len(body)).to_bytes(8, "big") + body


def _number(value: int) -> bytes:
    return value.to_bytes(4, "big")


def h264(width: int, height: int) -> bytes:
    """Give one H.264 access unit (ITU-T H.264 Annex B) of that size, in multiples of 16; its slice is nonsense."""
    sequence = (
        f"{66:08b}{0:08b}{62:08b}" + _codes(0, 0, 2, 1) + "0" + _codes(width // 16 - 1, height // 16 - 1) + "1100"
    )
    picture = _codes(0, 0) + "00" + _codes(0, 0, 0) + "000" + _codes(0, 0, 0) + "000"
    slice_ = _codes(0, 7, 0) + "0000" + _codes(0) + "00" + _codes(0) + (_codes(3, 0) + "11") * 200
    return _unit(0x67, sequence) + _unit(0x68, picture) + _unit(0x65, slice_)


def _codes(*values: int) -> str:
    """Give Exp-Golomb codes, unsigned (clause 9.1)."""
    return "".join("0" * ((value + 1).bit_length() - 1) + f"{value + 1:b}" for value in values)


def _unit(head: int, bits: str) -> bytes:
    """Give a NAL unit with its start code and emulation prevention (clause 7.4.1)."""
    bits += "1"
    bits += "0" * (-len(bits) % 8)
    out, zeros = bytearray(b"\0\0\0\1") + bytes([head]), 0
    for byte in int(bits, 2).to_bytes(len(bits) // 8, "big"):
        if zeros >= 2 and byte <= 3:
            out.append(3)
            zeros = 0
        out.append(byte)
        zeros = zeros + 1 if byte == 0 else 0
    return bytes(out)


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path
