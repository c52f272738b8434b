from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from tests.engines import aligned_mean, card
from vsr.core.errors import IncompatibleModel, OutOfMemory
from vsr.engines.archs.espcn import Espcn, Layout
from vsr.engines.base import Batch, Key
from vsr.engines.net import NetEngine


def batch(*shape: int) -> Batch:
    frames = torch.rand(*shape, generator=torch.Generator().manual_seed(0))
    return Batch(frames=frames, keys=tuple(Key(frame=i, seed=0) for i in range(shape[0])))


def espcn(precision: str = "fp32") -> NetEngine:
    torch.manual_seed(0)
    net = Espcn(Layout(scale=3))
    facts = card("espcn", domain="y", scale=3, halo=4, dtypes=("fp32", "bf16"))
    return NetEngine(net, card=facts, scale=3, body=net.body, precision="bf16" if precision == "bf16" else "fp32")


def test_the_body_runs_in_bf16_and_the_base_stays_float32() -> None:
    given = batch(1, 1, 1, 24, 32)
    whole, reduced = espcn().restore(given), espcn("bf16").restore(given)
    assert whole.dtype == reduced.dtype == torch.float32
    error = float(((whole - reduced) ** 2).mean())
    assert 0 < error < 1e-5  # 50 dB
    assert next(espcn("bf16")._net.body.parameters()).dtype == torch.bfloat16  # type: ignore[union-attr]


def test_the_result_carries_no_gradient_and_is_contiguous() -> None:
    result = espcn().restore(batch(2, 1, 1, 8, 8))
    assert not result.requires_grad and result.is_contiguous()


@pytest.mark.parametrize(
    ("shape", "said"), [((1, 3, 1, 8, 8), "windows of 1 frames, got 3"), ((1, 1, 1, 6, 8), "multiples of 4")]
)
def test_a_batch_that_is_not_the_cards_is_refused(shape: tuple[int, ...], said: str) -> None:
    engine = NetEngine(Espcn(Layout(scale=2)), card=card("e", domain="y", scale=2, divisor=4, minimum=8), scale=2)
    with pytest.raises(IncompatibleModel, match=said):
        engine.restore(batch(*shape))


class Hungry(nn.Module):
    def forward(self, frames: Tensor) -> Tensor:
        return torch.empty(2**60, dtype=torch.uint8) if frames.shape[-1] > 8 else frames[:, 0]


def test_too_little_memory_is_said_with_the_size_and_the_next_call_works() -> None:
    engine = NetEngine(Hungry(), card=card("hungry"), scale=1)
    with pytest.raises(OutOfMemory, match="hungry on windows of 1x1x3x8x16"):
        engine.restore(batch(1, 1, 3, 8, 16))
    assert engine.restore(batch(1, 1, 3, 8, 8)).shape == (1, 3, 8, 8)


def test_a_grid_engine_wants_differences_of_the_output_size() -> None:
    engine, frames = aligned_mean(3, scale=2), torch.rand(1, 3, 1, 8, 8)
    keys = (Key(frame=0, seed=0),)
    assert engine.restore(Batch(frames=frames, keys=keys, aligned=torch.zeros(1, 2, 1, 16, 16))).shape[-1] == 16
    for aligned in (None, torch.zeros(1, 2, 1, 8, 8), torch.zeros(1, 3, 1, 16, 16)):
        with pytest.raises(IncompatibleModel, match="aligned differences"):
            engine.restore(Batch(frames=frames, keys=keys, aligned=aligned))


def test_differences_that_nobody_asked_for_are_refused() -> None:
    given = Batch(frames=torch.rand(1, 1, 1, 8, 8), keys=(Key(frame=0, seed=0),), aligned=torch.zeros(1, 0, 1, 24, 24))
    with pytest.raises(IncompatibleModel, match="aligned differences of None"):
        espcn().restore(given)


def test_the_memory_of_a_grid_engine_counts_its_differences() -> None:
    """Two differences of four output pixels each, in float32, on top of the window and the result."""
    assert aligned_mean(3, scale=2).bytes_per_pixel() >= 4 * (3 + 2 * 4 + 4)
