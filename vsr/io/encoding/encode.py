"""Frames in, one closed segment out, through PyAV: the video stream alone, with exact times.

A segment is NUT, which keeps any time base exactly and holds every codec but ProRes, whose segments are QuickTime, and
VP9 with alpha, a second picture beside each, whose segments are Matroska: in those the n-th packet has the time n.
`mux` joins segments into the destination. Also here, because encoders are opened here: which of them work.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from io import BufferedWriter
from pathlib import Path

import av
import av.logging
from av.codec.hwaccel import HWAccel
from av.container import OutputContainer
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

from vsr.core.errors import EncodeError, OutputError
from vsr.core.frame import ColorSpec, Frame, pixel_format
from vsr.core.media import OutputSpec
from vsr.io.atomic import translate
from vsr.io.base import Written
from vsr.io.encoding.packing import filled, native_format
from vsr.io.metadata.captions import with_captions
from vsr.io.tags import MATRICES, PRIMARIES, RANGES, SITINGS, TRANSFERS, number

_FALLBACK_RATE = Fraction(25)  # a hint for rate control where the source has none; timing is by pts alone
_DEEPEST_REORDERING = 16  # frames: the decoded picture buffer of H.264 (table A-1) and H.265 (A.4.2) holds no more
_WRITE_BYTES = 1 << 20
_MILLISECOND = Fraction(1, 1000)


class PyavSink:
    """A `Sink` that writes one segment. Opened at the first frame; the first frame is a keyframe."""

    def __init__(self, path: Path, spec: OutputSpec) -> None:
        self._path = path
        self._spec = spec
        self._format = pixel_format(spec.pixel_format)
        self._file: BufferedWriter | None = None
        self._container: OutputContainer | None = None
        self._stream: VideoStream | None = None
        self._shift = 0
        self._pts: list[int] = []
        self._durations: list[int] = []
        self._out: list[int] = []
        self._sizes: list[int] = []  # of the packets, as they came out
        self._waiting: dict[int, int] = {}  # durations of the frames inside the encoder, by pts
        self._captions: dict[int, bytes] = {}  # of the same frames

    def write(self, frame: Frame) -> None:
        """Encode one frame with its own pts and duration; its planes are copied.

        Raises:
            EncodeError: the encoder refuses it, its size or format is not the spec's, or its time does not rise.
            DiskFull: no space left.
        """
        self._check(frame)
        try:
            if self._file is None:
                self._open(frame.pts)
            assert self._stream is not None
            self._waiting[frame.pts] = frame.duration
            self._captions[frame.pts] = frame.side_data.captions
            picture = _video_frame(frame, self._spec)
            picture.pict_type = 0 if self._pts else 1  # AV_PICTURE_TYPE_I
            self._pts.append(frame.pts)
            self._durations.append(frame.duration)
            self._mux(self._stream, picture)
        except (av.FFmpegError, OSError) as error:
            raise self._translated(error, f"frame {frame.index} (pts {frame.pts})") from error

    def close(self) -> Written:
        """Drain the encoder, close the file and sync it to disk.

        Raises:
            EncodeError: nothing was written, or other frames came out than went in.
            DiskFull: no space left.
        """
        if self._container is None or self._stream is None or self._file is None:
            raise EncodeError(f"no frame was written to {self._path}")
        try:
            self._mux(self._stream, None)
            self._container.close()
            self._container = self._stream = None  # closed, but an encoder keeps its memory for as long as it is known
            self._file.flush()
            os.fsync(self._file.fileno())
            size = os.fstat(self._file.fileno()).st_size
            self._file.close()
        except (av.FFmpegError, OSError) as error:
            raise self._translated(error, "the end of the stream") from error
        if sorted(self._out) != self._pts:
            raise EncodeError(
                f"{self._spec.encoder} was given {len(self._pts)} frames for {self._path} and returned "
                f"{len(self._out)}, or with other times"
            )
        return Written(
            path=self._path,
            frames=len(self._pts),
            pts=tuple(self._pts),
            durations=tuple(self._durations),
            bytes=size,
        )

    @property
    def packet_sizes(self) -> tuple[int, ...]:
        """Give the bytes of the packets that the encoder has given so far, in decoding order."""
        return tuple(self._sizes)

    def abort(self) -> None:
        """Close and remove the file, if this sink opened it."""
        if self._file is None:
            return
        for handle in (self._container, self._file):
            # What cannot be finished is thrown away: whatever closing it says is of no use to anyone.
            with suppress(av.FFmpegError, OSError, ValueError):
                if handle is not None:
                    handle.close()
        with suppress(OSError):  # the first error is on its way; what stays here was never finished, and is swept
            self._path.unlink(missing_ok=True)

    def _check(self, frame: Frame) -> None:
        spec = self._spec
        if (frame.width, frame.height, frame.format.name) != (spec.width, spec.height, self._format.name):
            raise EncodeError(
                f"frame {frame.index} is {frame.width}x{frame.height} {frame.format.name}, "
                f"{self._path} takes {spec.width}x{spec.height} {self._format.name}"
            )
        if self._pts and frame.pts <= self._pts[-1]:
            raise EncodeError(f"frame {frame.index} has pts {frame.pts}, not after {self._pts[-1]} of the one before")

    def _open(self, first: int) -> None:
        spec = self._spec
        hush(spec.encoder)
        self._shift = max(0, -first)  # NUT holds no negative pts; `mux` takes times from the job, not from here
        self._file = self._path.open("wb")
        self._container = av.open(
            self._file,
            "w",
            format=segment_format(spec.encoder, spec.pixel_format),
            container_options=segment_options(spec),
            buffer_size=_WRITE_BYTES,
        )
        self._stream = _add_stream(self._container, spec)
        try:
            self._container.start_encoding()
        except av.FFmpegError as error:
            raise EncodeError(
                f"{spec.encoder} refuses {spec.width}x{spec.height} {spec.pixel_format} for {self._path}: "
                f"{_words(spec) or error.strerror}",
                hint="Choose another --codec, --pix-fmt, --encoder-preset or size.",
            ) from error
        _refuse_unused(self._stream.codec_context, spec)

    def _mux(self, stream: VideoStream, picture: av.VideoFrame | None) -> None:
        assert self._container is not None
        for packet in stream.encode(picture):
            if packet.pts is None or packet.pts not in self._waiting:
                raise EncodeError(f"{self._spec.encoder} returned a packet with pts {packet.pts}, which no frame had")
            captions = self._captions.pop(packet.pts)
            packet.duration = self._waiting.pop(packet.pts)
            packet.dts = self._decode_time(packet.pts) + self._shift
            self._out.append(packet.pts)
            self._sizes.append(packet.size)
            packet.pts += self._shift
            if segment_format(self._spec.encoder, self._spec.pixel_format) == "matroska":
                # It counts whole milliseconds: the packet's place is all that it has to hold.
                packet.pts = packet.dts = len(self._out) - 1
                packet.duration, packet.time_base = 1, _MILLISECOND
            self._container.mux_one(with_captions(packet, captions, self._spec.codec))

    def _decode_time(self, pts: int) -> int:
        """Give a dts that rises and is never after the pts, whatever the encoder's order.

        The encoder's own is not used: x265 leaves it uninitialised in streams of less than three frames. `mux` derives
        dts anew over all segments; here it only has to be possible.
        """
        if segment_format(self._spec.encoder) == "mov":
            return pts  # every frame by itself, in order
        place = len(self._out)
        if place < _DEEPEST_REORDERING:
            return self._pts[0] - _DEEPEST_REORDERING + place
        return self._pts[place - _DEEPEST_REORDERING]

    def _translated(self, error: av.FFmpegError | OSError, where: str) -> OutputError:
        if isinstance(error, OSError) and not isinstance(error, av.FFmpegError):
            return translate(error, self._path)
        return EncodeError(f"{self._spec.encoder} failed at {where} of {self._path}: {error.strerror}")


def segment_format(encoder: str, pixel_format: str = "") -> str:
    """Give FFmpeg's name of the container that segments by `encoder` are written in."""
    if encoder.startswith("prores"):
        return "mov"
    return "matroska" if encoder == "libvpx-vp9" and pixel_format.startswith("yuva") else "nut"


def tag(target: VideoCodecContext | av.VideoFrame, tags: ColorSpec) -> None:
    """Set the colour tags of an encoder, of a stream that packets are copied to, or of a frame."""
    target.color_primaries = number(PRIMARIES, tags.primaries)
    target.color_trc = number(TRANSFERS, tags.transfer)
    target.colorspace = number(MATRICES, tags.matrix)
    target.color_range = number(RANGES, tags.range)


def _add_stream(container: OutputContainer, spec: OutputSpec) -> VideoStream:
    options = dict(spec.options)
    if spec.tags.siting in SITINGS:
        options.setdefault("chroma_sample_location", spec.tags.siting)
    stream = container.add_stream(
        spec.encoder,
        rate=spec.rate or _FALLBACK_RATE,
        options=options,
        width=spec.width,
        height=spec.height,
        time_base=spec.time_base,
        hwaccel=HWAccel("vaapi") if spec.encoder.endswith("_vaapi") else None,  # the others take frames of the memory
    )
    assert isinstance(stream, VideoStream)
    context = stream.codec_context
    context.pix_fmt = encoder_format(spec)
    context.gop_size = spec.keyframe_interval
    context.thread_count = spec.threads
    context.sample_aspect_ratio = spec.sar
    tag(context, spec.tags)
    return stream


def segment_options(spec: OutputSpec) -> dict[str, str]:
    """Keep times as they are: by default a muxer moves the stream where decoding times lie before zero."""
    options = {"avoid_negative_ts": "disabled"}
    if segment_format(spec.encoder) == "mov":
        scale = str(spec.time_base.denominator)
        options |= {"video_track_timescale": scale, "movie_timescale": scale}
    return options


def encoder_format(spec: OutputSpec) -> str:
    """Give the format in which the encoder takes the frames: the travelling one, or packed where it knows no other."""
    return native_format(spec.encoder, spec.pixel_format)


def _video_frame(frame: Frame, spec: OutputSpec) -> av.VideoFrame:
    """Copy planes into a frame of FFmpeg's: it keeps it for as long as it looks ahead."""
    picture = filled(frame, encoder_format(spec))
    picture.pts, picture.time_base, picture.duration = frame.pts, spec.time_base, frame.duration
    tag(picture, spec.tags)
    return picture


def _refuse_unused(context: VideoCodecContext, spec: OutputSpec) -> None:
    """FFmpeg leaves options that it does not know where they were, and encodes without them."""
    unused = [name for name in context.options if name in dict(spec.options)]
    if not unused:
        return
    known = context.supported_options
    names = [option.name for option in (*known.private, *known.generic)]
    close = difflib.get_close_matches(unused[0], names, n=1)
    raise EncodeError(
        f"{spec.encoder} has no option {unused[0]!r}", hint=f"Did you mean {close[0]!r}?" if close else None
    )


def _words(spec: OutputSpec) -> str:
    """Open the encoder once more, listening: FFmpeg's log is off otherwise, since its callback takes Python's lock."""
    with listening() as said, suppress(av.FFmpegError):  # it failed before: what it says is all that is wanted
        context = av.CodecContext.create(spec.encoder, "w")
        assert isinstance(context, VideoCodecContext)
        context.width, context.height, context.pix_fmt = spec.width, spec.height, encoder_format(spec)
        context.time_base, context.framerate = spec.time_base, spec.rate or _FALLBACK_RATE
        context.options = dict(spec.options)
        context.open()
    return joined(said)


@contextmanager
def listening(least: int = av.logging.ERROR) -> Iterator[list[tuple[int, str, str]]]:
    """Gather FFmpeg's (level, name, text) from `least` on, the most serious levels being the lowest."""
    level, is_short = av.logging.get_level(), av.logging.get_skip_repeated()
    av.logging.set_level(least)
    av.logging.set_skip_repeated(False)  # or what was said before comes again, later, among what is said now
    try:
        with av.logging.Capture() as said:
            yield said
    finally:
        av.logging.set_level(level)
        av.logging.set_skip_repeated(is_short)


def joined(said: list[tuple[int, str, str]]) -> str:
    return "; ".join(dict.fromkeys(text.strip() for _, _, text in said))


def hush(encoder: str) -> None:
    """SVT-AV1 writes its banner to stderr from C; it is asked not to where it can be asked at all."""
    if encoder == "libsvtav1":
        os.environ.setdefault("SVT_LOG", "0")
