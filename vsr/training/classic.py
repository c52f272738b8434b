"""The task of sr3_classic: the noise in a picture, at levels drawn for each sample; Saharia et al. 2021's training.

arXiv 2104.07636, algorithm 1, on windows of frames as they are, enlarged bicubically. Here each sample of a batch has
its own noise level, as in the paper; the public implementation draws one for the whole batch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vsr.core.errors import SettingsError
from vsr.data.examples import Example, unit
from vsr.engines import ddpm, noise
from vsr.engines.archs.sr3_classic import Layout, Sr3Classic
from vsr.engines.classic_engine import enlarged, windowed
from vsr.engines.schedules import alphas, betas
from vsr.evaluation import metrics, protocol
from vsr.training.recipe import Recipe
from vsr.training.task import Apply, TrainBatch

STEPS = 20  # of DDIM, in validation
LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"l1": F.l1_loss, "mse": F.mse_loss}
_ASKED = 4  # noise levels of the loss in validation, spread evenly over the trained steps


def make_net(recipe: Recipe) -> Sr3Classic:
    """Give a fresh network, from torch's random state; it is for pictures of the size of the recipe's crops.

    Raises:
        SettingsError: options that the network does not have.
    """
    net, told = recipe.net, recipe.classic
    if net.domain != "rgb" or net.scales or net.blocks:
        raise SettingsError('recipe: sr3_classic takes net.domain = "rgb", one scale, and no net.blocks')
    try:
        layout = Layout(
            frames=net.frames,
            inner=net.features or 64,
            multipliers=told.multipliers,
            attention=told.attention,
            res_blocks=net.depth or 2,
            norm_groups=told.norm_groups,
            image_size=recipe.data.crop * net.scale,
            dropout=told.dropout,
            variant=told.variant,
            scale=net.scale,
        )
    except ValueError as error:
        raise SettingsError(
            f"recipe: no sr3_classic has this shape: {error}",
            hint="net.features is the width, data.crop times net.scale the size of a picture.",
        ) from error
    return Sr3Classic(layout, betas(told.schedule, told.steps, start=told.start, end=told.end))


class ClassicTask:
    """Trains sr3_classic. Loss: `l1` or `mse` between the noise that went in and the noise that is found, eq. 6."""

    def __init__(self, net: Sr3Classic, loss: str) -> None:
        if loss not in LOSSES:
            raise SettingsError(f"recipe: loss.kind {loss!r} is not for sr3_classic", hint=f"Take {', '.join(LOSSES)}.")
        self._loss = LOSSES[loss]
        self._bounds = bounds(net)
        self.nets: dict[str, nn.Module] = {"generator": net}

    def update(self, batch: TrainBatch, apply: Apply) -> dict[str, Tensor]:
        """See `Task.update`."""
        condition = enlarged(batch.frames, batch.hr.shape[-1] // batch.frames.shape[-1])
        level = draw_levels(self._bounds.to(batch.hr.device), len(batch.hr))
        added = torch.randn_like(batch.hr)
        found = self.nets["generator"](torch.cat((condition, noisy(batch.hr, added, level)), dim=1), level)
        loss = self._loss(found.float(), added)
        apply("generator", loss)
        return {"loss": loss.detach()}


def bounds(net: Sr3Classic) -> Tensor:
    """Give what bounds each step's levels, (T + 1,) float64, falling: 1, then the root of alpha-bar after each step."""
    left = alphas(net.betas.cpu())
    return torch.cat([left.new_ones(1), left.sqrt()])


def draw_levels(bounds: Tensor, count: int) -> Tensor:
    """Draw a level for each sample, (count, 1) float32: a step evenly, and evenly between what bounds it.

    Saharia et al. 2021, sec. 2.4, after Chen et al. 2021 (arXiv 2009.00713), sec. 3.3: the network so knows all levels
    that any grid of steps asks for.
    """
    step = torch.randint(len(bounds) - 1, (count, 1), device=bounds.device)
    part = torch.rand(count, 1, device=bounds.device, dtype=bounds.dtype)
    return torch.lerp(bounds[step + 1], bounds[step], part).float()


def noisy(hr: Tensor, added: Tensor, level: Tensor) -> Tensor:
    """Give pictures (B, 3, H, W), black 0 and white 1, brought to [-1, 1] and to noise levels (B, 1): eq. 4."""
    left = level[..., None, None]
    return left * (hr * 2 - 1) + (1 - left.square()).sqrt() * added


@torch.no_grad()
def score(net: Sr3Classic, held: Sequence[Example], *, steps: int = STEPS) -> dict[str, float]:
    """Give figures of held-out examples, sampled by DDIM in a few steps from seeded noise.

    PSNR and SSIM of luma are by `vsr.evaluation.protocol`; psnr_rgb is over all pixels of RGB, as published with the
    public implementation. loss: the mean absolute error of the noise that is found, at fixed levels and fixed noise.
    """
    values: dict[str, list[float]] = {"psnr_y": [], "ssim_y": [], "psnr_rgb": [], "loss": []}
    for example in held:
        rgb = protocol.rounded(restored(net, example, steps=steps).double() * 255)
        hr = example.hr.cpu().double()
        sr_y, hr_y = (protocol.inside(protocol.luma(planes), net.layout.scale) for planes in (rgb, hr))
        values["psnr_y"].append(metrics.psnr(hr_y, sr_y))
        values["ssim_y"].append(metrics.ssim(hr_y, sr_y))
        values["psnr_rgb"].append(metrics.psnr(hr, rgb))
        values["loss"].append(_held_loss(net, example))
    return {key: math.fsum(every) / len(every) for key, every in values.items()}


@torch.no_grad()
def restored(net: Sr3Classic, example: Example, *, steps: int = STEPS) -> Tensor:
    """Give the sampled picture of an example, (3, s*h, s*w), black 0 and white 1."""
    condition = _condition(net, example)
    height, width = condition.shape[-2:]

    def predict(x: Tensor, condition: Tensor, level: Tensor) -> Tensor:
        return _found(net, torch.cat((condition, x), dim=1), level)

    def drawn(step: int) -> Tensor:
        return noise.field(0, height, width, 3, draw=step, device=condition.device)[None]

    grid = ddpm.grid(net.betas.cpu(), min(steps, len(net.betas)))
    sample = ddpm.ddim(windowed(predict, net.layout.image_size), drawn, condition, grid)
    return (sample[0, :, : example.hr.shape[-2], : example.hr.shape[-1]].cpu() + 1) / 2


def _held_loss(net: Sr3Classic, example: Example) -> float:
    condition = _condition(net, example)
    height, width = condition.shape[-2:]
    below, right = height - example.hr.shape[-2], width - example.hr.shape[-1]
    hr = F.pad(unit(example.hr, "rgb")[None].to(condition.device), (0, right, 0, below), mode="replicate")
    added = noise.field(1, height, width, 3, device=condition.device)[None]
    every = bounds(net)
    errors = []
    for k in range(_ASKED):
        step = 1 + (2 * k + 1) * (len(every) - 1) // (2 * _ASKED)
        level = every[step].float().reshape(1, 1).to(condition.device)
        found = _found(net, torch.cat((condition, noisy(hr, added, level)), dim=1), level)
        errors.append(float((found - added).abs().mean()))
    return math.fsum(errors) / len(errors)


def _condition(net: Sr3Classic, example: Example) -> Tensor:
    """Give what the network is conditioned on, (1, 3N, H, W), padded to sides that it takes."""
    low = example.lr[None] if example.window is None else example.window
    frames = unit(low, "rgb").to(next(net.parameters()).device)
    step = net.layout.divisor // math.gcd(net.layout.divisor, net.layout.scale)
    below, right = (-side % step for side in frames.shape[-2:])
    return enlarged(F.pad(frames, (0, right, 0, below), mode="replicate")[None], net.layout.scale)


def _found(net: Sr3Classic, x: Tensor, level: Tensor) -> Tensor:
    found: Tensor = net(x, level)
    return found
