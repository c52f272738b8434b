"""Bytes a pixel: what codecs write and what encoders hold, as measured, and how much that leaves open.

The figures are from FFmpeg 8.1 with the options of `io/encoding/codecs`. Sizes: 13 clips of 320x200 to 1080x720
(camera, film, television, screen, animation, 8 to 40 frames each) upscaled bicubically by 1 to 4 and encoded. The
source's own rate tells more than any table: over the clips the result's rate varies 200-fold, but 12-fold in relation
to the source's.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from vsr.core.frame import PixelFormat, pixel_format
from vsr.core.job import Job


@dataclass(frozen=True, slots=True, kw_only=True)
class Amount:
    """So many bytes: hardly less than `low`, hardly more than `high`; `reason` is for people."""

    low: int
    likely: int
    high: int
    reason: str

    def times(self, factor: float) -> Amount:
        low, likely, high = (int(part * factor) for part in (self.low, self.likely, self.high))
        return Amount(low=low, likely=likely, high=high, reason=self.reason)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Lossy:
    """factor: size against x264 (veryfast, crf 18). halving: steps of crf that halve it. presets: size of each."""

    factor: float
    crf: float
    halving: float
    presets: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Intra:
    """Bytes a sample of 8 bits; `deep` is what the likely one is multiplied by for samples of 16."""

    low: float
    likely: float
    high: float
    deep: float


# Measured in the mean: x265 0.85, SVT-AV1 0.83, libvpx 1.08; crf 12 to 30: a half in 5.8 steps (x264), 6.2 (x265),
# 11.5 (SVT-AV1), 11 (libvpx); other presets within a tenth of the default's.
_LOSSY = {
    "h264": _Lossy(factor=1.0, crf=18, halving=6, presets={"ultrafast": 3.3, "superfast": 1.7}),
    "hevc": _Lossy(factor=0.85, crf=20, halving=6, presets={"ultrafast": 0.75}),
    "av1": _Lossy(factor=0.85, crf=26, halving=11.5, presets={}),
    "vp9": _Lossy(factor=1.1, crf=24, halving=11, presets={"realtime": 1.2}),
}
# Measured a sample: ProRes 0.006 to 0.34 (film 0.11 to 0.34), FFV1 0.001 to 0.31 (film 0.05 to 0.31), PNG and TIFF 0.2
# to 0.46, WebP 0.08 to 0.18, JPEG 0.04 to 0.08; of noise 1.0, 1.4 (TIFF's LZW grows it), 1.0, 0.4.
_INTRA = {
    "prores": _Intra(low=0.02, likely=0.22, high=0.45, deep=1.0),
    "ffv1": _Intra(low=0.02, likely=0.17, high=1.1, deep=5.0),
    "png": _Intra(low=0.04, likely=0.33, high=1.05, deep=4.0),
    "tiff": _Intra(low=0.04, likely=0.33, high=1.45, deep=4.0),
    "webp": _Intra(low=0.01, likely=0.13, high=1.05, deep=1.0),
    "jpeg": _Intra(low=0.01, likely=0.06, high=0.5, deep=1.0),
}
_FOLLOWED = {
    "h264", "hevc", "av1", "vp9", "vp8", "mpeg4", "mpeg2video", "mpeg1video", "h263", "msmpeg4v2", "msmpeg4v3",
    "wmv1", "wmv2", "wmv3", "vc1", "flv1", "theora", "rv30", "rv40",
}  # fmt: skip
_AGAINST_SOURCE = (
    2.0  # bytes a pixel of x264 at crf 18 against the source's, at x1; it falls with the root of the scale
)
_MOST = 0.04  # bytes a pixel: what x264 made at crf 18 of the most restless clip
_USUAL = 0.012  # in the mean, where the source does not tell
_SPREAD = 5.0  # either way, where the source tells; measured at most 3.9, with ESPCN on 9 other files 1.8
_SPREAD_BLIND = 12.0  # where it does not, or tells of more than the part that is upscaled; measured there at most 11
_FILE_BYTES, _FRAME_BYTES = 8192, 96  # headers and index; a frame of which nothing is left but its header

# Bytes an output pixel of 8 bits that an encoder holds at its peak, at 1920x1080 and 3840x2160: x264 82 and 72 (98 with
# 16 threads), medium 184, veryslow 348; x265 186 and 158 (405 with 16 threads), slow 237; SVT-AV1 194 and 178, preset 4
# 404; libvpx 142; ProRes 6; FFV1 40. Samples of 10 bits: 145 for 82.
_HELD = {"h264": 85, "hevc": 165, "av1": 190, "vp9": 142, "prores": 10, "ffv1": 40}
_HELD_BY_PRESET = {
    "h264": {"faster": 1.4, "fast": 1.7, "medium": 2.2, "slow": 2.8, "slower": 4.2, "veryslow": 4.2, "placebo": 5.0},
    "hevc": {"slow": 1.3, "slower": 1.6, "veryslow": 2.0, "placebo": 2.5},
    "av1": {"6": 1.7, "5": 2.0, "4": 2.2, "3": 2.4, "2": 2.6, "1": 2.8, "0": 3.0},
}
_HELD_A_THREAD = {"h264": 1, "hevc": 16}
_HELD_BY_IMAGES = 20.0


def video_bytes(job: Job) -> Amount:
    """Give the bytes of all encoded frames of the result."""
    out, frames = job.output, max(1, sum(chunk.frames for chunk in job.chunks))
    pixels = out.width * out.height
    low, likely, high = _lossy(job) if out.codec in _LOSSY else _intra(job)
    more = _FILE_BYTES + _FRAME_BYTES * frames
    return Amount(
        low=int(low * pixels * frames),
        likely=int(likely * pixels * frames),
        high=int(high * pixels * frames) + more,
        reason=f"{frames} frames of {out.width}x{out.height} in {out.codec} at about {likely:.2g} bytes a pixel",
    )


def encoder_bytes_per_pixel(job: Job) -> float:
    """Give the bytes of memory that the encoder holds at its peak, for each pixel of the output."""
    out = job.output
    if out.codec not in _HELD:
        return _HELD_BY_IMAGES
    by_preset = _HELD_BY_PRESET.get(out.codec, {}).get(_preset(job), 1.0)
    held = _HELD[out.codec] + _HELD_A_THREAD.get(out.codec, 0) * out.threads
    return held * by_preset * (1.8 if pixel_format(out.pixel_format).depth > 8 else 1.0)


def samples_per_pixel(fmt: PixelFormat) -> float:
    """Give how many samples a pixel has: 1.5 in 4:2:0."""
    if fmt.family != "yuv":
        return float(fmt.plane_count)
    return fmt.plane_count - 2 + 2 / (1 << fmt.chroma_shift_x + fmt.chroma_shift_y)


def _lossy(job: Job) -> tuple[float, float, float]:
    """Give bytes a pixel (low, likely, high) of a codec with a quality to choose."""
    rule = _LOSSY[job.output.codec]
    crf = float(dict(job.output.options).get("crf", rule.crf))
    of_settings = rule.factor * 2 ** ((rule.crf - crf) / rule.halving) * rule.presets.get(_preset(job), 1.0)
    told = _told_by_source(job)
    is_whole = sum(chunk.frames for chunk in job.chunks) >= job.source.frame_count
    spread = _SPREAD if told is not None and is_whole else _SPREAD_BLIND
    likely = of_settings * (told if told is not None else _USUAL)
    fmt = pixel_format(job.output.pixel_format)
    raw = samples_per_pixel(fmt) * (2 if fmt.depth > 8 else 1)
    return likely / spread, min(likely, raw), min(likely * spread, 1.1 * raw)


def _told_by_source(job: Job) -> float | None:
    """Give bytes a pixel of x264 at crf 18 by the source's own; None where its codec spends as it likes."""
    source, video = job.source, job.source.video
    if video.codec not in _FOLLOWED or not source.packets.bytes or not source.frame_count:
        return None
    pixels = video.width * video.height
    scale = math.sqrt(job.output.width * job.output.height / pixels)
    own = source.packets.bytes / (source.frame_count * pixels)
    return min(_MOST, own * _AGAINST_SOURCE / math.sqrt(max(scale, 0.1)))


def _intra(job: Job) -> tuple[float, float, float]:
    """Give bytes a pixel (low, likely, high) of a codec whose frames each stand for themselves."""
    rule = _INTRA[job.output.codec]
    fmt = pixel_format(job.output.pixel_format)
    samples, depth = samples_per_pixel(fmt), fmt.depth
    deeper = rule.deep ** ((depth - 8) / 8)
    most = rule.high * (depth / 8 if rule.deep > 1 else 1)
    return rule.low * samples, min(rule.likely * deeper, most) * samples, most * samples


def _preset(job: Job) -> str:
    options = dict(job.output.options)
    if job.output.codec == "vp9":
        return "realtime" if options.get("deadline") == "realtime" else ""
    return options.get("preset", "")
