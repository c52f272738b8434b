"""`vsr evaluate` through the real command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from tests.media import make_clip
from tests.textures import textured

Run = Callable[..., object]


@pytest.fixture
def hr(tmp_path: Path) -> Path:
    folder = tmp_path / "hr"
    folder.mkdir()
    for seed in range(2):
        rgb = (textured(seed, 80, 96) * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
        cv2.imwrite(str(folder / f"{seed}.png"), np.ascontiguousarray(rgb[..., ::-1]))
    return folder


def test_tables_are_printed_and_reports_are_written(vsr: Run, hr: Path, tmp_path: Path) -> None:
    ended = vsr("evaluate", hr, "-m", "espcn", "-s", 2, "-o", tmp_path / "report")
    assert ended.code == 0, ended.err
    assert "PSNR Y dB" in ended.out
    assert "bicubic" in ended.out
    assert "LR: bicubic (MATLAB's" in ended.out
    assert sorted(path.name for path in (tmp_path / "report").iterdir()) == ["report.html", "report.json", "report.md"]
    again = vsr("evaluate", hr, "-m", "espcn", "-s", 2, "-o", tmp_path / "report")
    assert again.code == 6
    assert "--overwrite" in again.err


def test_json_holds_every_figure(vsr: Run, hr: Path) -> None:
    ended = vsr("evaluate", hr, "-m", "espcn", "-s", 3, "--degrade", "gauss+decimate", "--json")
    assert ended.code == 0, ended.err
    last = json.loads(ended.out.splitlines()[-1])
    assert last["event"] == "evaluation"
    assert [model["label"] for model in last["sets"][0]["models"]] == ["bicubic", "espcn"]
    assert last["sets"][0]["lr"].startswith("Gaussian")
    assert len(last["sets"][0]["models"][1]["clips"]) == 2


def test_a_video_is_measured_between_its_frames(vsr: Run, tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mp4", frames=5, width=96, height=72)
    ended = vsr("evaluate", clip, "-m", "espcn", "-s", 2, "--frames-limit", 3, "--metric", "warping_error", "-q")
    assert ended.code == 0, ended.err
    assert "1 clip, 3 frames" in ended.out
    assert "warping err" in ended.out
    assert "PSNR" not in ended.out.splitlines()[1]


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("empty", "-m", "espcn"), 3, "holds no pictures and no videos"),
        (("absent", "-m", "espcn"), 3, "does not exist"),
        (("hr", "-m", "espcm"), 4, "espcn"),
        (("hr", "-m", "espcn", "-s", "7"), 4, "x7"),
        (("hr", "-m", "espcn", "--lr", "empty"), 3, "holds no pictures"),
        (("hr", "-m", "espcn", "--metric", "pnsr_y"), 2, "Did you mean psnr_y?"),
    ],
)
def test_what_cannot_be_is_said(
    vsr: Run, hr: Path, tmp_path: Path, words: tuple[str, ...], code: int, says: str
) -> None:
    (tmp_path / "empty").mkdir()
    ended = vsr("evaluate", *(tmp_path / word if word in ("empty", "absent", "hr") else word for word in words))
    assert ended.code == code, ended.err
    assert says in ended.err
