"""Crops for training: drawn from examples that lie in memory, or on the device, mirrored and transposed there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from vsr.core.errors import NotMedia
from vsr.core.frame import Domain
from vsr.data.examples import Example, unit


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Crop:
    """One batch: lr (B, C, h, w), hr (B, C, s*h, s*w) and aligned (B, N-1, C, s*h, s*w), black 0 and white 1.

    window: (B, N, C, h, w), where the network reads the frames of a window as they are.
    """

    lr: Tensor
    hr: Tensor
    aligned: Tensor | None
    window: Tensor | None = None

    @property
    def frames(self) -> Tensor:
        """What the network reads, (B, N, C, h, w): the whole window, or the centre alone."""
        return self.lr[:, None] if self.window is None else self.window


class Crops:
    """Draws batches of crops of `side` LR pixels; larger pictures are drawn from oftener, by their area.

    Raises:
        NotMedia: no example is as large as a crop.
    """

    def __init__(
        self,
        examples: Sequence[Example],
        *,
        side: int,
        scale: int,
        domain: Domain,
        augment: bool = True,
        device: str = "cpu",
    ) -> None:
        fitting = [example for example in examples if min(example.lr.shape[-2:]) >= side]
        if not fitting:
            raise NotMedia(
                f"no picture has {side * scale} pixels a side, which a crop of {side} at x{scale} takes",
                hint="Give larger pictures, or a smaller data.crop.",
            )
        self._examples = [_on(example, device) for example in fitting]
        areas = np.array([example.lr.shape[-2] * example.lr.shape[-1] for example in fitting], dtype=np.float64)
        self._share = areas / areas.sum()
        self._side, self._scale, self._domain, self._augment = side, scale, domain, augment

    def __len__(self) -> int:
        return len(self._examples)

    def draw(self, count: int, rng: np.random.Generator) -> Crop:
        """Draw a batch; what is drawn depends on the generator's state alone."""
        cut = [self._one(int(index), rng) for index in rng.choice(len(self._examples), count, p=self._share)]
        aligned = [crop.aligned for crop in cut if crop.aligned is not None]
        windows = [crop.window for crop in cut if crop.window is not None]
        return Crop(
            lr=unit(torch.stack([crop.lr for crop in cut]), self._domain),
            hr=unit(torch.stack([crop.hr for crop in cut]), self._domain),
            aligned=torch.stack(aligned).float() if aligned else None,
            window=unit(torch.stack(windows), self._domain) if windows else None,
        )

    def _one(self, index: int, rng: np.random.Generator) -> Crop:
        example, side, scale = self._examples[index], self._side, self._scale
        height, width = example.lr.shape[-2:]
        y, x = int(rng.integers(0, height - side + 1)), int(rng.integers(0, width - side + 1))
        flips = rng.random(3) < 0.5

        def cut(planes: Tensor, times: int) -> Tensor:
            part = planes[..., y * times : (y + side) * times, x * times : (x + side) * times]
            if not self._augment:
                return part
            axes = [axis for axis, flip in zip((-1, -2), flips, strict=False) if flip]
            part = part.flip(axes) if axes else part
            return part.transpose(-1, -2) if flips[2] else part

        aligned = None if example.aligned is None else cut(example.aligned, scale)
        window = None if example.window is None else cut(example.window, 1)
        return Crop(lr=cut(example.lr, 1), hr=cut(example.hr, scale), aligned=aligned, window=window)


class MixedCrops:
    """Draws each batch from one of several `Crops`, by their shares: crops of several scales, for one network."""

    def __init__(self, parts: Sequence[Crops], shares: Sequence[float]) -> None:
        self._parts, self._shares = parts, shares

    def __len__(self) -> int:
        return sum(len(part) for part in self._parts)

    def draw(self, count: int, rng: np.random.Generator) -> Crop:
        """See `Crops.draw`."""
        return self._parts[int(rng.choice(len(self._parts), p=self._shares))].draw(count, rng)


def _on(example: Example, device: str) -> Example:
    aligned = None if example.aligned is None else example.aligned.to(device)
    window = None if example.window is None else example.window.to(device)
    return replace(example, lr=example.lr.to(device), hr=example.hr.to(device), aligned=aligned, window=window)


def middle(example: Example, *, scale: int, side: int) -> Example:
    """Give the middle part of an example, at most `side` HR pixels a side: what validation looks at."""
    height, width = (min(size, max(1, side // scale)) for size in example.lr.shape[-2:])
    y, x = (example.lr.shape[-2] - height) // 2, (example.lr.shape[-1] - width) // 2

    def cut(planes: Tensor, times: int) -> Tensor:
        return planes[..., y * times : (y + height) * times, x * times : (x + width) * times]

    aligned = None if example.aligned is None else cut(example.aligned, scale)
    window = None if example.window is None else cut(example.window, 1)
    return replace(example, lr=cut(example.lr, 1), hr=cut(example.hr, scale), aligned=aligned, window=window)
