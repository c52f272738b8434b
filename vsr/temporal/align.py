"""Neighbours onto the centre, on the output grid: what a multi-frame network sees of them.

A neighbour's low-resolution samples lie between the centre's when the camera moves by fractions of a pixel: that is all
that a second picture can add, and it is worth having only when it lands right to a fraction of an output pixel. So each
output pixel reads the neighbour's cubic interpolation at its own place, displaced; the difference to the centre's own
interpolation is what is new.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from vsr.filters import BICUBIC, Axis, resize
from vsr.temporal.flow import STEEP, Floats, grid, sample_each
from vsr.temporal.motion import Motion, estimate

LUMA = (0.2126, 0.7152, 0.0722)  # ITU-R BT.709-6, table 3


def differences(frames: Tensor, *, scale: int, motions: Sequence[Motion] | None = None) -> Tensor:
    """Give what each neighbour shows that the centre does not: (N-1, C, scale*H, scale*W) float32.

    frames: (N, C, H, W) float32, black 0 and white 1, luma or RGB, the centre at N // 2, on any device. motions: of
    each neighbour in order, from the centre to it; None estimates them. Exactly zero where a motion is not believed,
    and where the neighbour equals the centre.
    """
    center, neighbours = apart(frames)
    if motions is None:
        motions = estimate_all(frames)
    if len(motions) != len(neighbours):
        raise ValueError(f"{len(neighbours)} neighbours, {len(motions)} motions")
    height, width = (side * scale for side in frames.shape[-2:])
    base = resize(center, height, width, BICUBIC)
    every = [_difference(base, picture, motion, scale) for picture, motion in zip(neighbours, motions, strict=True)]
    return torch.stack(every) if every else base.new_zeros((0, *base.shape))


def estimate_all(frames: Tensor) -> list[Motion]:
    """Give the motion from the centre of (N, C, H, W) to each neighbour, on the CPU."""
    center, neighbours = apart(frames)
    of_center = luma(center)
    return [estimate(of_center, luma(picture)) for picture in neighbours]


def apart(frames: Tensor) -> tuple[Tensor, list[Tensor]]:
    """Give the centre and its neighbours in order."""
    at = frames.shape[0] // 2
    return frames[at], [frames[k] for k in range(frames.shape[0]) if k != at]


def luma(picture: Tensor) -> Floats:
    """Give the luma (H, W) of a picture (C, H, W): itself, or BT.709's sum of its R'G'B'."""
    if picture.shape[0] == 3:
        picture = LUMA[0] * picture[:1] + LUMA[1] * picture[1:2] + LUMA[2] * picture[2:]
    return np.asarray(picture[0].detach().cpu().numpy(), np.float32)


def _difference(base: Tensor, neighbour: Tensor, motion: Motion, scale: int) -> Tensor:
    if not motion.confidence.any():
        return torch.zeros_like(base)
    height, width = base.shape[-2:]
    shift = motion.shift
    warped = _warped(neighbour, motion, scale) if shift is None else _shifted(neighbour, shift, scale)
    difference = warped - base
    if motion.confidence.min() == 1:
        return difference
    confidence = torch.from_numpy(motion.confidence).to(base.device)[None, None]
    return difference * F.interpolate(confidence, size=(height, width), mode="bilinear", align_corners=False)[0]


def _shifted(neighbour: Tensor, shift: tuple[float, float], scale: int) -> Tensor:
    """Interpolate once, at the exact places."""
    height, width = (side * scale for side in neighbour.shape[-2:])
    across, down = (Axis(step=1 / scale, origin=0.5 / scale - 0.5 + by) for by in shift)
    return resize(neighbour, height, width, BICUBIC, vertical=down, horizontal=across)


def _warped(neighbour: Tensor, motion: Motion, scale: int) -> Tensor:
    """Interpolate to the output grid, then between its samples: fine enough for a cubic not to blur."""
    height, width = (side * scale for side in neighbour.shape[-2:])
    dense = resize(neighbour, height, width, BICUBIC)
    flow = cv2.resize(motion.flow, (width, height), interpolation=cv2.INTER_LINEAR) * np.float32(scale)
    x, y = grid(height, width)
    x, y = x + flow[..., 0], y + flow[..., 1]
    if dense.device.type == "cpu":
        return torch.from_numpy(np.stack(list(sample_each(dense.numpy(), x, y))))
    return sample_on_device(dense, torch.from_numpy(np.stack([x, y], -1)).to(dense.device))


def sample_on_device(pictures: Tensor, places: Tensor) -> Tensor:
    """Give (C, H, W) at places (h, w, 2), (x, y) in pixels, as `flow.sample_each` does, on the pictures' own device."""
    whole = places.floor()
    fraction = places - whole
    smooth = whole + fraction * fraction * (3 - 2 * fraction)
    return torch.lerp(_read(pictures, smooth, "bilinear"), _read(pictures, places, "bicubic"), STEEP)


def _read(pictures: Tensor, places: Tensor, mode: str) -> Tensor:
    height, width = pictures.shape[-2:]
    unit = (2 * places + 1) / torch.tensor((width, height), device=pictures.device) - 1
    return F.grid_sample(pictures[None], unit[None], mode=mode, padding_mode="border", align_corners=False)[0]
