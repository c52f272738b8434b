"""A path to MediaInfo: headers, one decoded frame, and a scan of the video's packets.

`inputs` opens, `scan` reads the packets, `streams` names the streams beside the video, `sequences` describes images.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import av.error
import av.logging
from av.container import InputContainer
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

from vsr.core.errors import DecodeError, InputError, InputLimits, NotMedia, UnsupportedInput
from vsr.core.frame import ColorSpec
from vsr.core.media import MediaInfo, PacketIndex, VideoInfo
from vsr.io import scan as scanning
from vsr.io import streams
from vsr.io.decoding.alpha import has_layer, is_layered, layered_decoder
from vsr.io.decoding.fields import field_order
from vsr.io.decoding.formats import travel_format
from vsr.io.images import animations, sequences
from vsr.io.inputs import check_regular, open_input
from vsr.io.limits import MAX_PIXELS, check_packets, check_pixels, check_tables, ffmpeg_limit
from vsr.io.metadata.description import describe_video
from vsr.io.metadata.hdr import read_hdr
from vsr.io.metadata.orientation import read_matrix
from vsr.io.metadata.sidedata import raw_side_data, words
from vsr.io.tags import color_spec

log = logging.getLogger(__name__)

# A stream whose first packets are all refused is given up; a keyframe comes within ten seconds of any broadcast.
_TRIES = 600

# Codecs whose parsers in FFmpeg tell no keyframe: where they split the stream, every packet is marked as one.
_UNMARKED = ("h261", "h263", "cavs")


def probe(
    path: Path | str, *, rate: Fraction | None = None, max_pixels: int = MAX_PIXELS, scan: bool = True
) -> MediaInfo:
    """Describe a video file, an image, a numbered sequence (`%05d.png`) or a folder of images.

    rate: frames a second of a sequence (default 25). scan: read all packets of the video, for `packets`; without it
    that is empty. Frames are not decoded, but for the first one.

    Raises:
        InputMissing, NotMedia, UnsupportedInput, InputLimits, DecodeError: see `core/errors.py`.
    """
    path = Path(path)
    try:
        if not path.exists() and sequences.is_pattern(path):
            return sequences.describe_pattern(path, rate=rate, max_pixels=max_pixels)
        if path.is_dir():
            return sequences.describe_folder(path, rate=rate, max_pixels=max_pixels)
        check_regular(path)
        if sequences.is_image(path):
            return sequences.describe_image(path, rate=rate, max_pixels=max_pixels)
        if sequences.is_animation(path):
            return animations.describe_animation(path, max_pixels=max_pixels)
        check_tables(path)
        with open_input(path, max_pixels=max_pixels) as container:
            return _describe(path, container, max_pixels, scan)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from error


def _describe(path: Path, container: InputContainer, max_pixels: int, scan: bool) -> MediaInfo:
    stream, warnings = _choose(path, container)
    _check_size(path, stream.width, stream.height, max_pixels)
    stream.codec_context.options = {"max_pixels": ffmpeg_limit(max_pixels)}
    frame, found, broken = _read(path, container, stream, scan)
    if frame is not None:
        _check_size(path, frame.width, frame.height, max_pixels)
    video, said = _video(path, container, stream, frame)
    packets = PacketIndex()
    if scan:
        is_reordered = container.format.name == "avi" and bool(stream.codec_context.has_b_frames)
        packets = scanning.index(
            found,
            time_base=video.time_base,
            rate=video.rate,
            is_reordered=is_reordered,
            has_durations=container.format.name.startswith("mov"),
            has_marks=video.codec not in _UNMARKED or len(found.keyframes) < len(found.shown),
        )
    if found.has_alpha_layer and not video.has_alpha_layer:
        said.append("the alpha channel, coded as a second picture, is left out")
    warnings = [*warnings, *said, *_packet_warnings(found)]
    damage = [*_packet_damage(path, found, broken), *(_missing_end(path, container, video, packets) if scan else [])]
    return MediaInfo(
        path=path,
        kind="video",
        container=container.format.name,
        video=video,
        streams=tuple(streams.describe(other) for other in container.streams if other.index != stream.index),
        chapters=streams.chapters(container),
        metadata=tuple(container.metadata.items()),
        duration_s=container.duration / 1e6 if container.duration is not None else None,
        size_bytes=path.stat().st_size,
        packets=packets,
        warnings=tuple(warnings),
        damage=tuple(damage),
    )


def _choose(path: Path, container: InputContainer) -> tuple[VideoStream, list[str]]:
    """Give the video stream to upscale: never a cover; of several the first that is marked as default."""
    cover = av.stream.Disposition.attached_pic
    every = [stream for stream in container.streams.video if not stream.disposition & cover]
    if not every:
        kinds = [f"{streams.codec_name(stream)} {stream.type}" for stream in container.streams]
        there = ", ".join(kinds) if kinds else "no stream at all"
        raise NotMedia(f"{path} holds no video, only: {there}", hint="Name a file with pictures in it.")
    marked = [stream for stream in every if stream.disposition & av.stream.Disposition.default]
    chosen = (marked or every)[0]
    if chosen.codec_context is None:
        raise UnsupportedInput(f"{path}: there is no decoder for its video (stream {chosen.index})")
    if len(every) == 1:
        return chosen, []
    left = ", ".join(str(stream.index) for stream in every if stream is not chosen)
    return chosen, [f"several video streams: stream {chosen.index} is used, not {left}"]


def _check_size(path: Path, width: int, height: int, max_pixels: int) -> None:
    if width < 1 or height < 1:  # FFmpeg makes 0x0 of a claim above the limit, or above its own
        raise InputLimits(
            f"{path}: its video gives no size, or one of more than {max_pixels} pixels",
            hint=f"Raise the limit with --max-pixels; above {MAX_PIXELS} FFmpeg decodes no video.",
        )
    check_pixels(path, width, height, max_pixels)


def _read(
    path: Path, container: InputContainer, stream: VideoStream, scan: bool
) -> tuple[av.VideoFrame | None, scanning.Scan, str]:
    """Give the first frame, what the packets said, and why reading ended early ("" if it did not)."""
    context = stream.codec_context
    context.thread_count = 1
    found, frame, refused = scanning.Scan(), None, ""
    tries = 0
    try:
        for packet in scanning.packets(container, stream):
            scanning.note(found, packet)
            check_packets(path, len(found.shown))
            if is_layered(packet) and frame is None and not tries:
                context = layered_decoder(streams.codec_name(stream)) or context
            if frame is None and tries < _TRIES:
                tries += 1
                try:
                    frame = next(iter(context.decode(packet)), None)
                except av.error.FFmpegError as error:
                    refused = error.strerror or str(error)
            elif not scan:
                break
        broken = ""
    except av.error.FFmpegError as error:
        broken = error.strerror or str(error)
    if frame is None:
        frame = _drain(context)
    if not found.shown and not broken:
        raise NotMedia(f"{path}: its {streams.codec_name(stream)} video holds no packets")
    if frame is None:
        log.info("no frame of %s could be decoded: %s", path, refused or broken)
        if stream.codec_context.pix_fmt is None:
            raise DecodeError(
                f"{path}: no frame of its {streams.codec_name(stream)} video can be decoded: {refused or broken}",
                hint="The file is damaged; fetch it again.",
            )
    return frame, found, broken


def _drain(context: VideoCodecContext) -> av.VideoFrame | None:
    """Give the first frame that the decoder held back: clips shorter than its delay come out here."""
    try:
        return next(iter(context.decode(None)), None)
    except av.error.FFmpegError:
        return None  # the caller says what refused the packets


def _video(
    path: Path, container: InputContainer, stream: VideoStream, frame: av.VideoFrame | None
) -> tuple[VideoInfo, list[str]]:
    context = stream.codec_context
    coded = frame.format.name if frame is not None else str(context.pix_fmt)
    name, lost = travel_format(coded)
    warnings = [f"{coded}: {lost}"] if lost else []
    is_interlaced = frame is not None and frame.interlaced_frame
    carried = raw_side_data(frame) if frame is not None else {}
    told = describe_video(container, stream.index)
    matrix = read_matrix(carried.get("DISPLAYMATRIX", b""))
    info = VideoInfo(
        index=stream.index,
        codec=streams.codec_name(stream),
        width=frame.width if frame is not None else stream.width,
        height=frame.height if frame is not None else stream.height,
        pixel_format=name,
        coded_pixel_format=coded,
        color=_color(stream, frame, coded, told.siting),
        time_base=Fraction(stream.time_base or 0),
        rate=stream.average_rate or stream.guessed_rate or None,
        sar=Fraction(stream.sample_aspect_ratio or 1),
        rotation=frame.rotation if frame is not None and matrix else 0,
        display_matrix=matrix,
        is_interlaced=is_interlaced,
        field_order=field_order(frame) if frame is not None else "",
        hdr=read_hdr(carried),
        side_data=tuple(sorted({*words(carried, width=stream.width), *told.side_data})),
        has_alpha_layer=frame is not None and has_layer(streams.codec_name(stream), coded),
        header_frames=stream.frames or None,
        bit_rate=stream.bit_rate or None,
        language=streams.language(stream),
        title=stream.metadata.get("title"),
        dispositions=streams.dispositions(stream),
    )
    if info.time_base <= 0:
        raise UnsupportedInput(f"{path}: the video has no time base")
    return info, warnings


def _color(stream: VideoStream, frame: av.VideoFrame | None, coded: str, siting: str) -> ColorSpec:
    """Give the tags of the first frame; where it is silent, those of the header."""
    header = stream.codec_context

    def pick(of_frame: int | None, of_header: int, silent: Sequence[int]) -> int:
        return of_frame if of_frame is not None and of_frame not in silent else of_header

    levels = pick(frame.color_range if frame else None, header.color_range, (0,))
    return color_spec(
        matrix=pick(frame.colorspace if frame else None, header.colorspace, (2,)),
        range=2 if "yuvj" in coded else levels,
        primaries=pick(frame.color_primaries if frame else None, header.color_primaries, (2,)),
        transfer=pick(frame.color_trc if frame else None, header.color_trc, (2,)),
        siting=siting,
    )


def _packet_damage(path: Path, found: scanning.Scan, broken: str) -> list[str]:
    said = []
    if broken:
        said.append(f"{path.name} breaks off after {len(found.shown)} video packets: {broken}")
    if found.corrupt:
        said.append(f"{found.corrupt} of {len(found.shown)} video packets are marked as damaged")
    return said


def _missing_end(path: Path, container: InputContainer, video: VideoInfo, packets: PacketIndex) -> list[str]:
    """Say so where the header announces clearly more than is there: Matroska and AVI end quietly where they are cut."""
    there, announced = len(packets.pts), video.header_frames
    if not there:
        return []
    if "avi" in container.format.name and announced and there < announced * 0.95 - 2:
        return [f"{path.name} announces {announced} frames, {there} are there: it breaks off"]
    end = float((packets.pts[-1] + packets.durations[-1]) * video.time_base)
    duration = container.duration / 1e6 if container.duration else 0.0
    alone = all(stream.type == "video" for stream in container.streams)
    if "matroska" in container.format.name and alone and duration - end > max(0.5, 0.02 * duration):
        return [f"{path.name} announces {duration:.1f} s, its video ends at {end:.1f} s: it breaks off"]
    return []


def _packet_warnings(found: scanning.Scan) -> list[str]:
    said = []
    if found.leading:
        said.append(f"the first {found.leading} video packets come before any keyframe and cannot be shown")
    if found.shown and all(pts is None for pts, _ in found.shown):
        said.append("the video has no timestamps: frames are set one after the other at its frame rate")
    return said
