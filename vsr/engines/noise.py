"""Gaussian noise as a function of place: the same pixel of the field has the same value whenever it is asked for.

Nothing here has a state. A field is a hash of (seed, row, column, channel, draw), so that tiles, batches, chunks and
devices agree on it, and moving it by whole pixels is a relabelling, which leaves it exactly as white as it was.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

_WORD = 1 << 32
_FIRST, _SECOND = 0x7FEB352D, 0x846CA68B  # of the hash; see _mix
_ROW, _COLUMN, _CHANNEL, _DRAW = 0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D, 0x27D4EB2F  # odd: each turns all bits of its count
_START = 0x165667B1  # the hash of 0 is 0: without it seed 0 would have 0 in its first pixel's every word


def field(
    seed: int,
    height: int,
    width: int,
    channels: int,
    *,
    offset: tuple[int, int] = (0, 0),
    draw: int = 0,
    device: str | torch.device = "cpu",
) -> Tensor:
    """Give standard normal noise (channels, height, width), float32.

    The value at (channel, y, x) depends on (seed, y - offset[0], x - offset[1], channel, draw) alone: an offset of
    (dy, dx) moves the field down and right. seed: any integer, taken modulo 2**64.
    """
    start = _scalar(_scalar(seed & (_WORD - 1) ^ _START) ^ (seed >> 32 & (_WORD - 1)))
    start = _scalar(start ^ (draw * _DRAW & (_WORD - 1)))
    rows = torch.arange(height, device=device, dtype=torch.int64) - offset[0]
    columns = torch.arange(width, device=device, dtype=torch.int64) - offset[1]
    every = torch.arange(channels, device=device, dtype=torch.int64)
    per_row = _mix(_word(rows * _ROW) ^ _signed(start))
    per_plane = _mix(per_row[None, :] ^ _word(every * _CHANNEL)[:, None])
    hashed = _mix(per_plane[:, :, None] ^ _word(columns * _COLUMN))
    return _normal(hashed, _mix(hashed ^ _signed(_ROW)))


def seed_of(seed: int, frame: int) -> int:
    """Give the seed of one frame's own field, for noise that is another one in each frame: all differ below 2**32."""
    return seed ^ _scalar(frame + 1 & (_WORD - 1)) << 32


def _normal(first: Tensor, second: Tensor) -> Tensor:
    """Give normals (Box and Muller 1958, eq. 1) of two words of 32 bits each: the upper 24 of either are used."""
    radius = ((first >> 8 & 0xFFFFFF).float() + 0.5).mul_(2.0**-24)
    angle = (second >> 8 & 0xFFFFFF).float().mul_(2 * math.pi * 2.0**-24)
    return radius.log_().mul_(-2).sqrt_().mul_(angle.cos_())


def _mix(words: Tensor) -> Tensor:
    """Scatter the bits of int32 words: two rounds of multiply and shift; each bit in moves half of those out.

    The form is that of murmur3's finaliser (Appleby), its two multipliers from a search for low bias (Wellons 2018).
    """
    words = words ^ _shifted(words, 16)
    words = words * _signed(_FIRST)
    words = words ^ _shifted(words, 15)
    words = words * _signed(_SECOND)
    return words ^ _shifted(words, 16)


def _shifted(words: Tensor, by: int) -> Tensor:
    """Shift right with zeros: int32's own shift repeats the sign."""
    return words >> by & (1 << 32 - by) - 1


def _scalar(word: int) -> int:
    """`_mix` of one word, in plain integers."""
    word ^= word >> 16
    word = word * _FIRST & (_WORD - 1)
    word ^= word >> 15
    word = word * _SECOND & (_WORD - 1)
    return word ^ word >> 16


def _word(numbers: Tensor) -> Tensor:
    """Give the low 32 bits of int64 numbers as int32."""
    low = numbers & (_WORD - 1)
    return torch.where(low >= _WORD // 2, low - _WORD, low).to(torch.int32)


def _signed(word: int) -> int:
    return word - _WORD if word >= _WORD // 2 else word
