"""Streams and chapters of an open file, in the words of `core.media`."""

from __future__ import annotations

import re
from fractions import Fraction

import av
import av.logging
from av.audio.codeccontext import AudioCodecContext
from av.audio.format import AudioFormat
from av.codec.context import CodecContext
from av.container import Container, InputContainer
from av.stream import Disposition, Stream

from vsr.core.media import ChapterInfo, StreamInfo, StreamKind

_KINDS: dict[str, StreamKind] = {
    "video": "video",
    "audio": "audio",
    "subtitle": "subtitle",
    "attachment": "attachment",
}


def describe(stream: Stream) -> StreamInfo:
    """Describe a stream beside the video."""
    return StreamInfo(
        index=stream.index,
        kind=_KINDS.get(stream.type, "data"),
        codec=codec_name(stream),
        time_base=Fraction(stream.time_base) if stream.time_base else None,
        start=stream.start_time,
        language=language(stream),
        title=title(stream),
        dispositions=dispositions(stream),
        detail=_detail(stream),
        sample_format=_sample_format(stream),
        is_cover=bool(stream.disposition & Disposition.attached_pic),
    )


def chapters(container: InputContainer) -> tuple[ChapterInfo, ...]:
    """Give the chapters, in order."""
    return tuple(
        ChapterInfo(
            start=chapter["start"],
            stop=chapter["end"],
            time_base=Fraction(chapter["time_base"] or 1),
            title=chapter["metadata"].get("title", ""),
        )
        for chapter in container.chapters()
    )


def codec_name(stream: Stream) -> str:
    """Give FFmpeg's name of the codec, not of the decoder; the container's own code where it knows none, or ""."""
    context: CodecContext | None = stream.codec_context
    if context is not None:
        return str(context.codec.canonical_name)
    if stream.type == "attachment":
        return ""
    line = re.search(rf"Stream #0:{stream.index}\b.*?: \w+: (\w+)(?: \((\w+) / 0x)?", listing(stream.container))
    if line is None:
        return ""
    return line[1] if line[1] not in ("none", "unknown") else line[2] or ""


def listing(container: Container) -> str:
    """Give FFmpeg's own description of a file: it names what PyAV hands on in no other way."""
    before = av.logging.get_level()
    try:
        av.logging.set_level(av.logging.VERBOSE)
        av.logging.set_libav_level(av.logging.VERBOSE)
        text: str = container.dumps_format()  # type: ignore[attr-defined]
    finally:
        av.logging.set_libav_level(av.logging.INFO)
        av.logging.set_level(before)
    return text


def title(stream: Stream) -> str | None:
    """Give a stream's title; FFmpeg calls that of a track in mov and mp4 its name."""
    is_track = stream.container.format.name.startswith("mov")
    return stream.metadata.get("title") or (stream.metadata.get("name") if is_track else None) or None


def language(stream: Stream) -> str | None:
    """Give the language tag; `und` counts as none."""
    tag = stream.metadata.get("language")
    return tag if tag and tag != "und" else None


def dispositions(stream: Stream) -> tuple[str, ...]:
    """Give the names of the flags that are set, in FFmpeg's order."""
    return tuple(str(flag.name) for flag in Disposition if stream.disposition & flag)


def _sample_format(stream: Stream) -> str:
    context = stream.codec_context
    if not isinstance(context, AudioCodecContext):
        return ""
    sample_format: AudioFormat | None = context.format
    return sample_format.name if sample_format is not None else ""


def _detail(stream: Stream) -> str:
    context = stream.codec_context
    if isinstance(context, AudioCodecContext):
        return f"{context.layout.name} {context.sample_rate} Hz"
    if stream.type == "attachment":
        return stream.metadata.get("filename", "")
    return str(context.codec.long_name) if context is not None else stream.metadata.get("handler_name", "")
