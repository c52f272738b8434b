"""What `vsr upscale` will do to everything there is in a source, told without loading a model.

Every line follows from the tables that `plan` decides by; what is lost comes from `losses`, the list that --strict
refuses by.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal

from vsr.color.tables import resolve
from vsr.core import presets
from vsr.core.errors import InputError
from vsr.core.frame import UNSPECIFIED, ColorSpec, pixel_format
from vsr.core.job import Destination
from vsr.core.media import Interlacing, MediaInfo, StreamInfo, StreamPlan
from vsr.core.settings import Settings
from vsr.io.decoding.interlacing import detect, flagged
from vsr.io.encoding import codecs
from vsr.io.muxing import containers
from vsr.io.muxing.labels import kept_metadata
from vsr.jobs.destination import destination
from vsr.jobs.interlaced import resolve_deinterlace
from vsr.jobs.losses import Loss, losses, moves, timecodes
from vsr.jobs.output import made_color

Verb = Literal["make", "keep", "copy", "convert", "change", "assume", "drop", "report"]

GAP = 4  # a step of so many usual ones is a gap


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """action: what upscale does to `subject` (`report`: nothing, it is only said). detail: for people."""

    action: Verb
    subject: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Result:
    """The result, as far as it is known without a model."""

    destination: Destination
    codec: str
    pixel_format: str
    streams: tuple[StreamPlan, ...]
    lost: tuple[Loss, ...]

    def losses_of(self, subject: str) -> str:
        return "; ".join(loss.text for loss in self.lost if loss.subject == subject)


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """What a look at a source found beyond its headers, and what will become of it all."""

    interlacing: Interlacing | None
    outlook: tuple[Outlook, ...]


def look(info: MediaInfo, values: Mapping[str, object], *, output: Path | None = None) -> Looked:
    """Look at a source's frames where their flags may lie, and tell what upscale does with it all.

    values: settings by name, as a user would give them; None is not given.

    Raises:
        UsageError, OutputError: the output, its container or its codec cannot be.
    """
    settings = presets.resolve({name: value for name, value in values.items() if value is not None}).settings
    found: Interlacing | None = None
    if info.kind == "video":
        with suppress(InputError):  # frames that cannot be decoded have no lines to look at; the outlook goes by flags
            found = detect(info, max_pixels=settings.run.max_pixels)
    return Looked(interlacing=found, outlook=outlook(info, settings, output=output, interlacing=found))


def outlook(
    info: MediaInfo, settings: Settings, *, output: Path | None = None, interlacing: Interlacing | None = None
) -> tuple[Outlook, ...]:
    """Tell what becomes of a source, stream by stream and fact by fact; output: where the result would go.

    interlacing: what a look at the frames found; None: their flags alone tell.

    Raises:
        UsageError, OutputError: the output, its container or its codec cannot be.
    """
    made = _result(info, settings, output)
    return (
        *_container(info, made),
        *_video(info, settings, made),
        *_color(info, made),
        *_geometry(info, settings, made),
        *_side_data(info, made),
        *([_interlacing(info, settings, interlacing)] if info.kind == "video" else []),
        *_times(info, made),
        *(_stream(stream, plan) for stream, plan in _paired(info, made)),
        *_whole(info, made),
        *_damage(info, settings),
    )


def _result(info: MediaInfo, settings: Settings, output: Path | None) -> _Result:
    encode, source = settings.encode, info.video.pixel_format
    where = destination(info, output, container=encode.container, label="upscaled", overwrite=True)
    streams: tuple[StreamPlan, ...] = ()
    if where.kind == "video":
        codec = encode.codec or containers.default_codec(where.container)
        containers.check_codec(codec, where.container)
        name = codecs.output_pixel_format(source, codec, encode.pix_fmt, container=where.container)
        streams = containers.plan_streams(info, where.container, audio=settings.run.audio, selection=settings.run.map)
    else:
        codec = where.container
        name = containers.image_pixel_format(source, codec, encode.image_depth)
    lost = losses(
        info,
        name,
        codec,
        streams,
        where,
        is_turned=encode.autorotate,
        has_square_pixels=encode.square_pixels,
        decoder=settings.run.decoder,
    )
    return _Result(destination=where, codec=codec, pixel_format=name, streams=streams, lost=lost)


def _container(info: MediaInfo, made: _Result) -> Iterator[Outlook]:
    where = made.destination
    if where.kind != "video":
        kind = "a folder of images" if where.kind == "sequence" else "one image"
        is_same = info.kind != "video"
        yield Outlook(action="keep" if is_same else "change", subject="container", detail=f"{kind}, {where.container}")
        return
    muxer = containers.rule_of(where.container).muxer
    is_same = where.container in info.container.split(",") or muxer in info.container.split(",")
    detail = where.container if is_same else f"{info.container} becomes {where.container}"
    yield Outlook(action="keep" if is_same else "change", subject="container", detail=detail)


def _video(info: MediaInfo, settings: Settings, made: _Result) -> Iterator[Outlook]:
    video, engine = info.video, settings.engine
    size = f"{engine.scale:g} times {video.width}x{video.height}" if engine.scale else "larger by the model's scale"
    encoder = codecs.encoder_for(made.codec) if made.destination.kind == "video" else made.codec
    detail = f"{video.codec} becomes {made.codec} by {encoder}, {size}; {_count(info.frame_count, 'frame')} in and out"
    yield Outlook(action="make", subject="video", detail=detail)
    had, has = pixel_format(video.pixel_format), pixel_format(made.pixel_format)
    lost = made.losses_of("pixel format")
    if lost:
        yield Outlook(action="change", subject="pixel format", detail=f"{had.name} becomes {has.name}: {lost}")
    elif had.name == has.name:
        yield Outlook(action="keep", subject="pixel format", detail=f"{had.name}, {had.depth} bits a sample")
    else:
        detail = f"{had.name} becomes {has.name}, which holds all of it"
        yield Outlook(action="convert", subject="pixel format", detail=detail)
    if had.alpha and has.alpha:
        yield Outlook(action="keep", subject="alpha", detail="enlarged beside the picture")
    elif video.has_alpha_layer and not had.alpha:
        yield Outlook(action="drop", subject="alpha", detail="coded as a second picture, which the decoder leaves out")


_TAGS = ("matrix", "range", "primaries", "transfer")


def _color(info: MediaInfo, made: _Result) -> Iterator[Outlook]:
    video = info.video
    known = resolve(video.color, pixel_format(video.pixel_format), video.width, video.height)
    result = made_color(known, made.pixel_format, made.destination)
    for name in _TAGS:
        said, taken, written = (str(getattr(color, name)) for color in (video.color, known, result))
        subject = f"colour {name}"
        if taken != written:
            yield Outlook(action="convert", subject=subject, detail=f"{taken} becomes {written}")
        elif said == taken:
            silent = "not told by the file, and not told by the result"
            yield Outlook(action="keep", subject=subject, detail=silent if said == UNSPECIFIED else said)
        elif said == UNSPECIFIED:
            yield Outlook(action="assume", subject=subject, detail=f"{taken}{_why(name, known)}; the result says so")
        else:
            yield Outlook(action="assume", subject=subject, detail=f"{taken}, for {said} cannot be; the result says so")


def _why(name: str, known: ColorSpec) -> str:
    if name == "range":
        return ", as players take a file that does not say"
    return ", by its primaries" if known.primaries == "bt2020" else ", by its size"


def _geometry(info: MediaInfo, settings: Settings, made: _Result) -> Iterator[Outlook]:
    video = info.video
    if video.sar == 1:
        yield Outlook(action="keep", subject="sample aspect ratio", detail="square")
    elif settings.encode.square_pixels:
        yield Outlook(action="change", subject="sample aspect ratio", detail=f"{video.sar} becomes 1: stretched")
    else:
        yield _kept_or_lost(made, "sample aspect ratio", f"{video.sar}")
    if moved := moves(info):
        if settings.encode.autorotate:
            yield Outlook(action="change", subject="display matrix", detail=f"{moved}: worked into the pixels")
        else:
            yield _kept_or_lost(made, "display matrix", f"{moved}: kept as metadata; --autorotate turns the pixels")


def _kept_or_lost(made: _Result, subject: str, kept: str) -> Outlook:
    lost = made.losses_of(subject)
    return Outlook(action="drop" if lost else "keep", subject=subject, detail=lost or kept)


def _side_data(info: MediaInfo, made: _Result) -> Iterator[Outlook]:
    if info.video.hdr is not None:
        yield _kept_or_lost(made, "HDR10 metadata", _hdr_words(info))
    lost = [loss.text for loss in made.lost if loss.subject == "side data"]
    for word in info.video.side_data:
        said = next((text for text in lost if text.startswith(word)), "")
        detail = said or f"{word}: carried on"
        yield Outlook(action="drop" if said else "keep", subject="side data", detail=detail)


def _hdr_words(info: MediaInfo) -> str:
    hdr = info.video.hdr
    assert hdr is not None
    said = []
    if hdr.luminance:
        said.append(f"mastered at {float(hdr.luminance[0]):g} to {float(hdr.luminance[1]):g} cd/m2")
    if hdr.max_cll is not None or hdr.max_fall is not None:
        said.append(f"MaxCLL {hdr.max_cll}, MaxFALL {hdr.max_fall}")
    return ", ".join(said) or "mastering display"


def _interlacing(info: MediaInfo, settings: Settings, interlacing: Interlacing | None) -> Outlook:
    found = interlacing or flagged(info)
    merging, _, warnings = resolve_deinterlace(settings.run.deinterlace, found, decoder=settings.run.decoder)
    seen = f"{found.kind} ({found.detail})" if found.detail else found.kind
    if merging == "off":
        action: Verb = "report" if warnings else "keep"
        is_told = bool(found.detail) and any(found.detail in said for said in warnings)
        return Outlook(action=action, subject="scan", detail="; ".join((found.kind if is_told else seen, *warnings)))
    each = {"frame": "one picture a frame", "field": "one picture a field, twice as many frames"}[merging]
    said = f"{seen}: made {each} (--deinterlace {settings.run.deinterlace})"
    return Outlook(action="change", subject="scan", detail="; ".join((said, *warnings)))


def _times(info: MediaInfo, made: _Result) -> Iterator[Outlook]:
    index, base = info.packets, info.video.time_base
    if info.kind != "video" or not index.pts:
        return
    steps = sorted(b - a for a, b in zip(index.pts, index.pts[1:], strict=False))
    usual = steps[len(steps) // 2] if steps else 0
    words = ["variable frame rate" if index.is_variable else "constant frame rate"]
    gaps = sum(step > GAP * usual for step in steps) if usual else 0
    words += [f"{_count(gaps, 'gap')} (the longest {_seconds(steps[-1] * base)})"] if gaps else []
    repeated = sum(step == 0 for step in steps)
    words += [f"{repeated} repeated times, each moved a tick after the one before"] if repeated else []
    end = index.pts[-1] + index.durations[-1]
    words.append(f"{_seconds((end - index.pts[0]) * base)} long, begins at {_seconds(index.pts[0] * base)}")
    words.append(f"ticks of {base} s")
    lost = made.losses_of("times")
    yield Outlook(action="drop" if lost else "keep", subject="times", detail=lost or ", ".join(words))
    if made.destination.kind != "video":
        return
    rule = containers.rule_of(made.destination.container)
    if index.pts[0] < 0 and not rule.has_negative_times:
        said = f"{rule.name} holds no times before zero: everything starts later; use an .mkv output to keep them"
        yield Outlook(action="change", subject="start", detail=said)
    if rule.name in ("mkv", "webm") and (base * 1000).denominator != 1:
        said = f"{rule.name} counts milliseconds: each time is rounded to the nearest, none adds up"
        yield Outlook(action="change", subject="ticks", detail=said)


def _seconds(value: Fraction) -> str:
    return f"{float(value):.3f} s"


def _paired(info: MediaInfo, made: _Result) -> Iterator[tuple[StreamInfo, StreamPlan]]:
    plans = {plan.index: plan for plan in made.streams}
    for stream in info.streams:
        reason = made.losses_of("streams") or "not among the streams that are carried on"
        yield (
            stream,
            plans.get(stream.index, StreamPlan(index=stream.index, action="drop", codec=stream.codec, reason=reason)),
        )


def _stream(stream: StreamInfo, plan: StreamPlan) -> Outlook:
    kind = "cover" if stream.is_cover else stream.kind
    about = ", ".join(filter(None, (stream.codec, stream.detail, stream.language or "", stream.title or "")))
    done = {"copy": "bit for bit", "convert": plan.reason or f"to {plan.codec}", "drop": plan.reason}[plan.action]
    return Outlook(action=plan.action, subject=f"stream {stream.index} ({kind})", detail=f"{about}: {done}")


def _whole(info: MediaInfo, made: _Result) -> Iterator[Outlook]:
    """Tell of what belongs to the file as a whole: chapters, tags, timecode."""
    is_video = made.destination.kind == "video"
    if info.chapters:
        yield _kept_or_lost(made, "chapters", _count(len(info.chapters), "chapter"))
    if names := [name for name in kept_metadata(dict(info.metadata)) if name.lower() != "timecode"]:
        if is_video:
            yield _kept_or_lost(made, "metadata", ", ".join(names))
        else:
            yield Outlook(
                action="drop", subject="metadata", detail=f"images hold no tags of a file: {', '.join(names)}"
            )
    for value in timecodes(info):
        if is_video:
            yield _kept_or_lost(made, "timecode", value)
        else:
            yield Outlook(action="drop", subject="timecode", detail=f"images hold no timecode: {value}")


def _damage(info: MediaInfo, settings: Settings) -> Iterator[Outlook]:
    refused = "; --strict refuses it" if not settings.run.strict else "; refused by --strict"
    yield from (Outlook(action="report", subject="damage", detail=f"{said}{refused}") for said in info.damage)
    yield from (Outlook(action="report", subject="warning", detail=said) for said in info.warnings)


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"
