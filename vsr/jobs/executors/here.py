"""Executor: this process, one chunk after the other, the engine kept open as long as jobs agree on it."""

from __future__ import annotations

from collections.abc import Generator, Iterator

from vsr.jobs.executors.base import Outcome, Task, Tick
from vsr.jobs.executors.worker import Worker


class Here:
    """Runs tasks in the calling process."""

    def __init__(self) -> None:
        self._worker = Worker()

    @property
    def workers(self) -> int:
        return 1

    @property
    def is_here(self) -> bool:
        return True

    def run(self, tasks: Iterator[Task], tick: Tick) -> Generator[Outcome]:
        for task in tasks:
            yield self._worker.do(task, tick)

    def close(self) -> None:
        self._worker.close()
