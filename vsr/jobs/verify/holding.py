"""What the containers hold of names, tags and flags: by their specifications and by what FFmpeg's muxers write.

`io/muxing/muxers` knows which streams they hold; this is about all else that can be lost without anybody's fault.
"""

from __future__ import annotations

from vsr.io.muxing.containers import ContainerRule


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_TITLED = ("mp4", "mov", "mkv", "webm", "nut", "avi")
# QuickTime atoms and iTunes items (FFmpeg's movenc.c), RIFF INFO chunks (riff.c), the service of MPEG-TS.
_ITUNES = _set(
    "title artist album_artist composer album date comment genre copyright grouping lyrics description synopsis show "
    "episode_id network keywords track disc creation_time timecode sort_name sort_artist sort_album "
    "sort_album_artist sort_composer sort_show compilation hd_video gapless_playback media_type rating"
)
_UDTA = _set(
    "title artist album_artist composer album date comment genre copyright track creation_time timecode "
    "location keywords description director actor"
)
_RIFF = _set("title artist album comment copyright date genre language track encoded_by timecode")
_SERVICE = frozenset({"service_name", "service_provider"})
_KEYS = {"mp4": _ITUNES, "mov": _UDTA, "avi": _RIFF, "ts": _SERVICE}
_NO_TAGS = ("avi", "nut")  # FFV1 says nothing of colours itself, and neither do they
_NO_SHAPE = ("avi",)  # what lies in an AVI has the shape that its codec says, and FFmpeg's FFV1 in it says none
_HDR = ("h264", "hevc", "av1")
_CAPTIONS = ("h264", "hevc")
_NO_LAST_DURATION = ("ts", "avi", "nut", "images")

NOISE = _set(
    "encoder major_brand minor_version compatible_brands vendor_id duration number_of_frames number_of_bytes bps "
    "rotate handler_name language software"
)


def holds_language(container: str, language: str, kind: str) -> bool:
    """Whether a stream's language is kept: three letters in MP4, MOV and MPEG-TS, which has none for video."""
    if container in ("avi", "images"):
        return False
    if container == "ts":
        return kind in ("audio", "subtitle") and len(language) == 3
    return container in ("mkv", "webm", "nut") or (len(language) == 3 and language.isalpha())


def holds_title(container: str) -> bool:
    """Whether a stream's title is kept."""
    return container in _TITLED


def holds_flag(rule: ContainerRule | None, flag: str) -> bool:
    """Whether a disposition is kept. `default` counts for none: MP4 marks a track of each kind whatever is asked."""
    if rule is None or flag == "default":
        return rule is not None and rule.name in ("mkv", "webm")
    return flag in rule.flags


def holds_key(container: str, key: str) -> bool:
    """Whether a tag of the whole file is kept."""
    known = _KEYS.get(container)
    return container != "images" and (known is None or key.lower() in known)


def holds_tags(container: str) -> bool:
    """Whether colour tags are kept by the container or by the codecs that it holds."""
    return container not in _NO_TAGS


def holds_shape(container: str, codec: str) -> bool:
    """Whether the sample aspect ratio is kept."""
    return container != "images" and not (container in _NO_SHAPE and codec == "ffv1")


def holds_hdr(codec: str) -> bool:
    """Whether an encoder writes mastering display and light level into the stream."""
    return codec in _HDR


def holds_captions(codec: str) -> bool:
    """Whether closed captions are written into the stream (ATSC A/53 in SEI messages)."""
    return codec in _CAPTIONS


def holds_last_duration(container: str) -> bool:
    """Whether the duration of the last frame is stored, not guessed from the rate."""
    return container not in _NO_LAST_DURATION
