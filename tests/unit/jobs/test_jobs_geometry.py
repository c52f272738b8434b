from fractions import Fraction

import pytest

from vsr.core.errors import UsageError
from vsr.core.frame import ColorSpec
from vsr.core.media import VideoInfo
from vsr.jobs.geometry import target


def video(width: int, height: int, sar: Fraction = Fraction(1)) -> VideoInfo:
    return VideoInfo(
        index=0,
        codec="h264",
        width=width,
        height=height,
        pixel_format="yuv420p",
        coded_pixel_format="yuv420p",
        color=ColorSpec(),
        time_base=Fraction(1, 25),
        rate=Fraction(25),
        sar=sar,
    )


@pytest.mark.parametrize(("scale", "size"), [(2, (1280, 720)), (3, (1920, 1080)), (1.5, (960, 540)), (0.5, (320, 180))])
def test_scale_multiplies_the_size(scale, size):
    made = target(video(640, 360), scale=scale, width=None, height=None)
    assert (made.width, made.height) == size
    assert made.wanted == Fraction(scale)
    assert made.sar == 1


def test_one_side_gives_the_other_in_proportion_and_even():
    made = target(video(719, 405), scale=2, width=None, height=1080)
    assert (made.width, made.height) == (1918, 1080)
    assert made.sar == 1


def test_both_sides_keep_the_shape_on_the_screen_through_sar():
    made = target(video(720, 576, Fraction(64, 45)), scale=2, width=1920, height=1080)
    assert (made.width, made.height) == (1920, 1080)
    before = Fraction(720, 576) * Fraction(64, 45)
    assert Fraction(1920, 1080) * made.sar == before


def test_model_must_reach_the_larger_ratio():
    assert target(video(100, 100), scale=2, width=150, height=300).wanted == 3


def test_no_pixels_left_is_refused():
    with pytest.raises(UsageError, match="no pixels"):
        target(video(4, 4), scale=0.01, width=None, height=None)
