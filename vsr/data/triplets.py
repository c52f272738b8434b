"""The layout of hr / lr / sr triplets on disk, as the multi-frame SR3 data set has it.

With sizes L and R: `hr_R/ID/frame_0_hr_R.png`, `lr_L/ID/frame_0_lr_L.png`, `sr_L_R/ID/frame_0_sr_R.png`. With a scale
S at the pictures' own size: `hr/ID/frame_0_hr.png`, `lr_xS/ID/frame_0_lr_xS.png`, `sr_xS/ID/frame_0_sr_xS.png`. Single
images lie in the three trees under their own names: `hr_R/ID.png`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vsr.core.errors import InputError, SettingsError
from vsr.data.degrade import Degradation, Frames, degrade
from vsr.data.pil_bicubic import resize_as_pil


@dataclass(frozen=True, slots=True, kw_only=True)
class Geometry:
    """Either two sizes (squares of L and of R pixels) or a scale at the pictures' own size."""

    low: int | None = None
    high: int | None = None
    scale: int

    @property
    def trees(self) -> tuple[str, str, str]:
        """The names of the hr, lr and sr trees."""
        if self.low is None:
            return "hr", f"lr_x{self.scale}", f"sr_x{self.scale}"
        return f"hr_{self.high}", f"lr_{self.low}", f"sr_{self.low}_{self.high}"

    @property
    def marks(self) -> tuple[str, str, str]:
        """What the names of hr, lr and sr files end in."""
        if self.low is None:
            return self.trees
        return f"hr_{self.high}", f"lr_{self.low}", f"sr_{self.high}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Triplet:
    """One window: hr and sr (N, H, W, 3), lr (N, H/s, W/s, 3), uint8; and what the degradation drew."""

    hr: Frames
    lr: Frames
    sr: Frames
    degradation: dict[str, object]


def by_sizes(low: int, high: int) -> Geometry:
    """Give the geometry of squares.

    Raises:
        SettingsError: high is no multiple of low, or they are too small.
    """
    if low < 4 or high % low or high <= low:
        raise SettingsError(
            f"sizes {low},{high}: the second must be a multiple of the first, which must be 4 at least",
            hint="For example --size 16,128.",
        )
    return Geometry(low=low, high=high, scale=high // low)


def by_scale(scale: int) -> Geometry:
    """Give the geometry of pictures at their own size.

    Raises:
        SettingsError: the scale is below 2 or above 16.
    """
    if not 2 <= scale <= 16:
        raise SettingsError(f"scale {scale} is not within 2 .. 16")
    return Geometry(scale=scale)


def make_triplet(name: str, window: Frames, geometry: Geometry, spec: Degradation, *, seed: list[int]) -> Triplet:
    """Give the triplet of a window of RGB frames (N, H, W, 3).

    Sizes: HR is the square in the middle, resampled as PIL does; scale: HR is the middle part whose sides are
    multiples. LR is HR degraded; SR is LR brought back to HR's size as PIL does. `name` is for messages.

    Raises:
        InputError: the frames are smaller than HR, or LR would have a side below 4 pixels.
    """
    hr = _high(name, window, geometry)
    lr, record = degrade(hr, spec, scale=geometry.scale, rng=np.random.default_rng(seed))
    return Triplet(hr=hr, lr=lr, sr=resize_as_pil(lr, *hr.shape[1:3]), degradation=record)


def _high(name: str, window: Frames, geometry: Geometry) -> Frames:
    height, width = window.shape[1:3]
    if geometry.high is not None:
        side = min(height, width)
        if side < geometry.high:
            raise InputError(
                f"{name} is {width}x{height}: too small for HR of {geometry.high}x{geometry.high}",
                hint="Choose smaller sizes, or leave it out: HR that was enlarged teaches nothing.",
            )
        return resize_as_pil(_middle(window, side, side), geometry.high, geometry.high)
    rows, columns = height - height % geometry.scale, width - width % geometry.scale
    if min(rows, columns) < 4 * geometry.scale:
        raise InputError(
            f"{name} is {width}x{height}: too small for scale {geometry.scale}, LR needs 4 pixels a side",
            hint="Leave it out, or choose a smaller scale.",
        )
    return np.ascontiguousarray(_middle(window, rows, columns))


def _middle(window: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """Cut the middle; torchvision's center_crop rounds the same way (halves to even)."""
    top, left = round((window.shape[1] - height) / 2), round((window.shape[2] - width) / 2)
    return window[:, top : top + height, left : left + width]
