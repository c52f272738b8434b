"""`vsr upscale --cluster ray` as a user types it: whole, killed and taken up again, and stopped by Ctrl-C."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.media import make_clip

pytestmark = pytest.mark.slow
FRAMES = 240


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("clip") / "in.mkv", width=96, height=64, frames=FRAMES, audio=1)


@pytest.fixture(scope="module")
def here(clip: Path) -> bytes:
    done = subprocess.run(_command(clip, clip.with_name("here.mkv")), capture_output=True, check=True)
    assert done.returncode == 0
    return clip.with_name("here.mkv").read_bytes()


def _command(clip: Path, out: Path, *more: str) -> list[str]:
    vsr = [sys.executable, "-m", "vsr", "upscale", str(clip), "-o", str(out), "-m", "compact", "-s", "2"]
    # `--precision auto` measures, and may choose otherwise the next time; ffv1 shows every bit of what was restored.
    return [*vsr, "--chunk-frames", "20", "--precision", "fp32", "--codec", "ffv1", *more]


def _segments(out: Path) -> list[Path]:
    return sorted(out.with_name(f".{out.name}.vsr-work").glob("*.nut"))


def _until_segments(process: subprocess.Popen, out: Path, count: int) -> None:
    until = time.monotonic() + 90
    while len(_segments(out)) < count:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until
        time.sleep(0.02)


def test_the_cluster_makes_the_same_file_and_prints_json_alone(clip, here, tmp_path):
    out = tmp_path / "out.mkv"
    done = subprocess.run(
        _command(clip, out, "--cluster", "ray", "--json"), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert events[-1]["frames_out"] == FRAMES
    assert out.read_bytes() == here
    assert [path.name for path in tmp_path.iterdir()] == ["out.mkv"]


def test_killed_it_goes_on_and_makes_the_same_file(clip, here, tmp_path):
    out = tmp_path / "out.mkv"
    process = subprocess.Popen(
        _command(clip, out, "--cluster", "ray"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    _until_segments(process, out, 3)
    process.kill()
    process.communicate()
    kept = {path.name: path.stat().st_mtime_ns for path in _segments(out)}
    done = subprocess.run(_command(clip, out, "--cluster", "ray"), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert len(kept) >= 3
    assert "going on: " in done.stderr + done.stdout
    assert out.read_bytes() == here


def test_ctrl_c_finishes_what_is_in_hand_and_the_cluster_ends(clip, here, tmp_path):
    """The terminal sends it to every process of the group, those of the cluster too."""
    out = tmp_path / "out.mkv"
    process = subprocess.Popen(
        _command(clip, out, "--cluster", "ray"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    _until_segments(process, out, 2)
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=90)
    assert process.returncode == 130, said
    assert "Run the same command again to go on" in said
    assert "Traceback" not in said
    assert len(_segments(out)) >= 2
    assert list(out.with_name(f".{out.name}.vsr-work").glob("*.part*")) == []
    done = subprocess.run(_command(clip, out), capture_output=True, text=True, check=False)  # without a cluster
    assert done.returncode == 0, done.stderr
    assert out.read_bytes() == here
