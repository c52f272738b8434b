"""What decoded frames carry beside their samples: read in one place, named for people, and what becomes of it.

Captions travel with the frames, HDR10 metadata and the display matrix with the stream; all else that FFmpeg knows of
is metadata for each frame that no encoder here can be given: it is named, so that nothing is lost unsaid.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Iterable, Mapping
from typing import cast

import av
from av.sidedata.sidedata import SideData as Item
from av.sidedata.sidedata import SideDataContainer

from vsr.core.frame import NO_SIDE_DATA, SideData
from vsr.core.media import MediaInfo
from vsr.io.metadata import captions, hdr
from vsr.io.metadata.description import CROPPING
from vsr.io.muxing.muxers import CONTAINERS, rule_of

CAPTIONS = "closed captions"
_EMPTY = av.VideoFrame()
_UNKNOWN = "UNKNOWN"  # of a kind that PyAV has no name for; it then tells nothing about the others either

_WORDS: Mapping[str, str] = {
    "A53_CC": CAPTIONS,
    "DOVI_METADATA": "Dolby Vision metadata",
    "DOVI_RPU_BUFFER": "Dolby Vision metadata",
    "DYNAMIC_HDR_PLUS": "HDR10+ metadata",
    "DYNAMIC_HDR_VIVID": "HDR Vivid metadata",
    "AMBIENT_VIEWING_ENVIRONMENT": "ambient viewing environment",
    "S12M_TIMECODE": "timecodes of single frames",
    "GOP_TIMECODE": "timecodes of groups of pictures",
    "ICC_PROFILE": "ICC profile",
    "STEREO3D": "stereoscopic layout",
    "SPHERICAL": "spherical projection",
    "AFD": "active format description",
    "PANSCAN": "pan and scan window",
    _UNKNOWN: "side data of an unknown kind",
}
_HEADERS = ("mp4", "mov", "mkv", "webm")  # hold HDR10 metadata and cropping beside the stream, whatever its codec


def raw_side_data(frame: av.VideoFrame) -> dict[str, bytes]:
    """Give a frame's side data by FFmpeg's names, as libavutil keeps it in memory."""
    items = _items(frame)
    return {_UNKNOWN: b""} if items is None else {item.type.name: bytes(item) for item in items}


def carried(frame: av.VideoFrame) -> SideData:
    """Give what travels with a frame to the result; afterwards the frame itself gives no side data any more.

    A frame of PyAV holds the container of its side data, and that the frame: both would stay in memory until Python
    looks for cycles, which counts objects and not their megabytes. So the container is made anew, of an empty frame.
    """
    items = _items(frame)
    if items is None:
        return NO_SIDE_DATA
    found = [bytes(item) for item in items if item.type.name == "A53_CC"]
    SideDataContainer.__init__(cast(SideDataContainer, items), _EMPTY)  # type: ignore[call-arg]
    return SideData(captions=found[0]) if found else NO_SIDE_DATA


def words(found: Mapping[str, bytes], *, width: int) -> tuple[str, ...]:
    """Name for people what a frame of this width carries beside what VideoInfo has a field for."""
    kinds = [kind for kind, data in found.items() if kind in _WORDS and not _says_nothing(kind, data, width)]
    return tuple(sorted({_WORDS[kind] for kind in kinds}))


def dropped(info: MediaInfo, codec: str, *, container: str = "mkv", decoder: str = "pyav") -> tuple[str, ...]:
    """Say of each item of `info.video.side_data` that a result does not hold, and what would hold it.

    container: of the result; one that nobody knows (images) holds nothing but pictures.
    """
    said = []
    for word in info.video.side_data:
        if word == CAPTIONS and not captions.holds_captions(codec):
            said.append(f"{word}: {codec} streams hold none; --codec h264, hevc or av1 keeps them")
        elif word == CAPTIONS and decoder == "ffmpeg":
            said.append(f"{word}: the ffmpeg program hands none on; --decoder pyav keeps them")
        elif word.startswith(CROPPING):
            if container not in _HEADERS:
                said.append(f"{word}: {container} hides nothing, all is shown; an .mkv or .mp4 output keeps it")
        elif word.startswith("timecodes"):
            said.append(f"{word}: left out; a timecode in the header of the file is kept")
        elif word != CAPTIONS:
            said.append(f"{word}: left out; no encoder here takes it")
    return tuple(said)


def dropped_hdr(info: MediaInfo, codec: str, container: str, *, encoder: str = "") -> str:
    """Say that a result does not hold the HDR10 metadata of `info`, and what would; "" where it does, or has none.

    encoder: FFmpeg's name; those of graphics cards write none into the stream (default: the codec's own one).
    """
    given, name = info.video.hdr, rule_of(container).name
    if given is None or (hdr.in_stream(codec) and (not encoder or hdr.hdr_params(encoder, given))):
        return ""
    homes = [home for home in _HEADERS if codec in CONTAINERS[home].video]
    streams = " or ".join(f"--codec {other}" for other in CONTAINERS[name].video if hdr.in_stream(other))
    streams = "the codec's software encoder" if hdr.in_stream(codec) else streams
    if name in homes:
        if bool(given.max_cll) == bool(given.max_fall):
            return ""
        # FFmpeg reads and writes the two in one box or not at all.
        said, keeping = "holds MaxCLL and MaxFALL only together", streams
    else:
        outputs = " or ".join(f"an .{home} output" for home in homes)
        said, keeping = "has no place for it", " or ".join(word for word in (streams, outputs) if word)
    keeping = keeping or "an .mkv output with --codec hevc"
    return f"HDR10 metadata: {name} with {encoder or codec} {said}; {keeping} keeps it"


def _items(frame: av.VideoFrame) -> Iterable[Item] | None:
    """Give the items; None where one is of a kind that PyAV's own list of kinds does not know."""
    try:
        return cast("Iterable[Item]", frame.side_data)
    except ValueError:
        return None


def _says_nothing(kind: str, data: bytes, width: int) -> bool:
    """Whether an item only says what is so without it: a flat picture, a window of the whole picture, time from 0."""
    if kind == "STEREO3D":  # AVStereo3D begins with its type, 0 is 2D
        return bytes(data[:4]) == bytes(4)
    if kind == "GOP_TIMECODE":  # 25 bits of ISO/IEC 13818-2 sec. 6.3.8; without drop_frame_flag and marker_bit
        return int.from_bytes(data, sys.byteorder) & ~(1 << 24 | 1 << 12) == 0
    if kind == "PANSCAN":  # AVPanScan: id, width and height in 1/16 sample, three positions
        _, wide, _, *places = struct.unpack_from("=3i6h", data)
        return not any(places) and wide in (0, 16 * width)
    return False
