"""Finished chunks -> the destination: joined under a temporary name, checked, renamed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vsr.core.errors import JobError, MuxError
from vsr.core.job import ChunkResult, Job
from vsr.io import atomic
from vsr.io.muxing import mux
from vsr.jobs.proof import in_words, prove
from vsr.jobs.work import Work


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """A result that bears its name. verified: how it was held against its source; "" where that was not asked for."""

    frames: int
    warnings: tuple[str, ...] = ()
    verified: str = ""


def publish(work: Work) -> Published:
    """Join the chunks of `work`, all of them done, check, verify where that is asked for, rename.

    The segments stay as they are: a run that is killed here joins them again.

    Raises:
        VerifyError: the result does not hold.
        JobError: not as many frames as went in. MuxError, OutputError: see `io/muxing/mux`, `io/atomic`.
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
            verified = _verified(job, target)
            work.record_joined(target)
        return Published(frames=1, verified=verified)
    if where.kind == "sequence":
        return _publish_sequence(work, results)
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
        verified = _verified(job, target)
        work.record_joined(target)
    return Published(frames=joined.frames, warnings=tuple(joined.warnings), verified=verified)


def recover(work: Work) -> Published:
    """Give the result that an earlier run published and did not tidy up after; it is verified where that is asked for.

    Raises:
        VerifyError: the result, which stands, does not hold.
    """
    return Published(frames=work.done_frames, verified=_verified(work.job, work.job.destination.path))


def _verified(job: Job, target: Path) -> str:
    return in_words(prove(job, target)) if job.settings.run.verify else ""


def _publish_sequence(work: Work, results: Sequence[ChunkResult]) -> Published:
    where = work.job.destination
    overwrite = work.job.settings.run.overwrite
    with atomic.staged_folder(where.path, overwrite=overwrite, is_shared=where.is_shared, parts=work.parts) as target:
        for result in results:
            for picture in sorted(result.path.iterdir()):
                _place(picture, target / picture.name)
        frames = sum(1 for _ in target.iterdir())
        _check_count(work, frames)
        verified = _verified(work.job, target)
        if not where.is_shared:
            work.record_joined(target)
    return Published(frames=frames, verified=verified)


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
