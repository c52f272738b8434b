"""Run a Job: chunks through an executor, segments joined, result checked, then published under its name.

Nothing half-made ever bears the destination's name: chunks go to a hidden work folder beside it, the joined file to a
temporary name there, and only a checked file is renamed. Whatever fails, both are removed.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from vsr.core.errors import JobError, MuxError
from vsr.core.events import Report, Summary, Warned, silent
from vsr.core.job import ChunkResult, Job
from vsr.core.presets import find, resolve
from vsr.engines.device import cores
from vsr.io import atomic, mux
from vsr.jobs.executors.base import Executor
from vsr.jobs.executors.here import Here
from vsr.jobs.plan import plan
from vsr.pipeline.lanes import merge_loads


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
    where = Path(destination) if destination is not None else None
    return run(plan(Path(source), where, resolved, report=report), report)


def run(job: Job, report: Report = silent, executor: Executor | None = None) -> Summary:
    """Run a planned job to the end and publish its result.

    Raises:
        VsrError: see `core/errors.py`; the destination is then untouched.
    """
    began, cpu = time.perf_counter(), _cpu_seconds()
    here = executor or Here()
    try:
        with _work_folder(job.destination.path) as work:
            results = sorted(here.run(job, job.chunks, work, report), key=lambda result: result.index)
            warnings = [*job.warnings, *(w for result in results for w in result.warnings)]
            frames_out, said = _publish(job, results, sum(result.frames for result in results))
            warnings += said
    finally:
        here.close()
    for warning in warnings[len(job.warnings) :]:
        report(Warned(message=warning))
    summary = _summary(job, results, warnings, time.perf_counter() - began, _cpu_seconds() - cpu, frames_out)
    report(summary)
    return summary


@contextmanager
def _work_folder(destination: Path) -> Iterator[Path]:
    """Give a private folder beside the destination; it is gone afterwards, whatever happens."""
    atomic.check_writable(destination)
    parent = destination.resolve().parent
    try:
        folder = Path(tempfile.mkdtemp(prefix=".vsr-work-", dir=parent))
    except OSError as error:
        raise atomic.translate(error, parent) from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _publish(job: Job, results: Sequence[ChunkResult], frames_in: int) -> tuple[int, Sequence[str]]:
    """Join the chunks under a temporary name, check, rename. Gives the frames of the result and what to say.

    Raises:
        JobError: not as many frames as went in; the destination is then untouched.
    """
    where, overwrite = job.destination, job.settings.run.overwrite
    if where.kind == "image":
        (picture,) = sorted(results[0].path.iterdir())
        with atomic.staged(where.path, overwrite=overwrite) as target:
            shutil.move(picture, target)
        return 1, ()
    if where.kind == "sequence":
        with atomic.staged_folder(where.path, overwrite=overwrite, is_shared=where.is_shared) as target:
            for result in results:
                for picture in sorted(result.path.iterdir()):
                    picture.rename(target / picture.name)
            frames_out = sum(1 for _ in target.iterdir())
            _check_count(job, frames_in, frames_out)
        return frames_out, ()
    with atomic.staged(where.path, overwrite=overwrite) as target:
        joined = mux.join(
            [result.path for result in results],
            target,
            source=job.source,
            spec=job.output,
            container=where.container,
            streams=job.streams,
            pts=[pts for result in results for pts in result.pts],
            durations=[duration for result in results for duration in result.durations],
            span=job.span,
            faststart=job.settings.encode.faststart,
        )
        _check_count(job, frames_in, joined.frames)
        if joined.warnings and job.settings.run.strict:
            raise MuxError("; ".join(joined.warnings), hint="Choose another container, or leave out --strict.")
    return joined.frames, joined.warnings


def _check_count(job: Job, frames_in: int, frames_out: int) -> None:
    if frames_in != frames_out:
        raise JobError(f"{frames_in} frames went in, {frames_out} would come out in {job.destination.path}")


def _summary(
    job: Job, results: Sequence[ChunkResult], warnings: Sequence[str], wall_s: float, cpu_s: float, frames: int
) -> Summary:
    stages = merge_loads(load for result in results for load in result.stages)
    inferring = sum(result.wall_s for result in results)
    path = job.destination.path
    return Summary(
        source=str(job.source.path),
        destination=str(path),
        frames_in=sum(result.frames for result in results),
        frames_out=frames,
        wall_s=wall_s,
        cpu_s=cpu_s,
        cores=cores(),
        fps=frames / inferring if inferring > 0 else 0.0,
        bottleneck=max(stages, key=lambda load: load.busy).name if stages else "",
        stages=stages,
        width=job.output.width,
        height=job.output.height,
        size_bytes=_size(path),
        warnings=tuple(warnings),
    )


def _size(path: Path) -> int:
    if path.is_dir():
        return sum(file.stat().st_size for file in path.iterdir() if file.is_file())
    return path.stat().st_size


def _cpu_seconds() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system
