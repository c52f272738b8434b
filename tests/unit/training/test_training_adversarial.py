"""The adversarial task: SRGAN's discriminator on any crop, alternating updates that each touch one net."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from torch import Tensor, nn

from tests.textures import textured
from vsr.evaluation.features import SelfFeat
from vsr.training.adversarial import AdversarialTask, Discriminator, telling
from vsr.training.losses import compose
from vsr.training.task import TrainBatch


class _Generator(nn.Module):
    """Nearest-neighbour upscaling by 2 and a convolution: (B, 1, 3, h, w) -> (B, 3, 2h, 2w)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3, padding=1)

    def forward(self, frames: Tensor) -> Tensor:
        up: Tensor = self.conv(nn.functional.interpolate(frames[:, 0], scale_factor=2.0))
        return up


def _batch(index: int = 0) -> TrainBatch:
    hr = torch.stack([textured(10 * index + k, 32, 32) for k in range(4)])
    frames = nn.functional.avg_pool2d(hr, 2)[:, None]
    return TrainBatch(frames=frames, hr=hr, aligned=None, index=index)


class _Steps:
    """As the loop does it: back through the named net alone, one step of its optimiser."""

    def __init__(self, task: AdversarialTask, rate: float = 1e-3) -> None:
        self.nets = task.nets
        self.optimisers = {name: torch.optim.Adam(net.parameters(), rate) for name, net in task.nets.items()}
        self.order: list[str] = []

    def __call__(self, name: str, loss: Tensor) -> None:
        loss.backward(inputs=list(self.nets[name].parameters()))
        self.optimisers[name].step()
        self.optimisers[name].zero_grad()
        self.order.append(name)


def _task(seed: int = 0) -> AdversarialTask:
    torch.manual_seed(seed)
    loss = compose("per-pix", {}, lambda: SelfFeat().requires_grad_(False))
    return AdversarialTask(_Generator(), Discriminator(width=8), loss)


def test_the_discriminator_is_srgans_in_size() -> None:
    """4.69 M parameters in the eight convolutions of 64 to 512 channels, counted by hand (weights and biases)."""
    net = Discriminator()
    shapes = [(c.in_channels, c.out_channels, c.kernel_size[0], c.stride[0]) for c in net.body if hasattr(c, "stride")]
    assert [(a, b, s) for a, b, k, s in shapes if k == 3] == [
        (3, 64, 1),
        (64, 64, 2),
        (64, 128, 1),
        (128, 128, 2),
        (128, 256, 1),
        (256, 256, 2),
        (256, 512, 1),
        (512, 512, 2),
    ]
    assert sum(9 * a * b + b for a, b, k, _ in shapes if k == 3) == 4_685_376


@pytest.mark.parametrize(("height", "width"), [(96, 96), (33, 50), (16, 16)])
def test_the_patch_head_takes_any_crop(height: int, width: int) -> None:
    logits = Discriminator(width=4)(torch.rand(2, 3, height, width))
    assert logits.shape == (2, 1, math.ceil(height / 16), math.ceil(width / 16))


def test_a_verdict_does_not_depend_on_the_other_pictures_of_the_batch() -> None:
    net = Discriminator(width=4).eval()
    pictures = torch.rand(3, 3, 32, 32)
    assert torch.allclose(net(pictures)[:1], net(pictures[:1]), atol=1e-5)


def test_luma_has_a_discriminator_too() -> None:
    assert Discriminator(width=4, channels=1)(torch.rand(1, 1, 32, 32)).shape == (1, 1, 2, 2)


def test_what_the_discriminator_pays_is_the_cross_entropy_of_both_kinds() -> None:
    real, fake = torch.randn(2, 1, 3, 3), torch.randn(2, 1, 3, 3)
    entropy = nn.functional.binary_cross_entropy_with_logits
    expected = entropy(real, torch.ones_like(real)) + entropy(fake, torch.zeros_like(fake))
    assert float(telling(real, fake)) == pytest.approx(float(expected), rel=1e-5)


def test_each_step_moves_its_own_net_only() -> None:
    task = _task()
    before = {name: copy.deepcopy(net.state_dict()) for name, net in task.nets.items()}
    seen = {}

    def apply(name: str, loss: Tensor) -> None:
        steps(name, loss)
        seen[name] = {
            other: any(not torch.equal(before[other][key], value) for key, value in net.named_parameters())
            for other, net in task.nets.items()
        }

    steps = _Steps(task)
    logged = task.update(_batch(), apply)
    assert steps.order == ["generator", "discriminator"]
    assert seen == {
        "generator": {"generator": True, "discriminator": False},
        "discriminator": {"generator": True, "discriminator": True},
    }
    assert {"loss", "mse", "features", "adversarial", "discriminator", "real", "fake"} == logged.keys()
    assert all(value.ndim == 0 and not value.requires_grad for value in logged.values())


def test_the_discriminator_learns_to_tell() -> None:
    """With a generator that blurs, twenty updates are enough to leave .5 and .5."""
    task = _task()
    steps = _Steps(task, 2e-3)
    for index in range(20):
        logged = task.update(_batch(index), steps)
    assert float(logged["real"]) - float(logged["fake"]) > 0.1
    assert float(logged["discriminator"]) < 2 * math.log(2)


def test_the_same_start_and_batches_give_the_same_weights() -> None:
    results = []
    for _ in range(2):
        task = _task(3)
        steps = _Steps(task)
        for index in range(2):
            task.update(_batch(index), steps)
        results.append(torch.cat([p.detach().flatten() for net in task.nets.values() for p in net.parameters()]))
    assert torch.equal(*results)
