from __future__ import annotations

import math
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.textures import textured
from vsr.core.errors import SettingsError
from vsr.data.examples import Example
from vsr.data.pil_bicubic import resize_as_pil
from vsr.engines import schedules
from vsr.engines.archs.sr3_classic import Layout, Sr3Classic
from vsr.training import classic
from vsr.training.loop import train
from vsr.training.nets import start_from, write_weights
from vsr.training.recipe import Recipe, find, read_recipe
from vsr.training.setup import restored
from vsr.training.task import TrainBatch

SMALL = (
    "net.scale=2",
    "net.features=8",
    "net.depth=1",
    "data.crop=8",
    "classic.multipliers=[1,2]",
    "classic.attention=[1]",
    "classic.norm_groups=4",
    "classic.dropout=0.0",
    "classic.steps=50",
    "classic.end=0.2",
    "run.precision=fp32",
    "run.threads=1",
)


def recipe(*changes: str) -> Recipe:
    return read_recipe(find("sr3-classic"), [*SMALL, *changes])


def windows(folder: Path, count: int) -> Path:
    """Write windows of three frames, HR 32 and LR 16 pixels a side, as they are prepared."""
    for number in range(count):
        scene = textured(number, 40, 40).permute(1, 2, 0).mul(255).byte().numpy()
        for frame in range(3):
            hr = scene[frame : frame + 32, frame : frame + 32]
            for kind, picture in (("hr_32", hr), ("lr_16", cv2.resize(hr, (16, 16), interpolation=cv2.INTER_AREA))):
                (folder / kind / f"{number:02d}").mkdir(parents=True, exist_ok=True)
                cv2.imwrite(str(folder / kind / f"{number:02d}" / f"frame_{frame}_{kind}.png"), picture)
    return folder


class Knowing(nn.Module):
    """Stands in for the network: knows HR, (B, 3, H, W) in [-1, 1], and so the noise."""

    def __init__(self, hr: Tensor, layout: Layout) -> None:
        super().__init__()
        self.hr, self.layout = hr, layout
        self.anything = nn.Parameter(torch.zeros(1))
        self.register_buffer("betas", schedules.betas("linear", 50, end=0.2))
        self.seen: list[tuple[Tensor, Tensor]] = []

    def forward(self, x: Tensor, level: Tensor) -> Tensor:
        self.seen.append((x, level))
        left = level[..., None, None]
        return (x[:, -3:] - left * self.hr) / (1 - left**2).sqrt() + 0 * self.anything


def test_the_recipe_s_own_size_is_the_published_one() -> None:
    """97,810,947 parameters: the public three-frame checkpoint's count."""
    with torch.device("meta"):
        net = classic.make_net(read_recipe(find("sr3-classic")))
    assert sum(parameter.numel() for parameter in net.parameters()) == 97_810_947
    assert (net.layout.image_size, net.layout.frames, net.layout.scale) == (128, 3, 8)


def test_levels_are_drawn_evenly_over_steps_and_within_each_for_every_sample() -> None:
    torch.manual_seed(0)
    bounds = torch.tensor([1.0, 0.9, 0.5, 0.45, 0.01], dtype=torch.float64)
    levels = classic.draw_levels(bounds, 40_000)[:, 0].double()
    assert levels.min() >= 0.01
    assert levels.max() <= 1.0
    for lower, upper in zip(bounds[1:].tolist(), bounds[:-1].tolist(), strict=True):
        within = levels[(levels > lower) & (levels <= upper)]
        assert len(within) / len(levels) == pytest.approx(1 / 4, abs=0.01)  # five standard errors
        assert float(within.mean()) == pytest.approx((lower + upper) / 2, abs=0.01 * (upper - lower) * 2)


def test_the_levels_bounds_are_those_the_sampler_asks_for() -> None:
    net = classic.make_net(recipe())
    bounds = classic.bounds(net)
    product, expected = 1.0, [1.0]
    for step in range(50):
        product *= 1 - (1e-6 + (0.2 - 1e-6) * step / 49)
        expected.append(math.sqrt(product))
    assert bounds.tolist() == pytest.approx(expected, rel=1e-12)


def test_a_network_that_knows_the_noise_has_no_loss_and_sees_frames_oldest_first() -> None:
    torch.manual_seed(1)
    frames = torch.stack([textured(number, 12, 12) for number in range(6)]).view(2, 3, 3, 12, 12)
    hr = torch.stack([textured(9, 24, 24), textured(10, 24, 24)])
    net = classic.make_net(recipe())
    task = classic.ClassicTask(net, "l1")
    knowing = Knowing(hr * 2 - 1, net.layout)
    task.nets["generator"] = knowing
    applied: list[float] = []
    batch = TrainBatch(frames=frames, hr=hr, aligned=None, index=0)
    task.update(batch, lambda name, loss: applied.append(float(loss.detach())))
    assert applied[0] < 1e-4  # float32, enlarged by the smallest noise
    ((x, level),) = knowing.seen
    assert x.shape == (2, 12, 24, 24)
    assert level.shape == (2, 1)
    assert float(level[0]) != float(level[1])
    for number, example in enumerate(frames):
        codes = (example * 255).round().byte().permute(0, 2, 3, 1).numpy()
        large = torch.from_numpy(resize_as_pil(codes, 24, 24)).permute(0, 3, 1, 2).flatten(0, 1)
        off = ((x[number, :9] + 1) * 127.5 - large).abs()
        assert off.max() < 2.01  # PIL's weights have 22 bits: a half may fall the other way, in either pass
        assert (off > 0.5).float().mean() < 0.005


@pytest.mark.parametrize("side", [16, 22])
def test_validation_of_a_network_that_knows_the_noise_is_perfect_at_any_size(side: int) -> None:
    hr = textured(3, side, side)
    padded = F.pad(hr[None], (0, side % 4, 0, side % 4), mode="replicate")
    layout = Layout(frames=1, inner=8, multipliers=(1, 2, 2), norm_groups=4, image_size=32, scale=2)
    low = textured(4, side // 2, side // 2)
    example = Example(name="a", lr=(low * 255).round().byte(), hr=(hr * 255).round().byte())
    figures = classic.score(Knowing(padded * 2 - 1, layout), [example])  # type: ignore[arg-type]
    assert figures["psnr_rgb"] == math.inf
    assert figures["ssim_y"] == pytest.approx(1) if side > 20 else True
    assert figures["loss"] < 1e-4


def test_what_is_sampled_is_seeded_and_depends_on_the_neighbours() -> None:
    net = classic.make_net(recipe()).eval()
    window = torch.stack([(textured(number, 8, 8) * 255).byte() for number in range(3)])
    example = Example(name="a", lr=window[1], hr=(textured(5, 16, 16) * 255).byte(), window=window)
    first = classic.restored(net, example, steps=3)
    torch.manual_seed(99)
    assert torch.equal(first, classic.restored(net, example, steps=3))
    assert torch.equal(classic.restored(net, example), restored(net, example, "rgb"))
    turned = Example(name="a", lr=window[1], hr=example.hr, window=window.flip(0))
    assert not torch.equal(first, classic.restored(net, turned, steps=3))


def test_a_run_on_prepared_windows_learns_and_its_weights_say_what_they_are(tmp_path: Path) -> None:
    data = windows(tmp_path / "data", 6)
    changes = ("schedule.updates=30", "run.validate=15", "run.pictures=1", "schedule.rate=5e-3", "data.batch=2")
    small = ("schedule.warm_up=5", "schedule.ema=0.8", "run.side=32", "data.crop=16", "classic.steps=6")
    result = train(recipe(*changes, *small), [data], tmp_path / "run", val=[data], device="cpu")
    log = [line for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines() if "held out/loss" in line]
    assert len(log) == 2
    assert result.figures["loss"] < 0.75  # of no prediction: the mean of |N(0, 1)|, 0.798
    assert result.card is not None
    assert (result.card.arch, result.card.frames, result.card.scale, result.card.alignment) == (
        "sr3_classic", 3, 2, "none"
    )  # fmt: skip
    from safetensors.torch import load_file

    state = load_file(result.weights)
    assert torch.equal(state["betas"], schedules.betas("linear", 6, end=0.2))  # in double precision


def test_starting_weights_bring_no_schedule_and_no_groups_along(tmp_path: Path) -> None:
    other = classic.make_net(recipe("classic.schedule=cosine", "classic.norm_groups=2"))
    write_weights(tmp_path / "other.safetensors", other, {})
    mine = recipe()
    net = classic.make_net(mine)
    start_from(net, str(tmp_path / "other.safetensors"), mine.net)
    assert torch.equal(net.downs[0].weight, other.downs[0].weight)
    assert torch.equal(net.betas, schedules.betas("linear", 50, end=0.2))
    assert int(net.get_buffer("norm_groups")) == 4


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("net.domain=y", "rgb"),
        ("net.blocks=2", "blocks"),
        ("classic.norm_groups=3", "norm_groups"),
        ("data.crop=9", "image_size"),
        ("classic.schedule=sigmoid", "one of"),
        ("classic.variant=ddpm", "one of"),
        ("classic.steps=1", "within"),
    ],
)
def test_what_the_network_does_not_have_is_refused(change: str, said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        classic.make_net(recipe("classic.multipliers=[1,2,4]", change))


def test_a_loss_of_another_kind_is_refused() -> None:
    net = classic.make_net(recipe())
    assert isinstance(net, Sr3Classic)
    with pytest.raises(SettingsError, match="perceptual"):
        classic.ClassicTask(net, "perceptual")
    assert np.isfinite(classic.LOSSES["mse"](torch.zeros(1), torch.ones(1)).item())
