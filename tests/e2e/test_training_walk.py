"""The walk of docs/training.md, shortened, through the real command line; and a training run that is killed."""

from __future__ import annotations

import json
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import av
import pytest
import torch

from tests.pictures import draw_clip, draw_folder
from vsr.engines import weights

Run = Callable[..., object]
SMALL = ["data.crop=16", "data.batch=8", "run.threads=1", "run.pictures=2"]


def tensors(path: Path) -> dict[str, torch.Tensor]:
    return {key: value for key, value in weights.load(path).state.items() if isinstance(value, torch.Tensor)}


def test_from_a_clip_to_a_trained_model_that_beats_bicubic(vsr: Run, tmp_path: Path) -> None:
    clip = draw_clip(tmp_path / "clip.mp4")

    ended = vsr("extract", clip, tmp_path / "frames")
    assert ended.code == 0, ended.err
    assert "12 pictures from 12 frames" in ended.out

    held_out = tmp_path / "held-out"
    held_out.mkdir()
    for number in (10, 11):
        shutil.move(tmp_path / "frames" / "clip" / f"{number:06d}.png", held_out)

    ended = vsr("prepare", tmp_path / "frames", tmp_path / "data", "--scale", 2, "--frames", 1, "--windows", 10)
    assert ended.code == 0, ended.err
    assert "10 windows, 30 pictures" in ended.out

    run = tmp_path / "run"
    changes = [*SMALL, "schedule.updates=200", "schedule.warm_up=20", "schedule.ema=0.98", "run.validate=200"]
    ended = vsr("train", "espcn", "--data", tmp_path / "data", "--val", held_out, "-o", run, *changes)
    assert ended.code == 0, ended.err
    assert "10 pictures, 2 held out" in ended.err
    assert f"vsr upscale INPUT --model {run / 'espcn-x2.safetensors'}" in ended.out

    trained = run / "espcn-x2.safetensors"
    ended = vsr("evaluate", held_out, "-m", trained, "-s", 2, "--metric", "psnr_y", "--json")
    assert ended.code == 0, ended.err
    bicubic, ours = json.loads(ended.out.splitlines()[-1])["sets"][0]["models"]
    assert (bicubic["label"], ours["label"]) == ("bicubic", "espcn-x2.safetensors")
    # Its last update knows the scene, but never saw these frames; a net that has learnt nothing is bicubic plus noise.
    assert ours["figures"]["psnr_y"] > bicubic["figures"]["psnr_y"] + 0.3

    ended = vsr("upscale", clip, "-o", tmp_path / "larger.mp4", "-m", trained)
    assert ended.code == 0, ended.err
    with av.open(str(tmp_path / "larger.mp4")) as video:
        frames = list(video.decode(video=0))
    assert [(frame.width, frame.height) for frame in frames] == [(288, 224)] * 12


@pytest.mark.parametrize("seed", [random.SystemRandom().randrange(1000)], ids=["a-moment-by-chance"])
def test_a_run_killed_and_resumed_ends_with_the_weights_of_one_that_was_not(
    vsr: Run, tmp_path: Path, seed: int
) -> None:
    photos = draw_folder(tmp_path / "photos", 4)
    changes = [*SMALL, "schedule.updates=120", "run.validate=50", "run.save_s=0"]
    words = ["train", "espcn", "--data", photos, *changes, "--device", "cpu", "-o"]
    assert vsr(*words, tmp_path / "whole").code == 0

    parts = tmp_path / "parts"
    argv = [sys.executable, "-m", "vsr", *map(str, words), str(parts)]
    process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while not (parts / "checkpoint.pt").exists():
            assert process.poll() is None
            time.sleep(0.002)
        time.sleep(random.Random(seed).uniform(0, 0.4))
    finally:
        process.kill()
    assert process.wait() == -signal.SIGKILL, "it had ended before it was killed"
    assert not (parts / "espcn-x2.safetensors").exists()

    ended = vsr(*words, parts, "--resume")
    assert ended.code == 0, ended.err
    assert "going on at update" in ended.err
    first, second = (tensors(folder / "espcn-x2.safetensors") for folder in (tmp_path / "whole", parts))
    assert first.keys() == second.keys()
    assert all(torch.equal(first[key], second[key]) for key in first), f"killed at the moment of seed {seed}"
