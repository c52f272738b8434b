"""The adversarial task: a generator that restores, and a discriminator that tells restored pictures from HR."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from vsr.training.losses import Loss
from vsr.training.task import Apply, TrainBatch, run

_LAYERS = ((1, 1), (1, 2), (2, 1), (2, 2), (4, 1), (4, 2), (8, 1), (8, 2))  # (times width, stride)


class Discriminator(nn.Module):
    """SRGAN's eight convolutions with a patch head: (B, C, H, W) in [0, 1] -> logits (B, 1, H/16, W/16), rounded up.

    Ledig et al. 2017, fig. 4: 3x3, width 64 to 512, every second one of stride 2, LeakyReLU 0.2. Two changes. The dense
    head is two 1x1 convolutions (SRGAN's 1024 and 1), so that a crop of any size works. Spectral norm (Miyato et
    al. 2018) stands in for batch norm, whose statistics over a few crops leak from one picture to the others and
    differ between the batch of HR and the batch of restored ones. It makes for smaller gradients: after 120 updates at
    width 32, a thousandth of the adversarial term pulls a bicubic x4 picture by .04 of what the MSE on [-1, 1] does,
    with batch norm by .2. Recipes that want the paper's pull raise `loss.weights.adversarial` to about 5e-3.

    width: 64 is SRGAN's, 5.2 M parameters and 94 K MAC a pixel; 32 costs a quarter and is the one for a CPU.
    """

    def __init__(self, *, width: int = 64, channels: int = 3) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        before = channels
        for times, stride in _LAYERS:
            conv = nn.Conv2d(before, times * width, 3, stride=stride, padding=1)
            layers += [spectral_norm(conv), nn.LeakyReLU(0.2)]
            before = times * width
        layers += [spectral_norm(nn.Conv2d(before, 16 * width, 1)), nn.LeakyReLU(0.2), nn.Conv2d(16 * width, 1, 1)]
        self.body = nn.Sequential(*layers)

    def forward(self, pictures: Tensor) -> Tensor:
        logits: Tensor = self.body(2 * pictures - 1)
        return logits


class AdversarialTask:
    """Updates the generator by `loss`, then the discriminator on the same pictures.

    Nets: `generator` (shipped) and `discriminator`. The discriminator's loss is that of Goodfellow et al. 2014, eq. 1,
    on each patch; with no adversarial term it would learn for nobody, so such a loss is for `PixelTask`.
    """

    def __init__(self, generator: nn.Module, discriminator: nn.Module, loss: Loss) -> None:
        assert loss.is_adversarial, f"loss {loss.name} has no adversarial term: train it with PixelTask"
        self._loss = loss
        self.nets: dict[str, nn.Module] = {"generator": generator, "discriminator": discriminator}

    def update(self, batch: TrainBatch, apply: Apply) -> dict[str, Tensor]:
        """One step of each net; logs the terms before their weights and how sure the discriminator is.

        `real` and `fake` are the means of D on HR and on restored pictures: .5 and .5 where it cannot tell.
        """
        restored = run(self.nets["generator"], batch)
        terms = self._loss.terms(restored, batch.hr, self.nets["discriminator"](restored))
        total = self._loss.weighted(terms)
        apply("generator", total)
        real, fake = self.nets["discriminator"](batch.hr), self.nets["discriminator"](restored.detach())
        told = telling(real, fake)
        apply("discriminator", told)
        return {
            "loss": total.detach(),
            **{name: value.detach() for name, value in terms.items()},
            "discriminator": told.detach(),
            "real": real.detach().sigmoid().mean(),
            "fake": fake.detach().sigmoid().mean(),
        }


def telling(real: Tensor, fake: Tensor) -> Tensor:
    """Give the discriminator's loss -log D(HR) - log(1 - D(restored)), a scalar, from logits (B, 1, h, w)."""
    return F.softplus(-real).mean() + F.softplus(fake).mean()
