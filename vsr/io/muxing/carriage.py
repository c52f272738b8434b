"""What becomes of each stream beside the video in a container: copied, converted or left out, and why.

Decided from the source's headers alone, before any work. `muxers` says what a container holds, `sound` and the table
there what replaces what it does not, `selection` what the user wants.
"""

from __future__ import annotations

from dataclasses import replace

from vsr.core.errors import OutputError
from vsr.core.media import MediaInfo, StreamInfo, StreamPlan
from vsr.io.muxing.muxers import CONTAINERS, ContainerRule, container_of, rule_of
from vsr.io.muxing.selection import selected
from vsr.io.muxing.sound import sound_for

_TEXT_SUBTITLES = frozenset({"subrip", "ass", "webvtt", "mov_text", "text", "srt", "ssa"})
_NAMES_FOR_PEOPLE = {
    "hdmv_pgs_subtitle": "PGS", "dvd_subtitle": "VobSub", "dvb_subtitle": "DVB", "dvb_teletext": "teletext",
    "mov_text": "mov_text", "subrip": "SubRip", "ass": "ASS", "webvtt": "WebVTT", "eia_608": "CEA-608",
    "scte_35": "SCTE-35 marks", "klv": "KLV", "timed_id3": "timed ID3 tags", "mebx": "timed metadata (mebx)",
    "gpmd": "telemetry (gpmd)", "camm": "camera motion (camm)", "dvd_nav_packet": "DVD navigation",
    "tmcd": "timecode tracks",
}  # fmt: skip


def plan_streams(
    info: MediaInfo, container: str, *, audio: bool = True, selection: str | None = None
) -> tuple[StreamPlan, ...]:
    """Decide what becomes of each stream beside the video: copied, converted or left out, and why.

    audio: False leaves all sound out. selection: the streams that are carried, in the words of `selection`; None: all.

    Raises:
        OutputError: the container cannot hold the video's own times: AVI counts frames, from zero, in equal steps.
        SettingsError: `selection` names what is not there.
    """
    if container_of(container) == "avi" and not _counts_frames(info):
        raise OutputError(
            f"avi cannot hold the times of {info.path.name}: it counts frames from zero in equal steps",
            hint="Use an .mkv output.",
        )
    chosen = None if selection is None else selected(info, selection)
    rule = rule_of(container)
    plans = []
    for stream in info.streams:
        if chosen is not None and stream.index not in chosen:
            plans.append(_unwanted(stream, "--map"))
        elif stream.kind == "audio" and not audio:
            plans.append(_unwanted(stream, "--no-audio"))
        else:
            plans.append(_plan(stream, rule, info))
    return tuple(plans)


def _unwanted(stream: StreamInfo, flag: str) -> StreamPlan:
    reason = f"not asked for ({flag})"
    return StreamPlan(
        index=stream.index, action="drop", codec=stream.codec, reason=reason, is_wanted=False, is_whole=False
    )


def _counts_frames(info: MediaInfo) -> bool:
    """Say whether the video begins at zero and every time is a whole number of frames at its rate (gaps may be)."""
    frame = info.video.time_base * (info.video.rate or 0)
    pts = info.packets.pts
    return frame > 0 and not any(pts[:1]) and all((time * frame).denominator == 1 for time in pts)


def _plan(stream: StreamInfo, rule: ContainerRule, info: MediaInfo) -> StreamPlan:
    plan = StreamPlan(index=stream.index, action="copy", codec=stream.codec)
    if holds(rule, stream) and not _lacks_names(stream, rule):
        return plan
    if stream.kind == "subtitle" and stream.codec in _TEXT_SUBTITLES and rule.text:
        return _text(stream, rule)
    if stream.kind == "audio" and (converted := _sound(stream, rule)) is not None:
        return converted
    if said := _kept_otherwise(stream, rule, info):
        return replace(plan, action="drop", reason=said)
    return replace(plan, action="drop", reason=_reason(stream, rule), is_whole=False)


def holds(rule: ContainerRule, stream: StreamInfo) -> bool:
    """Say whether a container holds a stream as it is."""
    held = {
        "video": rule.covers if stream.is_cover else rule.copies,
        "audio": rule.audio,
        "subtitle": rule.subtitles,
        "data": rule.data,
    }.get(stream.kind, frozenset())
    return stream.codec in held or (stream.kind == "attachment" and rule.has_attachments)


def _text(stream: StreamInfo, rule: ContainerRule) -> StreamPlan:
    reason = f"{rule.name} holds {_words(rule.text)} subtitles: converted from {_words(stream.codec)}"
    is_styled = stream.codec in ("ass", "ssa")
    if is_styled:
        reason += "; its styles and positions are lost, use an .mkv output to keep them"
    return StreamPlan(index=stream.index, action="convert", codec=rule.text, reason=reason, is_whole=not is_styled)


def _sound(stream: StreamInfo, rule: ContainerRule) -> StreamPlan | None:
    codec, is_exact = sound_for(stream, rule)
    if not codec:
        return None
    if is_exact and _lacks_names(stream, rule):
        said = f"{rule.name} wants its channels named: written as {codec}, sample for sample"
    elif is_exact:
        said = f"{rule.name} does not hold {stream.codec} sound: converted to {codec}, sample for sample"
    else:
        home = _home(stream)
        said = f"{rule.name} holds no lossless sound: {stream.codec} becomes {codec}, which is lossy"
        said += f"; use an {home} output to keep it" if home else ""
    return StreamPlan(index=stream.index, action="convert", codec=codec, reason=said, is_whole=is_exact)


def _lacks_names(stream: StreamInfo, rule: ContainerRule) -> bool:
    """Say whether sound tells no more than how many channels it has, which FFmpeg's mp4 does not write as PCM."""
    return rule.name == "mp4" and stream.codec.startswith("pcm_") and "channels" in stream.detail


def _kept_otherwise(stream: StreamInfo, rule: ContainerRule, info: MediaInfo) -> str:
    """Say where what a data track tells stands in the result; "" where it is lost."""
    if stream.kind != "data":
        return ""
    if stream.codec == "tmcd" and rule.has_timecode:
        return "a timecode track (the timecode is written anew)"
    is_chapters = stream.codec in ("bin_data", "") and {"mov", "mp4"} & set(info.container.split(","))
    if info.chapters and is_chapters and rule.has_chapters:
        return "a data track (chapter titles are kept as chapters)"
    return ""


def _reason(stream: StreamInfo, rule: ContainerRule) -> str:
    """Say for people why a stream is left out, and where it would stay."""
    if stream.kind == "data":
        if stream.codec in ("", "bin_data"):
            return "data tracks are not copied"
        where = ".mov" if stream.codec == "tmcd" else _home(stream)  # written anew, not copied
        way = f"; use a {where} output to keep it" if where else ", nor can any other container that is written"
        return f"{rule.name} cannot hold {_words(stream.codec)}{way}"
    if not stream.codec and stream.kind != "attachment":
        return f"its codec is unknown, {rule.name} cannot hold it"
    kind = (
        "cover pictures"
        if stream.is_cover
        else {"attachment": "attachments", "subtitle": "subtitles"}.get(stream.kind, stream.kind)
    )
    name = "" if stream.kind == "attachment" or stream.is_cover else f"{_words(stream.codec)} "
    home = _home(stream)
    said = f"{rule.name} cannot hold {name}{kind}".strip()
    return f"{said}; use an {home} output to keep them" if home and home != rule.suffixes[0] else said


def _home(stream: StreamInfo) -> str:
    """Give the suffix of the first container that keeps a stream, Matroska before all others; "" for none."""
    for name in ("mkv", "mov", "mp4", "ts", "avi"):
        if holds(CONTAINERS[name], stream):
            return CONTAINERS[name].suffixes[0]
    return ""


def _words(codec: str) -> str:
    return _NAMES_FOR_PEOPLE.get(codec, codec)
