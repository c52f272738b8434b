"""The pictures of a file in order of showing, decoded anew for `vsr verify`, with their exact times.

Like `witness` it shares no reading with the rest of the house: a plain run through the file with PyAV, to its end.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Generator
from dataclasses import dataclass
from fractions import Fraction

import av
import av.error
import numpy as np
from av.video.stream import VideoStream
from numpy.typing import NDArray

from vsr.core.errors import UnsupportedInput
from vsr.core.frame import Frame, PixelFormat, pixel_format
from vsr.core.media import WHOLE
from vsr.io.base import Source
from vsr.io.decoding.formats import Unpacker, travel_format
from vsr.io.images.animations import AnimationSource
from vsr.io.images.exif import told
from vsr.io.images.files import ImageSource
from vsr.io.inputs import open_input
from vsr.io.limits import MAX_PIXELS, ffmpeg_limit
from vsr.io.metadata.sidedata import carried
from vsr.io.witness.reading import FileFacts

Plane = NDArray[np.uint8] | NDArray[np.uint16]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Shown:
    """A frame that is shown: its place from 0, its time in exact seconds (None: only its place is known).

    captions, icc, exif: hashes of what it carries (of EXIF: what it tells, in whatever order), b"" for nothing.
    """

    place: int
    time: Fraction | None
    is_interlaced: bool = False
    captions: bytes = b""
    icc: bytes = b""
    exif: bytes = b""
    _decoded: av.VideoFrame | Frame
    _target: str = ""
    _unpack: Unpacker | None = None

    def frame(self) -> Frame:
        """Give its planes; asked for only where they are looked at, because packed formats must be unpacked."""
        if isinstance(self._decoded, Frame):
            return self._decoded
        assert self._unpack is not None
        unpacked = self._unpack(self._decoded)
        format = pixel_format(self._target)
        return Frame(index=self.place, pts=0, duration=0, planes=_planes(unpacked, format), format=format)


def shown(facts: FileFacts, *, threads: int = 1, max_pixels: int = MAX_PIXELS) -> Generator[Shown]:
    """Yield every frame that a decoder shows of the video that `facts` tell of, drained to the last.

    What the decoder refuses is left out: a player shows nothing of it either.

    Raises:
        UnsupportedInput: a pixel format that frames do not travel in. DecodeError: of images, as `ImageSource`.
    """
    if facts.images is not None:
        is_moving = facts.images.kind == "video"
        reader: Source = (AnimationSource if is_moving else ImageSource)(info=facts.images, max_pixels=max_pixels)
        for place, image in enumerate(reader.frames(WHOLE)):
            beside = image.side_data
            time = image.pts * facts.images.video.time_base if is_moving else None
            yield Shown(place=place, time=time, icc=_hash(beside.icc), exif=_hash(told(beside.exif)), _decoded=image)
        return
    known = sorted(time for time in facts.video.trail.times if time is not None)
    base = facts.video.trail.time_base
    is_counted = facts.container == "avi"  # it says when frames are decoded: the n-th that is shown has the n-th time
    target = travel_format(facts.picture.pixel_format)[0]
    unpack = Unpacker(target)
    with contextlib.closing(_decoded(facts, threads, max_pixels)) as frames:
        for place, frame in enumerate(frames):
            ticks = None if is_counted else frame.pts
            if ticks is None and place < len(known):
                ticks = known[place]
            if travel_format(frame.format.name)[0] != target:
                raise UnsupportedInput(f"{facts.path} changes from {target} to {frame.format.name} in mid-stream")
            yield Shown(
                place=place,
                time=None if ticks is None else ticks * base,
                is_interlaced=frame.interlaced_frame,
                captions=_hash(carried(frame).captions),  # which also breaks the frame's tie with its side data
                _decoded=frame,
                _target=target,
                _unpack=unpack,
            )


def _decoded(facts: FileFacts, threads: int, max_pixels: int) -> Generator[av.VideoFrame]:
    with open_input(facts.path, max_pixels=max_pixels) as container:
        stream = container.streams[facts.video.index]
        assert isinstance(stream, VideoStream)
        stream.codec_context.options = {"max_pixels": ffmpeg_limit(max_pixels)}
        stream.codec_context.thread_count = threads
        packets = container.demux(stream)
        while True:
            try:
                packet = next(packets, None)
            except av.error.FFmpegError:
                packet = None  # the file breaks off: what the decoder still holds is shown
            try:
                yield from stream.codec_context.decode(packet if packet is not None and packet.size else None)
            except av.error.EOFError:
                return
            except av.error.FFmpegError:
                if packet is None:
                    return
                continue
            if packet is None or not packet.size:
                return


def _planes(frame: av.VideoFrame, format: PixelFormat) -> tuple[Plane, ...]:
    """Copy the planes out of a frame, in the order of `Frame`; what stands beyond a row's end is left."""
    found: list[Plane] = []
    for number, plane in enumerate(frame.planes):
        rows, columns = format.plane_shape(number, frame.width, frame.height)
        row = np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, abs(plane.line_size))[:rows]
        wide = columns * (2 if format.dtype is np.uint16 else 1)
        plain = np.ascontiguousarray(row[:, :wide])
        found.append(plain if format.dtype is np.uint8 else plain.view(np.uint16))
    return tuple(found)


def _hash(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()[:8] if data else b""
