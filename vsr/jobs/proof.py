"""A finished result held against its source before it gets its name: what `--verify` asks for."""

from __future__ import annotations

import dataclasses
from fractions import Fraction
from pathlib import Path

from vsr.core.job import Job
from vsr.core.turn import UPRIGHT
from vsr.jobs.verify.entry import verify
from vsr.jobs.verify.expected import Expected, Verdict


def prove(job: Job, result: Path) -> Verdict:
    """Verify `result`, which is to become the job's destination, against the job's source and what was asked.

    Raises:
        VerifyError: it does not hold; under --strict also where the container could not hold something.
        InputError: one of them cannot be read.
    """
    found = verify(job.source.path, result, expected=expected(job))
    verdict = dataclasses.replace(found, result=job.destination.path)
    verdict.raise_if_broken(strict=job.settings.run.strict)
    return verdict


def in_words(verdict: Verdict) -> str:
    """Give a verdict that holds as one line."""
    lost = verdict.of("lost by the container")
    losses = f", {len(lost)} lost by the container" if lost else ""
    look = f"; {verdict.look.psnr:.1f} dB on the source's grid" if verdict.look is not None else ""
    return f"{len(verdict.findings) - len(lost)} checks hold{losses}{look}"


def expected(job: Job) -> Expected:
    """Give what a job was asked for beside a resolution."""
    packets, base = job.source.packets, job.source.video.time_base
    origin = packets.pts[0] if packets.pts else 0

    def seconds(pts: int | None) -> Fraction | None:
        return None if pts is None else (pts - origin) * base

    return Expected(
        start=seconds(job.span.start),
        stop=seconds(job.span.stop),
        fields=2 if job.deinterlace == "field" else 1,
        is_deinterlaced=job.deinterlace != "off",
        field_order=job.field_order,
        is_turned=job.turn != UPRIGHT,
        has_square_pixels=job.settings.encode.square_pixels,
        streams=job.streams,
        container=job.destination.container,
        pixel_format=job.output.pixel_format,
        tags=job.output.tags,
    )
