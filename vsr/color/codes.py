"""Integer codes to numbers and back: casts, scaling, rounding. Any device, no synchronisation."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vsr.color.tables import Levels

Plane = NDArray[np.uint8] | NDArray[np.uint16]


def plane_tensor(plane: Plane) -> Tensor:
    """Give a plane as a tensor (h, w) of uint8 or uint16 over the same memory: read, do not write.

    DLPack, because `torch.from_numpy` warns about the read-only views that decoders hand out. A flipped view, which
    torch has no strides for, is copied.
    """
    if min(plane.strides) < 0:
        plane = np.ascontiguousarray(plane)
    tensor: Tensor = torch.from_dlpack(plane)
    return tensor


def numpy_plane(codes: Tensor) -> Plane:
    """Give codes (h, w) as `to_codes` made them, on the CPU, as an array over the same memory."""
    array: Plane = codes.numpy()
    return array


def from_codes(codes: Tensor, levels: Levels) -> Tensor:
    """Give (codes - offset) / span in float32; codes outside the legal range give numbers outside [0, 1]."""
    return codes.to(torch.float32).sub_(levels.offset).mul_(1.0 / levels.span)


def to_codes(numbers: Tensor, levels: Levels, depth: int) -> Tensor:
    """Give offset + span * number, to the nearest integer (halves up), as uint8 or uint16.

    Codes are kept within 0 .. 2**depth - 1, not within the legal range: foot- and headroom survive.
    """
    return quantise(numbers.mul(levels.span), levels.offset, depth)


def quantise(scaled: Tensor, offset: float, depth: int) -> Tensor:
    """Give scaled + offset rounded to codes, as `to_codes`; `scaled` is overwritten."""
    # Adding the half and cutting off is one pass less than rounding; what is cut off is never negative.
    shifted = scaled.add_(offset + 0.5).clamp_(0.5, (1 << depth) - 0.5)
    if depth <= 8:
        # By way of int16: torch casts float to uint8 one at a time (4 times slower), the other two in vectors.
        return shifted.to(torch.int16).to(torch.uint8)
    return shifted.to(torch.uint16)
