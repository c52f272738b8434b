"""MediaInfo + Settings + ModelCard -> Job: everything is decided here, before any work.

Whatever cannot be (a scale the model has not, a size the encoder refuses, an output that exists) is refused here, while
it costs nothing.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

from vsr.color.tables import output_color, resolve
from vsr.core.card import ModelCard
from vsr.core.errors import DecodeError, IncompatibleModel, InputLimits, OutputError, UsageError
from vsr.core.events import Noted, Planned, Report, Warned, silent
from vsr.core.frame import ColorSpec, pixel_format
from vsr.core.job import Chunk, Compute, Destination, Job
from vsr.core.media import MediaInfo, OutputSpec, Span, StreamPlan
from vsr.core.sampling import Sampling
from vsr.core.settings import Resolved, Settings
from vsr.engines import device, registry, trial
from vsr.io import codecs, containers, deinterlace
from vsr.io.probe import probe
from vsr.jobs import chunks as chunking
from vsr.jobs import diffusion
from vsr.jobs.destination import destination as decide_destination
from vsr.jobs.facts import differences, facts, fingerprint
from vsr.jobs.geometry import Target, target
from vsr.jobs.journal import Record
from vsr.jobs.preflight import refuse_impossible
from vsr.jobs.records import chosen_before, recorded_facts, recorded_track
from vsr.jobs.times import span as time_span
from vsr.jobs.work import begun, is_ours

DEFAULT_SCALE = 2.0


def plan(source: Path, destination: Path | Destination | None, resolved: Resolved, *, report: Report = silent) -> Job:
    """Decide a job completely. Reads the source's packets, opens the model, opens no output.

    Where noise moves with the picture, the source is decoded once to measure how it moves.

    Raises:
        InputError, ModelError, DeviceError, UsageError, OutputError: see `core/errors.py`.
    """
    settings = resolved.settings
    _refuse_unknowable(settings)
    info = probe(source, rate=_rate(settings.run.rate), max_pixels=settings.run.max_pixels)
    span = time_span(info, settings.run.start, settings.run.end)
    choice, size = _model(info, settings)
    sampling = diffusion.sampling(info, resolved, choice.card)
    chunks = _chunks(info, span, choice.card, settings, sampling)
    count = sum(chunk.frames for chunk in chunks)
    diffusion.refuse_long_window(resolved, choice.card, count)
    trace = diffusion.trace(resolved, choice.card, first=chunking.first_place(info, span), count=count)
    where = _destination(info, destination, settings, choice, size)
    diffusion.refuse_taken(trace, info, where, overwrite=settings.run.overwrite)
    color = resolve(info.video.color, pixel_format(info.video.pixel_format), info.video.width, info.video.height)
    earlier = None if settings.run.restart else begun(where)
    output = _output(info, settings, where, color, size, earlier)
    streams = containers.plan_streams(info, where.container) if where.kind == "video" else ()
    compute = _compute(info, settings, choice, sampling, earlier)
    lost = codecs.format_losses(info.video.pixel_format, output.pixel_format)
    losses = (*lost, *_losses(info, streams, where))
    if settings.run.strict:
        _refuse_losses(info, losses)
    warnings = (*info.warnings, *info.damage, *losses, *_remarks(info, settings, where))
    job = Job(
        source=info,
        color=color,
        destination=where,
        settings=settings,
        origins=dict(resolved.origins),
        card=choice.card,
        model=choice.reference,
        model_scale=choice.scale,
        compute=compute,
        output=output,
        streams=streams,
        span=span,
        seed=settings.run.seed,
        fingerprint="",
        chunks=chunks,
        sampling=sampling,
        trace=trace,
        warnings=warnings,
    )
    job = dataclasses.replace(job, warnings=(*warnings, *refuse_impossible(job)))
    _announce(job, report)
    return _identified(job, earlier, report)


def _announce(job: Job, report: Report) -> None:
    source, destination = str(job.source.path), str(job.destination.path)
    report(Planned(source=source, destination=destination, frames=_frames(job), description=_line(job)))
    for remark in chunking.remarks(job.source, job.chunks):
        report(Noted(message=remark))
    for warning in job.warnings:
        report(Warned(message=warning))


def _identified(job: Job, earlier: Record | None, report: Report) -> Job:
    """Give the job with its fingerprint and the track of its noise: measured, or as an earlier run measured it."""
    known = facts(job)
    track: tuple[tuple[int, int, int], ...] = ()
    if diffusion.needs_track(job):
        is_known = earlier is not None and not differences(recorded_facts(earlier), known)
        track = recorded_track(earlier) if earlier is not None and is_known else ()
        track = track or tuple(diffusion.measured_track(job, report))
    return dataclasses.replace(job, track=track, fingerprint=fingerprint(known, track))


def _refuse_unknowable(settings: Settings) -> None:
    if settings.run.address is not None and settings.run.cluster is None:
        raise UsageError("--address says where a cluster is, and none is asked for", hint="Add --cluster ray.")
    if settings.run.deinterlace != "off" and settings.run.decoder == "ffmpeg":
        raise UsageError("--deinterlace is done with --decoder pyav alone", hint="Leave out --decoder ffmpeg.")
    if settings.run.strict and settings.run.decoder == "ffmpeg":
        raise UsageError(
            "--strict needs to know which frames were concealed, and the ffmpeg program does not tell",
            hint="Leave out --decoder ffmpeg.",
        )


def _rate(text: str | None) -> Fraction | None:
    if text is None:
        return None
    try:
        rate = Fraction(text)
    except (ValueError, ZeroDivisionError):
        raise UsageError(f"--rate {text!r} is no frame rate", hint="Write 25, 29.97 or 30000/1001.") from None
    if not 0 < rate <= 1000:
        raise UsageError(f"--rate must lie between 0 and 1000, got {text}")
    return rate


def _model(info: MediaInfo, settings: Settings) -> tuple[registry.Choice, Target]:
    """Choose model, its scale and the output size; the size may ask for a ratio between the model's scales."""
    engine = settings.engine
    if engine.scale is not None and (engine.width is not None or engine.height is not None):
        raise UsageError("--scale and --width/--height exclude each other")
    exact = engine.width is not None or engine.height is not None
    if not exact and engine.scale is None:
        choice = registry.choose(engine.model, None, settings.temporal.frames)
        return choice, target(info.video, scale=float(choice.scale), width=None, height=None)
    size = target(info.video, scale=engine.scale or DEFAULT_SCALE, width=engine.width, height=engine.height)
    asked = float(size.wanted)
    if exact:
        asked = float(registry.model_scale_for(engine.model, asked))
    choice = registry.choose(engine.model, asked, settings.temporal.frames)
    if choice.card.scale is None and choice.scale != size.wanted:
        # A weightless engine does any ratio in one step: the runner resamples with the engine's own kernel.
        choice = dataclasses.replace(choice, scale=1)
    return choice, size


def _destination(
    info: MediaInfo, path: Path | Destination | None, settings: Settings, choice: registry.Choice, size: Target
) -> Destination:
    exact = settings.engine.width is not None or settings.engine.height is not None
    label = (
        f"{choice.card.family}_{size.width}x{size.height}" if exact else f"{choice.card.family}_x{float(size.wanted):g}"
    )
    return decide_destination(
        info,
        path,
        container=settings.encode.container,
        label=label,
        overwrite=settings.run.overwrite,
        is_ours=is_ours,
    )


def _output(
    info: MediaInfo,
    settings: Settings,
    where: Destination,
    color: ColorSpec,
    size: Target,
    earlier: Record | None,
) -> OutputSpec:
    encode = settings.encode
    video = info.video
    if where.kind != "video":
        codec = encoder = where.container
        options: tuple[tuple[str, str], ...] = ()
        name = containers.image_pixel_format(video.pixel_format, where.container, encode.image_depth)
        width, height = size.width, size.height
    else:
        codec = encode.codec or containers.default_codec(where.container)
        containers.check_codec(codec, where.container)
        encoder = codecs.encoder_for(codec)
        name = codecs.output_pixel_format(video.pixel_format, codec, encode.pix_fmt)
        width, height = codecs.encodable_size(size.width, size.height, name, codec)
    _refuse_large(where.path, width, height, settings.run.max_pixels)
    target_color = output_color(color, pixel_format(name))
    threads = encode.encoder_threads or chosen_before(earlier).threads or device.cores()
    rate = _rate_hint(info)
    interval = _keyframe_interval(rate)
    if where.kind == "video":
        options = codecs.encoder_options(
            codec,
            crf=encode.crf,
            preset=encode.encoder_preset,
            threads=threads,
            keyframe_interval=interval,
            color=target_color,
            pixel_format=name,
        )
    return OutputSpec(
        codec=codec,
        encoder=encoder,
        options=tuple(options),
        width=width,
        height=height,
        pixel_format=name,
        color=target_color,
        tags=target_color,
        time_base=video.time_base,
        rate=rate,
        sar=size.sar,
        rotation=video.rotation,
        threads=threads,
        keyframe_interval=interval,
    )


def _refuse_large(path: Path, width: int, height: int, max_pixels: int) -> None:
    if width * height > max_pixels:
        raise InputLimits(
            f"{path} would be {width}x{height}, which is more than the limit of {max_pixels} pixels",
            hint=f"Choose a smaller --scale, or raise the limit: --max-pixels {width * height}.",
        )


def _rate_hint(info: MediaInfo) -> Fraction | None:
    """Give the mean rate for the encoder's rate control, from the packets: headers of Matroska say 1000 at times."""
    pts = info.packets.pts
    if len(pts) < 2 or pts[-1] <= pts[0]:
        return info.video.rate
    mean = Fraction(len(pts) - 1) / ((pts[-1] - pts[0]) * info.video.time_base)
    claimed = info.video.rate
    if claimed is not None and abs(mean - claimed) <= claimed / 100:
        return claimed
    return max(mean.limit_denominator(1001), Fraction(1, 100))


def _keyframe_interval(rate: Fraction | None) -> int:
    """Ten seconds, as players expect for seeking; 250 frames where the rate is unknown or absurd."""
    return min(600, max(25, round(10 * rate))) if rate is not None and rate <= 240 else 250


def _losses(info: MediaInfo, streams: Sequence[StreamPlan], where: Destination) -> list[str]:
    if where.kind != "video":
        kinds = sorted({s.kind for s in info.streams if not s.is_cover})
        said = [f"images hold no {', '.join(kinds)}: left out"] if kinds else []
        if info.video.rotation:
            said.append(f"images hold no rotation: they are written unturned ({info.video.rotation} degrees)")
        if info.video.sar != 1:
            said.append(f"images hold no sample aspect ratio ({info.video.sar}): they are written with square pixels")
        return said
    return [f"stream {s.index} is left out: {s.reason}" for s in streams if s.action == "drop"]


def _remarks(info: MediaInfo, settings: Settings, where: Destination) -> list[str]:
    """Say what of the user's wish has no effect, what he might wish, and what stays where it was."""
    said = []
    if info.video.is_interlaced and settings.run.deinterlace == "off":
        said.append("interlaced: both fields of a frame are taken as one picture; --deinterlace frame merges them")
    if where.kind == "video":
        return said
    encode = settings.encode
    given = [name for name in ("codec", "crf", "encoder_preset", "pix_fmt") if getattr(encode, name) is not None]
    said += [f"{', '.join(given)}: no effect on images"] if given else []
    there = sum(1 for _ in where.path.iterdir()) if where.kind == "sequence" and where.path.is_dir() else 0
    if there and not where.is_shared:
        said.append(f"{where.path} holds {there} files already: those of other names stay")
    return said


def _refuse_losses(info: MediaInfo, losses: Sequence[str]) -> None:
    """Raise for what --strict does not let pass, before any work."""
    if info.damage:
        raise DecodeError(
            f"{info.path}: {'; '.join(info.damage)}", hint="Leave out --strict to go on with what is there."
        )
    if losses:
        raise OutputError(
            "; ".join(losses), hint="Choose an output that keeps it (.mkv does most), or leave out --strict."
        )


def _compute(
    info: MediaInfo, settings: Settings, choice: registry.Choice, sampling: Sampling | None, earlier: Record | None
) -> Compute:
    """Decide how the engine runs. What an earlier run of the job on the same kind of device chose is kept."""
    engine, card, video = settings.engine, choice.card, info.video
    devices = device.pick_devices(engine.device)
    chosen = devices[0]
    is_cpu = chosen == "cpu"
    if is_cpu:
        device.tune_allocator()
    before = chosen_before(earlier, on=chosen)
    wanted = before.precision if engine.precision == "auto" and before.precision else engine.precision
    precision = trial.choose_precision(card, choice.reference, choice.scale, chosen, wanted, sampling)
    # Small pictures do not fill a GPU one at a time; on a CPU batches leave the cache and lose.
    batch = engine.batch or before.batch or (1 if is_cpu or video.width * video.height > 960 * 540 else 4)
    workers = (engine.workers or device.cores()) if is_cpu else 1
    tile = engine.tile or before.tile
    if tile is not None and card.tiling == "never":
        raise IncompatibleModel(f"{card.id} cannot be tiled", hint="Leave out --tile.")
    if tile is not None and sampling is not None:
        # Opened below otherwise: what the engine refuses of its sampling is refused before the pan is measured.
        registry.open_engine(choice.reference, scale=choice.scale, sampling=sampling).close()
    if tile is None and not before.is_known and card.tiling != "never":
        size = (video.height, video.width)
        calls = batch * workers
        tile = trial.choose_tile(card, choice.reference, choice.scale, chosen, precision, size, calls, sampling)
    return Compute(device=chosen, precision=precision, batch=batch, tile=tile, workers=workers, devices=devices)


def _chunks(
    info: MediaInfo, span: Span, card: ModelCard, settings: Settings, sampling: Sampling | None
) -> tuple[Chunk, ...]:
    seeks = settings.run.decoder == "pyav"
    length = settings.run.chunk_frames or chunking.default_length(
        info, keyframe_interval=_keyframe_interval(_rate_hint(info)), sampling=sampling, seeks=seeks
    )
    return chunking.chunks(
        info,
        span,
        frames_per_window=card.frames,
        stride=settings.temporal.stride,
        shots=settings.temporal.shots,
        length=length,
        seeks=seeks,
        memory=0 if settings.run.deinterlace == "off" else deinterlace.MEMORY,
    )


def _frames(job: Job) -> int:
    return sum(chunk.frames for chunk in job.chunks)


def _line(job: Job) -> str:
    video, out = job.source.video, job.output
    return (
        f"{video.width}x{video.height} {video.codec} -> {out.width}x{out.height} {out.codec}, "
        f"{job.card.id} {job.compute.precision} on {job.compute.device}"
    )
