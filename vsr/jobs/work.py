"""One job on disk: its work folder with lock, journal and segments, from the first chunk to the published result.

The folder lies beside the destination (`.NAME.vsr-work`), so that the same command finds it again. What the journal
says is done and is still there, whole, is not done again; whatever else lies in the folder was never finished and goes.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType

from vsr.core.errors import ChangedSinceStart, ChunkFailed, JobError, OutputError
from vsr.core.events import Noted, Report, Warned, silent
from vsr.core.job import Chunk, ChunkResult, Destination, Job
from vsr.io import atomic
from vsr.io.encoding.segments import refuse_other_encoder
from vsr.io.lock import locked, remove_locked
from vsr.io.probe import probe
from vsr.jobs.destination import refuse_taken
from vsr.jobs.executors.base import Task
from vsr.jobs.facts import Facts, content, differences, facts, fingerprint, sampled, stamps
from vsr.jobs.journal import JOURNAL, LOCK, SUFFIX, Journal, Record, replay
from vsr.jobs.records import (
    begun_record,
    chunk_record,
    chunk_result,
    device_kind,
    recorded_facts,
    recorded_libraries,
    versions_here,
)
from vsr.pipeline.chunk import digest_of, segment_name

PARTS = "parts"
MACHINES = ("precision", "batch", "tile")  # facts that another kind of device chooses otherwise


def work_folder(destination: Destination) -> Path:
    """Give the hidden folder beside the destination that its job works in; two patterns in one folder have two."""
    path = destination.path
    final = path.resolve() if path.is_symlink() else path.absolute()
    mark = _mark(destination.pattern) if destination.is_shared else ""
    name = f".{final.name}{mark}{SUFFIX}"
    if len(os.fsencode(name)) > atomic.NAME_BYTES:
        name = f".{_mark(name)}{SUFFIX}"
    return final.with_name(name)


def _mark(name: str) -> str:
    return "." + hashlib.sha256(os.fsencode(name)).hexdigest()[:16]


def begun(destination: Destination) -> Record | None:
    """Give what the journal of an interrupted run says it began with; None if there is none."""
    records = replay(work_folder(destination) / JOURNAL)
    return records[0] if records and records[0].get("kind") == "begun" else None


def is_published(destination: Destination) -> bool:
    """Whether the destination is the result of the run whose work folder still lies beside it, killed while tidying."""
    try:
        joined = [record for record in replay(work_folder(destination) / JOURNAL) if record.get("kind") == "joined"]
        return bool(joined) and joined[-1].get("digest") == _digest_of_result(destination.path)
    except (OSError, JobError):
        return False


def is_ours(destination: Destination) -> bool:
    """Whether what stands at the destination is this job's own: its result, or pictures that a killed run moved in.

    A picture in a folder that others use too is known by its inode: it is a second name of the segment's.
    """
    if not destination.is_shared:
        return is_published(destination)
    try:
        made = list(work_folder(destination).glob("[0-9]*/*"))
        there = [(file, other) for file in made if (other := destination.path / file.name).exists()]
        return bool(there) and all(file.samefile(other) for file, other in there)
    except OSError:
        return False


class Work:
    """The state of one job. `with Work(job) as work:` locks it; chunks are recorded one by one.

    Raises, when entered:
        JobLocked: another process has it.
        ChangedSinceStart: what is there was begun with another source, model or setting; each is named.
        OutputExists: something has come to stand at the destination.
        OutputError: the folder cannot be made or read, or is a link.
    """

    def __init__(self, job: Job, report: Report = silent, *, command: str = "") -> None:
        self.job = job
        self.folder = work_folder(job.destination)
        self.results: dict[int, ChunkResult] = {}
        self.resumed_frames = 0
        self.warnings: list[str] = []
        self._report = report
        self._command = command
        self._stack = ExitStack()
        self._journal: Journal | None = None
        self._stamp = stamps(_files(job))
        self._facts: Facts = {}
        self._is_gone = False

    def __enter__(self) -> Work:
        atomic.check_writable(self.job.destination.path)
        if self.folder.is_symlink():
            raise OutputError(
                f"{self.folder} is a link, and no folder of a job's", hint="Remove the link, or name another output."
            )
        with self._stack as stack:
            stack.enter_context(locked(self.folder / LOCK))
            is_new = self.job.settings.run.restart or begun(self.job.destination) is None
            try:
                self._open()
            except BaseException as error:
                if self._journal is not None:
                    self._journal.close()
                if is_new:
                    self._remove_folder()
                if isinstance(error, OSError):
                    raise atomic.translate(error, self.folder) from error
                raise
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Release the job; a folder in which no chunk is done is of no use to anyone, and goes."""
        with self._stack:
            if self._journal is not None:
                self._journal.close()
            if not self.results and not self._is_gone:
                self._remove_folder()

    @property
    def done_frames(self) -> int:
        return sum(result.frames for result in self.results.values())

    @property
    def parts(self) -> Path:
        """Give a folder on the destination's device for what is not whole yet; what is left in it goes.

        Raises:
            DiskFull, OutputError: it cannot be made.
        """
        folder = self.folder / PARTS
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise atomic.translate(error, folder) from error
        return folder

    def pending(self) -> tuple[Task, ...]:
        """Give a task for every chunk that is not done."""
        return tuple(self._task(chunk) for chunk in self.job.chunks if chunk.index not in self.results)

    def record(self, result: ChunkResult) -> None:
        """Take a finished chunk: its segment is whole and on disk, from here on it is not done again.

        Raises:
            ChunkFailed: the segment is not what the worker wrote. MuxError: it cannot be joined with the others.
            OutputError: the journal cannot be written; the chunk is then not done.
            ChangedSinceStart: it may have been made from another source than the job was planned for.
        """
        chunk = self._chunk(result.index)
        self._check_source_of(chunk)
        path = self.folder / segment_name(self.job, chunk)
        if not _is_whole(path, result.digest):
            raise ChunkFailed(f"segment {path} is not what was written into it", hint="Check the disk and the network.")
        self._check_encoder_of(result)
        try:
            atomic.sync(self.folder)
        except OSError as error:
            raise atomic.translate(error, self.folder) from error
        assert self._journal is not None
        self._journal.append(chunk_record(result))
        self.results[result.index] = result

    def record_joined(self, result: Path) -> None:
        """Note what the finished file is, before it gets its name: a run that is killed then knows it again."""
        assert self._journal is not None
        try:
            digest = _digest_of_result(result)
        except OSError as error:
            raise atomic.translate(error, result) from error
        self._journal.append({"kind": "joined", "digest": digest})

    def _check_source_of(self, chunk: Chunk) -> None:
        """Look at the files that a chunk was made from alone: a sequence may have a hundred thousand."""
        files = _files(self.job)
        part = slice(chunk.decode.start or 0, chunk.decode.stop) if len(files) > 1 else slice(None)
        if stamps(files[part]) != self._stamp[part]:
            self.check_source()

    def _check_encoder_of(self, result: ChunkResult) -> None:
        """Refuse what cannot be joined with the others as soon as there is one, not when all are done."""
        first = next((other for other in self.results.values() if other.frames), None)
        if self.job.destination.kind == "video" and result.frames and first is not None:
            path, beside = (self._task(self._chunk(index)).path for index in (result.index, first.index))
            refuse_other_encoder(path, beside, self.job.output)

    def check_source(self) -> None:
        """Hold the source against what it was when the job was planned.

        Raises:
            ChangedSinceStart: it is another one now.
        """
        source, stamp = self.job.source, stamps(_files(self.job))
        if stamp == self._stamp:
            return
        is_same = content(source) == self._facts["the source's content"]
        if is_same and source.kind == "video":
            is_same = probe(source.path, max_pixels=self.job.settings.run.max_pixels).packets == source.packets
        if not is_same:
            raise ChangedSinceStart(
                f"{source.path} has changed since the job began", hint="Run again with --restart to begin anew."
            )
        self._stamp = stamp

    def discard(self) -> None:
        """Remove the folder, its work being done; the journal last, which tells whose the result is."""
        with suppress(OSError):  # what is in the way is told of below
            for entry in self.folder.iterdir():
                if entry.name not in (JOURNAL, LOCK):
                    _remove(entry)
        self._remove_folder()

    def _remove_folder(self) -> None:
        """Once: as soon as the lock file is gone, a folder of the same name is somebody else's."""
        self._is_gone = True
        try:
            remove_locked(self.folder / LOCK)
        except OutputError as error:
            self._warn(f"{error.message}; nothing in it is needed any more")

    def _open(self) -> None:
        """Read the journal, hold it against the job, keep what is whole; begin a new one where there is none."""
        # Another process may have published there since the job was planned: seen now, and not when all is done.
        refuse_taken(self.job.destination, overwrite=self.job.settings.run.overwrite, is_ours=is_ours)
        self._facts = facts(self.job)
        if fingerprint(self._facts, self.job.track) != self.job.fingerprint:
            raise ChangedSinceStart(f"{self.job.source.path} has changed while it was looked at", hint="Run again.")
        path = self.folder / JOURNAL
        record = None if self.job.settings.run.restart else begun(self.job.destination)
        if record is None:
            if not self.job.settings.run.restart and any(self.folder.glob("[0-9]*")):
                self._warn(f"the beginning of {path} is damaged: what an earlier run has done is lost, and made again")
            _remove(path)
        else:
            self._compare(record)
        self._journal = Journal(path)
        atomic.sync(self.folder.parent)  # or the power goes, and with the folder's name all that is in it
        if not self._journal.records:
            self._journal.append(begun_record(self.job, self._facts, self._command))
        self._resume(self._journal.records)
        self._sweep()

    def _compare(self, record: Record) -> None:
        """Hold the job against what the journal began with.

        Raises:
            ChangedSinceStart: naming each difference.
        """
        kind, earlier = device_kind(self.job), record.get("device")
        changed = differences(
            *(
                {name: known[name] for name in known if earlier == kind or name not in MACHINES}
                for known in (recorded_facts(record), self._facts)
            )
        )
        if changed:
            raise ChangedSinceStart(
                f"{self.job.destination.path} was begun otherwise: {'; '.join(changed)}",
                hint="Give what it was begun with to go on, or --restart to begin anew.",
            )
        before = recorded_libraries(record)
        others = differences(before, versions_here()) if before else []
        if others:
            self._warn(f"begun with other libraries ({'; '.join(others)}): the frames of the two may differ")
        if earlier != kind:
            self._warn(f"begun on {earlier}, going on on {kind}: the frames of the two differ in rounding")

    def _resume(self, records: tuple[Record, ...]) -> None:
        lost, published = 0, is_published(self.job.destination)
        for record in records:
            if record.get("kind") != "chunk":
                continue
            result = chunk_result(record, self.folder, self.job)
            if result is not None and (published or _is_whole(result.path, result.digest)):
                self.results[result.index] = result
            else:
                lost += 1
        self.resumed_frames = self.done_frames
        if lost:
            self._warn(f"{lost} segments in {self.folder} are damaged or gone: they are made again")
        if self.results:
            self._report(Noted(message=f"going on: {self.progress()} are done"))

    def _sweep(self) -> None:
        """Remove what no finished chunk owns."""
        kept = {JOURNAL, LOCK, *(result.path.name for result in self.results.values())}
        for entry in self.folder.iterdir():
            if entry.name not in kept:
                _remove(entry)

    def progress(self) -> str:
        total = sum(chunk.frames for chunk in self.job.chunks)
        return f"{len(self.results)} of {len(self.job.chunks)} chunks ({self.done_frames} of {total} frames)"

    @property
    def way_on(self) -> str:
        """Give the words for what goes on from what is done."""
        return "the same command" + (" without --restart" if self.job.settings.run.restart else "")

    def _chunk(self, index: int) -> Chunk:
        return next(chunk for chunk in self.job.chunks if chunk.index == index)

    def _task(self, chunk: Chunk) -> Task:
        return Task(job=self.job, chunk=chunk, path=self.folder / segment_name(self.job, chunk))

    def _warn(self, message: str) -> None:
        self.warnings.append(message)
        self._report(Warned(message=message))


def _digest_of_result(path: Path) -> str:
    """Give a digest of a finished file, or of the names, sizes and times in a finished folder."""
    if not path.is_dir():
        return sampled(path)
    files = sorted(path.iterdir())
    told = [f"{file.name} {size} {time}" for file, (size, time) in zip(files, stamps(files), strict=True)]
    return hashlib.sha256("\n".join(told).encode("utf-8", "surrogateescape")).hexdigest()


def _remove(entry: Path) -> None:
    if entry.is_dir() and not entry.is_symlink():
        shutil.rmtree(entry, ignore_errors=True)
    else:
        entry.unlink(missing_ok=True)


def _files(job: Job) -> tuple[Path, ...]:
    return job.source.files or (job.source.path,)


def _is_whole(path: Path, digest: str) -> bool:
    try:
        return path.exists() and digest_of(path) == digest
    except OSError:
        return False
