"""Frames to Pictures and back: the one place where codes become numbers and numbers codes.

`decode_planes` and `encode_planes` work on tensors of any device and never wait for it; `to_picture` and `to_frame`
wrap them for Frames on the CPU. In the domain `y` luma is never mixed with chroma: chroma planes are carried beside
it and moved as planes. In the domain `rgb` chroma is brought to luma's grid, and back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from vsr.color.chroma import Grid, grid, resample
from vsr.color.codes import numbers, numpy_plane, plane_tensor, quantise
from vsr.color.tables import Levels, chroma_levels, luma_levels, luma_weights, ycc_matrix
from vsr.color.turning import turned, turned_grid
from vsr.core.frame import ColorSpec, Domain, Frame, Picture, PixelFormat
from vsr.core.turn import UPRIGHT, Turn

__all__ = ["Decoded", "decode_planes", "encode_planes", "plane_tensor", "to_frame", "to_picture"]

Size = tuple[int, int]  # (height, width)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Decoded:
    """Numbers of one frame: `data`, `chroma` and `alpha` as in `Picture`."""

    data: Tensor
    chroma: Tensor | None = None
    alpha: Tensor | None = None


def to_picture(frame: Frame, color: ColorSpec, domain: Domain) -> Picture:
    """Give a frame as a network speaks it, on the CPU. `color` is the source's, resolved.

    Raises:
        UnsupportedInput: the domain is `rgb` and the matrix cannot be turned into RGB.
    """
    decoded = decode_planes([plane_tensor(plane) for plane in frame.planes], frame.format, color, domain)
    return Picture(
        index=frame.index,
        pts=frame.pts,
        duration=frame.duration,
        data=decoded.data,
        domain=domain,
        chroma=decoded.chroma,
        alpha=decoded.alpha,
        opens_shot=frame.opens_shot,
    )


def to_frame(
    picture: Picture,
    fmt: PixelFormat,
    color: ColorSpec,
    *,
    source_format: PixelFormat,
    source_color: ColorSpec,
    source_size: Size | None = None,
    turn: Turn = UPRIGHT,
) -> Frame:
    """Give a picture (on the CPU) as a codec speaks it; arguments as for `encode_planes`.

    Raises:
        UnsupportedInput: as there.
    """
    planes = encode_planes(
        picture.data,
        picture.chroma,
        picture.alpha,
        fmt,
        color,
        source_format=source_format,
        source_color=source_color,
        source_size=source_size,
        turn=turn,
    )
    return Frame(
        index=picture.index,
        pts=picture.pts,
        duration=picture.duration,
        planes=tuple(numpy_plane(plane) for plane in planes),
        format=fmt,
        color=color,
        opens_shot=picture.opens_shot,
    )


def decode_planes(planes: Sequence[Tensor], fmt: PixelFormat, color: ColorSpec, domain: Domain) -> Decoded:
    """Give integer planes (h, w), as `plane_tensor` gives them, as numbers on the same device.

    color: resolved. Domain `y`: luma alone, beside it Cb and Cr as they lie in the source (of RGB planes: 4:4:4 by
    `ycc_matrix`; of grey: none). Domain `rgb`: R, G, B; grey three times.

    Raises:
        UnsupportedInput: a matrix is needed and cannot be turned into RGB.
    """
    luma = luma_levels(color.range, fmt.depth)
    alpha = numbers(planes[-1], luma_levels("pc", fmt.depth), fmt.depth)[None] if fmt.alpha else None
    if fmt.family == "rgb":
        rgb = numbers(torch.stack([planes[2], planes[0], planes[1]]), luma, fmt.depth)
        if domain == "rgb":
            return Decoded(data=rgb, alpha=alpha)
        data, chroma = _to_ycc(rgb, ycc_matrix(color))
        return Decoded(data=data[None], chroma=chroma, alpha=alpha)
    data = numbers(planes[0], luma, fmt.depth)[None]
    if fmt.family == "gray":
        return Decoded(data=data if domain == "y" else data.repeat(3, 1, 1), alpha=alpha)
    levels = chroma_levels(color.range, fmt.depth)
    chroma = numbers(torch.stack([planes[1], planes[2]]), levels, fmt.depth)
    if domain == "y":
        return Decoded(data=data, chroma=chroma, alpha=alpha)
    height, width = data.shape[-2:]
    full = resample(chroma, grid(fmt, color.siting, width, height), Grid(width=width, height=height))
    return Decoded(data=_to_rgb(data, full, color.matrix), alpha=alpha)


@torch.inference_mode()
def encode_planes(
    data: Tensor,
    chroma: Tensor | None,
    alpha: Tensor | None,
    fmt: PixelFormat,
    color: ColorSpec,
    *,
    source_format: PixelFormat,
    source_color: ColorSpec,
    source_size: Size | None = None,
    turn: Turn = UPRIGHT,
) -> tuple[Tensor, ...]:
    """Give numbers as integer planes of `fmt`, rounded to nearest: uint8, or int16 with the bits of uint16.

    data: (3, H, W) R, G, B or (1, H, W) luma, of the size to be written. chroma: (2, h, w) as `decode_planes` gave
    it, at the source's size, or None. alpha: (1, H, W); opaque where `fmt` has alpha and it is None, dropped where
    `fmt` has none. color: of the result. source_format, source_color (resolved): what chroma was decoded from.
    source_size: (height, width) of the source; None finds it from chroma, exactly for every whole scale. turn: how
    the planes are turned, after all that; the arguments are unturned. Grey sources stay grey.

    Raises:
        UnsupportedInput: a matrix is needed and cannot be turned into RGB.
    """
    if source_format.family == "gray" and data.shape[0] == 3:
        data = data.mean(dim=0, keepdim=True)
    size = (data.shape[-2], data.shape[-1])
    data = turned(data, turn)
    if data.shape[0] == 3:
        planes = _encode_rgb(data, fmt, color)
    else:
        carried = ycc_matrix(source_color)
        source = None
        if chroma is not None:
            source = turned_grid(_source_grid(chroma, source_format, source_color, source_size, size), turn)
            chroma = turned(chroma, turn)
        planes = _encode_luma(data, chroma, source, carried, fmt, color)
    if fmt.alpha:
        opaque = torch.ones_like(data[:1]) if alpha is None else turned(alpha, turn)
        planes = (*planes, _write(opaque[0], luma_levels("pc", fmt.depth), fmt.depth))
    return planes


def _encode_luma(
    data: Tensor, chroma: Tensor | None, source: Grid | None, carried: str, fmt: PixelFormat, color: ColorSpec
) -> tuple[Tensor, ...]:
    """Encode luma with chroma beside it; by way of RGB only where RGB or another matrix is asked for."""
    height, width = data.shape[-2:]
    luma = luma_levels(color.range, fmt.depth)
    if fmt.family == "gray":
        return (_write(data[0], luma, fmt.depth),)
    if chroma is None or source is None:
        plane = _write(data[0], luma, fmt.depth)
        if fmt.family == "rgb":
            return plane, plane, plane
        neutral = torch.full(
            fmt.plane_shape(1, width, height), 1 << (fmt.depth - 1), dtype=torch.int32, device=data.device
        ).to(plane.dtype)
        return plane, neutral, neutral
    if fmt.family == "rgb" or color.matrix != carried:
        full = resample(chroma, source, Grid(width=width, height=height))
        return _encode_rgb(_to_rgb(data, full, carried), fmt, color)
    moved = resample(chroma, source, grid(fmt, color.siting, width, height))
    levels = chroma_levels(color.range, fmt.depth)
    return _write(data[0], luma, fmt.depth), *(_write(plane, levels, fmt.depth) for plane in moved)


def _encode_rgb(rgb: Tensor, fmt: PixelFormat, color: ColorSpec) -> tuple[Tensor, ...]:
    luma = luma_levels(color.range, fmt.depth)
    if fmt.family == "rgb":
        return tuple(_write(rgb[channel], luma, fmt.depth) for channel in (1, 2, 0))
    if fmt.family == "gray":
        return (quantise(_luma(rgb, color.matrix, luma.span), luma.offset, fmt.depth),)
    height, width = rgb.shape[-2:]
    levels = chroma_levels(color.range, fmt.depth)
    scaled = _luma(rgb, color.matrix, luma.span)
    differences = _differences(rgb, scaled, luma.span)
    moved = resample(differences, Grid(width=width, height=height), grid(fmt, color.siting, width, height))
    # Scaled only now, where they are small: a pass over full-size planes costs as much as the arithmetic.
    chroma = (
        quantise(plane.mul_(share * levels.span), levels.offset, fmt.depth)
        for plane, share in zip(moved, _shares(color.matrix), strict=True)
    )
    return quantise(scaled, luma.offset, fmt.depth), *chroma


# The matrices are written out, plane by plane: quicker on a CPU than a matrix product of three channels, and in full
# float32 on every device (a GPU's matrix unit may round to TF32, which costs codes). ITU-T H.273 equations 38 to 40.


def _to_rgb(luma: Tensor, chroma: Tensor, matrix: str) -> Tensor:
    """Give R, G, B (3, H, W) of luma (1, H, W) and Cb, Cr (2, H, W)."""
    kr, kb = luma_weights(matrix)
    kg = 1 - kr - kb
    cb, cr = chroma
    rgb = torch.empty((3, *cb.shape), dtype=cb.dtype, device=cb.device)
    torch.add(luma[0], cr, alpha=2 * (1 - kr), out=rgb[0])
    torch.add(luma[0], cb, alpha=2 * (1 - kb), out=rgb[2])
    torch.add(luma[0], cr, alpha=-2 * kr * (1 - kr) / kg, out=rgb[1])
    rgb[1].add_(cb, alpha=-2 * kb * (1 - kb) / kg)
    return rgb


def _to_ycc(rgb: Tensor, matrix: str) -> tuple[Tensor, Tensor]:
    """Give luma (H, W) and Cb, Cr (2, H, W), all new, of R, G, B (3, H, W)."""
    luma = _luma(rgb, matrix)
    chroma = _differences(rgb, luma)
    for plane, share in zip(chroma, _shares(matrix), strict=True):
        plane.mul_(share)
    return luma, chroma


def _luma(rgb: Tensor, matrix: str, scale: float = 1.0) -> Tensor:
    """Give scale times luma (H, W), new."""
    kr, kb = luma_weights(matrix)
    return (rgb[0] * (scale * kr)).add_(rgb[1], alpha=scale * (1 - kr - kb)).add_(rgb[2], alpha=scale * kb)


def _differences(rgb: Tensor, luma: Tensor, scale: float = 1.0) -> Tensor:
    """Give B - Y, R - Y (2, H, W), new, from scale times luma: Cb and Cr before `_shares` scales them."""
    differences = torch.empty((2, *luma.shape), dtype=luma.dtype, device=luma.device)
    torch.sub(rgb[2], luma, alpha=1 / scale, out=differences[0])
    torch.sub(rgb[0], luma, alpha=1 / scale, out=differences[1])
    return differences


def _shares(matrix: str) -> tuple[float, float]:
    """Give Cb / (B - Y) and Cr / (R - Y)."""
    kr, kb = luma_weights(matrix)
    return 0.5 / (1 - kb), 0.5 / (1 - kr)


def _write(plane: Tensor, levels: Levels, depth: int) -> Tensor:
    return quantise(plane * levels.span, levels.offset, depth)


def _source_grid(chroma: Tensor, fmt: PixelFormat, color: ColorSpec, size: Size | None, target: Size) -> Grid:
    """Give the grid that chroma lies on. RGB sources carry 4:4:4."""
    rows, columns = chroma.shape[-2:]
    if fmt.family == "rgb":
        return Grid(width=columns, height=rows)
    if size is None:
        size = _luma_size(rows, fmt.chroma_shift_y, target[0]), _luma_size(columns, fmt.chroma_shift_x, target[1])
    return grid(fmt, color.siting, size[1], size[0])


def _luma_size(samples: int, shift: int, target: int) -> int:
    """Give how many luma samples so many chroma samples stood for, if the target is a whole multiple of it.

    Rounding up loses which of 2n - 1 and 2n it was; only one of them divides the target unless scales reach 2n.
    """
    largest = samples << shift
    smallest = ((samples - 1) << shift) + 1
    return next((size for size in range(largest, smallest - 1, -1) if target % size == 0), largest)
