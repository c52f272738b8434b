"""From a network to the engine that runs it: diffusion is sampled, everything else is called once."""

from __future__ import annotations

from torch import nn

from vsr.core.card import ModelCard, Precision
from vsr.core.sampling import Sampling
from vsr.engines.archs.sr3 import Sr3
from vsr.engines.archs.sr3_classic import Sr3Classic
from vsr.engines.base import Engine
from vsr.engines.classic_engine import ClassicEngine
from vsr.engines.cuda import graphed
from vsr.engines.diffusion_engine import DiffusionEngine
from vsr.engines.net import NetEngine


def engine_of(
    net: nn.Module,
    *,
    card: ModelCard,
    scale: int,
    device: str = "cpu",
    precision: Precision = "fp32",
    sampling: Sampling | None = None,
) -> Engine:
    """Give the engine of a network. `sampling` is for diffusion; other engines have nothing to choose.

    Raises:
        OutOfMemory: the weights do not fit.
    """
    if isinstance(net, Sr3):
        return DiffusionEngine(net, card=card, device=device, precision=precision, sampling=sampling)
    if isinstance(net, Sr3Classic):
        return ClassicEngine(net, card=card, scale=scale, device=device, precision=precision, sampling=sampling)
    body = getattr(net, "body", None)  # as every network of ours and spandrel's wrapper name it
    return graphed(NetEngine(net, card=card, scale=scale, body=body, device=device, precision=precision), device)
