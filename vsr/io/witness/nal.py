"""The pictures of an H.264 or H.265 packet without the framing that containers differ in: for `reading`.

MP4 and Matroska put a length before each NAL unit and the parameter sets into the header (ISO/IEC 14496-15); MPEG-TS
and AVI put start codes before them, and the parameter sets and delimiters between the pictures (H.264 annex B).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

CODECS = ("h264", "hevc")
_START = re.compile(rb"\x00\x00\x01")
# Parameter sets, delimiters, ends, filler: ITU-T H.264 table 7-1, H.265 table 7-1.
_FRAMING = {"h264": frozenset({7, 8, 9, 10, 11, 12, 13, 15}), "hevc": frozenset({32, 33, 34, 35, 36, 37, 38})}


def pictures(data: bytes, codec: str, header: bytes) -> bytes:
    """Give the NAL units that code pictures and what belongs to them, each after its length in four bytes.

    header: of the stream; its first byte is 1 where lengths are written. What does not parse is given as it is.
    """
    units = _by_lengths(data, _length_bytes(header, codec)) if header[:1] == b"\x01" else _by_start_codes(data)
    kept = [unit for unit in units or () if unit and _kind(unit, codec) not in _FRAMING[codec]]
    return b"".join(len(unit).to_bytes(4, "big") + unit for unit in kept) if kept else data


def _length_bytes(header: bytes, codec: str) -> int:
    """ISO/IEC 14496-15 sec. 5.3.3.1.2 and 8.3.3.1.2: lengthSizeMinusOne, in the fifth or the 22nd byte."""
    at = 4 if codec == "h264" else 21
    return (header[at] & 3) + 1 if len(header) > at else 4


def _by_lengths(data: bytes, size: int) -> list[bytes] | None:
    units, at = [], 0
    while at < len(data):
        stop = at + size + int.from_bytes(data[at : at + size], "big")
        if at + size > len(data) or stop > len(data):
            return None
        units.append(data[at + size : stop])
        at = stop
    return units


def _by_start_codes(data: bytes) -> list[bytes] | None:
    """Zeros before a start code are no part of the unit before it (H.264 annex B.1)."""
    return list(_between(data)) or None


def _between(data: bytes) -> Iterator[bytes]:
    starts = [found.end() for found in _START.finditer(data)]
    stops = [start - 3 for start in starts[1:]] + [len(data)]
    for start, stop in zip(starts, stops, strict=True):
        yield data[start:stop].rstrip(b"\0")


def _kind(unit: bytes, codec: str) -> int:
    return unit[0] & 31 if codec == "h264" else unit[0] >> 1 & 63
