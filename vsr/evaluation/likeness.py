"""How much a larger frame looks like the frame it was made from: both as R'G'B' on the source's grid, then compared.

Each frame's own colour tags are believed, so that a wrong matrix or range shows as a shift of colours. The larger one
is shrunk by covering areas: of a picture that was enlarged by repeating samples nothing is left to tell.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vsr.color.chroma import Grid, grid, resample
from vsr.color.convert import decode_planes, plane_tensor
from vsr.color.tables import LUMA_WEIGHTS, luma_weights, resolve, ycc_matrix
from vsr.core.frame import ColorSpec, Frame
from vsr.core.turn import UPRIGHT, Turn
from vsr.filters import BILINEAR, Kernel, resize

_LUMA = (0.2126, 0.7152, 0.0722)  # of the comparison alone, the same for both sides
_BLOCK = 16  # a shift of colours is sought in means of so many samples each way: texture and noise average out there
_SMALL, _SMALL_BLOCK = 128 * 128, 8  # of smaller pictures there would be too few


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class View:
    """A frame to be compared: rgb (3, H, W) and luma (H, W), black 0 and white 1; alpha (1, H, W) where it has any.

    Where its matrix has no way to R'G'B' all three channels are luma.
    """

    rgb: Tensor
    luma: Tensor
    alpha: Tensor | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Likeness:
    """Two views compared. psnr: of luma, dB. shift: second less first, mean of R, G, B in 8-bit codes.

    tint: root mean square of the same in blocks of 16x16. blocks: (3, rows, columns) of the same, in blocks of 16x16,
    of small pictures of 8x8. alpha: mean absolute difference in 8-bit codes.
    """

    psnr: float
    shift: tuple[float, float, float]
    blocks: Tensor
    tint: float
    alpha: float = 0.0


@dataclass(slots=True)
class Drift:
    """How surely colours shift: the blocks of all frames added up.

    What was cut off or converted moves all blocks alike and leaves no doubt; an encoder moves each another way, and a
    small picture has few. Frames are no more blocks, for each is made of the one before.
    """

    _frames: int = 0
    _total: Tensor | None = None

    def add(self, seen: Likeness) -> None:
        self._frames += 1
        self._total = seen.blocks.double() if self._total is None else self._total + seen.blocks

    def doubts(self) -> tuple[float, float, float, float]:
        """Give standard errors of the mean shifts, in 8-bit codes: of R, G and B against luma, and of luma."""
        if self._total is None or self._total[0].numel() < 2:
            return 0.0, 0.0, 0.0, 0.0
        mean = self._total / self._frames
        luma = luma_of(mean)
        parts = torch.cat([mean - luma, luma[None]]).flatten(1)
        red, green, blue, grey = (parts.std(dim=1) / math.sqrt(parts.shape[1])).tolist()
        return red, green, blue, grey


def view(frame: Frame, color: ColorSpec, *, width: int, height: int, turn: Turn = UPRIGHT) -> View:
    """Give a frame on a grid of width x height, turned first. color: its tags, unresolved."""
    told = resolve(color, frame.format, frame.width, frame.height)
    decoded = decode_planes([plane_tensor(plane) for plane in frame.planes], frame.format, told, "y")
    size = (width, height) if not turn.swaps else (height, width)
    luma = shrunk(decoded.data, size[0], size[1])
    matrix = ycc_matrix(told)
    if decoded.chroma is None or matrix not in LUMA_WEIGHTS:
        rgb = luma.repeat(3, 1, 1)
    else:
        is_rgb = frame.format.family == "rgb"
        here = Grid(width=frame.width, height=frame.height)
        source = here if is_rgb else grid(frame.format, told.siting, frame.width, frame.height)
        if is_rgb or decoded.chroma.shape[-2:] == decoded.data.shape[-2:]:
            chroma = shrunk(decoded.chroma, size[0], size[1])
        else:
            chroma = resample(decoded.chroma, source, Grid(width=size[0], height=size[1]))
        rgb = _to_rgb(luma[0], chroma, matrix)
    alpha = shrunk(decoded.alpha, size[0], size[1]) if decoded.alpha is not None else None
    rgb = turned(rgb, turn)
    return View(rgb=rgb, luma=luma_of(rgb), alpha=None if alpha is None else turned(alpha, turn))


def lines(whole: View, first: int) -> View:
    """Give every second line of a view: of frames whose other lines were made, those that were there before."""
    alpha = None if whole.alpha is None else whole.alpha[:, first::2]
    return View(rgb=whole.rgb[:, first::2], luma=whole.luma[first::2], alpha=alpha)


def turned(planes: Tensor, turn: Turn) -> Tensor:
    """Give planes (..., H, W) as they are shown."""
    planes = planes.transpose(-1, -2) if turn.swaps else planes
    flips = [dim for dim, is_asked in ((-1, turn.flips_x), (-2, turn.flips_y)) if is_asked]
    return torch.flip(planes, flips) if flips else planes


def shrunk(planes: Tensor, width: int, height: int) -> Tensor:
    """Give planes (..., H, W) on another grid, each sample the mean of the area that it covers; enlarged: linear."""
    rows = resize(planes, height, planes.shape[-1], _kernel(planes.shape[-2], height))
    return resize(rows, height, width, _kernel(planes.shape[-1], width))


def luma_of(rgb: Tensor) -> Tensor:
    """Give luma (..., H, W) of R, G, B (3, ..., H, W): of the comparison alone."""
    weights = torch.tensor(_LUMA, dtype=rgb.dtype, device=rgb.device)
    return torch.einsum("c,c...->...", weights, rgb)


def distance(a: View, b: View) -> float:
    """Give the mean squared difference of luma."""
    return float((a.luma - b.luma).square().mean())


def likeness(before: View, after: View, *, by_luma: bool = False) -> Likeness:
    """Compare two views of one size. by_luma: take the tint of luma alone, where chroma lies between other lines."""
    difference = after.rgb - before.rgb
    height, width = difference.shape[-2:]
    wide = _blocks(difference, _BLOCK)
    tinted = luma_of(wide) if by_luma else wide
    red, green, blue = (float(mean) * 255 for mean in difference.double().mean(dim=(1, 2)))
    alpha = 0.0
    if before.alpha is not None and after.alpha is not None:
        alpha = float((after.alpha - before.alpha).abs().mean()) * 255
    squared = distance(before, after)
    return Likeness(
        psnr=min(100.0, -10 * math.log10(squared)) if squared > 0 else 100.0,
        shift=(red, green, blue),
        blocks=wide if height * width >= _SMALL else _blocks(difference, _SMALL_BLOCK),
        tint=float(tinted.square().mean().sqrt()),
        alpha=alpha,
    )


def _blocks(difference: Tensor, side: int) -> Tensor:
    height, width = difference.shape[-2:]
    return shrunk(difference, math.ceil(width / side), math.ceil(height / side)) * 255


def side_by_side(before: View, after: View) -> tuple[NDArray[np.uint8], ...]:
    """Give planes G, B, R of one picture: the source, the result, their difference four times as strong around grey."""
    parts = torch.cat([before.rgb, after.rgb, (after.rgb - before.rgb) * 4 + 0.5], dim=-1)
    red, green, blue = (parts * 255).add_(0.5).clamp_(0, 255).to(torch.uint8).numpy()
    return green, blue, red


@lru_cache(maxsize=64)
def _kernel(source: int, target: int) -> Kernel:
    """Give the share of each source sample that lies within the area of a target sample."""
    if target >= source:
        return BILINEAR
    step = source / target

    def share(x: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.clip(0.5 + step * (0.5 - np.abs(x)), 0.0, 1.0)

    return Kernel(name="area", support=0.5 + 0.5 / step, weight=share)


def _to_rgb(luma: Tensor, chroma: Tensor, matrix: str) -> Tensor:
    """ITU-T H.273 equations 38 to 40, the other way round."""
    kr, kb = luma_weights(matrix)
    cb, cr = chroma
    red, blue = luma + 2 * (1 - kr) * cr, luma + 2 * (1 - kb) * cb
    green = (luma - kr * red - kb * blue) / (1 - kr - kb)
    return torch.stack([red, green, blue])
