"""How large a picture is to be printed: pixels a metre, as PNG, JPEG, TIFF and EXIF say it.

PNG: third edition, 11.3.4.3 (pHYs). JPEG: ITU-T T.871 clause 10.1 (JFIF). TIFF 6.0 section 8 (XResolution). A result
keeps the number, so that it is printed larger; ratios without a unit are not read.
"""

from __future__ import annotations

import struct

from vsr.io.images.ifd import Directory, Field, pack_directory, shorts

X_TAG, Y_TAG, UNIT_TAG = 282, 283, 296
_INCH, _CENTIMETRE = 2, 3
_METRES = {_INCH: 0.0254, _CENTIMETRE: 0.01}
_MOST = 0xFFFF  # a JPEG's


def of_png(content: bytes) -> tuple[int, ...]:
    """Read the content of a pHYs chunk."""
    if len(content) != 9 or content[8] != 1:
        return ()
    return _told(*struct.unpack_from(">II", content))


def of_jpeg(content: bytes) -> tuple[int, ...]:
    """Read the content of JFIF's own segment, whose units are 1 and 2 where TIFF's are 2 and 3."""
    unit, across, down = struct.unpack_from(">BHH", content, 7)
    metres = _METRES.get(unit + 1)
    return _told(round(across / metres), round(down / metres)) if metres else ()


def of_directory(found: Directory) -> tuple[int, ...]:
    """Read it from the directory of a TIFF file."""
    metres = _METRES.get(found.numbers(UNIT_TAG, (_INCH,))[0])
    sides = [found.fields[tag].data for tag in (X_TAG, Y_TAG) if tag in found.fields and found.fields[tag].kind == 5]
    if metres is None or len(sides) != 2:
        return ()
    (across, first), (down, second) = (struct.unpack_from("<II", data) for data in sides)
    return _told(round(across / first / metres), round(down / second / metres)) if first and second else ()


def into_png(density: tuple[int, ...]) -> bytes:
    """Give the content of a pHYs chunk."""
    return struct.pack(">IIB", *density, 1)


def into_jpeg(data: bytes, density: tuple[int, ...]) -> bytes:
    """Give a JPEG whose JFIF segment, which is its first, tells the density in whole dots an inch."""
    across, down = (max(1, min(_MOST, round(side * _METRES[_INCH]))) for side in density)
    if data[6:11] != b"JFIF\0":
        return data
    return data[:13] + struct.pack(">BHH", 1, across, down) + data[18:]


def fields(density: tuple[int, ...]) -> dict[int, Field]:
    """Give the fields of a directory that tell it, in hundredths of dots an inch."""
    across, down = (Field(kind=5, count=1, data=struct.pack("<II", round(side * 2.54), 100)) for side in density)
    return {X_TAG: across, Y_TAG: down, UNIT_TAG: shorts(_INCH)}


def block(density: tuple[int, ...]) -> bytes:
    """Give an EXIF block that tells nothing else, for files that have no other place for it."""
    return b"II*\0" + struct.pack("<I", 8) + pack_directory(Directory(fields=fields(density)), 8)


def _told(across: int, down: int) -> tuple[int, ...]:
    return (across, down) if 0 < across < 1 << 24 and 0 < down < 1 << 24 else ()
