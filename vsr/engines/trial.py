"""Trials: a chosen model is run on a small picture, and what it shows decides precision and tile."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from vsr.core.card import ModelCard, Precision
from vsr.engines.base import Batch, Engine, Key
from vsr.engines.device import check_precision, free_bytes
from vsr.engines.memory import GRAPH_BYTES, tile_that_fits
from vsr.engines.net import NetEngine
from vsr.engines.registry import open_engine

log = logging.getLogger(__name__)

FLOOR_DB = 50.0  # a reduced precision must agree with fp32 this well: far below what any codec adds
GAIN = 0.9  # and take less than this share of fp32's time


def choose_precision(
    card: ModelCard, reference: str, scale: int, device: str, wanted: Precision | Literal["auto"] = "auto"
) -> Precision:
    """Give the precision to run a chosen model in: the one wanted, or the fastest that proves itself here.

    Raises:
        IncompatibleModel: the model's result is not right in the precision wanted.
        DeviceError: fp16 on a CPU.
        ModelError: it cannot be opened.
    """
    if wanted != "auto":
        check_precision(card, device, wanted)
        return wanted
    return fastest_precision(
        lambda precision: open_engine(reference, scale=scale, device=device, precision=precision), card, device
    )


def choose_tile(
    card: ModelCard, reference: str, scale: int, device: str, precision: Precision, size: tuple[int, int], calls: int
) -> int | None:
    """Give the tile side with which `calls` calls at a time on pictures of `size` (height, width) fit; None: whole.

    Half of the free memory is for the network: decoder, queues, encoder and other programs have the rest.
    """
    engine = open_engine(reference, scale=scale, device="cpu", precision="fp32")
    per_pixel = engine.bytes_per_pixel() if isinstance(engine, NetEngine) else GRAPH_BYTES
    engine.close()
    if precision != "fp32":
        per_pixel /= 2
    return tile_that_fits(per_pixel, *size, free_bytes(device) / 2 / calls, card.halo)


def fastest_precision(open_as: Callable[[Precision], Engine], card: ModelCard, device: str) -> Precision:
    """Run a small picture in fp32 and in each precision of the card; give the quickest that is right.

    Right is at least 50 dB against fp32; quicker is a tenth of the time saved, else it stays fp32. fp16 is never used
    on a CPU, where bf16 is emulated, and slow, on machines without the instructions.
    """
    candidates = [name for name in card.dtypes if name != "fp32" and not (name == "fp16" and device == "cpu")]
    if not candidates:
        return "fp32"
    batch = _sample(card, device)
    reference, whole = _timed(open_as("fp32"), batch)
    best: tuple[float, Precision] = (whole * GAIN, "fp32")
    for name in candidates:
        result, took = _timed(open_as(name), batch)
        agreement = _psnr(result, reference)
        log.info("%s %s: %.1f dB against fp32, %.2f of its time", card.id, name, agreement, took / whole)
        if agreement >= FLOOR_DB and took < best[0]:
            best = (took, name)
    return best[1]


def _sample(card: ModelCard, device: str) -> Batch:
    """Give a window with slopes, edges and fine texture, of about the cost of the milliseconds it may take."""
    # On a GPU a small picture would time the launches, not the arithmetic.
    wanted = 96 if device == "cpu" else 720
    side = -(-max(wanted, card.minimum) // card.divisor) * card.divisor
    generator = torch.Generator().manual_seed(0)
    y, x = torch.meshgrid(torch.linspace(0, 1, side), torch.linspace(0, 1, side), indexing="ij")
    smooth = 0.5 + 0.25 * torch.sin(9 * x + 4 * y) + 0.15 * (x > y)
    channels = 1 if card.domain == "y" else 3
    noise = torch.rand((1, card.frames, channels, side, side), generator=generator)
    frames = (smooth + 0.1 * (noise - 0.5)).clamp(0, 1).to(device)
    return Batch(frames=frames, keys=(Key(frame=0, seed=0),))


def _timed(engine: Engine, batch: Batch) -> tuple[Tensor, float]:
    """Give the result and the least of several times, in seconds. The first calls pay for set-up: not timed."""
    for _ in range(2):
        result = engine.restore(batch)
    _wait(batch.frames.device)
    times: list[float] = []
    while len(times) < 3 or (sum(times) < 0.015 and len(times) < 20):
        began = time.perf_counter()
        engine.restore(batch)
        _wait(batch.frames.device)
        times.append(time.perf_counter() - began)
    engine.close()
    return result, min(times)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _psnr(a: Tensor, b: Tensor) -> float:
    error = float(((a - b).double() ** 2).mean())
    return math.inf if error == 0 else -10 * math.log10(error) if math.isfinite(error) else -math.inf
