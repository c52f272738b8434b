"""Independent check of a result against its source, with PyAV alone: frames, times, packets. Imports nothing of vsr.

    python -m tests.fidelity FOLDER [--model nearest] [--keep DIR]

sends every media file of FOLDER through `vsr upscale` and prints a line each: what was compared and whether it held, or
the error with its exit code. Exit 0 when every file that vsr accepted held.
"""

from __future__ import annotations

import argparse
import hashlib
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av


@dataclass
class Stream:
    kind: str
    codec: str
    language: str | None
    tick: Fraction
    packets: list[tuple[Fraction | None, str]] = field(default_factory=list)  # (time, sha1)


@dataclass
class Contents:
    times: list[Fraction]  # of decoded video frames, in order of presentation
    tick: Fraction
    size: tuple[int, int]
    streams: list[Stream]  # all but video
    chapters: list[tuple[Fraction, Fraction, str]]
    error: str = ""


def contents(path: Path) -> Contents:
    """Decode the video and hash every other packet of a file."""
    with av.open(str(path)) as container:
        videos = [s for s in container.streams.video if not s.disposition & av.stream.Disposition.attached_pic]
        video = next((s for s in videos if s.disposition & av.stream.Disposition.default), videos[0])
        others = {
            s.index: Stream(s.type, s.codec_context.name if s.codec_context else "", s.language, s.time_base)
            for s in container.streams
            if s.type in ("audio", "subtitle")
        }
        times: list[Fraction] = []
        size, error = (0, 0), ""
        wanted = [s for s in container.streams if s.index in others or s is video]
        for packet in container.demux(wanted):
            if packet.stream is not video:
                if packet.size:
                    at = packet.pts * packet.time_base if packet.pts is not None else None
                    others[packet.stream.index].packets.append((at, hashlib.sha1(bytes(packet)).hexdigest()))
                continue
            try:
                for frame in packet.decode():
                    times.append(frame.pts * frame.time_base if frame.pts is not None else None)
                    size = (frame.width, frame.height)
            except av.FFmpegError as problem:
                error = error or str(problem)
        chapters = [
            (c["start"] * c["time_base"], c["end"] * c["time_base"], c["metadata"].get("title", ""))
            for c in container.chapters()
        ]
        return Contents(times, video.time_base, size, list(others.values()), chapters, error)


def compare(source: Path, result: Path) -> list[str]:
    """Give what differs, in words; empty when frames, times and copied packets are the same."""
    a, b = contents(source), contents(result)
    found: list[str] = []
    if len(a.times) != len(b.times):
        found.append(f"frames {len(a.times)} -> {len(b.times)}")
    else:
        limit = max(a.tick, b.tick) / 2
        off = [abs(x - y) for x, y in zip(a.times, b.times, strict=True) if x is not None]
        if off and max(off) > limit:
            found.append(f"pts differ by up to {float(max(off)):.6f} s (half a tick is {float(limit):.6f})")
    found += _packets(a, b)
    if a.chapters and [c[2] for c in a.chapters] != [c[2] for c in b.chapters]:
        found.append(f"chapters {a.chapters} -> {b.chapters}")
    return found


def _packets(a: Contents, b: Contents) -> list[str]:
    found: list[str] = []
    left = list(b.streams)
    for stream in a.streams:
        if not stream.packets:
            continue
        match = next(
            (s for s in left if s.kind == stream.kind and [h for _, h in s.packets] == [h for _, h in stream.packets]),
            None,
        )
        if match is None:
            found.append(f"{stream.kind} {stream.codec} {stream.language or ''} is not there byte for byte")
            continue
        left.remove(match)
        limit = max(stream.tick, match.tick) / 2
        pairs = zip(stream.packets, match.packets, strict=True)
        off = [abs(x - y) for (x, _), (y, _) in pairs if x is not None and y is not None]
        if off and max(off) > limit:
            found.append(f"{stream.kind} {stream.codec} moved by up to {float(max(off)):.6f} s")
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default="nearest")
    parser.add_argument("--keep", type=Path, help="keep the results here")
    parser.add_argument("--scale", default="2")
    args = parser.parse_args()
    failed = 0
    with tempfile.TemporaryDirectory() as temporary:
        out = args.keep or Path(temporary)
        out.mkdir(parents=True, exist_ok=True)
        for path in sorted(p for p in args.folder.iterdir() if p.is_file() and p.suffix not in {".md", ".txt"}):
            kept = path.suffix.lower() in {".mp4", ".mov", ".mkv", ".webm", ".ts", ".m4v"}
            result = out / (path.name if kept else f"{path.name}.mkv")
            command = [sys.executable, "-m", "vsr", "upscale", str(path), "-o", str(result), "-m", args.model]
            command += ["-s", args.scale, "--overwrite", "-q"]
            done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
            if done.returncode:
                said = [line for line in done.stderr.splitlines() if line.startswith("error")]
                print(f"{path.name:44} exit {done.returncode}: {said[0] if said else done.stderr[-300:]}")
                failed += done.returncode == 1
                continue
            found = compare(path, result)
            failed += bool(found)
            print(f"{path.name:44} {'; '.join(found) if found else 'same frames, times, packets'}")
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
