"""Small whole files of every container, and damaged copies of them: the same seed gives the same bytes."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

from tests.media import make_clip, make_images

Edit = Callable[[bytearray, random.Random], str]

_BOXES = b"moov trak stts stsz stsc stco ctts elst mdat avcC stsd moof trun IHDR IDAT LIST idx1 strf".split()
_ELEMENTS = [bytes.fromhex(text) for text in ("a3", "1f43b675", "1549a966")]  # SimpleBlock, Cluster, Info
_NAMES = [*_BOXES, *_ELEMENTS]

SIZE = {"width": 48, "height": 32, "frames": 4, "container_options": {"fflags": "bitexact"}}  # no random ids
H264 = {**SIZE, "options": {"x264-params": "asm=0"}}  # with AVX-512 x264 does not give the same bytes twice


def whole(folder: Path) -> list[Path]:
    """Write one small file of every kind; give their paths in an order that never changes."""
    rich = {
        "audio": 1,
        "chapters": ((0.0, 0.08, "a"), (0.08, 0.16, "b")),
        "metadata": {"title": "t"},
        "language": "eng",
    }
    pieces = {"movflags": "frag_keyframe+empty_moov", "fflags": "bitexact"}
    made = [
        make_clip(folder / "plain.mp4", **H264, **rich),
        make_clip(folder / "cover.mp4", **H264, cover="last", subtitles=("mov_text",)),
        make_clip(folder / "pieces.mp4", **{**H264, "container_options": pieces}, audio=1),
        make_clip(folder / "turned.mov", **H264, rotation=90, sar=Fraction(32, 27), audio=1),
        make_clip(folder / "rich.mkv", **H264, **rich, subtitles=("srt", "ass"), attachment=b"font" * 40),
        make_clip(folder / "lossless.mkv", **SIZE, codec="ffv1", pix_fmt="yuv422p10le"),
        make_clip(folder / "vp9.webm", **SIZE, codec="libvpx-vp9", audio=1),
        make_clip(folder / "old.avi", **SIZE, codec="mpeg4", b_frames=0, audio=1),
        make_clip(folder / "jpegs.avi", **SIZE, codec="mjpeg", pix_fmt="yuvj420p", b_frames=0),
        make_clip(folder / "air.ts", **H264, audio=1),
        make_clip(folder / "air2.ts", **SIZE, codec="mpeg2video"),
        make_clip(folder / "disc.mpg", **SIZE, codec="mpeg2video", audio=1),
        make_clip(folder / "web.flv", **SIZE, b_frames=0, codec="flv"),
        make_clip(folder / "loop.gif", **SIZE, codec="gif", pix_fmt="rgb8", b_frames=0),
        make_clip(folder / "hevc.mp4", width=64, height=64, frames=3, codec="libx265"),
    ]
    for suffix in ("png", "jpg", "tiff", "webp", "bmp"):
        made += make_images(folder, f"%d.{suffix}", count=1, start=1, width=32, height=24)
    made += make_images(folder, "deep%d.png", count=1, kind="gbrp16le", width=32, height=24)
    return made


def mutant(files: list[Path], seed: int) -> tuple[str, bytes, str]:
    """Give a damaged file: its name, its bytes, and what was done to it."""
    draw = random.Random(seed)
    source = files[seed % len(files)]
    data = bytearray(source.read_bytes())
    done = []
    for _ in range(draw.choice((1, 1, 1, 2, 3))):
        edit = draw.choice(EDITS)
        if len(data) > 16:
            done.append(edit(data, draw))
    return source.name, bytes(data), "; ".join(done)


def _flip(data: bytearray, draw: random.Random) -> str:
    """Flip bits anywhere."""
    places = [draw.randrange(len(data)) for _ in range(draw.choice((1, 2, 8, 40)))]
    for place in places:
        data[place] ^= 1 << draw.randrange(8)
    return f"{len(places)} bits flipped"


def _flip_head(data: bytearray, draw: random.Random) -> str:
    """Flip bits where headers are."""
    places = [draw.randrange(min(len(data), 600)) for _ in range(draw.choice((1, 2, 5)))]
    for place in places:
        data[place] ^= 1 << draw.randrange(8)
    return f"bits of the head flipped at {places}"


def _flip_tail(data: bytearray, draw: random.Random) -> str:
    """Flip bits where indexes are."""
    places = [len(data) - 1 - draw.randrange(min(len(data), 900)) for _ in range(draw.choice((1, 3, 6)))]
    for place in places:
        data[place] ^= 1 << draw.randrange(8)
    return f"bits of the tail flipped at {places}"


def _cut(data: bytearray, draw: random.Random) -> str:
    keep = draw.randrange(1, len(data))
    del data[keep:]
    return f"cut after {keep} bytes"


def _length(data: bytearray, draw: random.Random) -> str:
    """Put a number that lies into a length: before a box's name in mp4, after an element's id in Matroska, anywhere."""
    there = [name for name in _NAMES if name in data]
    name = draw.choice(there) if there and draw.random() < 0.8 else b""
    place = data.index(name) if name else draw.randrange(len(data) - 8)
    is_box = name[:1].isalpha() and name not in (b"LIST", b"idx1", b"strf", b"VP8 ")
    place = max(0, place - 4) if is_box and draw.random() < 0.5 else place + len(name) + draw.choice((0, 0, 4, 8))
    number = draw.choice(
        (0, 1, 0x7FFFFFFF, 0xFFFFFFFF, 0x10000000, len(data) * 2, draw.getrandbits(32), draw.getrandbits(12))
    )
    data[place : place + 4] = struct.pack(draw.choice("<>") + "I", number)
    return f"the length {number:#x} at {place} ({name!r})"


def _twice(data: bytearray, draw: random.Random) -> str:
    begin = draw.randrange(len(data))
    part = data[begin : begin + draw.randrange(1, 2000)]
    at = draw.choice((begin, draw.randrange(len(data))))
    data[at:at] = part * draw.choice((1, 1, 4))
    return f"{len(part)} bytes from {begin} doubled at {at}"


def _gone(data: bytearray, draw: random.Random) -> str:
    begin, size = draw.randrange(len(data)), draw.choice((1, 4, 100, 1500))
    del data[begin : begin + size]
    return f"{size} bytes gone at {begin}"


def _fill(data: bytearray, draw: random.Random) -> str:
    begin, size = draw.randrange(len(data)), draw.choice((4, 16, 188, 1000))
    end = min(len(data), begin + size)
    kind = draw.choice(("zeros", "ones", "noise"))
    data[begin:end] = {
        "zeros": bytes(end - begin), "ones": b"\xff" * (end - begin), "noise": draw.randbytes(end - begin)
    }[kind]  # fmt: skip
    return f"{kind} from {begin} to {end}"


def _swap(data: bytearray, draw: random.Random) -> str:
    size = draw.choice((4, 32, 300))
    a, b = sorted(draw.randrange(len(data)) for _ in range(2))
    first, second = bytes(data[a : a + size]), bytes(data[b : b + size])
    data[b : b + size] = first
    data[a : a + size] = second
    return f"{size} bytes at {a} and {b} exchanged"


EDITS: tuple[Edit, ...] = (
    *(_flip, _flip, _flip_head, _flip_head, _flip_tail),
    *(_length, _length, _length),
    *(_cut, _twice, _gone, _fill, _swap),
)
