"""A lane that fails, wherever and whenever: the program ends soon, names the first cause, and leaves nothing."""

from __future__ import annotations

import threading
import time

import pytest

from tests.media import make_clip, planes_of
from vsr.core.errors import EncodeError, OutOfMemory
from vsr.engines.net import NetEngine
from vsr.io.encoding.encode import PyavSink

FRAMES = 12


def at_call(function, number, error):
    calls = iter(range(10**6))

    def wrapped(*args, **kwargs):
        if next(calls) == number:
            raise error
        return function(*args, **kwargs)

    return wrapped


@pytest.mark.parametrize("item", [0, 1, FRAMES - 1])
@pytest.mark.parametrize("lane", ["decode", "infer", "encode"])
def test_lane_that_raises_ends_the_program_with_the_first_cause(lane, item, tmp_path, vsr, leftovers, monkeypatch):
    clip = make_clip(tmp_path / "in.mp4", frames=FRAMES)
    boom = EncodeError(f"planted in {lane} at {item}")
    if lane == "decode":
        from vsr.pipeline import pictures

        monkeypatch.setattr(pictures, "to_picture", at_call(pictures.to_picture, item, boom))
    elif lane == "infer":
        monkeypatch.setattr(NetEngine, "restore", at_call(NetEngine.restore, item, boom))
    else:
        monkeypatch.setattr(PyavSink, "write", at_call(PyavSink.write, item, boom))
    began = time.monotonic()
    ended = vsr("upscale", clip, "-o", tmp_path / "out.mp4", "-m", "nearest", "-q")
    assert time.monotonic() - began < 5
    assert ended.code == 6
    assert f"planted in {lane} at {item}" in ended.err
    assert lane in ended.err.split("planted", 1)[1]
    assert leftovers("in.mp4") == []
    assert [t for t in threading.enumerate() if t.name.startswith("vsr-")] == []


def test_bug_in_a_lane_is_told_with_its_traceback(tmp_path, vsr, leftovers, monkeypatch):
    clip = make_clip(tmp_path / "in.mp4", frames=4)
    monkeypatch.setattr(NetEngine, "restore", at_call(NetEngine.restore, 2, ValueError("nobody foresaw this")))
    ended = vsr("upscale", clip, "-m", "nearest", "-q")
    assert ended.code == 1
    assert "Traceback" in ended.err and "nobody foresaw this" in ended.err
    assert leftovers("in.mp4") == []


def test_out_of_memory_shrinks_and_goes_on(tmp_path, vsr, monkeypatch):
    clip = make_clip(tmp_path / "in.mp4", width=128, height=96, frames=FRAMES)
    whole = vsr("upscale", clip, "-o", tmp_path / "whole.mkv", "-m", "bicubic", "--codec", "ffv1", "-q")
    restore = NetEngine.restore

    def cramped(self, batch):
        if batch.frames.shape[-1] > 100:
            raise OutOfMemory("planted")
        return restore(self, batch)

    monkeypatch.setattr(NetEngine, "restore", cramped)
    ended = vsr("upscale", clip, "-o", tmp_path / "tiled.mkv", "-m", "bicubic", "--codec", "ffv1", "--json")
    assert (whole.code, ended.code) == (0, 0)
    summary = ended.events[-1]
    assert summary["event"] == "summary"
    assert (summary["frames_in"], summary["frames_out"]) == (FRAMES, FRAMES)
    assert any("memory" in str(warning) for warning in summary["warnings"])
    for (_, a), (_, b) in zip(planes_of(tmp_path / "whole.mkv"), planes_of(tmp_path / "tiled.mkv"), strict=True):
        assert abs(a[0].astype(int) - b[0].astype(int)).max() <= 1


def test_interrupt_leaves_nothing(tmp_path, vsr, leftovers, monkeypatch):
    clip = make_clip(tmp_path / "in.mp4", frames=FRAMES)
    monkeypatch.setattr("vsr.jobs.watch.Watch.tick", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    ended = vsr("upscale", clip, "-m", "nearest", "-q")
    assert ended.code == 130
    assert leftovers("in.mp4") == []
    assert [t for t in threading.enumerate() if t.name.startswith("vsr-")] == []
