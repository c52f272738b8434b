"""Crops of several scales for one network."""

from __future__ import annotations

import numpy as np
import torch

from vsr.data.crops import Crops, MixedCrops
from vsr.data.examples import Example
from vsr.training.pictures import _side


def crops(scale: int, side: int) -> Crops:
    lr = torch.randint(16, 235, (1, 40, 40), dtype=torch.uint8)
    hr = torch.randint(16, 235, (1, 40 * scale, 40 * scale), dtype=torch.uint8)
    return Crops([Example(name="one", lr=lr, hr=hr)], side=side, scale=scale, domain="y")


def test_a_batch_is_of_one_scale_and_scales_come_by_their_shares() -> None:
    mixed = MixedCrops((crops(4, 8), crops(2, 16)), (0.75, 0.25))
    assert len(mixed) == 2
    drawn = [mixed.draw(2, np.random.default_rng(number)) for number in range(200)]
    assert {tuple(crop.hr.shape) for crop in drawn} == {(2, 1, 32, 32)}
    share = sum(crop.lr.shape[-1] == 16 for crop in drawn) / len(drawn)
    assert 0.15 < share < 0.35


def test_what_is_drawn_depends_on_the_generator_alone() -> None:
    torch.manual_seed(0)
    mixed = MixedCrops((crops(4, 8), crops(2, 16)), (0.5, 0.5))
    first, again = (mixed.draw(3, np.random.default_rng(7)) for _ in range(2))
    assert torch.equal(first.hr, again.hr)


def test_sides_of_other_scales_give_whole_cells_of_about_the_same_size() -> None:
    for scale in range(2, 9):
        side = _side(128, scale) * scale
        assert side % 8 == 0
        assert 96 <= side <= 160
