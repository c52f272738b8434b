"""`vsr probe`: everything known about a file; each number says whether a header claims it or a scan found it."""

from __future__ import annotations

from pathlib import Path

import click

from vsr.commands.lines import amount, clock, json_line
from vsr.commands.options import json_flag
from vsr.core.media import ChapterInfo, MediaInfo, StreamInfo

Facts = list[tuple[str, str]]


@click.command("probe")
@click.argument("source", metavar="INPUT", type=click.Path(path_type=Path))
@json_flag("everything")
def command(source: Path, as_json: bool) -> None:
    """Tell everything known about INPUT: streams, sizes, colours, times, chapters, tags. Nothing is decoded in full.

    \b
    vsr probe holiday.mp4
    vsr probe holiday.mp4 --json | jq .video.color
    """
    from vsr.commands.tables import show_facts
    from vsr.io.probe import probe

    info = probe(source)
    if as_json:
        click.echo(json_line(info))
        return
    show_facts(str(info.path), _file(info))
    show_facts("video", _video(info))
    show_facts("colour", _color(info))
    show_facts("frames", _frames(info))
    show_facts("other streams", [_stream(stream) for stream in info.streams])
    show_facts("chapters", [_chapter(chapter) for chapter in info.chapters])
    show_facts("tags", list(info.metadata))
    show_facts("warnings", [("!", warning) for warning in (*info.damage, *info.warnings)])


def _file(info: MediaInfo) -> Facts:
    facts = [("kind", info.kind), ("container", info.container), ("size", amount(info.size_bytes))]
    if info.files:
        facts.append(("images", f"{len(info.files)}: {info.files[0].name} ... {info.files[-1].name}"))
    if info.duration_s is not None:
        facts.append(("duration (header)", clock(info.duration_s)))
    return facts


def _video(info: MediaInfo) -> Facts:
    video = info.video
    facts = [
        ("codec", f"{video.codec}, stream {video.index}"),
        ("size", f"{video.width}x{video.height}"),
        ("pixel format", _format(video.coded_pixel_format, video.pixel_format)),
        ("sample aspect ratio", str(video.sar)),
        ("rotation", f"{video.rotation} degrees"),
        ("interlaced", "yes" if video.is_interlaced else "no"),
        ("time base", str(video.time_base)),
        ("rate (header, average)", f"{video.rate} = {float(video.rate):.3f} fps" if video.rate else "unknown"),
        ("bit rate (header)", f"{video.bit_rate / 1000:.0f} kbit/s" if video.bit_rate else ""),
        ("language", video.language or ""),
        ("title", video.title or ""),
        ("dispositions", ", ".join(video.dispositions)),
    ]
    return [(name, value) for name, value in facts if value]


def _format(coded: str, travels: str) -> str:
    return coded if coded == travels else f"{coded}, read as {travels}"


def _color(info: MediaInfo) -> Facts:
    color = info.video.color
    return [
        ("matrix", color.matrix),
        ("range", color.range),
        ("primaries", color.primaries),
        ("transfer", color.transfer),
        ("chroma siting", color.siting),
    ]


def _frames(info: MediaInfo) -> Facts:
    index, header = info.packets, info.video.header_frames
    facts = [("frames (scan)" if info.kind == "video" else "frames", str(info.frame_count))]
    if header is not None:
        facts.append(("frames (header)", str(header)))
    if index.pts:
        base = info.video.time_base
        facts += [
            ("first, last pts", f"{index.pts[0]}, {index.pts[-1]} ({float(index.pts[0] * base):.6g} s, "
                                f"{float(index.pts[-1] * base):.6g} s)"),
            ("frame rate", "variable" if index.is_variable else "constant"),
            ("keyframes", str(len(index.keyframes))),
            ("corrupt packets", str(index.corrupt)),
            ("packets without pts", str(index.without_pts)),
        ]  # fmt: skip
    return facts


def _stream(stream: StreamInfo) -> tuple[str, str]:
    words = [stream.codec, stream.detail, stream.language or "", stream.title or "", *stream.dispositions]
    return f"{stream.index} {'cover' if stream.is_cover else stream.kind}", ", ".join(word for word in words if word)


def _chapter(chapter: ChapterInfo) -> tuple[str, str]:
    begin, end = (float(time * chapter.time_base) for time in (chapter.start, chapter.stop))
    return f"{begin:.3f} - {end:.3f} s", chapter.title
