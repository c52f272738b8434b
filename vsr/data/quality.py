"""Frames that teach nothing: black, blurred, or the same as the one before. Numbers of luma, and measured limits.

All take luma (H, W) float32, black 0 and white 1, as `color` gives it: codes beyond the legal range lie outside.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Luma = NDArray[np.float32]

# Measured on 43 clips of 168 to 960 columns (animation, phones, sports, studio), 7 steps of each and a frame or two:
# `change` of true steps is 0.0074 or more (first percentile 0.0079; one held drawing has 0.0017), that of repeated
# frames through x264 (360 lines, an I-frame each 12) below 0.006 for 96 % of them at crf 18 and 75 % at crf 23.
DUPLICATE = 0.006
# `blurriness` of those clips is 0.15 to 0.53, median 0.31; after a Gaussian blur of 2 pixels its median is 0.62, of 3
# pixels 0.75 (99 % lie above 0.59), of 4 pixels 0.83.
BLURRED = 0.58
# `blackness` of those clips is 0.23 at most; the limit is that of FFmpeg's blackdetect.
BLACK = 0.98

_DARK = 0.10  # FFmpeg's blackdetect: pixel_black_th
_BLUR = 11  # Crete et al. 2007: a low-pass of 9 taps; scikit-image's blur_effect takes 11 by default, and so do we
_CELLS = (16, 9)  # columns, rows


def blackness(luma: Luma) -> float:
    """Give the share of pixels below a tenth of white, 0 to 1 (FFmpeg's `blackdetect`: picture_black_ratio)."""
    return float((luma < _DARK).mean())


def blurriness(luma: Luma) -> float:
    """Give how blurred a picture is, 0 (sharp) to 1: how little it changes when it is blurred once more.

    Crete et al. 2007, "The blur effect", eq. 1 to 8; as scikit-image's `blur_effect` it measures the steps with a
    Sobel filter, and takes the worse of both directions. A picture of one grey is as blurred as can be: 1.
    """
    clipped = np.clip(luma, 0, 1)
    return max(_along(clipped, dx=1, dy=0), _along(clipped, dx=0, dy=1))


def change(before: Luma, after: Luma) -> float:
    """Give how much a picture differs from another of its size: the mean difference in the cell that differs most.

    16 x 9 cells: a mouth that moves in a still room counts as much as a room that moves.
    """
    step = cv2.absdiff(np.clip(before, 0, 1), np.clip(after, 0, 1))
    return float(cv2.resize(step, _CELLS, interpolation=cv2.INTER_AREA).max())


def _along(luma: Luma, *, dx: int, dy: int) -> float:
    size = (_BLUR, 1) if dx else (1, _BLUR)
    smooth = np.asarray(cv2.blur(luma, size, borderType=cv2.BORDER_REFLECT), np.float32)
    steps = _steps(luma, dx, dy)
    lost = np.maximum(0, steps - _steps(smooth, dx, dy))
    total = float(steps.sum())
    return 1.0 - float(lost.sum()) / total if total > 0 else 1.0


def _steps(luma: Luma, dx: int, dy: int) -> NDArray[np.float64]:
    steps = cv2.Sobel(luma, cv2.CV_64F, dx, dy, ksize=3, borderType=cv2.BORDER_REFLECT)
    # Without the rows and columns at the border that scikit-image leaves out too.
    return np.asarray(np.abs(steps)[2:-1, 2:-1], np.float64)
