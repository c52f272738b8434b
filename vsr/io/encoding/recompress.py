"""Planes through a video encoder and back, in memory: the damage that real H.264 and H.265 do.

No container, no file, no colours: 8-bit 4:2:0 codes go in and come out.
"""

from __future__ import annotations

from fractions import Fraction

import av
import av.error
import numpy as np
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream
from numpy.typing import NDArray

from vsr.core.errors import EncodeError, SettingsError
from vsr.io.encoding.codecs import codec_rule

Plane = NDArray[np.uint8]

CODECS = ("h264", "hevc")
_FORMAT = "yuv420p"
# x265 (as in FFmpeg 8.1) writes beyond its buffers for frames up to 48 columns wide: found with glibc's MALLOC_CHECK_.
_SMALLEST = {"h264": 2, "hevc": 64}
_RATE = 25  # a hint for rate control; crf decides the quality
# One thread each, and no look-ahead, as cameras and live streams have none: with it, x264 and x265 as built into FFmpeg
# 8.1 read memory that nobody has written, and the same frames give other bytes now and then (measured: 20 runs, 3
# results). x265's weighted prediction reads what the look-ahead would have left: without it 700 runs gave one result,
# with it up to 3. No banner on the screen either.
_OPTIONS = {
    "h264": {"tune": "zerolatency"},
    "hevc": {
        "x265-params": "log-level=none:pools=none:frame-threads=1:"
        "bframes=0:b-adapt=0:rc-lookahead=0:scenecut=0:cutree=0:weightp=0"
    },
}


def recompress(luma: Plane, chroma: Plane, *, codec: str, crf: float, preset: str | None = None) -> tuple[Plane, Plane]:
    """Give frames as they come back from an encoder at a constant quality: luma and chroma of the shapes given.

    luma: (N, H, W), chroma: (N, 2, ceil(H / 2), ceil(W / 2)), codes of consecutive frames of one shot in 4:2:0. codec:
    `h264` or `hevc`. crf: 0 (finest) .. 51. preset: the encoder's (default: the one `vsr upscale` uses). Sizes that
    are odd or too small for the encoder are padded by repeating the edge, and cut again. The same input gives the same
    output on one build of the encoder.

    Raises:
        SettingsError: another codec, or a crf or preset that it does not take.
        EncodeError: the encoder or the decoder refuses, or frames are missing.
    """
    count, height, width = luma.shape
    half = (-(-height // 2), -(-width // 2))
    if luma.dtype != np.uint8 or chroma.dtype != np.uint8 or chroma.shape != (count, 2, *half) or not luma.size:
        raise ValueError(f"expected planes of 4:2:0 in uint8, got {luma.shape} {luma.dtype} and {chroma.shape}")
    _check(codec, crf, preset)
    rows, columns = max(2 * half[0], _SMALLEST[codec]), max(2 * half[1], _SMALLEST[codec])
    around = ((0, 0), (0, rows - height), (0, columns - width))
    around_chroma = ((0, 0), (0, 0), (0, rows // 2 - half[0]), (0, columns // 2 - half[1]))
    whole = np.pad(luma, around, mode="edge"), np.pad(chroma, around_chroma, mode="edge")
    try:
        decoded = _decode(_encode(*whole, codec, crf, preset), codec)
    except av.error.FFmpegError as error:
        raise EncodeError(f"{count} frames of {width}x{height} cannot go through {codec}: {error.strerror}") from error
    if sorted(decoded) != list(range(count)):
        raise EncodeError(f"{count} frames went into {codec}, {len(decoded)} came back")
    packed = np.stack([decoded[index] for index in range(count)])
    # As PyAV lays 4:2:0 out: rows of luma, then all of Cb, then all of Cr.
    halves = packed[:, rows:].reshape(count, 2, rows // 2, columns // 2)
    return packed[:, :height, :width], halves[..., : half[0], : half[1]]


def _check(codec: str, crf: float, preset: str | None) -> None:
    if codec not in CODECS:
        raise SettingsError(f"frames are not recompressed as {codec!r}", hint=f"Codecs: {', '.join(CODECS)}.")
    rule = codec_rule(codec)
    assert rule.crf is not None
    low, high = rule.crf
    if not low <= crf <= high:
        raise SettingsError(f"crf {crf} is not within {low} .. {high}")
    if preset is not None and preset not in rule.presets:
        raise SettingsError(f"{codec} has no preset {preset!r}", hint=f"Presets: {', '.join(rule.presets)}.")


def _encode(luma: Plane, chroma: Plane, codec: str, crf: float, preset: str | None) -> list[av.Packet[VideoStream]]:
    rule = codec_rule(codec)
    count, height, width = luma.shape
    encoder = VideoCodecContext.create(rule.encoder, "w")
    assert isinstance(encoder, VideoCodecContext)
    encoder.height, encoder.width = height, width
    encoder.pix_fmt = _FORMAT
    encoder.time_base = Fraction(1, _RATE)
    encoder.framerate = Fraction(_RATE)
    encoder.thread_count = 1
    encoder.options = {"crf": str(crf), "preset": preset or rule.default_preset, **_OPTIONS[codec]}
    packed = np.concatenate([luma, chroma.reshape(count, height // 2, width)], axis=1)
    packets: list[av.Packet[VideoStream]] = []
    for index, frame in enumerate(packed):
        coded = av.VideoFrame.from_ndarray(frame, format=_FORMAT)
        coded.pts, coded.time_base = index, encoder.time_base
        packets += encoder.encode(coded)
    return packets + encoder.encode(None)


def _decode(packets: list[av.Packet[VideoStream]], codec: str) -> dict[int, Plane]:
    """Give frames by pts, laid out as they were given to the encoder."""
    decoder = VideoCodecContext.create(codec, "r")
    assert isinstance(decoder, VideoCodecContext)
    decoder.thread_count = 1
    frames: dict[int, Plane] = {}
    for packet in [*packets, None]:
        for frame in decoder.decode(packet):
            assert frame.pts is not None
            frames[frame.pts] = frame.to_ndarray().astype(np.uint8, copy=False)
    return frames
