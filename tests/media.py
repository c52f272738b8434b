"""Generated media for the tests: small, deterministic clips whose every frame can be told from its picture.

`make_clip` writes one with PyAV, `make_images` a numbered sequence; `read_number` reads a frame's number back out of
its first plane, after any encoding and scaling. `planes_of` and `packets_of` look at a file with PyAV alone, so that
they can serve as an oracle for `vsr.io`.
"""

from __future__ import annotations

import hashlib
import io
import itertools
import wave
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from vsr.core.frame import PixelFormat, pixel_format

Plane = NDArray[np.uint8] | NDArray[np.uint16]

BIT_ROWS, BIT_COLUMNS = 2, 6
"""The number is painted over the upper half as 2 x 6 blocks, lowest bit first: numbers up to 4095."""

_AUDIO_CODEC = {".webm": "libopus", ".avi": "mp3", ".ts": "aac", ".mpg": "mp2", ".nut": "pcm_s16le"}
_MUXER_OPTIONS_BY_SUFFIX = {".mp4": "video_track_timescale", ".mov": "video_track_timescale"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Tags:
    """Colour tags as FFmpeg numbers them (ITU-T H.273); 2 is unspecified. range: 1 limited, 2 full, 0 unspecified."""

    matrix: int = 2
    range: int = 0
    primaries: int = 2
    transfer: int = 2


BT709 = Tags(matrix=1, range=1, primaries=1, transfer=1)
BT601 = Tags(matrix=6, range=1, primaries=6, transfer=6)
BT2020_PQ = Tags(matrix=9, range=1, primaries=9, transfer=16)


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenPacket:
    """A packet as it lies in a file: its times in seconds' exact fractions, the sha256 of its bytes."""

    pts: Fraction | None
    dts: Fraction | None
    duration: Fraction
    digest: str
    is_keyframe: bool


def picture(number: int, format: PixelFormat, width: int, height: int, *, shot: int = 0) -> tuple[Plane, ...]:
    """Give planes that show `number` in blocks over a gradient that moves with it; `shot` changes the scene."""
    planes = []
    for index in range(format.plane_count):
        rows, columns = format.plane_shape(index, width, height)
        y, x = np.mgrid[0:rows, 0:columns]
        y, x = y / max(1, rows), x / max(1, columns)
        if shot % 2:
            x, y = y, 1 - x
        wave_ = 0.5 + 0.3 * np.sin(2 * np.pi * (x * (1 + shot) + y + number / 24 + index / 3))
        if index == 0 or (format.family == "rgb" and index < 3):
            for bit in range(BIT_ROWS * BIT_COLUMNS):
                block = _block(bit, rows, columns)
                wave_[block] = 0.8 if number >> bit & 1 else 0.2
        planes.append(np.round(wave_ * format.peak).astype(format.dtype))
    return tuple(planes)


def read_number(plane: Plane, peak: int | None = None) -> int:
    """Read the number that `picture` painted into a luma, grey or green plane of any size from 24x16 on."""
    top = peak if peak is not None else 255 if plane.dtype == np.uint8 else (1 << int(plane.max()).bit_length()) - 1
    number = 0
    for bit in range(BIT_ROWS * BIT_COLUMNS):
        rows, columns = _block(bit, *plane.shape)
        height, width = rows.stop - rows.start, columns.stop - columns.start
        inner = plane[
            rows.start + height // 4 : rows.stop - height // 4, columns.start + width // 4 : columns.stop - width // 4
        ]
        number |= int(inner.mean() > top / 2) << bit
    return number


def make_clip(
    path: Path,
    *,
    width: int = 64,
    height: int = 48,
    frames: int = 12,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    rate: int | Fraction = 25,
    pts: Sequence[int] | None = None,
    durations: Sequence[int] | None = None,
    time_base: Fraction | None = None,
    b_frames: int = 2,
    gop: int = 12,
    audio: int = 0,
    audio_first: bool = False,
    subtitles: Sequence[str] = (),
    chapters: Sequence[tuple[float, float, str]] = (),
    metadata: Mapping[str, str] | None = None,
    tags: Tags | None = None,
    sar: Fraction | None = None,
    rotation: int = 0,
    cover: str | None = None,
    attachment: bytes | None = None,
    language: str | None = None,
    cuts: Sequence[int] = (),
    options: Mapping[str, str] | None = None,
    container_options: Mapping[str, str] | None = None,
    format: str | None = None,
) -> Path:
    """Write a clip of `frames` numbered frames and give its path back.

    pts, durations: in ticks of `time_base` (default: 0, 1, 2, ... in 1 / rate). audio: how many streams, each a tone
    of its own (eng, fra, ...). subtitles: a codec for each stream ("srt", "ass", "mov_text"). chapters: (start, stop,
    title) in seconds. rotation: degrees of the display matrix. cover: "last" adds an attached picture, "first" makes
    it stream 0 (mp4, mov). cuts: numbers of the frames that open a new shot.
    """
    base = time_base or 1 / Fraction(rate)
    times = list(pts) if pts is not None else list(range(frames))
    muxer = dict(container_options or {})
    if (option := _MUXER_OPTIONS_BY_SUFFIX.get(path.suffix)) and base.numerator == 1:
        muxer.setdefault(option, str(base.denominator))
    with av.open(str(path), "w", format=format, options=muxer) as out:
        out.metadata.update(metadata or {})
        packets: list[av.Packet] = []
        sounds = [_audio_stream(out, path, k) for k in range(audio)] if audio_first else []
        video = out.add_stream(codec, rate=Fraction(rate), options=dict(options or {}))
        _configure(video, width, height, pix_fmt, base, b_frames, gop, codec, tags, sar)
        if rotation:
            video.set_display_rotation(rotation)
        if language:
            video.metadata["language"] = language
        if not audio_first:
            sounds = [_audio_stream(out, path, k) for k in range(audio)]
        texts = [_subtitle_stream(out, name, k) for k, name in enumerate(subtitles)]
        if cover is not None:
            packets += _cover(out)
        if attachment is not None:
            out.add_attachment("font.ttf", "font/ttf", attachment)
        if chapters:
            out.set_chapters(
                [
                    {"id": k, "start": round(a * 1000), "end": round(b * 1000), "time_base": Fraction(1, 1000),
                     "metadata": {"title": title}}
                    for k, (a, b, title) in enumerate(chapters)
                ]
            )  # fmt: skip
        packets += _video_packets(video, times, durations, base, width, height, pix_fmt, cuts)
        seconds = float((times[-1] - times[0] + 1) * base) if times else 1.0
        for k, sound in enumerate(sounds):
            packets += _audio_packets(sound, seconds, 220.0 * (k + 2), start=float(times[0] * base) if times else 0.0)
        for stream, source in texts:
            packets += _subtitle_packets(stream, source)
        packets.sort(key=lambda packet: float((packet.dts or 0) * packet.time_base))
        for packet in packets:
            out.mux(packet)
    if cover == "first" and path.suffix in (".mp4", ".mov"):
        _put_metadata_first(path)
    return path


def make_images(
    folder: Path,
    pattern: str = "%05d.png",
    *,
    count: int = 5,
    start: int = 1,
    width: int = 64,
    height: int = 48,
    kind: str = "gbrp",
) -> list[Path]:
    """Write `count` numbered images named `pattern % number`; the picture shows k for the k-th, from 0.

    kind: the planar format they are drawn in (`gbrp`, `gbrap`, `gray`, `gbrp16le`, `gray16le`, ...).
    """
    import cv2

    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for k in range(count):
        planes = picture(k, pixel_format(kind), width, height)
        # cv2 wants B, G, R (, A); planes lie in the order G, B, R (, A).
        array = planes[0] if len(planes) == 1 else np.dstack([planes[1], planes[0], planes[2], *planes[3:]])
        path = folder / (pattern % (start + k))
        done, data = cv2.imencode(path.suffix, array)
        assert done, path
        path.write_bytes(data.tobytes())
        written.append(path)
    return written


def planes_of(path: Path, *, stream: int = 0) -> list[tuple[int, tuple[Plane, ...]]]:
    """Decode a video with PyAV alone: (pts, planes) of every frame, planar formats only, in decoder order."""
    found = []
    with av.open(str(path)) as source:
        video = _streams(source, "video")[stream]
        for frame in source.decode(video):
            found.append((frame.pts, tuple(_read(frame, k) for k in range(len(frame.planes)))))
    return found


def numbers_of(path: Path) -> list[int]:
    """Give the painted number of every frame, decoded with PyAV alone."""
    return [read_number(planes[0]) for _, planes in planes_of(path)]


def times_of(path: Path) -> list[Fraction]:
    """Give the exact time in seconds of every decoded frame."""
    with av.open(str(path)) as source:
        video = _streams(source, "video")[0]
        return [frame.pts * Fraction(frame.time_base) for frame in source.decode(video)]


def packets_of(path: Path, kind: str = "audio", *, stream: int = 0) -> list[SeenPacket]:
    """Give every packet of the `stream`-th stream of a kind ("video", "audio", "subtitle")."""
    seen = []
    with av.open(str(path)) as source:
        for packet in source.demux(_streams(source, kind)[stream]):
            if packet.size == 0:
                continue
            base = Fraction(packet.time_base)
            seen.append(
                SeenPacket(
                    pts=None if packet.pts is None else packet.pts * base,
                    dts=None if packet.dts is None else packet.dts * base,
                    duration=(packet.duration or 0) * base,
                    digest=hashlib.sha256(bytes(packet)).hexdigest(),
                    is_keyframe=packet.is_keyframe,
                )
            )
    return seen


def _streams(source: av.container.InputContainer, kind: str) -> list[av.stream.Stream]:
    """Give the streams of a kind, covers left out."""
    cover = av.stream.Disposition.attached_pic
    return [stream for stream in source.streams if stream.type == kind and not stream.disposition & cover]


def truncate(path: Path, target: Path, *, keep: float) -> Path:
    """Copy the first `keep` (0 to 1) of a file's bytes."""
    data = path.read_bytes()
    target.write_bytes(data[: int(len(data) * keep)])
    return target


def damage(path: Path, target: Path, *, packet: int, flips: int = 24, seed: int = 1) -> Path:
    """Copy a file with `flips` bytes overwritten inside its `packet`-th video packet (headers stay whole)."""
    with av.open(str(path)) as source:
        chosen = [p for p in source.demux(_streams(source, "video")[0]) if p.size][packet]
        begin, size = chosen.pos, chosen.size
    data = bytearray(path.read_bytes())
    places = np.random.default_rng(seed).integers(begin + min(12, size // 2), begin + size, flips)
    for place in places:
        data[place] ^= 0xFF
    target.write_bytes(bytes(data))
    return target


def make_sound(path: Path, *, seconds: float = 0.5) -> Path:
    """Write a file that holds sound alone."""
    with av.open(str(path), "w") as out:
        stream = _audio_stream(out, path, 0)
        for packet in _audio_packets(stream, seconds, 440.0):
            out.mux(packet)
    return path


def make_wave(path: Path, *, seconds: float = 0.2) -> Path:
    """Write a PCM wave file with the standard library."""
    tone = (np.sin(np.arange(int(8000 * seconds)) * 0.3) * 9000).astype("<i2")
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(8000)
        out.writeframes(tone.tobytes())
    return path


def _block(bit: int, rows: int, columns: int) -> tuple[slice, slice]:
    row, column = divmod(bit, BIT_COLUMNS)
    high = rows / 2 / BIT_ROWS
    wide = columns / BIT_COLUMNS
    return (
        slice(round(row * high), round((row + 1) * high)),
        slice(round(column * wide), round((column + 1) * wide)),
    )


def _configure(
    video: av.VideoStream,
    width: int,
    height: int,
    pix_fmt: str,
    base: Fraction,
    b_frames: int,
    gop: int,
    codec: str,
    tags: Tags | None,
    sar: Fraction | None,
) -> None:
    video.width, video.height, video.pix_fmt = width, height, pix_fmt
    context = video.codec_context
    context.time_base = base
    video.time_base = base
    context.thread_count = 1
    context.gop_size = gop
    if codec in ("libx264", "libx265", "mpeg2video", "mpeg4"):
        context.max_b_frames = b_frames
    if codec == "libx265":
        context.options = {**context.options, "x265-params": f"log-level=none:bframes={b_frames}:keyint={gop}"}
    if tags is not None:
        context.colorspace, context.color_range = tags.matrix, tags.range
        context.color_primaries, context.color_trc = tags.primaries, tags.transfer
    if sar is not None:
        context.sample_aspect_ratio = sar
    context.flags |= av.codec.context.Flags.frame_duration


def _video_packets(
    video: av.VideoStream,
    times: Sequence[int],
    durations: Sequence[int] | None,
    base: Fraction,
    width: int,
    height: int,
    pix_fmt: str,
    cuts: Sequence[int],
) -> list[av.Packet]:
    packets = []
    last = times[-1] - times[-2] if len(times) > 1 else 1
    steps = list(durations) if durations is not None else [b - a for a, b in itertools.pairwise(times)] + [last]
    for number, (pts, step) in enumerate(zip(times, steps, strict=True)):
        shot = sum(cut <= number for cut in cuts)
        frame = video_frame(number, pix_fmt, width, height, shot=shot)
        frame.pts, frame.time_base, frame.duration = pts, base, step
        frame.colorspace, frame.color_range = video.codec_context.colorspace, video.codec_context.color_range
        packets += video.encode(frame)
    return packets + video.encode(None)


def video_frame(number: int, pix_fmt: str, width: int, height: int, *, shot: int = 0) -> av.VideoFrame:
    """Give a numbered av.VideoFrame; packed formats are made from planar RGB by swscale."""
    try:
        format = pixel_format(pix_fmt.replace("yuvj", "yuv"))
        name = pix_fmt
    except Exception:  # any format that frames do not travel in
        format, name = pixel_format("gbrap" if "a" in pix_fmt else "gbrp"), "gbrap" if "a" in pix_fmt else "gbrp"
    frame = av.VideoFrame(width, height, name)
    for plane, data in zip(frame.planes, picture(number, format, width, height, shot=shot), strict=True):
        rows = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)
        flat = np.ascontiguousarray(data).view(np.uint8)
        rows[: data.shape[0], : flat.shape[1]] = flat
    return frame if name == pix_fmt else frame.reformat(format=pix_fmt)


def _read(frame: av.VideoFrame, index: int) -> Plane:
    format = pixel_format(frame.format.name.replace("yuvj", "yuv"))
    plane = frame.planes[index]
    rows, columns = format.plane_shape(index, frame.width, frame.height)
    samples = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size).view(format.dtype)
    return samples[:rows, :columns].copy()


def _audio_stream(out: av.container.OutputContainer, path: Path, number: int) -> av.AudioStream:
    stream = out.add_stream(_AUDIO_CODEC.get(path.suffix, "aac"), rate=48000)
    stream.codec_context.layout = "stereo" if number == 0 else "mono"
    if path.suffix == ".avi":
        stream.codec_context.format = "s16p"
    stream.metadata["language"] = ("eng", "fra", "deu", "jpn")[number % 4]
    return stream


def _audio_packets(stream: av.AudioStream, seconds: float, hertz: float, *, start: float = 0.0) -> list[av.Packet]:
    context = stream.codec_context
    size = context.frame_size or 1024
    if not size or size == 0:
        size = 1024
    channels = context.layout.nb_channels
    format = context.format.name
    packets = []
    for first in range(0, max(size, int(seconds * 48000)), size):
        tone = 0.3 * np.sin(2 * np.pi * hertz * np.arange(first, first + size) / 48000)
        samples = np.tile(tone.astype(np.float32), (channels, 1))
        if format.startswith("s16"):
            samples = (samples * 32767).astype(np.int16)
        if not format.endswith("p"):
            samples = np.ascontiguousarray(samples.T).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(samples, format=format, layout=context.layout.name)
        frame.sample_rate = 48000
        frame.pts, frame.time_base = first + round(start * 48000), Fraction(1, 48000)
        packets += stream.encode(frame)
    return packets + stream.encode(None)


_LINES = (((0.0, 0.2), "first line"), ((0.24, 0.4), "second line"))


def _subtitle_stream(out: av.container.OutputContainer, codec: str, number: int) -> tuple[av.stream.Stream, bytes]:
    """Add a text stream; its packets come from a small file of that format, by packet copy."""
    if codec == "mov_text":
        stream = out.add_mux_stream("mov_text")
        text = b""
    else:
        text = _ass() if codec == "ass" else _srt()
        with av.open(io.BytesIO(text), format="ass" if codec == "ass" else "srt") as source:
            stream = out.add_stream_from_template(source.streams.subtitles[0])
    stream.metadata["language"] = ("eng", "fra", "deu")[number % 3]
    stream.metadata["title"] = f"text {number}"
    return stream, text


def _subtitle_packets(stream: av.stream.Stream, source: bytes) -> list[av.Packet]:
    if source:
        kind = "ass" if source.startswith(b"[Script") else "srt"
        with av.open(io.BytesIO(source), format=kind) as file:
            packets = [packet for packet in file.demux() if packet.size]
        for packet in packets:
            packet.stream = stream
        return packets
    packets = []
    for (begin, end), line in _LINES:
        packet = av.Packet(len(line).to_bytes(2, "big") + line.encode())
        packet.time_base = Fraction(1, 1000)
        packet.pts = packet.dts = round(begin * 1000)
        packet.duration = round((end - begin) * 1000)
        packet.stream = stream
        packets.append(packet)
    return packets


def _srt() -> bytes:
    parts = [
        f"{k}\n{_clock(begin, ',')} --> {_clock(end, ',')}\n{line}\n"
        for k, ((begin, end), line) in enumerate(_LINES, 1)
    ]
    return "\n".join(parts).encode()


def _ass() -> bytes:
    head = (
        "[Script Info]\nScriptType: v4.00+\n\n[V4+ Styles]\nFormat: Name, Fontname, Fontsize\n"
        "Style: Default,Arial,20\n\n[Events]\nFormat: Layer, Start, End, Style, Text\n"
    )
    lines = [f"Dialogue: 0,{_clock(a, '.')[1:-1]},{_clock(b, '.')[1:-1]},Default,{line}\n" for (a, b), line in _LINES]
    return (head + "".join(lines)).encode()


def _clock(seconds: float, point: str) -> str:
    return f"00:00:{int(seconds):02d}{point}{round(seconds % 1 * 1000):03d}"


def _cover(out: av.container.OutputContainer) -> list[av.Packet]:
    """Add an attached picture. Matroska keeps covers as attachments, and lists them after the other streams."""
    if out.format.name == "matroska":
        out.add_attachment("cover.jpg", "image/jpeg", bytes(_jpeg()[0]))
        return []
    stream = out.add_stream("mjpeg", rate=1)
    stream.width, stream.height, stream.pix_fmt = 32, 32, "yuvj420p"
    stream.disposition = av.stream.Disposition.attached_pic
    packets = _jpeg()
    for packet in packets:
        packet.stream = stream
        packet.pts = packet.dts = 0
        packet.time_base = Fraction(1, 90000)
    return packets


def _put_metadata_first(path: Path) -> None:
    """Move `udta` (with the cover) before the tracks in `moov`: FFmpeg then lists the cover as stream 0."""
    data = path.read_bytes()
    boxes = _boxes(data, 0, len(data))
    begin, end = next((a, b) for kind, a, b in boxes if kind == b"moov")
    inner = _boxes(data, begin + 8, end)
    inner.sort(key=lambda box: (b"mvhd", b"udta").index(box[0]) if box[0] in (b"mvhd", b"udta") else 2)
    path.write_bytes(data[: begin + 8] + b"".join(data[a:b] for _, a, b in inner) + data[end:])


def _boxes(data: bytes, begin: int, end: int) -> list[tuple[bytes, int, int]]:
    """Give (type, begin, end) of the ISO BMFF boxes in data[begin:end] (ISO/IEC 14496-12 sec. 4.2)."""
    found = []
    while begin < end:
        size = int.from_bytes(data[begin : begin + 4], "big")
        found.append((data[begin + 4 : begin + 8], begin, begin + size))
        begin += size
    return found


def _jpeg() -> list[av.Packet]:
    context = av.CodecContext.create("mjpeg", "w")
    context.width, context.height, context.pix_fmt, context.time_base = 32, 32, "yuvj420p", Fraction(1, 25)
    frame = video_frame(7, "yuvj420p", 32, 32)
    frame.pts, frame.time_base = 0, Fraction(1, 25)
    return context.encode(frame) + context.encode(None)
