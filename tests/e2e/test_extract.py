"""`vsr extract` through the real command line, whole, refused and killed."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import cv2
import pytest

from tests.media import make_clip, make_sound, read_number
from vsr.data import manifest


@pytest.fixture
def clip(tmp_path):
    return make_clip(tmp_path / "clip.mp4", frames=12)


def test_frames_of_a_folder_come_out_with_a_manifest(vsr, tmp_path):
    (tmp_path / "in").mkdir()
    for name in ("a.mp4", "b.mkv"):
        make_clip(tmp_path / "in" / name, frames=12)
    ended = vsr("extract", tmp_path / "in", tmp_path / "out", "--every", 5, "--format", "webp", "--workers", 2)
    assert ended.code == 0, ended.err
    assert ended.out.startswith(f"{tmp_path / 'out'}: 6 pictures from 24 frames of 2 sources\n")
    records = manifest.read(tmp_path / "out" / "manifest.jsonl")
    assert [record["file"] for record in records] == [f"{n}/{k:06d}.webp" for n in "ab" for k in (0, 5, 10)]
    for record in records:
        assert read_number(cv2.imread(str(tmp_path / "out" / str(record["file"])))[..., 1]) == record["index"]


def test_json_tells_progress_and_the_result(vsr, clip, tmp_path):
    ended = vsr("extract", clip, tmp_path / "out", "--at", "00:00:00.2", "--at", "9", "--json")
    assert ended.code == 0 and ended.err == ""
    assert {event["event"] for event in ended.events} == {"worked", "warning", "extracted"}
    last = ended.events[-1]
    assert (last["pictures"], last["resumed"], last["failures"]) == (1, 0, [])
    warning = next(event["message"] for event in ended.events if event["event"] == "warning")
    assert warning == f"{clip}: it has ended before 9 s: no picture of that"


def test_one_bad_input_of_two_ends_with_9_and_is_named(vsr, clip, tmp_path):
    sound = make_sound(tmp_path / "sound.mp4")
    ended = vsr("extract", sound, clip, tmp_path / "out", "-q")
    assert ended.code == 9
    assert "1 of 2 inputs could not be extracted" in ended.err and f"{sound} holds no video" in ended.err
    assert len(list((tmp_path / "out" / "clip").iterdir())) == 12
    assert vsr("extract", clip, tmp_path / "out", "-q").code == 0


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--rate", "fast"], 2, "--rate 'fast' is no rate"),
        (["--crop", "10x10"], 2, "--crop '10x10' is no box"),
        (["--size", "0"], 2, "--size '0' is no size"),
        (["--at", "soon"], 2, "--at 'soon' is no time"),
        (["--every", "2", "--windows", "3"], 2, "every and windows each choose the frames"),
        (["--windows", "13"], 3, "no window of 13 frames"),
        (["--at", "9"], 3, "has ended before 9 s"),
        (["--crop", "65x10+0+0"], 3, "does not lie in it"),
    ],
)
def test_what_cannot_be_is_told_and_nothing_is_made(words, code, said, vsr, clip, tmp_path, leftovers):
    ended = vsr("extract", clip, tmp_path / "out", *words)
    assert ended.code == code
    assert said in ended.err and "Traceback" not in ended.err
    assert leftovers("clip.mp4") == []


@pytest.mark.parametrize("kind", ["missing", "sound", "folder"])
def test_bad_inputs_end_with_3(kind, vsr, tmp_path, leftovers):
    if kind == "sound":
        make_sound(tmp_path / "in.mp4")
    elif kind == "folder":
        (tmp_path / "in.mp4").mkdir()
    ended = vsr("extract", tmp_path / "in.mp4", tmp_path / "out")
    assert ended.code == 3 and "in.mp4" in ended.err
    assert leftovers("in.mp4") == []


def test_other_settings_are_refused_with_the_way_out(vsr, clip, tmp_path):
    assert vsr("extract", clip, tmp_path / "out", "-q").code == 0
    ended = vsr("extract", clip, tmp_path / "out", "--square")
    assert ended.code == 6
    assert "made with other settings" in ended.err and "--overwrite" in ended.err and "square" in ended.err
    assert vsr("extract", clip, tmp_path / "out", "--square", "--overwrite", "-q").code == 0


def test_killed_and_run_again_the_folder_is_that_of_an_uninterrupted_run(vsr, tmp_path):
    clip = make_clip(tmp_path / "clip.mkv", frames=48)
    out = tmp_path / "out"
    words = ["extract", str(clip), str(out), "--size", "800x600", "-q"]  # slow enough to be caught at it
    process = subprocess.Popen([sys.executable, "-m", "vsr", *words, "--workers", "1"])
    deadline = time.monotonic() + 60
    while not ((out / "manifest.jsonl").exists() and len(manifest.read(out / "manifest.jsonl")) >= 1):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.002)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    there = {path: path.stat().st_mtime_ns for path in (out / "clip").iterdir() if not path.name.startswith(".")}
    assert 1 <= len(there) < 48
    noted = {out / str(record["file"]) for record in manifest.read(out / "manifest.jsonl")}
    assert all(cv2.imread(str(path)).shape == (600, 800, 3) for path in there)  # none is half-written

    assert vsr(*words).code == 0
    assert vsr("extract", clip, tmp_path / "whole", "--size", "800x600", "-q").code == 0
    assert _files(out) == _files(tmp_path / "whole")
    assert all(path.stat().st_mtime_ns == there[path] for path in noted)  # what was finished was not made again


def _files(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
