"""A worker: does tasks one after the other on one device, and keeps the engine open between them.

Every executor has its workers do this, wherever they live. Whatever befalls a chunk becomes the task's outcome; what
the caller's own `tick` raises, and what asks the program to end, passes through.
"""

from __future__ import annotations

import dataclasses
import shutil
import traceback
from contextlib import suppress

from vsr.core.card import ModelCard, Precision
from vsr.core.errors import ChunkFailed, VsrError
from vsr.core.events import StageLoad
from vsr.core.job import Job
from vsr.core.sampling import Sampling
from vsr.engines.base import Engine
from vsr.jobs.executors.base import Failed, Finished, Outcome, Task, Tick, Working
from vsr.pipeline.chunk import open_engine, run_chunk


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _EngineKey:
    """What an engine is opened with: jobs that agree in it share one."""

    model: str
    scale: int
    device: str
    precision: Precision
    sampling: Sampling | None
    card: ModelCard  # holds the number of frames, and the digest of the weights


class Worker:
    """Does tasks on the job's device, or on one of its own, with `1 / share` of the job's threads."""

    def __init__(self, name: str | None = None, *, device: str | None = None, share: int = 1) -> None:
        self._name = name
        self._device = device
        self._share = share
        self._engine: Engine | None = None
        self._key: _EngineKey | None = None
        self._given: Job | None = None  # the last job, as it came
        self._job: Job | None = None  # and as it is done here

    def do(self, task: Task, tick: Tick) -> Outcome:
        """Do one task; `tick` is called in this thread a few times a second.

        Nothing is left at the task's path when it fails.
        """
        job = self._here(task.job)
        name = self._name or job.compute.device
        escaped = False

        def told(done: int, stages: tuple[StageLoad, ...]) -> None:
            nonlocal escaped
            escaped = True
            tick(Working(worker=name, task=task, done=done, stages=stages))
            escaped = False

        try:
            result = run_chunk(job, task.chunk, task.path, self._engine_for(job), told)
            if result.frames < task.chunk.frames:
                # Damage gives the same again; what could not be read for a moment is there the second time.
                discard(task)
                result = run_chunk(job, task.chunk, task.path, self._engine_for(job), told)
        except Exception as error:
            discard(task)
            if escaped:
                raise
            if isinstance(error, VsrError):
                return Failed(task=task, error=error)
            self.close()  # nobody knows what state it is in
            return Failed(task=task, error=_unforeseen(task, error))
        return Finished(task=task, result=result, worker=name)

    def close(self) -> None:
        """Close the engine. Safe to call twice; the next task opens one again."""
        engine, self._engine, self._key = self._engine, None, None
        if engine is not None:
            engine.close()

    def _here(self, job: Job) -> Job:
        """Give the job as it runs here: on this worker's device, with its share of the threads."""
        if self._given is not job or self._job is None:
            compute = dataclasses.replace(
                job.compute,
                device=self._device or job.compute.device,
                workers=max(1, job.compute.workers // self._share),
            )
            self._given, self._job = job, dataclasses.replace(job, compute=compute)
        return self._job

    def _engine_for(self, job: Job) -> Engine:
        key = _EngineKey(
            model=job.model,
            scale=job.model_scale,
            device=job.compute.device,
            precision=job.compute.precision,
            sampling=job.sampling,
            card=job.card,
        )
        if self._engine is None or self._key != key:
            self.close()  # first: two engines may not fit
            self._engine, self._key = open_engine(job), key
        return self._engine


def frames_of(task: Task) -> str:
    """Give `frames 120 to 179 of film.mkv`, counted from the job's first frame."""
    first = sum(chunk.frames for chunk in task.job.chunks if chunk.index < task.chunk.index)
    return f"frames {first} to {first + task.chunk.frames - 1} of {task.job.source.path}"


def discard(task: Task) -> None:
    """Remove what is at the task's path: half of a chunk, or one that nobody will take."""
    if task.path.is_dir():
        shutil.rmtree(task.path, ignore_errors=True)
    else:
        with suppress(OSError):  # a disk that can no longer be written to has been told of already
            task.path.unlink(missing_ok=True)


def _unforeseen(task: Task, error: Exception) -> ChunkFailed:
    failed = ChunkFailed(
        f"{frames_of(task)}: {type(error).__name__}: {error}",
        hint="This is a bug in vsr. Please report it with the lines above, the command and what `vsr doctor` prints.",
    )
    failed.add_note("".join(traceback.format_exception(error)).rstrip())
    failed.exit_code = VsrError.exit_code  # a bug's
    failed.__cause__ = error
    return failed
