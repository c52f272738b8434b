"""Before the start, by the command line: what cannot end well is refused before a single frame is restored."""

from __future__ import annotations

from fractions import Fraction

import pytest

from tests.media import make_clip, numbers_of
from vsr.core.errors import MuxError
from vsr.engines.net import NetEngine
from vsr.io import atomic
from vsr.io.muxing import mux
from vsr.jobs import preflight

FRAMES = 30


@pytest.fixture
def calls(monkeypatch):
    """Give the list that every call of an engine adds to."""
    seen: list[int] = []
    restore = NetEngine.restore

    def counted(self, batch):
        seen.append(len(batch.keys))
        return restore(self, batch)

    monkeypatch.setattr(NetEngine, "restore", counted)
    return seen


@pytest.fixture
def clip(tmp_path):
    return make_clip(tmp_path / "in.mp4", frames=FRAMES, audio=1)


def test_a_container_that_refuses_is_known_before_any_frame_is_restored(
    clip, tmp_path, vsr, leftovers, calls, monkeypatch
):
    """AVI counts frames, at the rate that it is told: here a wrong one."""
    monkeypatch.setattr(mux, "video_time_base", lambda plan: Fraction(1, 15))
    ended = vsr("upscale", clip, "-o", tmp_path / "out.avi", "-m", "nearest", "--chunk-frames", 10, "-q")
    assert (ended.code, calls) == (6, [])
    assert "tried before the start" in ended.err and "out.avi shows frame 2 at" in ended.err
    assert ".mkv" in ended.err
    assert leftovers("in.mp4") == []


def test_a_packet_that_is_refused_is_known_before_any_frame_is_restored(
    clip, tmp_path, vsr, leftovers, calls, monkeypatch
):
    def refuse(result, packet, plan, target):
        if packet.stream.type == "audio":
            raise MuxError(f"planted: no sound in {target}")
        result.mux_one(packet)

    monkeypatch.setattr(mux, "_write", refuse)
    words = ("upscale", clip, "-o", tmp_path / "out.mkv", "-m", "nearest", "-q")
    ended = vsr(*words, "--chunk-frames", 10)
    assert (ended.code, calls) == (6, [])
    assert f"planted: no sound in {tmp_path / 'out.mkv'}" in " ".join(ended.err.split())
    assert leftovers("in.mp4") == []


def test_strict_refuses_a_loss_of_the_join_before_any_frame_is_restored(tmp_path, vsr, leftovers, calls):
    clip = make_clip(tmp_path / "in.mp4", frames=FRAMES, metadata={"title": "a title"})
    ended = vsr("upscale", clip, "-o", tmp_path / "out.ts", "-m", "nearest", "--chunk-frames", 10, "--strict", "-q")
    assert (ended.code, calls) == (6, [])
    assert "metadata title" in ended.err
    assert leftovers("in.mp4") == []


def test_a_rehearsed_job_ends_well(clip, tmp_path, vsr, leftovers, calls):
    ended = vsr("upscale", clip, "-o", tmp_path / "out.mkv", "-m", "nearest", "--chunk-frames", 10, "-q")
    assert ended.code == 0, ended.err
    assert numbers_of(tmp_path / "out.mkv") == list(range(FRAMES))
    assert sum(calls) == FRAMES
    assert leftovers("in.mp4", "out.mkv") == []


def test_a_disk_that_is_too_small_is_refused_before_any_frame_is_restored(
    clip, tmp_path, vsr, leftovers, calls, monkeypatch
):
    monkeypatch.setattr(atomic, "free_bytes", lambda _: 100)
    words = ("upscale", clip, "-o", tmp_path / "out.mkv", "-m", "nearest", "-q")
    ended = vsr(*words)
    assert (ended.code, calls) == (6, [])
    assert "at the very least" in ended.err and "--force" in ended.err
    assert leftovers("in.mp4") == []
    assert vsr(*words, "--force").code == 0
    assert sum(calls) == FRAMES


def test_too_little_memory_is_refused_before_any_frame_is_restored(clip, tmp_path, vsr, leftovers, calls, monkeypatch):
    monkeypatch.setattr(preflight, "free_bytes", lambda _: 1 << 16)
    words = ("upscale", clip, "-o", tmp_path / "out.mkv", "-m", "nearest", "-q")
    ended = vsr(*words)
    assert (ended.code, calls) == (5, [])
    assert "of memory are free" in ended.err and "--scale" in ended.err
    assert leftovers("in.mp4") == []
    assert vsr(*words, "--force").code == 0
