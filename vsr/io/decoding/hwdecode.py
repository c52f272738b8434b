"""Decoding on hardware, each frame held against the packets, and software where one does not come.

A device's decoder loses frames, shows two with one time, or breaks down, and some say nothing of it. The index of the
packets says which frames must come. So every frame of the device is passed on only if it is the next of those; from the
first that is not, the span is decoded again in software, and what was passed on already is left out.
"""

from __future__ import annotations

import bisect
import logging
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from fractions import Fraction
from functools import cache
from itertools import pairwise
from typing import Protocol

import av
import av.error
import numpy as np
from av.codec.codec import UnknownCodecError
from av.codec.hwaccel import HWAccel, hwdevices_available
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

from vsr.core.errors import DecodeError, NoDevice, SettingsError, VsrError
from vsr.core.media import MediaInfo
from vsr.io.base import DecodeTally
from vsr.io.decoding.formats import Unpacker, travel_format
from vsr.io.decoding.frames import Decoded
from vsr.io.decoding.seeking import decode, decode_from
from vsr.io.encoding.encode import hush, joined, listening
from vsr.io.inputs import open_input
from vsr.io.limits import ffmpeg_limit
from vsr.io.scan import packets

log = logging.getLogger(__name__)

_WRITERS = {"h264": "libx264", "hevc": "libx265", "av1": "libsvtav1", "vp9": "libvpx-vp9", "vp8": "libvpx"}
KINDS = ("cuda", "qsv", "vaapi", "videotoolbox", "d3d11va")  # in the order in which `auto` tries them
# What FFmpeg and PyAV raise where a device or its driver fails.
_FAILURES = (av.error.FFmpegError, VsrError, NotImplementedError, OSError, RuntimeError, ValueError)


class Device(Protocol):
    """Decodes on one device. Times are its own; frames lie in the computer's memory, interleaved or planar."""

    def __call__(self, info: MediaInfo, *, seek: int | None, max_pixels: int) -> Iterator[Decoded]:
        """Yield the frames from the one at `seek` (pts; None: the first) on, in order of presentation."""
        ...


def check_hwaccel(name: str, info: MediaInfo) -> None:
    """Hold what the user asked for against this machine and the source; `off` and `auto` always pass.

    Raises:
        NoDevice: there is no such device here, or it cannot be opened; in FFmpeg's words.
        SettingsError: it does not decode this codec, or the source's frames cannot be counted against its packets.
    """
    if name in ("off", "auto"):
        return
    hint = "Leave out --hwaccel, or let --hwaccel auto use software where it must."
    if (why := _unfit(info)) is not None:
        raise SettingsError(f"{info.path} is not decoded on hardware: {why}", hint=hint)
    trouble = device_trouble(name)
    if trouble:
        raise NoDevice(f"{name} decodes nothing here: {trouble}", hint=hint)
    trouble = device_trouble(name, info.video.codec)
    if trouble:
        raise SettingsError(f"{name} does not decode {info.video.codec}: {trouble}", hint=hint)


def chosen_kind(name: str, info: MediaInfo) -> str:
    """Give the kind of device that decodes: `name`, of `auto` the first that works here; "" for software."""
    if name == "off" or _unfit(info) is not None:
        return ""
    if name != "auto":
        return name
    return next((kind for kind in KINDS if not device_trouble(kind, info.video.codec)), "")


@cache
def device_trouble(kind: str, codec: str = "h264") -> str:
    """Give what is said when a decoder is opened on such a device, "" where it opens."""
    if kind not in hwdevices_available():
        return "not in this FFmpeg"
    with listening() as said:
        try:
            context = _context(kind, codec)
            shown = [frame for packet in (*_sample(codec), None) for frame in context.decode(packet)]
        except UnknownCodecError:
            return f"no decoder of {codec} for it"
        except NotImplementedError:
            return f"the decoder of {codec} does not know it"
        except av.error.FFmpegError as error:
            return joined(said) or error.strerror or str(error)
    return "" if shown or not _sample(codec) else "it shows nothing of what it is given"


def _sample(codec: str) -> list[Packet[VideoStream]]:
    """Encode one grey picture; nothing where this FFmpeg writes no such codec."""
    try:
        context = av.CodecContext.create(_WRITERS.get(codec, codec), "w")
    except UnknownCodecError:
        return []
    hush(context.name)
    assert isinstance(context, VideoCodecContext)
    context.width, context.height, context.pix_fmt = 256, 144, "yuv420p"
    context.time_base, context.framerate = Fraction(1, 25), Fraction(25)
    context.options = {"x265-params": "log-level=none"} if context.name == "libx265" else {}
    picture = av.VideoFrame.from_ndarray(np.full((216, 256), 128, np.uint8), format="yuv420p")
    picture.pts, picture.time_base = 0, Fraction(1, 25)
    return [*context.encode(picture), *context.encode(None)]


def guarded(
    info: MediaInfo,
    kind: str,
    *,
    seek: int | None,
    max_pixels: int,
    software: Callable[[], Generator[Decoded]],
    counted: DecodeTally,
) -> Generator[Decoded]:
    """Yield the frames from `seek` on, each once: the device's while they are the packets', then the software's.

    software: decodes the same span from its start. What made it take over is in `counted.fell_back`.
    """
    known = info.packets.pts
    expected = known[bisect.bisect_left(known, seek) if seek is not None else 0 :]
    given = 0
    trouble = ""
    try:
        with closing(_fitting(info, kind, seek, max_pixels)) as shown:
            for pts, duration, frame in shown:
                if given == len(expected) or pts != expected[given]:
                    trouble = _mismatch(pts, expected[given] if given < len(expected) else None)
                    break
                yield pts, duration, frame
                given += 1
            else:
                trouble = "" if given == len(expected) else f"it ended before the frame at pts {expected[given]}"
    except _FAILURES as error:
        trouble = getattr(error, "strerror", None) or str(error) or type(error).__name__
    if not trouble:
        return
    counted.fell_back = f"{kind}, after {given} of {len(expected)} frames: {trouble}"
    log.warning("%s is decoded in software; %s", info.path, counted.fell_back)
    last = expected[given - 1] if given else None
    with closing(software()) as again:
        for pts, duration, frame in again:
            if last is None or pts is None or pts > last:
                yield pts, duration, frame


def _fitting(info: MediaInfo, kind: str, seek: int | None, max_pixels: int) -> Generator[Decoded]:
    """Yield the device's frames from `seek` on, in the pixel format in which software gives them.

    Raises:
        DecodeError: a frame is damaged, or its size or format is not the stream's.
    """
    video = info.video
    unpack = Unpacker(video.coded_pixel_format)
    for pts, duration, frame in DEVICES[kind](info, seek=seek, max_pixels=max_pixels):
        if seek is not None and pts is not None and pts < seek:
            continue
        shape = (frame.width, frame.height, travel_format(frame.format.name)[0])
        if frame.is_corrupt or shape != (video.width, video.height, video.pixel_format):
            raise DecodeError(f"the frame at pts {pts} is damaged, or not {video.width}x{video.height}")
        yield pts, duration, unpack(frame)


def _mismatch(pts: int | None, wanted: int | None) -> str:
    if wanted is None:
        return f"a frame at pts {pts} came after the last one"
    return f"a frame at pts {pts} came where the one at {wanted} belongs"


def _unfit(info: MediaInfo) -> str | None:
    """Say why no device decodes this source; None where one may."""
    index = info.packets
    if info.kind != "video":
        return "it is no video"
    if info.video.has_alpha_layer:
        return "devices leave out its alpha channel"
    if not index.pts or index.has_decoding_times or any(a >= b for a, b in pairwise(index.pts)):
        return "its packets do not tell the time of each frame, so that none could be missed"
    return None


def _on_device(kind: str) -> Device:
    def decoded(info: MediaInfo, *, seek: int | None, max_pixels: int) -> Iterator[Decoded]:
        with open_input(info.path, max_pixels=max_pixels) as container:
            stream = container.streams[info.video.index]
            assert isinstance(stream, VideoStream)
            context = _context(kind, info.video.codec)
            context.extradata = stream.codec_context.extradata
            context.options = {"max_pixels": ffmpeg_limit(max_pixels)}
            refused = DecodeTally()
            found = None
            keyframes = info.packets.keyframes
            if seek is not None and keyframes and keyframes[0] < seek:
                found = decode_from(container, stream, keyframes, seek, refused, context=context)
                if found is None:
                    raise DecodeError("its container cannot seek as it must")
            for shown in found or decode(context, packets(container, stream), refused):
                _refuse(refused)
                yield shown
            _refuse(refused)

    return decoded


def _refuse(refused: DecodeTally) -> None:
    if refused.errors:
        raise DecodeError(refused.first_error)


def _context(kind: str, codec: str) -> VideoCodecContext:
    if kind not in hwdevices_available():  # FFmpeg would take any other for one whose name it does not know
        raise NoDevice(f"{kind} is not in this FFmpeg")
    name = f"{codec}_qsv" if kind == "qsv" else codec  # Intel's are decoders of their own
    context = av.CodecContext.create(name, "r", HWAccel(kind, allow_software_fallback=False))
    assert isinstance(context, VideoCodecContext)
    return context


DEVICES: dict[str, Device] = {kind: _on_device(kind) for kind in KINDS}
