"""Turned planes against numpy's own turning, and chroma against a field whose value is known at every place."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from vsr.color.chroma import grid
from vsr.color.convert import decode_planes, encode_planes
from vsr.color.turning import turned, turned_grid
from vsr.core.frame import ColorSpec, pixel_format
from vsr.core.turn import UPRIGHT, Turn, turn_of

EVERY = [Turn(swaps=s, flips_x=x, flips_y=y) for s, x, y in itertools.product((False, True), repeat=3)]
# What numpy does for each display matrix: degrees counter-clockwise, then mirrored left to right or not.
MATRICES = {
    (1, 0, 0, 1): lambda p: p,
    (0, -1, 1, 0): np.rot90,
    (-1, 0, 0, -1): lambda p: np.rot90(p, 2),
    (0, 1, -1, 0): lambda p: np.rot90(p, 3),
    (-1, 0, 0, 1): np.fliplr,
    (1, 0, 0, -1): np.flipud,
}


def matrix(a: int, b: int, c: int, d: int) -> tuple[int, ...]:
    one = 1 << 16
    return a * one, b * one, 0, c * one, d * one, 0, 0, 0, 1 << 30


@pytest.mark.parametrize("numbers", MATRICES)
def test_a_display_matrix_turns_as_numpy_does(numbers):
    plane = np.arange(12, dtype=np.uint8).reshape(3, 4)
    turn = turn_of(matrix(*numbers))
    assert turn is not None
    np.testing.assert_array_equal(turned(torch.from_numpy(plane.copy()), turn).numpy(), MATRICES[numbers](plane))


def test_a_matrix_that_is_no_quarter_turn_has_no_turn():
    half = round(2**16 * 0.70710678)
    assert turn_of((half, half, 0, -half, half, 0, 0, 0, 1 << 30)) is None
    assert turn_of(()) == UPRIGHT


@pytest.mark.parametrize("turn", EVERY)
@pytest.mark.parametrize("siting", ["left", "topleft", "center", "bottom"])
@pytest.mark.parametrize("size", [(8, 6), (9, 7), (8, 7)])
def test_a_turned_grid_says_where_the_samples_lie(turn, siting, size):
    """A field that is its own place: after turning, each sample must say the place that it came from."""
    before = grid(pixel_format("yuv420p"), siting, *size)
    after = turned_grid(before, turn)
    rows, columns = before.shape
    x = torch.arange(columns) * before.step_x + before.offset_x
    y = torch.arange(rows) * before.step_y + before.offset_y
    across, down = turned(x.expand(rows, columns), turn), turned(y[:, None].expand(rows, columns), turn)
    for row, column in itertools.product(range(after.shape[0]), range(after.shape[1])):
        place = (column * after.step_x + after.offset_x, row * after.step_y + after.offset_y)
        assert unturned(place, turn, size) == (float(across[row, column]), float(down[row, column]))


def unturned(place: tuple[float, float], turn: Turn, size: tuple[int, int]) -> tuple[float, float]:
    """Where a place of the turned picture was: by flipping back, then swapping back."""
    width, height = (size[1], size[0]) if turn.swaps else size
    x = width - 1 - place[0] if turn.flips_x else place[0]
    y = height - 1 - place[1] if turn.flips_y else place[1]
    return (y, x) if turn.swaps else (x, y)


@pytest.mark.parametrize("turn", EVERY)
@pytest.mark.parametrize("name", ["yuv420p", "yuv422p10le", "yuv444p", "gray", "gbrp"])
@pytest.mark.parametrize("siting", ["left", "center"])
def test_pictures_of_a_gradient_turn_as_a_whole(turn, name, siting):
    """Encoding turned = turning what was encoded, wherever the chroma samples come to lie: a plane is a gradient."""
    fmt, color = pixel_format(name), ColorSpec(matrix="bt709", range="pc", siting=siting)
    color = ColorSpec(matrix="gbr", range="pc", siting=siting) if fmt.family == "rgb" else color
    width, height = 16, 12
    planes = []
    for number in range(fmt.plane_count):
        rows, columns = fmt.plane_shape(number, width, height)
        where = grid(fmt, siting, width, height) if number else grid(pixel_format("yuv444p"), siting, width, height)
        x = np.arange(columns) * where.step_x + where.offset_x
        y = np.arange(rows) * where.step_y + where.offset_y
        ramp = fmt.peak * (0.2 + 0.03 * x[None, :] + 0.02 * y[:, None])
        planes.append(torch.from_numpy(np.round(ramp).astype(np.int16 if fmt.depth > 8 else np.uint8)))
    decoded = decode_planes(planes, fmt, color, "y" if fmt.family != "rgb" else "rgb")
    made = encode_planes(
        decoded.data, decoded.chroma, None, fmt, color, source_format=fmt, source_color=color, turn=turn
    )
    for number, plane in enumerate(made):
        size = (height, width) if turn.swaps else (width, height)
        where = grid(fmt, siting, *size) if number else grid(pixel_format("yuv444p"), siting, *size)
        assert tuple(plane.shape) == fmt.plane_shape(number, *size)
        inner = [(r, c) for r in range(1, plane.shape[0] - 1) for c in range(1, plane.shape[1] - 1)]
        for row, column in inner:
            place = (column * where.step_x + where.offset_x, row * where.step_y + where.offset_y)
            x, y = unturned(place, turn, (width, height))
            wanted = fmt.peak * (0.2 + 0.03 * x + 0.02 * y)
            assert abs(float(plane[row, column]) - wanted) <= 0.012 * fmt.peak, (number, row, column)
