"""Table of containers: what each holds by packet copy. `carriage` decides by it what becomes of a source's streams."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from vsr.core.errors import OutputError


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerRule:
    """What a container holds, by FFmpeg's names of codecs.

    video: the codecs vsr writes, the default one first. copies: video streams beside it, and covers. text: what text
    subtitles become where they cannot stay as they are ("" where nothing can be done). lossless: what packed lossless
    sound becomes where it cannot stay ("" for PCM); lossy: what any lossless sound becomes where none is held. flags:
    the dispositions of streams that it keeps beside `default`. has_rotation: a display matrix. has_timecode: of the
    first frame. has_negative_times: a stream may begin before zero (sound often does). counts_frames: a frame has no
    time but its number, so that the picture cannot be moved; sound begins with it.
    """

    name: str
    muxer: str
    suffixes: tuple[str, ...]
    video: tuple[str, ...]
    copies: frozenset[str]
    audio: frozenset[str]
    subtitles: frozenset[str]
    covers: frozenset[str] = frozenset()
    data: frozenset[str] = frozenset()
    text: str = ""
    lossless: str = ""
    lossy: str = ""
    flags: frozenset[str] = frozenset()
    has_attachments: bool = False
    has_chapters: bool = False
    has_rotation: bool = False
    has_timecode: bool = False
    has_negative_times: bool = True
    counts_frames: bool = False


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_MPEG_VIDEO = "h264 hevc av1 vp9 mpeg4 mpeg2video mpeg1video mjpeg"
_MPEG_AUDIO = "aac mp3 mp2 ac3 eac3 dts"
_PCM_8 = "pcm_u8 pcm_s8"
_PCM_LE = "pcm_s16le pcm_s24le pcm_s32le pcm_f32le pcm_f64le"
_PCM_BE = "pcm_s16be pcm_s24be pcm_s32be pcm_f32be pcm_f64be"
_MATROSKA_FLAGS = "dub original comment forced hearing_impaired visual_impaired"

# Each name was held against FFmpeg 8.1: a packet was written and read back as the same codec (the tests do it again).
# What a muxer takes without keeping it is left out: FLAC, Opus, AV1 and VP9 in mov, PGS and SCTE-35 in MPEG-TS.
CONTAINERS: Mapping[str, ContainerRule] = {
    rule.name: rule
    for rule in (
        ContainerRule(
            name="mp4",
            muxer="mp4",
            suffixes=(".mp4", ".m4v"),
            video=("h264", "hevc", "av1", "vp9"),
            copies=_set(_MPEG_VIDEO),
            audio=_set(f"{_MPEG_AUDIO} alac flac opus truehd vorbis {_PCM_LE} {_PCM_BE}"),
            subtitles=_set("mov_text"),
            covers=_set("mjpeg png bmp"),
            text="mov_text",
            lossless="flac",
            flags=_set("dub comment forced hearing_impaired visual_impaired captions descriptions"),
            has_chapters=True,
            has_rotation=True,
            has_timecode=True,
        ),
        ContainerRule(
            name="mov",
            muxer="mov",
            suffixes=(".mov", ".qt"),
            video=("h264", "hevc", "prores"),
            copies=_set("h264 hevc mpeg4 mpeg2video mpeg1video mjpeg prores dnxhd dvvideo h263 png rawvideo"),
            audio=_set(
                f"{_MPEG_AUDIO} alac amr_nb amr_wb pcm_alaw pcm_mulaw adpcm_ima_qt {_PCM_8} {_PCM_LE} {_PCM_BE}"
            ),
            subtitles=_set("mov_text eia_608"),
            text="mov_text",
            lossless="alac",
            has_chapters=True,
            has_rotation=True,
            has_timecode=True,
        ),
        ContainerRule(
            name="mkv",
            muxer="matroska",
            suffixes=(".mkv",),
            video=("h264", "hevc", "av1", "vp9", "prores", "ffv1"),
            copies=_set(f"{_MPEG_VIDEO} prores ffv1 vp8 theora rawvideo"),
            audio=_set(
                f"{_MPEG_AUDIO} alac flac opus truehd mlp vorbis tta wavpack pcm_u8 {_PCM_LE} "
                "pcm_s16be pcm_s24be pcm_s32be"
            ),
            subtitles=_set("subrip ass webvtt text hdmv_pgs_subtitle dvd_subtitle dvb_subtitle"),
            covers=_set("mjpeg png bmp gif tiff webp"),
            text="subrip",
            lossless="flac",
            flags=_set(f"{_MATROSKA_FLAGS} descriptions"),
            has_attachments=True,
            has_chapters=True,
            has_rotation=True,
            has_timecode=True,
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
            lossy="opus",
            flags=_set(_MATROSKA_FLAGS),
            has_chapters=True,
            has_rotation=True,
            has_timecode=True,
        ),
        ContainerRule(
            name="ts",
            muxer="mpegts",
            suffixes=(".ts", ".mts", ".m2ts"),
            video=("h264", "hevc"),
            copies=_set("h264 hevc mpeg2video mpeg1video mpeg4"),
            audio=_set(f"{_MPEG_AUDIO} aac_latm opus truehd s302m"),
            subtitles=_set("dvb_subtitle dvb_teletext"),
            data=_set("klv timed_id3 smpte_2038 bin_data"),
            lossy="aac",
            flags=_set("hearing_impaired visual_impaired clean_effects descriptions"),
            has_negative_times=False,
        ),
        ContainerRule(
            name="avi",
            muxer="avi",
            suffixes=(".avi",),
            video=("ffv1",),
            copies=_set("mpeg4 mjpeg ffv1 dvvideo rawvideo"),
            audio=_set(f"mp3 mp2 ac3 aac pcm_alaw pcm_mulaw adpcm_ms adpcm_ima_wav pcm_u8 {_PCM_LE}"),
            subtitles=frozenset(),
            has_negative_times=False,
            counts_frames=True,
        ),
        ContainerRule(
            name="nut",
            muxer="nut",
            suffixes=(".nut",),
            video=("h264", "hevc", "av1", "vp9", "ffv1"),
            copies=_set(f"{_MPEG_VIDEO} ffv1 vp8"),
            audio=_set(f"{_MPEG_AUDIO} flac opus vorbis pcm_alaw pcm_mulaw {_PCM_8} {_PCM_LE} {_PCM_BE}"),
            subtitles=frozenset(),
            lossless="flac",
            has_negative_times=False,
            has_chapters=True,
        ),
    )
}
_ALIASES = {"matroska": "mkv", "mpegts": "ts", "quicktime": "mov"}


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
