"""Where chroma samples lie: read off from ramps whose value is their place in the picture."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch

from vsr.color.chroma import Grid, grid, resample
from vsr.color.tables import SITINGS
from vsr.core.frame import pixel_format

# Luma coordinates of the first chroma sample of 4:2:0, in half samples (x, y): the drawing of H.273 figure 10.
PLACES_420 = {
    "left": (0, 0.5),
    "center": (0.5, 0.5),
    "topleft": (0, 0),
    "top": (0.5, 0),
    "bottomleft": (0, 1),
    "bottom": (0.5, 1),
}


def places(of: Grid, ratio_x: float = 1.0, ratio_y: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Where the samples lie, rows and columns, on the luma grid of a picture `ratio` times the size."""
    rows, columns = of.shape
    y = (of.offset_y + of.step_y * np.arange(rows) + 0.5) * ratio_y - 0.5
    x = (of.offset_x + of.step_x * np.arange(columns) + 0.5) * ratio_x - 0.5
    return y, x


@pytest.mark.parametrize("siting", sorted(SITINGS))
def test_420_samples_lie_where_the_standard_draws_them(siting: str) -> None:
    made = grid(pixel_format("yuv420p"), siting, 8, 8)
    assert (made.offset_x, made.offset_y) == PLACES_420[siting]
    assert made.shape == (4, 4)


@pytest.mark.parametrize("siting", ["left", "center", "topleft"])
def test_422_has_no_vertical_choice_and_444_none(siting: str) -> None:
    assert grid(pixel_format("yuv422p"), siting, 8, 8).offset_y == 0
    full = grid(pixel_format("yuv444p"), siting, 8, 8)
    assert (full.offset_x, full.offset_y, full.shape) == (0, 0, (8, 8))


@pytest.mark.parametrize("siting", sorted(SITINGS))
@pytest.mark.parametrize("name", ["yuv420p", "yuv422p", "yuv411p", "yuv410p"])
def test_a_frame_onto_its_own_grid_is_untouched(name: str, siting: str) -> None:
    own = grid(pixel_format(name), siting, 33, 27)
    planes = torch.rand(2, *own.shape)
    assert resample(planes, own, own) is planes


@pytest.mark.parametrize("siting", sorted(SITINGS))
@pytest.mark.parametrize("target", ["yuv420p", "yuv422p", "yuv444p"])
@pytest.mark.parametrize("ratio", [Fraction(1), Fraction(3, 2), Fraction(2), Fraction(3), Fraction(4)], ids=str)
def test_chroma_stays_where_it_was_at_any_ratio(siting: str, target: str, ratio: Fraction) -> None:
    """Cubic interpolation reproduces ramps, so a ramp of places must read as the places of the target grid."""
    width, height = 46, 38
    out_width, out_height = int(width * ratio), int(height * ratio)
    source = grid(pixel_format("yuv420p"), siting, width, height)
    wanted = grid(pixel_format(target), siting, out_width, out_height)
    y, x = places(source)
    ramps = torch.from_numpy(np.stack([np.broadcast_to(x, source.shape), np.broadcast_to(y[:, None], source.shape)]))
    moved = resample(ramps, source, wanted).numpy()
    expected_y, expected_x = places(wanted, width / out_width, height / out_height)
    inside_y = (expected_y > y[2]) & (expected_y < y[-3])
    inside_x = (expected_x > x[2]) & (expected_x < x[-3])
    np.testing.assert_allclose(
        moved[0][:, inside_x], np.broadcast_to(expected_x[inside_x], (len(moved[0]), inside_x.sum())), atol=1e-9
    )
    np.testing.assert_allclose(
        moved[1][inside_y], np.broadcast_to(expected_y[inside_y, None], (inside_y.sum(), moved.shape[2])), atol=1e-9
    )


@pytest.mark.parametrize("siting", sorted(SITINGS))
def test_shrinking_444_to_420_keeps_places_too(siting: str) -> None:
    full = Grid(width=40, height=36)
    half = grid(pixel_format("yuv420p"), siting, 40, 36)
    y, x = places(full)
    ramps = torch.from_numpy(np.stack([np.broadcast_to(x, full.shape), np.broadcast_to(y[:, None], full.shape)]))
    moved = resample(ramps, full, half).numpy()
    expected_y, expected_x = places(half)
    np.testing.assert_allclose(moved[0][:, 3:-3], np.broadcast_to(expected_x, half.shape)[:, 3:-3], atol=1e-9)
    np.testing.assert_allclose(moved[1][3:-3], np.broadcast_to(expected_y[:, None], half.shape)[3:-3], atol=1e-9)


def test_odd_sizes_round_up_and_keep_the_left_edge() -> None:
    source = grid(pixel_format("yuv420p"), "left", 35, 21)
    wanted = grid(pixel_format("yuv420p"), "left", 70, 42)
    assert source.shape == (11, 18) and wanted.shape == (21, 35)
    _, x = places(source)
    ramp = torch.from_numpy(np.broadcast_to(x, source.shape).copy())
    expected = places(wanted, 0.5, 0.5)[1]
    np.testing.assert_allclose(resample(ramp, source, wanted)[0].numpy()[6:-6], expected[6:-6], atol=1e-9)
