"""Alpha that is coded as a second picture beside the first, as WebM has it: which decoder sees it.

FFmpeg's own decoders of VP8 and VP9 read the first picture alone; libvpx, through FFmpeg, reads both.
"""

from __future__ import annotations

import av
from av.codec.codec import UnknownCodecError
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

DECODERS = {"vp9": "libvpx-vp9", "vp8": "libvpx"}


def is_layered(packet: Packet[VideoStream]) -> bool:
    """Whether the packet carries a second coded picture."""
    return packet.has_sidedata("matroska_block_additional")


def has_layer(codec: str, coded: str) -> bool:
    """Whether a frame of `codec` in the format `coded` came out of both pictures: the first alone has no alpha."""
    return codec in DECODERS and coded.startswith("yuva")


def layered_decoder(codec: str) -> VideoCodecContext | None:
    """Give a decoder whose frames have the alpha too; None where this FFmpeg has none for `codec`."""
    name = DECODERS.get(codec)
    if name is None:
        return None
    try:
        context = av.CodecContext.create(name, "r")
    except UnknownCodecError:
        return None
    assert isinstance(context, VideoCodecContext)
    return context
