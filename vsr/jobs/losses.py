"""What a result cannot hold of its source, in words: the one list that `plan` refuses by and `outlook` shows.

Each loss names the thing and how to keep it. All of it is known before a model is loaded.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from vsr.core.errors import DecodeError, OutputError
from vsr.core.frame import pixel_format
from vsr.core.job import Destination
from vsr.core.media import MediaInfo, OutputSpec, Span, StreamPlan
from vsr.core.settings import Settings
from vsr.core.turn import UPRIGHT, turn_of
from vsr.io.encoding import codecs
from vsr.io.images.animations import CONTAINER as ANIMATION
from vsr.io.images.embedded import image_losses
from vsr.io.metadata.sidedata import dropped, dropped_hdr
from vsr.io.muxing import containers
from vsr.io.muxing.labels import kept_metadata
from vsr.io.muxing.layout import Layout, lift
from vsr.io.muxing.outcome import lift_in_words
from vsr.io.muxing.shape import keeps_shape

_RICHEST = "mkv"  # the container that holds most: where a thing could be kept if not here
# The tags of a file that come back from containers which do not hold all; measured with FFmpeg 8.1.
_TAGS_HELD = {
    "ts": frozenset[str](),
    "avi": frozenset(
        {"title", "artist", "comment", "genre", "date", "copyright", "track", "software", "language", "encoded_by"}
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """subject: what it is a loss of ("pixel format", "chapters", "stream 3"). text: for people, with how to keep it."""

    subject: str
    text: str


def losses(
    info: MediaInfo,
    output_pixel_format: str,
    codec: str,
    streams: Sequence[StreamPlan],
    destination: Destination,
    *,
    is_turned: bool = False,
    has_square_pixels: bool = False,
    encoder: str = "",
    decoder: str = "pyav",
) -> tuple[Loss, ...]:
    """Give what of `info` a result of `codec` in `output_pixel_format` at `destination` does not hold; () for nothing.

    streams: what is planned for each stream beside the video. is_turned, has_square_pixels: the display matrix, the
    sample aspect ratio is worked into the pixels, so that nothing has to hold it. encoder: FFmpeg's name (default: the
    codec's own). decoder: what reads the source.
    """
    container = destination.container
    found = [*_of_format(info, output_pixel_format, codec, destination)]
    if is_turned:
        found += _of_turn(info, output_pixel_format)
    if destination.kind == "video":
        found += _of_streams(streams)
        found += _of_container(info, container, is_turned=is_turned)
        if said := dropped_hdr(info, codec, container, encoder=encoder):
            found.append(Loss(subject="HDR10 metadata", text=said))
        if info.video.sar != 1 and not has_square_pixels and not keeps_shape(container, codec):
            said = f"{container} with {codec} does not keep the sample aspect ratio {info.video.sar}: shown as 1"
            keeping = f"an .{_RICHEST} output does, or --square-pixels"
            found.append(Loss(subject="sample aspect ratio", text=f"{said}; {keeping}"))
    else:
        found += _of_images(info, is_turned=is_turned, has_square_pixels=has_square_pixels)
    is_image = info.kind != "video" or info.container == ANIMATION
    beside = image_losses(info, container) if is_image else dropped(info, codec, container=container, decoder=decoder)
    return (*found, *(Loss(subject="side data", text=said) for said in beside))


def foretold(
    info: MediaInfo,
    settings: Settings,
    where: Destination,
    output: OutputSpec,
    streams: Sequence[StreamPlan],
    span: Span,
) -> tuple[str, ...]:
    """Say what of the source the planned result will not hold; --strict refuses it, before any work.

    Raises:
        DecodeError, OutputError: under --strict: the source is damaged; the result would hold less.
    """
    found = losses(
        info,
        output.pixel_format,
        output.codec,
        streams,
        where,
        is_turned=settings.encode.autorotate,
        has_square_pixels=settings.encode.square_pixels,
        encoder=output.encoder,
        decoder=settings.run.decoder,
    )
    lost = (*(loss.text for loss in found), *_later(info, where, output, streams, span))
    if settings.run.strict and info.damage:
        raise DecodeError(
            f"{info.path}: {'; '.join(info.damage)}", hint="Leave out --strict to go on with what is there."
        )
    if settings.run.strict and lost:
        raise OutputError(
            "; ".join(lost), hint="Choose an output that keeps it (.mkv does most), or leave out --strict."
        )
    return lost


def moves(info: MediaInfo) -> str:
    """Say how players move the picture before they show it (`90 degrees, mirrored`); "" where they do not."""
    matrix = info.video.display_matrix
    is_mirrored = bool(matrix) and matrix[0] * matrix[4] - matrix[1] * matrix[3] < 0
    turned = f"{info.video.rotation} degrees" if info.video.rotation else ""
    said = ", ".join(word for word in (turned, "mirrored" if is_mirrored else "") if word)
    return said or ("by a display matrix" if turn_of(matrix) != UPRIGHT else "")


def _of_format(info: MediaInfo, made: str, codec: str, destination: Destination) -> Iterator[Loss]:
    source = info.video.pixel_format
    lost = codecs.format_losses(source, made)
    if not lost:
        return
    said, where = ", ".join(lost), _keeper(source, codec, destination)
    yield Loss(subject="pixel format", text=f"{said}; {where}" if where else said)


def _of_turn(info: MediaInfo, made: str) -> Iterator[Loss]:
    """Yield what a quarter turn costs where chroma is thinner one way than the other: 4:2:2 and 4:1:1."""
    turn, fmt = turn_of(info.video.display_matrix), pixel_format(made)
    if turn is not None and turn.swaps and fmt.family == "yuv" and fmt.chroma_shift_x > fmt.chroma_shift_y:
        said = f"a quarter turn thins out the chroma of {made} the other way"
        yield Loss(subject="pixel format", text=f"{said}; kept with --pix-fmt yuv444p, or without --autorotate")


def _keeper(source: str, codec: str, destination: Destination) -> str:
    """Say what would hold frames of `source` whole; "" where nothing that vsr writes does."""
    if destination.kind != "video":
        if not codecs.format_losses(source, containers.image_pixel_format(source, codec)):
            return "kept without --image-depth"
        return (
            "" if codecs.format_losses(source, containers.image_pixel_format(source, "png")) else "png images keep it"
        )
    here = _codecs_for(source, destination.container)
    if codec in here:
        return "kept without --pix-fmt"
    if here:
        return f"--codec {' or '.join(here)} keeps it"
    elsewhere = _codecs_for(source, _RICHEST)
    return f"an .{_RICHEST} output with --codec {' or '.join(elsewhere)} keeps it" if elsewhere else ""


def _codecs_for(source: str, container: str) -> list[str]:
    """Give the codecs of a container that hold frames of `source` without loss."""
    return [
        codec
        for codec in containers.rule_of(container).video
        if not codecs.format_losses(source, codecs.output_pixel_format(source, codec, container=container))
    ]


def _later(
    info: MediaInfo, where: Destination, output: OutputSpec, streams: Sequence[StreamPlan], span: Span
) -> tuple[str, ...]:
    """Say that all starts later, where the container holds no time before zero and something would stand there."""
    shown = next((pts for pts in info.packets.pts if pts in span), None)
    if where.kind != "video" or info.kind != "video" or shown is None:
        return ()
    rule = containers.rule_of(where.container)
    later = lift(Layout(rule=rule, source=info, spec=output, streams=streams), (shown,), span)
    return (lift_in_words(rule.name, later),) if later else ()


def _of_streams(streams: Sequence[StreamPlan]) -> Iterator[Loss]:
    for plan in (plan for plan in streams if plan.is_loss):
        is_gone = " is left out" if plan.action == "drop" else ""
        yield Loss(subject=f"stream {plan.index}", text=f"stream {plan.index}{is_gone}: {plan.reason}")


def _of_container(info: MediaInfo, container: str, *, is_turned: bool) -> Iterator[Loss]:
    rule = containers.rule_of(container)
    keeping = f"use an .{_RICHEST} output to keep"
    if info.chapters and not rule.has_chapters:
        said = f"{rule.name} holds no chapters: {len(info.chapters)} left out; {keeping} them"
        yield Loss(subject="chapters", text=said)
    if rule.muxer in ("mp4", "mov") and (cut := _overlaps(info)):
        said = f"{rule.name} ends a chapter where the next begins: {cut} overlapping chapters are cut"
        yield Loss(subject="chapters", text=f"{said}; {keeping} them whole")
    if (moved := moves(info)) and not is_turned and not rule.has_rotation:
        said = f"{rule.name} holds no rotation: the picture will be shown unturned ({moved})"
        turning = f"--autorotate turns the pixels, an .{_RICHEST} output keeps it"
        yield Loss(subject="display matrix", text=f"{said}; {turning}")
    if missing := _tags_lost(info, rule.name):
        said = f"{rule.name} does not hold the metadata {', '.join(missing)}; {keeping} it"
        yield Loss(subject="metadata", text=said)
    for value in timecodes(info) if not rule.has_timecode else ():
        said = f"{rule.name} holds no timecode: {value} is left out; use a .mov or .mp4 output to keep it"
        yield Loss(subject="timecode", text=said)


def _overlaps(info: MediaInfo) -> int:
    """Give how many chapters end after the next one has begun."""
    spans = sorted((c.start * c.time_base, c.stop * c.time_base) for c in info.chapters)
    return sum(before[1] > after[0] for before, after in pairwise(spans))


def _tags_lost(info: MediaInfo, container: str) -> list[str]:
    held = _TAGS_HELD.get(container)
    names = (name for name in kept_metadata(dict(info.metadata)) if name.lower() != "timecode")
    return [] if held is None else sorted(name for name in names if name.lower() not in held)


def timecodes(info: MediaInfo) -> tuple[str, ...]:
    """Give the timecode of the first frame, as the file's header tells it; () where there is none."""
    return tuple(value for name, value in info.metadata if name.lower() == "timecode")


def _of_images(info: MediaInfo, *, is_turned: bool, has_square_pixels: bool) -> Iterator[Loss]:
    kinds = sorted({stream.kind for stream in info.streams if not stream.is_cover})
    if kinds:
        yield Loss(subject="streams", text=f"images hold no {', '.join(kinds)}: left out")
    if info.chapters:
        yield Loss(subject="chapters", text=f"images hold no chapters: {len(info.chapters)} left out")
    if info.kind == "video" and info.packets.is_variable:
        said = "images hold no times: those of a variable frame rate are left out; a video output keeps them"
        yield Loss(subject="times", text=said)
    if (moved := moves(info)) and not is_turned:
        said = f"images hold no rotation: they are written unturned ({moved}); --autorotate turns them"
        yield Loss(subject="display matrix", text=said)
    if info.video.sar != 1 and not has_square_pixels:
        said = f"images hold no sample aspect ratio ({info.video.sar}): they are written with the pixels as they are"
        yield Loss(subject="sample aspect ratio", text=f"{said}; --square-pixels stretches them")
    if info.video.hdr is not None:
        yield Loss(
            subject="HDR10 metadata", text="images hold no HDR10 metadata; a video output by hevc or av1 keeps it"
        )
