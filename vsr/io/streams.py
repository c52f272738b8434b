"""Streams and chapters of an open file, in the words of `core.media`."""

from __future__ import annotations

from fractions import Fraction

from av.audio.codeccontext import AudioCodecContext
from av.container import InputContainer
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
        title=stream.metadata.get("title") or None,
        dispositions=dispositions(stream),
        detail=_detail(stream),
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
    """Give FFmpeg's name of the codec, not of the decoder; "" where it knows none."""
    context = stream.codec_context
    return str(context.codec.canonical_name) if context is not None else ""


def language(stream: Stream) -> str | None:
    """Give the language tag; `und` counts as none."""
    tag = stream.metadata.get("language")
    return tag if tag and tag != "und" else None


def dispositions(stream: Stream) -> tuple[str, ...]:
    """Give the names of the flags that are set, in FFmpeg's order."""
    return tuple(str(flag.name) for flag in Disposition if stream.disposition & flag)


def _detail(stream: Stream) -> str:
    context = stream.codec_context
    if isinstance(context, AudioCodecContext):
        return f"{context.layout.name} {context.sample_rate} Hz"
    if stream.type == "attachment":
        return stream.metadata.get("filename", "")
    return str(context.codec.long_name) if context is not None else stream.metadata.get("handler_name", "")
