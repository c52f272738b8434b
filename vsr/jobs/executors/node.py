"""What a machine of a cluster does for the one that runs the job: an Order comes in, an Answer goes out.

A node finds source and work folder at the same paths, on a disk that all machines share; or it fetches the source by
its URL, and its segment travels back in the Answer. Nothing here knows which cluster carries the two. What is done is
known only to the journal, on the disk of the machine that runs the job: a node may do an order twice, or die over it.
"""

from __future__ import annotations

import dataclasses
import os
import platform
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vsr.core.errors import ChangedSinceStart, InputMissing, JobError, UsageError, VsrError
from vsr.core.events import StageLoad
from vsr.core.job import Chunk, ChunkResult, Job
from vsr.engines import registry
from vsr.io import atomic, remote
from vsr.io.remote import Origin
from vsr.io.versions import libraries
from vsr.jobs.executors.base import Failed, Task, Working
from vsr.jobs.executors.worker import Worker, discard
from vsr.jobs.facts import Facts, differences, facts

Told = Callable[[str, int, tuple[StageLoad, ...]], None]
"""Takes what a worker says of itself: its name, frames done, stages."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What the machine that runs a job has, and a node must have too. One for all chunks of the job.

    token: a file in the work folder: a node that sees it shares the folder. origin: where the source can be fetched.
    cpus: how many threads an order may take. on_gpu: the node's first visible GPU is this order's.
    """

    token: Path
    facts: Facts
    libraries: tuple[tuple[str, str], ...]
    origin: Origin | None
    cpus: int
    on_gpu: bool


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One chunk to do. name: of this attempt alone."""

    name: str
    chunk: Chunk
    path: Path


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came of an order: a result or an error (with the notes that pickling loses).

    content: of the segment, by name (one file, or a folder's), where the work folder is not shared; else it lies at
    the order's path.
    """

    worker: str
    result: ChunkResult | None = None
    error: VsrError | None = None
    notes: tuple[str, ...] = ()
    content: Mapping[str, NDArray[np.uint8]] | None = None


_worker: Worker | None = None  # one a process: its engine stays open from order to order
_agreed: set[Path] = set()  # tokens of the jobs that this process has held against its own machine


def do(order: Order, terms: Terms, job: Job, told: Told) -> Answer:
    """Do an order on this machine, with the engine that is open from the one before where it fits.

    `told` is called in this thread a few times a second.
    """
    device = "cuda:0" if terms.on_gpu else "cpu"
    name = f"{platform.node()} {device} #{os.getpid()}"
    try:
        is_shared = terms.token.is_file()
        here = _here(job, terms, device, name)
        if job.trace is not None and not is_shared:
            raise UsageError(f"{name} does not share {job.trace.folder}: the pictures of --trace would stay there")
        with _place(order, is_shared=is_shared) as path:
            return _done(Task(job=here, chunk=order.chunk, path=path), order, name, told, is_shared=is_shared)
    except VsrError as error:
        return Answer(worker=name, error=error, notes=_notes(error))
    except OSError as error:
        return Answer(worker=name, error=atomic.translate(error, order.path))


def leftovers(path: Path, name: str) -> list[Path]:
    """Give what an order of this name may have left around `path` when its node was ended in the middle of it."""
    return [part for part in (_part(path, name),) if part.exists()]


def write(content: Mapping[str, NDArray[np.uint8]], path: Path, *, is_folder: bool) -> None:
    """Write a segment that came in an Answer: temporary name, sync, rename.

    Raises:
        DiskFull, OutputError: it cannot be written.
    """
    part = _part(path, "came")
    try:
        if is_folder:
            part.mkdir()
            for name, data in content.items():
                data.tofile(part / name)
        else:
            (data,) = content.values()
            data.tofile(part)
        _publish(part, path)
    except OSError as error:
        raise atomic.translate(error, path) from error
    finally:
        remove(part)


def remove(path: Path) -> None:
    """Remove a file or a folder, if it is there."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _here(job: Job, terms: Terms, device: str, name: str) -> Job:
    """Give the job as it is done on this machine.

    Raises:
        JobError: other versions of what makes the pixels.
        ModelError: no such model.
        ChangedSinceStart: another source, another model, or another version of vsr.
        InputMissing: the source is neither on a shared disk nor at a URL.
    """
    if terms.libraries != (have := libraries()):
        pairs = zip(terms.libraries, have, strict=True)
        other = [f"{library} {has}, not {wanted}" for (library, wanted), (_, has) in pairs if wanted != has]
        raise JobError(f"{name} has {'; '.join(other)}", hint="Install the same versions on every machine.")
    info = job.source
    files = info.files or (info.path,)
    if not all(file.exists() for file in files):
        if terms.origin is None:
            raise InputMissing(
                f"{info.path} does not exist on {name}", hint="Put it on a disk that all machines share, or name a URL."
            )
        info = dataclasses.replace(info, path=remote.fetch(terms.origin.url, remote.cache_folder()))
        if info.files:
            info = dataclasses.replace(info, files=(info.path,))
    compute = dataclasses.replace(job.compute, device=device, workers=min(job.compute.workers, terms.cpus))
    here = dataclasses.replace(job, source=info, compute=compute)
    if terms.token not in _agreed:
        changed = differences(terms.facts, facts(here))
        card = registry.choose(job.model, job.model_scale, job.card.frames).card
        if card != job.card:
            changed.append(
                f"model: {card.id} with weights {card.digest[:8]}, was {job.card.id} with {job.card.digest[:8]}"
            )
        if changed:
            raise ChangedSinceStart(f"{name} has another job: {'; '.join(changed)}")
        _agreed.add(terms.token)
    return here


@contextmanager
def _place(order: Order, *, is_shared: bool) -> Iterator[Path]:
    """Give the path to write to: beside the order's own where the folder is shared, else on this machine."""
    if is_shared:
        part = _part(order.path, order.name)
        try:
            yield part
        finally:
            remove(part)
        return
    with tempfile.TemporaryDirectory(prefix="vsr-node-") as folder:
        yield Path(folder) / order.path.name


def _done(task: Task, order: Order, name: str, told: Told, *, is_shared: bool) -> Answer:
    global _worker  # noqa: PLW0603
    if _worker is None:
        _worker = Worker(name)

    def tick(working: Working) -> None:
        told(working.worker, working.done, working.stages)

    outcome = _worker.do(task, tick)
    if isinstance(outcome, Failed):
        discard(task)
        return Answer(worker=name, error=outcome.error, notes=_notes(outcome.error))
    result = dataclasses.replace(outcome.result, path=order.path)
    if is_shared:
        _publish(task.path, order.path)
        return Answer(worker=name, result=result)
    files = sorted(task.path.iterdir()) if task.path.is_dir() else [task.path]
    return Answer(worker=name, result=result, content={file.name: np.fromfile(file, np.uint8) for file in files})


def _part(path: Path, name: str) -> Path:
    return path.with_name(f"{path.stem}-{name}.part{path.suffix}")


def _publish(part: Path, path: Path) -> None:
    """Give what is whole its name. Another node may have done the same order before: its bytes are the same."""
    for file in part.iterdir() if part.is_dir() else ():
        atomic.sync(file)
    atomic.sync(part)
    if part.is_dir() and path.exists():
        shutil.rmtree(path)
    part.replace(path)
    atomic.sync(path.parent)


def _notes(error: VsrError) -> tuple[str, ...]:
    return tuple(getattr(error, "__notes__", ()))
