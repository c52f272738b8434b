"""How each of FFmpeg's encoders is asked for a quality, a speed, closed groups of pictures and a cap of the rate.

One function an encoder, or a family of hardware encoders. `codecs` checks what the user chose and calls them;
`hardware` tries which hardware ones work here. The words of the hardware encoders are those of FFmpeg 8.1's options;
what comes of them was measured on no such hardware.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from vsr.io.encoding.options import Options

X26X_PRESETS = (
    "ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow", "placebo",
)  # fmt: skip
VP9_SPEEDS = {  # deadline and cpu-used, as libvpx's own guides pair them
    "realtime": ("realtime", "7"),
    "faster": ("good", "5"),
    "fast": ("good", "4"),
    "medium": ("good", "2"),
    "slow": ("good", "1"),
    "best": ("good", "0"),
}
BUFFER_S = 2  # of the decoder's buffer that a cap is held over: short peaks may stand above it


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What an encoder is asked for. quality: on the codec's crf scale, `most` its coarsest end."""

    speed: str
    quality: float
    most: float
    threads: int
    pixel_format: str
    max_bitrate: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """The encoders of one maker's hardware: their suffix, speed presets, and how they are asked.

    suffix: of FFmpeg's names (`h264_nvenc`). has_cap: a cap of the bit rate works beside constant quality.
    """

    suffix: str
    maker: str
    write: Callable[[str, Wish], Options]
    presets: tuple[str, ...] = ()
    default_preset: str = ""
    has_cap: bool = False


def capped(wish: Wish) -> Options:
    """Give the cap in the words of most encoders, in bits a second; nothing where there is none."""
    if wish.max_bitrate is None:
        return ()
    return (("maxrate", str(wish.max_bitrate)), ("bufsize", str(BUFFER_S * wish.max_bitrate)))


def x264(wish: Wish) -> Options:
    options: Options = (
        ("preset", wish.speed),
        ("crf", f"{wish.quality:g}"),
        ("flags", "+cgop"),
        ("forced-idr", "1"),
    )
    # x264's AVX-512 code gives other bytes than the rest of it, and not always the same; it gains no time either.
    own = (("x264-params", "asm=avx2,fma3,bmi2,lzcnt"),) if _has_avx2() else ()
    # Under a cap that is met, threads make each run another: `capping` sees to that.
    return (*options, *own, *capped(wish))


@cache
def _has_avx2() -> bool:
    """Whether the processor has all that x264 is then told to use; told of more than there is, it would crash."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")
    except OSError:
        return False
    flags = next((line.partition(":")[2].split() for line in text.splitlines() if line.startswith("flags")), [])
    return {"avx2", "fma", "bmi2", "abm"} <= set(flags)


def x265(wish: Wish) -> Options:
    # x265 opens its groups of pictures by default, and starts a pool of its own over every core.
    own = f"log-level=none:open-gop=0:pools={max(1, wish.threads)}"
    if wish.max_bitrate is not None:
        own += ":const-vbv=1"  # without it a capped encode differs from run to run where threads are several
    options = (("preset", wish.speed), ("crf", f"{wish.quality:g}"), ("forced-idr", "1"), ("x265-params", own))
    return (*options, *capped(wish))


def svtav1(wish: Wish) -> Options:
    # enable-overlays and open groups are off by default; lp is the number of cores it may fill.
    options = (("preset", wish.speed), ("crf", f"{wish.quality:g}"))
    return (*options, ("svtav1-params", f"lp={max(1, wish.threads)}"), *capped(wish))


def vpx(wish: Wish) -> Options:
    deadline, used = VP9_SPEEDS[wish.speed]
    # A target beside a crf is libvpx's "constrained quality": the crf is the best that is given, the target the most.
    rate = str(wish.max_bitrate or 0)
    options = (("deadline", deadline), ("cpu-used", used), ("crf", f"{wish.quality:g}"), ("b", rate))
    alpha = (("auto-alt-ref", "0"),) if wish.pixel_format.startswith("yuva") else ()  # frames never shown have no alpha
    return (*options, ("row-mt", "1"), ("tile-columns", "2"), *alpha)


def prores(wish: Wish) -> Options:
    profile = "4444" if "444" in wish.pixel_format else "hq"
    alpha = "16" if wish.pixel_format.startswith("yuva") else "0"
    return (("profile", profile), ("vendor", "apl0"), ("alpha_bits", alpha))


def ffv1(wish: Wish) -> Options:
    # Version 3 with a checksum in each slice, every frame a keyframe: what archives ask for (RFC 9043). The number
    # of slices is left to the encoder, which knows what the size can be cut into.
    return (("level", "3"), ("slicecrc", "1"))


SOFTWARE: Mapping[str, Callable[[Wish], Options]] = {
    "libx264": x264,
    "libx265": x265,
    "libsvtav1": svtav1,
    "libvpx-vp9": vpx,
    "prores_ks": prores,
    "ffv1": ffv1,
}
_CAPPED = frozenset({"libx264", "libx265", "libsvtav1", "libvpx-vp9"})  # beside constant quality; see `capping`


def _nvenc(encoder: str, wish: Wish) -> Options:
    quality = f"{_scaled(wish, 51):g}"  # the crf's own scale for H.264 and H.265, 51/63 of it for AV1
    options = (("preset", wish.speed), ("tune", "hq"), ("rc", "vbr"), ("cq", quality), ("b", "0"), ("forced-idr", "1"))
    return (*options, ("flags", "+cgop"), *capped(wish))


def _qsv(encoder: str, wish: Wish) -> Options:
    quality = str(max(1, round(_scaled(wish, 51))))
    return (("preset", wish.speed), ("global_quality", quality), ("forced_idr", "1"), ("flags", "+cgop"))


def _amf(encoder: str, wish: Wish) -> Options:
    quality = str(round(_scaled(wish, 255 if encoder.startswith("av1") else 51)))
    return (("quality", wish.speed), ("rc", "cqp"), ("qp_i", quality), ("qp_p", quality), ("forced_idr", "1"))


def _videotoolbox(encoder: str, wish: Wish) -> Options:
    if encoder.startswith("prores"):
        return (("profile", "hq"),)
    # Its scale runs from 1, coarse, to 100; FFmpeg counts 118 lambdas to a step of it.
    quality = max(1, round(100 - _scaled(wish, 99)))
    return (("global_quality", str(118 * quality)), ("flags", "+qscale+cgop"))


def _vaapi(encoder: str, wish: Wish) -> Options:
    quality = str(max(1, round(_scaled(wish, 255 if encoder.startswith(("av1", "vp9")) else 51))))
    return (("rc_mode", "CQP"), ("global_quality", quality), ("flags", "+cgop"))


_QSV_PRESETS = ("veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow")
FAMILIES: tuple[Family, ...] = (  # in the order in which `hardware` tries them
    Family(
        suffix="nvenc",
        maker="NVIDIA",
        write=_nvenc,
        presets=("p1", "p2", "p3", "p4", "p5", "p6", "p7"),
        default_preset="p5",
        has_cap=True,
    ),
    Family(suffix="qsv", maker="Intel", write=_qsv, presets=_QSV_PRESETS, default_preset="medium"),
    Family(suffix="amf", maker="AMD", write=_amf, presets=("speed", "balanced", "quality"), default_preset="balanced"),
    Family(suffix="videotoolbox", maker="Apple", write=_videotoolbox),
    Family(suffix="vaapi", maker="VA-API", write=_vaapi),
)
HARDWARE: Mapping[str, tuple[str, ...]] = {  # what FFmpeg can be built with, in order
    "h264": ("h264_nvenc", "h264_qsv", "h264_amf", "h264_videotoolbox", "h264_vaapi"),
    "hevc": ("hevc_nvenc", "hevc_qsv", "hevc_amf", "hevc_videotoolbox", "hevc_vaapi"),
    "av1": ("av1_nvenc", "av1_qsv", "av1_amf", "av1_vaapi"),
    "vp9": ("vp9_qsv", "vp9_vaapi"),
    "prores": ("prores_videotoolbox",),
}


def family(encoder: str) -> Family | None:
    """Give the family of a hardware encoder; None for software."""
    return next((one for one in FAMILIES if encoder.endswith(f"_{one.suffix}")), None)


def has_cap(encoder: str) -> bool:
    """Whether the encoder keeps a cap of the bit rate beside constant quality."""
    kind = family(encoder)
    return kind.has_cap if kind is not None else encoder in _CAPPED


def _scaled(wish: Wish, most: float) -> float:
    """Bring a quality from its codec's scale to one that ends at `most`."""
    return wish.quality * most / wish.most if wish.most else 0
