"""Counts what becomes of the files of a folder run, and tells it: each end, how far the queue is, the sum."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, replace

from vsr.core.errors import VsrError
from vsr.core.events import FileEnded, FileStatus, FolderProgress, FolderSummary, Report, Summary
from vsr.core.job import Job
from vsr.jobs.executors.base import Executor, Finished, Outcome, Task, Tick, Working
from vsr.jobs.folder.naming import Entry
from vsr.jobs.folder.pace import Pace

KEPT = 10_000  # ends that are told again in the sum: a run that watches a folder has no last one


@dataclass(slots=True, kw_only=True)
class _Hand:
    """A job that is being worked on. done: frames of its chunks that are finished. in_hand: of those that are not."""

    name: str
    frames: int
    pixels: int
    resumed: int
    done: int
    in_hand: dict[Task, int]

    @property
    def made(self) -> int:
        return self.done + sum(self.in_hand.values())


class Tally:
    """`total` files there are to end; `pace` is the queue's. Called in one thread."""

    def __init__(self, report: Report, *, source: str, destination: str, results: str) -> None:
        self.total = 0
        self.pace = Pace()
        self.counts: Counter[FileStatus] = Counter()
        self.others = 0
        self._report = report
        self._names = {"source": source, "destination": destination, "results": results}
        self._ends: deque[FileEnded] = deque(maxlen=KEPT)
        self._hands: dict[int, _Hand] = {}
        self._frames = 0
        self._began = time.monotonic()
        self._busy = 0.0
        self._busy_since: float | None = None

    def begin(self, name: str, job: Job, *, resumed: int) -> None:
        """Take a planned job in hand, of which earlier runs have made `resumed` frames."""
        frames = sum(chunk.frames for chunk in job.chunks)
        pixels = job.output.width * job.output.height
        self._hands[id(job)] = _Hand(name=name, frames=frames, pixels=pixels, resumed=resumed, done=0, in_hand={})
        self.pace.expect(name, float(frames * pixels), resumed=float(resumed * pixels))
        self._busy_since = self._busy_since or time.monotonic()

    def tick(self, working: Working) -> None:
        hand = self._hands.get(id(working.task.job))
        if hand is not None:
            self._frames += max(0, working.done - hand.in_hand.get(working.task, 0))
            hand.in_hand[working.task] = working.done
            self._tell(hand)

    def outcome(self, outcome: Outcome) -> None:
        hand = self._hands.get(id(outcome.task.job))
        if hand is None:
            return
        seen = hand.in_hand.pop(outcome.task, 0)
        if isinstance(outcome, Finished):
            self._frames += max(0, outcome.result.frames - seen)
            hand.done += outcome.result.frames
            self._tell(hand)

    def has_made(self, job: Job) -> bool:
        """Whether a chunk of a job in hand has been finished."""
        hand = self._hands.get(id(job))
        return hand is not None and hand.done > 0

    def put_down(self, job: Job) -> None:
        """Nobody works on a job any more; it may come back."""
        self._hands.pop(id(job), None)
        if not self._hands and self._busy_since is not None:
            self._busy += time.monotonic() - self._busy_since
            self._busy_since = None

    def end(
        self,
        entry: Entry,
        status: FileStatus,
        reason: str = "",
        *,
        error: VsrError | None = None,
        wall_s: float = 0.0,
        summary: Summary | None = None,
    ) -> None:
        """Tell what became of a file, once."""
        self.pace.over(entry.name)
        self.counts[status] += 1
        ended = FileEnded(
            source=entry.found.address,
            destination=entry.address,
            status=status,
            number=self.counts.total(),
            total=self.total,
            reason=entry.told(error.message if error is not None else reason),
            error=type(error).__name__ if error is not None else "",
            hint=(error.hint or "") if error is not None else "",
            notes=tuple(getattr(error, "__notes__", ())),
            frames=summary.frames_out if summary is not None else 0,
            wall_s=wall_s,
            summary=summary,
        )
        if status != "earlier":
            self._ends.append(replace(ended, summary=None))
        self._report(ended)

    def take_back(self, status: FileStatus) -> None:
        """Count one file less that ended so: it comes again."""
        self.counts[status] -= 1
        self.total -= 1

    def summary(self) -> FolderSummary:
        busy = self._busy + (time.monotonic() - self._busy_since if self._busy_since is not None else 0.0)
        counts = self.counts
        return FolderSummary(
            **self._names,
            done=counts["done"],
            earlier=counts["earlier"],
            skipped=counts["skipped"],
            failed=counts["failed"],
            taken=counts["taken"],
            left=counts["left"],
            others=self.others,
            frames=self._frames,
            wall_s=time.monotonic() - self._began,
            fps=self._frames / busy if busy > 0 else 0.0,
            files=tuple(self._ends),
        )

    def _tell(self, hand: _Hand) -> None:
        self.pace.made(hand.name, float(hand.made * hand.pixels))
        busy = self._busy + (time.monotonic() - self._busy_since if self._busy_since is not None else 0.0)
        self._report(
            FolderProgress(
                done=self.counts.total(),
                total=self.total,
                share=self.pace.share,
                eta_s=self.pace.eta_s,
                fps=self._frames / busy if busy > 0 else 0.0,
                file=hand.name,
                file_done=hand.resumed + hand.made,
                file_total=hand.frames,
            )
        )


class Counted:
    """An executor whose work is counted on its way."""

    def __init__(self, hands: Executor, tally: Tally) -> None:
        self._hands = hands
        self._tally = tally

    @property
    def workers(self) -> int:
        return self._hands.workers

    @property
    def is_here(self) -> bool:
        return self._hands.is_here

    def run(self, tasks: Iterator[Task], tick: Tick) -> Generator[Outcome]:
        def told(working: Working) -> None:
            tick(working)
            self._tally.tick(working)

        with closing(self._hands.run(tasks, told)) as outcomes:
            for outcome in outcomes:
                self._tally.outcome(outcome)
                yield outcome

    def close(self) -> None:
        self._hands.close()
