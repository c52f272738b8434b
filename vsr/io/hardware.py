"""Which encoders and hardware decoders work here: each is really opened, the encoders encode a frame."""

from __future__ import annotations

from fractions import Fraction

import av
import av.error
from av.codec.codec import UnknownCodecError
from av.video.codeccontext import VideoCodecContext

from vsr.core.frame import ColorSpec
from vsr.io.codecs import CODECS, Options, encoder_options
from vsr.io.encode import hush, joined, listening

_EXTRA_ENCODERS = ("h264_nvenc", "hevc_nvenc", "av1_nvenc")
_HARDWARE_DECODERS = ("h264_cuvid", "hevc_cuvid", "av1_cuvid")  # NVDEC


def usable_encoders() -> dict[str, str]:
    """Give `ok`, or the encoder's own words, for every encoder that vsr may use: each is opened and encodes a frame."""
    names = {rule.encoder: rule.name for rule in CODECS.values()}
    names |= {name: name.partition("_")[0] for name in _EXTRA_ENCODERS}
    return {encoder: _tried(encoder, codec) for encoder, codec in names.items()}


def usable_decoders() -> dict[str, str]:
    """Give `ok`, or what it says when it is opened, for each of NVIDIA's decoders."""
    return {name: _opened(name) for name in _HARDWARE_DECODERS}


def _tried(encoder: str, codec: str) -> str:
    name = CODECS[codec].formats[0]
    options: Options = ()
    if encoder == CODECS[codec].encoder:
        options = encoder_options(
            codec, crf=None, preset=None, threads=1, keyframe_interval=1, color=ColorSpec(), pixel_format=name
        )
    hush(encoder)
    with listening() as said:
        try:
            context = av.CodecContext.create(encoder, "w")
            assert isinstance(context, VideoCodecContext)
            context.width, context.height, context.pix_fmt = 256, 144, name
            context.time_base, context.framerate, context.options = Fraction(1, 25), Fraction(25), dict(options)
            picture = av.VideoFrame(256, 144, name)
            picture.pts, picture.time_base = 0, Fraction(1, 25)
            packets = [*context.encode(picture), *context.encode(None)]
        except av.FFmpegError as error:
            return joined(said) or str(error.strerror)
        except UnknownCodecError:
            return "not in this FFmpeg"
    return "ok" if len(packets) == 1 else f"returned {len(packets)} packets for one frame"


def _opened(decoder: str) -> str:
    with listening() as said:
        try:
            av.CodecContext.create(decoder, "r").open()
        except av.FFmpegError as error:
            return joined(said) or str(error.strerror)
        except UnknownCodecError:
            return "not in this FFmpeg"
    return "ok"
