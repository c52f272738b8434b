"""From a recipe to what the loop runs: the task, how it is validated, and which part of it is shipped."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from vsr.core.errors import SettingsError
from vsr.core.frame import Domain
from vsr.data.examples import Example, unit
from vsr.engines.archs.sr3 import GRID, Sr3
from vsr.engines.archs.sr3_classic import Sr3Classic
from vsr.evaluation import metrics, protocol
from vsr.evaluation.features import Features, load_features
from vsr.training import classic, diffusion, losses, selffeat
from vsr.training.adversarial import AdversarialTask, Discriminator
from vsr.training.nets import make_net, start_from
from vsr.training.recipe import Recipe
from vsr.training.task import PixelTask, Task, TrainBatch, run


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Setup:
    """validate: figures of the averaged net on held-out examples. key: the one by which the best is kept (the highest).

    shipped: the part of the averaged net that the weight file holds.
    """

    task: Task
    validate: Callable[[nn.Module, Sequence[Example]], dict[str, float]]
    key: str
    shipped: Callable[[nn.Module], nn.Module]


def make_setup(recipe: Recipe, *, device: str, vgg_weights: Path | None = None) -> Setup:
    """Make the networks of a recipe, seeded, on the CPU.

    Raises:
        SettingsError: an arch, a loss or an option that there is not, or nothing is left to train.
        ModelError: `net.init` or the features' weights cannot be read.
    """
    torch.manual_seed(recipe.run.seed)
    if recipe.net.arch == "selffeat":
        if recipe.net.domain != "rgb":
            raise SettingsError(f'recipe: selffeat sees colour, net.domain must be "rgb", is {recipe.net.domain!r}')
        return Setup(
            task=selffeat.SelfFeatTask(seed=recipe.run.seed),
            validate=lambda net, held: selffeat.score(net, [unit(example.hr, "rgb") for example in held]),
            key="kind_accuracy",
            shipped=_features,
        )
    net = classic.make_net(recipe) if recipe.net.arch == "sr3_classic" else make_net(recipe.net)
    if recipe.net.init:
        started = start_from(net, recipe.net.init, recipe.net)
        for name, parameter in net.named_parameters():
            parameter.requires_grad_(not (recipe.net.freeze and name in started))
    if not any(parameter.requires_grad for parameter in net.parameters()):
        raise SettingsError(
            f"recipe: {recipe.net.init} holds the whole network, and net.freeze leaves nothing to train",
            hint="Set net.freeze = false, or take more frames.",
        )

    def features() -> Features:
        return load_features(vgg_weights or "selffeat").to(device)

    if isinstance(net, Sr3):
        return _diffusion(net, recipe, features)
    if isinstance(net, Sr3Classic):
        return _classic(net, recipe)
    loss = losses.compose(recipe.loss.kind, recipe.loss.weights, features)
    channels = 1 if recipe.net.domain == "y" else 3
    task: Task = (
        AdversarialTask(net, Discriminator(width=recipe.loss.discriminator, channels=channels), loss)
        if loss.is_adversarial
        else PixelTask(net, loss)
    )
    return Setup(
        task=task,
        validate=lambda averaged, held: score(averaged, held, recipe.net.scale, recipe.net.domain),
        key="psnr_y",
        shipped=lambda averaged: averaged,
    )


def _diffusion(net: Sr3, recipe: Recipe, features: Callable[[], Features]) -> Setup:
    side = recipe.data.crop * recipe.net.scale
    if side % GRID:
        raise SettingsError(
            f"recipe: sr3 learns on crops of whole cells of {GRID} pixels; "
            f"data.crop {recipe.data.crop} at x{recipe.net.scale} is {side}",
            hint=f"data.crop must be a multiple of {GRID // math.gcd(GRID, recipe.net.scale)}.",
        )

    def shipped(averaged: nn.Module) -> Sr3:
        assert isinstance(averaged, diffusion.Velocity)
        return averaged.net

    return Setup(
        task=diffusion.DiffusionTask(net, recipe.diffusion, features() if recipe.diffusion.unroll_from < 1 else None),
        validate=lambda averaged, held: diffusion.score(shipped(averaged), held, recipe.net.domain),
        key="psnr_y",
        shipped=shipped,
    )


def _classic(net: Sr3Classic, recipe: Recipe) -> Setup:
    def shipped(averaged: nn.Module) -> Sr3Classic:
        assert isinstance(averaged, Sr3Classic)
        return averaged

    return Setup(
        task=classic.ClassicTask(net, recipe.loss.kind),
        validate=lambda averaged, held: classic.score(shipped(averaged), held),
        key="psnr_y",
        shipped=shipped,
    )


def _features(net: nn.Module) -> nn.Module:
    assert isinstance(net, selffeat.TaughtSelfFeat)
    return net.features


@torch.no_grad()
def score(net: nn.Module, held: Sequence[Example], scale: int, domain: Domain) -> dict[str, float]:
    """Give the mean PSNR and SSIM of luma on held-out examples, by the protocol of `vsr.evaluation.protocol`."""
    values = [_figures(codes(restored(net, example, domain), domain), example, scale, domain) for example in held]
    return {key: math.fsum(value[key] for value in values) / len(values) for key in values[0]}


def bicubic_score(held: Sequence[Example], scale: int, domain: Domain) -> dict[str, float]:
    """Give the same figures of bicubic."""
    values = []
    for example in held:
        height, width = example.hr.shape[-2:]
        values.append(_figures(protocol.enlarged(example.lr.double(), height, width), example, scale, domain))
    return {key: math.fsum(value[key] for value in values) / len(values) for key in values[0]}


@torch.no_grad()
def restored(net: nn.Module, example: Example, domain: Domain) -> Tensor:
    """Give the network's picture of an example, (C, s*h, s*w), black 0 and white 1."""
    if isinstance(net, Sr3Classic):
        return classic.restored(net, example)
    device = next(net.parameters()).device
    aligned = None if example.aligned is None else example.aligned[None].float().to(device)
    batch = TrainBatch(
        frames=unit(example.lr, domain)[None, None].to(device),
        hr=example.hr[None],
        aligned=aligned,
        index=0,
    )
    return run(net, batch)[0].float().cpu()


def codes(picture: Tensor, domain: Domain) -> Tensor:
    """Give a picture as codes of 8 bits, not rounded: luma in studio range, RGB in full range."""
    return picture.double() * 219 + 16 if domain == "y" else picture.double() * 255


def _figures(picture: Tensor, example: Example, scale: int, domain: Domain) -> dict[str, float]:
    pair = (protocol.rounded(picture), example.hr.cpu().double())
    both = [planes[0] if domain == "y" else protocol.luma(planes) for planes in pair]
    sr, hr = (protocol.inside(plane, scale) for plane in both)
    return {"psnr_y": metrics.psnr(hr, sr), "ssim_y": metrics.ssim(hr, sr)}
