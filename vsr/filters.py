"""Separable resampling of planes: kernels, phases and borders, on any device.

The one resampler of the house: `color` moves chroma with it, the weightless engines upscale with it, data
preparation and evaluation shrink with it. It knows pixels only, no colours and no files.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Kernel:
    """An interpolation kernel: `weight(x)` is zero for |x| >= `support` (in source samples)."""

    name: str
    support: float
    weight: Callable[[NDArray[np.float64]], NDArray[np.float64]]


def _box(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return ((x >= -0.5) & (x < 0.5)).astype(np.float64)


def _triangle(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.clip(1.0 - np.abs(x), 0.0, None)


def _keys(a: float) -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
    def weight(x: NDArray[np.float64]) -> NDArray[np.float64]:
        d = np.abs(x)
        near = (a + 2) * d**3 - (a + 3) * d**2 + 1
        far = a * (d**3 - 5 * d**2 + 8 * d - 4)
        return np.where(d <= 1, near, np.where(d < 2, far, 0.0))

    return weight


def _lanczos3(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(np.abs(x) < 3, np.sinc(x) * np.sinc(x / 3), 0.0)


NEAREST = Kernel(name="nearest", support=0.5, weight=_box)
BILINEAR = Kernel(name="bilinear", support=1.0, weight=_triangle)
# Keys 1981, eq. 4 with a = -0.5: the kernel of MATLAB's imresize and of PIL, hence of every published PSNR.
BICUBIC = Kernel(name="bicubic", support=2.0, weight=_keys(-0.5))
LANCZOS = Kernel(name="lanczos", support=3.0, weight=_lanczos3)
KERNELS = {kernel.name: kernel for kernel in (NEAREST, BILINEAR, BICUBIC, LANCZOS)}


@lru_cache(maxsize=128)
def taps(
    source: int, target: int, kernel: Kernel, step: float | None = None, origin: float | None = None
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Give, for each target sample, the source samples it reads and their weights.

    Target sample k lies at source coordinate `origin + k * step`. The defaults align the outer edges of both
    grids: `step = source / target`, `origin = step / 2 - 1/2`. When shrinking (`step > 1`) the kernel is
    widened by `step` (MATLAB's antialiasing). Borders are mirrored with the edge sample repeated.

    Returns:
        index (target, taps) in [0, source) and weight (target, taps), each row summing to 1.
    """
    step = source / target if step is None else step
    origin = step / 2 - 0.5 if origin is None else origin
    center = origin + step * np.arange(target, dtype=np.float64)
    if kernel is NEAREST:
        # One tap each: a box would take two where a target sample lies exactly between two source samples.
        index = np.floor(center + 0.5).astype(np.int64)[:, None]
        return _mirror(index, source), np.ones((target, 1))
    widen = max(1.0, step)
    width = math.ceil(2 * kernel.support * widen) + 1
    first = np.ceil(center - kernel.support * widen).astype(np.int64)
    index = first[:, None] + np.arange(width)
    weight = kernel.weight((index - center[:, None]) / widen)
    weight /= weight.sum(axis=1, keepdims=True)
    used = np.abs(weight).max(axis=0) > 1e-12
    return _mirror(index[:, used], source), weight[:, used]


def _mirror(index: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    folded = np.mod(index, 2 * size)
    return np.where(folded < size, folded, 2 * size - 1 - folded)


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """Where the target samples of one axis lie on the source grid (None: edges of both grids aligned)."""

    step: float | None = None
    origin: float | None = None


ALIGNED = Axis()


def resize(
    planes: Tensor,
    height: int,
    width: int,
    kernel: Kernel,
    *,
    vertical: Axis = ALIGNED,
    horizontal: Axis = ALIGNED,
) -> Tensor:
    """Resample planes (..., H, W), floating and finite, to (..., height, width) in the same dtype, on the same device.

    Values are not clipped: cubic and Lanczos kernels overshoot. The axis that shrinks more goes first. Planes that
    would not change are handed back as they are.
    """
    steps = (planes.shape[-2] / height, planes.shape[-1] / width)
    if steps[0] >= steps[1]:
        rows = _resample(planes, height, kernel, vertical, dim=-2)
        return _resample(rows, width, kernel, horizontal, dim=-1)
    columns = _resample(planes, width, kernel, horizontal, dim=-1)
    return _resample(columns, height, kernel, vertical, dim=-2)


def _resample(planes: Tensor, target: int, kernel: Kernel, axis: Axis, *, dim: int) -> Tensor:
    source = planes.shape[dim]
    index, _ = taps(source, target, kernel, axis.step, axis.origin)
    if index.shape[1] == 1:
        is_identity = target == source and bool((index[:, 0] == np.arange(source)).all())
        return planes if is_identity else _gather(planes, target, kernel, axis, dim=dim)
    if planes.device.type == "cpu" and not planes.requires_grad:
        return _multiply(planes, target, kernel, axis, dim=dim)
    return _gather(planes, target, kernel, axis, dim=dim)


def _multiply(planes: Tensor, target: int, kernel: Kernel, axis: Axis, *, dim: int) -> Tensor:
    """Multiply by the banded matrix of the weights, a band at a time: on a CPU 4 to 9 times quicker than gathering."""
    flat = planes.reshape(-1, *planes.shape[-2:]).contiguous()
    count, height, width = flat.shape
    shape = (count, target, width) if dim == -2 else (count, height, target)
    result = torch.empty(shape, dtype=planes.dtype)
    start = 0
    for first, last, matrix in _bands(planes.shape[dim], target, kernel, axis, planes.dtype, dim):
        if dim == -2:
            stop = start + matrix.shape[0]
            result[:, start:stop] = torch.bmm(matrix.expand(count, -1, -1), flat[:, first:last])
        else:
            stop = start + matrix.shape[1]
            torch.mm(flat.view(-1, width)[:, first:last], matrix, out=result.view(-1, target)[:, start:stop])
        start = stop
    return result.reshape(*planes.shape[:-2], *shape[1:])


@lru_cache(maxsize=128)
def _bands(
    source: int, target: int, kernel: Kernel, axis: Axis, dtype: torch.dtype, dim: int
) -> tuple[tuple[int, int, Tensor], ...]:
    """Give (first, last, matrix) for each run of target samples: they read source samples [first, last).

    matrix: (samples, last - first) for rows, transposed for columns. Runs are short, so that little of a matrix is
    zero, yet long enough to keep the multiplication busy (measured at 180 to 1080 lines).
    """
    index, weight = taps(source, target, kernel, axis.step, axis.origin)
    run = 32 if dim == -1 else 16 if source <= target else 8
    bands = []
    for start in range(0, target, run):
        at, by = index[start : start + run], weight[start : start + run]
        first, last = int(at.min()), int(at.max()) + 1
        dense = np.zeros((len(at), last - first))
        # add.at, because mirroring lets a sample be read twice.
        np.add.at(dense, (np.arange(len(at))[:, None], at - first), by)
        with torch.inference_mode(False):  # kept: what is made in inference mode can never take part in training
            matrix = torch.from_numpy(dense if dim == -2 else np.ascontiguousarray(dense.T)).to(dtype)
        bands.append((first, last, matrix))
    return tuple(bands)


def _gather(planes: Tensor, target: int, kernel: Kernel, axis: Axis, *, dim: int) -> Tensor:
    """Add up the taps one by one: no matrix unit, whose reduced precision (TF32) would cost codes, is involved."""
    total: Tensor | None = None
    for at, by in _tap_tensors(planes.shape[dim], target, kernel, axis, planes.dtype, planes.device, dim):
        part = planes.index_select(dim, at)
        if by is None:
            return part
        total = part.mul_(by) if total is None else total.addcmul_(part, by)
    assert total is not None
    return total


@lru_cache(maxsize=128)
def _tap_tensors(
    source: int, target: int, kernel: Kernel, axis: Axis, dtype: torch.dtype, device: torch.device, dim: int
) -> tuple[tuple[Tensor, Tensor | None], ...]:
    """Give (index, weight) of each tap, kept on the device: a copy for every frame would stall it. None weighs 1."""
    index, weight = taps(source, target, kernel, axis.step, axis.origin)
    shape = (-1, 1) if dim == -2 else (-1,)
    is_copy = index.shape[1] == 1  # its weight is 1
    every = []
    with torch.inference_mode(False):  # as in _bands
        for k in range(index.shape[1]):
            at = torch.from_numpy(index[:, k].copy()).to(device)
            by = torch.from_numpy(weight[:, k].copy()).to(device, dtype).reshape(shape)
            every.append((at, None if is_copy else by))
    return tuple(every)


def phase_kernel(scale: int, kernel: Kernel, *, radius: int = 2) -> NDArray[np.float64]:
    """Give integer upscaling as a convolution: (scale², 2*radius+1, 2*radius+1), to be pixel-shuffled.

    Exact away from borders; at borders the convolution's padding decides (replicate is within one level of the
    mirror). Lets a network add its interpolated base at the price of one small convolution.
    """
    size = 2 * radius + 1
    phases = np.zeros((scale, size))
    offset = np.arange(size, dtype=np.float64) - radius
    for p in range(scale):
        at = (p + 0.5) / scale - 0.5
        weight = kernel.weight(offset - at)
        phases[p] = weight / weight.sum()
    both: NDArray[np.float64] = phases[:, None, :, None] * phases[None, :, None, :]
    return both.reshape(scale * scale, size, size)


def base_kernel(scale: int, channels: int) -> Tensor:
    """Give the weights of `base_channels` for bicubic: (channels * scale², 1, 5, 5) float32."""
    kernel = torch.from_numpy(phase_kernel(scale, BICUBIC)).float()[:, None]
    return kernel.repeat(channels, 1, 1, 1)


def base_channels(planes: Tensor, kernel: Tensor) -> Tensor:
    """Give planes (B, C, H, W) enlarged, before the shuffle: (B, C * scale², H, W), borders repeated, channels_last."""
    padded = F.pad(planes, (2, 2, 2, 2), mode="replicate").to(memory_format=torch.channels_last)
    return F.conv2d(padded, kernel.to(planes.dtype), groups=planes.shape[1])


def shuffle(planes: Tensor, scale: int) -> Tensor:
    """Lay scale² channels out as pixels: (B, C * scale², H, W) -> (B, C, scale * H, scale * W), contiguous.

    Shi et al. 2016, eq. 4, the order of torch's pixel_shuffle; a third of its time where channels lie innermost
    (channels_last), as convolutions leave them.
    """
    if is_traced() or not planes.is_contiguous(memory_format=torch.channels_last):
        return F.pixel_shuffle(planes, scale)
    count, _, height, width = planes.shape
    blocks = planes.permute(0, 2, 3, 1).reshape(count, height, width, -1, scale, scale)
    return blocks.permute(0, 3, 1, 4, 2, 5).reshape(count, -1, height * scale, width * scale)


def unshuffle(planes: Tensor, scale: int) -> Tensor:
    """Fold pixels into channels, the inverse of `shuffle`: (B, C, scale * H, scale * W) -> (B, C * scale², H, W)."""
    if not is_traced():
        return F.pixel_unshuffle(planes, scale)
    # A convolution that picks: exporters have no operator of this order, and spell it out in six dimensions.
    picks = torch.eye(scale**2, dtype=planes.dtype, device=planes.device).reshape(scale**2, 1, scale, scale)
    channels = planes.shape[1]
    return F.conv2d(planes, picks.repeat(channels, 1, 1, 1), stride=scale, groups=channels)


def is_traced() -> bool:
    """Whether torch is recording the call for an export: then one plain operator is worth more than a quick order."""
    return bool(torch.compiler.is_compiling() or torch.jit.is_tracing())  # type: ignore[attr-defined,no-untyped-call]
