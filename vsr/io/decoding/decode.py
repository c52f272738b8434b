"""Frames of a video file through PyAV, with their own times, drained to the last one."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Generator, Iterator
from dataclasses import dataclass, replace

import av
from av.codec.context import ThreadType
from av.container import InputContainer
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

from vsr.core.errors import DecodeError, SettingsError
from vsr.core.frame import NO_SIDE_DATA, Frame
from vsr.core.media import FieldOrder, MediaInfo, Span
from vsr.io.base import DecodeTally, Source
from vsr.io.decoding import hwdecode
from vsr.io.decoding.alpha import layered_decoder
from vsr.io.decoding.deinterlace import Merging, deinterlaced
from vsr.io.decoding.fields import file_of
from vsr.io.decoding.formats import Unpacker, travel_format
from vsr.io.decoding.frames import Decoded, timed, to_frame
from vsr.io.decoding.seeking import decode, decode_from
from vsr.io.decoding.timing import Clock, Timing
from vsr.io.ffmpeg import FfmpegSource
from vsr.io.images.animations import CONTAINER as ANIMATION
from vsr.io.images.animations import AnimationSource
from vsr.io.images.files import ImageSource
from vsr.io.inputs import open_input
from vsr.io.limits import MAX_PIXELS, check_pixels, ffmpeg_limit
from vsr.io.scan import packets

log = logging.getLogger(__name__)


def open_source(
    info: MediaInfo,
    *,
    decoder: str = "pyav",
    threads: int = 1,
    max_pixels: int = MAX_PIXELS,
    deinterlace: Merging = "off",
    order: FieldOrder = "",
    hwaccel: str = "off",
) -> Source:
    """Give the Source for what `probe` described; nothing is opened before its frames are asked for.

    max_pixels: the largest picture that is decoded, whatever the file becomes in its middle. deinterlace: one
    picture of the fields of each frame of a video, or one of each field: `info` is what `fields_of` gives then. order:
    which field is shown first; "" asks each frame. hwaccel: the kind of hardware that decodes, see `hwdecode`.

    Raises:
        SettingsError: no such decoder, or one that does not deinterlace or knows no hardware.
    """
    if info.kind != "video":
        return ImageSource(info=info, max_pixels=max_pixels)
    if info.container == ANIMATION:
        return AnimationSource(info=info, max_pixels=max_pixels)
    if decoder == "pyav":
        return PyavSource(
            info=info, threads=threads, max_pixels=max_pixels, deinterlace=deinterlace, order=order, hwaccel=hwaccel
        )
    if decoder == "ffmpeg" and hwaccel not in ("off", "auto"):
        raise SettingsError("the ffmpeg program is not asked to decode on hardware", hint="Use --decoder pyav.")
    if deinterlace in ("frame", "field") and decoder == "ffmpeg":
        raise SettingsError("the ffmpeg program is not asked to deinterlace", hint="Use --decoder pyav.")
    if decoder == "ffmpeg":
        return FfmpegSource(info=info, threads=threads, max_pixels=max_pixels)
    raise SettingsError(f"there is no decoder {decoder!r}", hint="Decoders: pyav, ffmpeg.")


@dataclass(frozen=True, slots=True, kw_only=True)
class PyavSource:
    """Frames of a video stream. threads > 1 decodes several at a time: more CPU a frame, less waiting."""

    info: MediaInfo
    threads: int = 1
    max_pixels: int = MAX_PIXELS
    deinterlace: Merging = "off"
    order: FieldOrder = ""
    hwaccel: str = "off"

    def frames(self, span: Span, *, seek: int | None = None, tally: DecodeTally | None = None) -> Iterator[Frame]:
        """Yield the frames whose pts lie in `span`; see `io.base.Source`.

        A frame's planes are read-only views into the decoder's memory, which stays as long as they do. A pts that
        does not rise is moved to one tick after the one before, and counted.

        Raises:
            DecodeError: nothing can be decoded, or size or pixel format change in mid-stream.
            InputLimits: the pictures become larger than `max_pixels`; those before are given.
            InputMissing, NotMedia: the file has gone or become another.
        """
        try:
            yield from self._frames(span, seek, tally if tally is not None else DecodeTally())
        except OSError as error:
            raise DecodeError(f"{self.info.path} cannot be read: {error.strerror or error}") from error

    def _frames(self, span: Span, seek: int | None, counted: DecodeTally) -> Iterator[Frame]:
        file = file_of(self.info) if self.deinterlace == "field" else self.info
        clock = Clock(file.packets, counted)
        unpack = Unpacker(self.info.video.pixel_format)
        # A file without times of showing tells a frame's place by counting from the start alone.
        start = None if file.packets.has_decoding_times else seek
        if start is not None and self.deinterlace == "field":
            start //= 2
        with contextlib.closing(self._shown(file, start, counted)) as decoded:
            for timing, frame in self._merged(timed(decoded, clock), unpack):
                if span.stop is not None and timing.pts >= span.stop:
                    break
                if timing.pts in span:
                    counted.frames += 1
                    counted.corrupt += frame.is_corrupt
                    made = to_frame(frame, timing, self.info, unpack)
                    is_second = self.deinterlace == "field" and timing.index % 2 == 1
                    # Both pictures of a frame carry its captions: they are shown once.
                    yield replace(made, side_data=NO_SIDE_DATA, is_keyframe=False) if is_second else made
        if clock.is_untouched and start is None:  # after a seek the frames before it may be all there are
            raise DecodeError(
                f"no frame of {self.info.path} could be decoded: {counted.first_error or 'nothing came out'}",
                hint="The file is damaged; fetch it again.",
            )

    def _merged(
        self, shown: Iterator[tuple[Timing, av.VideoFrame]], unpack: Unpacker
    ) -> Iterator[tuple[Timing, av.VideoFrame]]:
        """Give the frames, deinterlaced where that is asked. The filter knows planes, not packed samples."""
        if self.deinterlace not in ("frame", "field"):
            return shown
        wanted = self.info.video.pixel_format
        planar = ((time, unpack(f) if travel_format(f.format.name)[0] == wanted else f) for time, f in shown)
        return deinterlaced(planar, merging=self.deinterlace, order=self.order)

    def _shown(self, file: MediaInfo, seek: int | None, counted: DecodeTally) -> Generator[Decoded]:
        """Yield what hardware shows as long as it shows every frame, or what the decoder shows."""
        kind = hwdecode.chosen_kind(self.hwaccel, file)
        if not kind:
            return self._decoded(file, seek, counted)
        return hwdecode.guarded(
            file,
            kind,
            seek=seek,
            max_pixels=self.max_pixels,
            software=lambda: self._decoded(file, seek, counted),
            counted=counted,
        )

    def _decoded(self, file: MediaInfo, seek: int | None, counted: DecodeTally) -> Generator[Decoded]:
        """Yield what the decoder shows from the keyframe `seek` on, or all of it where there is no way to that."""
        keyframes = file.packets.keyframes
        if seek is not None and keyframes and keyframes[0] < seek:
            with open_input(self.info.path, max_pixels=self.max_pixels) as container:
                stream, context = self._stream(container)
                found = decode_from(container, stream, keyframes, seek, counted, context=context)
                if found is not None:
                    yield from found
                    self._check_size(context)
                    return
            log.debug("%s is decoded from its start, not from pts %d", self.info.path, seek)
        with open_input(self.info.path, max_pixels=self.max_pixels) as container:
            stream, context = self._stream(container)
            yield from decode(context, packets(container, stream), counted)
            self._check_size(context)

    def _stream(self, container: InputContainer) -> tuple[VideoStream, VideoCodecContext]:
        """Give the stream and what decodes it: its own decoder, or one that sees a second layer."""
        at = self.info.video.index
        stream = container.streams[at] if at < len(container.streams) else None
        if not isinstance(stream, VideoStream):
            raise DecodeError(f"{self.info.path} has no video stream {at} any more", hint="It has changed; plan anew.")
        context = stream.codec_context
        if self.info.video.has_alpha_layer:
            context = layered_decoder(self.info.video.codec) or context
        context.options = {"max_pixels": ffmpeg_limit(self.max_pixels)}
        context.thread_count = self.threads
        if self.threads > 1:
            # Slices would help no stream of today's encoders: they write one a frame.
            context.thread_type = ThreadType.FRAME
        return stream, context

    def _check_size(self, context: VideoCodecContext) -> None:
        """Say so where the decoder has refused everything from some place on, because pictures became too large."""
        check_pixels(self.info.path, context.width, context.height, self.max_pixels)
