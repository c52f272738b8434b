"""What a media file is, read anew for `vsr verify`: headers, packets as hashes and times, one decoded frame.

A witness against the rest of the house, so it shares none of its readings: not `probe`, `scan`, `decode` or `mux`.
`showing` decodes the pictures; images have no packets and are told by `sequences`.
"""

from __future__ import annotations

import hashlib
import re
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import av.error
import av.logging
from av.audio.codeccontext import AudioCodecContext
from av.container import InputContainer
from av.packet import Packet
from av.sidedata.sidedata import SideData
from av.stream import AttachmentStream, Disposition, Stream
from av.subtitles.codeccontext import SubtitleCodecContext
from av.video.stream import VideoStream

from vsr.core.errors import DecodeError, NotMedia
from vsr.core.frame import UNSPECIFIED, ColorSpec
from vsr.core.media import FieldOrder, MediaInfo
from vsr.io.decoding.fields import field_order
from vsr.io.images import sequences
from vsr.io.images.animations import describe_animation
from vsr.io.inputs import check_regular, open_input
from vsr.io.limits import MAX_PIXELS, check_packets, ffmpeg_limit
from vsr.io.tags import SITINGS, color_spec
from vsr.io.witness import nal

_TRIES = 600  # packets that a decoder may refuse before the first picture is given up


@dataclass(frozen=True, slots=True, kw_only=True)
class Trail:
    """The packets of a stream in the file's order. times: pts (dts where there is none) in `time_base`.

    digests: sha256 of each packet's content, without the framing that only some containers have (ADTS). content: of
    all of them in a row, for codecs that a container may cut anew (PCM).
    """

    time_base: Fraction = Fraction(1)
    times: tuple[int | None, ...] = ()
    durations: tuple[int, ...] = ()
    digests: tuple[bytes, ...] = ()
    content: bytes = b""
    bytes: int = 0

    def seconds(self, place: int) -> Fraction | None:
        """Give the exact time of a packet."""
        ticks = self.times[place]
        return None if ticks is None else ticks * self.time_base

    @property
    def first(self) -> Fraction | None:
        """The earliest time of any packet."""
        known = [time for time in self.times if time is not None]
        return min(known) * self.time_base if known else None

    @property
    def end(self) -> Fraction | None:
        """When the last packet ends."""
        ends = [time + length for time, length in zip(self.times, self.durations, strict=True) if time is not None]
        return max(ends) * self.time_base if ends else None


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamFacts:
    """A stream, the video too. kind: as FFmpeg says it. digest, name, mime: of an attachment.

    until: when the header says that it ends, in seconds; None where it does not say.
    """

    index: int
    kind: str
    codec: str
    language: str | None = None
    title: str | None = None
    dispositions: tuple[str, ...] = ()
    is_cover: bool = False
    extradata: str = ""  # sha256, "" where there is none
    trail: Trail = field(default_factory=Trail)
    name: str = ""
    mime: str = ""
    digest: str = ""
    timecode: str | None = None
    sample_rate: int = 0
    until: Fraction | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChapterFacts:
    """A chapter, in exact seconds; `tick` is what the file counts in."""

    start: Fraction
    stop: Fraction
    tick: Fraction
    title: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureFacts:
    """What the first decoded frame says, and the header where the frame is silent. first: when it is shown, in seconds.

    mastering: ten numbers of ST 2086 (R, G, B, white: x, y; least, most light), light: (MaxCLL, MaxFALL), () if not
    there. side_data: FFmpeg's names of what the frame carries beside its samples.
    """

    width: int
    height: int
    pixel_format: str
    color: ColorSpec
    sar: Fraction
    first: Fraction | None = None
    matrix: tuple[int, ...] = ()
    mastering: tuple[Fraction, ...] = ()
    light: tuple[Fraction, ...] = ()
    side_data: tuple[str, ...] = ()
    is_interlaced: bool = False
    field_order: FieldOrder = ""
    has_alpha_layer: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FileFacts:
    """A media file. images: what describes image files and animated WebP, which have no packets; else None."""

    path: Path
    container: str  # FFmpeg's name, "image2" for images
    video: StreamFacts
    picture: PictureFacts
    streams: tuple[StreamFacts, ...] = ()
    chapters: tuple[ChapterFacts, ...] = ()
    metadata: tuple[tuple[str, str], ...] = ()
    damage: str = ""  # why reading ended before the file did
    images: MediaInfo | None = None


def read(path: Path, *, rank: int | None = None, max_pixels: int = MAX_PIXELS) -> FileFacts:
    """Read a video file, an image, a numbered sequence or a folder of images.

    rank: take the video stream of this place among those that are no covers (None: the one marked as default, else
    the first).

    Raises:
        InputMissing, NotMedia, UnsupportedInput, InputLimits, DecodeError: it cannot be read.
    """
    images = _images(path, max_pixels)
    if images is not None:
        return _of_images(path, images)
    try:
        with open_input(path, max_pixels=max_pixels) as container:
            return _read(path, container, rank, max_pixels)
    except OSError as error:
        raise DecodeError(f"{path} cannot be read: {error.strerror or error}") from error


def pictures_of(container: InputContainer) -> list[VideoStream]:
    """Give the video streams that are no covers."""
    return [stream for stream in container.streams.video if not stream.disposition & Disposition.attached_pic]


def _images(path: Path, max_pixels: int) -> MediaInfo | None:
    if not path.exists() and sequences.is_pattern(path):
        return sequences.describe_pattern(path, rate=None, max_pixels=max_pixels)
    if path.is_dir():
        return sequences.describe_folder(path, rate=None, max_pixels=max_pixels)
    check_regular(path)
    if sequences.is_animation(path):
        return describe_animation(path, max_pixels=max_pixels)
    return sequences.describe_image(path, rate=None, max_pixels=max_pixels) if sequences.is_image(path) else None


def _of_images(path: Path, info: MediaInfo) -> FileFacts:
    video = info.video
    picture = PictureFacts(
        width=video.width, height=video.height, pixel_format=video.pixel_format, color=video.color, sar=video.sar
    )
    stream = StreamFacts(index=0, kind="video", codec=video.codec)
    return FileFacts(path=path, container=info.container, video=stream, picture=picture, images=info)


def _read(path: Path, container: InputContainer, rank: int | None, max_pixels: int) -> FileFacts:
    video = _choose(path, container, rank)
    video.codec_context.options = {"max_pixels": ffmpeg_limit(max_pixels)}
    video.codec_context.thread_count = 1
    siting = _siting(container, video)
    trails = {stream.index: _Trail(stream) for stream in container.streams if not isinstance(stream, AttachmentStream)}
    frame, has_layer, damage = _walk(path, container, video, trails)
    return FileFacts(
        path=path,
        container=container.format.name,
        video=_stream(video, trails),
        picture=_picture(video, frame, siting, has_layer),
        streams=tuple(_stream(stream, trails) for stream in container.streams if stream.index != video.index),
        chapters=_chapters(container),
        metadata=tuple(container.metadata.items()),
        damage=damage,
    )


def _choose(path: Path, container: InputContainer, rank: int | None) -> VideoStream:
    every = pictures_of(container)
    if not every or (rank is not None and rank >= len(every)):
        raise NotMedia(f"{path} holds {len(every)} video streams, none to verify", hint="Name a file with pictures.")
    marked = [stream for stream in every if stream.disposition & Disposition.default]
    return every[rank] if rank is not None else (marked or every)[0]


@dataclass(slots=True)
class _Trail:
    """Gathers a trail packet by packet; what it keeps of each is two numbers and a hash."""

    stream: Stream
    times: list[int | None] = field(default_factory=list)
    durations: list[int] = field(default_factory=list)
    digests: list[bytes] = field(default_factory=list)
    size: int = 0
    _all: object = field(default_factory=hashlib.sha256)

    def note(self, packet: Packet[Stream], codec: str) -> None:
        data = bytes(packet)
        if codec == "aac":
            data = _without_adts(data)
        elif codec in nal.CODECS:
            context = self.stream.codec_context
            data = nal.pictures(data, codec, (context.extradata if context is not None else None) or b"")
        self.times.append(packet.pts if packet.pts is not None else packet.dts)
        self.durations.append(packet.duration or 0)
        self.digests.append(hashlib.sha256(data).digest())
        cast("hashlib._Hash", self._all).update(data)
        self.size += len(data)

    def whole(self) -> Trail:
        return Trail(
            time_base=Fraction(self.stream.time_base or 1),
            times=tuple(self.times),
            durations=tuple(self.durations),
            digests=tuple(self.digests),
            content=cast("hashlib._Hash", self._all).digest(),
            bytes=self.size,
        )


def _without_adts(data: bytes) -> bytes:
    """Take off the header that AAC has in MPEG-TS (ISO/IEC 13818-7 sec. 6.2): 7 bytes, 9 with a checksum."""
    if len(data) < 9 or data[0] != 0xFF or data[1] & 0xF6 != 0xF0:
        return data
    return data[7:] if data[1] & 1 else data[9:]


def _walk(
    path: Path, container: InputContainer, video: VideoStream, trails: Mapping[int, _Trail]
) -> tuple[av.VideoFrame | None, bool, str]:
    """Note every packet; give the first picture, whether alpha is coded beside it, and why reading broke off."""
    codecs = {stream.index: _codec(stream) for stream in container.streams}
    frame, has_layer, tries, damage = None, False, 0, ""
    try:
        for packet in container.demux():
            at = packet.stream_index
            if packet.size and at in trails:  # a stream may begin in mid-file: nobody announced it
                trails[at].note(packet, codecs[at])
                check_packets(path, len(trails[at].times))
            if at != video.index or frame is not None:
                continue
            has_layer = has_layer or packet.has_sidedata("matroska_block_additional")
            tries += 1
            if tries <= _TRIES or not packet.size:
                frame = _first(video, packet)
    except av.error.FFmpegError as error:
        damage = error.strerror or str(error)
        frame = frame or _first(video, None)
    if frame is None and video.codec_context.pix_fmt is None:
        raise DecodeError(f"{path}: no frame of its {codecs[video.index]} video can be decoded", hint="It is damaged.")
    return frame, has_layer, damage


def _first(video: VideoStream, packet: Packet[Stream] | None) -> av.VideoFrame | None:
    try:
        return next(iter(video.codec_context.decode(cast("Packet[VideoStream] | None", packet))), None)
    except av.error.FFmpegError:
        return None  # another packet may do; `_walk` says so where none does


def _codec(stream: Stream) -> str:
    context = stream.codec_context
    return str(context.codec.canonical_name) if context is not None else ""


def _stream(stream: Stream, trails: Mapping[int, _Trail]) -> StreamFacts:
    context = stream.codec_context
    language = stream.metadata.get("language", "und")
    extradata = context.extradata if isinstance(context, AudioCodecContext | SubtitleCodecContext) else None
    return StreamFacts(
        index=stream.index,
        kind=str(stream.type),
        codec=_codec(stream),
        language=language if language != "und" else None,
        title=_title(stream),
        dispositions=tuple(str(flag.name) for flag in Disposition if stream.disposition & flag),
        is_cover=bool(stream.disposition & Disposition.attached_pic),
        extradata=hashlib.sha256(extradata).hexdigest() if extradata else "",
        trail=trails[stream.index].whole() if stream.index in trails else Trail(),
        name=stream.metadata.get("filename", "") if stream.type == "attachment" else "",
        mime=stream.metadata.get("mimetype", "") if stream.type == "attachment" else "",
        digest=hashlib.sha256(stream.data or b"").hexdigest() if isinstance(stream, AttachmentStream) else "",
        timecode=next((value for key, value in stream.metadata.items() if key.lower() == "timecode"), None),
        sample_rate=context.sample_rate if isinstance(context, AudioCodecContext) else 0,
        until=_until(stream),
    )


def _until(stream: Stream) -> Fraction | None:
    if stream.duration is None or not stream.time_base:
        return None
    return ((stream.start_time or 0) + stream.duration) * Fraction(stream.time_base)


def _title(stream: Stream) -> str | None:
    """Give a stream's title; FFmpeg calls that of a track in MP4 and MOV its name."""
    is_track = stream.container.format.name.startswith("mov")
    return stream.metadata.get("title") or (stream.metadata.get("name") if is_track else None) or None


def _chapters(container: InputContainer) -> tuple[ChapterFacts, ...]:
    found = []
    for chapter in container.chapters():
        tick = Fraction(chapter["time_base"] or 1)
        title = chapter["metadata"].get("title", "")
        found.append(ChapterFacts(start=chapter["start"] * tick, stop=chapter["end"] * tick, tick=tick, title=title))
    return tuple(found)


def _picture(video: VideoStream, frame: av.VideoFrame | None, siting: str, has_layer: bool) -> PictureFacts:
    context = video.codec_context
    name = frame.format.name if frame is not None else str(context.pix_fmt)
    items = list(cast("Iterable[SideData]", frame.side_data)) if frame is not None else []
    carried = {item.type.name: bytes(item) for item in items}
    return PictureFacts(
        width=frame.width if frame is not None else context.width,
        height=frame.height if frame is not None else context.height,
        pixel_format=name,
        color=tags_of(frame, context, name, siting),
        sar=Fraction(video.sample_aspect_ratio or 1),
        first=frame.pts * Fraction(video.time_base or 1) if frame is not None and frame.pts is not None else None,
        matrix=struct.unpack("=9i", carried["DISPLAYMATRIX"]) if "DISPLAYMATRIX" in carried else (),
        mastering=_mastering(carried.get("MASTERING_DISPLAY_METADATA", b"")),
        light=_light(carried.get("CONTENT_LIGHT_LEVEL", b"")),
        side_data=tuple(sorted(carried)),
        is_interlaced=frame is not None and frame.interlaced_frame,
        field_order=field_order(frame) if frame is not None else "",
        has_alpha_layer=has_layer,
    )


def tags_of(
    frame: av.VideoFrame | None, context: av.VideoCodecContext, name: str, siting: str = UNSPECIFIED
) -> ColorSpec:
    """Give the colour tags of a frame; those of the header where the frame is silent."""

    def said(of_frame: int | None, of_header: int, silence: int) -> int:
        return of_header if of_frame is None or of_frame == silence else of_frame

    levels = said(frame.color_range if frame else None, context.color_range, 0)
    return color_spec(
        matrix=said(frame.colorspace if frame else None, context.colorspace, 2),
        range=2 if name.startswith("yuvj") else levels,
        primaries=said(frame.color_primaries if frame else None, context.color_primaries, 2),
        transfer=said(frame.color_trc if frame else None, context.color_trc, 2),
        siting=siting,
    )


def _mastering(data: bytes) -> tuple[Fraction, ...]:
    """Read FFmpeg's AVMasteringDisplayMetadata: ten AVRationals and two flags that say which of them mean something."""
    if len(data) < struct.calcsize("=22i"):
        return ()
    *numbers, _, has_light = struct.unpack("=22i", data[:88])
    ratios = [Fraction(a, b) if b else Fraction(0) for a, b in zip(numbers[::2], numbers[1::2], strict=True)]
    return tuple(ratios if has_light else ratios[:8])


def _light(data: bytes) -> tuple[Fraction, ...]:
    """Read FFmpeg's AVContentLightMetadata: MaxCLL and MaxFALL."""
    return tuple(Fraction(number) for number in struct.unpack("=2I", data[:8])) if len(data) >= 8 else ()


def _siting(container: InputContainer, stream: VideoStream) -> str:
    """Give the chroma siting from FFmpeg's own account of the file, in which it stands among the words of a stream."""
    before = av.logging.get_level()
    try:
        av.logging.set_level(av.logging.VERBOSE)
        av.logging.set_libav_level(av.logging.VERBOSE)
        text: str = container.dumps_format()  # type: ignore[attr-defined]
    finally:
        av.logging.set_libav_level(av.logging.INFO)
        av.logging.set_level(before)
    told = next((line for line in text.splitlines() if re.search(rf"Stream #0:{stream.index}\b.*Video:", line)), "")
    return next((word for word in re.findall(r"[(, ](\w+)(?=[,)])", told) if word in SITINGS), UNSPECIFIED)
