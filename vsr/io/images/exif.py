"""EXIF blocks: which way up the picture is, and how a block lies in a TIFF file. EXIF 2.32 section 4.6.

A block is a small TIFF file without a picture: its first directory describes the picture, further ones in it the
camera and the place.
"""

from __future__ import annotations

import struct

from vsr.io.images.ifd import (
    CHILDREN,
    Directory,
    byte_order,
    first_place,
    is_tiff,
    pack_directory,
    read_directory,
    shorts,
)

ORIENTATION = 0x0112
_RESOLUTION = (0x011A, 0x011B, 0x0128)

# Of a first directory, what describes the picture to people; all else says how its samples lie in the file.
_DESCRIPTIVE = frozenset(
    {
        0x010D, 0x010E, 0x010F, 0x0110, 0x011D, 0x0131, 0x0132, 0x013B, 0x013C, 0x8298, 0x9C9B, 0x9C9C, 0x9C9D, 0x9C9E,
        0x9C9F, 0x4746, 0x4749, *_RESOLUTION,
    }
)  # fmt: skip


def orientation_of(exif: bytes) -> int:
    """Give how a picture is to be turned to be upright, 1 to 8; 1, upright, where the block does not say."""
    if not is_tiff(exif):
        return 1
    try:
        found = read_directory(exif).numbers(ORIENTATION, (1,))[0]
    except struct.error:
        return 1
    return found if 1 <= found <= 8 else 1


def upright(exif: bytes) -> bytes:
    """Give the block with its orientation, if it has one, set to 1, and no other byte changed; b"" if it is none."""
    if not is_tiff(exif):
        return b""
    order = byte_order(exif)
    try:
        at = first_place(exif)
        (count,) = struct.unpack_from(f"{order}H", exif, at)
        for entry in range(at + 2, at + 2 + 12 * count, 12):
            tag, kind, _ = struct.unpack_from(f"{order}HHI", exif, entry)
            if tag == ORIENTATION:
                one = struct.pack(f"{order}HH", 1, 0) if kind == 3 else struct.pack(f"{order}I", 1)
                return exif[: entry + 8] + one + exif[entry + 12 :]
    except struct.error:
        return b""
    return exif


def block_of(directory: Directory) -> bytes:
    """Give an EXIF block of what a TIFF file's directory says of the picture; b"" where that is nothing."""
    kept = _descriptive(directory)
    if not kept.children and not kept.fields.keys() - {*_RESOLUTION}:
        return b""  # the resolution alone: every TIFF file has one
    if ORIENTATION in directory.fields:
        kept.fields[ORIENTATION] = shorts(1)
    return b"II*\0" + struct.pack("<I", 8) + pack_directory(kept, 8)


def told(exif: bytes) -> bytes:
    """Give what a block tells in an order of its own: the same for two blocks that tell the same.

    A TIFF file takes a block apart, and thumbnails, resolution and orientation are not among what is told.
    """
    kept = directory_of(exif)
    for tag in _RESOLUTION:
        kept.fields.pop(tag, None)
    return pack_directory(kept, 8) if kept.fields or kept.children else b""


def directory_of(exif: bytes) -> Directory:
    """Give the fields of a block that can stand in a TIFF file's directory; none where the block is damaged."""
    try:
        return _descriptive(read_directory(exif)) if is_tiff(exif) else Directory()
    except struct.error:
        return Directory()


def _descriptive(directory: Directory) -> Directory:
    return Directory(
        fields={tag: held for tag, held in directory.fields.items() if tag in _DESCRIPTIVE},
        children={tag: child for tag, child in directory.children.items() if tag in CHILDREN},
    )
