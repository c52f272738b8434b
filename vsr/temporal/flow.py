"""Displacements pixel by pixel: found by dense inverse search, refined by least squares on the pictures.

Kroeger et al. 2016 (DIS, OpenCV's implementation) finds them; Lucas and Kanade 1981 refines. Pictures here are luma in
grey levels, float32 (H, W); flows are (H, W, 2) float32, (dx, dy) in pixels.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

GREY = 255.0
SMALLEST = 16  # px: dense search needs patches; below it the search begins at no motion
FINER_BELOW = 200  # px: searched down to half size, larger pictures to a quarter: no gain was measured there
STEEP = 0.7  # of OpenCV's cubic in ours: a = -0.75 * 0.7
ROUNDS = 2
AROUND = 3.0  # px, standard deviation of the surrounding that shares one displacement
STEADY = 1.0  # grey levels squared a px squared: where the picture has less slope, the start is kept
FARTHEST = 1.0  # px that a refinement may move a displacement a round
TRUST = 6.0  # grey levels: an error of this size halves a pixel's say


def start_flow(a: Floats, b: Floats) -> Floats:
    """Give a first flow from `a` to `b`, right to about a quarter of a pixel, smooth across noise."""
    if min(a.shape) < SMALLEST:
        return np.zeros((*a.shape, 2), np.float32)
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    if min(a.shape) < FINER_BELOW:
        search.setFinestScale(1)
    found = search.calc(_eight_bits(a), _eight_bits(b), None)  # type: ignore[call-overload]
    return np.asarray(found, np.float32)


def local_flow(a: Floats, b: Floats, start: Floats) -> Floats:
    """Refine a flow by least squares over the surrounding of each pixel."""
    flow = start
    for _ in range(ROUNDS):
        flow = _refined(_linearised(a, b, flow), flow)
    return flow


def grid(height: int, width: int) -> tuple[Floats, Floats]:
    """Give the x of each column (1, W) and the y of each row (H, 1)."""
    return np.arange(width, dtype=np.float32)[None, :], np.arange(height, dtype=np.float32)[:, None]


def sample(picture: Floats, x: Floats, y: Floats) -> Floats:
    """Give the cubic interpolation of (H, W) at positions; outside, the edge."""
    return next(sample_each([picture], x, y))


def sample_each(pictures: Iterable[Floats], x: Floats, y: Floats) -> Iterator[Floats]:
    """Yield the cubic interpolation of each picture (H, W) at the same positions; outside, the edge.

    Keys 1981 with a = -0.525: measured, slopes and fine texture are then displaced alike, by nearly nothing. OpenCV's
    a = -3/4 displaces a slope by up to 1/40 px. Its weights are w0 + a g; w0, of a = 0, is linear interpolation at a
    smoothed fraction. A mean of both has any a between, in each direction; what differs is what varies in both
    directions at once, by less than 1/1000 of a slope's step.
    """
    whole_x, whole_y = np.floor(x), np.floor(y)
    smooth_x, smooth_y = whole_x + _smoothed(x - whole_x), whole_y + _smoothed(y - whole_y)
    for picture in pictures:
        steep = cv2.remap(picture, x, y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        flat = cv2.remap(picture, smooth_x, smooth_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        yield np.asarray(cv2.addWeighted(steep, STEEP, flat, 1 - STEEP, 0), np.float32)


def _smoothed(fraction: Floats) -> Floats:
    return fraction * fraction * (3 - 2 * fraction)


def mean_around(values: Floats, deviation: float) -> Floats:
    """Give the mean of the square around each pixel that has this standard deviation (px) in each direction."""
    side = 2 * round(deviation * 3**0.5) + 1
    return np.asarray(cv2.blur(values, (side, side), borderType=cv2.BORDER_REPLICATE), np.float32)


def slopes(picture: Floats) -> tuple[Floats, Floats]:
    """Give the derivatives of a picture, grey levels a pixel."""
    dx = cv2.Scharr(picture, cv2.CV_32F, 1, 0, scale=1 / 32)
    dy = cv2.Scharr(picture, cv2.CV_32F, 0, 1, scale=1 / 32)
    return np.asarray(dx, np.float32), np.asarray(dy, np.float32)


def _eight_bits(picture: Floats) -> NDArray[np.uint8]:
    return np.clip(np.rint(picture), 0, GREY).astype(np.uint8)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Terms:
    """Two pictures around a flow: weight and slopes of each pixel, error left, and the displacement it is left at."""

    wx: Floats
    wy: Floats
    gx: Floats
    gy: Floats
    error: Floats


def _linearised(a: Floats, b: Floats, flow: Floats) -> _Terms:
    """Linearise around a flow; the error is that of no displacement, as far as the slopes tell."""
    x, y = grid(*a.shape)
    warped = sample(b, x + flow[..., 0], y + flow[..., 1])
    gx, gy = slopes(np.asarray((a + warped) / 2, np.float32))
    error = a - warped
    weight = np.asarray(1 / (1 + np.square(error / TRUST)), np.float32)
    return _Terms(wx=weight * gx, wy=weight * gy, gx=gx, gy=gy, error=error + gx * flow[..., 0] + gy * flow[..., 1])


def _refined(terms: _Terms, flow: Floats) -> Floats:
    """Give the displacement that fits best around each pixel; where the picture has no slope, the mean flow there.

    What is solved for is the way from the mean flow: it varies over the surrounding less than the flow itself.
    """
    mean = mean_around(flow, AROUND)
    error = terms.error - terms.gx * mean[..., 0] - terms.gy * mean[..., 1]
    products = (terms.wx * terms.gx, terms.wx * terms.gy, terms.wy * terms.gy, terms.wx * error, terms.wy * error)
    xx, xy, yy, xe, ye = (mean_around(product, AROUND) for product in products)
    xx, yy = xx + STEADY, yy + STEADY
    determinant = xx * yy - xy * xy
    dx = np.clip((yy * xe - xy * ye) / determinant, -FARTHEST, FARTHEST)
    dy = np.clip((xx * ye - xy * xe) / determinant, -FARTHEST, FARTHEST)
    return np.stack([mean[..., 0] + dx, mean[..., 1] + dy], axis=-1)
