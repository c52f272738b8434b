"""The networks that vsr knows by their keys and shapes; what is none of them is left to spandrel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Protocol, TypeVar

from torch import Tensor, nn

from vsr.core.card import ModelCard
from vsr.core.errors import IncompatibleModel
from vsr.engines import upstream_config
from vsr.engines.archs import compact, espcn, sr3, sr3_classic, srresnet

L = TypeVar("L")


class _Arch(Protocol[L]):
    """An arch's module: its layout is read from a state, and says everything else."""

    def recognise(self, state: Mapping[str, object]) -> L | None: ...

    def load(self, state: Mapping[str, Tensor], layout: L) -> nn.Module: ...

    def card(self, name: str, layout: L) -> ModelCard: ...


def recognise(
    name: str, state: Mapping[str, object], *, scale: int | None = None
) -> tuple[ModelCard, nn.Module] | None:
    """Give the card (without a digest) and the network of a state, in single precision; None: it is none of ours.

    scale: one of those that the network is for, where there are several.

    Raises:
        IncompatibleModel: an SR3 checkpoint of the public implementation, which needs its config.
    """
    if upstream_config.is_upstream(state):
        upstream_config.network(name, state, None)
    return (
        _of(espcn, name, state)
        or _of(compact, name, state)
        or _of(srresnet, name, state)
        or _sr3(name, state, scale)
        or _of(sr3_classic, name, state)
    )


def _sr3(name: str, state: Mapping[str, object], scale: int | None) -> tuple[ModelCard, nn.Module] | None:
    layout = sr3.recognise(state)
    if layout is None:
        return None
    single = {key: value.float() for key, value in state.items() if isinstance(value, Tensor)}
    every = sr3.cards(name, layout)
    card = next((card for card in every if card.scale == scale), every[0])
    net = sr3.load(single, layout, scale=card.scale)
    return _counted(card, net), net


def configured(path: Path, state: Mapping[str, object], config: Path) -> tuple[ModelCard, nn.Module]:
    """Give the card (without a digest) and the network of an SR3 checkpoint of the public implementation.

    Raises:
        ModelError, IncompatibleModel: see `upstream_config.network`.
    """
    if not upstream_config.is_upstream(state):
        raise IncompatibleModel(
            f"{path} is no SR3 checkpoint (…_gen.pth), which a config belongs to", hint="Leave out --config."
        )
    net = upstream_config.network(str(path), state, config)
    return _counted(sr3_classic.card(path.stem, net.layout), net), net


def _of(arch: _Arch[L], name: str, state: Mapping[str, object]) -> tuple[ModelCard, nn.Module] | None:
    layout = arch.recognise(state)
    if layout is None:
        return None
    # Into a network in single precision: other kinds of floats are converted as they are copied.
    net = arch.load({key: value for key, value in state.items() if isinstance(value, Tensor)}, layout)
    return _counted(arch.card(name, layout), net), net


def _counted(card: ModelCard, net: nn.Module) -> ModelCard:
    return replace(card, parameters=sum(p.numel() for p in net.parameters()))
