"""Single frames of a result without the rest of it: the job is planned as for a full run, and cut down to them.

A frame comes from the chunk that the full run makes it in, decoded from the same keyframe, with the same neighbours in
the window and in the network's batch. So it is the frame that the full run hands to its encoder, sample for sample.
"""

from __future__ import annotations

import bisect
import dataclasses
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from vsr.core.errors import DecodeError, OutputError, OutputExists, UsageError
from vsr.core.events import Event, Noted, Planned, Report, Warned, silent
from vsr.core.frame import Frame, pixel_format
from vsr.core.job import Chunk, Job
from vsr.core.media import WHOLE, MediaInfo, Span
from vsr.core.settings import Resolved
from vsr.engines import registry
from vsr.engines.base import Engine
from vsr.io import atomic
from vsr.io.decoding import deinterlace
from vsr.io.decoding.decode import open_source
from vsr.io.encoding import codecs
from vsr.io.images.files import decode_image, encode_image
from vsr.io.probe import probe
from vsr.jobs import chunks as chunking
from vsr.jobs.destination import destination
from vsr.jobs.losses import moves
from vsr.jobs.plan import plan
from vsr.jobs.sidebyside import Crop, beside, in_rgb, most_detailed, refuse_outside, shown_size
from vsr.jobs.times import seconds
from vsr.pipeline.chunk import open_engine, run_chunk
from vsr.temporal import shots
from vsr.temporal.window import reach


@dataclass(frozen=True, slots=True, kw_only=True)
class Still:
    """A frame of the result, as it was written.

    frame: its number, from 0 at the source's first. pts: in `time_base`. time_s: from the source's first frame.
    path: the whole frame. compare, crop: beside bicubic, and which part of the source, in its pixels; None without.
    """

    frame: int
    pts: int
    time_base: Fraction
    time_s: float
    width: int
    height: int
    pixel_format: str  # as the encoder gets it
    model: str
    path: Path
    compare: Path | None = None
    crop: Crop | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Files:
    """Where one frame goes."""

    place: int
    path: Path
    compare: Path | None


def preview(
    source: Path,
    resolved: Resolved,
    *,
    at: Sequence[str] = (),
    frames: Sequence[int] = (),
    output: Path | None = None,
    compare: bool = True,
    crop: Crop | None = None,
    report: Report = silent,
) -> tuple[Still, ...]:
    """Write the frames of the result that are shown at the times `at`, and those of the numbers `frames`, as PNG.

    output: a file, or a folder for files named after source, model and frame (default: beside `source`). compare: write
    a part of each beside bicubic too (left bicubic, right the model). crop: that part, in pixels of the source as the
    result shows it (default: the square with the most detail).

    Raises:
        UsageError: no such time or frame, or a crop outside of the picture.
        OutputExists: a picture is there, and the settings do not say that it may be replaced.
        VsrError: as the full run would.
    """
    _refuse_unusable(resolved, at, frames, output)
    job = _planned(source, output, resolved, report)
    places = _places(job, at, frames)
    if crop is not None:
        refuse_outside(crop, *shown_size(job))
    files = [_files(job, place, output, has_compare=compare) for place in places]
    _refuse_taken(files, overwrite=resolved.settings.run.overwrite)
    if moved := moves(job.source) if job.output.rotation or job.output.display_matrix else "":
        report(Noted(message=f"players move the picture ({moved}); a preview shows it as it is stored"))
    with tempfile.TemporaryDirectory(prefix="vsr-preview-") as folder:
        return tuple(_made(job, files, crop, Path(folder), report, overwrite=resolved.settings.run.overwrite))


def _refuse_unusable(resolved: Resolved, at: Sequence[str], frames: Sequence[int], output: Path | None) -> None:
    if resolved.settings.run.trace is not None:
        raise UsageError("a preview writes no trace", hint="Leave out --trace, or run vsr upscale with it.")
    if output is not None and not output.is_dir():
        if output.suffix.lower() != ".png":
            raise UsageError(f"a preview is a PNG file, {output} names none", hint="Name a file that ends in .png.")
        if len(at) + len(frames) > 1:
            raise UsageError(
                f"{output} is one picture, {len(at) + len(frames)} frames are asked for",
                hint="Name a folder with -o, or leave it out.",
            )
        atomic.check_writable(output)


def _planned(source: Path, output: Path | None, resolved: Resolved, report: Report) -> Job:
    """Plan the full run. What may speak against its file (it is there, the disk is full) does not against a picture."""
    settings = resolved.settings
    run = dataclasses.replace(settings.run, overwrite=True, force=True)
    unbound = dataclasses.replace(resolved, settings=dataclasses.replace(settings, run=run))
    folder = None if output is None else output if output.is_dir() else output.absolute().parent
    where = None
    if folder is not None:  # the folder of the source may be one that nobody can write to
        info = probe(source, max_pixels=run.max_pixels, scan=False)
        made = destination(info, None, container=settings.encode.container, label="preview", overwrite=True)
        where = dataclasses.replace(made, path=folder / made.path.name)

    def heard(event: Event) -> None:
        if not isinstance(event, Planned):
            report(event)

    return plan(source, where, unbound, report=heard)


def _places(job: Job, at: Sequence[str], frames: Sequence[int]) -> tuple[int, ...]:
    """Give the numbers of the frames asked for, rising, each once.

    Raises:
        UsageError: one is none of the job's; or none is asked for, and there are several.
    """
    info = job.source
    shown = chunking.times(info)
    found = {_place_at(info, shown, text) for text in at}
    for number in frames:
        if not 0 <= number < len(shown):
            count = f"{len(shown)} frame{'s' * (len(shown) > 1)}"
            raise UsageError(f"--frame {number}: {info.path} has {count}", hint="Frames are counted from 0.")
        found.add(number)
    if not found and len(shown) > 1:
        raise UsageError("which frame?", hint="Say --at 12.5 (seconds, or MM:SS) or --frame 300; several, if you like.")
    found = found or {0}
    outside = [place for place in sorted(found) if shown[place] not in job.span]
    if outside:
        raise UsageError(
            f"frame {outside[0]} of {info.path} does not lie between --start and --end", hint="Leave them out."
        )
    return tuple(sorted(found))


def _place_at(info: MediaInfo, shown: Sequence[int], text: str) -> int:
    """Give the number of the frame shown at a time, counted from the first; the end itself shows the last.

    Raises:
        UsageError: it is no time, or lies beyond the end.
    """
    base = info.video.time_base
    when = seconds(text, "--at")
    lasts = info.packets.durations[-1] if info.packets.durations else 1
    end = (shown[-1] + lasts - shown[0]) * base
    if when > end:
        raise UsageError(f"--at {text}: {info.path} ends after {_time(end)}")
    return bisect.bisect_right(shown, shown[0] + when / base) - 1


def _time(value: Fraction) -> str:
    return f"{float(value):.3f} s"


def _files(job: Job, place: int, output: Path | None, *, has_compare: bool) -> _Files:
    if output is not None and not output.is_dir():
        path = output
    else:
        folder = output or job.destination.path.parent
        path = folder / f"{_stem(job)}_frame{place:06d}.png"
    return _Files(
        place=place, path=path, compare=path.with_name(f"{path.stem}_compare{path.suffix}") if has_compare else None
    )


def _stem(job: Job) -> str:
    source = job.source.path
    name = source.resolve().name if source.is_dir() else source.stem.replace("%", "")
    return f"{name}_{job.card.family}_{job.output.width}x{job.output.height}"


def _refuse_taken(files: Sequence[_Files], *, overwrite: bool) -> None:
    """Refuse what cannot be written before the model is opened."""
    for path in (path for each in files for path in (each.path, each.compare) if path is not None):
        atomic.check_writable(path)
        if path.is_dir():
            raise OutputError(f"{path} is a folder", hint="Name a file with -o.")
        if path.exists() and not overwrite:
            raise OutputExists(f"{path} exists", hint="Add --overwrite to replace it, or name another with -o.")


def _made(
    job: Job, files: Sequence[_Files], crop: Crop | None, folder: Path, report: Report, *, overwrite: bool
) -> Iterator[Still]:
    size = shown_size(job)
    plain = _bicubic(job)
    with ExitStack() as stack:
        engine = stack.enter_context(closing(open_engine(job)))
        rival = stack.enter_context(closing(open_engine(plain))) if any(each.compare for each in files) else None
        for each in files:
            frame, data = restored(job, engine, each.place, folder, report)
            picture = in_rgb(frame)
            _write(each.path, data or encode_image(picture.planes, picture.format, each.path), overwrite=overwrite)
            part = None
            if each.compare is not None and rival is not None:
                other, _ = restored(plain, rival, each.place, folder)
                part = crop or most_detailed(other, *size)
                pair = beside(in_rgb(other), picture, part, *size)
                _write(each.compare, encode_image(pair.planes, pair.format, each.compare), overwrite=overwrite)
            yield _still(job, frame, each, part)


def _still(job: Job, frame: Frame, files: _Files, crop: Crop | None) -> Still:
    base, first = job.source.video.time_base, chunking.times(job.source)[0]
    return Still(
        frame=files.place,
        pts=frame.pts,
        time_base=base,
        time_s=float((frame.pts - first) * base),
        width=frame.width,
        height=frame.height,
        pixel_format=frame.format.name,
        model=job.card.id,
        path=files.path,
        compare=files.compare,
        crop=crop,
    )


def restored(job: Job, engine: Engine, place: int, folder: Path, report: Report = silent) -> tuple[Frame, bytes]:
    """Give frame `place` of the result as its encoder gets it; and, where that is an image, as a PNG's bytes.

    Raises:
        DecodeError: there is no such frame, whatever the file announces.
        VsrError: as `run_chunk`.
    """
    chunk = _narrowed(job, place)
    small = _lossless(job, chunk, folder)
    path = Path(tempfile.mkdtemp(dir=folder)) / "still"
    try:
        result = run_chunk(small, chunk, path, engine)
    except DecodeError as error:
        said = f"frame {place} of {job.source.path} cannot be shown: {error.message}"
        raise DecodeError(said, hint=error.hint or "Ask for another one.") from error
    for said in result.warnings:
        report(Warned(message=said))
    pts = chunking.times(job.source)[place]
    if pts not in result.pts:
        raise DecodeError(
            f"frame {place} of {job.source.path} cannot be shown: the file announces it, and it cannot be decoded",
            hint="Ask for another one.",
        )
    at = result.pts.index(pts)
    fmt = pixel_format(job.output.pixel_format)
    data = b""
    if job.destination.kind == "video":
        made = probe(path, max_pixels=job.settings.run.max_pixels)
        source = open_source(made, threads=1, max_pixels=job.settings.run.max_pixels)
        planes = next(frame.planes for number, frame in enumerate(source.frames(WHOLE)) if number == at)
    else:
        file = sorted(path.iterdir())[at]
        data = file.read_bytes()
        planes = decode_image(file, data, max_pixels=job.settings.run.max_pixels)
    frame = Frame(
        index=place, pts=pts, duration=result.durations[at], planes=planes, format=fmt, color=job.output.color
    )
    return frame, data


def _narrowed(job: Job, place: int) -> Chunk:
    """Cut the planned chunk of a frame down to the batch that the frame goes through the network in.

    It is decoded from the chunk's own keyframe, so that the decoder is in the same state there.
    """
    info, shown = job.source, chunking.times(job.source)
    chunk = next(chunk for chunk in job.chunks if shown[place] in chunk.span)
    begin = chunking.first_place(info, chunk.span)
    batch = job.compute.batch
    first = begin + (place - begin) // batch * batch
    stop = min(first + batch, begin + chunk.frames)
    around = reach(job.card.frames, job.settings.temporal.stride)
    lead = around + shots.MEMORY + deinterlace.memory(job.deinterlace)
    before = max(begin - chunk.lead, first - lead)
    after = min(len(shown), stop + around)
    return dataclasses.replace(
        chunk,
        span=Span(start=shown[first], stop=shown[stop] if stop < len(shown) else None),
        frames=stop - first,
        decode=Span(start=shown[before] if before else None, stop=shown[after] if after < len(shown) else None),
        lead=first - before,
        tail=after - stop,
    )


def _lossless(job: Job, chunk: Chunk, folder: Path) -> Job:
    """Give the job of this chunk alone, with an output that keeps every sample: FFV1, or PNG where it is images."""
    is_video = job.destination.kind == "video"
    codec = "ffv1" if is_video else "png"
    options: tuple[tuple[str, str], ...] = ()
    if is_video:
        options = codecs.encoder_options(
            codec,
            crf=None,
            preset=None,
            threads=1,
            keyframe_interval=1,
            color=job.output.color,
            pixel_format=job.output.pixel_format,
        )
    spec = dataclasses.replace(
        job.output,
        codec=codec,
        encoder=codecs.encoder_for(codec) if is_video else codec,
        options=options,
        hdr=None,
        threads=1,
        keyframe_interval=1,
    )
    where = dataclasses.replace(
        job.destination, path=folder / f"result.{'mkv' if is_video else 'png'}", container=codec, pattern=""
    )
    return dataclasses.replace(job, chunks=(chunk,), trace=None, output=spec, destination=where)


def _bicubic(job: Job) -> Job:
    """Give the same job with the plainest of models."""
    choice = registry.choose("bicubic", 1)
    compute = dataclasses.replace(job.compute, precision="fp32", batch=1, tile=None)
    return dataclasses.replace(
        job,
        card=choice.card,
        model=choice.reference,
        model_scale=choice.scale,
        compute=compute,
        sampling=None,
        track=(),
    )


def _write(path: Path, data: bytes, *, overwrite: bool) -> None:
    with atomic.staged(path, overwrite=overwrite) as part:
        part.write_bytes(data)
