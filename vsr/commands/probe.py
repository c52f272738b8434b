"""`vsr probe`: everything known about a file, and what `vsr upscale` will do to it.

Each number says whether a header claims it or a scan found it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vsr.commands.lines import Json, amount, clock, jsonable
from vsr.commands.options import HerePath, json_flag
from vsr.core.media import ChapterInfo, HdrMetadata, MediaInfo, StreamInfo

if TYPE_CHECKING:
    from vsr.jobs.outlook import Looked

Facts = list[tuple[str, str]]


@click.command("probe")
@click.argument("source", metavar="INPUT", type=HerePath())
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="What upscale will do on the way there (default: as its own).",
)
@click.option("--container", metavar="NAME", help="The same for this container (default: by --output, else INPUT's).")
@click.option(
    "--codec", metavar="NAME", help="The same for this video codec (default: h264; what the container holds)."
)
@json_flag("everything")
def command(source: Path, output: Path | None, container: str | None, codec: str | None, as_json: bool) -> None:
    """Tell everything known about INPUT, and what `vsr upscale` will do to each part of it: what is kept, copied,
    converted, assumed or lost, and how to keep it.

    Packets are read, and a few frames decoded where only they tell whether a video is interlaced.

    \b
    vsr probe holiday.mp4
    vsr probe tape.mkv -o tape.mp4 --codec hevc
    vsr probe holiday.mp4 --json | jq .video.color
    vsr probe holiday.mp4 --json | jq '.outlook[] | select(.action == "drop")'
    """
    from vsr.commands.tables import show_facts
    from vsr.io.probe import probe
    from vsr.jobs.outlook import look

    info = probe(source)
    seen = look(info, {"container": container, "codec": codec}, output=output)
    if as_json:
        click.echo(json.dumps({**_object(info), **_object(seen)}, allow_nan=False))
        return
    show_facts(str(info.path), _file(info))
    show_facts("video", _video(info))
    show_facts("colour", _color(info))
    show_facts("frames", _frames(info))
    show_facts("other streams", [_stream(stream) for stream in info.streams])
    show_facts("chapters", [_chapter(chapter) for chapter in info.chapters])
    show_facts("tags", list(info.metadata))
    show_facts("warnings", [("!", warning) for warning in (*info.damage, *info.warnings)])
    show_facts("upscale will", [(line.action, f"{line.subject}: {line.detail}") for line in seen.outlook])


def _object(value: MediaInfo | Looked) -> dict[str, Json]:
    data = jsonable(value)
    assert isinstance(data, dict)
    return data


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
        ("display matrix", " ".join(str(number) for number in video.display_matrix)),
        ("interlaced", "yes" if video.is_interlaced else "no"),
        ("field order", {"tff": "top first", "bff": "bottom first"}.get(video.field_order, "")),
        ("alpha", "coded as a second picture" if video.has_alpha_layer else ""),
        ("HDR10", _hdr(video.hdr)),
        ("side data", ", ".join(video.side_data)),
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


def _hdr(hdr: HdrMetadata | None) -> str:
    """Give mastering display and content light as people write them: chromaticities, cd/m2."""
    if hdr is None:
        return ""
    said = []
    if hdr.primaries:
        pairs = [
            f"({float(x):.4g}, {float(y):.4g})" for x, y in zip(hdr.primaries[::2], hdr.primaries[1::2], strict=True)
        ]
        said.append("R G B white " + " ".join(pairs))
    if hdr.luminance:
        said.append(f"{float(hdr.luminance[0]):g} to {float(hdr.luminance[1]):g} cd/m2")
    said += [f"MaxCLL {hdr.max_cll}"] if hdr.max_cll is not None else []
    said += [f"MaxFALL {hdr.max_fall}"] if hdr.max_fall is not None else []
    return ", ".join(said)


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
