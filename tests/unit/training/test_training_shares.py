from __future__ import annotations

import time

import torch

from vsr.training.shares import measure


def test_a_convolution_s_share_is_most_of_what_is_mostly_convolution() -> None:
    net = torch.nn.Conv2d(32, 32, 5, padding=2)
    picture = torch.rand(4, 32, 96, 96)
    shares = measure(lambda: None, lambda: net(picture).sum().backward())
    assert shares.convolution > 0.5
    assert shares.data < 0.1


def test_making_a_batch_counts_as_data() -> None:
    def draw() -> None:
        time.sleep(0.01)

    shares = measure(draw, lambda: (draw(), torch.zeros(3).add(1)))
    assert shares.data > 0.5
    assert shares.convolution == 0
