"""How fast to learn, update by update, and the slow average of the weights that is shipped."""

from __future__ import annotations

import math

import torch
from torch import nn


def rate_at(update: int, updates: int, *, rate: float, final_rate: float, warm_up: int) -> float:
    """Give the learning rate of an update, from 0: a linear rise over `warm_up`, times a cosine to `final_rate`.

    Loshchilov and Hutter 2017, arXiv 1608.03983, eq. 5, without restarts.
    """
    progress = min(1.0, update / max(1, updates))
    cosine = final_rate + (rate - final_rate) * 0.5 * (1 + math.cos(math.pi * progress))
    return cosine * min(1.0, (update + 1) / max(1, warm_up))


def decay_at(update: int, decay: float) -> float:
    """Give the average's decay: small at first, so that it does not remember the random beginning."""
    return min(decay, (update + 1) / (update + 10))


@torch.no_grad()
def follow(average: nn.Module, net: nn.Module, decay: float) -> None:
    """Move the average's parameters towards the net's; buffers are copied."""
    slow, fast = dict(average.named_parameters()), dict(net.named_parameters())
    torch._foreach_lerp_(list(slow.values()), [fast[name].detach() for name in slow], 1 - decay)
    buffers = dict(net.named_buffers())
    for name, buffer in average.named_buffers():
        buffer.copy_(buffers[name])
