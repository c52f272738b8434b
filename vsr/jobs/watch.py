"""Counts frames as workers make them, and tells rate and time left: of all workers together, and of each."""

from __future__ import annotations

import time
from collections import deque

from vsr.core.events import Progress, Report, StageLoad, WorkerLoad
from vsr.jobs.executors.base import Finished, Outcome, Task, Working
from vsr.pipeline.lanes import merge_loads

SETTLED_FRAMES = 3  # before it, the rate measures the start more than the work
RATE_WINDOW_S = 20.0  # the rate on the screen follows the last seconds, so that ETA follows the content


class Watch:
    """Turns what workers say into Progress.

    total: frames there are to do, the `done` ones among them, which an earlier run made: they count as done, and are
    left out of every rate. `total` may be set anew as more is planned. Called in one thread.
    """

    def __init__(self, *, total: int, report: Report, done: int = 0) -> None:
        self.total = total
        self._report = report
        self._done = done  # frames of finished chunks
        self._in_hand: dict[Task, int] = {}
        self._workers: dict[str, _WorkerRate] = {}

    def tick(self, working: Working) -> None:
        """Count what a worker has in hand."""
        self._count(working.worker, working.task, working.done).stages = working.stages
        self._in_hand[working.task] = working.done
        self._tell()

    def finished(self, outcome: Outcome) -> None:
        """Count a task that is over. What a failed one had made counts as not done."""
        if isinstance(outcome, Finished):
            frames, seen = outcome.result.frames, self._in_hand.get(outcome.task)
            self._count(outcome.worker, outcome.task, frames)
            self._in_hand.pop(outcome.task, None)
            self._done += frames
            if frames != seen:
                self._tell()
        else:
            self._in_hand.pop(outcome.task, None)

    def _count(self, worker: str, task: Task, done: int) -> _WorkerRate:
        more = done - self._in_hand.get(task, 0)
        rate = self._workers.setdefault(worker, _WorkerRate())
        # A task that another worker began anew has fewer than before: all of them are new.
        rate.add(time.monotonic(), more if more >= 0 else done)
        return rate

    def _tell(self) -> None:
        now = time.monotonic()
        done, made = self._done + sum(self._in_hand.values()), sum(rate.made for rate in self._workers.values())
        fps = sum(rate.fps(now) for rate in self._workers.values())
        heard = {name: rate for name, rate in self._workers.items() if now - rate.heard <= RATE_WINDOW_S}
        self._report(
            Progress(
                done=done,
                total=self.total,
                fps=fps,
                eta_s=(self.total - done) / fps if made >= SETTLED_FRAMES and fps > 0 else None,
                stages=merge_loads(load for rate in heard.values() for load in rate.stages),
                workers=tuple(
                    WorkerLoad(worker=name, done=rate.made, fps=rate.fps(now)) for name, rate in heard.items()
                ),
            )
        )


class _WorkerRate:
    """One worker's frames, and how many a second over the last RATE_WINDOW_S, or since the last few were made.

    The clock starts at its first word: before that it started up, and opened the model.
    """

    def __init__(self) -> None:
        self.made = 0
        self.heard = 0.0
        self.stages: tuple[StageLoad, ...] = ()
        self._seen: deque[tuple[float, int]] = deque()  # when the count changed, and to what

    def add(self, now: float, frames: int) -> None:
        self.heard = now
        self.made += frames
        if frames or not self._seen:
            self._seen.append((now, self.made))

    def fps(self, now: float) -> float:
        seen = self._seen
        while len(seen) > 2 and now - seen[0][0] > RATE_WINDOW_S and self.made - seen[1][1] >= SETTLED_FRAMES:
            seen.popleft()
        since, base = seen[0]
        return (self.made - base) / (now - since) if now > since else 0.0
