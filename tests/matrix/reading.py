"""What a media file holds, read with PyAV alone: frames, times, packets, tags. Imports nothing of vsr.

Pictures are kept as area means on a small grid, the same for source and result, so that any two sizes can be compared.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path

import av
import numpy as np
from av.stream import Disposition
from numpy.typing import NDArray

Plane = NDArray[np.float64]
Grid = tuple[int, int]  # rows, columns
_Timed = tuple[Fraction, Fraction | None, Fraction]  # pts, dts, duration in seconds

FINEST = (48, 64)
_FLAGS = ("default", "forced", "comment", "hearing_impaired", "visual_impaired", "original", "dub")
_WEIGHTS = {1: (0.2126, 0.0722), 9: (0.2627, 0.0593), 10: (0.2627, 0.0593), 7: (0.212, 0.087), 4: (0.30, 0.11)}
_UNPACKED = {"pal8": "gbrap", "bgra": "gbrap", "rgba": "gbrap", "argb": "gbrap", "abgr": "gbrap"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A decoded frame: time and duration in seconds; samples in [0, 1) of their depth, alpha left out."""

    time: Fraction | None
    duration: Fraction
    fine: Plane  # luma or green
    coarse: tuple[Plane, ...]
    captions: bytes = b""
    is_interlaced: bool = False


@dataclass(slots=True, kw_only=True)
class Track:
    """A stream beside the video. packets: (time, duration, bytes' sha1, text of a text subtitle)."""

    kind: str
    codec: str
    index: int
    tick: Fraction
    language: str = ""
    title: str = ""
    flags: frozenset[str] = frozenset()
    is_cover: bool = False
    is_timecode: bool = False
    packets: list[tuple[Fraction | None, Fraction, str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Colour:
    """Tags by their numbers in ITU-T H.273 (2: unspecified); range 1 limited, 2 full, 0 unspecified."""

    matrix: int
    range: int
    primaries: int
    transfer: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """A file as this reader sees it."""

    container: str
    size: tuple[int, int]
    format: str
    family: str  # yuv, rgb, gray
    depth: int
    has_alpha: bool
    tick: Fraction
    frames: tuple[Shown, ...]
    last_durations: tuple[Fraction, ...]  # how long the last frame is shown: what the file says, in one way or two
    sar: Fraction
    turn: tuple[int, ...]  # a b c d of the display matrix; () where there is none
    colour: Colour
    hdr: Mapping[str, tuple[Fraction, ...]]
    chapters: tuple[tuple[Fraction, Fraction, str], ...]
    metadata: Mapping[str, str]
    timecode: str
    tracks: tuple[Track, ...]
    files: tuple[tuple[str, str], ...]  # attachments: name, sha1
    language: str
    trouble: str = ""

    @property
    def grid(self) -> Grid:
        width, height = self.size
        return min(height, FINEST[0]), min(width, FINEST[1])

    @property
    def matrix(self) -> int:
        """The matrix by its tag; where that is silent the one of BT.709 for pictures larger than PAL's, else 601's."""
        if self.colour.matrix not in (2, 0):
            return 6 if self.colour.matrix == 5 else self.colour.matrix
        return 1 if self.size[1] > 576 or self.size[0] >= 1280 else 6

    @property
    def meaning(self) -> tuple[str, bool, int]:
        """What decides how samples are to be understood."""
        return self.family, self.is_full, self.matrix if self.family == "yuv" else 0

    @property
    def is_full(self) -> bool:
        """Full range by its tag; where that is silent, as FFmpeg takes it: grey and RGB are full, Y'CbCr is limited."""
        return self.colour.range == 2 or (self.colour.range == 0 and self.family != "yuv")


def look(path: Path, grid: Grid | None = None) -> Look:
    """Read a whole file. grid: of the means of its pictures; by its own size where nothing is said."""
    with av.open(str(path)) as container:
        video = _video(container)
        tracks = {s.index: _track(s) for s in container.streams if s is not video and s.type != "attachment"}
        frames, first, durations, trouble = _read(container, video, tracks, grid)
        names = {name.lower(): value for name, value in container.metadata.items()}
        own = {name.lower(): value for name, value in video.metadata.items()}
        data = [s for s in container.streams if s.type == "data" and "timecode" in s.metadata]
        form = _Form(first) if first is not None else None
        context = video.codec_context
        return Look(
            container=container.format.name,
            size=(first.width, first.height) if first is not None else (video.width, video.height),
            format=first.format.name if first is not None else "",
            family=form.family if form else "",
            depth=form.depth if form else 0,
            has_alpha=bool(form and form.has_alpha) or own.get("alpha_mode") == "1",
            tick=Fraction(video.time_base),
            frames=tuple(frames),
            last_durations=_last_durations(video, durations, is_decoding=container.format.name.startswith("mov")),
            sar=Fraction(video.sample_aspect_ratio or 1),
            turn=_turn(first),
            colour=_colour(first, context),
            hdr=_hdr(first),
            chapters=tuple(
                (c["start"] * c["time_base"], c["end"] * c["time_base"], c["metadata"].get("title", ""))
                for c in container.chapters()
            ),
            metadata={name: value for name, value in names.items() if name in ("title", "artist", "comment", "date")},
            timecode=names.get("timecode") or own.get("timecode") or (data[0].metadata["timecode"] if data else ""),
            tracks=tuple(tracks.values()),
            files=tuple(
                (s.name or s.metadata.get("filename", ""), hashlib.sha1(bytes(s.data)).hexdigest())
                for s in container.streams
                if s.type == "attachment"
            ),
            language=own.get("language", ""),
            trouble=trouble,
        )


def sound(path: Path, index: int) -> NDArray[np.float64]:
    """Decode a sound stream: (channels, samples) in [-1, 1]."""
    parts = []
    with av.open(str(path)) as container:
        stream = container.streams[index]
        for frame in container.decode(stream):
            array = frame.to_ndarray()
            if not frame.format.is_planar:
                array = array.reshape(-1, len(frame.layout.channels)).T
            top = 1.0 if array.dtype.kind == "f" else float(np.iinfo(array.dtype).max) + 1
            parts.append(array.astype(np.float64) / top)
    return np.concatenate(parts, axis=1) if parts else np.zeros((0, 0))


def _video(container: av.container.InputContainer) -> av.VideoStream:
    videos = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    return next((s for s in videos if s.disposition & Disposition.default), videos[0])


def _track(stream: av.stream.Stream) -> Track:
    return Track(
        kind=stream.type,
        codec=stream.codec_context.name if stream.codec_context else "",
        index=stream.index,
        tick=Fraction(stream.time_base or 1),
        language="" if stream.language in (None, "und") else stream.language,
        title=stream.metadata.get("title") or stream.metadata.get("name", ""),  # `name`: what mp4 has for it
        flags=frozenset(name for name in _FLAGS if stream.disposition & Disposition[name]),
        is_cover=bool(stream.disposition & Disposition.attached_pic),
        is_timecode=stream.type == "data" and "timecode" in stream.metadata,
        packets=[],
    )


def _read(
    container: av.container.InputContainer, video: av.VideoStream, tracks: Mapping[int, Track], grid: Grid | None
) -> tuple[list[Shown], av.VideoFrame | None, list[_Timed], str]:
    """Give the frames, the first as it was decoded, each packet's times, and the first thing refused."""
    frames: list[Shown] = []
    first: av.VideoFrame | None = None
    durations: list[_Timed] = []
    trouble = ""
    video.codec_context.thread_count = 1
    wanted = [video, *(s for s in container.streams if s.index in tracks)]
    try:
        for packet in container.demux(wanted):
            tick = Fraction(packet.time_base)
            if packet.stream is not video:
                if packet.size:
                    tracks[packet.stream.index].packets.append(_entry(packet, tracks[packet.stream.index].codec, tick))
                continue
            if packet.size and packet.pts is not None:
                dts = packet.dts * tick if packet.dts is not None else None
                durations.append((packet.pts * tick, dts, (packet.duration or 0) * tick))
            try:
                for frame in packet.decode():
                    first = first or frame
                    frames.append(_shown(frame, grid))
            except av.FFmpegError as error:
                trouble = trouble or str(error.strerror)
    except av.FFmpegError as error:
        trouble = trouble or str(error.strerror)
    return frames, first, durations, trouble


def _last_durations(video: av.VideoStream, packets: Sequence[_Timed], *, is_decoding: bool) -> tuple[Fraction, ...]:
    """Give how long the last frame is shown; nothing where the file does not say, or says what cannot be.

    is_decoding: the file keeps the steps between decoding times (mp4, mov), which with B-frames are no frame's own.
    There the frames end where the track does or where decoding ends, later by what the first frame waits; edit lists
    and files that break off upset the one or the other.
    """
    packets = sorted(packets)
    if not packets:
        return ()
    found = [packets[-1][2]]
    if is_decoding and all(packet[1] is not None for packet in packets):
        first, last = min(p[1] for p in packets), max(p[1] + p[2] for p in packets)
        found = [last + packets[0][0] - first - packets[-1][0]]
        if video.duration and video.start_time is not None:
            found.append((video.start_time + video.duration) * Fraction(video.time_base) - packets[-1][0])
    else:
        pairs = [(b[0] - a[0], a[2]) for a, b in itertools.pairwise(packets)]
        is_true = sum(2 * told > step for step, told in pairs) * 2 >= len(pairs)
        found = found if is_true else []
        if told_s := video.metadata.get("DURATION"):  # Matroska's tag: the end of the last frame
            hours, minutes, seconds = told_s.split(":")
            end = Fraction(hours) * 3600 + Fraction(minutes) * 60 + Fraction(seconds)
            found += [end - packets[-1][0]] if is_true or end != packets[-1][0] + packets[-1][2] else []
    return tuple(duration for duration in found if duration > 0)


def _entry(packet: av.Packet, codec: str, tick: Fraction) -> tuple[Fraction | None, Fraction, str, str]:
    data = bytes(packet)
    if codec == "aac" and len(data) > 9 and data[0] == 0xFF and data[1] >> 4 == 0xF:
        data = data[7 if data[1] & 1 else 9 :]  # the ADTS header, which MPEG-TS needs and the others must not have
    time = packet.pts * tick if packet.pts is not None else None
    return time, (packet.duration or 0) * tick, hashlib.sha1(data).hexdigest(), _text(data, codec)


def _text(data: bytes, codec: str) -> str:
    """Give the plain words of a subtitle's packet; "" where it holds pictures, or nothing."""
    if codec == "mov_text":
        data = data[2 : 2 + int.from_bytes(data[:2], "big")]
    elif codec in ("ass", "ssa"):
        data = data.split(b",", 8)[-1]
    elif codec not in ("srt", "subrip", "webvtt", "text"):
        return ""
    words = data.decode("utf-8", "replace").replace("\\N", "\n").replace("\r", "")
    while "<" in words and ">" in words:
        words = words[: words.index("<")] + words[words.index(">") + 1 :]
    return words.strip()


class _Form:
    """How a frame's samples lie: planes that can be read as they are, or after one step of unpacking."""

    def __init__(self, frame: av.VideoFrame) -> None:
        name = frame.format.name
        parts = frame.format.components
        self.depth = max(part.bits for part in parts)
        self.has_alpha = (frame.format.is_rgb and len(parts) == 4) or name.startswith(("yuva", "ya", "pal8"))
        self.family = "gray" if len(parts) - self.has_alpha == 1 and name != "pal8" else (
            "rgb" if frame.format.is_rgb or name == "pal8" else "yuv"
        )  # fmt: skip
        is_planar = len(frame.planes) >= len(parts) and "nv" not in name and name != "pal8"
        packed = {"rgb": "gbrp", "yuv": "yuv444p", "gray": "gray"}[self.family]
        deep = {"rgb": "gbrp16le", "yuv": "yuv444p16le", "gray": "gray16le"}[self.family]
        self.target = name if is_planar else _UNPACKED.get(name, deep if self.depth > 8 else packed)
        self.bits = self.depth if is_planar else (16 if self.depth > 8 else 8)

    def planes(self, frame: av.VideoFrame) -> list[Plane]:
        if frame.format.name != self.target:
            frame = frame.reformat(format=self.target)
        count = 1 if self.family == "gray" else 3
        big = ">u2" if self.target.endswith("be") else "<u2"
        found = []
        for plane in list(frame.planes)[:count]:
            rows = np.frombuffer(plane, np.uint8).reshape(-1, abs(plane.line_size))
            samples = rows.view(big) if self.bits > 8 else rows
            found.append(samples[: plane.height, : plane.width].astype(np.float64) / (1 << self.bits))
        if self.family == "rgb":  # G, B, R -> R, G, B
            found = [found[2], found[0], found[1]]
        return found


def _shown(frame: av.VideoFrame, grid: Grid | None) -> Shown:
    tick = Fraction(frame.time_base or 1)
    planes = _Form(frame).planes(frame)
    rows, columns = grid or (min(frame.height, FINEST[0]), min(frame.width, FINEST[1]))
    small = max(1, rows // 4), max(1, columns // 4)
    side = frame.side_data.get("A53_CC")
    return Shown(
        time=frame.pts * tick if frame.pts is not None else None,
        duration=(frame.duration or 0) * tick,
        fine=shrunk(planes[min(1, len(planes) - 1) if frame.format.is_rgb else 0], (rows, columns)),
        coarse=tuple(shrunk(plane, small) for plane in planes),
        captions=bytes(side) if side is not None else b"",
        is_interlaced=bool(frame.interlaced_frame),
    )


def shrunk(plane: Plane, grid: Grid) -> Plane:
    """Give the means of a plane over the cells of a grid; cells may begin between two samples."""
    down, across = _weights(plane.shape[0], grid[0]), _weights(plane.shape[1], grid[1])
    return down @ plane @ across.T


@lru_cache(maxsize=256)
def _weights(size: int, cells: int) -> Plane:
    edges = np.linspace(0, size, cells + 1)
    at = np.arange(size)
    covered = np.minimum(edges[1:, None], at + 1) - np.maximum(edges[:-1, None], at)
    covered = np.maximum(covered, 0)
    return covered / covered.sum(axis=1, keepdims=True)


def _turn(frame: av.VideoFrame | None) -> tuple[int, ...]:
    side = frame.side_data.get("DISPLAYMATRIX") if frame is not None else None
    if side is None:
        return ()
    a, b, _, c, d, *_ = np.frombuffer(bytes(side), np.int32).tolist()
    return tuple(round(x / 65536) for x in (a, b, c, d))


def _colour(frame: av.VideoFrame | None, context: av.VideoCodecContext) -> Colour:
    def pick(of_frame: int | None, of_header: int, silent: int) -> int:
        return int(of_frame) if of_frame is not None and of_frame != silent else int(of_header)

    is_full = frame is not None and "yuvj" in frame.format.name
    return Colour(
        matrix=pick(frame.colorspace if frame else None, context.colorspace, 2),
        range=2 if is_full else pick(frame.color_range if frame else None, context.color_range, 0),
        primaries=pick(frame.color_primaries if frame else None, context.color_primaries, 2),
        transfer=pick(frame.color_trc if frame else None, context.color_trc, 2),
    )


def _hdr(frame: av.VideoFrame | None) -> dict[str, tuple[Fraction, ...]]:
    """Read AVMasteringDisplayMetadata and AVContentLightMetadata (libavutil/mastering_display_metadata.h)."""
    found: dict[str, tuple[Fraction, ...]] = {}
    if frame is None:
        return found
    display, light = (frame.side_data.get(k) for k in ("MASTERING_DISPLAY_METADATA", "CONTENT_LIGHT_LEVEL"))
    if display is not None:
        numbers = np.frombuffer(bytes(display), np.int32)[:22].tolist()
        pairs = [Fraction(n, d or 1) for n, d in zip(numbers[0:20:2], numbers[1:20:2], strict=True)]
        if numbers[20]:
            found["primaries"] = tuple(pairs[:8])
        if numbers[21]:
            found["luminance"] = tuple(pairs[8:10])
    if light is not None:
        found["light"] = tuple(Fraction(n) for n in np.frombuffer(bytes(light), np.uint32)[:2].tolist())
    return found


def rgb(planes: Sequence[Plane], seen: Look) -> Plane:
    """Give means of Y'CbCr samples as R'G'B' (3, rows, columns) by ITU-T H.273 equations 38 to 43."""
    if seen.family == "rgb":
        return np.stack(planes)
    is_full = seen.is_full
    peak = 1 - 1 / (1 << seen.depth)
    low, span = (0.0, peak) if is_full else (16 / 256, 219 / 256)
    y = (planes[0] - low) / span
    if seen.family == "gray":
        return np.stack([y, y, y])
    kr, kb = _WEIGHTS.get(seen.matrix, (0.299, 0.114))
    cb, cr = ((plane - 0.5) / (peak if is_full else 224 / 256) for plane in planes[1:3])
    red, blue = y + 2 * (1 - kr) * cr, y + 2 * (1 - kb) * cb
    return np.stack([red, (y - kr * red - kb * blue) / (1 - kr - kb), blue])
