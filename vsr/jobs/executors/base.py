"""The Executor interface: tasks are pulled by whoever is free, outcomes come in whatever order they get done.

Tasks are pulled, never pushed: a fast device takes more of them than a slow one, and an iterator that plans the next
file only when somebody is free keeps every device busy across files. When the iterator ends, what is in hand is
finished: that is how a job is stopped.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from vsr.core.errors import VsrError
from vsr.core.events import StageLoad
from vsr.core.job import Chunk, ChunkResult, Job


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Task:
    """One chunk of one job, to be written to `path` (a segment, or a folder of images)."""

    job: Job
    chunk: Chunk
    path: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Working:
    """What one worker has in hand: `done` frames of the task's chunk have reached the encoder."""

    worker: str  # "cpu", "cuda:0", "cpu #2", "node-a cuda:1"
    task: Task
    done: int
    stages: tuple[StageLoad, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    task: Task
    result: ChunkResult
    worker: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """The task cannot be done. Nothing is left at its path. lost: workers that died over it before."""

    task: Task
    error: VsrError
    lost: int = 0


Outcome = Finished | Failed
Tick = Callable[[Working], None]


class Executor(Protocol):
    """Runs tasks. `tests/contracts/test_executor.py` holds every implementation to it."""

    @property
    def workers(self) -> int:
        """How many tasks are in hand at a time."""
        ...

    @property
    def is_here(self) -> bool:
        """Whether the chunks are done in this process: their CPU time is then its own."""
        ...

    def run(self, tasks: Iterator[Task], tick: Tick) -> Generator[Outcome]:
        """Yield one outcome for every task that was taken, as it gets done; `tick` is called in the caller's thread.

        A task is taken from `tasks` when a worker is free for it, not before. An error of ours that a chunk meets is
        its outcome, and the others go on; so is any other error in it, as a `ChunkFailed` that carries its traceback
        as a note. A worker that dies gives its task back to the queue, LIVES times in all.
        Closing the iterator, or an exception out of it, stops every worker at once.
        """
        ...

    def close(self) -> None:
        """End workers, give devices back."""
        ...


LIVES = 3
