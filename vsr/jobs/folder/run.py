"""The state of a folder run: file after file is claimed, planned, run, noted; one that fails stops nobody.

`looks` tells what stands at a destination and what is wished of a file, `claims` keeps other processes off it,
`results` has a line for each, `tally` counts them.
"""

from __future__ import annotations

import itertools
import logging
import time
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType

from vsr.core.errors import InputError, InputMissing, Interrupted, JobLocked, OutputError, OutputExists, VsrError
from vsr.core.events import Event, FolderSummary, Noted, Report, Warned, Worked
from vsr.core.job import Job
from vsr.core.settings import Resolved
from vsr.core.stop import Stop
from vsr.engines import registry
from vsr.io import remote
from vsr.jobs.executors.base import Executor
from vsr.jobs.executors.opening import executor_for
from vsr.jobs.folder.claims import claimed, is_any_taken, is_taken
from vsr.jobs.folder.failures import ends_all, is_lasting, unforeseen
from vsr.jobs.folder.home import home_of
from vsr.jobs.folder.listing import Found, Listing, as_it_is, fetched
from vsr.jobs.folder.looks import Looks
from vsr.jobs.folder.naming import Entry, Naming, entries
from vsr.jobs.folder.pace import Pace
from vsr.jobs.folder.results import NAME, Result, Results
from vsr.jobs.folder.rules import going_on
from vsr.jobs.folder.sources import sources
from vsr.jobs.folder.standing import Standing, result_of
from vsr.jobs.folder.tally import Counted, Tally
from vsr.jobs.folder.wish import Wish
from vsr.jobs.plan import plan
from vsr.jobs.run import Ended, run_each
from vsr.jobs.status import read as read_status
from vsr.jobs.work import work_folder

log = logging.getLogger(__name__)

_NO_WORK = ("done", "passed", "waiting")  # what stands there so is not made
Settled = tuple[Entry, Standing]  # a file that needs no work, and why


@dataclass(slots=True, kw_only=True)
class _Open:
    """A file in hand: its claim, and what is noted of it when it ends."""

    entry: Entry
    job: Job
    line: Result
    claim: ExitStack
    began: float = field(default_factory=time.perf_counter)


class FolderRun:
    """`with FolderRun(...) as run:` keeps executor and claims, and gives them back. An executor given stays open."""

    def __init__(
        self,
        wish: Wish,
        resolved: Resolved,
        report: Report,
        executor: Executor | None = None,
        *,
        stop: Stop | None = None,
        command: str = "",
    ) -> None:
        """Check what can be checked before any file is looked at.

        Raises:
            UsageError, ModelError: the template or the model is wrong.
            OutputError, InputError: results.jsonl cannot be read.
        """
        engine = resolved.settings.engine
        is_exact = engine.width is not None or engine.height is not None
        choice = registry.choose(engine.model, None if is_exact else engine.scale, resolved.settings.temporal.frames)
        scale = None if is_exact else float(engine.scale or choice.scale)
        container = resolved.settings.encode.container
        self.naming = Naming(template=wish.name, model=choice.card.family, scale=scale, container=container)
        self.wish = wish
        self.home = home_of(wish.destination)
        self.stop = stop or Stop()
        self.results = Results(self.home.folder, self.home.earlier())
        names = {"source": str(wish.source), "destination": str(wish.destination), "results": self.home.address(NAME)}
        self.tally = Tally(report, **names)
        self.looks = Looks(resolved, wish.every_rule(), scale=scale, is_usual=wish.is_usual)
        self._resolved = resolved
        self._report = report
        self._executor = executor
        self._is_ours = executor is None
        self._command = command
        self._open: dict[int, _Open] = {}
        self._tries: Counter[str] = Counter()
        self._met_locked: set[str] = set()
        self._taken: dict[str, Entry] = {}  # ended as taken by another process, which may give it up
        self._again: list[Entry] = []
        self._halted: VsrError | None = None
        self._is_prepared = False
        self._in_vain: set[Path] = set()  # folders around results that did not come
        self._restarted: set[str] = set()  # of which this run has made a chunk: a second try goes on from it

    def __enter__(self) -> FolderRun:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for opened in self._open.values():
            opened.claim.close()
        if self._is_ours and self._executor is not None:
            self._executor.close()

    @property
    def is_halted(self) -> bool:
        """Whether something ended the whole run: the disk is full, the device is gone."""
        return self._halted is not None

    @property
    def is_overwriting(self) -> bool:
        """Whether results that are something else are made anew. No rule changes it."""
        return self._resolved.settings.run.overwrite

    def listing(self) -> Listing:
        """Read the source folder; what a folder run into this destination made is no source.

        Raises:
            InputError, UsageError: as `read_folder`, `read_url`.
        """
        return sources(self.wish, self.home, self._made_or_begun)

    def _made_or_begun(self) -> Collection[str]:
        self.results.refresh()
        return (*self.results.made, *self.results.begun)

    def named(self, files: Sequence[Found]) -> tuple[Entry, ...]:
        """Give each source its destination.

        Raises:
            UsageError: the template leads elsewhere. InputError: the store of the results cannot be reached.
        """
        return entries(files, self.home.folder, self.naming, url=self.home.url, stored=self.home.stored())

    def sorted(self, made: Sequence[Entry]) -> tuple[tuple[Entry, ...], tuple[Settled, ...]]:
        """Give those that are to be made, or looked at more closely, and those that need no work."""
        self.tally.total += len(made)
        queue: list[Entry] = []
        settled: list[Settled] = []
        for entry in made:
            try:
                standing = self.looks.standing(entry, self.results)
            except VsrError:
                queue.append(entry)  # told when its turn comes
                continue
            if standing.state in ("done", "passed") and standing.found is None:
                settled.append((entry, standing))
            else:
                queue.append(entry)
        return tuple(queue), tuple(settled)

    def is_readable(self, found: Found) -> None:
        """Raise what speaks against a source's headers, if anything does."""
        self.looks.traits(found)

    def skip(self, settled: Sequence[Settled]) -> None:
        """Tell of files that need no work."""
        for entry, standing in settled:
            self._settle(entry, standing)

    def refuse(self, entry: Entry, error: VsrError) -> None:
        """Tell that a file cannot be done."""
        self.tally.total += 1
        self.tally.end(entry, "failed", error=error)

    def freed(self) -> tuple[Entry, ...]:
        """Give files that ended as taken by another process, and are nobody's now: done by it, or given up."""
        free = tuple(entry for entry in self._taken.values() if not is_taken(self.home.folder, entry))
        for entry in free:
            del self._taken[entry.name]
            self.tally.take_back("taken")
        return free

    def work(self, queue: Sequence[Entry]) -> None:
        """Do every file of the queue; then look again at those that others had taken, and at those that failed.

        Raises:
            OutputError: the destination folder cannot be made or written.
        """
        if queue:
            self._prepare()
        weights = self.looks.weights(queue, lambda: self.stop.asked)
        self.tally.pace = Pace()
        for name, weight in weights.items():
            self.tally.pace.expect(name, weight)
        away = [entry for entry in queue if entry.name not in weights]
        for entry in away:
            self.tally.pace.guess(entry.name, entry.found.size)
        if away:
            said = "sources by URL are looked at when their turn comes: until then the time left goes by their bytes"
            self._report(Noted(message=said))
        while queue:
            self._again = []
            self._pass(queue)
            queue = self._again

    def over(self) -> FolderSummary:
        """Report and give the sum.

        Raises:
            VsrError: what ended the whole run.
        """
        try:
            self.home.share()
        except VsrError as error:
            self._report(Warned(message=f"{error.message}; the notes of this run are in {self.results.path}"))
        if not is_any_taken(self.home.folder):  # else somebody may be about to make something in them
            self.home.prune(self._in_vain)
        summary = self.tally.summary()
        self._report(summary)
        if self._halted is not None:
            same = "the same command" + (" without --restart" if self._resolved.settings.run.restart else "")
            self._halted.add_note(f"{summary.done} files are done, {summary.left} are left: {same} goes on")
            raise self._halted
        return summary

    def _prepare(self) -> None:
        if self._is_prepared:
            return
        self.home.prepare()
        self._is_prepared = True
        if self.home.url is not None:
            said = f"results are made in {self.home.folder}, stored in {self.home.url}, and removed here"
            self._report(Noted(message=said))

    def _pass(self, queue: Sequence[Entry]) -> None:
        waiting = {entry.name: entry for entry in queue}
        jobs = self._jobs(waiting)
        first = next(jobs, None)
        if first is not None:
            self._executor = self._executor or executor_for(first)
            hands = Counted(self._executor, self.tally)
            every = itertools.chain([first], jobs)
            for ended in run_each(every, hands, self._of_jobs, stop=self.stop, command=self._command):
                self._end(ended)
        for opened in list(self._open.values()):  # planned, and then somebody asked to stop
            self._put_down(opened)
            waiting[opened.entry.name] = opened.entry
        if self.is_halted or self.stop.asked:
            self._leave([*waiting.values(), *self._again])
            self._again = []

    def _jobs(self, waiting: dict[str, Entry]) -> Iterator[Job]:
        """Plan file after file; those that cannot be planned are told of here."""
        for name in list(waiting):
            if self.is_halted or self.stop.asked:
                return
            entry = waiting.pop(name)
            try:
                job = self._begin(entry)
            except VsrError as error:
                self._fail(entry, error)
                continue
            except Exception as error:
                log.debug("%s", entry.found.address, exc_info=error)
                self._fail(entry, unforeseen(error, entry))
                continue
            if job is not None:
                yield job

    def _begin(self, entry: Entry) -> Job | None:
        """Claim a file, see whether it still is to be made, plan it, note that it is begun."""
        try:
            self.home.check()
        except OutputError as error:
            self._halted = error
            raise
        entry = replace(entry, found=as_it_is(entry.found))
        with ExitStack() as claim:
            claim.enter_context(claimed(self.home.folder, entry.name))
            self.home.make_room(entry.destination)
            self.results.refresh()
            entry, standing = self._standing(self.home.as_it_is(entry), claim)
            if standing.state == "waiting":
                self.home.take_away(entry, overwrite=self.is_overwriting)
            if standing.found is not None:
                self.results.append(standing.found)
            if standing.state in _NO_WORK:
                self._settle(entry, standing)
                return None
            verdict = self.looks.verdict(entry)
            line = result_of(entry, self.looks.digest, verdict.resolved.settings)
            if verdict.skip:
                self.results.append(replace(line, status="passed", reason=verdict.skip))
                self.tally.end(entry, "skipped", verdict.skip)
                return None
            if standing.state == "other" and not self.is_overwriting:
                said = f"{entry.address} exists: {standing.reason}"
                raise OutputExists(said, hint="Add --overwrite to make it anew.")
            self.home.make_way(entry)
            wished = going_on(verdict.resolved) if entry.name in self._restarted else verdict.resolved
            job = plan(entry.found.path, entry.given(), wished, report=_named(entry, self._report))
            line = replace(
                line,
                model=job.model,
                model_scale=job.model_scale,
                model_digest=job.card.digest,
                fingerprint=job.fingerprint,
            )
            self.results.append(line)
            self.tally.begin(entry.name, job, resumed=_resumed(job))
            self._open[id(job)] = _Open(entry=entry, job=job, line=line, claim=claim.pop_all())
            return job

    def _standing(self, entry: Entry, claim: ExitStack) -> tuple[Entry, Standing]:
        """Tell what stands at a destination; its source is fetched if there is work to do, or nothing is told else."""
        if entry.found.origin is None:
            return entry, self.looks.standing(entry, self.results)
        with suppress(InputMissing):
            standing = self.looks.standing(entry, self.results)
            if standing.state in _NO_WORK:
                return entry, standing
        if entry.found.is_away:
            self._report(Noted(message=f"{entry.found.name}: fetching it"))
        entry = replace(entry, found=fetched(entry.found))
        claim.callback(remote.release, entry.found.path)
        claim.enter_context(remote.kept(entry.found.path))
        return entry, self.looks.standing(entry, self.results)

    def _settle(self, entry: Entry, standing: Standing) -> None:
        if standing.state == "waiting":
            self.home.tidy(entry)
            self.tally.end(entry, "earlier", "made by an earlier run, and stored now")
        elif standing.state == "passed":
            self.tally.end(entry, "skipped", standing.reason)
        elif entry.name in self._met_locked:
            self.tally.end(entry, "taken", "done by another process")
        else:
            self.tally.end(entry, "earlier", standing.reason)

    def _end(self, ended: Ended) -> None:
        """Note what became of a job, then give up its claim."""
        opened = self._open[id(ended.job)]
        entry, summary, error = opened.entry, ended.summary, ended.error
        if self.tally.has_made(opened.job):
            self._restarted.add(entry.name)
        try:
            if summary is not None:
                error = self._refused(opened)
            seconds = time.perf_counter() - opened.began
            if isinstance(error, Interrupted):
                self.tally.end(entry, "left", error.message)
                self.results.append(replace(opened.line, status="left"))
            elif error is not None:
                self._fail(entry, error, opened.line)
            elif summary is not None:
                told = replace(summary, source=entry.found.address, destination=entry.address)
                self.tally.end(entry, "done", wall_s=seconds, summary=told)
                size, frames = summary.size_bytes, summary.frames_out
                line = replace(opened.line, status="done", bytes=size, frames=frames, wall_s=round(seconds, 3))
                self.results.append(line)
                self.home.tidy(entry)
        except VsrError as error:  # results.jsonl cannot be written
            self._halted = self._halted or error
        finally:
            self._put_down(opened)

    def _refused(self, opened: _Open) -> VsrError | None:
        """Store a result where it goes to a URL; give what went wrong."""
        try:
            self.home.take_away(opened.entry, overwrite=self.is_overwriting)
        except VsrError as error:
            return error
        return None

    def _fail(self, entry: Entry, error: VsrError, line: Result | None = None) -> None:
        """Take a failure: later again, or for good; some end the whole run. line: of a file that was begun."""
        if isinstance(error, JobLocked):
            self._meet_locked(entry, error)
            return
        if ends_all(error, is_begun=line is not None):
            self._halted = self._halted or error
        elif not is_lasting(error, entry.found) and self._tries[entry.name] < self.wish.retry:
            self._tries[entry.name] += 1
            self._again.append(entry)
            self._report(Warned(message=f"{entry.found.name}: to be tried again: {entry.told(error.message)}"))
            return
        self._restarted.discard(entry.name)
        self.tally.end(entry, "failed", error=error)
        if error is self._halted and line is None:
            return
        try:
            line = line or result_of(entry, self.looks.digest, self._resolved.settings)
            self.results.append(replace(line, status="failed", reason=entry.told(error.message)))
        except InputError:
            log.info("%s cannot be read: no line of its failure", entry.found.address)
        except VsrError as cannot:
            self._halted = self._halted or cannot
        self._in_vain.add(entry.destination.parent)

    def _meet_locked(self, entry: Entry, error: JobLocked) -> None:
        """Put off what another process has; once: it may be at it for days."""
        if entry.name not in self._met_locked:
            self._met_locked.add(entry.name)
            self._again.append(entry)
        else:
            self._taken[entry.name] = entry
            self.tally.end(entry, "taken", error.message)

    def _leave(self, left: Sequence[Entry]) -> None:
        for entry in left:
            if entry.name in self._met_locked:
                self.tally.end(entry, "taken", "by another process")
            else:
                self.tally.end(entry, "left", "to be tried again" if self._tries[entry.name] else "not begun")

    def _put_down(self, opened: _Open) -> None:
        self._open.pop(id(opened.job), None)
        self.tally.put_down(opened.job)
        opened.claim.close()

    def _of_jobs(self, event: Event) -> None:
        """Hand on what jobs say that the folder does not say itself."""
        if isinstance(event, Noted | Warned | Worked):
            self._report(event)


def _named(entry: Entry, report: Report) -> Report:
    def told(event: Event) -> None:
        if isinstance(event, Noted | Warned):
            report(replace(event, message=f"{entry.found.name}: {entry.told(event.message)}"))
        elif isinstance(event, Worked):
            report(event)

    return told


def _resumed(job: Job) -> int:
    """Give how many frames an earlier run has made, by the job's journal."""
    folder = work_folder(job.destination)
    return read_status(folder).frames_done if folder.is_dir() and not job.settings.run.restart else 0
