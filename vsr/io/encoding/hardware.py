"""Which encoders and hardware decoders work here: each is really opened, the encoders encode a frame.

The encoders are tried by the sink that would use them, so that what works here works there.
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import av.error
import av.logging
import numpy as np
from av.codec.codec import UnknownCodecError

from vsr.core.errors import EncodeError, NoDevice, OutputError, SettingsError, VsrError
from vsr.core.frame import ColorSpec, Frame, pixel_format
from vsr.core.media import OutputSpec
from vsr.io.decoding import hwdecode
from vsr.io.encoding import encoders
from vsr.io.encoding.codecs import CODECS, check_encoder, codec_rule, encoder_options, output_pixel_format
from vsr.io.encoding.encode import PyavSink, listening

_SIZE = (256, 144)  # the least that some hardware encodes is 145 x 49, or 160 x 64
_COLOR = ColorSpec(matrix="bt709", range="tv", primaries="bt709", transfer="bt709", siting="left")
# What x264, x265 and SVT-AV1 say of a parameter that they do not take; they encode without it.
_NOT_TAKEN = ("Error parsing option", "Unknown option", "Invalid value", "bad option", "bad value")


def usable_encoders() -> dict[str, str]:
    """Give `ok`, or the encoder's own words, for every encoder that vsr may use: each is opened and encodes a frame."""
    names = {rule.encoder: rule.name for rule in CODECS.values()}
    names |= {name: codec for codec, each in encoders.HARDWARE.items() for name in each if _is_built_in(name)}
    return {encoder: _tried(encoder, codec) or "ok" for encoder, codec in names.items()}


def usable_decoders() -> dict[str, str]:
    """Give `ok`, or what is said when it is opened, for each kind of decoding hardware that `--hwaccel` knows."""
    return {kind: hwdecode.device_trouble(kind) or "ok" for kind in hwdecode.KINDS}


def choose_encoder(codec: str, requested: str | None, pixel_format: str | None = None) -> str:
    """Give FFmpeg's name of the encoder that writes `codec`: the software one, or what was asked for.

    requested: a name, or `hardware`: the first that encodes a frame here, of NVIDIA's, Intel's, AMD's, Apple's and
    VA-API's. pixel_format: that it must take (default: its first).

    Raises:
        SettingsError: no such encoder of this codec.
        NoDevice: the hardware asked for does not encode here; its own words are given.
    """
    rule = codec_rule(codec)
    if requested is None:
        return rule.encoder
    if requested != "hardware":
        check_encoder(codec, requested)
        if encoders.family(requested) is None:
            return requested
        candidates: tuple[str, ...] = (requested,)
    else:
        candidates = encoders.HARDWARE.get(codec, ())
        if not candidates:
            raise SettingsError(f"no hardware encodes {codec}", hint="Leave out --encoder.")
    said = {}
    for name in candidates:
        said[name] = _tried(name, codec, pixel_format)
        if not said[name]:
            return name
    told = "; ".join(f"{name}: {words}" for name, words in said.items())
    raise NoDevice(
        f"no hardware encodes {codec} here ({told})" if requested == "hardware" else f"{told}",
        hint=f"Leave out --encoder to encode with {rule.encoder}; vsr doctor shows what works here.",
    )


def try_options(spec: OutputSpec) -> None:
    """Encode one small picture with the options of `spec`, before any work rests on them.

    Raises:
        SettingsError: the encoder does not take one of the options, in its own words.
    """
    said = _attempt(spec)
    if said:
        raise SettingsError(
            f"{spec.encoder} does not take these options: {said}", hint="See --codec-options, and the encoder's manual."
        )


def _tried(encoder: str, codec: str, name: str | None = None) -> str:
    """Give what is wrong with an encoder, "" where it encodes a frame."""
    if not _is_built_in(encoder):
        return "not in this FFmpeg"
    try:
        name = output_pixel_format(name or CODECS[codec].formats[0], codec, name, encoder=encoder)
        options = encoder_options(
            codec,
            crf=None,
            preset=None,
            threads=1,
            keyframe_interval=25,
            color=_COLOR,
            pixel_format=name,
            encoder=encoder,
        )
    except SettingsError as error:
        return error.message
    return _attempt(
        OutputSpec(
            codec=codec,
            encoder=encoder,
            options=options,
            width=_SIZE[0],
            height=_SIZE[1],
            pixel_format=name,
            color=_COLOR,
            tags=_COLOR,
            time_base=Fraction(1, 25),
            rate=Fraction(25),
            threads=1,
            keyframe_interval=25,
        )
    )


def _attempt(spec: OutputSpec) -> str:
    """Write one grey frame of a small size; give what is said against it, "" where nothing is."""
    width, height = _SIZE
    format = pixel_format(spec.pixel_format)
    shapes = [format.plane_shape(number, width, height) for number in range(format.plane_count)]
    grey = np.full((height, width), format.peak // 2)
    deep = grey.astype(np.uint8) if format.depth == 8 else grey.astype(np.uint16)
    planes = tuple(deep[:rows, :columns] for rows, columns in shapes)
    frame = Frame(index=0, pts=0, duration=1, planes=planes, format=format)
    with tempfile.TemporaryDirectory() as folder, listening(av.logging.WARNING) as said:
        sink = PyavSink(Path(folder) / "trial", replace(spec, width=_SIZE[0], height=_SIZE[1]))
        try:
            sink.write(frame)
            sink.close()
        except OutputError as error:
            sink.abort()
            return _refusal(error, said)
    return "; ".join(dict.fromkeys(text.strip() for _, _, text in said if text.startswith(_NOT_TAKEN)))


def _refusal(error: VsrError, said: list[tuple[int, str, str]]) -> str:
    words = "; ".join(dict.fromkeys(text.strip() for level, _, text in said if level <= av.logging.ERROR))
    return words or (error.message if isinstance(error, EncodeError) else str(error))


def _is_built_in(name: str) -> bool:
    try:
        av.Codec(name, "w")
    except UnknownCodecError:
        return False
    return True
