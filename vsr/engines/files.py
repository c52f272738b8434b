"""Weight files without a card: what is in them, and an engine out of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor

from vsr.core.card import ModelCard, Precision
from vsr.core.errors import IncompatibleModel
from vsr.engines import weights
from vsr.engines.archs import compact, espcn, srresnet
from vsr.engines.base import Engine
from vsr.engines.cuda import graphed
from vsr.engines.net import NetEngine

if TYPE_CHECKING:
    from vsr.engines.archs.foreign import Foreign

    _Net = espcn.Espcn | compact.Compact | srresnet.SrResNet | Foreign


def inspect(path: Path) -> ModelCard:
    """Give the card of a weight file, inferred from its content; the id is the file's name without suffix.

    Raises:
        WeightsMissing, WeightsCorrupt, UnsafeWeights: see `weights.load`.
        IncompatibleModel: a known kind of file, but of no network that vsr runs.
    """
    if path.suffix.lower() == ".pb":
        return _graph(path)[0]
    return _network(path)[0]


def open_file(path: Path, *, device: str = "cpu", precision: Precision = "fp32") -> Engine:
    """Open a weight file as an engine, in a precision of its card.

    Raises:
        As `inspect`.
    """
    if path.suffix.lower() == ".pb":
        from vsr.engines.archs.dnn_superres import DnnSuperres

        card, content = _graph(path)
        assert card.scale is not None
        return DnnSuperres(content, card=card, scale=card.scale)
    card, net = _network(path)
    assert card.scale is not None
    engine = NetEngine(net, card=card, scale=card.scale, body=net.body, device=device, precision=precision)
    return graphed(engine, device)


def _graph(path: Path) -> tuple[ModelCard, bytes]:
    from vsr.engines.archs import dnn_superres

    content = weights.read(path)
    return dnn_superres.inspect(path.stem, content, digest=weights.digest_of(content)), content


def _network(path: Path) -> tuple[ModelCard, _Net]:
    if path.suffix.lower() not in weights.SUFFIXES:
        raise IncompatibleModel(
            f"{path} is no weight file that vsr reads", hint=f"It reads {', '.join(weights.SUFFIXES)}."
        )
    found = weights.load(path)
    state = weights.unwrapped(found.state)
    for own in OWN:
        recognised = own(path.stem, state)
        if recognised is not None:
            card, net = recognised
            return replace(card, digest=found.digest, parameters=sum(p.numel() for p in net.parameters())), net
    from vsr.engines.torchvision_stub import ensure_torchvision

    ensure_torchvision()
    from vsr.engines.archs import foreign

    try:
        return foreign.build(path.stem, found.state, digest=found.digest)
    except IncompatibleModel as error:
        raise IncompatibleModel(f"{path}: {error.message}", hint=error.hint) from error


def _espcn(name: str, state: Mapping[str, object]) -> tuple[ModelCard, _Net] | None:
    layout = espcn.recognise(state)
    return None if layout is None else (espcn.card(name, layout), espcn.load(_single(state), layout))


def _compact(name: str, state: Mapping[str, object]) -> tuple[ModelCard, _Net] | None:
    layout = compact.recognise(state)
    return None if layout is None else (compact.card(name, layout), compact.load(_single(state), layout))


def _srresnet(name: str, state: Mapping[str, object]) -> tuple[ModelCard, _Net] | None:
    layout = srresnet.recognise(state)
    return None if layout is None else (srresnet.card(name, layout), srresnet.load(_single(state), layout))


def _single(state: Mapping[str, object]) -> dict[str, Tensor]:
    """Give the tensors in single precision: files come in half precision too."""
    return {key: value.float() for key, value in state.items() if isinstance(value, Tensor)}


OWN = (_espcn, _compact, _srresnet)  # the networks that are known by their keys and shapes; the rest is spandrel's
