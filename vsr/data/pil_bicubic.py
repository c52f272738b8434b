"""Bicubic resampling bit for bit as PIL does it, which the published diffusion data sets were made with.

PIL's kernel is MATLAB's (Keys 1981, a = -0.5, widened when shrinking), but borders are cut off and weighed anew where
MATLAB mirrors them, weights are integers of 22 bits, and each pass is rounded to 8 bits. Followed from Pillow's
`Resample.c` (`precompute_coeffs`, `normalize_coeffs_8bpc`), columns first, then rows.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_BITS = 32 - 8 - 2
_SUPPORT = 2.0


def resize_as_pil(frames: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """Give (N, H, W[, 3]) uint8 at another size, equal to `PIL.Image.resize((width, height), BICUBIC)` of each."""
    if width != frames.shape[2]:
        frames = _pass(frames, width, axis=2)
    return _pass(frames, height, axis=1) if height != frames.shape[1] else frames


def _pass(frames: NDArray[np.uint8], target: int, *, axis: int) -> NDArray[np.uint8]:
    index, weight = _coefficients(frames.shape[axis], target)
    shape = [1] * frames.ndim
    shape[axis] = target
    total = np.full((*frames.shape[:axis], target, *frames.shape[axis + 1 :]), 1 << (_BITS - 1), np.int64)
    for tap in range(index.shape[1]):
        total += np.take(frames, index[:, tap], axis=axis) * weight[:, tap].reshape(shape)
    rounded: NDArray[np.uint8] = np.clip(total >> _BITS, 0, 255).astype(np.uint8)
    return rounded


def _coefficients(source: int, target: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Give (target, taps): the source samples that each target sample reads, and their weights times 2**22."""
    step = source / target
    widened = max(step, 1.0)
    support = _SUPPORT * widened
    taps = int(np.ceil(support)) * 2 + 1
    center = (np.arange(target) + 0.5) * step
    # C's conversion to int cuts off, and negative starts are set to 0 afterwards.
    first = np.maximum(np.trunc(center - support + 0.5).astype(np.int64), 0)
    last = np.minimum(np.trunc(center + support + 0.5).astype(np.int64), source)
    offset = np.arange(taps)
    is_read = offset[None] < (last - first)[:, None]
    distance = np.abs((first[:, None] + offset - center[:, None] + 0.5) / widened)
    weight = np.where(is_read, _cubic(distance), 0.0)
    weight /= weight.sum(axis=1, keepdims=True)
    whole = np.trunc(weight * (1 << _BITS) + np.where(weight < 0, -0.5, 0.5)).astype(np.int64)
    return np.minimum(first[:, None] + offset, source - 1), whole


def _cubic(x: NDArray[np.float64]) -> NDArray[np.float64]:
    a = -0.5
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = (((x - 5) * x + 8) * x - 4) * a
    return np.where(x < 1, near, np.where(x < 2, far, 0.0))
