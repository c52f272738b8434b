"""How much a file may ask for before it is refused: pixels, streams, packets, the tables of an MP4.

A few bytes can claim a picture of gigabytes or a table of a thousand million entries, and memory would be gone before
anything of it turns out to be false. Claims are held against these limits first; `docs/security.md` lists them.
"""

from __future__ import annotations

import io
import os
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from vsr.core.errors import InputLimits

_FFMPEG_PIXELS = (1 << 31) - 1  # the most that its option takes
MAX_PIXELS = 1 << 28  # FFmpeg's own limit too: more than 2^31 bytes at 8 a pixel it never allocates
MAX_STREAMS = 1000
MAX_PACKETS = 20_000_000  # of the video: four days at 60 frames a second; up to 6 GB while they are scanned
MAX_IMAGE_BYTES = 64 << 20  # of an image file, beside 8 bytes a pixel: profiles and thumbnails
MAX_ENTRIES = 50_000_000  # of all sample tables of an MP4: FFmpeg keeps 35 bytes an entry
_FEW_ENTRIES = 1_000_000
_MAX_BOXES = 10_000_000
_MAX_DEPTH = 10  # FFmpeg's too
_MAX_HEADER = 64 << 20  # of a compressed MP4 header, when it is unpacked

_PARENTS = {b"moov", b"trak", b"mdia", b"minf", b"stbl", b"moof", b"traf"}


def ffmpeg_limit(max_pixels: int) -> str:
    """Give FFmpeg's `max_pixels` for a limit of ours: of a number beyond its own it makes an error of the file's."""
    return str(min(max_pixels, _FFMPEG_PIXELS))


def check_pixels(path: Path, width: int, height: int, max_pixels: int) -> None:
    """Refuse a picture that is larger than allowed.

    Raises:
        InputLimits: it is.
    """
    if width * height > max_pixels:
        raise InputLimits(
            f"{path}: {width}x{height} is more than the limit of {max_pixels} pixels",
            hint=f"If that is its true size, raise the limit: --max-pixels {width * height}.",
        )


def check_image_file(path: Path, max_pixels: int) -> None:
    """Refuse an image file too long to be read into memory: more than 8 bytes for every pixel allowed.

    Raises:
        InputLimits: it is. A file that is not there passes: who opens it says so.
    """
    size = path.stat().st_size if path.exists() else 0
    most = 8 * max_pixels + MAX_IMAGE_BYTES
    if size > most:
        raise InputLimits(
            f"{path}: an image of {size} bytes is more than {max_pixels} pixels need ({most} bytes)",
            hint="Is it an image? Raise the limit with --max-pixels.",
        )


def check_streams(path: Path, count: int) -> None:
    """Refuse a file of more streams than anybody has.

    Raises:
        InputLimits: it has.
    """
    if count > MAX_STREAMS:
        raise InputLimits(f"{path} holds more than {MAX_STREAMS} streams", hint="The file is damaged, or made to harm.")


def check_packets(path: Path, count: int) -> None:
    """Refuse a video whose packets' times would fill the memory.

    Raises:
        InputLimits: more than MAX_PACKETS.
    """
    if count > MAX_PACKETS:
        raise InputLimits(f"{path} holds more than {MAX_PACKETS} video packets", hint="Cut it into parts first.")


def check_tables(path: Path) -> None:
    """Refuse an MP4 or MOV whose tables claim more samples than its bytes could hold; other files pass.

    A table of equal samples is a single number, for which FFmpeg fills gigabytes when it opens the file.

    Raises:
        InputLimits: more than two samples a byte of the file (a recording that broke off has lost some bytes), more
            than MAX_ENTRIES in all but PCM sound, more than MAX_STREAMS tracks, or a compressed header that unpacks
            to more than 64 MiB.
    """
    size = path.stat().st_size
    tables = _Tables(path=path)
    with path.open("rb") as content:
        _walk(content, 0, size, tables, 0)
    most = max(_FEW_ENTRIES, 2 * size)
    if tables.entries + tables.pcm_entries > most or tables.entries > MAX_ENTRIES:
        raise InputLimits(
            f"{path}: its tables claim {tables.entries + tables.pcm_entries} samples in {size} bytes, more than the "
            f"limit of {min(most, MAX_ENTRIES)}",
            hint="The file is damaged, or made to harm.",
        )


@dataclass(slots=True, kw_only=True)
class _Tables:
    """What has been found in the boxes so far."""

    path: Path
    entries: int = 0
    pcm_entries: int = 0  # of sound that FFmpeg keeps by the chunk, not by the sample
    tracks: int = 0
    boxes: int = 0
    unpacked: int = 0  # bytes of compressed headers
    track: dict[bytes, bytes] = field(default_factory=dict)  # the tables of the track in hand: their first 16 bytes


def _walk(content: BinaryIO, start: int, stop: int, tables: _Tables, depth: int) -> None:
    """Add up what the boxes between two places claim (ISO/IEC 14496-12 sec. 8.6.1.2, 8.7.3 and 8.8.8)."""
    for kind, begin, end in _boxes(content, start, stop, tables):
        if kind in _PARENTS and depth < _MAX_DEPTH:
            _walk(content, begin, end, tables, depth + 1)
        elif kind in (b"hdlr", b"stts", b"stsz", b"stz2"):
            tables.track[kind] = _bytes(content, begin, 16).ljust(16, b"\0")
        elif kind == b"trun":
            tables.entries += int.from_bytes(_bytes(content, begin + 4, 4), "big")
        elif kind == b"cmov" and depth < _MAX_DEPTH:
            header = _unpacked(content, begin, end, tables)
            _walk(io.BytesIO(header), 0, len(header), tables, depth + 1)
        if kind == b"trak":
            _count(tables)


def _count(tables: _Tables) -> None:
    """Add the samples of the track that ends here."""
    found, empty = tables.track, bytes(16)
    samples = max(int.from_bytes(found.get(kind, empty)[8:12], "big") for kind in (b"stsz", b"stz2"))
    # One run of samples of one tick each: what FFmpeg takes as a sign of PCM.
    runs, _, ticks = struct.unpack(">III", found.get(b"stts", empty)[4:16])
    if found.get(b"hdlr", empty)[8:12] == b"soun" and (runs, ticks) == (1, 1):
        tables.pcm_entries += samples
    else:
        tables.entries += samples
    tables.track = {}
    tables.tracks += 1
    check_streams(tables.path, tables.tracks)


def _boxes(content: BinaryIO, start: int, stop: int, tables: _Tables) -> Iterator[tuple[bytes, int, int]]:
    """Yield kind, begin and end of the payload of each box; ends where the bytes make no sense as boxes."""
    at = start
    while at + 8 <= stop:
        size, kind = struct.unpack(">I4s", _bytes(content, at, 8).ljust(8, b"\0"))
        begin = at + 8
        if size == 1:
            size, begin = int.from_bytes(_bytes(content, begin, 8), "big"), begin + 8
        end = stop if size == 0 else at + size
        if end < begin:
            return
        tables.boxes += 1
        if tables.boxes > _MAX_BOXES:
            raise InputLimits(f"{tables.path} holds more than {_MAX_BOXES} boxes", hint="The file is made to harm.")
        yield kind, begin, min(end, stop)
        at = end


def _unpacked(content: BinaryIO, begin: int, end: int, tables: _Tables) -> bytes:
    """Unpack a compressed header (QuickTime's `cmov`): in `cmvd`, four bytes of length, then zlib."""
    for kind, start, stop in _boxes(content, begin, end, tables):
        if kind == b"cmvd":
            packed = _bytes(content, start + 4, min(stop - start - 4, _MAX_HEADER))
            try:
                header = zlib.decompressobj().decompress(packed, _MAX_HEADER + 1)
            except zlib.error:
                return b""  # FFmpeg cannot unpack it either
            tables.unpacked += max(len(header), int.from_bytes(_bytes(content, start, 4), "big"))
            if tables.unpacked > _MAX_HEADER:
                raise InputLimits(
                    f"{tables.path}: its compressed header unpacks to more than {_MAX_HEADER} bytes",
                    hint="The file is damaged, or made to harm.",
                )
            return header
    return b""


def _bytes(content: BinaryIO, at: int, count: int) -> bytes:
    content.seek(at, os.SEEK_SET)
    return content.read(max(0, count))
