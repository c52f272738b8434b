"""The geometric self-ensemble: every turn undone, and the mean of all eight."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from tests.engines import IdentityEngine, card
from vsr.engines.base import Batch, Key
from vsr.engines.tta import COUNT, Ensemble, turn, turn_back


class Corner:
    """Adds 1 to the upper left pixel of whatever it is given; keeps the sizes it was asked for."""

    scale = 1

    def __init__(self) -> None:
        self.card = card("corner")
        self.sizes: list[tuple[int, ...]] = []
        self.aligned: list[Tensor | None] = []

    def restore(self, batch: Batch) -> Tensor:
        self.sizes.append(tuple(batch.frames.shape))
        self.aligned.append(batch.aligned)
        result = batch.frames[:, 0].clone()
        result[..., 0, 0] += 1
        return result

    def close(self) -> None:
        pass


def batch(height: int = 5, width: int = 7, aligned: Tensor | None = None) -> Batch:
    generator = torch.Generator().manual_seed(0)
    frames = torch.rand((1, 1, 3, height, width), generator=generator)
    return Batch(frames=frames, keys=(Key(frame=0, seed=0),), aligned=aligned)


@pytest.mark.parametrize("number", range(COUNT))
def test_a_turn_can_be_undone(number: int) -> None:
    planes = torch.arange(2 * 3 * 4.0).reshape(2, 3, 4)
    assert torch.equal(turn_back(turn(planes, number), number), planes)


def test_the_eight_turns_are_all_different() -> None:
    planes = torch.arange(9.0).reshape(1, 3, 3)
    turned = {tuple(turn(planes, number).flatten().tolist()) for number in range(COUNT)}
    assert len(turned) == COUNT


def test_an_engine_that_knows_no_direction_gives_what_it_gave() -> None:
    given = batch()
    assert torch.allclose(Ensemble(IdentityEngine()).restore(given), given.frames[:, 0], atol=1e-6)


def test_what_depends_on_direction_is_spread_evenly_over_the_four_corners() -> None:
    engine = Corner()
    given = batch()
    added = Ensemble(engine).restore(given) - given.frames[:, 0]
    expected = torch.zeros_like(added)
    expected[..., [0, 0, -1, -1], [0, -1, 0, -1]] = 2 / 8
    assert torch.allclose(added, expected, atol=1e-6)
    assert engine.sizes.count((1, 1, 3, 5, 7)) == engine.sizes.count((1, 1, 3, 7, 5)) == COUNT // 2


def test_aligned_neighbours_turn_with_the_frames() -> None:
    engine = Corner()
    aligned = torch.rand((1, 2, 3, 10, 14), generator=torch.Generator().manual_seed(1))
    Ensemble(engine).restore(batch(aligned=aligned))
    for number, seen in enumerate(engine.aligned):
        assert seen is not None
        assert torch.equal(seen, turn(aligned, number))
