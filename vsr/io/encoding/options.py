"""Options of an encoder as text: what a user writes, and how it is joined with what vsr itself asks for.

An option is a (key, value) of FFmpeg's. x264, x265 and SVT-AV1 have a language of their own beside it, `key=value`
joined by colons, which travels in one option (`x264-params`): here that is *parameters*.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from vsr.core.errors import SettingsError

Options = tuple[tuple[str, str], ...]

PARAMETERS: Mapping[str, str] = {
    "libx264": "x264-params",
    "libx265": "x265-params",
    "libsvtav1": "svtav1-params",
}
_OTHER_NAMES: Mapping[str, str] = {"x264opts": "x264-params"}  # FFmpeg knows it by both

_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]*")
_FLAGS = {
    "crf": "--crf",
    "preset": "--encoder-preset",
    "g": "--keyint",
    "keyint": "--keyint",
    "threads": "--encoder-threads",
    "lp": "--encoder-threads",
    "pools": "--encoder-threads",
    "pix_fmt": "--pix-fmt",
    "pixel_format": "--pix-fmt",
    **dict.fromkeys(("maxrate", "bufsize", "vbv-maxrate", "vbv-bufsize", "mbr"), "--max-bitrate"),
}
_TWO_PASSES = "a chunk is encoded in one pass"
_CLOSED = "segments are joined at keyframes, so that groups of pictures stay closed"
_GEOMETRY = "size, times and colours are the source's"
_WHOLE = "frames are whole pictures, all of which stay"
_REPEATABLE = "the same job gives the same bytes"
_QUIET = "vsr's own log is all that is written"
_REFUSED: Mapping[str, str] = {
    **dict.fromkeys(("pass", "stats", "passlogfile", "multi-pass-opt-analysis", "slow-firstpass"), _TWO_PASSES),
    **dict.fromkeys(
        ("open-gop", "irefresh-type", "intra-refresh", "forced-idr", "forced_idr", "annexb", "gop-lookahead"), _CLOSED
    ),
    **dict.fromkeys(
        ("asm", "opencl", "non-deterministic", "sliced-threads", "thread_type", "frame-dup", "const-vbv"), _REPEATABLE
    ),
    **dict.fromkeys(("log-level", "log", "csv", "csv-log-level", "recon", "dump-yuv", "progress"), _QUIET),
    **dict.fromkeys(("analysis-save", "analysis-load", "analysis-reuse-file"), _QUIET),
    **dict.fromkeys(("video_size", "s", "time_base", "framerate", "fps", "input-res", "width", "height"), _GEOMETRY),
    **dict.fromkeys(("input-csp", "input-depth", "colorspace", "color_primaries", "color_trc"), _GEOMETRY),
    **dict.fromkeys(("color_range", "chroma_sample_location", "aspect", "sar"), _GEOMETRY),
    # The same in the languages of x264, x265 and SVT-AV1, which would contradict what stands in the container.
    **dict.fromkeys(("colorprim", "transfer", "colormatrix", "range", "chromaloc", "input-range"), _GEOMETRY),
    **dict.fromkeys(("color-primaries", "transfer-characteristics", "matrix-coefficients"), _GEOMETRY),
    **dict.fromkeys(("color-range", "chroma-sample-position", "fps-num", "fps-denom"), _GEOMETRY),
    **dict.fromkeys(("resize-mode", "resize-denom", "resize-kf-denom"), _GEOMETRY),
    **dict.fromkeys(("interlaced", "interlace", "tff", "bff", "fake-interlaced", "field", "pulldown"), _WHOLE),
    **dict.fromkeys(("drop-threshold", "skip_threshold"), _WHOLE),
}
_NO_FLAGS: Mapping[str, str] = {
    "-cgop": _CLOSED,
    "pass1": _TWO_PASSES,
    "pass2": _TWO_PASSES,
    "ildct": _WHOLE,
    "ilme": _WHOLE,
}
# Another way of steering the rate: what it stands in for is left out, or the encoder would follow that.
_STANDS_IN_FOR: Mapping[str, frozenset[str]] = {
    "b": frozenset({"crf", "maxrate", "bufsize"}),
    "qp": frozenset({"crf", "maxrate", "bufsize"}),
    "cqp": frozenset({"crf", "maxrate", "bufsize"}),
    "lossless": frozenset({"crf", "maxrate", "bufsize"}),
}


def parse_codec_options(text: str) -> Options:
    r"""Read `key=value,key=value`; a comma inside a value is written `\,`.

    Raises:
        SettingsError: it is not of that form, a key stands twice, or is a choice that vsr makes elsewhere.
    """
    items = [item.replace("\\,", ",").strip() for item in re.split(r"(?<!\\),", text)] if text.strip() else []
    found: dict[str, str] = {}
    for item in items:
        key, equals, value = item.partition("=")
        if not equals or not _KEY.fullmatch(key) or not value:
            raise SettingsError(
                f"codec options are key=value, joined by commas, got {item!r}",
                hint="Write a comma that belongs to a value as \\,: --codec-options tune=film,x264-params=aq-mode=3.",
            )
        if key in found:
            raise SettingsError(f"the codec option {key!r} is given twice")
        if key in _OTHER_NAMES:
            raise SettingsError(f"the codec option {key!r} has another name here", hint=f"Use {_OTHER_NAMES[key]}=...")
        _refuse(key, key)
        found[key] = value
    for name in PARAMETERS.values():
        parse_parameters(found.get(name, ""), name)
    return tuple(found.items())


def parse_parameters(text: str, name: str) -> Options:
    """Read an encoder's own `key=value:key=value`; a key alone is switched on.

    Raises:
        SettingsError: it is not of that form, or a key is a choice that vsr makes elsewhere.
    """
    found: dict[str, str] = {}
    for item in text.split(":") if text else ():
        key, equals, value = item.partition("=")
        key = _plain(key)
        if not _KEY.fullmatch(key) or (equals and not value):
            raise SettingsError(f"{name} takes key=value, joined by colons, got {item!r}")
        _refuse(key, f"{name} {key}")
        found[key] = value if equals else "1"
    return tuple(found.items())


def joined_options(ours: Options, extra: Options) -> Options:
    """Give `ours` with the user's over them; closed groups of pictures stay.

    Raises:
        SettingsError: the user's are not to be had, see `parse_parameters`.
    """
    asked = dict(extra)
    gone = {name for key in asked for name in _STANDS_IN_FOR.get(key, ())} - set(asked)
    made = {key: value for key, value in ours if key not in gone}
    for key, value in extra:
        if key in PARAMETERS.values():
            made[key] = _parameters_text(split_parameters(made.get(key, "")), parse_parameters(value, key))
        elif key == "flags":
            made[key] = _flags(made.get(key, ""), value)
        else:
            made[key] = value
    return tuple(made.items())


def with_parameters(options: Options, encoder: str, parameters: Options) -> Options:
    """Add what vsr itself says in the encoder's own language; an encoder without one says nothing."""
    name = PARAMETERS.get(encoder)
    if name is None or not parameters:
        return options
    made = dict(options)
    made[name] = _parameters_text(split_parameters(made.get(name, "")), parameters)
    return tuple(made.items())


def split_parameters(text: str) -> Options:
    """Take parameters apart that were checked before."""
    pairs = [item.partition("=") for item in text.split(":") if item]
    return tuple((_plain(key), value) for key, _, value in pairs)


def _parameters_text(ours: Iterable[tuple[str, str]], over: Iterable[tuple[str, str]]) -> str:
    return ":".join(f"{key}={value}" for key, value in {**dict(ours), **dict(over)}.items())


def _flags(ours: str, asked: str) -> str:
    for word, why in _NO_FLAGS.items():
        if word in asked:
            raise SettingsError(f"the flag {word} is not to be had: {why}")
    asked = asked if asked[:1] in "+-" else f"+{asked}"
    return f"{asked}{ours if ours[:1] in ('+', '') else f'+{ours}'}"


def _plain(key: str) -> str:
    """x264 and x265 take `open_gop` for `open-gop`, and `no-x` for `x=0`."""
    return key.strip().replace("_", "-")


def _refuse(key: str, shown: str) -> None:
    stem = _plain(key).removeprefix("no-")
    if (flag := _FLAGS.get(key) or _FLAGS.get(stem)) is not None:
        raise SettingsError(f"the codec option {shown!r} has a flag of its own", hint=f"Use {flag}.")
    if (why := _REFUSED.get(key) or _REFUSED.get(stem)) is not None:
        raise SettingsError(f"the codec option {shown!r} is vsr's own choice: {why}", hint="Leave it out.")
