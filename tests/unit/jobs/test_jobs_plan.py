"""What a plan says beside what it decides."""

from __future__ import annotations

import tomllib
from pathlib import Path

import numpy as np
import pytest

from tests.media import make_clip, make_images
from tests.scanlines import HEIGHT, TOP, WIDTH, woven, write
from vsr.core.errors import UsageError
from vsr.core.job import Job
from vsr.core.presets import resolve
from vsr.jobs.describe import to_toml
from vsr.jobs.plan import plan


def planned(clip: Path, **settings: object) -> Job:
    return plan(clip, clip.with_name("out.mkv"), resolve({"model": "nearest", **settings}))


def moving(time: float) -> np.ndarray:
    return 128 + 90 * np.sin((np.arange(WIDTH) + np.zeros((HEIGHT, 1)) - 2 * time) / 5)


def test_interlaced_video_is_said_to_be_and_how_it_is_mended(tmp_path):
    clip = write(tmp_path / "a.mp4", woven(moving, 8, first=TOP), flag="tff")
    (said,) = [warning for warning in planned(clip, deinterlace="off").warnings if "interlaced" in warning]
    assert "both fields of a frame are taken as one picture" in said
    assert "--deinterlace frame" in said
    for how, made in (("auto", "frame"), ("frame", "frame"), ("field", "field")):
        job = planned(clip, deinterlace=how)
        assert [warning for warning in job.warnings if "interlaced" in warning] == []
        assert (job.deinterlace, job.field_order) == (made, "tff")


def test_a_picture_of_each_field_is_planned_as_twice_the_frames(tmp_path):
    clip = write(tmp_path / "a.mp4", woven(moving, 8, first=TOP), flag="tff")
    frames, fields = planned(clip), planned(clip, deinterlace="field")
    assert sum(chunk.frames for chunk in fields.chunks) == 2 * sum(chunk.frames for chunk in frames.chunks) == 16
    assert (fields.output.time_base, fields.output.rate) == (frames.output.time_base / 2, 50)
    assert fields.fingerprint != frames.fingerprint


def test_interlaced_frames_without_flags_are_no_work_for_the_ffmpeg_program(tmp_path):
    clip = write(tmp_path / "a.mp4", woven(moving, 8, first=TOP))
    with pytest.raises(UsageError, match=r"interlaced .* --decoder pyav"):
        planned(clip, decoder="ffmpeg")
    assert planned(clip, decoder="ffmpeg", deinterlace="off").deinterlace == "off"


def test_chunks_of_deinterlaced_frames_see_the_frame_before(tmp_path):
    clip = make_clip(tmp_path / "a.mp4", height=64, options={"x264-params": "tff=1"}, frames=20)
    chunks = [planned(clip, chunk_frames=10, deinterlace=how).chunks[1] for how in ("off", "frame", "field")]
    assert [chunk.lead for chunk in chunks] == [0, 1, 2]


@pytest.mark.parametrize("given", [{"deinterlace": "frame"}, {"strict": True}], ids=str)
def test_what_the_ffmpeg_program_is_not_asked_for_is_refused(tmp_path, given):
    clip = make_clip(tmp_path / "a.mp4")
    with pytest.raises(UsageError, match=r"--decoder|ffmpeg"):
        planned(clip, decoder="ffmpeg", **given)


def test_an_address_without_a_cluster_is_refused(tmp_path):
    with pytest.raises(UsageError, match="--address") as caught:
        planned(make_clip(tmp_path / "a.mp4"), address="head:6379")
    assert caught.value.hint == "Add --cluster ray."


def test_several_devices_are_of_one_plan(tmp_path):
    clip = make_clip(tmp_path / "a.mp4")
    one, two = planned(clip, device="cpu"), planned(clip, device="cpu,cpu")
    assert (one.compute.devices, two.compute.devices) == (("cpu",), ("cpu", "cpu"))
    assert one.fingerprint == two.fingerprint


def test_hardware_is_not_asked_of_the_ffmpeg_program(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "a.mkv", frames=2)
    with pytest.raises(UsageError, match="--hwaccel cuda is decoded with --decoder pyav alone"):
        plan(clip, tmp_path / "b.mkv", resolve({"model": "nearest", "hwaccel": "cuda", "decoder": "ffmpeg"}))


def test_images_say_which_settings_do_nothing_to_them(tmp_path: Path) -> None:
    (picture,) = make_images(tmp_path / "in", count=1)
    job = plan(picture, tmp_path / "b.png", resolve({"model": "nearest", "map": "a", "max_bitrate": "1M"}))
    assert "max_bitrate, map: no effect on images" in job.warnings


def test_a_dry_run_tells_of_fields_and_turns(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "a.mov", frames=2, rotation=90)
    job = plan(clip, tmp_path / "b.mov", resolve({"model": "nearest", "autorotate": True, "deinterlace": "frame"}))
    told = tomllib.loads(to_toml(job))["output"]
    assert (told["rotation"], told["deinterlace"], told["hdr10"]) == (0, "frame", False)
    assert told["autorotate"].startswith("rows and columns swapped")
