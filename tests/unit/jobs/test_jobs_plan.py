"""What a plan says beside what it decides."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.media import make_clip
from vsr.core.errors import UsageError
from vsr.core.job import Job
from vsr.core.presets import resolve
from vsr.jobs.plan import plan


def planned(clip: Path, **settings: object) -> Job:
    return plan(clip, clip.with_name("out.mkv"), resolve({"model": "nearest", **settings}))


def test_interlaced_video_is_said_to_be_and_how_it_is_mended(tmp_path):
    clip = make_clip(tmp_path / "a.mp4", height=64, options={"x264-params": "tff=1"}, b_frames=0)
    (said,) = [warning for warning in planned(clip).warnings if "interlaced" in warning]
    assert "both fields of a frame are taken as one picture" in said
    assert "--deinterlace frame" in said
    assert [warning for warning in planned(clip, deinterlace="frame").warnings if "interlaced" in warning] == []


def test_chunks_of_deinterlaced_frames_see_the_frame_before(tmp_path):
    clip = make_clip(tmp_path / "a.mp4", height=64, options={"x264-params": "tff=1"}, frames=20)
    plain, merged = (planned(clip, chunk_frames=10, deinterlace=how).chunks[1] for how in ("off", "frame"))
    assert (plain.lead, merged.lead) == (0, 1)


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
