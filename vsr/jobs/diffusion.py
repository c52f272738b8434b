"""What a job tells a diffusion model: how to sample, where the noise lies in each frame, which frames to trace.

The track is measured here, once, when the job is planned: it sums up the motion of all frames before, which no worker
that begins in the middle could know.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from vsr.core.card import ModelCard
from vsr.core.errors import OutputError, OutputExists, UsageError
from vsr.core.events import Report, Worked
from vsr.core.frame import Frame
from vsr.core.job import Destination, Job, Trace
from vsr.core.media import MediaInfo, Span
from vsr.core.sampling import DIFFUSION, Sampling
from vsr.core.settings import Resolved, fields
from vsr.engines.device import cores
from vsr.engines.diffusion_engine import STEPS
from vsr.io import atomic
from vsr.pipeline.chunk import decoder_of
from vsr.pipeline.trace import strip_path
from vsr.temporal import pan
from vsr.temporal.shots import mark_shots

# Back-projections onto the source's frame. What is lossless is worth returning to; a codec's errors are not.
CONSISTENCY_LOSSLESS = 2
CONSISTENCY_COMPRESSED = 1
LOSSLESS = frozenset(
    [
        "ffv1",
        "huffyuv",
        "ffvhuff",
        "utvideo",
        "magicyuv",
        "lagarith",
        "rawvideo",
        "v210",
        "v308",
        "v408",
        "v410",
        "qtrle",
        "png",
        "apng",
        "bmp",
        "tiff",
        "ppm",
        "pgm",
        "pbm",
        "pam",
        "tga",
        "targa",
        "exr",
        "dpx",
        "sgi",
        "sunrast",
    ]
)
TOLD_EVERY = 10  # frames between two events of the measurement


def sampling(info: MediaInfo, resolved: Resolved, card: ModelCard) -> Sampling | None:
    """Decide how a diffusion model is sampled; None for any other model.

    Raises:
        UsageError: a setting of diffusion was given for a model that has none, or one that the model has no use for.
    """
    settings = resolved.settings
    given = [item.name for item in fields() if item.block == "diffusion" and _is_given(resolved, item.name)]
    given += [name for name in ("trace", "trace_frames") if _is_given(resolved, name)]
    if card.arch not in DIFFUSION:
        if given:
            raise UsageError(
                f"{_flags(given)}: for diffusion models, and {card.id} is none",
                hint="Choose one with --model, or leave this out.",
            )
        return None
    chosen = settings.diffusion
    if card.arch == "sr3" and chosen.color_fix not in (None, "none"):
        why = "it restores luma alone" if card.domain == "y" else "it adds to the source's own colours"
        raise UsageError(
            f"--color-fix {chosen.color_fix}: {card.id} has nothing to fix, {why}",
            hint="Leave it out; --consistency brings the result closer to the source.",
        )
    steps, consistency = chosen.steps, chosen.consistency
    if card.arch == "sr3":  # the other arch's engine knows its own usual figures, by its schedule
        steps = 1 if chosen.detail == 0 else STEPS if steps is None else steps  # none of it: the first step alone
        consistency = _consistency(info) if consistency is None else consistency
    return Sampling(
        steps=steps,
        detail=chosen.detail,
        consistency=consistency,
        noise=chosen.noise,
        color_fix=chosen.color_fix,
    )


def _is_given(resolved: Resolved, name: str) -> bool:
    return resolved.origins[name] != "default"


def _flags(names: list[str]) -> str:
    return ", ".join("--" + name.replace("_", "-") for name in names)


def _consistency(info: MediaInfo) -> int:
    return CONSISTENCY_LOSSLESS if info.video.codec.lower() in LOSSLESS else CONSISTENCY_COMPRESSED


def refuse_long_window(resolved: Resolved, card: ModelCard, frames: int) -> None:
    """Refuse a window that the user asked for and that no frame of the job can fill.

    Raises:
        UsageError: it is longer than the job.
    """
    temporal = resolved.settings.temporal
    span = (card.frames - 1) * temporal.stride + 1
    if _is_given(resolved, "frames") and card.frames > 1 and span > frames:
        raise UsageError(
            f"a window of {card.frames} frames at stride {temporal.stride} spans {span} frames, "
            f"more than the {frames} there {'is' if frames == 1 else 'are'}",
            hint="Ask for fewer --frames, a smaller --stride or a longer part.",
        )


def trace(resolved: Resolved, card: ModelCard, *, first: int, count: int) -> Trace | None:
    """Say which frames are traced; `first` is the index of the job's first frame, of `count`. The folder is not made.

    Raises:
        UsageError: frames that are no numbers or outside of the job.
        OutputError: the folder cannot be written to.
    """
    run = resolved.settings.run
    if run.trace is None:
        if run.trace_frames is not None:
            raise UsageError("--trace-frames without --trace", hint="Name the folder for the pictures with --trace.")
        return None
    frames = _numbers(run.trace_frames, count)
    folder = Path(run.trace)
    there = folder.absolute()
    while not (there.exists() or there.is_symlink()) and there != there.parent:
        there = there.parent
    try:
        atomic.check_writable(there / "frame.png")
    except OutputError as error:
        raise OutputError(
            f"--trace {folder}: no folder that can be written to: {error.message}", hint="Name another folder."
        ) from error
    return Trace(folder=folder, first=first, frames=frames)


def refuse_taken(trace: Trace | None, info: MediaInfo, where: Destination, *, overwrite: bool) -> None:
    """Refuse a folder in which the strips and something else would have the same names.

    Raises:
        UsageError: the result's own images go there, or the source's are there under such names.
        OutputExists: a strip is there, and `overwrite` is not set.
    """
    if trace is None:
        return
    strips = [strip_path(trace.folder, number) for number in trace.frames]
    sources = {file.resolve() for file in info.files}
    if trace.folder.resolve() == where.path.resolve() or any(path.resolve() in sources for path in strips):
        raise UsageError(
            f"--trace {trace.folder}: images of the source or of the result lie there", hint="Name another folder."
        )
    there = next((path for path in strips if path.exists()), None)
    if there is not None and not overwrite:
        raise OutputExists(f"{there} exists", hint="Add --overwrite to replace it, or name another folder.")


def _numbers(text: str | None, count: int) -> tuple[int, ...]:
    if text is None:
        return tuple(sorted({0, count // 2, count - 1}))
    try:
        numbers = sorted({int(part) for part in text.split(",")})
    except ValueError:
        raise UsageError(
            f"--trace-frames {text!r} is no list of frames", hint="Write numbers, as in 0,40,80."
        ) from None
    outside = [number for number in numbers if not 0 <= number < count]
    if outside:
        raise UsageError(
            f"--trace-frames: there is no frame {', '.join(map(str, outside))}",
            hint=f"The job has {count} frame{'s' * (count > 1)}, counted from 0.",
        )
    return tuple(numbers)


def needs_track(job: Job) -> bool:
    """Whether the noise of this job moves with the picture: there is noise, and more than one picture."""
    chosen = job.sampling
    if chosen is None or chosen.noise != "pan" or job.source.frame_count < 2:
        return False
    return chosen.steps != 1 and chosen.detail > 0


def measured_track(job: Job, report: Report) -> Iterator[tuple[int, int, int]]:
    """Yield (pts, dy, dx) of every frame that the job decodes: the source is decoded once more.

    Raises:
        DecodeError, InputMissing: as the job itself would.
    """
    first, last = job.chunks[0], job.chunks[-1]
    span = Span(start=first.decode.start, stop=last.decode.stop)
    source = decoder_of(job, threads=cores())
    frames = source.frames(span, seek=first.seek)
    total = sum(chunk.frames for chunk in job.chunks) + first.lead + last.tail
    times: list[int] = []

    def seen() -> Iterator[Frame]:
        marked = mark_shots(frames) if job.settings.temporal.shots else frames
        for frame in marked:
            times.append(frame.pts)
            yield frame

    for number, place in enumerate(pan.track(seen()), start=1):
        if number % TOLD_EVERY == 0 or number == total:
            report(Worked(done=number, total=total, unit="frames", note="measuring the pan"))
        yield times[-1], *pan.rounded(place, job.model_scale)
