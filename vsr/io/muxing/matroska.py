"""What FFmpeg's Matroska muxer cannot be told through PyAV, written into a finished file: how large video is shown.

The muxer takes the display size from the stream's sample aspect ratio, which PyAV does not set; of H.264 and H.265
readers learn the ratio from the stream itself, of all other codecs from nowhere. The header before the first cluster
is written anew within its own length, out of the padding that `mux` asks the muxer for: no cluster moves, so the cues
stay right. EBML is RFC 8794, Matroska RFC 9559.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import gcd
from pathlib import Path
from typing import BinaryIO

from vsr.core.errors import MuxError
from vsr.core.media import HdrMetadata
from vsr.io.atomic import translate

PADDING_BYTES = 256
"""Of the header of a file that is to be changed here: `metadata_header_padding` of the muxer."""

# RFC 9559 sec. 5.1; of EBML itself RFC 8794 sec. 11.3. The marker bits of the length belong to the identifier.
_SEGMENT, _CLUSTER, _TRACKS = 0x18538067, 0x1F43B675, 0x1654AE6B
_SEEK_HEAD, _SEEK, _SEEK_POSITION = 0x114D9B74, 0x4DBB, 0x53AC
_TRACK_ENTRY, _TRACK_TYPE, _VIDEO = 0xAE, 0x83, 0xE0
_DISPLAY_WIDTH, _DISPLAY_HEIGHT, _DISPLAY_UNIT = 0x54B0, 0x54BA, 0x54B2
_CROP = (0x54CC, 0x54DD, 0x54BB, 0x54AA)  # PixelCropLeft, Right, Top, Bottom
_COLOUR, _MAX_CLL, _MAX_FALL, _MASTERING = 0x55B0, 0x55BC, 0x55BD, 0x55D0
_PRIMARIES, _LUMINANCE_MAX, _LUMINANCE_MIN = 0x55D1, 0x55D9, 0x55DA  # eight in a row: x, y of R, G, B and white
_CRC, _VOID = 0xBF, 0xEC
_PIXELS, _ASPECT_RATIO = 0, 3  # values of DisplayUnit
_TRACK_IS_VIDEO = b"\x01"
_LARGEST_DISPLAY = 16384  # pixels a side; browsers refuse pictures that are said to be shown larger

Child = tuple[int, bytes]  # identifier and body
Changes = Mapping[int, "bytes | Changes"]
"""New bodies of children by their identifiers, or what changes in them; a child that is not there is added."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Head:
    """The children of the segment before its first cluster: where they begin in the file, and each of them whole."""

    start: int
    elements: tuple[tuple[int, bytes], ...]  # identifier and all bytes, with identifier and length

    @property
    def size(self) -> int:
        return sum(len(data) for _, data in self.elements)


def set_display(path: Path, *, nth: int, width: int, height: int, sar: Fraction, is_webm: bool) -> None:
    """Write into the `nth` video track of a finished file that its width x height pixels have the shape `sar`.

    width, height: of what is shown, without what the container crops (RFC 9559 sec. 5.1.4.1.28.12).

    Nothing but its header is touched, which stays as long as it is. The caller brings the file to the disk.

    Raises:
        MuxError: it has no such track, its header has no room, or it is no Matroska file.
        DiskFull, OutputError: it cannot be written.
    """
    shown_width, shown_height, unit = display_size(width, height, sar, is_webm=is_webm)
    video = {_DISPLAY_WIDTH: _number(shown_width), _DISPLAY_HEIGHT: _number(shown_height), _DISPLAY_UNIT: _number(unit)}
    try:
        with path.open("r+b") as file:
            change_video(file, video, name=str(path), nth=nth)
    except OSError as error:
        raise translate(error, path) from error


def hdr_elements(hdr: HdrMetadata) -> Changes:
    """Give what the video element of a track says of HDR10 metadata (RFC 9559 sec. 5.1.4.1.28.27 to 41)."""
    mastering: dict[int, bytes] = {}
    if hdr.primaries:
        mastering |= {_PRIMARIES + place: _float(value) for place, value in enumerate(hdr.primaries)}
    if hdr.luminance:
        mastering |= {_LUMINANCE_MAX: _float(hdr.luminance[1]), _LUMINANCE_MIN: _float(hdr.luminance[0])}
    levels = {_MAX_CLL: hdr.max_cll, _MAX_FALL: hdr.max_fall}
    colour: dict[int, bytes | Changes] = {name: _number(value) for name, value in levels.items() if value is not None}
    if mastering:
        colour[_MASTERING] = mastering
    return {_COLOUR: colour}


def crop_elements(crop: Sequence[int]) -> Changes:
    """Give what the video element says of samples that are not shown: at left, right, top and bottom."""
    return {name: _number(count) for name, count in zip(_CROP, crop, strict=True)} if crop else {}


def change_video(file: BinaryIO, changes: Changes, *, name: str, nth: int = 0) -> None:
    """Change children of the video element of the `nth` video track, in the header of an open Matroska file.

    Raises:
        MuxError: it has no such track, its header has no room, or it is no Matroska file. `name` is its name.
        OSError: it cannot be read or written.
    """
    try:
        head = _head(file)
        made = _rewritten(head, nth, changes)
    except (IndexError, ValueError) as error:
        raise MuxError(f"the header of {name} cannot be changed: {error}") from error
    file.seek(head.start)
    file.write(made)


def display_size(width: int, height: int, sar: Fraction, *, is_webm: bool) -> tuple[int, int, int]:
    """Give DisplayWidth, DisplayHeight and DisplayUnit that stand for `sar` exactly.

    Matroska says it as a ratio. Browsers take the numbers of WebM for pixels: there they are as near to the picture's
    own as a whole multiple of the ratio can be, as long as that is no absurd size.
    """
    wide, high = width * sar.numerator, height * sar.denominator
    common = gcd(wide, high)
    wide, high = wide // common, high // common
    if not is_webm:
        return wide, high, _ASPECT_RATIO
    times = max(1, round(Fraction(height, high)))
    if max(wide, high) * times > _LARGEST_DISPLAY:
        return wide, high, _ASPECT_RATIO
    return wide * times, high * times, _PIXELS


def children(data: bytes) -> Iterator[Child]:
    """Yield identifier and body of each element in the body of a master element.

    Raises:
        IndexError, ValueError: it is cut off.
    """
    at = 0
    while at < len(data):
        identifier, body, size = _header(data[at : at + 12])
        if at + size > len(data):
            raise ValueError(f"element {identifier:#x} is cut off")
        yield identifier, data[at + body : at + size]
        at += size


def element(identifier: int, body: bytes, *, length: int | None = None) -> bytes:
    """Give an element whole. length: of its length field, in bytes; None for the shortest."""
    size = len(body)
    room = length or next(room for room in range(1, 9) if size < (1 << 7 * room) - 1)
    name = identifier.to_bytes((identifier.bit_length() + 7) // 8, "big")
    return name + (size | 1 << 7 * room).to_bytes(room, "big") + body


def _head(file: BinaryIO) -> _Head:
    """Read what stands before the first cluster."""
    elements: list[tuple[int, bytes]] = []
    start, at = 0, 0
    while True:
        file.seek(at)
        identifier, body, size = _header(file.read(12))
        if identifier == _CLUSTER:
            return _Head(start=start, elements=tuple(elements))
        if identifier == _SEGMENT:
            start = at = at + body
            continue
        if start:
            file.seek(at)
            elements.append((identifier, file.read(size)))
        at += size


def _rewritten(head: _Head, nth: int, changes: Changes) -> bytes:
    """Give the head anew, with the same number of bytes."""
    room = (head.size.bit_length() + 7) // 8  # of a position in it
    kept: dict[int, tuple[int, bytes]] = {}  # by where they were
    at = 0
    for identifier, data in head.elements:
        made = data
        if identifier == _TRACKS:
            made = _master(identifier, _tracks(_body(data), nth, changes))
        elif identifier == _SEEK_HEAD:  # as long as it will be; its positions follow when all lengths are known
            made = _master(identifier, _seek_head(_body(data), room, {}, head.size))
        if identifier != _VOID:
            kept[at] = identifier, made
        at += len(data)
    left = head.size - sum(len(data) for _, data in kept.values())
    if left < 0 or left == 1:
        raise ValueError(f"{left} bytes are left in it")
    places: dict[int, int] = {}
    at = 0
    for before, (_, data) in kept.items():
        places[before] = at
        at += len(data)
    parts = [
        _master(identifier, _seek_head(_body(data), room, places, head.size)) if identifier == _SEEK_HEAD else data
        for identifier, data in kept.values()
    ]
    return b"".join(parts) + _void(left)


def _tracks(body: bytes, nth: int, changes: Changes) -> list[Child]:
    """Give the children of Tracks, with the video element of the `nth` video track changed."""
    made: list[Child] = []
    seen = 0
    for identifier, data in children(body):
        is_video = identifier == _TRACK_ENTRY and (_TRACK_TYPE, _TRACK_IS_VIDEO) in children(data)
        made.append((identifier, _changed(data, {_VIDEO: changes}) if is_video and seen == nth else data))
        seen += is_video
    if seen <= nth:
        raise ValueError(f"it has {seen} video tracks")
    return made


def _changed(body: bytes, changes: Changes) -> bytes:
    """Give the body of a master element with the changes in it, each at its old place; new children come last."""
    made = list(children(body))
    for name, change in changes.items():
        place = next((at for at, (other, _) in enumerate(made) if other == name), len(made))
        before = made[place][1] if place < len(made) else b""
        made[place : place + 1] = [(name, change if isinstance(change, bytes) else _changed(before, change))]
    return b"".join(element(name, data) for name, data in made)


def _seek_head(body: bytes, room: int, places: Mapping[int, int], size: int) -> list[Child]:
    """Give the children of SeekHead; a position below `size`, which takes `room` bytes at least, moves as `places`."""

    def moved(name: int, data: bytes) -> bytes:
        position = int.from_bytes(data, "big")
        if name != _SEEK_POSITION or position >= size:
            return data
        return places.get(position, position).to_bytes(max(room, len(data)), "big")

    def entry(data: bytes) -> bytes:
        return b"".join(element(name, moved(name, inner)) for name, inner in children(data))

    return [(name, entry(data) if name == _SEEK else data) for name, data in children(body)]


def _master(identifier: int, inside: Sequence[Child]) -> bytes:
    """Give a master element; where its first child is a checksum, with that of the new content (RFC 8794 11.3.1)."""
    has_crc = bool(inside) and inside[0][0] == _CRC
    body = b"".join(element(name, data) for name, data in (inside[1:] if has_crc else inside))
    if has_crc:
        body = element(_CRC, zlib.crc32(body).to_bytes(4, "little")) + body
    return element(identifier, body)


def _void(size: int) -> bytes:
    """Give an element of `size` bytes that says nothing; 0 or at least 2."""
    if size == 0:
        return b""
    length = 1 if size < 100 else 8
    return element(_VOID, bytes(size - 1 - length), length=length)


def _header(data: bytes) -> tuple[int, int, int]:
    """Give identifier, length of the header, and length of the whole element (RFC 8794 sec. 4 to 6)."""
    name = 9 - data[0].bit_length()
    room = 9 - data[name].bit_length()
    if name > 4 or room > 8 or len(data) < name + room:
        raise ValueError("no element begins where one should")
    size = int.from_bytes(data[name : name + room], "big") & ((1 << 7 * room) - 1)
    return int.from_bytes(data[:name], "big"), name + room, name + room + size


def _body(data: bytes) -> bytes:
    return data[_header(data[:12])[1] :]


def _number(value: int) -> bytes:
    """Give an unsigned integer in as few bytes as hold it, at least one."""
    return value.to_bytes(max(1, (value.bit_length() + 7) // 8), "big")


def _float(value: Fraction) -> bytes:
    return struct.pack(">d", value)
