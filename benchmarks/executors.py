"""What worker processes of unequal speed reach of their summed speed, with work that only sleeps.

    python benchmarks/executors.py --out benchmarks/results/executors.json

The pull queue, the pipes and the processes are those of `vsr.jobs.executors.processes`; the workers sleep instead of
restoring, so that a machine with few cores can play many devices. `reached` is the share of the summed speed: 1 is
every worker busy from the first chunk to the last. The caller takes `caller_s` for each outcome, as it does for the
digest and the journal of a chunk.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from types import SimpleNamespace
from typing import cast

from vsr.core.job import Chunk, ChunkResult, Job
from vsr.core.media import Span
from vsr.jobs.executors import processes
from vsr.jobs.executors.base import Finished, Task, Working
from vsr.jobs.executors.messages import Order, Over, Ready

CHUNKS = 132  # whole shares for every case: nobody waits for the last chunk of another
CASES = [  # (speeds, seconds a chunk takes at speed 1, seconds the caller takes for an outcome)
    ((1.0, 3.0), 0.3, 0.0),
    ((1.0, 3.0), 0.3, 0.02),
    ((1.0, 1.0), 0.2, 0.0),
    ((1.0, 2.0, 4.0, 4.0), 0.4, 0.0),
    ((1.0, 2.0, 4.0, 4.0), 0.4, 0.02),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sleep:
    """Stands in for a Job: how long each chunk takes, and how fast each worker is."""

    seconds: float
    speeds: tuple[float, ...]
    chunks: tuple[Chunk, ...]
    source: SimpleNamespace


def sleeping(pipe: Connection, parent: int, level: int, name: str, device: str, share: int) -> None:
    """Take orders as a worker process does, and sleep them off."""
    job: Sleep | None = None
    number = int(name.partition("#")[2] or 1) - 1
    pipe.send(Ready())
    while True:
        try:
            order: Order = pipe.recv()
        except (EOFError, OSError):
            return
        job = cast(Sleep, order.job) if order.job is not None else job
        assert job is not None
        time.sleep(job.seconds / job.speeds[number])
        pipe.send(Over(end=_result(order)))


def _result(order: Order) -> ChunkResult:
    return ChunkResult(
        index=order.chunk.index,
        path=order.path,
        frames=1,
        pts=(0,),
        durations=(1,),
        digest="",
        wall_s=0.0,
        cpu_s=0.0,
    )


def tasks(seconds: float, speeds: Sequence[float], count: int, folder: Path) -> list[Task]:
    spans = [Span(start=index, stop=index + 1) for index in range(count)]
    chunks = tuple(Chunk(index=index, span=span, frames=1, decode=span) for index, span in enumerate(spans))
    job = Sleep(seconds=seconds, speeds=tuple(speeds), chunks=chunks, source=SimpleNamespace(path="film"))
    return [Task(job=cast(Job, job), chunk=chunk, path=folder / str(chunk.index)) for chunk in chunks]


def ignore(working: Working) -> None:
    pass


def measure(speeds: Sequence[float], seconds: float, caller_s: float) -> dict[str, object]:
    """Run CHUNKS chunks over workers of these speeds, all of them up before the clock starts."""
    executor = processes.Processes(["cpu"] * len(speeds))
    took: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        everybody = tasks(0.5, [1.0] * len(speeds), len(speeds), Path(folder))
        assert len(list(executor.run(iter(everybody), ignore))) == len(speeds)
        began, order = time.perf_counter(), []
        for outcome in executor.run(iter(tasks(seconds, speeds, CHUNKS, Path(folder))), ignore):
            assert isinstance(outcome, Finished)
            took[outcome.worker] += 1
            order.append(outcome.task.chunk.index)
            time.sleep(caller_s)
        wall_s = time.perf_counter() - began
    executor.close()
    assert sorted(order) == list(range(CHUNKS))
    best_s = CHUNKS * seconds / sum(speeds)
    return {
        "speeds": list(speeds),
        "chunk_s": seconds,
        "caller_s": caller_s,
        "chunks": [took[name] for name in sorted(took)],
        "wall_s": round(wall_s, 3),
        "best_s": round(best_s, 3),
        "reached": round(best_s / wall_s, 3),
    }


def turnaround() -> float:
    """Give the milliseconds between a worker's end of a chunk and its begin of the next, orders and outcomes sent."""
    return 1000 * float(cast(float, measure([1.0], 0.0, 0.0)["wall_s"])) / CHUNKS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    processes.serve = sleeping
    found: dict[str, object] = {
        "machine": f"{platform.machine()}, {len(os.sched_getaffinity(0))} cores",
        "chunks": CHUNKS,
        "turnaround_ms": round(turnaround(), 2),
        "cases": [measure(*case) for case in CASES],
    }
    print(json.dumps(found, indent=1))
    if args.out is not None:
        args.out.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
