"""Figures between frames, on motion that is known."""

from __future__ import annotations

import pytest
import torch

from tests.textures import textured
from vsr.evaluation import protocol
from vsr.evaluation.video import motion, temporal_error, warping_error


def panned(by: int, seed: int = 5) -> tuple[torch.Tensor, torch.Tensor]:
    """Give luma (120, 160) before and after a pan of `by` pixels to the left."""
    y = protocol.luma((textured(seed, 120, 160 + by) * 255).round().double())
    return y[:, :160], y[:, by:]


def test_a_pan_that_the_result_follows_leaves_little_error_where_it_was_seen() -> None:
    before, after = panned(4)
    moved = motion(before, after)
    still = float(((after - before) ** 2).mean().sqrt())
    followed = warping_error(before, after, moved)
    assert followed is not None
    assert followed < still / 4
    assert 0.6 < moved.seen_share < 1  # what the pan brings in at the right was not seen before
    assert not moved.is_seen[:, -2:].any()


def test_the_motion_of_a_pan_is_the_pan() -> None:
    before, after = panned(4)
    moved = motion(before, after)
    columns = torch.arange(160).expand(120, -1).numpy()
    shift = (moved.columns - columns)[moved.is_seen]
    assert float(torch.from_numpy(shift).median()) == pytest.approx(4, abs=0.1)  # flow is good to a tenth of a pixel


def test_flicker_raises_both_errors_by_what_it_is() -> None:
    before, after = panned(0)
    moved = motion(before, after)
    assert warping_error(before, after, moved) == pytest.approx(0, abs=1e-9)
    assert warping_error(before, after + 5, moved) == pytest.approx(5, abs=0.3)  # flow of equal frames is nearly 0
    assert temporal_error(before, after + 5, before, after) == pytest.approx(5)


def test_an_error_that_stays_is_no_temporal_error() -> None:
    before, after = panned(3)
    assert temporal_error(before + 9, after + 9, before, after) == pytest.approx(0)
