"""Noise by place: white, normal, and a function of its arguments alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from vsr.engines.noise import field, seed_of


def test_it_is_normal_by_kolmogorov_and_smirnov() -> None:
    values = field(1, 200, 300, 2).double().numpy().ravel()
    assert abs(values.mean()) < 4 / np.sqrt(values.size)
    assert stats.kstest(values, "norm").pvalue > 1e-3


def test_it_is_white_in_every_direction() -> None:
    plane = field(2, 256, 256, 1)[0].double()
    power = torch.fft.rfft2(plane).abs().square().flatten()[1:] / plane.numel()
    assert stats.kstest(power.numpy(), "expon").pvalue > 1e-3


@pytest.mark.parametrize("changed", [{"seed": 4}, {"draw": 1}, {"seed": 3 + 2**32}, {"seed": 3 + 2**63}])
def test_another_seed_or_draw_is_another_field(changed: dict[str, int]) -> None:
    given = {"seed": 3, "draw": 0}
    first = field(given["seed"], 64, 64, 1)
    other = {**given, **changed}
    second = field(other["seed"], 64, 64, 1, draw=other["draw"])
    assert abs(float((first * second).mean())) < 0.06  # 4 standard errors: independent


def test_the_first_pixel_of_the_first_seed_is_like_any_other() -> None:
    assert abs(float(field(0, 1, 1, 1))) < 4
    assert float(field(0, 1, 1, 1)) != float(field(0, 1, 1, 1, draw=1))


def test_channels_are_independent() -> None:
    planes = field(5, 64, 64, 3)
    assert abs(float((planes[0] * planes[1]).mean())) < 0.06
    assert abs(float((planes[1] * planes[2]).mean())) < 0.06


@pytest.mark.parametrize("offset", [(3, -7), (-20, 11), (0, 1)])
def test_an_offset_moves_the_field_down_and_right(offset: tuple[int, int]) -> None:
    down, right = offset
    still, moved = field(6, 60, 70, 2), field(6, 60, 70, 2, offset=offset)
    rolled = torch.roll(still, (down, right), (-2, -1))
    rows = slice(max(0, down), 60 + min(0, down))
    columns = slice(max(0, right), 70 + min(0, right))
    assert torch.equal(moved[:, rows, columns], rolled[:, rows, columns])


def test_a_larger_field_begins_with_the_smaller_one() -> None:
    small, large = field(7, 33, 21, 1), field(7, 64, 57, 1)
    torch.testing.assert_close(large[:, :33, :21], small, rtol=0, atol=1e-6)


def test_known_values_do_not_change() -> None:
    """The same seed must give the same film next year: these were taken when the hash was written."""
    found = field(20260101, 2, 2, 1, offset=(1, 0), draw=2).flatten().tolist()
    assert found == pytest.approx(KNOWN, abs=1e-6)


def test_frames_have_seeds_of_their_own() -> None:
    assert len({seed_of(seed, frame) for seed in range(50) for frame in range(50)}) == 2500
    for seed in (0, 3, 2**40):
        first, second = (field(seed_of(seed, frame), 64, 64, 1) for frame in (4, 5))
        assert abs(float((first * second).mean())) < 0.06
        assert torch.equal(first, field(seed_of(seed, 4), 64, 64, 1))


KNOWN = [-0.6179987, -0.0155412, 1.2527031, -0.6996332]
