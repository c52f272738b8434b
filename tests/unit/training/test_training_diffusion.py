"""The task of sr3: what it shows the net, what it asks for, its second stage, and a run through the loop."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from tests.pictures import draw_clip, draw_folder
from tests.sr3_weights import random_sr3
from vsr.core.errors import SettingsError
from vsr.core.events import Report
from vsr.data.examples import Example
from vsr.engines import registry
from vsr.engines.archs.sr3 import DEVIATIONS, Layout, Sr3
from vsr.engines.diffusion import START
from vsr.evaluation.features import load_features
from vsr.training import loop
from vsr.training.board import Board
from vsr.training.diffusion import DiffusionTask, Velocity, edge_error, restored
from vsr.training.loop import train
from vsr.training.nets import make_net, start_from, write_weights
from vsr.training.recipe import DiffusionRecipe, Recipe, find, read_recipe
from vsr.training.shares import Shares
from vsr.training.state import Run
from vsr.training.task import TrainBatch


def net() -> Sr3:
    torch.manual_seed(0)
    return Sr3(Layout(width=16, blocks=1, middle=1, frames=3, scales=(4, 2)))


def batch(scale: int = 4, *, progress: float = 0.0) -> TrainBatch:
    generator = torch.Generator().manual_seed(1)
    lr = torch.rand(5, 1, 1, 32 // scale, 32 // scale, generator=generator)
    return TrainBatch(
        frames=lr,
        hr=torch.rand(5, 1, 32, 32, generator=generator),
        aligned=0.05 * torch.randn(5, 2, 1, 32, 32, generator=generator),
        index=0,
        progress=progress,
    )


class Watched(nn.Module):
    """A generator that keeps what it is shown, and answers zeros."""

    def __init__(self) -> None:
        super().__init__()
        self.shown: list[tuple[Tensor, Tensor, int]] = []

    def forward(self, noisy: Tensor, time: Tensor, base: Tensor, aligned: Tensor | None, scale: int) -> Tensor:
        self.shown.append((noisy, time, scale))
        return torch.zeros_like(noisy).requires_grad_(True)


def stepping(task: DiffusionTask, rate: float = 2e-3) -> Callable[[str, Tensor], None]:
    optimiser = torch.optim.Adam(task.nets["generator"].parameters(), rate)

    def apply(name: str, loss: Tensor) -> None:
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()

    return apply


@pytest.mark.parametrize(("share", "started"), [(0.4, 2), (0.99, 5), (0.01, 1)])
def test_a_share_of_each_batch_stands_at_the_start(share: float, started: int) -> None:
    task, watched = DiffusionTask(net(), DiffusionRecipe(start_share=share)), Watched()
    task.nets["generator"] = watched
    losses: list[Tensor] = []
    told = task.update(batch(2), lambda name, loss: losses.append(loss))
    ((noisy, times, scale),) = watched.shown
    assert scale == 2
    assert int((times == START).sum()) == started
    assert not noisy[:started].any() and bool((noisy[started:].abs().amax((1, 2, 3)) > 0).all())
    rest = times[started:]
    assert bool((rest >= 0.15).all()) and len(rest.unique()) == len(rest), "a time for each sample"
    assert set(told) == {"loss", "start", "flow"}


def test_times_cover_the_flow() -> None:
    task, watched = DiffusionTask(net(), DiffusionRecipe(start_share=0.01, lowest=0.3)), Watched()
    task.nets["generator"] = watched
    torch.manual_seed(0)
    for _ in range(40):
        task.update(batch(), lambda name, loss: None)
    times = torch.cat([times[1:] for _, times, _ in watched.shown])
    assert float(times.min()) >= 0.3
    assert float(times.mean()) == pytest.approx((0.3 + START) / 2, abs=0.1)


def test_it_learns_both_parts() -> None:
    task = DiffusionTask(net(), DiffusionRecipe())
    apply = stepping(task, 5e-3)
    told = []
    for number in range(48):
        torch.manual_seed(number % 4)
        told.append(task.update(batch(), apply))
    for part in ("start", "flow"):
        first, last = (sum(float(each[part]) for each in some) / 8 for some in (told[:8], told[-8:]))
        assert last < 0.8 * first, part


def test_the_second_stage_answers_for_the_sample() -> None:
    plan = DiffusionRecipe(unroll_from=0.5)
    task = DiffusionTask(net(), plan, load_features("selffeat"))
    assert set(task.update(batch(progress=0.4), lambda name, loss: None)) == {"loss", "start", "flow"}
    gradients: list[bool] = []
    told = task.update(batch(progress=0.5), lambda name, loss: gradients.append(loss.requires_grad))
    assert set(told) == {"loss", "start", "flow", "features", "edges"} and gradients == [True]
    assert all(bool(torch.isfinite(value)) for value in told.values())


def test_the_regression_does_not_answer_for_the_sample() -> None:
    task = DiffusionTask(net(), DiffusionRecipe(unroll_from=0.0), load_features("selffeat"))
    calls: list[bool] = []
    task.nets["generator"].register_forward_hook(lambda module, given, result: calls.append(result.requires_grad))
    task.update(batch(), lambda name, loss: None)
    assert calls == [True, False, True, True, True]


def test_edges_are_those_of_three_sizes() -> None:
    ramp = torch.arange(16.0).expand(1, 1, 16, 16)
    flat = torch.zeros(1, 1, 16, 16)
    assert float(edge_error(ramp, ramp + 3)) == 0, "a constant has no edges"
    assert float(edge_error(ramp, flat)) == pytest.approx((1 + 2 + 4) / 3)


def test_a_picture_of_any_size_is_validated() -> None:
    codes = torch.randint(16, 235, (1, 45, 31), dtype=torch.uint8)
    example = Example(name="odd", lr=codes, hr=torch.randint(16, 235, (1, 180, 124), dtype=torch.uint8))
    first, last = restored(net(), example, "y", steps=4)
    assert first.shape == last.shape == (1, 180, 124)
    assert not torch.equal(first, last)


def recipe(*changes: str) -> Recipe:
    small = ["net.features=16", "net.blocks=1", "net.depth=1", "data.crop=8", "data.batch=4", "data.motion=1"]
    run = ["run.validate=6", "run.pictures=2", "run.threads=1", "run.precision=fp32", "schedule.updates=12"]
    kept = ['data.holdout=["*5"]', "degrade.video_share=0.0", "degrade.kind=bicubic"]
    return read_recipe(find("sr3-tiny"), [*small, *run, *kept, *changes])


def test_the_recipe_runs_over_photographs_and_video(tmp_path: Path) -> None:
    photos = draw_folder(tmp_path / "photos", 6)
    (tmp_path / "clips").mkdir()
    draw_clip(tmp_path / "clips" / "pan.mp4", frames=6)
    result = train(recipe(), [photos, tmp_path / "clips"], tmp_path / "run")
    assert result.updates == 12
    assert {"psnr_y", "ssim_y", "drop_4", "detail_4"} == set(result.figures)
    for scale in (2, 3, 4):
        engine = registry.open_engine(str(result.weights), scale=scale)
        assert engine.card.frames == 3 and engine.scale == scale
        engine.close()


def test_only_the_averaged_net_is_shipped(tmp_path: Path) -> None:
    photos = draw_folder(tmp_path / "photos", 6)
    result = train(recipe("net.scales=[]"), [photos], tmp_path / "run")
    state = registry.open_network(str(result.weights))[1].state_dict()
    assert set(state) == set(Sr3(Layout(width=16, blocks=1, middle=1, frames=3)).state_dict())
    assert isinstance(DiffusionTask(net(), DiffusionRecipe()).nets["generator"], Velocity)


def test_options_of_sr3_are_refused_elsewhere(tmp_path: Path) -> None:
    photos = draw_folder(tmp_path / "photos", 6)
    other = read_recipe(find("espcn"), ["net.scales=[3]", "schedule.updates=2"])
    with pytest.raises(SettingsError, match="for sr3"):
        train(other, [photos], tmp_path / "run")


def test_it_starts_from_other_scales_and_keeps_its_own(tmp_path: Path) -> None:
    single = Layout(width=16, blocks=1, middle=1)
    write_weights(tmp_path / "single.safetensors", random_sr3(single), {})
    wanted = recipe("net.frames=3").net
    several = make_net(wanted)
    copied = start_from(several, str(tmp_path / "single.safetensors"), wanted)
    assert set(copied) == set(Sr3(single).state_dict()) - {"deviations"}
    assert isinstance(several, Sr3)
    assert [several.deviation(scale) for scale in (2, 3, 4)] == [pytest.approx(DEVIATIONS[s]) for s in (2, 3, 4)]


def test_crops_that_are_no_whole_cells_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"data\.crop 9 at x4 is 36") as caught:
        train(recipe("data.crop=9"), [draw_folder(tmp_path / "photos", 2)], tmp_path / "run")
    assert "multiple of 2" in (caught.value.hint or "")


@pytest.mark.parametrize(("unroll_from", "updates"), [(0.75, 80), (1.0, 120)])
def test_minutes_count_the_second_stage_too(
    unroll_from: float, updates: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its updates take longer: a run by the first stage's rate alone would not end in time."""
    lengths: list[int] = []
    shares = Shares(data=0.0, convolution=1.0)
    monkeypatch.setattr(loop, "_try", lambda run, times, progress=0.0: (3.0 if progress else 1.0, shares))

    def begun(run: Run, board: Board | None, report: Report) -> None:
        loop._begin(run, board, report)
        lengths.append(run.updates)

    monkeypatch.setattr(loop, "_loop", begun)
    changes = ["net.scales=[]", "schedule.updates=0", "schedule.minutes=2", f"diffusion.unroll_from={unroll_from}"]
    train(recipe(*changes, "run.validate=1000"), [draw_folder(tmp_path / "photos", 6)], tmp_path / "run")
    assert lengths == [pytest.approx(updates, abs=1)]
