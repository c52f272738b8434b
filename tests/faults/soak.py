"""A long job, watched from outside: memory, handles and threads must not grow with its length.

`make soak` runs an hour of 64x48 video (90 000 frames) and prints what was seen; the suite runs a few minutes of video.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import av

from tests.media import make_clip

HOUR = 90_000  # frames at 25 a second
WARM = 0.2  # of the frames, after which caches and allocators have what they want
# Of every frame the job keeps its pts and its duration until the result is joined: two integers and their places.
BYTES_PER_FRAME = 64.0
SHARE_PER_TENFOLD = 0.05  # more memory at ten times the length
EVERY_S = 0.1
_PAGE = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    frames: int
    bytes: int
    handles: int
    threads: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Soaked:
    """What was seen of a job from WARM on."""

    samples: tuple[Sample, ...]
    frames: int
    seconds: float

    @property
    def slope(self) -> float:
        """Give the bytes of memory that a frame more has cost, by least squares."""
        return statistics.linear_regression([s.frames for s in self.samples], [s.bytes for s in self.samples]).slope

    def at(self, share: float) -> int:
        """Give the bytes of memory around this share of the job."""
        return min(self.samples, key=lambda sample: abs(sample.frames / self.frames - share)).bytes

    def faults(self) -> list[str]:
        """Name what grew."""
        found = []
        if self.slope > BYTES_PER_FRAME:
            found.append(f"memory grows by {self.slope:.0f} bytes a frame, more than {BYTES_PER_FRAME:.0f}")
        for name in ("handles", "threads"):
            first, last = (
                max(getattr(s, name) for s in half)
                for half in (self.samples[: len(self.samples) // 2], self.samples[len(self.samples) // 2 :])
            )
            if last > first:
                found.append(f"{name} grow: {first} at most in the first half, {last} in the second")
        return found

    def __str__(self) -> str:
        most = max(s.bytes for s in self.samples)
        return (
            f"{self.frames} frames in {self.seconds:.0f} s ({self.frames / self.seconds:.0f} fps): memory at most "
            f"{most / 1e6:.1f} MB, {self.at(0.3) / 1e6:.1f} MB at 30 % and {self.at(0.9) / 1e6:.1f} MB at 90 %, "
            f"{self.slope:+.1f} bytes a frame; at most {max(s.handles for s in self.samples)} handles, "
            f"{max(s.threads for s in self.samples)} threads"
        )


def long_clip(path: Path, frames: int) -> Path:
    """Write a clip of `frames` frames: one of 250, again and again, packet by packet."""
    short = make_clip(path.with_name("short.mkv"), frames=250, b_frames=0, gop=50)
    with av.open(str(short)) as source:
        template = source.streams.video[0]
        packets = [(bytes(packet), packet.pts, packet.is_keyframe) for packet in source.demux(template) if packet.size]
        with av.open(str(path), "w") as out:
            stream = out.add_stream_from_template(template)
            for number in range(frames):
                data, pts, is_keyframe = packets[number % 250]
                packet = av.Packet(data)
                packet.pts = packet.dts = (pts or 0) + number // 250 * 10_000
                packet.time_base, packet.duration = template.time_base, 40
                packet.is_keyframe, packet.stream = is_keyframe, stream
                out.mux_one(packet)
    short.unlink()
    return path


def soak(folder: Path, frames: int, *, chunk: int = 250) -> Soaked:
    """Run a job of `frames` frames, and look at its process ten times a second."""
    clip, out = long_clip(folder / "in.mkv", frames), folder / "out.mkv"
    words = ["upscale", str(clip), "-o", str(out), "-m", "nearest", "--codec", "ffv1", "--chunk-frames", str(chunk)]
    run = subprocess.Popen([sys.executable, "-m", "vsr", *words, "--json"], stdout=subprocess.PIPE, text=True)
    samples = []
    with ThreadPoolExecutor(1) as reader:
        told = reader.submit(run.communicate)
        while not told.done():
            done = chunk * sum(1 for _ in (folder / ".out.mkv.vsr-work").glob("*.nut"))
            if WARM * frames < done < frames:
                with suppress(OSError):  # it has just ended
                    samples.append(_sample(run.pid, done))
            time.sleep(EVERY_S)
    last = json.loads(told.result()[0].splitlines()[-1])
    if run.returncode or last.get("frames_out") != frames:
        raise AssertionError(f"the job ended with {run.returncode}: {last}")
    return Soaked(samples=tuple(samples), frames=frames, seconds=float(last["wall_s"]))


def _sample(pid: int, done: int) -> Sample:
    process = Path(f"/proc/{pid}")
    return Sample(
        frames=done,
        bytes=int((process / "statm").read_text().split()[1]) * _PAGE,
        handles=sum(1 for _ in (process / "fd").iterdir()),
        threads=sum(1 for _ in (process / "task").iterdir()),
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=HOUR)
    with tempfile.TemporaryDirectory() as folder:
        soaked = soak(Path(folder), parser.parse_args().frames)
    faults = soaked.faults()
    print(soaked)
    print("\n".join(faults) if faults else "nothing grows")
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())
