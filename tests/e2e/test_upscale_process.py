"""What only a process of its own can show: memory, signals, what is printed where."""

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

VSR = [sys.executable, "-m", "vsr"]


def peak_of(clip: Path, out: Path) -> int:
    """Give the peak resident memory in KiB of a run in a process of its own."""
    code = (
        "import resource, sys\nfrom vsr.cli import main\n"
        "assert main(sys.argv[1:]) == 0\nprint(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    words = ["upscale", str(clip), "-o", str(out), "-m", "bicubic", "-q", "--encoder-preset", "ultrafast"]
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=True)
    return int(done.stdout.split()[-1])


def test_memory_does_not_grow_with_the_clip(tmp_path):
    """Peers B4: ten times the frames, the same memory. 3 % and 8 MiB for what allocators do."""
    short = make_clip(tmp_path / "short.mkv", frames=150, width=96, height=64, gop=50)
    long = make_clip(tmp_path / "long.mkv", frames=1500, width=96, height=64, gop=50)
    few, many = (peak_of(clip, tmp_path / f"out-{clip.name}") for clip in (short, long))
    assert many < few * 1.03 + 8 * 1024


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signal_ends_after_the_chunk_in_hand_and_says_how_to_go_on(number, code, tmp_path):
    clip = make_clip(tmp_path / "in.mkv", frames=400, width=320, height=240)
    words = ["upscale", str(clip), "-m", "espcn", "--precision", "fp32", "--json", "--chunk-frames", "25"]
    run = subprocess.Popen([*VSR, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ)
    assert run.stdout is not None
    for line in run.stdout:
        if json.loads(line)["event"] == "progress":
            break
    run.send_signal(number)
    rest, err = run.communicate(timeout=20)
    assert run.returncode == code, err
    error = json.loads(rest.splitlines()[-1])
    assert (error["event"], error["kind"]) == ("error", "Interrupted")
    assert "same command" in error["hint"]
    done = int(error["message"].split(" of ")[0].removeprefix("stopped: "))
    work = tmp_path / ".in_espcn_x2.mkv.vsr-work"
    assert done >= 1
    assert len(list(work.glob("*.nut"))) == done  # the chunk in hand among them, and nothing half-made
    assert not (tmp_path / "in_espcn_x2.mkv").exists()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_second_signal_ends_soon_and_leaves_nothing(number, code, tmp_path):
    clip = make_clip(tmp_path / "in.mkv", frames=400, width=320, height=240)
    words = ["upscale", str(clip), "-m", "espcn", "--precision", "fp32", "--json"]
    run = subprocess.Popen([*VSR, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ)
    assert run.stdout is not None
    for line in run.stdout:
        if json.loads(line)["event"] == "progress":
            break
    began = time.monotonic()
    run.send_signal(number)
    time.sleep(0.3)
    run.send_signal(number)
    rest, err = run.communicate(timeout=20)
    assert time.monotonic() - began < 5
    assert run.returncode == code, err
    assert json.loads(rest.splitlines()[-1])["event"] == "error"
    assert [p.name for p in tmp_path.iterdir()] == ["in.mkv"]


def test_plain_lines_when_piped_and_result_on_stdout(tmp_path):
    clip = make_clip(tmp_path / "in.mkv", frames=5)
    done = subprocess.run([*VSR, "upscale", str(clip), "-m", "nearest"], capture_output=True, text=True, check=True)
    assert "\x1b" not in done.stdout + done.stderr
    assert "5 frames in = 5 frames out" in done.stdout
    assert str(tmp_path / "in_nearest_x2.mkv") in done.stdout


def test_impatient_second_interrupt_tears_nothing(tmp_path):
    clip = make_clip(tmp_path / "in.mkv", frames=400, width=320, height=240)
    words = ["upscale", str(clip), "-m", "espcn", "--precision", "fp32", "--json"]
    run = subprocess.Popen([*VSR, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert run.stdout is not None
    for line in run.stdout:
        if json.loads(line)["event"] == "progress":
            break
    run.send_signal(signal.SIGINT)
    time.sleep(0.1)  # the first asks to finish the chunk, the second unwinds: two at once would be one to the system
    run.send_signal(signal.SIGINT)
    time.sleep(0.002)
    run.send_signal(signal.SIGINT)
    _, err = run.communicate(timeout=20)
    # The third may reach Python after all is done and end it as a signal does: never by a crash.
    assert run.returncode in (130, -signal.SIGINT)
    assert "Traceback" not in err and "terminate" not in err
    assert [p.name for p in tmp_path.iterdir()] == ["in.mkv"]
