"""How fast each stage is alone, and all of them together: where the time goes on this machine."""

from __future__ import annotations

import dataclasses
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TypeVar

import numpy as np

from vsr.core.events import Report, Summary, silent
from vsr.core.frame import ColorSpec, Frame, pixel_format
from vsr.core.job import Job
from vsr.core.media import OutputSpec
from vsr.core.presets import resolve
from vsr.engines.device import use_threads
from vsr.io.base import DecodeTally
from vsr.io.encoding.encode import PyavSink
from vsr.jobs.plan import plan
from vsr.jobs.run import run
from vsr.pipeline import chunk as stages

T = TypeVar("T")

ALONE_FRAMES = 12  # frames that each stage is timed on by itself
SPEC = ColorSpec(matrix="bt709", range="tv", primaries="bt709", transfer="bt709", siting="left")


@dataclass(frozen=True, slots=True, kw_only=True)
class StageCost:
    """One stage alone: milliseconds a frame, and frames a second if it had the threads it gets in the pipeline."""

    name: str
    wall_ms: float
    cpu_ms: float
    capacity_fps: float


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchResult:
    """How fast the stages and all of them together are. megapixels: of one frame of the result."""

    description: str
    stages: tuple[StageCost, ...]
    summary: Summary
    megapixels: float

    @property
    def bottleneck(self) -> str:
        return min(self.stages, key=lambda stage: stage.capacity_fps).name

    @property
    def ms_per_megapixel(self) -> float:
        """Milliseconds of the whole pipeline for a megapixel of the result."""
        return 1000 / (self.summary.fps * self.megapixels) if self.summary.fps > 0 else 0.0


def bench(source: Path | None, settings: dict[str, object], report: Report = silent) -> BenchResult:
    """Time `source` (None: a generated clip of 640x360, 96 frames) stage by stage, then through the whole pipeline.

    The result of the upscaling is thrown away.

    Raises:
        VsrError: as upscaling it would.
    """
    with tempfile.TemporaryDirectory(prefix="vsr-bench-") as folder:
        clip = source or synthetic(Path(folder) / "clip.mkv", width=640, height=360, frames=96)
        job = plan(clip, Path(folder) / "result.mkv", resolve(settings))
        costs = _alone(job, Path(folder)) if job.compute.device == "cpu" else ()
        summary = run(job, report)
    line = f"{job.source.video.width}x{job.source.video.height} -> {job.output.width}x{job.output.height}"
    return BenchResult(
        description=f"{line}, {job.card.id} {job.compute.precision} on {job.compute.device}, {job.output.encoder}",
        stages=costs or _together(summary),
        summary=summary,
        megapixels=job.output.width * job.output.height / 1e6,
    )


def clip_spec(width: int, height: int) -> OutputSpec:
    """Give the specification of a test clip: H.264, 8 bit 4:2:0, BT.709, times in milliseconds."""
    return OutputSpec(
        codec="h264",
        encoder="libx264",
        options=(("preset", "veryfast"), ("crf", "18")),
        width=width,
        height=height,
        pixel_format="yuv420p",
        color=SPEC,
        tags=SPEC,
        time_base=Fraction(1, 1000),
        rate=Fraction(25),
    )


def synthetic(path: Path, *, width: int, height: int, frames: int) -> Path:
    """Write a clip of moving texture: a smooth random field that pans, with a little noise, as a camera gives."""
    rng = np.random.default_rng(0)
    small = rng.integers(40, 216, ((height + frames) // 8 + 2, (width + 2 * frames) // 8 + 2))
    field = np.kron(small, np.ones((8, 8))).astype(np.float32)
    chroma = np.full((-(-height // 2), -(-width // 2)), 128, np.uint8)
    sink = PyavSink(path, clip_spec(width, height))
    try:
        for index in range(frames):
            luma = field[index : index + height, 2 * index : 2 * index + width] + rng.normal(0, 2, (height, width))
            planes = (np.clip(luma, 16, 235).astype(np.uint8), chroma, chroma)
            sink.write(Frame(index=index, pts=40 * index, duration=40, planes=planes, format=pixel_format("yuv420p")))
        sink.close()
    except BaseException:
        sink.abort()
        raise
    return path


def _alone(job: Job, folder: Path) -> tuple[StageCost, ...]:
    """Time each stage by itself, in this thread, on the first frames."""
    chunk = dataclasses.replace(job.chunks[0], frames=min(ALONE_FRAMES, job.chunks[0].frames))
    source = stages.decoder_of(job)
    decode, frames = _timed(lambda: _take(source.frames(chunk.decode, seek=chunk.seek), chunk.frames))
    engine = stages.open_engine(job)
    use_threads(1)
    restorer = stages.open_restorer(job, engine)
    read, windows = _timed(lambda: _take(stages.chunk_windows(job, chunk, source, DecodeTally()), chunk.frames))
    restorer.restore([windows[0]])  # warm up
    infer, write, made = (0.0, 0.0), (0.0, 0.0), []
    for window in windows:  # one result at a time, as in the pipeline: keeping them all would measure fresh memory
        took, (picture,) = _timed(partial(restorer.restore, [window]))
        infer = (infer[0] + took[0], infer[1] + took[1])
        took, frame = _timed(partial(stages.to_output, job, picture))
        write = (write[0] + took[0], write[1] + took[1])
        made.append(frame)
    encode, _ = _timed(lambda: _encode(job, made, folder / "alone.nut"))
    restorer.close()
    engine.close()
    count, workers = len(frames), job.compute.workers
    color = (max(0.0, read[0] - decode[0]) + write[0], max(0.0, read[1] - decode[1]) + write[1])
    # Colour runs in the lanes beside it: counted as if it had the workers' threads.
    threads = {"decode": 1, "colour": workers, "infer": workers, "encode": 1}
    costs = {"decode": decode, "colour": color, "infer": infer, "encode": encode}
    return tuple(
        StageCost(
            name=name,
            wall_ms=1000 * wall / count,
            cpu_ms=1000 * cpu / count,
            capacity_fps=threads[name] * count / wall if wall > 0 else float("inf"),
        )
        for name, (wall, cpu) in costs.items()
    )


def _together(summary: Summary) -> tuple[StageCost, ...]:
    """Give the stages as they were in the pipeline: on a GPU they cannot be run one by one in this thread."""
    return tuple(
        StageCost(
            name=load.name,
            wall_ms=1000 * load.busy_s / max(1, load.items),
            cpu_ms=1000 * load.cpu_s / max(1, load.items),
            capacity_fps=load.capacity,
        )
        for load in summary.stages
    )


def _take(items: Iterator[T], count: int) -> list[T]:
    return list(islice(items, count))


def _timed(work: Callable[[], T]) -> tuple[tuple[float, float], T]:
    wall, cpu = time.perf_counter(), time.process_time()
    result = work()
    return (time.perf_counter() - wall, time.process_time() - cpu), result


def _encode(job: Job, frames: Sequence[Frame], path: Path) -> None:
    sink = PyavSink(path, job.output)
    try:
        for frame in frames:
            sink.write(frame)
        sink.close()
    finally:
        sink.abort()
