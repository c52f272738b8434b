"""Table of video codecs: encoder, pixel formats, sizes, bounds, and the options that make a good default.

`containers` knows which container holds which codec; this file knows how each is written.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from vsr.core.errors import EncodeError, SettingsError
from vsr.core.frame import ColorSpec, PixelFormat, pixel_format

Options = tuple[tuple[str, str], ...]

_LE = ("9le", "10le", "12le", "14le", "16le")
_X26X_PRESETS = (
    "ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow", "placebo",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class CodecRule:
    """How a codec is written.

    formats: of the frames that travel to the encoder. presets: the names it takes, none where speed is no choice.
    default_preset, default_crf: where the user says nothing. crf: inclusive bounds, None where quality is no choice;
    is_whole: it takes no fractions. minimum, maximum: of width and height. is_even: width and height must be whole
    chroma samples.
    """

    name: str
    encoder: str
    formats: tuple[str, ...]
    presets: tuple[str, ...] = ()
    default_preset: str = ""
    crf: tuple[int, int] | None = None
    default_crf: float = 0
    is_whole: bool = False
    minimum: int = 1
    maximum: int = 65535
    is_even: bool = False


def _deep(*depths: str) -> tuple[str, ...]:
    return tuple(f"{chroma}{depth}" for depth in depths for chroma in ("yuv420p", "yuv422p", "yuv444p"))


def _ffv1_formats() -> tuple[str, ...]:
    yuv = [f"yuv{chroma}p{depth}" for chroma in ("420", "422", "444") for depth in ("", *_LE)]
    extra = ["yuv410p", "yuv411p", "yuv440p", "yuv440p10le", "yuv440p12le"]
    alpha = [f"yuva{chroma}p{depth}" for chroma in ("420", "422", "444") for depth in ("", "10le", "16le")]
    rgb = [f"{kind}{depth}" for kind, depths in (("gbrp", _LE), ("gbrap", _LE[1:])) for depth in ("", *depths)]
    return (*yuv, *extra, *alpha, *rgb, "gray", *(f"gray{depth}" for depth in _LE))


# Sizes and formats: tried with the encoders of FFmpeg 8.1 (x264 8 and 10 bit, x265 8 to 12, SVT-AV1, libvpx 8 bit).
# Formats that few players show (RGB and alpha in H.265, alpha in VP9, which is a second stream) are left out.
CODECS: Mapping[str, CodecRule] = {
    rule.name: rule
    for rule in (
        CodecRule(
            name="h264",
            encoder="libx264",
            formats=(*_deep("", "10le"), "gray", "gray10le"),
            presets=_X26X_PRESETS,
            default_preset="veryfast",
            crf=(0, 51),
            default_crf=18,
            maximum=16384,
            is_even=True,
        ),
        CodecRule(
            name="hevc",
            encoder="libx265",
            formats=(*_deep("", "10le", "12le"), "gray", "gray10le", "gray12le"),
            presets=_X26X_PRESETS,
            default_preset="fast",
            crf=(0, 51),
            default_crf=20,
            minimum=64,  # x265 writes past its buffers below 50 columns (seen with 4.2 under glibc's malloc check)
            maximum=16384,
            is_even=True,
        ),
        CodecRule(
            name="av1",
            encoder="libsvtav1",
            formats=("yuv420p", "yuv420p10le"),
            presets=tuple(str(number) for number in range(14)),
            default_preset="10",
            crf=(1, 63),
            default_crf=26,
            is_whole=True,
            minimum=4,
            maximum=8192,
        ),
        CodecRule(
            name="vp9",
            encoder="libvpx-vp9",
            formats=("yuv420p", "yuv422p", "yuv440p", "yuv444p"),
            presets=("realtime", "faster", "fast", "medium", "slow", "best"),
            default_preset="fast",
            crf=(0, 63),
            default_crf=24,
            is_whole=True,
            maximum=16384,
        ),
        CodecRule(
            name="prores", encoder="prores_ks", formats=("yuv422p10le", "yuv444p10le", "yuva444p10le"), maximum=16384
        ),
        CodecRule(name="ffv1", encoder="ffv1", formats=_ffv1_formats(), maximum=32767),
    )
}

_VP9_SPEEDS = {  # deadline and cpu-used, as libvpx's own guides pair them
    "realtime": ("realtime", "7"),
    "faster": ("good", "5"),
    "fast": ("good", "4"),
    "medium": ("good", "2"),
    "slow": ("good", "1"),
    "best": ("good", "0"),
}


def codec_rule(codec: str) -> CodecRule:
    """Give a codec's row.

    Raises:
        SettingsError: unknown, with close matches.
    """
    if codec not in CODECS:
        raise SettingsError(f"video codec {codec!r} is not known", hint=_meant(codec, tuple(CODECS)))
    return CODECS[codec]


def encoder_for(codec: str) -> str:
    """Give FFmpeg's name of the encoder that writes `codec`.

    Raises:
        SettingsError: as `codec_rule`.
    """
    return codec_rule(codec).encoder


def output_pixel_format(source: str, codec: str, requested: str | None = None) -> str:
    """Give the pixel format of the frames for the encoder: `requested`, or the closest to `source`'s that it takes.

    Same sampling, depth and alpha where the encoder has them; else the next finer sampling and the next deeper
    depth; where nothing is fine or deep enough, the finest and deepest; alpha is the first to go. RGB for a codec
    without RGB becomes 4:2:0 where the codec has it, because that is what players play: after upscaling by two it
    still has as many chroma samples as the source had pixels.

    Raises:
        SettingsError: the encoder does not take `requested`, with close matches.
        UnsupportedInput: frames do not travel in `source`.
    """
    formats = codec_rule(codec).formats
    if requested is not None:
        for name in (requested, f"{requested}le"):
            if name in formats:
                return name
        raise SettingsError(f"{codec} has no pixel format {requested!r}", hint=_meant(requested, formats))
    wanted, has_420 = pixel_format(source), "yuv420p" in formats
    return min(formats, key=lambda name: _distance(wanted, pixel_format(name), has_420=has_420))


def format_losses(source: str, output: str) -> tuple[str, ...]:
    """Say for people what frames of `source` lose in `output`: depth, chroma samples, alpha; nothing where they fit.

    Raises:
        UnsupportedInput: frames do not travel in one of them.
    """
    had, has = pixel_format(source), pixel_format(output)
    lost = []
    if has.depth < had.depth:
        lost.append(f"{had.depth} bits a sample become {has.depth}")
    if had.family != "gray" and has.family == "gray":
        lost.append("colour is left out")
    elif had.family != "gray" and (has.chroma_shift_x > had.chroma_shift_x or has.chroma_shift_y > had.chroma_shift_y):
        lost.append(f"chroma is thinned out from {_sampling(had)} to {_sampling(has)}")
    if had.alpha and not has.alpha:
        lost.append("the alpha channel is left out")
    return tuple(lost)


def encodable_size(width: int, height: int, name: str, codec: str) -> tuple[int, int]:
    """Give the size back if the codec's encoder takes it in pixel format `name`; no size is changed on the quiet.

    x264 and x265 want whole chroma samples (4:2:0: even width and height, 4:2:2: even width); the other encoders
    take odd sizes.

    Raises:
        EncodeError: too small, too large, or not whole chroma samples.
    """
    rule = codec_rule(codec)
    size = f"{width}x{height}"
    if min(width, height) < rule.minimum:
        raise EncodeError(
            f"{codec} cannot encode {size}: the smallest side is {rule.minimum}",
            hint="Choose a larger --scale, or --codec ffv1.",
        )
    if max(width, height) > rule.maximum:
        larger = [other.name for other in CODECS.values() if other.maximum >= max(width, height)]
        raise EncodeError(
            f"{codec} cannot encode {size}: the largest side is {rule.maximum}",
            hint=f"Choose a smaller --scale{f', or --codec {larger[-1]}' if larger else ''}.",
        )
    fmt = pixel_format(name)
    if rule.is_even and (width % (1 << fmt.chroma_shift_x) or height % (1 << fmt.chroma_shift_y)):
        even = f"--width {width + width % 2} --height {height + height % 2}"
        raise EncodeError(
            f"{codec} cannot encode {size} in {name}: width and height must be whole chroma samples",
            hint=f"Choose {even}, --pix-fmt yuv444p{name.partition('p')[2]}, or --codec vp9, av1 or ffv1.",
        )
    if codec == "ffv1" and fmt.chroma_shift_x and min(width, height) < 8:
        raise EncodeError(f"ffv1 cannot cut {size} in {name} into slices", hint="Choose a larger --scale.")
    return width, height


def encoder_options(
    codec: str,
    *,
    crf: float | None,
    preset: str | None,
    threads: int,
    keyframe_interval: int,
    color: ColorSpec,
    pixel_format: str,
) -> Options:
    """Give the encoder's own options: quality, speed, closed groups of pictures, the first frame a keyframe.

    Size, pixel format, colour tags and sample aspect ratio are not among them: a sink sets those.

    Raises:
        SettingsError: crf or preset is not one of the codec's.
    """
    rule = codec_rule(codec)
    speed = _speed(rule, preset)
    quality = _quality(rule, crf)
    general = (("threads", str(threads)), ("g", str(keyframe_interval)))
    return (*general, *_WRITERS[codec](speed, quality, threads, color, pixel_format))


def _x264(speed: str, quality: str, threads: int, color: ColorSpec, name: str) -> Options:
    options = (("preset", speed), ("crf", quality), ("flags", "+cgop"), ("forced-idr", "1"))
    # x264's AVX-512 code gives other bytes than the rest of it, and not always the same; it gains no time either.
    return (*options, ("x264-params", "asm=avx2,fma3,bmi2,lzcnt")) if _has_avx2() else options


@cache
def _has_avx2() -> bool:
    """Whether the processor has all that x264 is then told to use; told of more than there is, it would crash."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")
    except OSError:
        return False
    flags = next((line.partition(":")[2].split() for line in text.splitlines() if line.startswith("flags")), [])
    return {"avx2", "fma", "bmi2", "abm"} <= set(flags)


def _x265(speed: str, quality: str, threads: int, color: ColorSpec, name: str) -> Options:
    # x265 opens its groups of pictures by default, and starts a pool of its own over every core.
    own = f"log-level=none:open-gop=0:pools={max(1, threads)}"
    return (("preset", speed), ("crf", quality), ("forced-idr", "1"), ("x265-params", own))


def _svtav1(speed: str, quality: str, threads: int, color: ColorSpec, name: str) -> Options:
    # enable-overlays and open groups are off by default; lp is the number of cores it may fill.
    return (("preset", speed), ("crf", quality), ("svtav1-params", f"lp={max(1, threads)}"))


def _vpx(speed: str, quality: str, threads: int, color: ColorSpec, name: str) -> Options:
    deadline, used = _VP9_SPEEDS[speed]
    return (
        ("deadline", deadline),
        ("cpu-used", used),
        ("crf", quality),
        ("b", "0"),
        ("row-mt", "1"),
        ("tile-columns", "2"),
    )


def _prores(speed: str, quality: str, threads: int, color: ColorSpec, name: str) -> Options:
    profile = "4444" if "444" in name else "hq"
    return (("profile", profile), ("vendor", "apl0"), ("alpha_bits", "16" if name.startswith("yuva") else "0"))


def _ffv1(speed: str, quality: str, threads: int, color: ColorSpec, name: str) -> Options:
    # Version 3 with a checksum in each slice, every frame a keyframe: what archives ask for (RFC 9043). The number
    # of slices is left to the encoder, which knows what the size can be cut into.
    return (("level", "3"), ("slicecrc", "1"), ("g", "1"))


_WRITERS: Mapping[str, Callable[[str, str, int, ColorSpec, str], Options]] = {
    "h264": _x264,
    "hevc": _x265,
    "av1": _svtav1,
    "vp9": _vpx,
    "prores": _prores,
    "ffv1": _ffv1,
}


def _speed(rule: CodecRule, preset: str | None) -> str:
    if preset is None:
        return rule.default_preset
    if not rule.presets:
        raise SettingsError(f"{rule.name} has no encoder presets, got {preset!r}", hint="Leave out --encoder-preset.")
    if preset not in rule.presets:
        raise SettingsError(f"{rule.name} has no encoder preset {preset!r}", hint=_meant(preset, rule.presets))
    return preset


def _quality(rule: CodecRule, crf: float | None) -> str:
    if crf is None:
        return f"{rule.default_crf:g}"
    if rule.crf is None:
        kind = "is lossless" if rule.name == "ffv1" else "has a fixed quality"
        raise SettingsError(f"{rule.name} {kind}: crf {crf:g} means nothing to it", hint="Leave out --crf.")
    low, high = rule.crf
    if not low <= crf <= high or (rule.is_whole and crf != int(crf)):
        whole = "a whole number " if rule.is_whole else ""
        raise SettingsError(f"crf of {rule.name} must be {whole}from {low} to {high}, got {crf:g}")
    return f"{crf:g}"


def _distance(wanted: PixelFormat, offered: PixelFormat, *, has_420: bool) -> tuple[int, ...]:
    """Give what is lost, worst first: colour, sampling, depth, the family, alpha; then what is carried for nothing."""
    sought = (wanted.chroma_shift_x, wanted.chroma_shift_y)
    if wanted.family == "gray" or (wanted.family == "rgb" and offered.family == "yuv" and has_420):
        sought = (1, 1)
    x, y = offered.chroma_shift_x - sought[0], offered.chroma_shift_y - sought[1]
    return (
        int(wanted.family != "gray" and offered.family == "gray"),
        0 if wanted.family == "gray" else max(0, x) + max(0, y),
        max(0, wanted.depth - offered.depth),
        int(wanted.family != offered.family),
        int(wanted.alpha and not offered.alpha),
        max(0, -x) + max(0, -y),
        max(0, offered.depth - wanted.depth),
        int(offered.alpha and not wanted.alpha),
    )


def _sampling(fmt: PixelFormat) -> str:
    if fmt.family != "yuv":
        return "RGB" if fmt.family == "rgb" else "grey"
    digits = fmt.name.removeprefix("yuva").removeprefix("yuv")[:3]
    return ":".join(digits)


def _meant(word: str, known: tuple[str, ...]) -> str:
    close = difflib.get_close_matches(word, known, n=1)
    listed = ", ".join(known[:12]) + (", ..." if len(known) > 12 else "")
    return (f"Did you mean {close[0]}? " if close else "") + f"There are {listed}."
