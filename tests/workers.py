"""Worker processes that do no work: they take orders as `vsr.jobs.executors.worker_process.serve` does, and act a part.

What they act stands in the job: by the index of a chunk, what happens to its worker. They load no torch, and start in
a fraction of a second. Put `act` in the place of `serve`:
`monkeypatch.setattr("vsr.jobs.executors.processes.serve", act)`.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from types import SimpleNamespace
from typing import cast

from vsr.core.errors import ModelError
from vsr.core.job import Chunk, ChunkResult, Job
from vsr.core.media import Span
from vsr.jobs.executors.base import Task
from vsr.jobs.executors.messages import Logged, Order, Over, Ready, Told

FRAMES = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What the worker does with a chunk: tell, log, sleep, and at last what `last` says, after `times` times `then`.

    `kill` is SIGKILL, `crash` SIGSEGV, `leave` exit code 3, `error` one of ours, `done` the end of the chunk.
    """

    last: str = "done"
    times: int = 1000
    then: str = "done"
    sleep_s: float = 0.0
    ticks: int = 1
    log: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Play:
    """Stands in for a Job. parts: by the index of the chunk. speeds: what a worker's sleep is divided by, by name."""

    chunks: tuple[Chunk, ...]
    parts: Mapping[int, Part] = field(default_factory=dict)
    usual: Part = Part()
    speeds: Mapping[str, float] = field(default_factory=dict)
    source: SimpleNamespace = field(default_factory=lambda: SimpleNamespace(path=Path("film.mkv")))
    weight: bytes = b""

    def tasks(self, folder: Path) -> list[Task]:
        return [Task(job=cast(Job, self), chunk=chunk, path=folder / f"{chunk.index:06d}") for chunk in self.chunks]


def play(
    count: int,
    parts: Mapping[int, Part] | None = None,
    *,
    usual: Part = Part(),
    speeds: Mapping[str, float] | None = None,
    weight: bytes = b"",
) -> Play:
    """Give a job of `count` chunks of FRAMES frames each."""
    spans = [Span(start=index * FRAMES, stop=(index + 1) * FRAMES) for index in range(count)]
    chunks = tuple(Chunk(index=index, span=span, frames=FRAMES, decode=span) for index, span in enumerate(spans))
    return Play(chunks=chunks, parts=parts or {}, usual=usual, speeds=speeds or {}, weight=weight)


def act(pipe: Connection, parent: int, level: int, name: str, device: str, share: int) -> None:
    """Take orders until the pipe ends; the part of each chunk says what comes of it."""
    job: Play | None = None
    pipe.send(Ready())
    while True:
        try:
            order: Order = pipe.recv()
        except (EOFError, OSError):
            return
        job = cast(Play, order.job) if order.job is not None else job
        assert job is not None
        part = job.parts.get(order.chunk.index, job.usual)
        order.path.write_text("half made")
        for tick in range(part.ticks):
            pipe.send(Told(done=(tick + 1) * FRAMES // (part.ticks + 1), stages=()))
        if part.log:
            pipe.send(Logged(logger="vsr.engines.weights", level=30, text=part.log))
        time.sleep(part.sleep_s / job.speeds.get(name, 1.0))
        tries = _tries(order.path)
        how = part.last if tries <= part.times else part.then
        if how != "done":
            _end_badly(how, order, pipe)
            continue
        order.path.write_text(f"whole, at the {tries}. try")
        pipe.send(Over(end=_result(order, is_with_job=order.job is not None)))


def never_ready(pipe: Connection, parent: int, level: int, name: str, device: str, share: int) -> None:
    """End before the first word."""
    os._exit(5)


def _tries(path: Path) -> int:
    """Count, beside the folder and for good, how often a chunk has been tried."""
    count = path.parent.with_name(f"tries-{path.name}")
    with count.open("a") as file:
        file.write(".")
    return count.stat().st_size


def _end_badly(how: str, order: Order, pipe: Connection) -> None:
    match how:
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "crash":
            signal.signal(signal.SIGSEGV, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGSEGV)
        case "leave":
            os._exit(3)
        case "error":
            order.path.unlink()
            error = ModelError("planted", hint="none")
            error.add_note("in the infer lane, item 3")
            pipe.send(Over(end=error))


def _result(order: Order, *, is_with_job: bool) -> ChunkResult:
    return ChunkResult(
        index=order.chunk.index,
        path=order.path,
        frames=FRAMES,
        pts=tuple(range(FRAMES)),
        durations=(1,) * FRAMES,
        digest=f"pid {os.getpid()}",
        wall_s=0.0,
        cpu_s=0.0,
        warnings=("came with its job",) if is_with_job else (),
    )
