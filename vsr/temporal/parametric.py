"""One motion model for a whole picture: translation, affine or homography, the simplest that explains it.

A robust fit to dense flow finds the model; Gauss-Newton on the pictures themselves (Baker and Matthews 2004, forwards
additive, with the mean of both pictures' slopes as in efficient second-order minimisation, Malis 2004) makes it
precise: over n pixels errors fall with sqrt(n).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from vsr.temporal.flow import Floats, grid, sample, slopes

Kind = Literal["still", "translation", "affine", "homography"]

PARAMETERS: dict[Kind, int] = {"still": 0, "translation": 2, "affine": 6, "homography": 8}
MOST_SAMPLES = 4_000  # of the flow that a model is fitted to
MOST_PIXELS = 30_000  # of the picture that Gauss-Newton reads: more were measured not to make it more precise
ROUNDS: dict[Kind, int] = {"still": 0, "translation": 3, "affine": 2, "homography": 3}
TRUST = 4.0  # grey levels, least scale of an error that halves a pixel's say
WORTH = 100.0  # that the error must fall for a parameter, in units of a pixel's mean error: neighbours err together
SMALLEST = 0.01  # robust error, 0..1, that no picture is below: 0.4 grey levels
STILL = 0.01  # px: less motion than this is none


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Model:
    """A motion model: where the pixel (x, y) of the centre lies, as polynomial over coordinates scaled to [-1, 1].

    parameters: (8,) float64. dx = p0 + p2 u + p3 v + u (p6 u + p7 v), dy = p1 + p4 u + p5 v + v (...): the
    homography's first-order form, exact for the others.
    """

    kind: Kind
    parameters: NDArray[np.float64]

    @property
    def shift(self) -> tuple[float, float] | None:
        """The one displacement (dx, dy) of every pixel, if there is one."""
        if self.kind not in ("still", "translation"):
            return None
        return float(self.parameters[0]), float(self.parameters[1])

    def flow(self, height: int, width: int) -> Floats:
        """Give the displacement of every pixel: (H, W, 2) float32."""
        x, y = grid(height, width)
        dx, dy = _displacement(self.parameters, *_scaled(x, y, height, width))
        return np.stack([np.broadcast_to(dx, (height, width)), np.broadcast_to(dy, (height, width))], -1)


def fit(a: Floats, b: Floats, flow: Floats) -> Model:
    """Give the simplest model that moves `a` onto `b`, starting from a dense flow between them."""
    pixels = _picked(a, b)
    parameters = _from_flow(flow)
    costs: dict[Kind, float] = {}
    found: dict[Kind, NDArray[np.float64]] = {}
    for kind in ("homography", "affine", "translation"):
        start = np.where(np.arange(8) < PARAMETERS[kind], parameters, 0.0)
        parameters, costs[kind] = _refined(pixels, start, kind)
        found[kind] = parameters
    return _simplest(found, costs, pixels.value.size)


def _simplest(found: dict[Kind, NDArray[np.float64]], costs: dict[Kind, float], count: int) -> Model:
    """Give the model whose error and parameters together cost least; a translation of nearly nothing is stillness.

    costs: mean robust error over `count` pixels, relative to each other.
    """
    least = max(min(costs.values()), SMALLEST)
    kind = min(found, key=lambda k: count * costs[k] / least + WORTH * PARAMETERS[k])
    if kind == "translation" and float(np.abs(found[kind][:2]).max()) < STILL:
        return Model(kind="still", parameters=np.zeros(8))
    return Model(kind=kind, parameters=found[kind])


def _scaled(x: Floats, y: Floats, height: int, width: int) -> tuple[Floats, Floats]:
    """Give coordinates in [-1, 1] over the longer side, so that all parameters are displacements in pixels."""
    half = max(height, width) / 2
    return ((x - (width - 1) / 2) / half).astype(np.float32), ((y - (height - 1) / 2) / half).astype(np.float32)


def _displacement(parameters: NDArray[np.float64], u: Floats, v: Floats) -> tuple[Floats, Floats]:
    """Give dx and dy at places u (1, columns), v (rows, 1)."""
    p = parameters.astype(np.float32)
    bend = p[6] * u + p[7] * v
    return p[0] + p[2] * u + p[3] * v + u * bend, p[1] + p[4] * u + p[5] * v + v * bend


def _changes(gx: Floats, gy: Floats, u: Floats, v: Floats, count: int) -> Floats:
    """Give what each of the first `count` parameters changes where dx counts gx and dy counts gy: (count, pixels)."""
    parts = [gx, gy]
    if count > 2:
        parts += [gx * u, gx * v, gy * u, gy * v]
    if count > 6:
        outwards = gx * u + gy * v
        parts += [outwards * u, outwards * v]
    return np.stack(np.broadcast_arrays(*parts)).reshape(count, -1)


def _normal(changes: Floats, weight: Floats, wanted: Floats) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Give the normal equations' matrix and right side.

    Summed by NumPy itself: a linear algebra library's threads would wait for each other in every worker, and their
    number would be part of the result.
    """
    weighted = changes * weight.reshape(-1)
    count = len(changes)
    matrix = np.empty((count, count))
    for i in range(count):
        matrix[i, i:] = matrix[i:, i] = (weighted[i] * changes[i:]).sum(-1)
    return matrix, (weighted * wanted.reshape(-1)).sum(-1).astype(np.float64)


def _from_flow(flow: Floats) -> NDArray[np.float64]:
    """Fit the richest model to a flow, robustly: those pixels count that the fit before explains."""
    height, width = flow.shape[:2]
    down, across = _strides(height, width, MOST_SAMPLES)
    x, y = grid(height, width)
    u, v = _scaled(x[:, ::across], y[::down], height, width)
    coarse_x, coarse_y = flow[::down, ::across, 0], flow[::down, ::across, 1]
    one, none = np.ones_like(coarse_x), np.zeros_like(coarse_x)
    in_x, in_y = _changes(one, none, u, v, 8), _changes(none, one, u, v, 8)
    parameters = np.zeros(8)
    parameters[:2] = np.median(coarse_x), np.median(coarse_y)
    timid = np.where(np.arange(8) < 2, 0.0, 1e-3 / 8)
    for _ in range(8):
        dx, dy = _displacement(parameters, u, v)
        left_x, left_y = coarse_x - dx, coarse_y - dy
        distance = np.hypot(left_x, left_y)
        scale = np.float32(max(0.1, 1.5 * float(np.median(distance))))
        weight = 1 / np.square(1 + np.square(distance / scale))
        of_x, of_y = _normal(in_x, weight, left_x), _normal(in_y, weight, left_y)
        matrix = of_x[0] + of_y[0]
        parameters += np.linalg.solve(matrix + np.diag(timid * np.trace(matrix) + 1e-9), of_x[1] + of_y[1])
    return parameters


def _strides(height: int, width: int, most: int) -> tuple[int, int]:
    """Give the strides down and across that leave at most about `most` of the pixels."""
    spare = max(1.0, height * width / most)
    across = int(spare**0.5)
    return math.ceil(spare / across), across


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Pixels:
    """The pixels of a centre that are read, and the whole neighbour.

    x, u: (1, columns); y, v: (rows, 1); value, gx, gy: (rows, columns), the picture and its slopes there. b, bx, by:
    the neighbour and its slopes, whole.
    """

    x: Floats
    y: Floats
    u: Floats
    v: Floats
    value: Floats
    gx: Floats
    gy: Floats
    b: Floats
    bx: Floats
    by: Floats


def _picked(a: Floats, b: Floats) -> _Pixels:
    height, width = a.shape
    down, across = _strides(height, width, MOST_PIXELS)
    at = (slice(down // 2, None, down), slice(across // 2, None, across))
    x, y = grid(height, width)
    x, y = x[:, at[1]], y[at[0]]
    u, v = _scaled(x, y, height, width)
    (gx, gy), (bx, by) = slopes(a), slopes(b)
    return _Pixels(x=x, y=y, u=u, v=v, value=a[at], gx=gx[at], gy=gy[at], b=b, bx=bx, by=by)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Misfit:
    """Where a model takes the pixels, (rows, columns), what error that leaves, and which lie inside the neighbour."""

    x: Floats
    y: Floats
    error: Floats
    inside: NDArray[np.bool_]


def _misfit(p: _Pixels, parameters: NDArray[np.float64]) -> _Misfit:
    dx, dy = _displacement(parameters, p.u, p.v)
    x, y = p.x + dx, p.y + dy
    if x.shape != p.value.shape:
        x, y = (np.ascontiguousarray(np.broadcast_to(part, p.value.shape)) for part in (x, y))
    height, width = p.b.shape
    inside = (x >= 2) & (x <= width - 3) & (y >= 2) & (y <= height - 3)
    return _Misfit(x=x, y=y, error=p.value - sample(p.b, x, y), inside=inside)


def _refined(p: _Pixels, start: NDArray[np.float64], kind: Kind) -> tuple[NDArray[np.float64], float]:
    """Refine a model's parameters on the pictures, by Gauss-Newton with robust weights; give its robust error too."""
    count = PARAMETERS[kind]
    parameters, misfit = start.copy(), _misfit(p, start)
    if not misfit.inside.any():
        return parameters, 1.0
    scale = np.float32(max(TRUST, 2 * float(np.median(np.abs(misfit.error[misfit.inside])))))
    for _ in range(ROUNDS[kind]):
        weight = misfit.inside / np.square(1 + np.square(misfit.error / scale))
        gx, gy = (_mean(own, other, misfit) for own, other in ((p.gx, p.bx), (p.gy, p.by)))
        matrix, wanted = _normal(_changes(gx, gy, p.u, p.v, count), weight, misfit.error)
        damping = 1e-6 * np.trace(matrix) / count + 1e-3
        parameters[:count] += np.clip(np.linalg.solve(matrix + damping * np.eye(count), wanted), -2, 2)
        misfit = _misfit(p, parameters)
    return parameters, _cost(misfit)


def _mean(own: Floats, other: Floats, at: _Misfit) -> Floats:
    """Give the mean of the centre's slope and of the neighbour's where the model takes the pixels."""
    there = cv2.remap(other, at.x, at.y, cv2.INTER_LINEAR)
    return np.asarray((own + there) / 2, np.float32)


def _cost(misfit: _Misfit) -> float:
    """Give the mean robust error, 0..1, of the pixels inside; 1 where most are outside."""
    if misfit.inside.mean() < 0.5:
        return 1.0
    square = np.square(misfit.error[misfit.inside])
    return float((square / (square + TRUST**2)).mean())
