"""TIFF directories, as TIFF files and EXIF blocks have them: read into fields, written to stand at any place.

TIFF 6.0 section 2 (fields, types), TIFF technical note 1 (type 13), EXIF 2.32 section 4.6.3 (directories in fields).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

CHILDREN = (0x8769, 0x8825, 0xA005)  # EXIF, GPS, interoperability: a field that holds the place of a directory

_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
_WORDS = {3: 2, 8: 2, 4: 4, 9: 4, 5: 4, 10: 4, 11: 4, 12: 8, 13: 4}  # what changes places with the byte order
_LETTERS = {1: "B", 3: "H", 4: "I", 13: "I"}
_MAX_DEPTH = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One field. data: its values one after the other, least significant byte first whatever the file has."""

    kind: int
    count: int
    data: bytes

    @property
    def numbers(self) -> tuple[int, ...]:
        """The values of a field of unsigned integers; () of any other."""
        letter = _LETTERS.get(self.kind)
        return struct.unpack(f"<{self.count}{letter}", self.data) if letter else ()


@dataclass(slots=True, kw_only=True)
class Directory:
    """Fields by tag; directories that fields point to, by the field's tag; the place of the next one, 0 if none."""

    fields: dict[int, Field] = field(default_factory=dict)
    children: dict[int, Directory] = field(default_factory=dict)
    next: int = 0

    def numbers(self, tag: int, default: tuple[int, ...] = ()) -> tuple[int, ...]:
        """Give the unsigned integers of a field, or `default` where it is missing or of another type."""
        found = self.fields[tag].numbers if tag in self.fields else ()
        return found or default


def shorts(*values: int) -> Field:
    """Make a field of 16-bit numbers."""
    return Field(kind=3, count=len(values), data=struct.pack(f"<{len(values)}H", *values))


def longs(*values: int) -> Field:
    """Make a field of 32-bit numbers."""
    return Field(kind=4, count=len(values), data=struct.pack(f"<{len(values)}I", *values))


def raw(data: bytes) -> Field:
    """Make a field of bytes without a meaning of their own (type 7)."""
    return Field(kind=7, count=len(data), data=data)


def is_tiff(data: bytes) -> bool:
    """Whether bytes begin as a TIFF file or an EXIF block does."""
    return data[:4] in (b"II*\0", b"MM\0*")


def byte_order(data: bytes) -> str:
    """Give struct's letter for the byte order of a TIFF file or an EXIF block."""
    return "<" if data[:2] == b"II" else ">"


def first_place(data: bytes) -> int:
    """Give the place of the first directory.

    Raises:
        struct.error: the data end before it.
    """
    return int(struct.unpack_from(f"{byte_order(data)}I", data, 4)[0])


def read_directory(data: bytes, at: int | None = None, *, depth: int = 0) -> Directory:
    """Read the directory at `at` (None: the first). A field whose values lie outside of the data is left out.

    Raises:
        struct.error: the data end in the directory.
    """
    order = byte_order(data)
    at = first_place(data) if at is None else at
    (count,) = struct.unpack_from(f"{order}H", data, at)
    found = Directory()
    for entry in range(at + 2, at + 2 + 12 * count, 12):
        tag, kind, number = struct.unpack_from(f"{order}HHI", data, entry)
        size = _SIZES.get(kind, 0) * number
        where = entry + 8 if size <= 4 else struct.unpack_from(f"{order}I", data, entry + 8)[0]
        if not size or where + size > len(data):
            continue
        found.fields[tag] = Field(kind=kind, count=number, data=_little(data[where : where + size], kind, order))
        place = found.fields[tag].numbers
        if tag in CHILDREN and len(place) == 1 and depth < _MAX_DEPTH:
            try:
                found.children[tag] = read_directory(data, place[0], depth=depth + 1)
            except struct.error:
                del found.fields[tag]
    # A writer that stops short of the last four bytes has no further directory to tell of.
    tail = data[at + 2 + 12 * count : at + 6 + 12 * count]
    found.next = struct.unpack(f"{order}I", tail)[0] if len(tail) == 4 else 0
    return found


def pack_directory(directory: Directory, at: int) -> bytes:
    """Give the bytes of a directory, with all it holds, that stand at the even place `at` of a little-endian file."""
    tags = sorted(directory.fields.keys() | directory.children.keys())
    entries, values = bytearray(struct.pack("<H", len(tags))), bytearray()
    begin = at + 2 + 12 * len(tags) + 4
    for tag in tags:
        place = begin + len(values)
        if tag in directory.children:
            entries += struct.pack("<HHII", tag, 4, 1, place)
            values += pack_directory(directory.children[tag], place)
            continue
        held = directory.fields[tag]
        entries += struct.pack("<HHI", tag, held.kind, held.count)
        if len(held.data) <= 4:
            entries += held.data.ljust(4, b"\0")
        else:
            entries += struct.pack("<I", place)
            values += held.data + bytes(len(held.data) % 2)
    return bytes(entries + bytes(4) + values)


def _little(data: bytes, kind: int, order: str) -> bytes:
    """Turn the words of values round where the file has the most significant byte first."""
    word = _WORDS.get(kind, 1)
    if order == "<" or word == 1:
        return data
    turned = bytearray(len(data))
    for place in range(word):
        turned[place::word] = data[word - 1 - place :: word]
    return bytes(turned)
