"""NetEngine: an Engine out of a torch module."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from vsr.core.card import ModelCard, Precision
from vsr.core.errors import IncompatibleModel
from vsr.engines.base import Batch
from vsr.engines.memory import bytes_per_pixel, memory_errors

DTYPES: Mapping[Precision, torch.dtype] = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class NetEngine:
    """Runs a module that maps (B, N, C, H, W) to (B, C, s*H, s*W).

    Where the card's alignment is `grid` the module takes the aligned differences (B, N-1, C, s*H, s*W) beside it.
    `body` is the part that runs in the reduced precision, in channels_last; the module casts at the body's doors, so
    that what goes in and comes out is float32. `restore` gives an inference tensor: change it in place only under
    `torch.inference_mode()`. Safe to call from several threads: the module holds no state of a call.
    """

    def __init__(
        self,
        net: nn.Module,
        *,
        card: ModelCard,
        scale: int,
        body: nn.Module | None = None,
        device: str = "cpu",
        precision: Precision = "fp32",
    ) -> None:
        self.card = card
        self.device = torch.device(device)
        self._scale = scale
        with memory_errors(f"the weights of {card.id} do not fit on {device}"):
            self._net: nn.Module | None = net.to(self.device).eval().requires_grad_(False)
            for part in (body, getattr(net, "temporal", None)) if body is not None else ():
                if part is not None:
                    part.to(dtype=DTYPES[precision], memory_format=torch.channels_last)  # type: ignore[call-overload]

    @property
    def scale(self) -> int:
        return self._scale

    def restore(self, batch: Batch) -> Tensor:
        """See `Engine.restore`.

        Raises:
            OutOfMemory: the batch does not fit.
            IncompatibleModel: the window's size or channels are not the card's.
        """
        assert self._net is not None, "restore after close"
        check_batch(self.card, batch, self._scale)
        size = "x".join(str(n) for n in batch.frames.shape)
        with memory_errors(f"{self.card.id} on windows of {size}"), torch.inference_mode():
            result = self._net(batch.frames) if batch.aligned is None else self._net(batch.frames, batch.aligned)
        assert isinstance(result, Tensor)
        return result.contiguous().float()

    def bytes_per_pixel(self) -> float:
        """Give the working memory of a call in bytes per input pixel and window, from a small one."""
        assert self._net is not None, "measured after close"
        side = -(-max(64, self.card.minimum) // self.card.divisor) * self.card.divisor
        channels = 1 if self.card.domain == "y" else 3
        frames = torch.zeros((1, self.card.frames, channels, side, side), device=self.device)
        if self.card.alignment == "none":
            return bytes_per_pixel(self._net, frames)
        full = (1, self.card.frames - 1, channels, side * self._scale, side * self._scale)
        return bytes_per_pixel(self._net, frames, torch.zeros(full, device=self.device))

    def close(self) -> None:
        self._net = None
        if self.device.type == "cuda":
            torch.cuda.empty_cache()


def check_batch(card: ModelCard, batch: Batch, scale: int = 1) -> None:
    """Hold a batch against the card; `scale` is the engine's, for the size of aligned differences.

    Raises:
        IncompatibleModel: another number of frames or channels, a size that is not the divisor's or too small, or
            aligned differences that are missing, not asked for, or of another size.
    """
    count, frames, channels, height, width = batch.frames.shape
    if frames != card.frames:
        raise IncompatibleModel(f"{card.id} takes windows of {card.frames} frames, got {frames}")
    if card.parameters and channels != (1 if card.domain == "y" else 3):  # a weightless engine takes any planes
        raise IncompatibleModel(f"{card.id} takes {'luma' if card.domain == 'y' else 'RGB'}, got {channels} channels")
    if height % card.divisor or width % card.divisor or min(height, width) < card.minimum:
        raise IncompatibleModel(
            f"{card.id} takes multiples of {card.divisor} of at least {card.minimum}, got {width}x{height}"
        )
    full = (count, frames - 1, channels, height * scale, width * scale)
    wanted = full if card.alignment == "grid" else None
    given = None if batch.aligned is None else tuple(batch.aligned.shape)
    if given != wanted:
        raise IncompatibleModel(f"{card.id} takes aligned differences of {wanted}, got {given}")
