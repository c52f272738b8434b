"""Counts frames as workers make them, and tells rate and time left: of all workers together, and of each."""

from __future__ import annotations

import time
from collections import deque

from vsr.core.events import Progress, Report, StageLoad, WorkerLoad
from vsr.jobs.executors.base import Failed, Finished, Outcome, Task, Working
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
        self._stages: dict[str, tuple[StageLoad, ...]] = {}
        self._began = time.monotonic()
        self._all = _Rate(self._began)
        self._each: dict[str, _Rate] = {}

    def tick(self, working: Working) -> None:
        """Count what a worker has in hand."""
        self._stages[working.worker] = working.stages
        self._count(working.worker, working.done - self._in_hand.get(working.task, 0), working.done)
        self._in_hand[working.task] = working.done
        self._tell()

    def finished(self, outcome: Outcome) -> None:
        """Count a task that is over. What a failed one had made counts as not done."""
        seen = self._in_hand.pop(outcome.task, 0)
        match outcome:
            case Finished(result=result, worker=worker):
                self._done += result.frames
                if result.frames != seen:
                    self._count(worker, result.frames - seen, result.frames)
                    self._tell()
            case Failed():
                pass

    def _count(self, worker: str, more: int, whole: int) -> None:
        """Add frames to the rates; a task that another worker began anew has fewer than before: all of them are new."""
        now, made = time.monotonic(), more if more >= 0 else whole
        self._all.add(now, made)
        self._each.setdefault(worker, _Rate(self._began)).add(now, made)

    def _tell(self) -> None:
        now = time.monotonic()
        done, fps = self._done + sum(self._in_hand.values()), self._all.fps(now)
        settled = self._all.made >= SETTLED_FRAMES and fps > 0
        self._report(
            Progress(
                done=done,
                total=self.total,
                fps=fps,
                eta_s=(self.total - done) / fps if settled else None,
                stages=merge_loads(load for stages in self._stages.values() for load in stages),
                workers=tuple(
                    WorkerLoad(worker=name, done=rate.made, fps=rate.fps(now)) for name, rate in self._each.items()
                ),
            )
        )


class _Rate:
    """Frames a second over the last RATE_WINDOW_S, or over as long as it took to make the last few."""

    def __init__(self, began: float) -> None:
        self.made = 0
        self._seen = deque([(began, 0)])  # when the count changed, and to what

    def add(self, now: float, frames: int) -> None:
        if frames:
            self.made += frames
            self._seen.append((now, self.made))

    def fps(self, now: float) -> float:
        seen = self._seen
        while len(seen) > 2 and now - seen[0][0] > RATE_WINDOW_S and self.made - seen[1][1] >= SETTLED_FRAMES:
            seen.popleft()
        since, base = seen[0]
        return (self.made - base) / (now - since) if now > since else 0.0
