"""Bit for bit PIL."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from vsr.data.pil_bicubic import resize_as_pil


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ((16, 16), (128, 128)),
        ((128, 128), (16, 16)),
        ((37, 53), (37, 128)),
        ((53, 37), (19, 37)),
        ((7, 5), (31, 3)),
        ((1, 1), (4, 4)),
        ((240, 320), (128, 128)),
        ((9, 9), (9, 9)),
    ],
)
def test_it_is_pil_bit_for_bit(source: tuple[int, int], target: tuple[int, int]) -> None:
    frames = np.random.default_rng(1).integers(0, 256, (2, *source, 3), dtype=np.uint8)
    frames[1] = np.where(frames[1] > 127, 255, 0)  # overshoots everywhere
    size = (target[1], target[0])
    theirs = np.stack([np.asarray(Image.fromarray(f).resize(size, Image.Resampling.BICUBIC)) for f in frames])
    assert (resize_as_pil(frames, *target) == theirs).all()
    grey = np.asarray(Image.fromarray(frames[0, ..., 0]).resize(size, Image.Resampling.BICUBIC))
    assert (resize_as_pil(frames[:1, ..., 0], *target)[0] == grey).all()
