"""MediaInfo + Settings + ModelCard -> Job: everything is decided here, before any work.

Whatever cannot be (a scale the model has not, a size the encoder refuses, an output that exists) is refused here, while
it costs nothing.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from fractions import Fraction
from functools import partial
from pathlib import Path

from vsr.color.tables import resolve
from vsr.core.card import ModelCard
from vsr.core.errors import IncompatibleModel, UnsupportedInput, UsageError
from vsr.core.events import Noted, Planned, Report, Warned, silent
from vsr.core.frame import pixel_format
from vsr.core.job import Chunk, Compute, Destination, Job
from vsr.core.media import MediaInfo, Span, StreamPlan
from vsr.core.sampling import Sampling
from vsr.core.settings import Resolved, Settings
from vsr.core.turn import UPRIGHT, Turn, turn_of
from vsr.engines import device, registry, trial
from vsr.io.decoding import deinterlace
from vsr.io.decoding.hwdecode import check_hwaccel
from vsr.io.muxing import containers
from vsr.io.probe import probe
from vsr.jobs import chunks as chunking
from vsr.jobs import diffusion
from vsr.jobs.destination import destination as decide_destination
from vsr.jobs.facts import differences, facts, fingerprint
from vsr.jobs.geometry import Target, target
from vsr.jobs.interlaced import as_read, decide_deinterlacing
from vsr.jobs.journal import Record
from vsr.jobs.losses import foretold
from vsr.jobs.output import keyframe_interval, output_spec
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
    found = probe(source, rate=_rate(settings.run.rate), max_pixels=settings.run.max_pixels)
    info = as_read(found, settings.run)
    check_hwaccel(settings.run.hwaccel, info)
    span = time_span(info, settings.run.start, settings.run.end)
    turn = _turn(info, settings)
    choice, size = _model(info, settings, turn)
    sampling = diffusion.sampling(info, resolved, choice.card)
    count = sum(pts in span for pts in info.packets.pts or range(info.frame_count))
    diffusion.refuse_long_window(resolved, choice.card, count)
    trace = diffusion.trace(resolved, choice.card, first=chunking.first_place(info, span), count=count)
    where = _destination(info, destination, settings, choice, size)
    diffusion.refuse_taken(trace, info, where, overwrite=settings.run.overwrite)
    color = resolve(info.video.color, pixel_format(info.video.pixel_format), info.video.width, info.video.height)
    earlier = None if settings.run.restart else begun(where)
    output, notes = output_spec(info, settings, where, color=color, size=size, turn=turn, earlier=earlier)
    streams = _streams(info, settings, where)
    lost = foretold(info, settings, where, output, streams, span)
    compute = _compute(info, settings, choice, sampling, earlier)
    # The first to decode more than a frame: whatever can be refused without that has been by now.
    decided = decide_deinterlacing(found, settings.run)
    chunks = _chunks(info, span, choice.card, settings, sampling, decided.merging)
    warnings = (*info.warnings, *info.damage, *decided.warnings, *lost, *_remarks(settings, where))
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
        deinterlace=decided.merging,
        field_order=decided.order,
        turn=turn or UPRIGHT,
        warnings=warnings,
    )
    job = dataclasses.replace(job, warnings=(*warnings, *refuse_impossible(job)))
    _announce(job, (*decided.notes, *notes), report)
    return _identified(job, earlier, report)


def _announce(job: Job, notes: Sequence[str], report: Report) -> None:
    source, destination = str(job.source.path), str(job.destination.path)
    report(Planned(source=source, destination=destination, frames=_frames(job), description=_line(job)))
    for remark in (*notes, *chunking.remarks(job.source, job.chunks)):
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
    if settings.run.decoder == "ffmpeg" and settings.run.hwaccel not in ("off", "auto"):
        raise UsageError(
            f"--hwaccel {settings.run.hwaccel} is decoded with --decoder pyav alone", hint="Leave out --decoder ffmpeg."
        )
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


def _turn(info: MediaInfo, settings: Settings) -> Turn | None:
    """Give the turn that is baked into the result; None where the display matrix is kept as it is.

    Raises:
        UnsupportedInput: it is asked for, and no multiple of 90 degrees.
    """
    if not settings.encode.autorotate:
        return None
    turn = turn_of(info.video.display_matrix)
    if turn is None:
        raise UnsupportedInput(
            f"{info.path} is turned by {info.video.rotation} degrees, which no order of its pixels can show",
            hint="Leave out --autorotate: the turn is kept as metadata.",
        )
    return turn


def _model(info: MediaInfo, settings: Settings, turn: Turn | None) -> tuple[registry.Choice, Target]:
    """Choose model, its scale and the output size; the size may ask for a ratio between the model's scales."""
    engine = settings.engine
    if engine.scale is not None and (engine.width is not None or engine.height is not None):
        raise UsageError("--scale and --width/--height exclude each other")
    exact = engine.width is not None or engine.height is not None
    sized = partial(target, info.video, turn=turn or UPRIGHT, has_square_pixels=settings.encode.square_pixels)
    if not exact and engine.scale is None:
        choice = registry.choose(engine.model, None, settings.temporal.frames)
        return choice, sized(scale=float(choice.scale), width=None, height=None)
    size = sized(scale=engine.scale or DEFAULT_SCALE, width=engine.width, height=engine.height)
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


def _remarks(settings: Settings, where: Destination) -> list[str]:
    """Say what of the user's wish has no effect, and what stays where it was."""
    said: list[str] = []
    if where.kind == "video":
        return said
    encode = settings.encode
    names = ("codec", "crf", "encoder", "encoder_preset", "keyint", "codec_options", "pix_fmt")
    given = [name for name in names if getattr(encode, name) is not None]
    given += ["max_bitrate"] if encode.max_bitrate != "auto" else []
    given += ["map"] if settings.run.map is not None else []
    said += [f"{', '.join(given)}: no effect on images"] if given else []
    there = sum(1 for _ in where.path.iterdir()) if where.kind == "sequence" and where.path.is_dir() else 0
    if there and not where.is_shared:
        said.append(f"{where.path} holds {there} files already: those of other names stay")
    return said


def _streams(info: MediaInfo, settings: Settings, where: Destination) -> tuple[StreamPlan, ...]:
    """Decide what becomes of the streams beside the video; images hold none.

    Raises:
        OutputError, SettingsError: see `io/muxing/carriage.py`.
    """
    if where.kind != "video":
        return ()
    return containers.plan_streams(info, where.container, audio=settings.run.audio, selection=settings.run.map)


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
    info: MediaInfo,
    span: Span,
    card: ModelCard,
    settings: Settings,
    sampling: Sampling | None,
    merging: deinterlace.Merging,
) -> tuple[Chunk, ...]:
    seeks = settings.run.decoder == "pyav"
    length = settings.run.chunk_frames or chunking.default_length(
        info, keyframe_interval=keyframe_interval(info, settings.encode.keyint), sampling=sampling, seeks=seeks
    )
    return chunking.chunks(
        info,
        span,
        frames_per_window=card.frames,
        stride=settings.temporal.stride,
        shots=settings.temporal.shots,
        length=length,
        seeks=seeks,
        memory=deinterlace.memory(merging),
    )


def _frames(job: Job) -> int:
    return sum(chunk.frames for chunk in job.chunks)


def _line(job: Job) -> str:
    video, out = job.source.video, job.output
    return (
        f"{video.width}x{video.height} {video.codec} -> {out.width}x{out.height} {out.codec}, "
        f"{job.card.id} {job.compute.precision} on {job.compute.device}"
    )
