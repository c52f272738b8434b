"""Every loss is named with a way to keep the thing, and following it there is no loss."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from vsr.core.frame import ColorSpec
from vsr.core.job import Destination
from vsr.core.media import ChapterInfo, HdrMetadata, MediaInfo, PacketIndex, StreamInfo, StreamPlan, VideoInfo
from vsr.jobs.losses import losses, moves

VIDEO = VideoInfo(
    index=0,
    codec="h264",
    width=64,
    height=48,
    pixel_format="yuv420p",
    coded_pixel_format="yuv420p",
    color=ColorSpec(),
    time_base=Fraction(1, 25),
    rate=Fraction(25),
)
INFO = MediaInfo(
    path=Path("film.mkv"),
    kind="video",
    container="matroska,webm",
    video=VIDEO,
    packets=PacketIndex(pts=(0, 1, 2), durations=(1, 1, 1)),
)
TURNED = (0, 65536, 0, -65536, 0, 0, 0, 0, 1 << 30)
MIRRORED = (-65536, 0, 0, 0, 65536, 0, 0, 0, 1 << 30)
CHAPTER = ChapterInfo(start=0, stop=2, time_base=Fraction(1, 25), title="One")


def to(container: str) -> Destination:
    kind = "sequence" if container in ("png", "jpeg", "tiff", "webp") else "video"
    return Destination(path=Path("out"), kind=kind, container=container)  # type: ignore[arg-type]


def words(*given: object, **asked: bool) -> tuple[str, ...]:
    return tuple(loss.text for loss in losses(*given, **asked))  # type: ignore[arg-type]


def with_format(name: str) -> MediaInfo:
    return replace(INFO, video=replace(VIDEO, pixel_format=name))


@pytest.mark.parametrize("container", ["mp4", "mkv", "mov", "webm", "ts"])
def test_a_plain_video_loses_nothing(container: str) -> None:
    assert words(INFO, "yuv420p", "h264", (), to(container)) == ()


@pytest.mark.parametrize(
    ("source", "made", "codec", "container", "said"),
    [
        ("yuv420p10le", "yuv420p", "h264", "mp4", ["10 bits a sample become 8; kept without --pix-fmt"]),
        ("yuv422p", "yuv420p", "av1", "mp4", ["chroma is thinned out from 4:2:2 to 4:2:0; --codec h264 or hevc"]),
        ("yuv444p16le", "yuv444p12le", "hevc", "mp4", ["16 bits a sample become 12; an .mkv output with --codec ffv1"]),
        (
            "gbrap16le",
            "gbrp",
            "jpeg",
            "jpeg",
            ["16 bits a sample become 8, the alpha channel is left out; png images keep it"],
        ),
        ("gbrp16le", "gbrp", "png", "png", ["16 bits a sample become 8; kept without --image-depth"]),
    ],
)
def test_what_frames_lose_is_told_with_what_would_hold_it(
    source: str, made: str, codec: str, container: str, said: list[str]
) -> None:
    found = words(with_format(source), made, codec, (), to(container))
    assert len(found) == len(said)
    for text, begin in zip(found, said, strict=True):
        assert text.startswith(begin)


def test_streams_that_are_left_out_are_named_with_the_reason() -> None:
    plans = (
        StreamPlan(index=1, action="copy", codec="aac"),
        StreamPlan(index=2, action="convert", codec="mov_text", reason="converted from SubRip"),
        StreamPlan(index=3, action="drop", codec="dvd", reason="mp4 cannot hold it; use .mkv", is_whole=False),
        StreamPlan(index=4, action="drop", codec="tmcd", reason="a timecode track (the timecode is written anew)"),
        StreamPlan(index=5, action="drop", codec="mp3", reason="not asked for", is_wanted=False, is_whole=False),
        StreamPlan(index=6, action="convert", codec="mov_text", reason="its styles are lost", is_whole=False),
    )
    found = losses(INFO, "yuv420p", "h264", plans, to("mp4"))
    assert [(loss.subject, loss.text) for loss in found] == [
        ("stream 3", "stream 3 is left out: mp4 cannot hold it; use .mkv"),
        ("stream 6", "stream 6: its styles are lost"),
    ]


def test_chapters_that_overlap_are_cut_in_mp4_alone() -> None:
    later = replace(CHAPTER, start=CHAPTER.start + 1, stop=CHAPTER.stop + 1)
    info = replace(INFO, chapters=(CHAPTER, later))
    (said,) = words(info, "yuv420p", "h264", (), to("mp4"))
    assert "1 overlapping chapters are cut" in said and ".mkv" in said
    assert words(info, "yuv420p", "h264", (), to("mkv")) == ()
    apart = replace(CHAPTER, start=CHAPTER.stop, stop=CHAPTER.stop + 1)
    assert words(replace(INFO, chapters=(CHAPTER, apart)), "yuv420p", "h264", (), to("mp4")) == ()


def test_chapters_and_the_display_matrix_are_lost_where_the_container_has_none() -> None:
    length = CHAPTER.stop - CHAPTER.start
    three = tuple(replace(CHAPTER, start=k * length, stop=(k + 1) * length) for k in range(3))
    info = replace(INFO, chapters=three, video=replace(VIDEO, rotation=90, display_matrix=TURNED))
    chapters, matrix = words(info, "yuv420p", "ffv1", (), to("avi"))
    assert "no chapters: 3 left out" in chapters and ".mkv" in chapters
    assert "90 degrees" in matrix and "--autorotate" in matrix
    assert words(info, "yuv420p", "h264", (), to("mp4")) == ()
    assert words(info, "yuv420p", "ffv1", (), to("avi"), is_turned=True) == (chapters,)


def test_what_frames_carry_is_lost_where_no_stream_takes_it() -> None:
    video = replace(VIDEO, hdr=HdrMetadata(max_cll=900, max_fall=400), side_data=("closed captions", "HDR10+ metadata"))
    info = replace(INFO, video=video, metadata=(("timecode", "01:00:00:00"),))
    by = {loss.subject: loss.text for loss in losses(info, "yuv420p", "hevc", (), to("mov"))}
    assert by.keys() == {"side data"} and by["side data"].startswith("HDR10+ metadata")  # the last one
    assert len(words(info, "yuv420p", "hevc", (), to("mov"))) == 1
    found = losses(info, "yuv420p", "ffv1", (), to("avi"))
    assert [loss.subject for loss in found] == ["timecode", "HDR10 metadata", "side data", "side data"]
    assert "01:00:00:00" in found[0].text and ".mkv" in found[1].text and "hevc" in found[2].text
    images = losses(info, "gbrp", "png", (), to("png"))
    assert [loss.subject for loss in images] == ["HDR10 metadata", "side data", "side data"]
    photo = replace(INFO, kind="image", container="image2", video=replace(VIDEO, side_data=("EXIF data",)))
    assert words(photo, "gbrp", "png", (), to("png")) == ()
    assert len(words(photo, "yuv420p", "h264", (), to("mp4"))) == 1


def test_tags_that_a_container_does_not_hold_are_named() -> None:
    info = replace(INFO, metadata=(("title", "A film"), ("Location", "+1-2/"), ("encoder", "Lavf"), ("timecode", "1")))
    by = {
        name: [loss.text for loss in losses(info, "yuv420p", "h264", (), to(name)) if loss.subject == "metadata"]
        for name in ("ts", "avi", "mkv", "mp4", "mov")
    }
    assert by["ts"] == ["ts does not hold the metadata Location, title; use an .mkv output to keep it"]
    assert by["avi"] == ["avi does not hold the metadata Location; use an .mkv output to keep it"]
    assert by["mkv"] == by["mp4"] == by["mov"] == []


def test_images_hold_pixels_alone() -> None:
    info = replace(
        INFO,
        video=replace(VIDEO, sar=Fraction(16, 15), display_matrix=MIRRORED),
        streams=(
            StreamInfo(index=1, kind="audio", codec="aac"),
            StreamInfo(index=2, kind="subtitle", codec="ass"),
            StreamInfo(index=3, kind="video", codec="mjpeg", is_cover=True),
        ),
        chapters=(CHAPTER,),
        packets=PacketIndex(pts=(0, 1, 9), durations=(1, 8, 1)),
    )
    found = losses(info, "gbrp", "png", (), to("png"))
    assert [loss.subject for loss in found] == ["streams", "chapters", "times", "display matrix", "sample aspect ratio"]
    assert found[0].text == "images hold no audio, subtitle: left out"
    assert "mirrored" in found[3].text and "16/15" in found[4].text
    baked = losses(info, "gbrp", "png", (), to("png"), is_turned=True, has_square_pixels=True)
    assert baked == found[:3]


@pytest.mark.parametrize(
    ("rotation", "matrix", "said"),
    [
        (0, (), ""),
        (0, (65536, 0, 0, 0, 65536, 0, 0, 0, 1 << 30), ""),
        (90, TURNED, "90 degrees"),
        (0, MIRRORED, "mirrored"),
        (180, (65536, 0, 0, 0, -65536, 0, 0, 0, 1 << 30), "180 degrees, mirrored"),
    ],
)
def test_moves_are_told_in_words(rotation: int, matrix: tuple[int, ...], said: str) -> None:
    assert moves(replace(INFO, video=replace(VIDEO, rotation=rotation, display_matrix=matrix))) == said
