"""The part of a picture that is shown, and how it is put beside another."""

from __future__ import annotations

import numpy as np
import pytest

from vsr.core.errors import UsageError
from vsr.core.frame import ColorSpec, Frame, pixel_format
from vsr.jobs.sidebyside import Crop, beside, crop_of, in_rgb, most_detailed, refuse_outside

COLOR = ColorSpec(matrix="bt709", range="tv", siting="left")


def frame(*planes: np.ndarray, name: str = "gray", color: ColorSpec = COLOR) -> Frame:
    return Frame(index=0, pts=0, duration=1, planes=planes, format=pixel_format(name), color=color)


def noisy_at(left: int, top: int, *, width: int = 384, height: int = 192, side: int = 64) -> Frame:
    """Flat but for a square of noise, and one hard edge, which has the largest variance of all."""
    rng = np.random.default_rng(0)
    luma = np.full((height, width), 100, np.uint8)
    luma[:, width - 40 :] = 255
    luma[top : top + side, left : left + side] = rng.integers(60, 190, (side, side))
    return frame(luma)


@pytest.mark.parametrize(("left", "top"), [(0, 0), (120, 56), (280, 128)])
@pytest.mark.parametrize("scale", [1, 2])
def test_the_square_with_texture_is_found(left: int, top: int, scale: int) -> None:
    shown = noisy_at(left, top)
    enlarged = frame(np.kron(shown.planes[0], np.ones((scale, scale), np.uint8)))
    found = most_detailed(enlarged, 384, 192)
    assert (found.width, found.height) == (64, 64)  # a third of the shorter side
    assert abs(found.x - left) <= 8 and abs(found.y - top) <= 8


@pytest.mark.parametrize(("width", "height"), [(1, 1), (5, 300), (64, 48), (70, 70), (640, 360)])
@pytest.mark.parametrize("scale", [0.5, 1.5, 4])
def test_the_square_lies_in_every_picture(width: int, height: int, scale: float) -> None:
    made = np.zeros((max(1, round(height * scale)), max(1, round(width * scale))), np.uint8)
    made[-1, -1] = 255
    refuse_outside(most_detailed(frame(made), width, height), width, height)


def test_halves_are_of_the_same_place_at_the_results_size() -> None:
    left = frame(np.arange(60 * 90, dtype=np.uint16).reshape(60, 90), name="gray16le")
    right = frame(left.planes[0] + np.uint16(1), name="gray16le")
    pair = beside(left, right, Crop(x=4, y=6, width=10, height=8), 60, 40).planes[0]  # 1.5 times the source
    assert pair.shape == (12, 15 + 2 + 15) and pair.dtype == np.uint16
    np.testing.assert_array_equal(pair[:, :15], left.planes[0][9:21, 6:21])
    np.testing.assert_array_equal(pair[:, 17:], right.planes[0][9:21, 6:21])
    assert (pair[:, 15:17] == 65535).all()


def test_grey_of_limited_range_becomes_full_range_as_a_png_holds_it() -> None:
    codes = np.array([[16, 235, 126, 0]], np.uint8)
    made = in_rgb(frame(codes, name="gray"))
    assert made.format.name == "gray"
    deep = in_rgb(frame(np.array([[64, 940, 500]], np.uint16), name="gray10le"))
    assert deep.format.name == "gray16le"
    np.testing.assert_array_equal(deep.planes[0], [[0, 65535, round((500 - 64) / 876 * 65535)]])


def test_rgb_stays_as_it_is_and_odd_depths_are_widened_exactly() -> None:
    full = ColorSpec(matrix="gbr", range="pc", siting="left")
    planes = tuple(np.array([[0, 4095, 1234 + k]], np.uint16) for k in range(3))
    made = in_rgb(frame(*planes, name="gbrp12le", color=full))
    assert made.format.name == "gbrp16le"
    for plane, codes in zip(made.planes, planes, strict=True):
        np.testing.assert_array_equal(plane, np.floor(codes / 4095 * 65535 + 0.5))
    same = frame(*(np.zeros((2, 2), np.uint8) for _ in range(3)), name="gbrp", color=full)
    assert in_rgb(same) is same


@pytest.mark.parametrize("text", ["", "1,2,3", "1,2,3,x", "0,0,0,5", "-1,0,5,5", "1,2,3,4,5"])
def test_no_crop_is_a_usage_error(text: str) -> None:
    with pytest.raises(UsageError, match="no part of a picture"):
        crop_of(text)
    assert crop_of("1,2,3,4") == Crop(x=1, y=2, width=3, height=4)
