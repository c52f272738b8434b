"""Weights of small sr3 networks: random, but such that noise, neighbours and every layer count."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save_file

from vsr.engines.archs.sr3 import Layout, Sr3


def random_sr3(layout: Layout, *, seed: int = 0, strength: float = 0.2) -> Sr3:
    """Give a network in which no layer is silent. strength: of its answer, about the deviation of the velocity."""
    torch.manual_seed(seed)
    net = Sr3(layout).eval()
    for parameter in net.parameters():
        if not bool(parameter.any()):
            torch.nn.init.normal_(parameter, std=0.05)
    torch.nn.init.normal_(net.head.weight, std=strength / (9 * layout.width) ** 0.5 * 2)
    return net


def write_sr3(path: Path, layout: Layout, *, seed: int = 0) -> Path:
    """Write such a network as a weight file and give its path back."""
    net = random_sr3(layout, seed=seed)
    save_file({key: value.contiguous() for key, value in net.state_dict().items()}, path)
    return path
