"""Tiny sources and segments for the tests of `mux.join`: packets are encoded once and written again at any times."""

from __future__ import annotations

import functools
import io
import itertools
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from vsr.core.frame import ColorSpec
from vsr.core.media import WHOLE, MediaInfo, OutputSpec, Span, StreamPlan
from vsr.io.muxing.containers import plan_streams
from vsr.io.muxing.mux import Muxed, join
from vsr.io.probe import probe

SIZE = 32
_ENCODERS = {"h264": "libx264", "vp9": "libvpx-vp9", "ffv1": "ffv1", "hevc": "libx265"}
_OPTIONS = {
    "h264": {"preset": "ultrafast", "x264-params": "threads=1"},
    "vp9": {"deadline": "realtime", "cpu-used": "8"},
}
_HOMES = {"tta": "matroska", "alac": "matroska", "eac3": "matroska", "adpcm_ima_qt": "mov"}  # what NUT does not hold


@dataclass(frozen=True, slots=True, kw_only=True)
class Sound:
    """Sound of a source: packets at `pts` (in `time_base`; None: one after the other from `start`)."""

    codec: str = "aac"
    rate: int = 48000
    layout: str = "mono"
    packets: int = 12
    start: Fraction = Fraction(0)
    missing: tuple[int, ...] = ()
    language: str = "eng"


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoded:
    """Packets as they left the encoder: (pts, duration, bytes, is a keyframe), and a small file that describes them."""

    packets: tuple[tuple[int, int, bytes, bool], ...]
    template: bytes


@functools.cache
def video_packets(codec: str, count: int, b_frames: int) -> Encoded:
    """Encode `count` frames; the pts of a packet is the number of its frame. Very many are one frame over and over."""
    if count > 500:
        (one,) = video_packets(codec, 1, 0).packets
        many = tuple((number, *one[1:]) for number in range(count))
        return Encoded(packets=many, template=video_packets(codec, 1, 0).template)
    made: list[av.Packet] = []
    file, noise = io.BytesIO(), np.random.default_rng(count)
    with av.open(file, "w", format="nut") as out:
        video = out.add_stream(_ENCODERS[codec], rate=25, options=_OPTIONS.get(codec, {}))
        video.width = video.height = SIZE
        video.pix_fmt = "yuv420p"
        video.codec_context.time_base = Fraction(1, 25)
        video.codec_context.thread_count = 1
        if codec == "h264":
            video.codec_context.max_b_frames = b_frames
        for number in range(count):
            frame = av.VideoFrame(SIZE, SIZE, "yuv420p")
            for plane in frame.planes:  # noise: readers want more than a few bytes to know a format by
                plane.update(noise.bytes(plane.buffer_size))
            frame.pts, frame.time_base = number, Fraction(1, 25)
            made += video.encode(frame)
        made += video.encode(None)
        return _encoded(out, made, file)


@functools.cache
def sound_packets(sound: Sound, samples: bytes = b"") -> Encoded:
    """Encode sound from zero on; times count samples. `samples`: 16 bits in channels' order, else a quiet tone."""
    made: list[av.Packet] = []
    file = io.BytesIO()
    with av.open(file, "w", format=_HOMES.get(sound.codec, "nut")) as out:
        name = {"opus": "libopus", "mp3": "libmp3lame"}.get(sound.codec, sound.codec)
        stream = out.add_stream(name, rate=sound.rate)
        context = stream.codec_context
        context.layout = sound.layout
        formats = context.codec.audio_formats or [av.AudioFormat("s16")]
        context.format = next((form for form in formats if form.name == "s16p"), formats[0])
        context.open()
        size = context.frame_size or 1024
        channels = context.layout.nb_channels
        if samples:
            tone = np.frombuffer(samples, "<i2").reshape(1, -1)
        else:
            tone = (np.sin(np.arange(size * sound.packets * channels) * 0.05) * 8000).astype("<i2").reshape(1, -1)
        converter = av.AudioResampler(format=context.format.name, layout=sound.layout, rate=sound.rate)
        for first in range(0, tone.shape[1] // channels, size):
            part = np.ascontiguousarray(tone[:, first * channels : (first + size) * channels])
            frame = av.AudioFrame.from_ndarray(part, format="s16", layout=sound.layout)
            frame.sample_rate, frame.pts, frame.time_base = sound.rate, first, Fraction(1, sound.rate)
            for ready in converter.resample(frame):
                made += stream.encode(ready)
        made += stream.encode(None)
        return _encoded(out, made, file)


def _encoded(out: av.container.OutputContainer, made: list[av.Packet], file: io.BytesIO) -> Encoded:
    found = tuple((packet.pts, packet.duration, bytes(packet), packet.is_keyframe) for packet in made)
    for packet in made:
        out.mux(packet)
    out.close()
    return Encoded(packets=found, template=file.getvalue())


def write_source(
    path: Path,
    pts: Sequence[int],
    time_base: Fraction,
    *,
    sounds: Sequence[Sound] = (),
    lines: Sequence[tuple[Fraction, Fraction, str]] = (),
    codec: str = "h264",
    b_frames: int = 0,
    samples: bytes = b"",
    options: dict[str, str] | None = None,
    format: str | None = None,
) -> Path:
    """Write a source of frames at these times; `lines` are (begin, end, text) of a SubRip stream."""
    wanted = {"movie_timescale": "720720000"} if path.suffix in (".mp4", ".mov") else {}
    wanted |= {"avoid_negative_ts": "disabled"} | (options or {})
    with ExitStack() as stack:
        out = stack.enter_context(av.open(str(path), "w", format=format, container_options=wanted))
        found = video_packets(codec, len(pts), b_frames)
        video = _from_template(stack, out, found)
        video.time_base = Fraction(1, time_base.denominator)
        packets = _video(found, pts, time_base)
        for packet in packets:
            packet.stream = video
        for sound in sounds:
            stream = _from_template(stack, out, sound_packets(sound, samples))
            stream.metadata["language"] = sound.language
            stream.time_base = Fraction(1, sound.rate)
            packets += _sound(stream, sound, samples)
        if lines:
            packets += _lines(out, lines)
        out.start_encoding()
        for packet in sorted(packets, key=lambda packet: packet.dts * packet.time_base):
            out.mux_one(packet)
    return path


def _from_template(stack: ExitStack, out: av.container.OutputContainer, found: Encoded) -> av.stream.Stream:
    source = stack.enter_context(av.open(io.BytesIO(found.template)))
    return out.add_stream_from_template(source.streams[0], opaque=True)


def _video(found: Encoded, pts: Sequence[int], time_base: Fraction) -> list[av.Packet]:
    """Give packets with these times of showing, and times of decoding that rise and never exceed them."""
    order = [index for index, _, _, _ in found.packets]
    delay = max((place - index for place, index in enumerate(order)), default=0)
    step = max(1, pts[1] - pts[0]) if len(pts) > 1 else 1
    decoded = [pts[0] - (delay - place) * step for place in range(min(delay, len(pts)))] + list(pts[: len(pts) - delay])
    steps = [b - a for a, b in itertools.pairwise(pts)]
    steps.append(steps[-1] if steps else 1)
    made = []
    for dts, (index, _, data, is_keyframe) in zip(decoded, found.packets, strict=True):
        packet = av.Packet(data)
        packet.time_base = time_base
        packet.pts, packet.dts, packet.duration = pts[index], min(dts, pts[index]), steps[index]
        packet.is_keyframe = is_keyframe
        made.append(packet)
    return made


def _sound(stream: av.AudioStream, sound: Sound, samples: bytes) -> list[av.Packet]:
    made = []
    for place, (pts, duration, data, _) in enumerate(sound_packets(sound, samples).packets):
        if place in sound.missing:
            continue
        packet = av.Packet(data)
        packet.time_base = Fraction(1, sound.rate)
        packet.pts = packet.dts = pts + round(sound.start * sound.rate)
        packet.duration = duration
        packet.is_keyframe = True
        packet.stream = stream
        made.append(packet)
    return made


def _lines(out: av.container.OutputContainer, lines: Sequence[tuple[Fraction, Fraction, str]]) -> list[av.Packet]:
    stream = out.add_mux_stream("subrip")
    made = []
    for begin, end, text in lines:
        packet = av.Packet(text.encode())
        packet.time_base = Fraction(1, 1000)
        packet.pts = packet.dts = round(begin * 1000)
        packet.duration = round((end - begin) * 1000)
        packet.stream = stream
        made.append(packet)
    return made


def write_segment(path: Path, codec: str, pts: Sequence[int], time_base: Fraction, *, b_frames: int = 0) -> Path:
    """Write what the encoder of a job would have: frames at these times."""
    found = video_packets(codec, len(pts), b_frames)
    lift = -min(0, pts[0]) * 2 + 10 * max(1, pts[1] - pts[0] if len(pts) > 1 else 1)
    with ExitStack() as stack:
        out = stack.enter_context(av.open(str(path), "w", format="nut"))
        video = _from_template(stack, out, found)
        video.time_base = time_base
        out.start_encoding()
        for packet in _video(found, [time + lift for time in pts], time_base):
            packet.stream = video
            out.mux_one(packet)
    return path


def joined(
    source: Path,
    target: Path,
    *,
    codec: str = "h264",
    b_frames: int = 0,
    span: Span = WHOLE,
    streams: Sequence[StreamPlan] | None = None,
) -> Muxed:
    """Join a segment of as many frames as the source has with the source's other streams."""
    info = probe(source)
    container = target.suffix.removeprefix(".")
    spec = spec_of(info, codec)
    pts = [time for time in info.packets.pts if time in span]
    durations = [d for time, d in zip(info.packets.pts, info.packets.durations, strict=True) if time in span]
    segment = write_segment(
        target.with_suffix(f"{target.suffix}.nut"), codec, pts, info.video.time_base, b_frames=b_frames
    )
    plans = plan_streams(info, container) if streams is None else streams
    return join(
        [segment], target, source=info, spec=spec, container=container, streams=plans, pts=pts, durations=durations,
        span=span,
    )  # fmt: skip


def spec_of(info: MediaInfo, codec: str) -> OutputSpec:
    """Describe the stream that `write_segment` writes."""
    color = ColorSpec(matrix="bt709", range="tv", primaries="bt709", transfer="bt709", siting="left")
    return OutputSpec(
        codec=codec, encoder=_ENCODERS[codec], options=(), width=SIZE, height=SIZE, pixel_format="yuv420p",
        color=color, tags=color, time_base=info.video.time_base, rate=info.video.rate, sar=info.video.sar,
    )  # fmt: skip


def heard(path: Path, number: int = 0) -> tuple[Fraction, int, NDArray[np.float64]]:
    """Decode sound with PyAV alone: when the first sample sounds (s), the rate, the first channel, gaps as silence."""
    with av.open(str(path)) as file:
        stream = file.streams.audio[number]
        rate = stream.codec_context.sample_rate
        first: int | None = None
        parts: list[NDArray[np.float64]] = []
        length = 0
        slack = int(max(1, stream.time_base * rate)) + 1
        to_float = av.AudioResampler(format="dblp")
        for frame in file.decode(stream):
            place = round(frame.pts * Fraction(frame.time_base) * rate)
            first = place if first is None else first
            if place - first - length > slack:
                parts.append(np.zeros(place - first - length))
                length = place - first
            for ready in to_float.resample(frame):
                data = ready.to_ndarray()[0]
                parts.append(data)
                length += len(data)
    assert first is not None
    return Fraction(first, rate), rate, np.concatenate(parts)


def times_of_video(path: Path) -> list[Fraction]:
    """Give the exact times of the picture's packets, in order of presentation."""
    with av.open(str(path)) as file:
        stream = file.streams.video[0]
        return sorted(packet.pts * Fraction(packet.time_base) for packet in file.demux(stream) if packet.size)


def write_sound(path: Path, sound: Sound, *, format: str) -> Path:
    """Write a file of nothing but sound."""
    with ExitStack() as stack:
        out = stack.enter_context(av.open(str(path), "w", format=format))
        if sound.codec.startswith("pcm_"):  # NUT, where packets are kept, does not name the channels
            stream = out.add_stream(sound.codec, rate=sound.rate)
            stream.codec_context.layout = sound.layout
        else:
            stream = _from_template(stack, out, sound_packets(sound))
        stream.time_base = Fraction(1, sound.rate)
        out.start_encoding()
        for packet in _sound(stream, sound, b""):
            out.mux_one(packet)
    return path
