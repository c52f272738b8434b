"""The protocol of every figure that is printed: what LR is made of HR, what luma is, what is rounded and what is cut.

HR is cropped to a multiple of the scale. LR is MATLAB's bicubic of it (a = -0.5, widened by the scale, mirrored
borders), rounded to 8 bits: of the RGB planes, and of the luma plane for nets of luma, as the papers' code does.
Results are rounded and clipped to 8 bits. Luma is ITU-R BT.601's in studio range. `scale` pixels are cut from each
border before anything is measured. A grey picture is its own luma.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vsr.filters import BICUBIC, resize

Pixels = NDArray[np.uint8]  # (H, W, 3) R, G, B or (H, W) grey

STATED = (
    "HR cropped to a multiple of the scale; results rounded to 8 bits; {scale} pixels cut from each border; "
    "Y is BT.601 luma in studio range; a figure is the mean of the pictures' figures."
)

# ITU-R BT.601-7 section 2.5.3 with 8-bit RGB of full range: MATLAB's rgb2ycbcr.
_TO_YCC = torch.tensor(
    [[65.481, 128.553, 24.966], [-37.797, -74.203, 112.0], [112.0, -93.786, -18.214]], dtype=torch.float64
)
_TO_RGB = torch.linalg.inv(_TO_YCC / 255)
_OFFSET = torch.tensor([16.0, 128.0, 128.0], dtype=torch.float64)[:, None, None]


def planes(pixels: Pixels) -> Tensor:
    """Give the codes of a picture, (3, H, W) or (1, H, W) float64 in 0..255."""
    array = pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
    return torch.from_numpy(np.ascontiguousarray(array)).double()


def pixels(codes: Tensor) -> Pixels:
    """Give codes (C, H, W) as a picture, rounded and clipped."""
    array = rounded(codes).to(torch.uint8).permute(1, 2, 0).contiguous().numpy()
    return array[..., 0] if array.shape[2] == 1 else array


def rounded(codes: Tensor) -> Tensor:
    """Give codes as 8 bits hold them, still floating."""
    return codes.round().clamp(0, 255)


def luma(codes: Tensor) -> Tensor:
    """Give the luma codes (H, W) of RGB codes (3, H, W), rounded; those of grey (1, H, W) as they are."""
    return codes[0] if codes.shape[0] == 1 else rounded(ycc(codes)[0])


def ycc(rgb: Tensor) -> Tensor:
    """Give Y, Cb, Cr codes (3, H, W), not rounded, of R, G, B codes."""
    return torch.einsum("ij,jhw->ihw", _TO_YCC / 255, rgb) + _OFFSET


def rgb(codes: Tensor) -> Tensor:
    """Give R, G, B codes (3, H, W), not rounded, of Y, Cb, Cr codes: the inverse of `ycc`."""
    return torch.einsum("ij,jhw->ihw", _TO_RGB, codes - _OFFSET)


def cropped(picture: Pixels, scale: int) -> Pixels:
    """Give the picture's upper left part whose sides are multiples of the scale."""
    height, width = (side // scale * scale for side in picture.shape[:2])
    return picture[:height, :width]


def shrunk(codes: Tensor, scale: int) -> Tensor:
    """Give codes (..., H, W) at 1 / scale of their size, not rounded, by MATLAB's bicubic."""
    return resize(codes, codes.shape[-2] // scale, codes.shape[-1] // scale, BICUBIC)


def enlarged(codes: Tensor, height: int, width: int) -> Tensor:
    """Give codes (..., h, w) enlarged by MATLAB's bicubic, not rounded."""
    return resize(codes, height, width, BICUBIC)


def inside(codes: Tensor, border: int) -> Tensor:
    """Give codes (..., H, W) without their outer `border` pixels."""
    return codes[..., border : codes.shape[-2] - border, border : codes.shape[-1] - border] if border else codes
