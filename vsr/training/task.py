"""What is trained, and what one update does: the interface between the loop and each kind of training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor, nn


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrainBatch:
    """Crops for one update, on the training's device, black 0 and white 1.

    frames: (B, N, C, h, w) low resolution, N = 1 where the network reads the centre alone. hr: (B, C, s*h, s*w).
    aligned: (B, N-1, C, s*h, s*w) differences of the aligned neighbours to the centre, where the network takes them.
    index: number of the update, from 0. progress: share of the training that lies before it.
    """

    frames: Tensor
    hr: Tensor
    aligned: Tensor | None
    index: int
    progress: float = 0.0


# apply(name, loss): back through the net `name` alone, clip, one step of its optimiser, gradients forgotten.
Apply = Callable[[str, Tensor], None]


class Task(Protocol):
    """A kind of training. nets: all that is trained and saved; the first is what is shipped, and its average kept.

    The loop puts the nets into the dict anew as it runs them (on a device, over several): `update` calls those.
    """

    nets: dict[str, nn.Module]

    def update(self, batch: TrainBatch, apply: Apply) -> dict[str, Tensor]:
        """Do one update; give detached scalars for the log.

        Raises:
            NonFiniteLoss: from `apply`.
        """
        ...


def run(net: nn.Module, batch: TrainBatch) -> Tensor:
    """Give the network's output for a batch: (B, C, s*h, s*w)."""
    result: Tensor = net(batch.frames) if batch.aligned is None else net(batch.frames, batch.aligned)
    return result


class PixelTask:
    """One network, one loss that compares its output with HR."""

    def __init__(self, net: nn.Module, loss: Callable[[Tensor, Tensor], Tensor]) -> None:
        self.nets = {"generator": net}
        self._loss = loss

    def update(self, batch: TrainBatch, apply: Apply) -> dict[str, Tensor]:
        loss = self._loss(run(self.nets["generator"], batch), batch.hr)
        apply("generator", loss)
        return {"loss": loss.detach()}
