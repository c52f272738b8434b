"""Sources of the matrix: clips of a few small frames, by PyAV, and by the ffmpeg program what PyAV cannot write.

Each function gives a `Maker`: called with an empty folder it writes the source there and gives its path.
"""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
from collections.abc import Callable
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

from tests.media import make_clip

Maker = Callable[[Path], Path]

WIDTH, HEIGHT, FRAMES = 48, 32, 8
PQ = "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,1)"
PQ_AV1 = "G(0.265,0.69)B(0.15,0.06)R(0.68,0.32)WP(0.3127,0.329)L(1000,0.0001)"


class NoProgram(Exception):
    """The ffmpeg program is not there: the case cannot be made here."""


@cache
def program() -> str:
    """Find the ffmpeg program as a user would: named, on the path, or in the package imageio-ffmpeg."""
    found = os.environ.get("VSR_FFMPEG") or shutil.which("ffmpeg")
    if found:
        return found
    try:
        import imageio_ffmpeg
    except ImportError:
        raise NoProgram from None
    return str(imageio_ffmpeg.get_ffmpeg_exe())


def clip(suffix: str, **how: Any) -> Maker:
    """A clip by PyAV; `how` as in `tests.media.make_clip`."""
    given: dict[str, Any] = {"width": WIDTH, "height": HEIGHT, "frames": FRAMES, **how}

    def make(folder: Path) -> Path:
        return make_clip(folder / f"in.{suffix}", **given)

    return make


def mixed(suffix: str, base: Maker, words: str, *, first: str = "") -> Maker:
    """A clip by the ffmpeg program out of another. first: options of that one; `@` stands for the folder."""

    def make(folder: Path) -> Path:
        inside = folder / "base"
        inside.mkdir()
        source, target = base(inside), folder / f"in.{suffix}"
        parts = [
            part.replace("@", str(folder)) for part in [*first.split(), "-i", str(source), *words.split(), str(target)]
        ]
        done = subprocess.run(
            [program(), "-nostdin", "-v", "error", "-y", *parts], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{parts}: {done.stderr}"
        shutil.rmtree(inside)
        return target

    return make


def beside(make: Maker, **files: bytes) -> Maker:
    """Write files into the folder first, for the words of `mixed`; `name_ext` becomes `name.ext`."""

    def both(folder: Path) -> Path:
        for name, data in files.items():
            (folder / name.replace("_", ".")).write_bytes(data)
        made = make(folder)
        for name in files:
            (folder / name.replace("_", ".")).unlink()
        return made

    return both


def recoded(suffix: str, words: str, *, first: str = "", **how: Any) -> Maker:
    """A clip whose video the ffmpeg program encodes from a lossless one."""
    return mixed(suffix, clip("mkv", codec="ffv1", **how), words, first=first)


def captioned(suffix: str) -> Maker:
    """H.264 with closed captions: an SEI message with CEA-608 pairs before each picture (ATSC A/53 part 4)."""

    def raw(folder: Path) -> Path:
        path = make_clip(folder / "raw.h264", width=WIDTH, height=HEIGHT, frames=FRAMES, b_frames=0, format="h264")
        number, out = 0, b""
        for unit in path.read_bytes().split(b"\0\0\1"):
            body = unit.rstrip(b"\0")
            if not body:
                continue
            if body[0] & 31 in (1, 5):
                out += b"\0\0\0\1" + _captions(number)
                number += 1
            out += b"\0\0\0\1" + body
        path.write_bytes(out)
        return path

    return mixed(suffix, raw, "-c copy", first="-framerate 25")


def _captions(number: int) -> bytes:
    pair = bytes([0xFC, 0x80 | (65 + number % 20), 0x80 | (97 + number % 20)])
    data = b"\xb5\x00\x31GA94\x03" + bytes([0x40 | 1, 0xFF]) + pair + b"\xff"
    return bytes([6, 4, len(data)]) + data + b"\x80"


def srt(*, count: int = 2) -> bytes:
    """Give a SubRip file of short lines, a tenth of a second apart."""
    rows = [
        f"{k + 1}\n00:00:00,{k * 120:03d} --> 00:00:00,{k * 120 + 80:03d}\nline {k} <i>slanted</i>\n"
        for k in range(count)
    ]
    return "\n".join(rows).encode()


def ass() -> bytes:
    """Give an ASS file of two lines in a style of its own."""
    head = (
        "[Script Info]\nScriptType: v4.00+\n\n[V4+ Styles]\n"
        "Format: Name, Fontname, Fontsize, PrimaryColour, Bold, Alignment, MarginL, MarginR, MarginV\n"
        "Style: Loud,Arial,20,&H00FFFFFF,1,2,10,10,10\n\n"
        "[Events]\nFormat: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text\n"
    )
    rows = [f"Dialogue: 0,0:00:00.{a:02d},0:00:00.{a + 8:02d},Loud,,0,0,0,,shout {a}\n" for a in (4, 16)]
    return (head + "".join(rows)).encode()


def pgs() -> bytes:
    """Give a PGS stream (.sup): a white block of 4x4 shown from 0.04 s on, gone at 0.24 s."""

    def segment(at_s: float, kind: int, body: bytes) -> bytes:
        time = round(at_s * 90000)
        return b"PG" + struct.pack(">IIBH", time, time, kind, len(body)) + body

    def composed(number: int, state: int, shown: bytes) -> bytes:
        return struct.pack(">HHBHBBBB", WIDTH, HEIGHT, 0x10, number, state, 0, 0, len(shown) // 8) + shown

    window = struct.pack(">BBHHHH", 1, 0, 0, 0, 4, 4)
    palette = bytes([0, 0, 1, 235, 128, 128, 255])
    lines = (b"\x01" * 4 + b"\x00\x00") * 4
    picture = struct.pack(">HBB", 0, 0, 0xC0) + (len(lines) + 4).to_bytes(3, "big") + struct.pack(">HH", 4, 4) + lines
    show = segment(0.04, 0x16, composed(0, 0x80, struct.pack(">HBBHH", 0, 0, 0, 0, 0)))
    show += segment(0.04, 0x17, window) + segment(0.04, 0x14, palette) + segment(0.04, 0x15, picture)
    show += segment(0.04, 0x80, b"")
    return show + segment(0.24, 0x16, composed(1, 0, b"")) + segment(0.24, 0x17, window) + segment(0.24, 0x80, b"")


def chapters() -> bytes:
    """Give two chapters as FFmpeg's metadata file."""
    both = [
        f"[CHAPTER]\nTIMEBASE=1/1000\nSTART={a}\nEND={b}\ntitle={name}\n"
        for a, b, name in ((0, 120, "One"), (120, 320, "Zwei ü"))
    ]
    return (";FFMETADATA1\ntitle=A film\nartist=Somebody\n" + "".join(both)).encode()


def third(step: int, *, frames: int = FRAMES, hold: int = 0, at: int = 4, start: int = 0) -> list[int]:
    """Give rising times: `step` apart, with a hold of `hold` more before frame `at`."""
    return [start + k * step + (hold if k >= at else 0) for k in range(frames)]


RATES = {"film": Fraction(24000, 1001), "ntsc": Fraction(30000, 1001)}
