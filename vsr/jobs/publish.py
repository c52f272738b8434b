"""Finished chunks -> the destination: joined under a temporary name, checked, renamed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from vsr.core.errors import JobError, MuxError
from vsr.core.job import ChunkResult
from vsr.io import atomic, mux
from vsr.jobs.work import Work


def publish(work: Work) -> tuple[int, Sequence[str]]:
    """Join the chunks of `work`, all of them done, check, rename. Gives the frames of the result and what to say.

    The segments stay as they are: a run that is killed here joins them again.

    Raises:
        JobError: not as many frames as went in. MuxError, OutputError: see `io/mux`, `io/atomic`.
        ChangedSinceStart: the source is no longer what was upscaled. The destination is untouched then.
    """
    work.check_source()
    job, where = work.job, work.job.destination
    results = [work.results[chunk.index] for chunk in job.chunks]
    overwrite = job.settings.run.overwrite
    if where.kind == "image":
        (picture,) = sorted(results[0].path.iterdir())
        with atomic.staged(where.path, overwrite=overwrite, parts=work.parts) as target:
            _place(picture, target)
            work.record_joined(target)
        return 1, ()
    if where.kind == "sequence":
        return _publish_sequence(work, results), ()
    with atomic.staged(where.path, overwrite=overwrite, parts=work.parts) as target:
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
        work.check_source()  # the other streams were read just now
        _check_count(work, joined.frames)
        if joined.warnings and job.settings.run.strict:
            raise MuxError("; ".join(joined.warnings), hint="Choose another container, or leave out --strict.")
        work.record_joined(target)
    return joined.frames, joined.warnings


def _publish_sequence(work: Work, results: Sequence[ChunkResult]) -> int:
    where = work.job.destination
    overwrite = work.job.settings.run.overwrite
    with atomic.staged_folder(where.path, overwrite=overwrite, is_shared=where.is_shared, parts=work.parts) as target:
        for result in results:
            for picture in sorted(result.path.iterdir()):
                _place(picture, target / picture.name)
        frames = sum(1 for _ in target.iterdir())
        _check_count(work, frames)
        if not where.is_shared:
            work.record_joined(target)
    return frames


def _place(picture: Path, target: Path) -> None:
    """Give a file a second name, or copy it where the file system knows no second names."""
    try:
        os.link(picture, target)
    except OSError as error:
        if error.errno not in atomic.NO_LINKS:
            raise
        shutil.copyfile(picture, target)
        atomic.sync(target)  # the picture itself, which is on the disk, is removed when all is done


def _check_count(work: Work, frames_out: int) -> None:
    path = work.job.destination.path
    if work.done_frames != frames_out:
        raise JobError(f"{work.done_frames} frames went in, {frames_out} would come out in {path}")
    if not frames_out:
        raise JobError(f"nothing of {work.job.source.path} could be decoded: {path} would hold no frame")
