"""Run Jobs: chunks through an executor, journalled as they get done, joined, checked, published under their name.

Nothing half-made ever bears the destination's name. Whatever stops a run, what is done stays in the work folder, and
the same command goes on from there.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from vsr.core.errors import Interrupted, OutOfMemory, VsrError
from vsr.core.events import Event, Noted, Report, Summary, Warned, silent
from vsr.core.job import Job
from vsr.core.presets import find, resolve
from vsr.core.settings import Resolved
from vsr.core.stop import Stop
from vsr.engines.device import cores
from vsr.io.atomic import translate
from vsr.jobs.executors.base import Executor, Failed, Finished, Task, Working
from vsr.jobs.executors.opening import executor_for
from vsr.jobs.plan import plan
from vsr.jobs.preflight import in_words, refuse_endless
from vsr.jobs.publish import Published, publish, recover
from vsr.jobs.rehearsal import forecast_seconds, rehearse
from vsr.jobs.remote import staged_remote
from vsr.jobs.watch import Watch
from vsr.jobs.work import Work, is_published
from vsr.pipeline.lanes import merge_loads

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """What became of one job: its summary, or the error that ended it."""

    job: Job
    summary: Summary | None = None
    error: VsrError | None = None


def upscale(
    source: str | Path,
    destination: str | Path | None = None,
    *,
    preset: str | None = None,
    settings: Mapping[str, object] | None = None,
    report: Report = silent,
) -> Summary:
    """Upscale one source. `settings` holds names of `core/settings.py` (`{"model": "espcn", "scale": 2}`).

    Raises:
        VsrError: see `core/errors.py`; the destination is then untouched.
    """
    resolved = resolve(dict(settings or {}), find(preset) if preset else None)
    where = str(destination) if destination is not None else None
    return make(str(source), where, resolved, report)


def make(
    source: str,
    destination: str | None,
    resolved: Resolved,
    report: Report = silent,
    *,
    stop: Stop | None = None,
    command: str = "",
) -> Summary:
    """Plan and run one source, by path or URL, to a destination, by path or URL.

    Raises:
        Interrupted: `stop` was asked; the same command goes on.
        VsrError: see `core/errors.py`; the destination is then untouched.
    """
    with staged_remote(source, destination, overwrite=resolved.settings.run.overwrite, report=report) as staged:
        job = plan(staged.source, staged.destination, resolved, report=report)
        if staged.is_to_be_made(job.fingerprint):
            return run(job, report, stop=stop, command=command)
        return _stored(job)


def run(
    job: Job,
    report: Report = silent,
    executor: Executor | None = None,
    *,
    stop: Stop | None = None,
    command: str = "",
) -> Summary:
    """Run a planned job to the end, or take it up where an earlier run of it was stopped, and publish its result.

    command: what the user typed, for the journal.

    Raises:
        Interrupted: `stop` was asked; the same command goes on.
        VsrError: see `core/errors.py`; the destination is then untouched.
    """
    hands = executor or executor_for(job)
    try:
        every = list(run_each(iter([job]), hands, report, stop=stop, command=command))
    finally:
        hands.close()
        if stop is not None:
            stop.is_heard = False  # what the caller still does has no chunks to stop between
    if not every:
        raise _interrupted(f"stopped: {job.destination.path} is not begun", None, stop)
    (ended,) = every
    if ended.error is not None:
        raise ended.error
    assert ended.summary is not None
    return ended.summary


def run_each(
    jobs: Iterator[Job], executor: Executor, report: Report = silent, *, stop: Stop | None = None, command: str = ""
) -> Iterator[Ended]:
    """Run jobs through one executor, and yield each as it ends; one that fails does not stop the others.

    The next job is taken from `jobs` (which may plan it only then) when a worker is free and the chunks of the one
    before are all given out. An error that `jobs` itself raises ends everything.
    """
    shift = _Shift(jobs=jobs, report=_patient(report), stop=stop or Stop(), command=command, is_here=executor.is_here)
    shift.stop.is_heard = True
    try:
        with closing(executor.run(shift.tasks(), shift.tick)) as outcomes:  # workers end before the lock is released
            for outcome in outcomes:
                shift.take(outcome)
                yield from shift.ended()
        yield from shift.ended()
        yield from shift.interrupted()
    finally:
        shift.close()


@dataclass(slots=True, kw_only=True)
class _Open:
    """A job that is being worked on."""

    work: Work
    watch: Watch
    began: float
    cpu: float
    waiting: int  # chunks that are not done
    first: float = 0.0  # when the first task was given out, and the last outcome came
    last: float = 0.0
    elsewhere_s: float = 0.0  # CPU seconds of other processes
    error: VsrError | None = None
    warnings: list[str] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class _Shift:
    """The jobs that are open, in one place: tasks go out, outcomes come in, jobs end."""

    jobs: Iterator[Job]
    report: Report
    stop: Stop
    command: str
    is_here: bool
    _open: dict[int, _Open] = field(default_factory=dict)
    _out: dict[int, int] = field(default_factory=dict)  # tasks of a job that are in somebody's hands
    _ended: list[Ended] = field(default_factory=list)

    def tasks(self) -> Iterator[Task]:
        """Give out tasks until the jobs end or somebody asks to stop."""
        while not self.stop.asked:
            job = next(self.jobs, None)
            if job is None:
                return
            opened = self._enter(job)
            if opened is None:
                continue
            for task in opened.work.pending():
                if self.stop.asked or opened.error is not None:
                    break
                self._out[id(job)] = self._out.get(id(job), 0) + 1
                opened.first = opened.first or time.perf_counter()
                yield task
            self._settle(opened)

    def tick(self, working: Working) -> None:
        opened = self._open.get(id(working.task.job))
        if opened is not None:
            opened.watch.tick(working)

    def take(self, outcome: Finished | Failed) -> None:
        """Journal a finished chunk, or note why its job cannot end well."""
        opened = self._open[id(outcome.task.job)]
        self._out[id(outcome.task.job)] -= 1
        opened.last = time.perf_counter()
        opened.watch.finished(outcome)
        try:
            if isinstance(outcome, Failed):
                raise outcome.error
            opened.work.record(outcome.result)
            opened.elsewhere_s += 0.0 if self.is_here else outcome.result.cpu_s
            opened.waiting -= 1
        except VsrError as error:
            opened.error = opened.error or error
        self._settle(opened)

    def ended(self) -> Iterator[Ended]:
        while self._ended:
            yield self._ended.pop(0)

    def interrupted(self) -> Iterator[Ended]:
        """End what is still open: its tasks were not all given out, because somebody asked to stop."""
        for opened in list(self._open.values()):
            work = opened.work
            said = f"stopped: {work.progress()} of {work.job.destination.path} are done"
            hint = f"Run {work.way_on} again to go on." if work.results else None
            error = _interrupted(said, hint, self.stop)
            self._leave(opened, Ended(job=work.job, error=error))
        yield from self.ended()

    def close(self) -> None:
        """Release whatever is still open: an exception is on its way."""
        for opened in self._open.values():
            opened.work.__exit__(None, None, None)
            if opened.work.results:
                self.report(Noted(message=_kept(opened.work)))
        self._open.clear()

    def _enter(self, job: Job) -> _Open | None:
        began, cpu = time.perf_counter(), _cpu_seconds()
        work = Work(job, self.report, command=self.command)
        try:
            work.__enter__()
        except VsrError as error:
            self._ended.append(Ended(job=job, error=error))
            return None
        total = sum(chunk.frames for chunk in job.chunks)
        waiting = len(work.pending())
        watch = Watch(total=total, report=self.report, done=work.done_frames)
        opened = _Open(work=work, watch=watch, began=began, cpu=cpu, waiting=waiting)
        self._open[id(job)] = opened
        try:
            if waiting and not work.results:
                for warning in self._before(job, work):
                    self.report(Warned(message=warning))
                    opened.warnings.append(warning)
        except BrokenPipeError:  # nobody reads what is reported: no fault of the job's
            raise
        except (VsrError, OSError) as error:
            self._leave(opened, Ended(job=job, error=_ours(error, job)))
            return None
        return opened

    def _before(self, job: Job, work: Work) -> Iterator[str]:
        """Look whether a long job can end well, before it is begun; yield what to warn of.

        Raises:
            MuxError, EncodeError, DiskFull, JobError: it cannot.
        """
        yield from rehearse(job, work.parts)
        if job.settings.run.cluster is not None:
            return  # how fast that is, this machine cannot tell
        try:
            seconds = forecast_seconds(job, work.parts, workers=max(1, len(job.compute.devices)))
        except OutOfMemory:  # the workers may hold an engine already, and two do not fit: no word on the job itself
            seconds = None
        if seconds is not None:
            self.report(Noted(message=f"this will take {in_words(seconds)}"))
            yield from refuse_endless(job, seconds)

    def _settle(self, opened: _Open) -> None:
        """End a job of which nothing is in anybody's hands and nothing will be given out."""
        job = opened.work.job
        if id(job) not in self._open or self._out.get(id(job), 0):
            return
        if opened.error is not None:
            if opened.work.results:
                opened.error.add_note(_kept(opened.work))
            self._leave(opened, Ended(job=job, error=opened.error))
        elif not opened.waiting:
            try:
                ended = Ended(job=job, summary=self._finish(opened))
            except BrokenPipeError:
                raise
            except (VsrError, OSError) as error:
                failed = _ours(error, job)
                failed.add_note(f"what is done is kept: {opened.work.way_on} goes on from there")
                ended = Ended(job=job, error=failed)
            if ended.summary is not None:
                self.report(ended.summary)  # what it meets is no fault of the result, which stands
            self._leave(opened, ended)

    def _finish(self, opened: _Open) -> Summary:
        work, job = opened.work, opened.work.job
        made = recover(work) if is_published(job.destination) else publish(work)
        results = [work.results[chunk.index] for chunk in job.chunks]
        known = (*job.warnings, *work.warnings, *opened.warnings)
        late = (*(warning for result in results for warning in result.warnings), *made.warnings)
        # What the planner foresaw begins alike, and goes on with how to keep it.
        for warning in (new := [text for text in dict.fromkeys(late) if not any(k.startswith(text) for k in known)]):
            self.report(Warned(message=warning))
        summary = _summary(opened, (*known, *new), made)
        work.discard()
        return summary

    def _leave(self, opened: _Open, ended: Ended) -> None:
        del self._open[id(opened.work.job)]
        opened.work.__exit__(None, None, None)
        self._ended.append(ended)


def _patient(report: Report) -> Report:
    """Let a job go on when its log cannot be written: a full disk, a terminal that is gone. A gone reader ends it."""

    def told(event: Event) -> None:
        try:
            report(event)
        except OSError as error:
            if isinstance(error, BrokenPipeError) or isinstance(event, Summary):
                raise
            log.debug("not reported: %s: %s", event, error)

    return told


def _interrupted(said: str, hint: str | None, stop: Stop | None) -> Interrupted:
    error = Interrupted(said, hint=hint)
    error.exit_code = stop.code if stop is not None else error.exit_code
    return error


def _kept(work: Work) -> str:
    return f"{work.progress()} are kept: {work.way_on} goes on from there"


def _ours(error: VsrError | OSError, job: Job) -> VsrError:
    """Give what the disk says while the job's own files are handled, in our words."""
    return error if isinstance(error, VsrError) else translate(error, job.destination.path)


def _summary(opened: _Open, warnings: tuple[str, ...], published: Published) -> Summary:
    work = opened.work
    job, results = work.job, work.results.values()
    stages = merge_loads(load for result in results for load in result.stages)
    made, inferring = work.done_frames - work.resumed_frames, opened.last - opened.first
    path = job.destination.path
    return Summary(
        source=str(job.source.path),
        destination=str(path),
        frames_in=work.done_frames,
        frames_out=published.frames,
        wall_s=time.perf_counter() - opened.began,
        cpu_s=_cpu_seconds() - opened.cpu + opened.elsewhere_s,
        cores=cores(),
        fps=made / inferring if inferring > 0 else 0.0,
        bottleneck=max(stages, key=lambda load: load.busy).name if stages else "",
        stages=stages,
        width=job.output.width,
        height=job.output.height,
        size_bytes=_size(path),
        warnings=warnings,
        resumed_frames=work.resumed_frames,
        verified=published.verified,
    )


def _stored(job: Job) -> Summary:
    """Give the summary of a job that an earlier run has done, but for taking its result away."""
    frames = sum(chunk.frames for chunk in job.chunks)
    return Summary(
        source=str(job.source.path),
        destination=str(job.destination.path),
        frames_in=frames,
        frames_out=frames,
        wall_s=0.0,
        cpu_s=0.0,
        cores=cores(),
        fps=0.0,
        bottleneck="",
        stages=(),
        width=job.output.width,
        height=job.output.height,
        size_bytes=0,
        resumed_frames=frames,
    )


def _size(path: Path) -> int:
    if path.is_dir():
        return sum(file.stat().st_size for file in path.iterdir() if file.is_file())
    return path.stat().st_size


def _cpu_seconds() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system
