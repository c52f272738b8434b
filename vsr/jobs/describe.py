"""A planned job in words: TOML for `--dry-run`, with each value's origin, and the time it will take."""

from __future__ import annotations

import dataclasses
import json
import tempfile
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

from vsr.core.job import Job
from vsr.core.sampling import Sampling
from vsr.core.settings import fields
from vsr.jobs.chunks import shortened
from vsr.jobs.executors.base import Failed, Task
from vsr.jobs.executors.here import Here
from vsr.jobs.facts import turn_in_words
from vsr.jobs.preflight import forecast_bytes
from vsr.pipeline.chunk import segment_name

SAMPLE_FRAMES = 12
QUICK_S = 3.0  # a first run that takes longer was long enough


def estimate(job: Job) -> float:
    """Give the seconds that the job will take, from a run of its first frames through the whole pipeline.

    Raises:
        VsrError: the sample fails, as the job would.
    """
    start, each = pace(job)
    return start + each * sum(chunk.frames for chunk in job.chunks)


def pace(job: Job) -> tuple[float, float]:
    """Give the seconds that the start takes, which a run of many jobs has once, and those of each frame.

    Raises:
        VsrError: the sample fails, as the job would.
    """
    here = Here()
    try:
        # The first run pays for opening the model and warming up; the second is the steady rate.
        few, first = _timed(here, job, 2 * job.compute.workers)
        count, second = _timed(here, job, SAMPLE_FRAMES if first < QUICK_S else few)
    finally:
        here.close()
    each = second / count
    devices = len(job.compute.devices) if job.compute.device != "cpu" else 1  # several on the CPU share its cores
    return max(0.0, first - few * each), each / max(1, devices)


def _timed(here: Here, job: Job, count: int) -> tuple[int, float]:
    """Run the job's first frames; give how many, and the seconds."""
    sample = dataclasses.replace(job, chunks=(shortened(job.source, job.chunks[0], count),), trace=None)
    with tempfile.TemporaryDirectory(prefix="vsr-sample-") as work:
        began = time.perf_counter()
        tasks = (Task(job=sample, chunk=c, path=Path(work) / segment_name(sample, c)) for c in sample.chunks)
        for outcome in here.run(tasks, lambda _: None):
            if isinstance(outcome, Failed):
                raise outcome.error
        return sample.chunks[0].frames, time.perf_counter() - began


def to_toml(job: Job, estimated_s: float | None = None) -> str:
    """Give the resolved job as TOML: source, streams, model, device, output, settings with their origins."""
    return "\n".join(_lines(job, estimated_s)) + "\n"


def _lines(job: Job, estimated_s: float | None) -> Iterator[str]:
    info, video, out = job.source, job.source.video, job.output
    frames = sum(chunk.frames for chunk in job.chunks)
    yield "[job]"
    yield from _table(source=str(info.path), destination=str(job.destination.path), kind=job.destination.kind)
    yield from _table(container=job.destination.container, frames=frames, chunks=len(job.chunks))
    yield from _table(forecast_bytes=forecast_bytes(job), fingerprint=job.fingerprint)
    if estimated_s is not None:
        yield from _table(estimated_seconds=round(estimated_s, 1))
    yield from ("", "[source]")
    yield from _table(container=info.container, codec=video.codec, width=video.width, height=video.height)
    yield from _table(pixel_format=video.coded_pixel_format, time_base=str(video.time_base), rate=_text(video.rate))
    yield from _table(sar=str(video.sar), rotation=video.rotation, variable_frame_rate=info.packets.is_variable)
    yield from _table(interlaced=video.is_interlaced, hdr10=video.hdr is not None)
    yield from _color("source.color", job.color)
    yield from ("", "[model]")
    card = job.card
    yield from _table(id=card.id, arch=card.arch, scale=job.model_scale, domain=card.domain, frames=card.frames)
    yield from _table(parameters=card.parameters, licence=card.licence)
    if job.sampling is not None:
        yield from _sampling(job, job.sampling)
    yield from ("", "[compute]")
    compute = job.compute
    yield from _table(device=compute.device, precision=compute.precision, workers=compute.workers)
    yield from _table(batch=compute.batch, tile=compute.tile or "whole pictures")
    yield from ("", "[output]")
    yield from _table(codec=out.codec, encoder=out.encoder, width=out.width, height=out.height)
    yield from _table(pixel_format=out.pixel_format, sar=str(out.sar), threads=out.threads)
    yield from _table(rate=_text(out.rate), rotation=out.rotation, hdr10=out.hdr is not None)
    yield from _table(deinterlace=job.deinterlace, field_order=job.field_order, autorotate=turn_in_words(job.turn))
    yield "options = { " + ", ".join(f"{_key(k)} = {_string(v)}" for k, v in out.options) + " }"
    yield from _color("output.color", out.tags)
    for stream in job.streams:
        yield from ("", "[[streams]]")
        yield from _table(index=stream.index, action=stream.action, codec=stream.codec, reason=stream.reason)
    yield from ("", "[settings]")
    for item in fields():
        value = getattr(getattr(job.settings, item.block), item.name)
        if value is None:
            yield f"# {item.name}: left to the planner"
        else:
            yield f"{item.name} = {_value(value)}  # {job.origins[item.name]}"
    if job.warnings:
        yield from ("", f"# warnings: {len(job.warnings)}")
        yield from (f"# - {' '.join(warning.split())}" for warning in job.warnings)


def _sampling(job: Job, sampling: Sampling) -> Iterator[str]:
    """Tell how a diffusion model is sampled, and how far the picture moves."""
    yield from ("", "[sampling]")
    for item in dataclasses.fields(sampling):
        value = getattr(sampling, item.name)
        yield f"# {item.name}: left to the model" if value is None else f"{item.name} = {_value(value)}"
    if job.track:
        down, across = (max(abs(place[k]) for place in job.track) for k in (1, 2))
        yield from _table(tracked_frames=len(job.track), farthest_down=down, farthest_across=across)
    if job.trace is not None:
        yield from _table(trace=str(job.trace.folder), trace_frames=",".join(map(str, job.trace.frames)))


def _color(name: str, color: object) -> Iterator[str]:
    yield from ("", f"[{name}]")
    yield from _table(**{f: getattr(color, f) for f in ("matrix", "range", "primaries", "transfer", "siting")})


def _table(**values: str | int | float | bool) -> Iterator[str]:
    for key, value in values.items():
        yield f"{key} = {_value(value)}"


def _key(name: str) -> str:
    return name if name.replace("-", "").replace("_", "").isalnum() else _string(name)


def _value(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return repr(value) if isinstance(value, int | float) else _string(str(value))


def _string(text: str) -> str:
    """Give a TOML basic string: a JSON string, but for the DEL character and for bytes that are no character."""
    whole = text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return json.dumps(whole, ensure_ascii=False).replace("\x7f", "\\u007f")


def _text(rate: Fraction | None) -> str:
    return str(rate) if rate is not None else "unknown"
