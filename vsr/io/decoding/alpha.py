"""Alpha that is coded as a second picture beside the first, as WebM has it: which decoder sees it.

FFmpeg's own decoders of VP8 and VP9 read the first picture alone; libvpx, through FFmpeg, reads both.
"""

from __future__ import annotations

import av
from av.codec.codec import UnknownCodecError
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

_ALPHA = 1  # BlockAddID of alpha in WebM; others are other things
DECODERS = {"vp9": "libvpx-vp9", "vp8": "libvpx"}


def is_layered(packet: Packet[VideoStream]) -> bool:
    """Whether the packet carries a second coded picture."""
    return packet.has_sidedata("matroska_block_additional")


def begins_layer(packet: Packet[VideoStream]) -> bool:
    """Whether the second picture, where there is one, is a keyframe too; the two are encoded apart from each other.

    A decoder that begins at another one shows the right colours and alpha made of nothing: VP8's says nothing of it.
    """
    layer = packet.get_sidedata("matroska_block_additional") if is_layered(packet) else None
    coded = bytes(layer)[:9] if layer is not None else b""
    if len(coded) < 9 or int.from_bytes(coded[:8], "big") != _ALPHA:
        return True
    # VP8: bit 0 of the frame tag is 0 in a keyframe (RFC 6386 sec. 9.1). VP9: bits 3 and 2 of its first byte, below
    # marker and profile, are show_existing_frame and frame_type, both 0 (VP9 bitstream specification 6.2).
    return not coded[8] & (0b1 if packet.stream.codec_context.name == "vp8" else 0b1100)


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
