"""Table of containers: what each holds by packet copy, and so what becomes of every stream beside the video.

How a codec is written stands in `codecs`, whose rules are handed on here for whoever plans an output.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from vsr.core.errors import OutputError, SettingsError
from vsr.core.frame import pixel_format
from vsr.core.media import MediaInfo, StreamInfo, StreamPlan
from vsr.io.codecs import codec_rule, encodable_size, encoder_for, encoder_options, format_losses, output_pixel_format

__all__ = [
    "CONTAINERS",
    "ContainerRule",
    "check_codec",
    "container_of",
    "default_codec",
    "default_container",
    "encodable_size",
    "encoder_for",
    "encoder_options",
    "format_losses",
    "image_pixel_format",
    "output_pixel_format",
    "plan_streams",
    "rule_of",
    "suffix_of",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerRule:
    """What a container holds, by FFmpeg's names of codecs.

    video: the codecs vsr writes, the default one first. copies: video streams beside it, and covers. text: what text
    subtitles become where they cannot stay as they are ("" where nothing can be done). has_rotation: a display matrix.
    has_negative_times: a stream may begin before zero (sound often does).
    """

    name: str
    muxer: str
    suffixes: tuple[str, ...]
    video: tuple[str, ...]
    copies: frozenset[str]
    audio: frozenset[str]
    subtitles: frozenset[str]
    covers: frozenset[str] = frozenset()
    text: str = ""
    has_attachments: bool = False
    has_chapters: bool = False
    has_rotation: bool = False
    has_negative_times: bool = True


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_MPEG_VIDEO = "h264 hevc av1 vp9 mpeg4 mpeg2video mpeg1video mjpeg"
_MPEG_AUDIO = "aac mp3 mp2 ac3 eac3 dts"
_PCM_LE = "pcm_u8 pcm_s16le pcm_s24le pcm_s32le pcm_f32le pcm_f64le"
_PCM_BE = "pcm_s16be pcm_s24be pcm_s32be pcm_f32be pcm_f64be"

# Each name was held against avformat_query_codec of FFmpeg 8.1 (`supported_codecs`), except for MPEG-TS, which
# answers for none: there ISO/IEC 13818-1 table 2-34 and what FFmpeg's muxer has a stream type for.
CONTAINERS: Mapping[str, ContainerRule] = {
    rule.name: rule
    for rule in (
        ContainerRule(
            name="mp4",
            muxer="mp4",
            suffixes=(".mp4", ".m4v"),
            video=("h264", "hevc", "av1", "vp9"),
            copies=_set(_MPEG_VIDEO),
            audio=_set(f"{_MPEG_AUDIO} alac flac opus truehd vorbis pcm_s16le pcm_s24le pcm_s32le pcm_f32le"),
            subtitles=_set("mov_text"),
            covers=_set("mjpeg png bmp"),
            text="mov_text",
            has_chapters=True,
            has_rotation=True,
        ),
        ContainerRule(
            name="mov",
            muxer="mov",
            suffixes=(".mov", ".qt"),
            video=("h264", "hevc", "prores", "av1", "vp9"),
            copies=_set(f"{_MPEG_VIDEO} prores dnxhd dvvideo h263 vp8 png rawvideo"),
            audio=_set(f"{_MPEG_AUDIO} alac flac opus truehd amr_nb amr_wb pcm_alaw pcm_mulaw {_PCM_LE} {_PCM_BE}"),
            subtitles=_set("mov_text"),
            text="mov_text",
            has_chapters=True,
            has_rotation=True,
        ),
        ContainerRule(
            name="mkv",
            muxer="matroska",
            suffixes=(".mkv",),
            video=("h264", "hevc", "av1", "vp9", "prores", "ffv1"),
            copies=_set(f"{_MPEG_VIDEO} prores ffv1 vp8 theora rawvideo"),
            audio=_set(
                f"{_MPEG_AUDIO} alac flac opus truehd mlp vorbis tta wavpack {_PCM_LE} pcm_s16be pcm_s24be pcm_s32be"
            ),
            subtitles=_set("subrip ass webvtt text hdmv_pgs_subtitle dvd_subtitle dvb_subtitle"),
            covers=_set("mjpeg png bmp gif tiff webp"),
            text="subrip",
            has_attachments=True,
            has_chapters=True,
            has_rotation=True,
        ),
        ContainerRule(
            name="webm",
            muxer="webm",
            suffixes=(".webm",),
            video=("vp9", "av1"),
            copies=_set("vp8 vp9 av1"),
            audio=_set("opus vorbis"),
            subtitles=_set("webvtt"),
            text="webvtt",
            has_chapters=True,
            has_rotation=True,
        ),
        ContainerRule(
            name="ts",
            muxer="mpegts",
            suffixes=(".ts", ".mts", ".m2ts"),
            video=("h264", "hevc"),
            copies=_set("h264 hevc mpeg2video mpeg1video mpeg4"),
            audio=_set(f"{_MPEG_AUDIO} aac_latm opus truehd"),
            subtitles=_set("dvb_subtitle dvb_teletext hdmv_pgs_subtitle"),
            has_negative_times=False,
        ),
        ContainerRule(
            name="avi",
            muxer="avi",
            suffixes=(".avi",),
            video=("ffv1",),
            copies=_set("mpeg4 mjpeg ffv1 dvvideo rawvideo"),
            audio=_set(f"mp3 mp2 ac3 aac pcm_alaw pcm_mulaw adpcm_ms adpcm_ima_wav {_PCM_LE}"),
            subtitles=frozenset(),
            has_negative_times=False,
        ),
        ContainerRule(
            name="nut",
            muxer="nut",
            suffixes=(".nut",),
            video=("h264", "hevc", "av1", "vp9", "ffv1"),
            copies=_set(f"{_MPEG_VIDEO} ffv1 vp8"),
            audio=_set(f"{_MPEG_AUDIO} flac opus vorbis {_PCM_LE} {_PCM_BE}"),
            subtitles=frozenset(),
            has_negative_times=False,
            has_chapters=True,
        ),
    )
}
_ALIASES = {"matroska": "mkv", "mpegts": "ts", "quicktime": "mov"}
_TEXT_SUBTITLES = _set("subrip ass webvtt mov_text text srt ssa")
_NAMES_FOR_PEOPLE = {
    "hdmv_pgs_subtitle": "PGS", "dvd_subtitle": "VobSub", "dvb_subtitle": "DVB", "dvb_teletext": "teletext",
    "mov_text": "mov_text", "subrip": "SubRip", "ass": "ASS", "webvtt": "WebVTT", "eia_608": "CEA-608",
}  # fmt: skip


def container_of(path_or_name: Path | str) -> str:
    """Give the container that a path's suffix (`x.mp4`), or a name (`mkv`), means.

    Raises:
        OutputError: no container has this suffix or name; with the list.
    """
    text = str(path_or_name)
    word = (Path(text).suffix or text).lower().removeprefix(".")
    for rule in CONTAINERS.values():
        if f".{word}" in rule.suffixes or _ALIASES.get(word, word) == rule.name:
            return rule.name
    close = difflib.get_close_matches(word, [*CONTAINERS, *_ALIASES], n=1)
    known = ", ".join(rule.suffixes[0] for rule in CONTAINERS.values())
    raise OutputError(
        f"{text!r} names no container that vsr writes",
        hint=(f"Did you mean {close[0]}? " if close else "") + f"Outputs end in {known}.",
    )


def suffix_of(container: str) -> str:
    """Give the suffix of files in `container`, with its dot."""
    return rule_of(container).suffixes[0]


def rule_of(container: str) -> ContainerRule:
    """Give a container's row.

    Raises:
        OutputError: unknown, with the list.
    """
    return CONTAINERS[container] if container in CONTAINERS else CONTAINERS[container_of(container)]


def default_container(info: MediaInfo) -> str:
    """Give the container of a result whose name nobody chose: the source's own, where it can be written well.

    MP4 and its kin stay mp4 (`.mov` stays mov), Matroska mkv, WebM webm, MPEG-TS ts; animations (GIF, APNG, WebP)
    become mp4. All else becomes mkv, which holds nearly every stream: AVI, which knows no times and so no B-frames,
    FLV, MPEG-PS, ASF and the like.
    """
    suffix = info.path.suffix.lower()
    names = set(info.container.split(","))
    if names & {"mov", "mp4"}:
        return "mov" if suffix in CONTAINERS["mov"].suffixes else "mp4"
    if names & {"matroska", "webm"}:
        return "webm" if suffix == ".webm" else "mkv"
    if "mpegts" in names:
        return "ts"
    return "mp4" if names & {"gif", "apng", "webp", "webp_anim", "webp_pipe"} else "mkv"


def default_codec(container: str) -> str:
    """Give the video codec written to `container` where the user says nothing: h264, or what it holds instead."""
    return rule_of(container).video[0]


def check_codec(codec: str, container: str) -> None:
    """Refuse a codec that `container` does not hold.

    Raises:
        SettingsError: with the codecs it holds and the containers that hold this one.
    """
    codec_rule(codec)
    if codec in rule_of(container).video:
        return
    homes = [rule.suffixes[0] for rule in CONTAINERS.values() if codec in rule.video and rule.name != "nut"]
    raise SettingsError(
        f"{container} does not hold {codec}, only {', '.join(rule_of(container).video)}",
        hint=f"Choose an output that ends in {' or '.join(homes)}, or another --codec.",
    )


def plan_streams(info: MediaInfo, container: str) -> tuple[StreamPlan, ...]:
    """Decide what becomes of each stream beside the video: copied, converted (text subtitles) or left out, and why.

    Raises:
        OutputError: the container cannot hold the video's own times: AVI counts frames, from zero, in equal steps.
    """
    if container_of(container) == "avi" and not _counts_frames(info):
        raise OutputError(
            f"avi cannot hold the times of {info.path.name}: it counts frames from zero in equal steps",
            hint="Use an .mkv output.",
        )
    return tuple(_plan(stream, rule_of(container), info) for stream in info.streams)


def image_pixel_format(source: str, container: str, depth: int | None = None) -> str:
    """Give the pixel format of written images: RGB or grey, 8 or 16 bits, alpha where the source and format have it.

    depth: bits a sample; None for the source's. PNG and TIFF hold 16, JPEG and WebP 8; JPEG holds no alpha.

    Raises:
        SettingsError: the image format does not hold this depth, or is not one that vsr writes.
        UnsupportedInput: frames do not travel in `source`.
    """
    deepest = {"png": 16, "tiff": 16, "jpeg": 8, "webp": 8}
    if container not in deepest:
        raise SettingsError(
            f"{container!r} is no image format that vsr writes", hint=f"There are {', '.join(deepest)}."
        )
    fmt = pixel_format(source)
    if depth not in (None, 8, 16):
        raise SettingsError(f"images hold 8 or 16 bits a sample, not {depth}")
    if depth is not None and depth > deepest[container]:
        raise SettingsError(
            f"{container} holds {deepest[container]} bits a sample, not {depth}", hint="Choose .png or .tiff for 16."
        )
    is_deep = (depth or fmt.depth) > 8 and deepest[container] > 8
    if fmt.family == "gray":
        return "gray16le" if is_deep else "gray"
    family = "gbrap" if fmt.alpha and container != "jpeg" else "gbrp"
    return f"{family}16le" if is_deep else family


def _counts_frames(info: MediaInfo) -> bool:
    """Say whether the video begins at zero and every time is a whole number of frames at its rate (gaps may be)."""
    frame = info.video.time_base * (info.video.rate or 0)
    pts = info.packets.pts
    return frame > 0 and not any(pts[:1]) and all((time * frame).denominator == 1 for time in pts)


def _plan(stream: StreamInfo, rule: ContainerRule, info: MediaInfo) -> StreamPlan:
    codec = stream.codec
    held = {
        "video": rule.covers if stream.is_cover else rule.copies,
        "audio": rule.audio,
        "subtitle": rule.subtitles,
    }.get(stream.kind, frozenset())
    if codec in held or (stream.kind == "attachment" and rule.has_attachments):
        return StreamPlan(index=stream.index, action="copy", codec=codec)
    if stream.kind == "subtitle" and codec in _TEXT_SUBTITLES and rule.text:
        reason = f"{rule.name} holds {_words(rule.text)} subtitles: converted from {_words(codec)}"
        return StreamPlan(index=stream.index, action="convert", codec=rule.text, reason=reason)
    return StreamPlan(index=stream.index, action="drop", codec=codec, reason=_reason(stream, rule, info))


def _reason(stream: StreamInfo, rule: ContainerRule, info: MediaInfo) -> str:
    """Say for people why a stream is left out, and where it would stay."""
    if stream.kind == "data":
        if info.chapters and {"mov", "mp4"} & set(info.container.split(",")):
            return "a data track (chapter titles are kept as chapters)"
        return "data tracks are not copied"
    kind = (
        "cover pictures"
        if stream.is_cover
        else {"attachment": "attachments", "subtitle": "subtitles"}.get(stream.kind, stream.kind)
    )
    name = "" if stream.kind == "attachment" or stream.is_cover else f"{_words(stream.codec)} "
    home = _home(stream)
    said = f"{rule.name} cannot hold {name}{kind}".strip()
    if not stream.codec and stream.kind != "attachment":
        return f"its codec is unknown, {rule.name} cannot hold it"
    return f"{said}; use an {home} output to keep them" if home and home != rule.suffixes[0] else said


def _home(stream: StreamInfo) -> str:
    """Give the suffix of the first container that keeps a stream, Matroska before all others."""
    for name in ("mkv", "mov", "mp4", "ts", "avi"):
        rule = CONTAINERS[name]
        held = {"video": rule.covers if stream.is_cover else rule.copies, "audio": rule.audio}.get(
            stream.kind, rule.subtitles
        )
        if stream.codec in held or (stream.kind == "attachment" and rule.has_attachments):
            return rule.suffixes[0]
    return ""


def _words(codec: str) -> str:
    return _NAMES_FOR_PEOPLE.get(codec, codec)
