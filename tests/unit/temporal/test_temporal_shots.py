import numpy as np
import pytest

from vsr.core.frame import Frame, pixel_format
from vsr.temporal.shots import mark_shots, thumbnail


def frame(index: int, luma: np.ndarray, name: str = "gray") -> Frame:
    return Frame(index=index, pts=index, duration=1, planes=(luma,), format=pixel_format(name))


def scene(seed: int, height: int = 90, width: int = 160) -> np.ndarray:
    """A smooth random picture: blobs of a tenth of the picture's size."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (9, 16)).astype(np.uint8)
    return np.kron(small, np.ones((height // 9, width // 16), np.uint8))


def opened(lumas: list[np.ndarray], name: str = "gray") -> list[int]:
    marked = mark_shots(frame(i, luma, name) for i, luma in enumerate(lumas))
    return [f.index for f in marked if f.opens_shot]


@pytest.mark.parametrize("at", [1, 2, 5, 9])
def test_hard_cut_opens_a_shot_wherever_it_falls(at):
    rng = np.random.default_rng(0)
    lumas = [
        np.clip(scene(1 if i < at else 2) + rng.normal(0, 3, (90, 160)), 0, 255).astype(np.uint8) for i in range(10)
    ]
    assert opened(lumas) == [0, at]


def test_pan_noise_and_slow_fade_open_nothing():
    wide = scene(3, 90, 320)
    pan = [wide[:, 4 * i : 4 * i + 160] for i in range(20)]
    assert opened(pan) == [0]
    fade = [(scene(4) * (i / 29)).astype(np.uint8) for i in range(30)]
    assert opened(fade) == [0]
    rng = np.random.default_rng(5)
    noise = [np.clip(scene(5) + rng.normal(0, 25, (90, 160)), 0, 255).astype(np.uint8) for _ in range(10)]
    assert opened(noise) == [0]


def test_answer_is_the_same_at_ten_bits():
    lumas = [scene(1 if i < 4 else 2) for i in range(8)]
    deep = [(luma.astype(np.uint16) << 2) for luma in lumas]
    assert opened(deep, "gray10le") == opened(lumas) == [0, 4]


def test_answer_needs_no_more_than_two_frames_before():
    lumas = [scene(1 if i < 6 else 2) for i in range(12)]
    for begin in range(5):
        part = opened(lumas[begin:])
        assert [i + begin for i in part if i > 0] == [6]


def test_thumbnail_of_a_picture_smaller_than_itself():
    assert thumbnail(np.full((3, 5), 255, np.uint8), 255) == pytest.approx(np.ones((18, 32)))
