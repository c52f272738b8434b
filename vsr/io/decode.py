"""Frames of a video file through PyAV, with their own times, drained to the last one."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Generator, Iterator
from dataclasses import dataclass

from av.codec.context import ThreadType
from av.container import InputContainer
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

from vsr.core.errors import DecodeError, SettingsError
from vsr.core.frame import Frame
from vsr.core.media import MediaInfo, Span
from vsr.io.base import DecodeTally, Source
from vsr.io.deinterlace import deinterlaced
from vsr.io.ffmpeg import FfmpegSource
from vsr.io.formats import Unpacker
from vsr.io.frames import Decoded, timed, to_frame
from vsr.io.images import ImageSource
from vsr.io.inputs import open_input
from vsr.io.limits import MAX_PIXELS, check_pixels, ffmpeg_limit
from vsr.io.scan import packets
from vsr.io.seeking import decode, decode_from
from vsr.io.timing import Clock

log = logging.getLogger(__name__)


def open_source(
    info: MediaInfo,
    *,
    decoder: str = "pyav",
    threads: int = 1,
    max_pixels: int = MAX_PIXELS,
    deinterlace: bool = False,
) -> Source:
    """Give the Source for what `probe` described; nothing is opened before its frames are asked for.

    max_pixels: the largest picture that is decoded, whatever the file becomes in its middle. deinterlace: the fields of
    each frame of a video are merged.

    Raises:
        SettingsError: no such decoder, or one that does not deinterlace.
    """
    if info.kind != "video":
        return ImageSource(info=info, max_pixels=max_pixels)
    if decoder == "pyav":
        return PyavSource(info=info, threads=threads, max_pixels=max_pixels, deinterlace=deinterlace)
    if deinterlace and decoder == "ffmpeg":
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
    deinterlace: bool = False

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
        clock = Clock(self.info.packets, counted)
        unpack = Unpacker(self.info.video.pixel_format)
        # A file without times of showing tells a frame's place by counting from the start alone.
        start = None if self.info.packets.has_decoding_times else seek
        with contextlib.closing(self._decoded(start, counted)) as decoded:
            shown = timed(decoded, clock)
            for timing, frame in deinterlaced(shown) if self.deinterlace else shown:
                if span.stop is not None and timing.pts >= span.stop:
                    break
                if timing.pts in span:
                    counted.frames += 1
                    counted.corrupt += frame.is_corrupt
                    yield to_frame(frame, timing, self.info, unpack)
        if clock.is_untouched and start is None:  # after a seek the frames before it may be all there are
            raise DecodeError(
                f"no frame of {self.info.path} could be decoded: {counted.first_error or 'nothing came out'}",
                hint="The file is damaged; fetch it again.",
            )

    def _decoded(self, seek: int | None, counted: DecodeTally) -> Generator[Decoded]:
        """Yield what the decoder shows from the keyframe `seek` on, or all of it where there is no way to that."""
        keyframes = self.info.packets.keyframes
        if seek is not None and keyframes and keyframes[0] < seek:
            with open_input(self.info.path, max_pixels=self.max_pixels) as container:
                found = decode_from(container, self._stream(container), keyframes, seek, counted)
                if found is not None:
                    yield from found
                    self._check_size(container)
                    return
            log.debug("%s is decoded from its start, not from pts %d", self.info.path, seek)
        with open_input(self.info.path, max_pixels=self.max_pixels) as container:
            stream = self._stream(container)
            yield from decode(stream, packets(container, stream), counted)
            self._check_size(container)

    def _stream(self, container: InputContainer) -> VideoStream:
        at = self.info.video.index
        stream = container.streams[at] if at < len(container.streams) else None
        if not isinstance(stream, VideoStream):
            raise DecodeError(f"{self.info.path} has no video stream {at} any more", hint="It has changed; plan anew.")
        stream.codec_context.options = {"max_pixels": ffmpeg_limit(self.max_pixels)}
        stream.codec_context.thread_count = self.threads
        if self.threads > 1:
            # Slices would help no stream of today's encoders: they write one a frame.
            stream.codec_context.thread_type = ThreadType.FRAME
        return stream

    def _check_size(self, container: InputContainer) -> None:
        """Say so where the decoder has refused everything from some place on, because pictures became too large."""
        context = container.streams[self.info.video.index].codec_context
        if isinstance(context, VideoCodecContext):
            check_pixels(self.info.path, context.width, context.height, self.max_pixels)
