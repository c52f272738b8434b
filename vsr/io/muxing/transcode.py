"""Sound that a container does not hold as it is, decoded and encoded anew: no sample moves, none is lost.

Where a frame begins is told by the first time of the stream and the samples counted since; what the file says is
believed again where it differs by more than its own rounding, for there samples are missing. Such gaps stay gaps where
packets have times of their own, and become silence elsewhere.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction

import av
import numpy as np
from av.audio.codeccontext import AudioCodecContext
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.packet import Packet
from av.stream import Stream
from numpy.typing import NDArray

from vsr.core.errors import MuxError
from vsr.io.muxing.cut import Timing
from vsr.io.timeline import ticks

_ENCODERS = {"opus": "libopus"}
_BITS_A_CHANNEL = {"opus": 96_000, "aac": 128_000}
PRIMING = {"aac": 1024}  # samples that the encoder sets before the first, and MPEG-TS has no word for
_OPUS_DELAY = 312  # samples; libopus at its default complexity and frames of 20 ms
_OPUS_RATE = 48_000  # RFC 6716: the decoder's own
_FALLBACK_RATE = 48_000
# What FFmpeg means by a number of channels alone (av_channel_layout_default).
_LAYOUTS = {1: "mono", 2: "stereo", 3: "2.1", 4: "4.0", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1"}


@dataclass(slots=True, kw_only=True, repr=False)
class Transcoder:
    """One stream of sound on its way: `feed` takes its packets in order, `flush` ends it. `broken` counts refusals."""

    source: AudioStream
    target: AudioStream
    timing: Timing
    is_filled: bool  # gaps become silence: packets have no times of their own there, or the encoder needs whole frames
    from_zero: bool  # the sound must begin with the result
    delay: Fraction  # seconds before the sound itself that prime the decoder, and are told to it
    broken: int = 0
    _resampler: AudioResampler = field(init=False)
    _next: int | None = field(default=None, init=False)  # the sample of the source that follows
    _written: int | None = field(default=None, init=False)  # the sample of the result that follows

    def __post_init__(self) -> None:
        context = self.target.codec_context
        self._resampler = AudioResampler(
            format=context.format.name, layout=context.layout.name, rate=context.sample_rate
        )

    def feed(self, packet: Packet[Stream]) -> Iterator[Packet[AudioStream]]:
        """Yield the packets that are ready, with times in 1 / rate of the result."""
        try:
            frames = self.source.codec_context.decode(packet)
        except av.FFmpegError:
            self.broken += 1
            return
        for frame in frames:
            yield from self._take(frame)

    def flush(self) -> Iterator[Packet[AudioStream]]:
        """Yield what the decoder and the encoder held back."""
        try:
            left = self.source.codec_context.decode(None)
        except av.FFmpegError:
            left = []
        for frame in left:
            yield from self._take(frame)
        yield from self._resampled(None)
        yield from self.target.encode(None)

    def _take(self, frame: AudioFrame) -> Iterator[Packet[AudioStream]]:
        """Place a frame by its time, where that tells of a gap; else directly after the one before."""
        rate = frame.sample_rate
        base = Fraction(frame.time_base or 1)
        if frame.pts is not None:
            place = ticks(frame.pts * base, Fraction(1, rate))
            slack = math.ceil(base * rate) + 1
            if self._next is None or abs(place - self._next) > slack:
                yield from self._resampled(None)
                yield from self._move(place, rate)
        if self._next is None:
            return  # sound before the first time that is known
        self._next += frame.samples
        frame.pts = None
        yield from self._resampled(self._named(frame))

    def _named(self, frame: AudioFrame) -> AudioFrame:
        """Give a frame with the names of its channels, where it says no more than how many there are."""
        layout = self.target.codec_context.layout.name
        if not frame.layout.name.endswith("channels") or frame.layout.name == layout:
            return frame
        named = AudioFrame.from_ndarray(frame.to_ndarray(), format=frame.format.name, layout=layout)
        named.sample_rate = frame.sample_rate
        return named

    def _move(self, place: int, rate: int) -> Iterator[Packet[AudioStream]]:
        """Go to a sample of the source: silence up to there, or a jump."""
        out = self.target.codec_context.sample_rate
        there = ticks(Fraction(place, rate) + self.timing.shift, Fraction(1, out))
        self._next = place
        if self._written is None:
            # A span begins at zero, and samples before it are cut off below: nothing is filled in for them.
            self._written = min(0, there) if self.from_zero else there
        if self.is_filled and there > self._written:
            yield from self._silence(there - max(self._written, self._first or self._written), out)
        self._written = there if there > self._written or not self.is_filled else self._written

    @property
    def _first(self) -> int | None:
        """Give the first sample of the result that may sound: 0 in a span."""
        return None if self.timing.start is None else self._at(self.timing.start)

    def _at(self, seconds: Fraction) -> int:
        return ticks(seconds + self.timing.shift, Fraction(1, self.target.codec_context.sample_rate))

    def _silence(self, samples: int, rate: int) -> Iterator[Packet[AudioStream]]:
        context = self.target.codec_context
        while samples > 0:
            count = min(samples, rate)
            blank = AudioFrame(format=context.format.name, layout=context.layout.name, samples=count)
            value = 128 if context.format.name.startswith("u8") else 0
            for plane in blank.planes:
                plane.update(bytes([value]) * plane.buffer_size)
            yield from self._encoded(blank.to_ndarray())
            samples -= count

    def _resampled(self, frame: AudioFrame | None) -> Iterator[Packet[AudioStream]]:
        if frame is None and self._written is None:
            return
        for made in self._resampler.resample(frame):
            yield from self._encoded(made.to_ndarray())
        if frame is None:
            context = self.target.codec_context
            self._resampler = AudioResampler(
                format=context.format.name, layout=context.layout.name, rate=context.sample_rate
            )

    def _encoded(self, samples: NDArray[np.generic]) -> Iterator[Packet[AudioStream]]:
        """Encode (planes, samples x channels in a plane) at the place that follows, cut to what is kept."""
        context = self.target.codec_context
        width = 1 if context.format.is_planar else context.layout.nb_channels
        assert self._written is not None
        begin, count = self._written, samples.shape[1] // width
        self._written += count
        first = begin if self._first is None else max(begin, self._first)
        last = begin + count if self.timing.stop is None else min(begin + count, self._at(self.timing.stop))
        if first >= last:
            return
        kept = np.ascontiguousarray(samples[:, (first - begin) * width : (last - begin) * width])
        frame = AudioFrame.from_ndarray(kept, format=context.format.name, layout=context.layout.name)
        frame.sample_rate = context.sample_rate
        frame.pts, frame.time_base = first, Fraction(1, context.sample_rate)
        yield from self.target.encode(frame)


def add_transcoder(result: OutputContainer, source: AudioStream, codec: str, timing: Timing) -> Transcoder:
    """Add the stream of the result that `source` is encoded to.

    Raises:
        MuxError: there is no such encoder here, or it refuses the layout of the channels.
    """
    reader = source.codec_context
    name = _ENCODERS.get(codec, codec)
    is_pcm = codec.startswith("pcm_")
    try:
        target = result.add_stream(name, rate=_rate(name, reader.sample_rate))
        assert isinstance(target, AudioStream)
        context = target.codec_context
        context.layout = _layout(reader)
        context.format = _format(context.codec, reader.format.name)
        if codec in _BITS_A_CHANNEL:
            context.bit_rate = _BITS_A_CHANNEL[codec] * reader.layout.nb_channels
        target.time_base = Fraction(1, context.sample_rate)
        context.open()
    except (ValueError, av.FFmpegError) as error:
        raise MuxError(
            f"{result.format.name} cannot hold the sound of stream {source.index} as {codec} "
            f"({reader.layout.name} {reader.sample_rate} Hz): {error}",
            hint="Use an .mkv output.",
        ) from error
    counts_samples = result.format.name in ("mp4", "mov", "avi")
    return Transcoder(
        source=source,
        target=target,
        timing=timing,
        is_filled=not is_pcm or counts_samples,
        from_zero=result.format.name == "avi",
        delay=Fraction(_OPUS_DELAY if codec == "opus" else 0, context.sample_rate),
    )


def _layout(reader: AudioCodecContext) -> str:
    """Give the channels by name: PCM in mov often says no more than how many there are."""
    count = reader.layout.nb_channels
    is_unnamed = reader.layout.name.endswith("channels")
    return _LAYOUTS[count] if is_unnamed and count in _LAYOUTS else reader.layout.name


def silence(codec: str, samples: int, channels: int) -> bytes:
    """Give PCM that says nothing."""
    blank = {"pcm_u8": b"\x80", "pcm_alaw": b"\xd5", "pcm_mulaw": b"\xff", "pcm_s8": b"\x00"}.get(codec)
    if blank is None:
        depth = next(bits for bits in (16, 24, 32, 64) if str(bits) in codec)
        blank = bytes(depth // 8)
    return blank * (samples * channels)


def _rate(encoder: str, rate: int) -> int:
    """Give the rate itself, where the encoder takes it."""
    rates = av.Codec(encoder, "w").audio_rates
    if encoder == "libopus":
        return _OPUS_RATE
    return rate if not rates or rate in rates else _FALLBACK_RATE


def _format(codec: av.Codec, wanted: str) -> str:
    """Give the encoder's sample format that is nearest to the decoder's: the same depth, in either order."""
    names = [form.name for form in codec.audio_formats or ()]
    depth = wanted.removesuffix("p")
    return next((name for name in names if name.removesuffix("p") == depth), names[0])
