"""Generated pictures that have what photographs have: edges of all directions, fine texture, flat areas, colour."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor


def textured(seed: int, height: int = 96, width: int = 96) -> Tensor:
    """Give a picture (3, H, W) in [0, 1], 8-bit values: shapes over a ramp, some of them filled with 1/f texture."""
    rng = np.random.default_rng(seed)
    ramp = np.linspace(0, 1, width)[None, :, None] * rng.uniform(-60, 60, 3) + rng.uniform(70, 180, 3)
    image = np.broadcast_to(ramp, (height, width, 3)).astype(np.float32).copy()
    texture = _pink(rng, height, width)
    for number in range(10):
        mask = np.zeros((height, width), np.uint8)
        points = rng.uniform(0, (width, height), (int(rng.integers(3, 7)), 2)).astype(np.int32)
        cv2.fillPoly(mask, [points], 1, lineType=cv2.LINE_8)
        grain = texture * rng.uniform(10, 40) if number % 2 else 0
        image = np.where(mask[..., None] > 0, rng.uniform(20, 235, 3) + grain, image)
    return torch.from_numpy(image.round().clip(0, 255).astype(np.float32)).permute(2, 0, 1) / 255


def _pink(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)[None])
    frequency[0, 0] = 1
    spectrum = np.fft.fft2(rng.standard_normal((height, width))) / frequency
    plane = np.fft.ifft2(spectrum).real
    return ((plane - plane.mean()) / plane.std())[..., None]
