"""The container table against FFmpeg's muxers, and what becomes of the streams beside the video."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import pytest

from vsr.core.errors import OutputError, SettingsError
from vsr.core.frame import ColorSpec
from vsr.core.media import ChapterInfo, MediaInfo, PacketIndex, StreamInfo, StreamKind, VideoInfo
from vsr.io.muxing.containers import (
    CONTAINERS,
    check_codec,
    container_of,
    default_codec,
    default_container,
    image_pixel_format,
    plan_streams,
    suffix_of,
)


def stream(index: int, kind: StreamKind, codec: str, *, is_cover: bool = False) -> StreamInfo:
    return StreamInfo(index=index, kind=kind, codec=codec, is_cover=is_cover)


def media(
    *streams: StreamInfo,
    name: str = "clip.mkv",
    container: str = "matroska,webm",
    chapters: tuple[ChapterInfo, ...] = (),
    pts: tuple[int, ...] = (0, 1, 2),
) -> MediaInfo:
    video = VideoInfo(
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
    return MediaInfo(
        path=Path(name),
        kind="video",
        container=container,
        video=video,
        streams=streams,
        chapters=chapters,
        packets=PacketIndex(pts=pts, durations=(1,) * len(pts)),
    )


@pytest.mark.parametrize("name", [name for name in CONTAINERS if name != "ts"])
def test_ffmpegs_muxer_takes_every_codec_of_the_table(name: str, tmp_path: Path) -> None:
    """MPEG-TS is left out: its muxer answers for no codec (see the table)."""
    rule = CONTAINERS[name]
    with av.open(str(tmp_path / "x"), "w", format=rule.muxer) as container:
        taken = {av.Codec(codec, mode).canonical_name for codec in container.supported_codecs for mode in _modes(codec)}
    covers = set() if rule.has_attachments else rule.covers - {"bmp"}  # attachments are no streams of the muxer
    assert (set(rule.video) | rule.copies | rule.audio | rule.subtitles | covers) - taken == set()


def _modes(codec: str) -> list[str]:
    found = []
    for mode in ("r", "w"):
        try:
            av.Codec(codec, mode)
        except ValueError:
            continue
        found.append(mode)
    return found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a/b.mp4", "mp4"),
        ("B.MKV", "mkv"),
        ("x.m4v", "mp4"),
        ("x.m2ts", "ts"),
        ("mkv", "mkv"),
        ("matroska", "mkv"),
        ("odd.name.mov", "mov"),
    ],
)
def test_a_suffix_or_a_name_means_a_container(text: str, expected: str) -> None:
    assert container_of(text) == expected
    assert container_of(suffix_of(expected)) == expected


def test_an_unknown_suffix_is_refused_with_the_list() -> None:
    with pytest.raises(OutputError, match=r"clip\.mkvv") as caught:
        container_of(Path("clip.mkvv"))
    assert "mkv" in str(caught.value.hint) and ".mp4" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("name", "container", "expected"),
    [
        ("a.mp4", "mov,mp4,m4a,3gp,3g2,mj2", "mp4"),
        ("a.mov", "mov,mp4,m4a,3gp,3g2,mj2", "mov"),
        ("a.3gp", "mov,mp4,m4a,3gp,3g2,mj2", "mp4"),
        ("a.mkv", "matroska,webm", "mkv"),
        ("a.webm", "matroska,webm", "webm"),
        ("a.ts", "mpegts", "ts"),
        ("a.avi", "avi", "mkv"),
        ("a.flv", "flv", "mkv"),
        ("a.gif", "gif", "mp4"),
    ],
)
def test_without_a_choice_the_sources_container_stays_where_it_can(name: str, container: str, expected: str) -> None:
    assert default_container(media(name=name, container=container)) == expected


def test_the_default_codec_is_h264_where_it_is_held() -> None:
    assert {name: default_codec(name) for name in ("mp4", "mov", "mkv", "ts", "webm", "avi")} == {
        "mp4": "h264",
        "mov": "h264",
        "mkv": "h264",
        "ts": "h264",
        "webm": "vp9",
        "avi": "ffv1",
    }


@pytest.mark.parametrize(("codec", "container"), [("h264", "webm"), ("prores", "mp4"), ("h264", "avi"), ("vp9", "ts")])
def test_a_codec_that_the_container_does_not_hold_is_refused_with_one_that_does(codec: str, container: str) -> None:
    with pytest.raises(SettingsError, match=codec) as caught:
        check_codec(codec, container)
    assert ".mkv" in str(caught.value.hint)


def test_every_container_holds_its_default_codec() -> None:
    for name in CONTAINERS:
        check_codec(default_codec(name), name)


def test_what_fits_is_copied() -> None:
    info = media(
        stream(1, "audio", "aac"), stream(2, "subtitle", "hdmv_pgs_subtitle"), stream(3, "attachment", ""),
        stream(4, "subtitle", "ass"), stream(5, "video", "mjpeg", is_cover=True),
    )  # fmt: skip
    assert [plan.action for plan in plan_streams(info, "mkv")] == ["copy"] * 5


def test_what_does_not_fit_is_left_out_with_a_reason_and_a_way_out() -> None:
    info = media(stream(1, "subtitle", "hdmv_pgs_subtitle"), stream(2, "attachment", ""), stream(3, "data", "bin_data"))
    plans = plan_streams(info, "mp4")
    assert [plan.action for plan in plans] == ["drop"] * 3
    assert plans[0].reason == "mp4 cannot hold PGS subtitles; use an .mkv output to keep them"
    assert plans[1].reason == "mp4 cannot hold attachments; use an .mkv output to keep them"
    assert plans[2].reason == "data tracks are not copied"


@pytest.mark.parametrize(
    ("codec", "container", "action", "becomes"),
    [
        ("subrip", "mp4", "convert", "mov_text"),
        ("ass", "mov", "convert", "mov_text"),
        ("mov_text", "mkv", "convert", "subrip"),
        ("mov_text", "webm", "convert", "webvtt"),
        ("subrip", "mkv", "copy", "subrip"),
        ("subrip", "ts", "drop", "subrip"),
        ("dvd_subtitle", "mp4", "drop", "dvd_subtitle"),
    ],
)
def test_text_subtitles_are_converted_where_the_container_wants_others(
    codec: str, container: str, action: str, becomes: str
) -> None:
    (plan,) = plan_streams(media(stream(1, "subtitle", codec)), container)
    assert (plan.action, plan.codec) == (action, becomes)
    assert bool(plan.reason) == (action != "copy")


def test_sound_that_does_not_fit_says_where_it_would() -> None:
    (plan,) = plan_streams(media(stream(1, "audio", "aac")), "webm")
    assert plan.reason == "webm cannot hold aac audio; use an .mkv output to keep them"


@pytest.mark.parametrize("container", ["ts", "avi"])
def test_a_timecode_that_does_not_fit_is_named_with_a_home(container: str) -> None:
    (plan,) = plan_streams(media(stream(1, "data", "tmcd")), container)
    assert plan.reason == f"{container} cannot hold timecode tracks; use a .mov output to keep it"


def test_avi_is_refused_for_times_that_it_cannot_hold() -> None:
    with pytest.raises(OutputError, match="equal steps"):
        plan_streams(media(pts=(10, 11, 12)), "avi")
    assert plan_streams(media(pts=(0, 1, 3)), "avi") == ()  # a gap of whole frames can be written


@pytest.mark.parametrize(
    ("source", "container", "depth", "expected"),
    [
        ("yuv420p", "png", None, "gbrp"),
        ("yuv420p10le", "png", None, "gbrp16le"),
        ("yuv420p", "png", 16, "gbrp16le"),
        ("yuv420p10le", "png", 8, "gbrp"),
        ("gray", "png", None, "gray"),
        ("gray10le", "tiff", None, "gray16le"),
        ("gbrap", "png", None, "gbrap"),
        ("gbrap", "jpeg", None, "gbrp"),
        ("yuv420p10le", "jpeg", None, "gbrp"),
    ],
)
def test_images_are_rgb_or_grey_of_8_or_16_bits(source: str, container: str, depth: int | None, expected: str) -> None:
    assert image_pixel_format(source, container, depth) == expected


def test_a_depth_that_the_image_format_lacks_is_refused() -> None:
    with pytest.raises(SettingsError, match="jpeg holds 8"):
        image_pixel_format("yuv420p", "jpeg", 16)
