"""A model that takes neighbours aligned on the output grid, through the real command line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from tests.media import make_clip, numbers_of, planes_of
from vsr.engines.archs.espcn import Espcn, Layout

FRAMES, CUT = 7, 4


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """An ESPCN of three frames with random weights, in which neighbours count."""
    torch.manual_seed(3)
    net = Espcn(Layout(scale=2, frames=3))
    assert net.temporal is not None
    torch.nn.init.normal_(net.temporal.leave.weight, std=0.3)
    path = tmp_path / "three.safetensors"
    save_file({key: value.contiguous() for key, value in net.state_dict().items()}, path)
    return path


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return make_clip(tmp_path / "in.mkv", width=96, height=64, frames=FRAMES, codec="ffv1", cuts=(CUT,))


def upscaled(vsr, clip: Path, model: Path, *words: object) -> list[np.ndarray]:
    out = clip.with_name("out.mkv")
    ended = vsr("upscale", clip, "-o", out, "-m", model, "--codec", "ffv1", "-q", "--overwrite", *words)
    assert ended.code == 0, ended.err
    return [planes[0].astype(int) for _, planes in planes_of(out)]


def test_frames_in_are_frames_out_and_neighbours_count(vsr, clip, model):
    frames = upscaled(vsr, clip, model)
    assert numbers_of(clip.with_name("out.mkv")) == list(range(FRAMES))
    first = make_clip(clip.with_name("first.mkv"), width=96, height=64, frames=1, codec="ffv1")
    (alone,) = upscaled(vsr, first, model)
    # Frame 0 with its neighbour against frame 0 by itself: the pan of the background has brought something.
    assert np.abs(frames[0] - alone).max() > 0


@pytest.mark.parametrize("words", [("--workers", 3), ("--batch", 2)])
def test_workers_and_batches_change_nothing(words, vsr, clip, model):
    plain = upscaled(vsr, clip, model, "--workers", 1, "--batch", 1)
    for a, b in zip(plain, upscaled(vsr, clip, model, *words), strict=True):
        assert np.abs(a - b).max() <= 1  # a kernel for another shape may round another way


def test_tiles_change_nothing(vsr, clip, model):
    for a, b in zip(upscaled(vsr, clip, model), upscaled(vsr, clip, model, "--tile", 32), strict=True):
        assert np.abs(a - b).max() <= 1


def test_a_shot_is_restored_as_if_it_were_alone(vsr, clip, model):
    whole = upscaled(vsr, clip, model)
    before = upscaled(
        vsr, make_clip(clip.with_name("before.mkv"), width=96, height=64, frames=CUT, codec="ffv1"), model
    )
    for a, b in zip(whole[:CUT], before, strict=True):
        assert np.array_equal(a, b)
