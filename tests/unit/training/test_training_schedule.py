from __future__ import annotations

import copy
import math

import pytest
import torch
from torch import nn

from vsr.training.schedule import decay_at, follow, rate_at


def test_the_rate_rises_linearly_then_falls_by_a_cosine() -> None:
    plan = {"rate": 1.0, "final_rate": 0.0, "warm_up": 10}
    assert rate_at(0, 1000, **plan) == pytest.approx(0.1)
    assert rate_at(500, 1000, **plan) == pytest.approx(0.5)
    assert rate_at(1000, 1000, **plan) == pytest.approx(0.0)
    assert rate_at(250, 1000, **plan) == pytest.approx(0.5 * (1 + math.cos(math.pi / 4)))
    assert rate_at(5000, 1000, **plan) == pytest.approx(0.0)  # a run that was made shorter stays at the end


def test_the_average_forgets_the_beginning() -> None:
    assert decay_at(0, 0.999) == pytest.approx(0.1)
    assert decay_at(10**6, 0.999) == 0.999


def test_follow_moves_parameters_and_copies_buffers() -> None:
    net = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    average = copy.deepcopy(net)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(1.0)
    net[1].running_mean.fill_(3.0)
    before = average[0].weight.clone()
    follow(average, net, 0.9)
    assert torch.allclose(average[0].weight, before + 0.1)
    assert torch.equal(average[1].running_mean, torch.full((2,), 3.0))
