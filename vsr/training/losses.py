"""Losses: the terms, and the named compositions of them that a recipe chooses from. The one place for the next loss.

A new term is a function (restored, hr) -> (B,) and its line in `TERMS`; a new composition is a line in `COMPOSITIONS`.
The features come from `vsr.evaluation.features`, the discriminator's verdict from `vsr.training.adversarial`.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import torch
import torch.nn.functional as F
from torch import Tensor

from vsr.core.errors import SettingsError
from vsr.evaluation.features import Features

_CHARBONNIER_EPSILON = 1e-3
_PSNR_FLOOR = 1e-5
_PICTURE = (1, 2, 3)


def mse(restored: Tensor, hr: Tensor) -> Tensor:
    """Give the mean squared error of each picture, (B,)."""
    return (restored - hr).square().mean(dim=_PICTURE)


def l1(restored: Tensor, hr: Tensor) -> Tensor:
    """Give the mean absolute error of each picture, (B,)."""
    return (restored - hr).abs().mean(dim=_PICTURE)


def charbonnier(restored: Tensor, hr: Tensor) -> Tensor:
    """Give the mean of sqrt(d² + 1e-6), a smooth L1, of each picture, (B,): Lai et al. 2017, sec. 3.2."""
    return ((restored - hr).square() + _CHARBONNIER_EPSILON**2).sqrt().mean(dim=_PICTURE)


def psnr(restored: Tensor, hr: Tensor) -> Tensor:
    """Give minus the PSNR of each picture, (B,), in dB: smooth crops, whose errors are small, count as much as others.

    The error is floored at 50 dB, so that crops which are right already do not outweigh the rest.
    """
    return 10 * torch.log10(mse(restored, hr) + _PSNR_FLOOR)


def fooling(logits: Tensor) -> Tensor:
    """Give the generator's non-saturating loss -log D(restored) of each picture, (B,): Ledig et al. 2017, eq. 6.

    logits: the discriminator's verdicts on restored pictures, (B, 1, h, w), one a patch.
    """
    return F.softplus(-logits).mean(dim=_PICTURE)


Term = Callable[[Tensor, Tensor], Tensor]
TERMS: Mapping[str, Term] = MappingProxyType({"mse": mse, "l1": l1, "charbonnier": charbonnier, "psnr": psnr})
FEATURES, ADVERSARIAL = "features", "adversarial"  # terms that need a net beside the pictures
ALL_TERMS = (*TERMS, FEATURES, ADVERSARIAL)

COMPOSITIONS: Mapping[str, Mapping[str, float]] = MappingProxyType(
    {
        "mse": {"mse": 1.0},
        "l1": {"l1": 1.0},
        "charbonnier": {"charbonnier": 1.0},
        "psnr": {"psnr": 1.0},
        # The two of the SRGAN seed; Ledig et al. 2017, eq. 3, for the first. They count pixels on [-1, 1], where the
        # MSE is four times ours.
        "perceptual": {FEATURES: 1.0, ADVERSARIAL: 1e-3},
        "per-pix": {"mse": 4.0, FEATURES: 1.0, ADVERSARIAL: 1e-3},
    }
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Loss:
    """A weighted sum of terms, called as loss(restored, hr) or, with a discriminator, loss(restored, hr, logits).

    weights: term -> weight, none zero. features: there exactly if the weights name them.
    """

    name: str
    weights: Mapping[str, float]
    features: Features | None = None

    @property
    def is_adversarial(self) -> bool:
        """Whether it needs a discriminator."""
        return ADVERSARIAL in self.weights

    def __call__(self, restored: Tensor, hr: Tensor, logits: Tensor | None = None) -> Tensor:
        """Give the sum, a scalar. Pictures (B, C, H, W), black 0 and white 1, luma or RGB; logits (B, 1, h, w)."""
        return self.weighted(self.terms(restored, hr, logits))

    def weighted(self, terms: Mapping[str, Tensor]) -> Tensor:
        """Give the sum of the terms by weight, a scalar."""
        return torch.stack([self.weights[name] * value for name, value in terms.items()]).sum()

    def terms(self, restored: Tensor, hr: Tensor, logits: Tensor | None = None) -> dict[str, Tensor]:
        """Give each term before its weight, the mean over the batch."""
        found: dict[str, Tensor] = {}
        for name in self.weights:
            if name == FEATURES:
                assert self.features is not None, "checked by compose"
                found[name] = self.features.error(restored, hr).mean()
            elif name == ADVERSARIAL:
                assert logits is not None, "an adversarial loss needs the discriminator's verdicts"
                found[name] = fooling(logits).mean()
            else:
                found[name] = TERMS[name](restored, hr).mean()
        return found


def compose(name: str, changes: Mapping[str, object], features: Callable[[], Features]) -> Loss:
    """Give a composition by name, with a recipe's `loss.weights` put in place of its own; 0 takes a term out.

    features: called once if a term needs it (`vsr.evaluation.features.load_features`), so that `mse` opens no file.

    Raises:
        SettingsError: the composition or a term is unknown (with a close match), a weight is negative or not finite,
            or nothing is left.
    """
    if name not in COMPOSITIONS:
        raise SettingsError(f"unknown loss {name!r}", hint=_close(name, tuple(COMPOSITIONS)))
    given = dict(COMPOSITIONS[name])
    for term, weight in changes.items():
        if term not in ALL_TERMS:
            raise SettingsError(f"loss.weights has an unknown term {term!r}", hint=_close(term, ALL_TERMS))
        if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 <= weight < math.inf:
            raise SettingsError(f"loss.weights.{term} must be a finite number of at least 0, is {weight!r}")
        given[term] = float(weight)
    weights = {term: weight for term, weight in given.items() if weight}
    if not weights.keys() - {ADVERSARIAL}:
        raise SettingsError(
            f"loss {name!r} has no term left that compares with HR", hint="Give one a weight above 0 in loss.weights."
        )
    return Loss(name=name, weights=weights, features=features() if FEATURES in weights else None)


def _close(word: str, known: tuple[str, ...]) -> str:
    close = difflib.get_close_matches(word, known, n=1)
    return f"Did you mean {close[0]!r}?" if close else f"Known: {', '.join(known)}."
