"""The task that trains `selffeat`: tell by which degradation, how strong, a crop was spoilt, and how it was turned.

models: vsr.evaluation.features.SelfFeat; degradations: vsr.evaluation.ranking. The heads read the channel-normalised
maps that the distance compares, so that what separates degradations is what the distance sees.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vsr.evaluation.features import SelfFeat, normalised
from vsr.evaluation.ranking import LADDERS, ranking

if TYPE_CHECKING:
    from vsr.training.task import Apply, TrainBatch

KINDS = ("clean", *(f"{name}-{level}" for name, ladder in LADDERS.items() for level in range(len(ladder.levels))))
_TURNS = 4
_SCORE_SEED = 20_011


class TaughtSelfFeat(nn.Module):
    """SelfFeat with the heads that teach it: (B, 3, H, W) in [0, 1] -> logits of kind (B, 13) and of turn (B, 4)."""

    def __init__(self) -> None:
        super().__init__()
        self.features = SelfFeat()
        pooled = sum(self.features.widths)
        self.heads = nn.ModuleDict({"kind": _head(pooled, len(KINDS)), "turn": _head(pooled, _TURNS)})

    def forward(self, rgb: Tensor) -> tuple[Tensor, Tensor]:
        pooled = torch.cat([normalised(maps).mean(dim=(2, 3)) for maps in self.features(rgb)], dim=1)
        return self.heads["kind"](pooled), self.heads["turn"](pooled)


def _head(inputs: int, classes: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, 128), nn.SiLU(), nn.Linear(128, classes))


class SelfFeatTask:
    """Trains on `TrainBatch.hr`, RGB crops. What spoils a batch is drawn from the update's number: resuming is exact.

    Crops must not come turned or mirrored upside down already: nobody could then tell the turn.
    """

    def __init__(self, net: TaughtSelfFeat | None = None, *, seed: int = 0) -> None:
        self._net = net if net is not None else TaughtSelfFeat()
        self._seed = seed
        self.nets: dict[str, nn.Module] = {"selffeat": self._net}

    def update(self, batch: TrainBatch, apply: Apply) -> dict[str, Tensor]:
        """One step of the sum of both cross-entropies; logs them and the shares that were told rightly."""
        pictures, kinds, turns = spoilt(batch.hr, seed=self._seed * 1_000_003 + batch.index)
        kind, turn = self.nets["selffeat"](pictures)
        losses = F.cross_entropy(kind, kinds), F.cross_entropy(turn, turns)
        apply("selffeat", losses[0] + losses[1])
        return {
            "kind": losses[0].detach(),
            "turn": losses[1].detach(),
            "kind_accuracy": _share(kind, kinds),
            "turn_accuracy": _share(turn, turns),
        }


@torch.no_grad()
def score(net: nn.Module, pictures: Iterable[Tensor]) -> dict[str, float]:
    """Give the shares of spoilt crops told rightly and the ranking of degradations, on held-out pictures.

    pictures: (3, H, W) in [0, 1]; each is spoilt in every way once, so the shares need no luck.
    `kind_accuracy` counts the level too. `ranking` is the mean over the degradations, `ranking-NAME` each.
    """
    assert isinstance(net, TaughtSelfFeat)
    held = [picture.cpu() for picture in pictures]
    device = next(net.parameters()).device
    generator = torch.Generator().manual_seed(_SCORE_SEED)
    told = {"kind_accuracy": [0, 0], "turn_accuracy": [0, 0]}
    for number, picture in enumerate(held):
        kinds = torch.arange(len(KINDS))
        turns = (kinds + number) % _TURNS
        for kind, turn in zip(kinds, turns, strict=True):
            worse = torch.rot90(spoil(picture, int(kind), generator), int(turn), (1, 2))
            says = net(worse[None].to(device))
            for name, logits, truth in zip(told, says, (kind, turn), strict=True):
                told[name][0] += int(logits.argmax()) == int(truth)
                told[name][1] += 1
    ranks = ranking(net.features, (picture.to(device) for picture in held))
    shares = {name: right / count for name, (right, count) in told.items()}
    return {
        **shares,
        "ranking": math.fsum(ranks.values()) / len(ranks),
        **{f"ranking-{name}": value for name, value in ranks.items()},
    }


def spoilt(crops: Tensor, *, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Spoil and turn square crops (B, 3, S, S) in [0, 1]; gives them, their kinds (B,) and quarter turns (B,)."""
    generator = torch.Generator().manual_seed(seed)
    count = crops.shape[0]
    kinds = torch.randint(len(KINDS), (count,), generator=generator)
    turns = torch.randint(_TURNS, (count,), generator=generator)
    pictures = [
        torch.rot90(spoil(crop, int(kind), generator), int(turn), (1, 2))
        for crop, kind, turn in zip(crops, kinds, turns, strict=True)
    ]
    return torch.stack(pictures), kinds.to(crops.device), turns.to(crops.device)


def spoil(picture: Tensor, kind: int, generator: torch.Generator) -> Tensor:
    """Give the picture (3, H, W) spoilt as `KINDS[kind]` says, with a strength drawn evenly in the log of its level."""
    name, _, level = KINDS[kind].partition("-")
    if not level:
        return picture
    ladder = LADDERS[name]
    low, high = ladder.levels[int(level)]
    share = float(torch.rand((), generator=generator))
    return ladder.apply(picture, low * (high / low) ** share, generator)


def _share(logits: Tensor, truth: Tensor) -> Tensor:
    return (logits.argmax(dim=1) == truth).float().mean().detach()
