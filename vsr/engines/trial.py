"""Trials: a chosen model is run on a small picture, and what it shows decides precision and tile."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import Tensor

from vsr.core.card import ModelCard, Precision
from vsr.core.sampling import Sampling
from vsr.engines.base import Batch, Engine, Key, SelfTiling, Weighed
from vsr.engines.device import check_precision, free_bytes, quick_precisions
from vsr.engines.memory import GRAPH_BYTES, tile_that_fits
from vsr.engines.registry import open_engine

log = logging.getLogger(__name__)

# Of an engine that tiles itself: a U-Net holds more than its widest operator shows, and whole pictures lie beside its
# tiles. Measured at x4 to 1920x1080, 4 steps: 3824 bytes a low-resolution pixel whole, 1516 in tiles of 128, where the
# operator shows 1152; these two make it 3968 and 1967.
HELD = 2.5
CANVAS_BYTES = 68.0  # an output pixel and channel: 17 planes in float32
# What a trial has shown holds as long as the program runs: thousands of files of one folder need it once.
_Model = tuple[str, str, str, int, int, Sampling | None]
_right: dict[tuple[_Model, str, tuple[Precision, ...]], Precision] = {}
_weights: dict[_Model, tuple[float, bool]] = {}
FLOOR_DB = 50.0  # a reduced precision must agree with fp32 this well: far below what any codec adds


def choose_precision(
    card: ModelCard,
    reference: str,
    scale: int,
    device: str,
    wanted: Precision | Literal["auto"] = "auto",
    sampling: Sampling | None = None,
) -> Precision:
    """Give the precision to run a chosen model in: the one wanted, or the quickest that is right.

    What is quickest is told by the device's instructions, not by a clock: a timing on a busy machine would now and then
    choose another, and the same command would give other bytes.

    Raises:
        IncompatibleModel: the model's result is not right in the precision wanted.
        DeviceError: fp16 on a CPU.
        ModelError: it cannot be opened.
    """
    if wanted != "auto":
        check_precision(card, device, wanted)
        return wanted
    quick = tuple(quick_precisions(device))
    key = (_model(card, reference, scale, sampling), device, quick)
    if key not in _right:
        _right[key] = right_precision(
            lambda precision: open_engine(
                reference, scale=scale, device=device, precision=precision, sampling=sampling
            ),
            card,
            device,
            quick,
        )
    return _right[key]


def choose_tile(
    card: ModelCard,
    reference: str,
    scale: int,
    device: str,
    precision: Precision,
    size: tuple[int, int],
    calls: int,
    sampling: Sampling | None = None,
) -> int | None:
    """Give the tile side with which `calls` calls at a time on pictures of `size` (height, width) fit; None: whole.

    Half of the free memory is for the network: decoder, queues, encoder and other programs have the rest.
    """
    per_pixel, is_self_tiling = _weighed(card, reference, scale, sampling)
    budget = free_bytes(device) / 2 / calls
    if is_self_tiling:
        per_pixel *= HELD
        budget -= CANVAS_BYTES * (1 if card.domain == "y" else 3) * scale**2 * size[0] * size[1]
    if precision != "fp32":
        per_pixel /= 2
    return tile_that_fits(per_pixel, *size, max(budget, 0.0), card.halo)


def _weighed(card: ModelCard, reference: str, scale: int, sampling: Sampling | None) -> tuple[float, bool]:
    """Give the bytes a low-resolution pixel takes, and whether the engine tiles itself."""
    key = _model(card, reference, scale, sampling)
    if key not in _weights:
        engine = open_engine(reference, scale=scale, device="cpu", precision="fp32", sampling=sampling)
        per_pixel = engine.bytes_per_pixel() if isinstance(engine, Weighed) else GRAPH_BYTES
        engine.close()
        _weights[key] = per_pixel, isinstance(engine, SelfTiling)
    return _weights[key]


def _model(card: ModelCard, reference: str, scale: int, sampling: Sampling | None) -> _Model:
    return reference, card.id, card.digest, card.frames, scale, sampling


def right_precision(
    open_as: Callable[[Precision], Engine], card: ModelCard, device: str, quick: Sequence[Precision]
) -> Precision:
    """Give the first of `quick` that the card allows and that agrees with fp32 on a small picture; else fp32.

    Agreement is at least 50 dB.
    """
    candidates = [name for name in quick if name in card.dtypes and name != "fp32"]
    if not candidates:
        return "fp32"
    batch = _sample(card, device)
    reference = _result(open_as("fp32"), batch)
    for name in candidates:
        agreement = _psnr(_result(open_as(name), batch), reference)
        log.info("%s %s: %.1f dB against fp32", card.id, name, agreement)
        if agreement >= FLOOR_DB:
            return name
    return "fp32"


def _sample(card: ModelCard, device: str) -> Batch:
    """Give a window with slopes, edges and fine texture, of about the cost of the milliseconds it may take."""
    side = -(-max(96, card.minimum) // card.divisor) * card.divisor
    generator = torch.Generator().manual_seed(0)
    y, x = torch.meshgrid(torch.linspace(0, 1, side), torch.linspace(0, 1, side), indexing="ij")
    smooth = 0.5 + 0.25 * torch.sin(9 * x + 4 * y) + 0.15 * (x > y)
    channels = 1 if card.domain == "y" else 3
    noise = torch.rand((1, card.frames, channels, side, side), generator=generator)
    frames = (smooth + 0.1 * (noise - 0.5)).clamp(0, 1).to(device)
    aligned = None
    if card.alignment == "grid":
        full = (1, card.frames - 1, channels, side * (card.scale or 1), side * (card.scale or 1))
        aligned = (0.05 * torch.randn(full, generator=generator)).to(device)
    return Batch(frames=frames, keys=(Key(frame=0, seed=0),), aligned=aligned)


def _result(engine: Engine, batch: Batch) -> Tensor:
    result = engine.restore(batch)
    engine.close()
    return result


def _psnr(a: Tensor, b: Tensor) -> float:
    error = float(((a - b).double() ** 2).mean())
    return math.inf if error == 0 else -10 * math.log10(error) if math.isfinite(error) else -math.inf
