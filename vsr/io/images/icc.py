"""ICC profiles, as far as they must be known to be carried on: for which pictures, and under which name.

ICC.1:2022 section 7.2 (header), 7.3 (tag table), 10.15 and 10.24 (texts).
"""

from __future__ import annotations

import struct

MAX_PROFILE = 16 << 20  # bytes of a profile when it is unpacked; the largest of printers have about four million
_HEADER = 128


def is_profile(data: bytes) -> bool:
    """Whether bytes are a profile by their header's size and signature."""
    return len(data) >= _HEADER + 4 and data[36:40] == b"acsp"


def fits(profile: bytes, *, is_color: bool) -> bool:
    """Whether a profile is one for pictures of these channels: RGB, or grey."""
    return is_profile(profile) and profile[16:20] == (b"RGB " if is_color else b"GRAY")


def space_of(profile: bytes) -> str:
    """Give the kind of pictures a profile is for: `RGB`, `GRAY`, `CMYK`."""
    return profile[16:20].decode("latin-1").strip()


def name_of(profile: bytes) -> str:
    """Give a profile's own name; "" where it has none that can be read."""
    try:
        (count,) = struct.unpack_from(">I", profile, _HEADER)
        for entry in range(_HEADER + 4, _HEADER + 4 + 12 * min(count, 100), 12):
            tag, at, size = struct.unpack_from(">4sII", profile, entry)
            if tag == b"desc":
                return _text(profile[at : at + size])
    except struct.error:
        pass  # a table that ends early holds no name
    return ""


def _text(data: bytes) -> str:
    """Read a text of version 2 (`desc`, ASCII) or the first of version 4 (`mluc`, UTF-16)."""
    if data[:4] == b"desc":
        (length,) = struct.unpack_from(">I", data, 8)
        return data[12 : 12 + length].decode("latin-1").rstrip("\0").strip()
    if data[:4] == b"mluc":
        length, at = struct.unpack_from(">II", data, 20)
        return data[at : at + length].decode("utf-16-be", "replace").strip("\0 ")
    return ""
