"""Figures between frames of a clip: what trembles in the restored one and not in HR.

HR's motion is found once a frame and shared by all models. Frames come in order; the first of a shot has no figure.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from torch import Tensor

Plane = NDArray[np.float64]
Pixels = NDArray[np.float32]

SMALLEST = 32  # pixels a side, below which optical flow has nothing to hold on to
# Sundaram, Brox and Keutzer 2010, eq. 5: where there and back differ by more, the pixel is occluded.
_SHARE, _SLACK = 0.01, 0.5


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Motion:
    """Where each pixel of a frame was in the frame before: columns and rows (H, W), and whether it was seen there."""

    columns: Pixels
    rows: Pixels
    is_seen: NDArray[np.bool_]

    @property
    def seen_share(self) -> float:
        """Share of the picture that is not occluded."""
        return float(self.is_seen.mean())


def motion(before: Tensor, after: Tensor) -> Motion:
    """Find HR's motion from luma codes (H, W) to those of the next frame: DIS flow (Kroeger et al. 2016) both ways."""
    first, second = (np.ascontiguousarray(plane.numpy().astype(np.uint8)) for plane in (before, after))
    back = _flow(second, first)
    there = _flow(first, second)
    height, width = first.shape
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    columns, rows = columns + back[..., 0], rows + back[..., 1]
    returned = cv2.remap(there, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    apart = ((back + returned) ** 2).sum(axis=2)
    allowed = _SHARE * ((back**2).sum(axis=2) + (returned**2).sum(axis=2)) + _SLACK
    inside = (columns >= 0) & (columns <= width - 1) & (rows >= 0) & (rows <= height - 1)
    return Motion(columns=columns, rows=rows, is_seen=(apart <= allowed) & inside)


def warping_error(before: Tensor, after: Tensor, moved: Motion) -> float | None:
    """Give the RMS difference, in codes, of a frame (H, W) to the one before moved onto it, where it was seen.

    None where nothing was. After Lai et al. 2018 (arXiv 1808.00449), eq. 11, whose flow is of the source too.
    """
    if not moved.is_seen.any():
        return None
    warped = cv2.remap(before.numpy(), moved.columns, moved.rows, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    error = (after.numpy() - warped)[moved.is_seen]
    return float(np.sqrt((error**2).mean()))


def temporal_error(sr_before: Tensor, sr_after: Tensor, hr_before: Tensor, hr_after: Tensor) -> float:
    """Give the RMS, in codes, of the restored frame's change less HR's: 0 if it changes as HR does, right or wrong."""
    return float((((sr_after - sr_before) - (hr_after - hr_before)) ** 2).mean().sqrt())


def _flow(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> Pixels:
    """Give, for each pixel of `first`, how far right and down it lies in `second`: (H, W, 2)."""
    flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    return np.asarray(flow.calc(first, second, np.zeros((*first.shape, 2), np.float32)), np.float32)
