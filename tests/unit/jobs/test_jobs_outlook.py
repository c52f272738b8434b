"""The outlook tells of every part of a source what upscale does to it, and agrees with the plan."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from tests.media import BT2020_PQ, make_clip, make_images
from tests.unit.jobs.test_jobs_losses import INFO, TURNED, VIDEO
from vsr.core.errors import OutputError, SettingsError
from vsr.core.frame import ColorSpec
from vsr.core.media import ChapterInfo, HdrMetadata, Interlacing, MediaInfo, PacketIndex, StreamInfo
from vsr.core.presets import resolve
from vsr.core.settings import Settings
from vsr.io.probe import probe
from vsr.jobs.outlook import outlook
from vsr.jobs.plan import plan

Told = dict[str, tuple[str, str]]


def settings(**values: object) -> Settings:
    return resolve(values).settings


def told(
    info: MediaInfo, *, output: str | None = None, interlacing: Interlacing | None = None, **values: object
) -> Told:
    """Give (action, detail) of every subject, each of which may stand there once."""
    lines = outlook(
        info, settings(**values), output=Path(output) if output is not None else None, interlacing=interlacing
    )
    assert len({line.subject for line in lines}) == len(lines)
    return {line.subject: (line.action, line.detail) for line in lines}


def test_a_plain_file_is_kept_in_all_but_its_size() -> None:
    lines = told(replace(INFO, video=replace(VIDEO, color=ColorSpec(matrix="bt709", range="tv"))))
    assert lines["container"] == ("keep", "mkv")
    assert lines["video"] == (
        "make",
        "h264 becomes h264 by libx264, larger by the model's scale; 3 frames in and out",
    )
    assert lines["pixel format"] == ("keep", "yuv420p, 8 bits a sample")
    assert lines["colour matrix"] == ("keep", "bt709")
    assert lines["colour primaries"][0] == "keep" and "not told" in lines["colour primaries"][1]
    assert lines["scan"] == ("keep", "progressive")
    assert lines["times"] == ("keep", "constant frame rate, 0.120 s long, begins at 0.000 s, ticks of 1/25 s")
    assert {action for action, _ in lines.values()} == {"make", "keep"}


@pytest.mark.parametrize(
    ("width", "height", "primaries", "matrix", "why"),
    [
        (640, 480, "unspecified", "smpte170m", "by its size"),
        (720, 576, "unspecified", "bt470bg", "by its size"),
        (1920, 1080, "unspecified", "bt709", "by its size"),
        (640, 480, "bt2020", "bt2020nc", "by its primaries"),
    ],
)
def test_what_an_untagged_file_is_taken_for_is_told(
    width: int, height: int, primaries: str, matrix: str, why: str
) -> None:
    video = replace(VIDEO, width=width, height=height, color=ColorSpec(primaries=primaries))
    lines = told(replace(INFO, video=video))
    assert lines["colour matrix"] == ("assume", f"{matrix}, {why}; the result says so")
    assert lines["colour range"][0] == "assume" and lines["colour range"][1].startswith("tv")


def test_planes_that_become_others_take_their_colours_along() -> None:
    info = replace(INFO, video=replace(VIDEO, pixel_format="gbrp", color=ColorSpec(matrix="gbr", range="pc")))
    lines = told(info)
    assert lines["pixel format"][0] == "change" and "gbrp becomes yuv420p" in lines["pixel format"][1]
    assert lines["colour matrix"] == ("convert", "gbr becomes bt709")
    assert lines["colour range"] == ("convert", "pc becomes tv")
    kept = told(info, codec="ffv1", output="out.mkv")
    assert kept["pixel format"][0] == kept["colour matrix"][0] == kept["colour range"][0] == "keep"


def test_depth_and_alpha_follow_the_codec() -> None:
    info = replace(INFO, video=replace(VIDEO, pixel_format="yuva444p10le"))
    assert told(info, output="x.mov", codec="prores")["alpha"][0] == "keep"
    lines = told(info, output="x.mp4")
    assert "alpha" not in lines and "the alpha channel is left out" in lines["pixel format"][1]
    assert told(info, output="x.mp4", codec="av1")["pixel format"][1].startswith("yuva444p10le becomes yuv420p10le")
    layered = replace(INFO, video=replace(VIDEO, has_alpha_layer=True))
    assert told(layered)["alpha"][0] == "drop"


def test_geometry_is_kept_baked_or_lost() -> None:
    video = replace(VIDEO, sar=Fraction(16, 15), rotation=90, display_matrix=TURNED)
    info = replace(INFO, video=video)
    lines = told(info)
    assert lines["sample aspect ratio"] == ("keep", "16/15")
    assert lines["display matrix"][0] == "keep" and "90 degrees" in lines["display matrix"][1]
    baked = told(info, square_pixels=True, autorotate=True)
    assert baked["sample aspect ratio"][0] == baked["display matrix"][0] == "change"
    images = told(info, output="shots/%04d.png")
    assert images["sample aspect ratio"][0] == images["display matrix"][0] == "drop"
    assert images["container"] == ("change", "a folder of images, png")


def test_hdr_metadata_is_told_in_cd_per_m2() -> None:
    hdr = HdrMetadata(luminance=(Fraction(1, 10000), Fraction(1000)), max_cll=900, max_fall=400)
    action, detail = told(replace(INFO, video=replace(VIDEO, hdr=hdr)), codec="hevc")["HDR10 metadata"]
    assert (action, detail) == ("keep", "mastered at 0.0001 to 1000 cd/m2, MaxCLL 900, MaxFALL 400")


@pytest.mark.parametrize(
    ("kind", "evidence", "wanted", "action", "said"),
    [
        ("progressive", "content", "auto", "keep", "progressive (7 of 9)"),
        ("interlaced", "content", "auto", "change", "made one picture a frame"),
        ("interlaced", "flags", "frame", "change", "made one picture a frame"),
        ("interlaced", "flags", "field", "change", "twice as many frames"),
        ("interlaced", "content", "off", "report", "--deinterlace frame merges them"),
        ("telecined", "flags", "auto", "report", "kept as they are"),
        ("telecined", "content", "auto", "change", "every frame is kept"),
    ],
)
def test_what_becomes_of_fields(kind: str, evidence: str, wanted: str, action: str, said: str) -> None:
    order = "" if kind == "progressive" else "tff"
    found = Interlacing(kind=kind, order=order, evidence=evidence, detail="7 of 9")  # type: ignore[arg-type]
    line = told(INFO, interlacing=found, deinterlace=wanted)["scan"]
    assert line[0] == action and said in line[1] and "7 of 9" in line[1]


def test_flags_tell_where_nobody_looked() -> None:
    info = replace(INFO, video=replace(VIDEO, is_interlaced=True, field_order="bff"))
    action, detail = told(info)["scan"]
    assert action == "change" and "bottom" in detail


def test_times_are_told_with_gaps_repeats_and_offsets() -> None:
    pts = (-3000, 0, 3000, 3000, 6000, 9000, 99000, 102000)
    index = PacketIndex(pts=pts, durations=(3000, 3000, 0, 3000, 3000, 90000, 3000, 3000))
    info = replace(INFO, video=replace(VIDEO, time_base=Fraction(1, 90000)), packets=index)
    lines = told(info)
    action, detail = lines["times"]
    assert action == "keep"
    for word in ("variable", "1 gap (the longest 1.000 s)", "1 repeated times", "1.200 s long", "begins at -0.033 s"):
        assert word in detail
    assert "milliseconds" in lines["ticks"][1] and "ticks" not in told(info, output="x.mp4")
    assert told(info, output="x.ts")["start"][0] == "change" and "start" not in lines
    assert told(info, output="shots/%04d.png")["times"][0] == "drop"


def test_streams_chapters_and_tags_one_by_one() -> None:
    info = replace(
        INFO,
        streams=(
            StreamInfo(index=1, kind="audio", codec="aac", language="deu", detail="stereo 48000 Hz"),
            StreamInfo(index=2, kind="subtitle", codec="subrip"),
            StreamInfo(index=3, kind="subtitle", codec="hdmv_pgs_subtitle"),
            StreamInfo(index=4, kind="attachment", codec="ttf", title="font.ttf"),
            StreamInfo(index=5, kind="video", codec="mjpeg", is_cover=True),
        ),
        chapters=(ChapterInfo(start=0, stop=1, time_base=Fraction(1)),),
        metadata=(("title", "A film"), ("encoder", "Lavf61"), ("timecode", "01:00:00:00")),
    )
    mkv = told(info)
    assert [mkv[key][0] for key in mkv if key.startswith("stream ")] == ["copy"] * 5
    assert mkv["stream 1 (audio)"][1] == "aac, stereo 48000 Hz, deu: bit for bit"
    assert mkv["chapters"] == ("keep", "1 chapter") and mkv["metadata"] == ("keep", "title")
    assert mkv["timecode"] == ("keep", "01:00:00:00")
    mp4 = told(info, output="x.mp4")
    assert mp4["stream 2 (subtitle)"][0] == "convert"
    assert mp4["stream 3 (subtitle)"][0] == mp4["stream 4 (attachment)"][0] == "drop"
    assert ".mkv" in mp4["stream 3 (subtitle)"][1] and mp4["stream 5 (cover)"][0] == "copy"
    png = told(info, output="shots/%04d.png")
    gone = [key for key in png if key.startswith("stream ")] + ["chapters", "metadata", "timecode"]
    assert {png[key][0] for key in gone} == {"drop"}


def test_damage_and_warnings_are_passed_on() -> None:
    lines = outlook(replace(INFO, damage=("it breaks off",), warnings=("odd",)), settings())
    assert [(line.action, line.subject) for line in lines[-2:]] == [("report", "damage"), ("report", "warning")]
    assert "--strict" in lines[-2].detail


def test_a_target_that_cannot_be_is_refused_as_upscale_refuses_it() -> None:
    with pytest.raises(SettingsError, match="mp4 does not hold ffv1"):
        outlook(INFO, settings(codec="ffv1"), output=Path("x.mp4"))
    with pytest.raises(OutputError, match="no container"):
        outlook(INFO, settings(container="xyz"))


def test_the_outlook_agrees_with_the_plan(tmp_path: Path) -> None:
    clip = make_clip(
        tmp_path / "in.mkv",
        frames=4,
        pix_fmt="yuv422p10le",
        audio=1,
        subtitles=("ass",),
        attachment=b"x",
        tags=BT2020_PQ,
    )
    job = plan(clip, tmp_path / "out.mp4", resolve({"model": "nearest", "codec": "av1"}))
    lines = told(probe(clip), output=str(tmp_path / "out.mp4"), codec="av1")
    assert f"becomes {job.output.pixel_format}" in lines["pixel format"][1]
    actions = {stream.index: stream.action for stream in job.streams}
    assert {int(key.split()[1]): line[0] for key, line in lines.items() if key.startswith("stream ")} == actions
    assert (lines["colour matrix"][1], lines["colour transfer"][1]) == (
        job.output.tags.matrix,
        job.output.tags.transfer,
    )
    lost = [line[1] for line in lines.values() if line[0] in ("drop", "change")]
    for warning in (text for text in job.warnings if "left out" in text or "becomes" in text):
        assert any(warning.split(": ", 1)[-1] in text for text in lost), warning


def test_images_have_no_times_and_no_scan(tmp_path: Path) -> None:
    make_images(tmp_path / "shots", count=3)
    lines = told(probe(tmp_path / "shots"))
    assert lines["container"] == ("keep", "a folder of images, png") and not {"times", "scan"} & set(lines)


def test_avi_says_that_full_range_becomes_limited() -> None:
    full = replace(INFO, video=replace(VIDEO, color=ColorSpec(matrix="bt709", range="pc")))
    assert told(full, output="out.avi")["colour range"] == ("convert", "pc becomes tv")
    assert told(full, output="out.mkv")["colour range"] == ("keep", "pc")


def test_what_the_scan_found_is_told_once() -> None:
    whole = Interlacing(kind="progressive", order="tff", evidence="content", detail="flagged, but whole")
    action, detail = told(INFO, interlacing=whole)["scan"]
    assert (action, detail.count("flagged, but whole")) == ("report", 1)
