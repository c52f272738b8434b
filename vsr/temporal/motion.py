"""Motion between two luma pictures, precise to hundredths of a pixel where the pictures allow it.

Dense flow finds the displacements; two explanations of it are then refined on the pictures themselves: one parametric
model for the whole picture (`vsr.temporal.parametric`), and least squares around each pixel (`vsr.temporal.flow`).
Errors average out in a fit, so a pixel takes the model wherever it explains the picture as well, and neither where
neither does: confidence says how far to believe. `vsr.temporal.align` is who uses it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from vsr.temporal.flow import GREY, Floats, grid, local_flow, mean_around, sample, slopes, start_flow
from vsr.temporal.parametric import Model, fit

Explained = Literal["still", "translation", "affine", "homography", "local", "none"]

BLUR = 1.0  # px, sigma: 0.8 leaves more aliasing, 1.3 less picture
AROUND = 1.7  # px, standard deviation of the surrounding in which explanations are compared and believed
AS_GOOD = 1.15  # the model may leave this much more error than the local flow
NOISE = 1.0  # grey levels: error that quantisation and a good codec leave anywhere
SURE, LOST = 0.22, 0.38  # px of displacement that would explain the error left: believed fully up to, not at all from
LEAST_EXPLAINED = 0.2  # of the picture: where less is explained, what is may be chance
WHOLE = 0.97  # of what is explained: a model that explains so much is taken for all of it
BORDER = 1.5  # px that interpolation reads around a position


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Motion:
    """Where the pixels of a centre picture lie in its neighbour.

    flow: (H, W, 2) float32, (dx, dy) in pixels: the centre's pixel p lies at p + flow[p] in the neighbour.
    confidence: (H, W) float32 in [0, 1]; 0 where the neighbour does not show what the centre shows.
    kind: the explanation that most of the confident pixels take. shift: the one displacement (dx, dy) of every
    pixel where a single one explains them all, else None.
    """

    flow: Floats
    confidence: Floats
    kind: Explained
    shift: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        if self.flow.shape != (*self.confidence.shape, 2):
            raise ValueError(f"flow {self.flow.shape} and confidence {self.confidence.shape} do not fit together")


def estimate(center: Floats, neighbour: Floats) -> Motion:
    """Give the motion from a centre picture to its neighbour: luma (H, W) float32, black 0 and white 1.

    A function of the two pictures alone: number of threads and calls before do not change it. Identical pictures
    give exactly no motion, with full confidence.
    """
    if center.shape != neighbour.shape:
        raise ValueError(f"pictures differ in size: {center.shape} and {neighbour.shape}")
    if np.array_equal(center, neighbour):
        return still(*center.shape)
    a, b = _prepared(center), _prepared(neighbour)
    start = start_flow(a, b)
    model = fit(a, b, start)
    return _chosen(a, b, model, local_flow(a, b, start))


def still(height: int, width: int) -> Motion:
    """Give no motion at all, fully believed."""
    flow = np.zeros((height, width, 2), np.float32)
    return Motion(flow=flow, confidence=np.ones((height, width), np.float32), kind="still", shift=(0.0, 0.0))


def unknown(height: int, width: int) -> Motion:
    """Give a motion that nobody believes: its differences are zero."""
    flow = np.zeros((height, width, 2), np.float32)
    return Motion(flow=flow, confidence=np.zeros((height, width), np.float32), kind="none", shift=(0.0, 0.0))


def _prepared(luma: Floats) -> Floats:
    """Give luma in grey levels, without the frequencies that aliasing and codecs spoil most."""
    grey = luma.astype(np.float32) * np.float32(GREY)
    return np.asarray(cv2.GaussianBlur(grey, (0, 0), BLUR, borderType=cv2.BORDER_REPLICATE), np.float32)


def _chosen(a: Floats, b: Floats, model: Model, local: Floats) -> Motion:
    """Take for each pixel the model, where it explains about as much as the local flow does, else the local flow."""
    of_all = model.flow(*a.shape)
    error_of_all, error_of_local = _error(a, b, of_all), _error(a, b, local)
    by_model = error_of_all <= error_of_local * AS_GOOD + NOISE**2
    flow = np.where(by_model[..., None], of_all, local)
    error = np.where(by_model, error_of_all, error_of_local)
    confidence = _confidence(a, error) * _inside(flow)
    believed = confidence > 0
    if float(believed.mean()) < LEAST_EXPLAINED:
        return unknown(*a.shape)
    share = float(by_model[believed].mean())
    if share >= WHOLE:
        flow = of_all
        confidence = _confidence(a, error_of_all) * _inside(flow)
    return Motion(
        flow=flow.astype(np.float32),
        confidence=confidence,
        kind=model.kind if share > 0.5 else "local",
        shift=model.shift if share >= WHOLE else None,
    )


def _error(a: Floats, b: Floats, flow: Floats) -> Floats:
    """Give the mean squared error around each pixel, grey levels squared, of `a` against `b` displaced."""
    x, y = grid(*a.shape)
    return mean_around(np.square(a - sample(b, x + flow[..., 0], y + flow[..., 1])), AROUND)


def _confidence(a: Floats, error: Floats) -> Floats:
    """Give 1 where the error is one that a small displacement would leave, falling to 0 where it is more."""
    dx, dy = slopes(a)
    slope = mean_around(np.asarray((np.square(dx) + np.square(dy)) / 2, np.float32), AROUND)
    displacement = np.sqrt(np.maximum(error - NOISE**2, 0) / (slope + NOISE**2))
    return np.asarray(np.clip((LOST - displacement) / (LOST - SURE), 0, 1), np.float32)


def _inside(flow: Floats) -> NDArray[np.bool_]:
    """Say which pixels lie inside the neighbour with all that interpolation reads."""
    height, width = flow.shape[:2]
    x, y = grid(height, width)
    x, y = x + flow[..., 0], y + flow[..., 1]
    still_there = (np.abs(flow[..., 0]) < 1e-3) & (np.abs(flow[..., 1]) < 1e-3)
    inside = (x >= BORDER) & (x <= width - 1 - BORDER) & (y >= BORDER) & (y <= height - 1 - BORDER)
    return np.asarray(inside | still_there)
