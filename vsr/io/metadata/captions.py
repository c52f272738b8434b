"""Closed captions (CEA-608/708) on their way: out of decoded frames, and back into the stream that is made.

FFmpeg's decoders hand on the `cc_data` triplets of each picture; PyAV has no way to give them to an encoder, so they
are put into its packets, as metadata registered by Recommendation ITU-T T.35 that holds `cc_data` of ATSC A/53 part 4
(sec. 6.2.3): an SEI message of H.264 (sec. D.1.6) and H.265 (sec. D.2.6), a metadata OBU of AV1 (sec. 5.8.2). `frames`
reads them, `encode` writes them.
"""

from __future__ import annotations

from typing import cast

from av.packet import Packet
from av.video.stream import VideoStream

from vsr.core.errors import EncodeError

TRIPLET_BYTES = 3
_MOST_TRIPLETS = 31  # cc_count has five bits
_START = b"\x00\x00\x01"
# itu_t_t35_country_code (United States), provider code (ATSC), user identifier, user_data_type_code of cc_data.
_A53 = b"\xb5\x00\x31GA94\x03"
_PROCESS_CC = 0xC0  # a reserved bit that is 1, process_cc_data_flag, no additional data; below it cc_count
_PAYLOAD_T35 = 4  # user_data_registered_itu_t_t35; the metadata type of AV1 has the same number
_OBU_SEQUENCE_HEADER, _OBU_TEMPORAL_DELIMITER, _OBU_METADATA = 1, 2, 5  # obu_type, AV1 sec. 6.2.2
_CODECS = ("h264", "hevc", "av1")


def holds_captions(codec: str) -> bool:
    """Say whether captions are written into streams of a codec."""
    return codec in _CODECS


def with_captions(packet: Packet[VideoStream], captions: bytes, codec: str) -> Packet[VideoStream]:
    """Give a packet of an encoder with the captions of its picture in it, before the first part of the picture.

    captions: triplets, as they stand in `SideData`; b"" gives the packet back. Packets of H.264 and H.265 have start
    codes (Annex B of both), those of AV1 are temporal units whose OBUs tell their size: so FFmpeg's encoders write.

    Raises:
        EncodeError: no picture is found in it.
    """
    if not captions or not holds_captions(codec):
        return packet
    data = bytes(packet)
    whole = len(captions) - len(captions) % TRIPLET_BYTES
    step = _MOST_TRIPLETS * TRIPLET_BYTES
    payloads = [_payload(captions[at : min(at + step, whole)]) for at in range(0, whole, step)]
    if codec == "av1":
        at = _first_frame(data)
        units = [_metadata(payload) for payload in payloads]
    else:
        at, header = _first_slice(data, codec)
        units = [_message(payload, codec, header) for payload in payloads]
    made = cast("Packet[VideoStream]", Packet(b"".join((data[:at], *units, data[at:]))))
    made.pts, made.dts, made.duration, made.time_base = packet.pts, packet.dts, packet.duration, packet.time_base
    made.is_keyframe = packet.is_keyframe
    made.stream = packet.stream
    return made


def _first_slice(data: bytes, codec: str) -> tuple[int, bytes]:
    """Give where the first NAL unit with a part of the picture begins, with its start code, and its header."""
    found = data.find(_START)
    while found >= 0 and found + 4 < len(data):
        first = data[found + 3]
        # nal_unit_type: H.264 table 7-1, H.265 table 7-1.
        is_slice = 1 <= first & 0x1F <= 5 if codec == "h264" else first >> 1 & 0x3F < 32
        if is_slice:
            # A zero byte before the start code belongs to it (H.264 sec. B.1.1).
            begin = found - 1 if found and data[found - 1] == 0 else found
            return begin, data[found + 3 : found + 5]
        found = data.find(_START, found + 3)
    raise EncodeError(f"captions cannot be put into a {codec} packet: it holds no slice after a start code")


def _message(payload: bytes, codec: str, slice_header: bytes) -> bytes:
    """Give a NAL unit of one SEI message, with its start code."""
    # SEI (6) of H.264; a prefix SEI (39) of the slice's own layer and temporal sub-layer (H.265 sec. 7.4.2.2).
    header = b"\x06" if codec == "h264" else bytes([39 << 1 | slice_header[0] & 1, slice_header[1]])
    # Type and size of the payload are below 255: one byte each (H.264 sec. 7.3.2.3.1). 0x80 ends the unit.
    return b"\x00" + _START + header + _escaped(bytes([_PAYLOAD_T35, len(payload)]) + payload + b"\x80")


def _metadata(payload: bytes) -> bytes:
    """Give a metadata OBU that tells its size; 0x80 ends it (AV1 sec. 5.8.1, 5.3.4)."""
    body = bytes([_PAYLOAD_T35]) + payload + b"\x80"
    return bytes([_OBU_METADATA << 3 | 2, len(body)]) + body  # below 128: one byte of leb128


def _payload(triplets: bytes) -> bytes:
    """Give the T.35 message that holds these triplets, 31 at most."""
    return _A53 + bytes([_PROCESS_CC | len(triplets) // TRIPLET_BYTES, 0xFF]) + triplets + b"\xff"


def _first_frame(data: bytes) -> int:
    """Give where the first OBU begins that is neither a temporal delimiter nor a sequence header (AV1 sec. 5.3)."""
    at = 0
    while at < len(data):
        kind, has_extension, has_size = data[at] >> 3 & 15, data[at] >> 2 & 1, data[at] >> 1 & 1
        if kind not in (_OBU_SEQUENCE_HEADER, _OBU_TEMPORAL_DELIMITER):
            return at
        if not has_size:
            break
        at += 1 + has_extension
        size = shift = 0
        while at < len(data):  # leb128, AV1 sec. 4.10.5
            byte = data[at]
            size, shift, at = size | (byte & 0x7F) << shift, shift + 7, at + 1
            if byte < 0x80:
                break
        at += size
    raise EncodeError("captions cannot be put into an av1 packet: it holds no frame")


def _escaped(payload: bytes) -> bytes:
    """Keep start codes from appearing: 3 follows two zero bytes before a byte of 0 to 3 (H.264 sec. 7.4.1.1)."""
    made = bytearray()
    zeros = 0
    for byte in payload:
        if zeros >= 2 and byte <= 3:
            made.append(3)
            zeros = 0
        made.append(byte)
        zeros = zeros + 1 if byte == 0 else 0
    return bytes(made)
