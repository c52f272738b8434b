"""A stream whose header says what an encoder's cannot: HDR10 metadata and cropping, for a muxer to write.

FFmpeg's muxers take both from a stream's coded side data, which PyAV does not set but copies from a
template. So a template is made: the first packets of a segment in a Matroska file in memory, whose header is then told
the metadata, and which is opened again. MP4 and MOV get `mdcv` and `clli` boxes of it (ISO/IEC 14496-12 sec. 12.1.7
and 12.1.8), Matroska and WebM their elements; so VP9, ProRes and FFV1 keep what their streams have no place for.
"""

from __future__ import annotations

from fractions import Fraction
from io import BytesIO
from itertools import islice
from typing import cast

import av
from av.container import InputContainer, OutputContainer
from av.video.stream import VideoStream

from vsr.io.muxing.matroska import PADDING_BYTES, Changes, change_video

MUXERS = ("mp4", "mov", "matroska", "webm")
"""Those that write HDR10 metadata and cropping into the header, whatever the codec."""

_PACKETS = 8  # enough to tell a stream's pixel format
_MILLISECOND = Fraction(1, 1000)


def add_carrying_stream(result: OutputContainer, template: VideoStream, changes: Changes) -> VideoStream:
    """Add a stream like `template`, of an open segment, and what a Matroska header would say of it beside.

    Packets of the segment are read for it.

    Raises:
        MuxError: the template's header has no room.
        av.FFmpegError: FFmpeg refuses the template.
    """
    file = BytesIO()
    options = {"avoid_negative_ts": "disabled", "metadata_header_padding": str(PADDING_BYTES)}
    with av.open(file, "w", format="matroska", container_options=options) as out:
        copied = out.add_stream_from_template(template, opaque=True)
        segment = cast(InputContainer, template.container)
        packets = (packet for packet in segment.demux(template) if packet.size)
        for place, packet in enumerate(islice(packets, _PACKETS)):
            packet.stream = copied
            packet.pts = packet.dts = place
            packet.time_base = _MILLISECOND
            out.mux_one(packet)
    change_video(file, changes, name="the template in memory")
    file.seek(0)
    with av.open(file, "r", format="matroska") as carrier:
        stream = result.add_stream_from_template(carrier.streams.video[0], opaque=True)
    # The segment's, not Matroska's: packets come from there.
    stream.codec_context.extradata = template.codec_context.extradata
    return stream
