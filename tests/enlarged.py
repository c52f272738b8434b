"""A clip made twice as large with PyAV and numpy alone, as it ought to be or with a fault planted: for `vsr verify`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.stream import AttachmentStream
from numpy.typing import NDArray

from tests.media import BT709, Tags, make_clip
from tests.textures import textured

Plane = NDArray[np.uint8]
Frames = list[tuple[int, list[Plane]]]  # (pts, planes)
BASE = Fraction(1, 12800)
STEP = 512  # ticks of a frame at 25 a second


def source_clip(path: Path, *, rotation: int = 90) -> Path:
    """Write a clip with everything in it: sound, a subtitle, chapters, tags, a shape, a turn."""
    count = 12
    suffix = path.suffix
    return make_clip(
        path,
        frames=count,
        pts=[n * STEP for n in range(count)],
        durations=[STEP] * count,
        time_base=BASE,
        audio=1,
        subtitles=("mov_text",) if suffix == ".mp4" else ("srt",),
        chapters=((0, 0.2, "one"), (0.2, 0.48, "two")),
        metadata={"title": "a clip", "comment": "of the tests"},
        tags=BT709,
        sar=Fraction(16, 15),
        rotation=rotation,
    )


def moving_clip(path: Path, *, width: int = 96, height: int = 64, frames: int = 8, tags: Tags = BT709) -> Path:
    """Write a pan over a coloured, textured scene, without sound."""
    scene = (textured(3, height + frames, width + 2 * frames).permute(1, 2, 0).numpy() * 255).astype(np.uint8)
    with av.open(str(path), "w") as out:
        video = out.add_stream("libx264", rate=25, options={"crf": "8"})
        video.width, video.height, video.pix_fmt = width, height, "yuv420p"
        context = video.codec_context
        context.colorspace, context.color_range = tags.matrix, tags.range
        context.color_primaries, context.color_trc = tags.primaries, tags.transfer
        for n in range(frames):
            part = np.ascontiguousarray(scene[n : n + height, 2 * n : 2 * n + width])
            frame = av.VideoFrame.from_ndarray(part, format="rgb24")
            frame = frame.reformat(format="yuv420p", dst_colorspace=tags.matrix, dst_color_range=tags.range)
            frame.pts = n
            out.mux(video.encode(frame))
        out.mux(video.encode(None))
    return path


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What is done wrong; each default is right. frames: of the twice as large (pts, planes)."""

    frames: Callable[[Frames], Frames] = lambda frames: frames
    tags: Tags | None = None  # None: the source's
    sar: Fraction | None = None
    rotation: int = 90
    sound_shift: int = 0  # ticks of the sound
    lost_packet: int | None = None
    language: str | None = "eng"
    chapters: int | None = None  # how many are kept
    has_subtitle: bool = True
    last_duration: Fraction = STEP * BASE
    crf: int = 6
    codec: str = "libx264"
    title: str | None = "a clip"


NONE = Fault()


def enlarged(source: Path, target: Path, fault: Fault = NONE) -> Path:
    """Write `source`, of planar 8-bit 4:2:0, twice as large by repeating samples; everything else is copied."""
    with av.open(str(source)) as given, av.open(str(target), "w") as out:
        video = given.streams.video[0]
        made = _video(out, video, fault)
        routes = {
            s.index: out.add_stream_from_template(s, opaque=True)
            for s in given.streams
            if s.type in ("audio", "subtitle") and (fault.has_subtitle or s.type == "audio")
        }
        for index, route in routes.items():
            kept = given.streams[index]
            route.disposition = kept.disposition
            names = {"language": "language", "title": "title", "name": "title"}  # FFmpeg reads MP4's titles as `name`
            told = {names[key.lower()]: value for key, value in kept.metadata.items() if key.lower() in names}
            if kept.type == "audio":
                told.pop("language", None)
                told |= {"language": fault.language} if fault.language else {}
            route.metadata.update(told)
        for stream in given.streams:
            if isinstance(stream, AttachmentStream):
                out.add_attachment(stream.name, stream.mimetype, stream.data)
        out.metadata.update({k.lower(): v for k, v in given.metadata.items() if k.lower() in ("title", "comment")})
        if fault.title:
            out.metadata["title"] = fault.title
        out.set_chapters(given.chapters()[: fault.chapters])
        frames, packets, number = [], [], dict.fromkeys(routes, 0)
        for packet in given.demux():
            if packet.stream is video:
                frames += [(f.pts, [_doubled(p) for p in _planes(f)]) for f in video.codec_context.decode(packet)]
            elif packet.size and packet.stream_index in routes:
                is_sound = given.streams[packet.stream_index].type == "audio"
                number[packet.stream_index] += 1
                if is_sound and number[packet.stream_index] - 1 == fault.lost_packet:
                    continue
                if is_sound:
                    packet.pts += fault.sound_shift
                    packet.dts += fault.sound_shift
                packet.stream = routes[packet.stream_index]
                packets.append(packet)
        packets += _encoded(made, fault.frames(frames), fault, video.time_base)
        for packet in sorted(packets, key=lambda p: float((p.dts or 0) * p.time_base)):
            out.mux(packet)
    return target


def _video(out: av.container.OutputContainer, video: av.VideoStream, fault: Fault) -> av.VideoStream:
    made = out.add_stream(fault.codec, rate=25, options={"crf": str(fault.crf)})
    made.width, made.height, made.pix_fmt = 2 * video.width, 2 * video.height, "yuv420p"
    made.time_base = made.codec_context.time_base = video.time_base
    context, told = made.codec_context, video.codec_context
    context.flags |= av.codec.context.Flags.frame_duration
    tags = fault.tags or Tags(matrix=told.colorspace, range=told.color_range, primaries=told.color_primaries,
                              transfer=told.color_trc)  # fmt: skip
    context.colorspace, context.color_range = tags.matrix, tags.range
    context.color_primaries, context.color_trc = tags.primaries, tags.transfer
    context.sample_aspect_ratio = fault.sar or video.sample_aspect_ratio or Fraction(1)
    if fault.rotation:
        made.set_display_rotation(fault.rotation)
    made.disposition = video.disposition
    return made


def _encoded(made: av.VideoStream, frames: Frames, fault: Fault, base: Fraction) -> Sequence[av.Packet]:
    packets = []
    for place, (pts, planes) in enumerate(frames):
        frame = av.VideoFrame(made.width, made.height, "yuv420p")
        for plane, codes in zip(frame.planes, planes, strict=True):
            wide = np.zeros((plane.height, plane.line_size), np.uint8)
            wide[:, : codes.shape[1]] = codes
            plane.update(wide.tobytes())
        frame.pts, frame.time_base = pts, base
        is_last = place == len(frames) - 1
        frame.duration = round(fault.last_duration / base) if is_last else frames[place + 1][0] - pts
        packets += made.encode(frame)
    return packets + made.encode(None)


def _planes(frame: av.VideoFrame) -> list[Plane]:
    sizes = [(frame.height, frame.width), *[(-(-frame.height // 2), -(-frame.width // 2))] * 2]
    return [
        np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)[:rows, :columns].copy()
        for plane, (rows, columns) in zip(frame.planes, sizes, strict=True)
    ]


def _doubled(plane: Plane) -> Plane:
    return plane.repeat(2, axis=0).repeat(2, axis=1)
