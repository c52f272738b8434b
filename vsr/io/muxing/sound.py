"""What sound becomes in a container that does not hold it: another lossless codec, sample for sample, or a lossy one.

Only what is stored as samples, or packed without loss, is ever encoded anew: sound that a lossy codec made is copied
or left out.
"""

from __future__ import annotations

from vsr.core.media import StreamInfo
from vsr.io.muxing.muxers import ContainerRule

_PACKED = frozenset(
    {
        "flac",
        "alac",
        "tta",
        "wavpack",
        "truehd",
        "mlp",
        "ape",
        "tak",
        "shorten",
        "mp4als",
        "wmalossless",
        "ralf",
        "s302m",
    }
)
# Their decoders give 32 bits a sample, of which the lowest eight are never used.
_AT_MOST_24_BITS = frozenset({"tta", "truehd", "mlp", "ape", "tak", "s302m", "pcm_bluray", "pcm_dvd"})
# Waveform codecs whose decoded samples are defined to the bit: written out as samples they lose nothing.
_WAVEFORMS = ("adpcm_", "g722", "g726")


def is_exact(codec: str) -> bool:
    """Say whether decoding gives the samples that were meant, so that another lossless codec may hold them."""
    return codec.startswith(("pcm_", *_WAVEFORMS)) or codec in _PACKED


def sound_for(stream: StreamInfo, rule: ContainerRule) -> tuple[str, bool]:
    """Give the codec that sound is encoded to in a container, and whether every sample stays; ("", False) for none."""
    if not is_exact(stream.codec) or not stream.sample_format:
        return "", False
    exact = _lossless(stream, rule)
    if exact in rule.audio:
        return exact, True
    return rule.lossy, False


def _lossless(stream: StreamInfo, rule: ContainerRule) -> str:
    depth = stream.sample_format.removesuffix("p")
    if depth == "s32" and (stream.codec in _AT_MOST_24_BITS or "24" in stream.codec):
        depth = "s24"
    if stream.codec in _PACKED and rule.lossless and depth in ("u8", "s16", "s24"):
        return rule.lossless
    if depth == "u8":
        return "pcm_u8" if "pcm_u8" in rule.audio else "pcm_s16le"
    return {"s16": "pcm_s16le", "s24": "pcm_s24le", "s32": "pcm_s32le", "flt": "pcm_f32le", "dbl": "pcm_f64le"}.get(
        depth, ""
    )
