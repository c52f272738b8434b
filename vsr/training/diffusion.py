"""The task of sr3: velocities of a residual's diffusion, at times drawn for each sample, a share of them the start."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from vsr.core.frame import Domain
from vsr.data.examples import Example, unit
from vsr.engines import diffusion, noise
from vsr.engines.archs.sr3 import Sr3, padded
from vsr.evaluation import metrics, protocol
from vsr.evaluation.features import Features
from vsr.filters import BICUBIC, resize
from vsr.training.recipe import DiffusionRecipe
from vsr.training.task import Apply, TrainBatch

SAMPLED = 8  # held-out examples that the sampler is tried on
STEPS = 4
_FLOOR = 3e-3  # of a squared error in units of the residual's variance: about 50 dB at x4, as losses.psnr has it
_PICTURE = (1, 2, 3)
_SIZES = 3  # of the gradients in the second stage


class Velocity(nn.Module):
    """Sr3 as training calls it: noisy residuals, times and pictures -> v, (B, C, H, W) float32."""

    def __init__(self, net: Sr3) -> None:
        super().__init__()
        self.net = net

    def forward(self, noisy: Tensor, time: Tensor, base: Tensor, aligned: Tensor | None, scale: int) -> Tensor:
        context = self.net.context(base, aligned, self.net.deviation(scale))
        return self.net.velocity(noisy, time, context, scale).float()


class DiffusionTask:
    """Trains sr3. Loss: the mean of |F - v|², and at the start of the flow its logarithm for each sample.

    features: of the second stage, where the plan has one.
    """

    def __init__(self, net: Sr3, plan: DiffusionRecipe, features: Features | None = None) -> None:
        assert features is not None or plan.unroll_from >= 1
        self._net, self._plan, self._features = net, plan, features
        self.nets: dict[str, nn.Module] = {"generator": Velocity(net)}

    def update(self, batch: TrainBatch, apply: Apply) -> dict[str, Tensor]:
        """See `Task.update`; logs the two parts of the loss, in units of the residual's variance."""
        height, width = batch.hr.shape[-2:]
        scale = width // batch.frames.shape[-1]
        base = resize(batch.frames[:, batch.frames.shape[1] // 2], height, width, BICUBIC)
        residual = (batch.hr - base) * (2 / self._net.deviation(scale))
        count = len(residual)
        started = max(1, round(self._plan.start_share * count))
        times = torch.empty(count, device=residual.device).uniform_(self._plan.lowest, diffusion.START)
        times[:started] = diffusion.START
        noisy, wanted = diffusion.mixed(residual, torch.randn_like(residual), times)
        found = self.nets["generator"](noisy, times, base, batch.aligned, scale)
        errors = (found - wanted).square().mean(dim=_PICTURE)
        starts, rest = errors[:started], errors[started:]
        loss = (self._plan.start_weight * (starts + _FLOOR).log().sum() + rest.sum()) / count
        told = {"start": starts.detach().mean(), "flow": rest.detach().mean()}
        if batch.progress >= self._plan.unroll_from:
            sampled = self._sampled(batch, base, scale)
            assert self._features is not None
            seen = self._features.error(sampled, batch.hr).mean()
            edges = edge_error(sampled, batch.hr)
            loss = loss + self._plan.feature_weight * seen + self._plan.edge_weight * edges
            told |= {"features": seen.detach(), "edges": edges.detach()}
        apply("generator", loss)
        return {"loss": loss.detach(), **told}

    def _sampled(self, batch: TrainBatch, base: Tensor, scale: int) -> Tensor:
        """Give the sampler's pictures (B, C, H, W), with gradients through every step but the first, the regression."""
        net = self.nets["generator"]

        def velocity(noisy: Tensor | None, time: float) -> Tensor:
            given = torch.zeros_like(base) if noisy is None else noisy
            found: Tensor = net(given, base.new_full((len(base),), time), base, batch.aligned, scale)
            return found

        every = diffusion.sample(velocity, lambda: torch.randn_like(base), diffusion.grid(STEPS))
        with torch.no_grad():
            next(every)
        *_, residual = every
        return base + self._net.deviation(scale) / 2 * residual


def edge_error(restored: Tensor, hr: Tensor) -> Tensor:
    """Give the mean absolute difference of the gradients of two batches (B, C, H, W), over three sizes halved."""
    total = restored.new_zeros(())
    error = restored - hr
    for _ in range(_SIZES):
        total = total + error.diff(dim=-1).abs().mean() + error.diff(dim=-2).abs().mean()
        error = nn.functional.avg_pool2d(error, 2)
    return total / _SIZES


@torch.no_grad()
def score(net: Sr3, held: Sequence[Example], domain: Domain) -> dict[str, float]:
    """Give PSNR and SSIM of luma after one step; after four, by how many dB it is lower, and its detail against HR's.

    The sampler is tried on the first `SAMPLED` examples, with a fixed seed.
    """
    values: dict[str, list[float]] = {"psnr_y": [], "ssim_y": [], "drop_4": [], "detail_4": []}
    for number, example in enumerate(held):
        first, last = restored(net, example, domain, steps=STEPS if number < SAMPLED else 1)
        hr, one, four = (_inside(picture, net.scale) for picture in (example.hr.cpu().double(), first, last))
        values["psnr_y"].append(metrics.psnr(hr, one))
        values["ssim_y"].append(metrics.ssim(hr, one))
        if number < SAMPLED:
            values["drop_4"].append(values["psnr_y"][-1] - metrics.psnr(hr, four))
            values["detail_4"].append(metrics.detail(four, hr) or 0.0)
    return {key: math.fsum(every) / len(every) for key, every in values.items()}


def restored(net: Sr3, example: Example, domain: Domain, *, steps: int) -> tuple[Tensor, Tensor]:
    """Give the luma or RGB codes (C, s*h, s*w) of an example after the first step and after the last, rounded."""
    device = next(net.parameters()).device
    lr = unit(example.lr, domain)[None, None].to(device)
    height, width = example.hr.shape[-2:]
    aligned = None if example.aligned is None else example.aligned[None].float().to(device)
    base, aligned = padded(net.enlarged(lr), aligned)
    deviation = net.deviation(net.scale)
    context = net.context(base, aligned, deviation)

    def velocity(noisy: Tensor | None, time: float) -> Tensor:
        return net.velocity(noisy, torch.full((1,), time, device=device), context)

    def drawn() -> Tensor:
        return noise.field(0, base.shape[-2], base.shape[-1], base.shape[1], device=device)[None]

    every = list(diffusion.sample(velocity, drawn, diffusion.grid(steps)))
    peak, black = (219, 16) if domain == "y" else (255, 0)
    sampled = diffusion.fuller(every[0], every[-1]) if steps > 1 else every[0]
    first, last = (
        protocol.rounded((base + deviation / 2 * x0)[0, :, :height, :width].cpu().double() * peak + black)
        for x0 in (every[0], sampled)
    )
    return first, last


def _inside(codes: Tensor, scale: int) -> Tensor:
    luma = codes[0] if len(codes) == 1 else protocol.luma(codes)
    return protocol.inside(luma, scale)
