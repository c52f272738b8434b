"""Table of video codecs: encoder, pixel formats, sizes, bounds, and the options that make a good default.

`containers` knows which container holds which codec, `encoders` how each encoder is asked, `options` how the user's own
options are joined with that; this file knows what may be chosen.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass

from vsr.core.errors import EncodeError, SettingsError
from vsr.core.frame import ColorSpec, PixelFormat, pixel_format
from vsr.core.media import HdrMetadata
from vsr.io.encoding import encoders
from vsr.io.encoding.encoders import VP9_SPEEDS, X26X_PRESETS, Wish
from vsr.io.encoding.options import Options, joined_options, split_parameters, with_parameters
from vsr.io.metadata.hdr import hdr_params

_LE = ("9le", "10le", "12le", "14le", "16le")
_VP9_ALPHA = ("mkv", "webm")  # that hold a second coded picture beside each (BlockAdditions)


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
# Formats that few players show (RGB and alpha in H.265, alpha beside 4:4:4 in VP9) are left out.
CODECS: Mapping[str, CodecRule] = {
    rule.name: rule
    for rule in (
        CodecRule(
            name="h264",
            encoder="libx264",
            formats=(*_deep("", "10le"), "gray", "gray10le"),
            presets=X26X_PRESETS,
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
            presets=X26X_PRESETS,
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
            formats=("yuv420p", "yuv422p", "yuv440p", "yuv444p", "yuva420p"),
            presets=tuple(VP9_SPEEDS),
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


def output_pixel_format(
    source: str, codec: str, requested: str | None = None, *, container: str = "", encoder: str | None = None
) -> str:
    """Give the pixel format of the frames for the encoder: `requested`, or the closest to `source`'s that it takes.

    Same alpha, sampling and depth where the encoder has them; else the next finer sampling and the next deeper depth;
    where nothing is fine or deep enough, the finest and deepest. RGB for a codec without RGB becomes 4:2:0 where the
    codec has it, because that is what players play: after upscaling by two it still has as many chroma samples as the
    source had pixels. container: of the result, by vsr's name: not every one that holds VP9 holds its alpha. encoder:
    where it is not the codec's own; hardware takes fewer formats.

    Raises:
        SettingsError: the encoder or the container does not take `requested`, with close matches.
        UnsupportedInput: frames do not travel in `source`.
    """
    rule = codec_rule(codec)
    formats = rule.formats if encoder in (None, rule.encoder) else _on_hardware(rule, encoder or "")
    if codec == "vp9" and container not in ("", *_VP9_ALPHA):
        formats = tuple(name for name in formats if not pixel_format(name).alpha)
    if requested is not None:
        for name in (requested, f"{requested}le"):
            if name in formats:
                return name
        where = f" in {container}" if requested in rule.formats and encoder in (None, rule.encoder) else ""
        name = codec if encoder in (None, rule.encoder) else encoder
        raise SettingsError(f"{name} has no pixel format {requested!r}{where}", hint=_meant(requested, formats))
    wanted, has_420 = pixel_format(source), "yuv420p" in formats
    return min(formats, key=lambda name: _distance(wanted, pixel_format(name), has_420=has_420))


def _on_hardware(rule: CodecRule, encoder: str) -> tuple[str, ...]:
    """Give what such encoders take: 4:2:0, in 10 bits too where the codec is a newer one than H.264."""
    check_encoder(rule.name, encoder)
    if rule.name == "prores":
        return ("yuv422p10le",)
    return ("yuv420p",) if rule.name == "h264" else ("yuv420p", "yuv420p10le")


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


def size_multiple(name: str, codec: str) -> tuple[int, int]:
    """Give what width and height must be whole multiples of, in pixel format `name`: the chroma samples' size, or 1."""
    fmt = pixel_format(name)
    return (1 << fmt.chroma_shift_x, 1 << fmt.chroma_shift_y) if codec_rule(codec).is_even else (1, 1)


def keyframe_interval(codec: str, asked: int | None, usual: int) -> int:
    """Give the most frames from keyframe to keyframe: what the user `asked` for, else `usual`.

    Raises:
        SettingsError: the codec has keyframes alone, and another distance was asked for.
    """
    if codec not in ("prores", "ffv1"):
        return asked or usual
    if asked not in (None, 1):
        raise SettingsError(f"every frame of {codec} is a keyframe, got {asked}", hint="Leave out --keyint.")
    return 1


def encoder_options(
    codec: str,
    *,
    crf: float | None,
    preset: str | None,
    threads: int,
    keyframe_interval: int,
    color: ColorSpec,
    pixel_format: str,
    hdr: HdrMetadata | None = None,
    extra: Options = (),
    max_bitrate: int | None = None,
    encoder: str | None = None,
) -> Options:
    """Give the encoder's own options: quality, speed, closed groups of pictures, the first frame a keyframe.

    hdr: written into the stream where the encoder can. extra: the user's own, from `parse_codec_options`; they win.
    max_bitrate: bits a second that the encoder may spend beside its constant quality; nothing to one that cannot.
    encoder: FFmpeg's name (default: the codec's software one). Size, pixel format, colour tags and sample aspect ratio
    are not among the options: a sink sets those.

    Raises:
        SettingsError: crf, preset or an option is not to be had, or `encoder` does not write the codec.
    """
    rule = codec_rule(codec)
    encoder = encoder or rule.encoder
    check_encoder(codec, encoder)
    wish = Wish(
        speed=_speed(rule, encoder, preset),
        quality=_quality(rule, crf),
        most=rule.crf[1] if rule.crf else 0,
        threads=threads,
        pixel_format=pixel_format,
        max_bitrate=max_bitrate if encoders.has_cap(encoder) else None,
    )
    family = encoders.family(encoder)
    own = family.write(encoder, wish) if family is not None else encoders.SOFTWARE[encoder](wish)
    interval = 1 if codec in ("prores", "ffv1") else keyframe_interval
    options = tuple({"threads": str(threads), "g": str(interval), **dict(own)}.items())
    if hdr is not None:
        options = with_parameters(options, encoder, hdr_params(encoder, hdr))
    options = joined_options(options, extra)
    if encoder == "libsvtav1" and _aims_at_rate(options):
        options = with_parameters(options, encoder, (("lp", "1"),))  # with more, no two runs give the same bytes
    return options


def _aims_at_rate(options: Options) -> bool:
    """Whether the user has SVT-AV1 aim at a bit rate instead of a quality."""
    asked = dict(split_parameters(dict(options).get("svtav1-params", "")))
    return "b" in dict(options) or not asked.keys().isdisjoint(("rc", "tbr"))


def check_encoder(codec: str, encoder: str) -> None:
    """Hold an encoder's name against the codec.

    Raises:
        SettingsError: vsr does not know it as an encoder of this codec.
    """
    known = (codec_rule(codec).encoder, *encoders.HARDWARE.get(codec, ()))
    if encoder not in known:
        raise SettingsError(f"{encoder!r} is no encoder that vsr writes {codec} with", hint=_meant(encoder, known))


def _speed(rule: CodecRule, encoder: str, preset: str | None) -> str:
    family = encoders.family(encoder)
    presets, usual = (rule.presets, rule.default_preset) if family is None else (family.presets, family.default_preset)
    name = rule.name if family is None else encoder
    if preset is None:
        return usual
    if not presets:
        raise SettingsError(f"{name} has no encoder presets, got {preset!r}", hint="Leave out --encoder-preset.")
    if preset not in presets:
        raise SettingsError(f"{name} has no encoder preset {preset!r}", hint=_meant(preset, presets))
    return preset


def _quality(rule: CodecRule, crf: float | None) -> float:
    if crf is None:
        return rule.default_crf
    if rule.crf is None:
        kind, hint = "is lossless", "Leave out --crf."
        if rule.name == "prores":
            kind, hint = "has a fixed quality", "Leave out --crf; choose a profile: --codec-options profile=standard."
        raise SettingsError(f"{rule.name} {kind}: crf {crf:g} means nothing to it", hint=hint)
    low, high = rule.crf
    if not low <= crf <= high or (rule.is_whole and crf != int(crf)):
        whole = "a whole number " if rule.is_whole else ""
        raise SettingsError(f"crf of {rule.name} must be {whole}from {low} to {high}, got {crf:g}")
    return crf


def _distance(wanted: PixelFormat, offered: PixelFormat, *, has_420: bool) -> tuple[int, ...]:
    """Give what is lost, worst first: colour, alpha, sampling, depth, the family; then what is carried for nothing."""
    sought = (wanted.chroma_shift_x, wanted.chroma_shift_y)
    if wanted.family == "gray" or (wanted.family == "rgb" and offered.family == "yuv" and has_420):
        sought = (1, 1)
    x, y = offered.chroma_shift_x - sought[0], offered.chroma_shift_y - sought[1]
    return (
        int(wanted.family != "gray" and offered.family == "gray"),
        int(wanted.alpha and not offered.alpha),
        0 if wanted.family == "gray" else max(0, x) + max(0, y),
        max(0, wanted.depth - offered.depth),
        int(wanted.family != offered.family),
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
