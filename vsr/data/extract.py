"""Videos -> folders of pictures: choose frames, leave out the useless, write images, keep a manifest.

A line of lanes for each of a few sources at a time does the work (`cutting`); the caller's thread keeps the books
(`ledger`), so that a run that was killed goes on where it was.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from vsr.core.errors import OutputError, PartialFailure, UsageError
from vsr.core.events import Report, Warned, Worked, silent
from vsr.data import cutting
from vsr.data import ledger as books
from vsr.data.cutting import Broken, Done, Item, Record, Written
from vsr.data.extraction import Extraction
from vsr.data.footage import Looked
from vsr.data.ledger import Ledger, SourceSummary
from vsr.data.sources import ClipSource, Failure, find_sources
from vsr.data.stills import still_maker
from vsr.engines.device import cores, use_threads
from vsr.io.probe import probe
from vsr.pipeline.lanes import Lanes

EVERY_FRAME = Extraction()


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """An input that could not be used: why, and what could be done."""

    path: Path
    why: str
    hint: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Extracted:
    """What was made of the inputs. sources: those that are done, the `resumed` of an earlier run among them."""

    out: Path
    sources: tuple[SourceSummary, ...]
    failures: tuple[LeftOut, ...]
    resumed: int
    wall_s: float

    @property
    def pictures(self) -> int:
        return sum(source.pictures for source in self.sources)

    @property
    def frames(self) -> int:
        """How many were decoded."""
        return sum(source.frames for source in self.sources)

    @property
    def dropped(self) -> dict[str, int]:
        """How many of the frames chosen were left out, by why."""
        total: Counter[str] = Counter()
        for source in self.sources:
            total.update(source.dropped)
        return dict(sorted(total.items()))


def extract(
    inputs: Sequence[Path | str] | Path | str,
    out: Path | str,
    wish: Extraction = EVERY_FRAME,
    *,
    workers: int | None = None,
    overwrite: bool = False,
    report: Report = silent,
) -> Extracted:
    """Take videos, or folders of them, apart into `out`/NAME/000123.png, and list the pictures in a manifest.

    The number is the frame's place in its source, from 0. Windows and shots have folders of their own in between.
    Of several inputs those that cannot be used are warned of, left out and given as `failures`; a single one raises.
    The same call again goes on where an earlier one stopped, and ends with the same files. workers: threads that
    write pictures, default one a core.

    Raises:
        UsageError: no inputs, or `workers` below 1.
        InputError: of the only input; nothing of it is left in `out`.
        OutputExists: `out` holds other things, or was made with other settings, and `overwrite` is not set.
        ChangedSinceStart: a source that is finished is another file now.
        JobLocked, DiskFull, OutputError: `out` cannot be written; what is there is kept for the next run.
    """
    began = time.monotonic()
    given = [Path(inputs)] if isinstance(inputs, str | Path) else [Path(path) for path in inputs]
    if not given:
        raise UsageError("there is nothing to extract from", hint="Name a video or a folder of videos.")
    if workers is not None and workers < 1:
        raise UsageError(f"it takes 1 worker or more, got {workers}")
    _refuse_unusable(given, wish)
    with books.open_ledger(Path(out), wish, overwrite=overwrite) as ledger:
        sources, failures = find_sources(given, ledger.names)
        for source in sources:
            books.check_unchanged(ledger, source)
            ledger.name(source)
        left = [source for source in sources if source.identity not in ledger.finished]
        for failure in failures:
            report(Warned(message=f"left out: {failure.error.message}"))
        if left:
            _Run(ledger=ledger, report=report, failures=failures, left=left).work(wish, workers or cores())
        ledger.close()
    if len(given) == 1 and not given[0].is_dir() and failures:
        raise failures[0].error
    return Extracted(
        out=Path(out),
        sources=tuple(ledger.finished[source.identity] for source in sources if source.identity in ledger.finished),
        failures=tuple(LeftOut(path=f.path, why=f.error.message, hint=f.error.hint) for f in failures),
        resumed=len(sources) - len(left),
        wall_s=time.monotonic() - began,
    )


def raise_failures(result: Extracted) -> None:
    """Raise if an input could not be used.

    Raises:
        PartialFailure: it names each of them, and why.
    """
    if result.failures:
        count = len(result.failures) + len(result.sources)
        said = "\n".join(failure.why for failure in result.failures)
        raise PartialFailure(
            f"{len(result.failures)} of {count} inputs could not be extracted\n{said}",
            hint=("The others are done. " if result.sources else "")
            + "Mend or leave out these, and run the same command again.",
        )


def _refuse_unusable(given: Sequence[Path], wish: Extraction) -> None:
    """Raise what is wrong with the only input, or with all of them, before anything is made."""
    sources, failures = find_sources(given)
    if not sources:
        raise failures[0].error
    if len(given) == 1 and not given[0].is_dir():
        still_maker(probe(sources[0].path, scan=False), wish)


@dataclass(slots=True, kw_only=True)
class _Run:
    """The caller's side: books and screen. Lanes hand on through `inbox`: both ends of a deque are safe to share."""

    ledger: Ledger
    report: Report
    failures: list[Failure]
    left: Sequence[ClipSource]
    inbox: deque[Item] = field(default_factory=deque)
    looked: list[Looked] = field(default_factory=list)
    pictures: int = 0
    ended: int = 0

    def work(self, wish: Extraction, workers: int) -> None:
        """Extract the sources that are left.

        Raises:
            OutputError: with a note of how to go on.
        """
        out = self.ledger.out
        for source in self.left:
            books.remove_parts(out / source.name)
        write = partial(cutting.write, out=out, known=dict(self.ledger.pictures))
        lines = min(workers, len(self.left))
        self.looked = [Looked() for _ in range(lines)]
        try:
            with Lanes() as lanes:
                queue = lanes.flow("sources", lambda: iter(self.left))
                for number, looked in enumerate(self.looked):
                    decode = partial(cutting.decode, queue, out, wish, looked)
                    tasks = lanes.flow("decode", decode, weigh=cutting.weight)
                    share = (workers + number) // lines
                    done = lanes.map("write", write, tasks, workers=share, setup=lambda: use_threads(1))
                    lanes.drain("hand on", done, self.inbox.append)
                lanes.wait(self._tick)
            self._tick()
        except OutputError as error:
            error.add_note("what is finished is kept: the same command goes on from there")
            raise

    def _tick(self) -> None:
        """Enter in the books what has come, tell how far it is."""
        records: list[Record] = []
        while self.inbox:
            item = self.inbox.popleft()
            if isinstance(item, Written):
                records.append(item.record)
                continue
            self._enter(records)
            records = []
            if isinstance(item, Done):
                self._finish(item)
            elif isinstance(item, Broken):
                self._fail(item)
        self._enter(records)
        self._show()

    def _enter(self, records: list[Record]) -> None:
        self.ledger.add(records)
        self.pictures += len(records)

    def _finish(self, item: Done) -> None:
        self.ledger.finish(item.source, item.summary)
        self.ended += 1
        for warning in item.warnings:
            self.report(Warned(message=f"{item.source.path}: {warning}"))

    def _fail(self, item: Broken) -> None:
        self.ledger.forget(item.source)
        self.ended += 1
        self.failures.append(Failure(path=item.source.path, error=item.error))
        self.report(Warned(message=f"left out: {item.error.message}"))

    def _show(self) -> None:
        is_known = sum(looked.sources for looked in self.looked) == len(self.left)
        self.report(
            Worked(
                done=sum(looked.frames for looked in self.looked),
                total=sum(looked.total for looked in self.looked) if is_known else None,
                unit="frame",
                note=f"{self.pictures} pictures, {self.ended} of {len(self.left)} sources",
            )
        )
