"""A planned job in words: TOML for `--dry-run`, with each value's origin, and the time it will take."""

from __future__ import annotations

import dataclasses
import json
import tempfile
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

from vsr.core.job import Chunk, Job
from vsr.core.media import Span
from vsr.core.settings import fields
from vsr.jobs.executors.here import Here
from vsr.jobs.preflight import forecast_bytes

SAMPLE_FRAMES = 12


def estimate(job: Job) -> float:
    """Give the seconds that the job will take, from a run of its first frames through the whole pipeline.

    Raises:
        VsrError: the sample fails, as the job would.
    """
    sample = _sample(job)
    frames = sum(chunk.frames for chunk in job.chunks)
    timed = sample.chunks[0].frames
    here = Here()
    try:
        with tempfile.TemporaryDirectory(prefix="vsr-sample-") as work:
            began = time.perf_counter()
            marks: list[tuple[float, int]] = []
            for _ in here.run(sample, sample.chunks, Path(work), lambda event: _mark(marks, event)):
                pass
            total = time.perf_counter() - began
    finally:
        here.close()
    # The first frames pay for opening the model and warming up; the slope between ticks is the steady rate.
    steady = [(t, n) for t, n in marks if n >= 2]
    if len(steady) >= 2 and steady[-1][1] > steady[0][1]:
        (t0, n0), (t1, n1) = steady[0], steady[-1]
        each = (t1 - t0) / (n1 - n0)
        return total + each * (frames - timed)
    return total * frames / timed


def _mark(marks: list[tuple[float, int]], event: object) -> None:
    done = getattr(event, "done", None)
    if isinstance(done, int):
        marks.append((time.perf_counter(), done))


def _sample(job: Job) -> Job:
    """Give the same job cut down to its first frames."""
    whole = job.chunks[0]
    every = job.source.packets.pts if job.source.kind == "video" else tuple(range(job.source.frame_count))
    inside = [pts for pts in every if pts in whole.span]
    timed = min(SAMPLE_FRAMES, len(inside))
    stop = inside[timed] if timed < len(inside) else whole.span.stop
    after = inside[min(len(inside) - 1, timed + whole.tail)] + 1
    decode = Span(start=whole.decode.start, stop=after)
    chunk = Chunk(
        index=0,
        span=Span(start=whole.span.start, stop=stop),
        frames=timed,
        decode=decode,
        seek=whole.seek,
        lead=whole.lead,
        tail=whole.tail,
    )
    return dataclasses.replace(job, chunks=(chunk,))


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
    yield from _color("source.color", job.color)
    yield from ("", "[model]")
    card = job.card
    yield from _table(id=card.id, arch=card.arch, scale=job.model_scale, domain=card.domain, frames=card.frames)
    yield from _table(parameters=card.parameters, licence=card.licence)
    yield from ("", "[compute]")
    compute = job.compute
    yield from _table(device=compute.device, precision=compute.precision, workers=compute.workers)
    yield from _table(batch=compute.batch, tile=compute.tile or "whole pictures")
    yield from ("", "[output]")
    yield from _table(codec=out.codec, encoder=out.encoder, width=out.width, height=out.height)
    yield from _table(pixel_format=out.pixel_format, sar=str(out.sar), threads=out.threads)
    yield "options = { " + ", ".join(f"{_key(k)} = {json.dumps(v)}" for k, v in out.options) + " }"
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
        yield from (f"# - {warning}" for warning in job.warnings)


def _color(name: str, color: object) -> Iterator[str]:
    yield from ("", f"[{name}]")
    yield from _table(**{f: getattr(color, f) for f in ("matrix", "range", "primaries", "transfer", "siting")})


def _table(**values: str | int | float | bool) -> Iterator[str]:
    for key, value in values.items():
        yield f"{key} = {_value(value)}"


def _key(name: str) -> str:
    return name if name.replace("-", "").replace("_", "").isalnum() else json.dumps(name)


def _value(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    # A JSON string is a TOML basic string, but for the DEL character.
    return repr(value) if isinstance(value, int | float) else json.dumps(str(value)).replace("\x7f", "\\u007f")


def _text(rate: Fraction | None) -> str:
    return str(rate) if rate is not None else "unknown"
