"""Integer codes to numbers and back: memory, casts, scaling, rounding. Any device, no synchronisation."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.dlpack import from_dlpack

from vsr.color.tables import Levels

Plane = NDArray[np.uint8] | NDArray[np.uint16]


def plane_tensor(plane: Plane) -> Tensor:
    """Give a plane as a tensor (h, w) over the same memory: read, do not write.

    uint8, or int16 holding the same bits as the uint16 codes: a type that every kernel of every device knows.
    Layouts that torch has no strides for (flipped views) are copied.
    """
    bits = plane if plane.dtype == np.uint8 else plane.view(np.int16)
    if min(bits.strides) < 0 or any(stride % bits.itemsize for stride in bits.strides):
        bits = bits.copy()
    if bits.flags.writeable:
        return torch.from_numpy(bits)
    try:
        # torch.from_numpy warns about the read-only views that decoders hand out; DLPack can say "read-only".
        tensor: Tensor = from_dlpack(bits)
    except BufferError:  # numpy or torch from before DLPack 1.0
        return torch.from_numpy(bits.copy())
    return tensor


def numpy_plane(codes: Tensor) -> Plane:
    """Give codes (h, w) as `quantise` made them, on the CPU, as uint8 or uint16 over the same memory."""
    array: Plane = codes.numpy()
    return array if array.dtype == np.uint8 else array.view(np.uint16)


def numbers(codes: Tensor, levels: Levels, depth: int) -> Tensor:
    """Give (codes - offset) / span in float32; codes outside the legal range give numbers outside [0, 1].

    codes: uint8, or int16 with the bits of uint16.
    """
    if depth == 16:
        codes = codes.to(torch.int32).bitwise_and_(0xFFFF)
    return codes.to(torch.float32).sub_(levels.offset).mul_(1.0 / levels.span)


def quantise(scaled: Tensor, offset: float, depth: int) -> Tensor:
    """Give scaled + offset to the nearest integer (halves up); `scaled` is overwritten.

    uint8, or int16 with the bits of uint16 above 8 bits. Codes are kept within 0 .. 2**depth - 1, not within the
    legal range: foot- and headroom survive.
    """
    # Adding the half and cutting off is one pass less than rounding: nothing is negative when it is cut.
    shifted = scaled.add_(offset + 0.5).clamp_(0.0, (1 << depth) - 0.5)
    if depth == 16:
        return shifted.to(torch.int32).to(torch.int16)
    bits = shifted.to(torch.int16)
    # Float to uint8 in one step is cast one by one, 5 times slower than two casts in vectors.
    return bits.to(torch.uint8) if depth <= 8 else bits
