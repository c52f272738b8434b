"""The task of selffeat: crops spoilt reproducibly in known ways, a net that learns to name them."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from tests.textures import textured
from vsr.training.selffeat import KINDS, SelfFeatTask, TaughtSelfFeat, score, spoil, spoilt
from vsr.training.task import TrainBatch


def _batch(index: int, count: int = 8) -> TrainBatch:
    hr = torch.stack([textured(100 * index + k, 32, 32) for k in range(count)])
    return TrainBatch(frames=hr[:, None], hr=hr, aligned=None, index=index)


class _Step:
    def __init__(self, task: SelfFeatTask, rate: float) -> None:
        self.parameters = list(task.nets["selffeat"].parameters())
        self.optimiser = torch.optim.Adam(self.parameters, rate)

    def __call__(self, name: str, loss: Tensor) -> None:
        assert name == "selffeat"
        self.optimiser.zero_grad()
        loss.backward(inputs=self.parameters)
        torch.nn.utils.clip_grad_norm_(self.parameters, 1.0)
        self.optimiser.step()


def test_there_are_three_levels_of_four_degradations_and_the_clean_crop() -> None:
    assert len(KINDS) == 13
    assert KINDS[0] == "clean"
    assert {kind.split("-")[0] for kind in KINDS[1:]} == {"downscale", "blur", "noise", "jpeg"}


def test_spoiling_depends_on_its_seed_alone() -> None:
    crops = _batch(0).hr
    one, other, third = (spoilt(crops, seed=seed) for seed in (5, 5, 6))
    assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))
    assert not torch.equal(one[0], third[0])


def test_the_labels_say_what_was_done() -> None:
    crops = _batch(0, count=64).hr
    pictures, kinds, turns = spoilt(crops, seed=1)
    clean = [k for k in range(64) if kinds[k] == 0]
    assert clean
    for k in clean:
        assert torch.equal(torch.rot90(pictures[k], -int(turns[k]), (1, 2)), crops[k])
    worse = [float((torch.rot90(pictures[k], -int(turns[k]), (1, 2)) - crops[k]).abs().max()) for k in range(64)]
    assert all((error > 0) == (k not in clean) for k, error in enumerate(worse))
    assert set(turns.tolist()) == {0, 1, 2, 3}


@pytest.mark.parametrize("name", ["downscale", "blur", "noise", "jpeg"])
def test_a_higher_level_spoils_more(name: str) -> None:
    picture, generator = textured(1), torch.Generator().manual_seed(0)
    errors = [
        float((spoil(picture, KINDS.index(f"{name}-{level}"), generator) - picture).square().mean())
        for level in range(3)
    ]
    assert errors == sorted(errors)
    assert errors[0] > 0


def test_updates_teach_the_kind() -> None:
    """A fresh net is at ln 13 = 2.56; one batch, again and again, is learnt by heart."""
    torch.manual_seed(0)
    task, batch = SelfFeatTask(), _batch(0, 12)
    step = _Step(task, 3e-3)
    losses = [float(task.update(batch, step)["kind"]) for _ in range(30)]
    assert losses[0] > 2.3
    assert losses[-1] < 1.6


def test_resuming_needs_no_state_of_the_task() -> None:
    """What is drawn comes from the number of the update: a task made anew goes on as the old one would."""
    torch.manual_seed(0)
    net = TaughtSelfFeat()
    start = {key: value.clone() for key, value in net.state_dict().items()}
    seen: list[float] = []

    def look(_: str, loss: Tensor) -> None:
        seen.append(float(loss.detach()))

    SelfFeatTask(net, seed=1).update(_batch(7), look)
    net.load_state_dict(start)
    SelfFeatTask(net, seed=1).update(_batch(7), look)
    SelfFeatTask(net, seed=2).update(_batch(7), look)
    assert seen[0] == seen[1] != seen[2]


def test_the_score_holds_shares_and_the_ranking_of_each_degradation() -> None:
    torch.manual_seed(0)
    found = score(TaughtSelfFeat().eval(), [textured(1, 48, 64), textured(2, 48, 64)])
    assert found.keys() == {
        "kind_accuracy",
        "turn_accuracy",
        "ranking",
        "ranking-downscale",
        "ranking-blur",
        "ranking-noise",
        "ranking-jpeg",
    }
    assert 0 <= found["kind_accuracy"] <= 1
    assert found["ranking"] == pytest.approx(
        sum(found[f"ranking-{n}"] for n in ("downscale", "blur", "noise", "jpeg")) / 4
    )
