"""Engines for tests: small, exact, and faulty on purpose. Constructed directly; no registry knows them."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn

from vsr.core.card import Alignment, ModelCard, Precision, Tiling
from vsr.core.errors import OutOfMemory
from vsr.core.frame import Domain
from vsr.engines.base import Batch
from vsr.engines.net import NetEngine
from vsr.filters import BICUBIC, resize


def card(
    name: str,
    *,
    domain: Domain = "rgb",
    frames: int = 1,
    scale: int = 1,
    halo: int = 0,
    divisor: int = 1,
    minimum: int = 1,
    tiling: Tiling = "exact",
    alignment: Alignment = "none",
    dtypes: tuple[Precision, ...] = ("fp32",),
) -> ModelCard:
    return ModelCard(
        id=name,
        family=name,
        arch="test",
        scale=scale,
        domain=domain,
        frames=frames,
        halo=halo,
        divisor=divisor,
        minimum=minimum,
        tiling=tiling,
        alignment=alignment,
        dtypes=dtypes,
    )


class IdentityEngine:
    """Gives the centre picture."""

    scale = 1

    def __init__(self, domain: Domain = "rgb") -> None:
        self.card = card(f"identity-{domain}", domain=domain)

    def restore(self, batch: Batch) -> Tensor:
        return batch.frames[:, self.card.frames // 2].clone()

    def close(self) -> None:
        pass


class MeanEngine:
    """Gives the mean of a window's pictures: tells which neighbours a window held."""

    scale = 1

    def __init__(self, frames: int = 3, domain: Domain = "rgb") -> None:
        self.card = card(f"mean-{frames}", domain=domain, frames=frames)

    def restore(self, batch: Batch) -> Tensor:
        assert batch.frames.shape[1] == self.card.frames
        return batch.frames.mean(dim=1)

    def close(self) -> None:
        pass


class AlignedMean(nn.Module):
    """Gives the centre's bicubic plus the mean of the aligned differences: the mean of neighbours on the centre."""

    def __init__(self, scale: int) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, frames: Tensor, aligned: Tensor) -> Tensor:
        size, height, width = frames.shape[1], *frames.shape[-2:]
        center = resize(frames[:, size // 2], height * self.scale, width * self.scale, BICUBIC)
        return center + aligned.mean(dim=1)


def aligned_mean(frames: int = 3, scale: int = 2, domain: Domain = "y", divisor: int = 1) -> NetEngine:
    """Give an engine that takes neighbours aligned on the output grid; it reads 2 pixels around each."""
    facts = card(
        f"aligned-mean-{frames}",
        domain=domain,
        frames=frames,
        scale=scale,
        halo=2,
        divisor=divisor,
        alignment="grid",
    )
    return NetEngine(AlignedMean(scale), card=facts, scale=scale)


class FaultyEngine(IdentityEngine):
    """Raises `error` at call number `at` (from 0), or at every call from there."""

    def __init__(self, at: int, error: Exception, *, forever: bool = False, domain: Domain = "rgb") -> None:
        super().__init__(domain)
        self.at = at
        self.error = error
        self.forever = forever
        self._calls = itertools.count()  # next() on it is atomic

    def restore(self, batch: Batch) -> Tensor:
        call = next(self._calls)
        if call == self.at or (self.forever and call > self.at):
            raise self.error
        return super().restore(batch)


class OomEngine(IdentityEngine):
    """Has room for `limit` pixels (windows x height x width) in a call; `sizes` keeps what it was asked for."""

    def __init__(self, limit: int, domain: Domain = "rgb") -> None:
        super().__init__(domain)
        self.limit = limit
        self.sizes: list[tuple[int, int, int]] = []

    def restore(self, batch: Batch) -> Tensor:
        count, _, _, height, width = batch.frames.shape
        self.sizes.append((count, height, width))
        if count * height * width > self.limit:
            raise OutOfMemory(f"{count}x{height}x{width} do not fit")
        return super().restore(batch)


class NanEngine(IdentityEngine):
    """Gives NaN in one pixel for the frame indices `bad`."""

    def __init__(self, bad: frozenset[int], domain: Domain = "rgb") -> None:
        super().__init__(domain)
        self.bad = bad

    def restore(self, batch: Batch) -> Tensor:
        result = super().restore(batch)
        for at, key in enumerate(batch.keys):
            if key.frame in self.bad:
                result[at, 0, 0, 0] = float("nan")
        return result


class NoiseEngine:
    """Gives a noise that depends on (seed, position on the output grid) alone, as `Key` asks of diffusion engines."""

    def __init__(self, scale: int = 2) -> None:
        self.card = card("noise", scale=scale)
        self.scale = scale

    def restore(self, batch: Batch) -> Tensor:
        _, _, channels, height, width = batch.frames.shape
        return torch.stack([self._field(key.seed, key.offset, channels, height, width) for key in batch.keys])

    def _field(self, seed: int, offset: tuple[int, int], channels: int, height: int, width: int) -> Tensor:
        y = torch.arange(height * self.scale)[:, None] - offset[0]
        x = torch.arange(width * self.scale) - offset[1]
        mixed = (y * 7919 + x * 104729 + seed * 31) % 1009
        return (mixed / 1009).float().expand(channels, -1, -1).clone()

    def close(self) -> None:
        pass
