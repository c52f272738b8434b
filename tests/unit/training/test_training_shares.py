from __future__ import annotations

import itertools

import pytest
import torch

from vsr.training import shares


@pytest.fixture
def ticks(monkeypatch: pytest.MonkeyPatch) -> itertools.count[int]:
    """A clock that goes on by one whenever it is read."""
    clock = itertools.count()
    monkeypatch.setattr(shares.time, "perf_counter", lambda: next(clock))
    return clock


def test_convolutions_are_counted_forward_and_backward(ticks: itertools.count[int]) -> None:
    net = torch.nn.Conv2d(2, 2, 3)
    net(torch.rand(1, 2, 8, 8)).sum().backward()
    found = shares.measure(lambda: None, lambda: net(torch.rand(1, 2, 8, 8)).sum().backward(), times=1)
    # One tick for each of two convolutions; every other operator reads the clock once and costs nothing else.
    assert 0 < found.convolution < 1
    still = shares.measure(lambda: None, lambda: torch.rand(3).add(1), times=1)
    assert still.convolution == 0


def test_making_a_batch_counts_as_data(ticks: itertools.count[int]) -> None:
    def draw() -> None:
        for _ in range(100):
            next(ticks)

    found = shares.measure(draw, draw, times=1)
    assert found.data == pytest.approx(1.0)
    assert found.convolution == 0
