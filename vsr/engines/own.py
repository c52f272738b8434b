"""The networks that vsr knows by their keys and shapes; what is none of them is left to spandrel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Protocol, TypeVar

from torch import Tensor, nn

from vsr.core.card import ModelCard
from vsr.engines.archs import compact, espcn, sr3, srresnet

L = TypeVar("L")


class _Arch(Protocol[L]):
    """An arch's module: its layout is read from a state, and says everything else."""

    def recognise(self, state: Mapping[str, object]) -> L | None: ...

    def load(self, state: Mapping[str, Tensor], layout: L) -> nn.Module: ...

    def card(self, name: str, layout: L) -> ModelCard: ...


def recognise(name: str, state: Mapping[str, object]) -> tuple[ModelCard, nn.Module] | None:
    """Give the card (without a digest) and the network of a state, in single precision; None: it is none of ours."""
    return _of(espcn, name, state) or _of(compact, name, state) or _of(srresnet, name, state) or _of(sr3, name, state)


def _of(arch: _Arch[L], name: str, state: Mapping[str, object]) -> tuple[ModelCard, nn.Module] | None:
    layout = arch.recognise(state)
    if layout is None:
        return None
    single = {key: value.float() for key, value in state.items() if isinstance(value, Tensor)}
    net = arch.load(single, layout)
    return replace(arch.card(name, layout), parameters=sum(p.numel() for p in net.parameters())), net
