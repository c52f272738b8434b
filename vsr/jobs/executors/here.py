"""Executor: this process, one chunk after the other, the engine opened once."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from vsr.core.events import Progress, Report, StageLoad
from vsr.core.job import Chunk, ChunkResult, Job
from vsr.engines.base import Engine
from vsr.pipeline.chunk import open_engine, run_chunk, segment_name

SETTLED_FRAMES = 3  # before it, the rate measures the start more than the work
RATE_WINDOW_S = 20.0  # the rate on the screen follows the last seconds, so that ETA follows the content


class Here:
    """Runs chunks in the calling process."""

    def __init__(self) -> None:
        self._engine: Engine | None = None

    def run(self, job: Job, chunks: Sequence[Chunk], work: Path, report: Report) -> Iterator[ChunkResult]:
        if self._engine is None:
            self._engine = open_engine(job)
        watch = _Watch(total=sum(chunk.frames for chunk in job.chunks), report=report)
        for chunk in chunks:
            result = run_chunk(job, chunk, work / segment_name(job, chunk), self._engine, watch.tick)
            watch.finish(result.frames)
            yield result

    def close(self) -> None:
        if self._engine is not None:
            self._engine.close()
            self._engine = None


class _Watch:
    """Turns counts into Progress: rate over the last seconds, time left."""

    def __init__(self, *, total: int, report: Report) -> None:
        self._total = total
        self._report = report
        self._before = 0  # frames of finished chunks
        self._seen: list[tuple[float, int]] = [(time.monotonic(), 0)]

    def tick(self, done: int, stages: tuple[StageLoad, ...]) -> None:
        now, count = time.monotonic(), self._before + done
        self._seen.append((now, count))
        while len(self._seen) > 2 and now - self._seen[0][0] > RATE_WINDOW_S:
            self._seen.pop(0)
        (since, base), settled = self._seen[0], count >= SETTLED_FRAMES
        fps = (count - base) / (now - since) if now > since else 0.0
        eta = (self._total - count) / fps if settled and fps > 0 else None
        self._report(Progress(done=count, total=self._total, fps=fps, eta_s=eta, stages=stages))

    def finish(self, frames: int) -> None:
        self._before += frames
