"""Windows of video out of one photograph: the camera glides, zooms and turns a little, by fractions of a pixel."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Codes = NDArray[np.uint8]

SLOW = 1.0  # HR pixels a frame
_TURNING = 0.2  # share of windows that also zoom and turn
_ZOOM, _TURN = 0.01, math.radians(1.0)  # a frame
_CURVE = 0.15  # of the speed: how far it changes from frame to frame


@dataclass(frozen=True, slots=True, kw_only=True)
class Path2d:
    """A smooth motion in HR pixels: at frame k from the centre, k * velocity + k² * bend; zoom and turn a frame."""

    velocity: tuple[float, float]  # (x, y)
    bend: tuple[float, float] = (0.0, 0.0)
    zoom: float = 0.0
    turn: float = 0.0

    def at(self, k: int, width: int, height: int) -> NDArray[np.float64]:
        """Give the (2, 3) matrix from a pixel of frame k to the photograph of this size; the centre frame is itself."""
        size, angle = math.exp(k * self.zoom), k * self.turn
        turned = size * np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
        middle = np.array([(width - 1) / 2, (height - 1) / 2])
        moved = np.array([k * self.velocity[i] + k * k * self.bend[i] for i in (0, 1)])
        return np.column_stack([turned, middle - turned @ middle + moved])


def draw_path(rng: np.random.Generator, *, reach: float, still: float) -> Path2d:
    """Draw a motion of at most `reach` pixels a frame; a share of `still` moves by less than a pixel, or not at all."""
    kind = rng.random()
    if kind < still / 2:
        return Path2d(velocity=(0.0, 0.0))
    fastest = min(SLOW, reach) if kind < still else reach
    speed, angle = fastest * math.sqrt(rng.random()), rng.uniform(0, 2 * math.pi)
    velocity = (speed * math.cos(angle), speed * math.sin(angle))
    bend = tuple(float(v) for v in rng.normal(0, _CURVE / 2, 2) * speed)
    if rng.random() >= _TURNING:
        return Path2d(velocity=velocity, bend=(bend[0], bend[1]))
    zoom, turn = rng.uniform(-_ZOOM, _ZOOM), rng.uniform(-_TURN, _TURN)
    return Path2d(velocity=velocity, bend=(bend[0], bend[1]), zoom=float(zoom), turn=float(turn))


def move(photo: Codes, path: Path2d, *, frames: int) -> Codes:
    """Give the window (N, h, w[, C]) that a camera on this path sees of a photograph (H, W[, C]).

    The centre frame is the photograph itself, uninterpolated; the others are resampled with Lanczos over 8 x 8. All are
    cut to what every frame sees, so they are smaller than the photograph.
    """
    height, width = photo.shape[:2]
    half = frames // 2
    matrices = {k: path.at(k, width, height) for k in range(-half, half + 1) if k}
    margin = max((_outside(matrix, width, height) for matrix in matrices.values()), default=0)
    moved = []
    for k in range(-half, half + 1):
        frame = photo
        if k and not np.allclose(matrices[k], [[1, 0, 0], [0, 1, 0]], rtol=0, atol=1e-9):
            flags = cv2.INTER_LANCZOS4 | cv2.WARP_INVERSE_MAP
            border = cv2.BORDER_REFLECT_101
            frame = np.asarray(
                cv2.warpAffine(photo, matrices[k], (width, height), flags=flags, borderMode=border), np.uint8
            )
        moved.append(frame[margin : height - margin, margin : width - margin])
    return np.stack(moved)


def _outside(matrix: NDArray[np.float64], width: int, height: int) -> int:
    """Give how far, in whole pixels, a frame looks beyond the photograph, with the reach of the kernel."""
    corners = np.array([[0, 0, 1], [width - 1, 0, 1], [0, height - 1, 1], [width - 1, height - 1, 1]], dtype=float)
    seen = corners @ matrix.T
    beyond = max(-seen.min(), (seen[:, 0] - (width - 1)).max(), (seen[:, 1] - (height - 1)).max())
    return 0 if beyond <= 0 else math.ceil(beyond) + 4
