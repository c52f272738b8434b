"""Tried before a long run: what the container refuses, and how long the run will take.

Six days into a job is no time to learn that its container holds no such subtitles. So the end of the job is done
first, with black frames: encoded with the job's own options, joined with the source's other streams, checked, removed.
"""

from __future__ import annotations

import dataclasses
import shutil
import time
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vsr.color.tables import chroma_levels, luma_levels
from vsr.core.errors import MuxError, OutputError
from vsr.core.frame import Frame, PixelFormat, pixel_format
from vsr.core.job import Job
from vsr.core.media import OutputSpec
from vsr.engines.base import Engine
from vsr.io.encoding.encode import PyavSink
from vsr.io.muxing import mux
from vsr.jobs import chunks
from vsr.pipeline.chunk import open_engine, run_chunk, segment_name

HEAD_FRAMES = 3  # at the true beginning: what starts before zero or with an offset is refused there
TAIL_S = 1
TAIL_FRAMES = 25
SHARE = 40  # one frame in as many, at most: the rehearsal costs a fortieth of the encoder's time
# Between head and tail a few frames stand at true times: mov and mp4 count steps, and how much later than 16 frames
# before it a frame is shown, in 32 bits; AVI fills gaps up.
GAP_S, _GAP_TICKS, _GAP_FRAMES = 600, 1 << 27, 20_000
SAMPLED_JOB = 1000  # frames: below it the job itself tells soon enough
QUICK_S = 5.0


def rehearse(job: Job, folder: Path) -> tuple[str, ...]:
    """Make the job's result with black frames in `folder`, and remove it; give what the join warns of.

    The source's other streams are copied whole, at their true times. Nothing is done for images, nor for a job of one
    chunk, which is over soon, but under --strict.

    Raises:
        MuxError: the container refuses a stream, a packet or a time; with --strict, whatever the join warns of. With
            --force it is a warning.
        EncodeError: the encoder refuses its options or times.
        DiskFull: no space left.
    """
    if job.destination.kind != "video" or (len(job.chunks) < 2 and not job.settings.run.strict):
        return ()
    segment = folder / "rehearsal-video"
    target = folder / f"rehearsal{job.destination.path.suffix}"
    try:
        return _joined(job, segment, target)
    except OutputError as error:
        said = error.message.replace(str(target), str(job.destination.path))
        message = f"tried before the start, with black frames: {said}"
        if isinstance(error, MuxError) and job.settings.run.force:
            return (message,)
        raise type(error)(message, hint=error.hint) from error
    finally:
        segment.unlink(missing_ok=True)
        target.unlink(missing_ok=True)


def forecast_seconds(job: Job, folder: Path, *, workers: int = 1) -> float | None:
    """Give how long the job will take with `workers` like this one, from its first frames; None for a short job.

    A few frames go through the whole pipeline, in `folder`; where that is quick, more of them, for a steady rate.

    Raises:
        VsrError: the sample fails, as the job would.
    """
    total = sum(chunk.frames for chunk in job.chunks)
    if len(job.chunks) < 2 or total < SAMPLED_JOB:
        return None
    most = min(total // SHARE, job.chunks[0].frames)
    few = min(job.compute.batch * job.compute.workers, most)
    engine = open_engine(job)
    try:
        first = _timed(job, few, folder, engine)
        if first > QUICK_S:
            return first * total / few / workers
        # The first run pays for warming up, as the job will once; the second is at the steady rate.
        more = min(most, max(2 * few, int(few * QUICK_S / first)))
        return first + _timed(job, more, folder, engine) * (total - few) / more / workers
    finally:
        engine.close()


def _timed(job: Job, count: int, folder: Path, engine: Engine) -> float:
    """Give the seconds that the job's first `count` frames take; what they become is removed."""
    chunk = chunks.shortened(job.source, job.chunks[0], count)
    sample = dataclasses.replace(job, chunks=(chunk,), trace=None)
    path = folder / f"sample-{segment_name(sample, chunk)}"
    began = time.perf_counter()
    try:
        run_chunk(sample, chunk, path, engine)
        return time.perf_counter() - began
    finally:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _joined(job: Job, segment: Path, target: Path) -> tuple[str, ...]:
    pts, durations = _times(job)
    _encode(segment, job.output, pts, durations)
    told = mux.join(
        [segment],
        target,
        source=job.source,
        spec=job.output,
        container=job.destination.container,
        streams=job.streams,
        pts=pts,
        durations=durations,
        span=job.span,
        faststart=job.settings.encode.faststart,
    )
    if told.warnings and job.settings.run.strict:
        raise MuxError("; ".join(told.warnings), hint="Choose another container, or leave out --strict.")
    return tuple(told.warnings)


def _times(job: Job) -> tuple[list[int], list[int]]:
    """Give pts and durations of the frames that are rehearsed: the job's first, a few between, its last second."""
    every = chunks.times(job.source)
    places = [place for place, pts in enumerate(every) if pts in job.span]
    chosen = _chosen([every[place] for place in places], job.output.time_base)
    long = job.source.packets.durations
    return [every[places[k]] for k in chosen], [max(1, long[places[k]]) if long else 1 for k in chosen]


def _chosen(pts: Sequence[int], tick: Fraction) -> list[int]:
    """Give the places in `pts` of the frames that are rehearsed, rising."""
    most = min(TAIL_FRAMES, max(HEAD_FRAMES, len(pts) // SHARE))
    tail = [
        place
        for place in range(max(0, len(pts) - most), len(pts))
        if (pts[-1] - pts[place]) * tick < TAIL_S or place >= len(pts) - HEAD_FRAMES
    ]
    sparse = (pts[-1] - pts[0]) * SHARE // len(pts)
    if sparse > _GAP_TICKS:
        return tail  # the ticks are so fine that too many frames would be needed before it
    gap = min(max(int(GAP_S / tick), sparse), _GAP_TICKS)
    chosen = list(range(min(HEAD_FRAMES, len(pts))))
    for place in range(chosen[-1] + 1, tail[0]):
        if pts[place + 1] - pts[chosen[-1]] > gap or place + 1 - chosen[-1] > _GAP_FRAMES:
            chosen.append(place)
    return [*chosen, *(place for place in tail if place > chosen[-1])]


def _encode(path: Path, spec: OutputSpec, pts: Sequence[int], durations: Sequence[int]) -> None:
    fmt = pixel_format(spec.pixel_format)
    planes = _black(fmt, spec)
    sink = PyavSink(path, spec)
    try:
        for index, (at, duration) in enumerate(zip(pts, durations, strict=True)):
            sink.write(Frame(index=index, pts=at, duration=duration, planes=planes, format=fmt, color=spec.color))
        sink.close()
    except BaseException:
        sink.abort()
        raise


def _black(fmt: PixelFormat, spec: OutputSpec) -> tuple[NDArray[np.uint8] | NDArray[np.uint16], ...]:
    """Give the planes of a black frame, opaque where the format has alpha."""
    levels = []
    for plane in range(fmt.plane_count):
        is_chroma, is_alpha = fmt.family == "yuv" and plane in (1, 2), fmt.alpha and plane == fmt.plane_count - 1
        offset = (chroma_levels if is_chroma else luma_levels)(spec.color.range, fmt.depth).offset
        levels.append(fmt.peak if is_alpha else int(offset))
    shapes = [fmt.plane_shape(plane, spec.width, spec.height) for plane in range(fmt.plane_count)]
    if fmt.depth <= 8:
        return tuple(np.full(shape, level, np.uint8) for shape, level in zip(shapes, levels, strict=True))
    return tuple(np.full(shape, level, np.uint16) for shape, level in zip(shapes, levels, strict=True))
