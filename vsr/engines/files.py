"""Weight files without a card: what is in them, and an engine out of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, cast

from torch import Tensor

from vsr.core.card import ModelCard, Precision
from vsr.core.errors import IncompatibleModel
from vsr.engines import weights
from vsr.engines.archs import compact, espcn
from vsr.engines.base import Engine
from vsr.engines.cuda import graphed
from vsr.engines.net import NetEngine

if TYPE_CHECKING:
    from vsr.engines.archs.foreign import Foreign


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


def _network(path: Path) -> tuple[ModelCard, espcn.Espcn | compact.Compact | Foreign]:
    if path.suffix.lower() not in weights.SUFFIXES:
        raise IncompatibleModel(
            f"{path} is no weight file that vsr reads", hint=f"It reads {', '.join(weights.SUFFIXES)}."
        )
    found = weights.load(path)
    state = weights.unwrapped(found.state)
    own = espcn.recognise(state)
    if own is not None:
        return _espcn(path.stem, cast("Mapping[str, Tensor]", state), own, found.digest)
    layout = compact.recognise(state)
    if layout is not None:
        return _compact(path.stem, cast("Mapping[str, Tensor]", state), layout, found.digest)
    from vsr.engines.torchvision_stub import ensure_torchvision

    ensure_torchvision()
    from vsr.engines.archs import foreign

    try:
        return foreign.build(path.stem, found.state, digest=found.digest)
    except IncompatibleModel as error:
        raise IncompatibleModel(f"{path}: {error.message}", hint=error.hint) from error


def _espcn(
    name: str, state: Mapping[str, Tensor], layout: tuple[int, int], digest: str
) -> tuple[ModelCard, espcn.Espcn]:
    scale, channels = layout
    net = espcn.load(state, scale=scale, channels=channels)
    card = ModelCard(
        id=name,
        family=name,
        arch="espcn",
        scale=scale,
        domain="y" if channels == 1 else "rgb",
        halo=espcn.halo(),
        tiling="exact",
        dtypes=("fp32", "bf16"),
        parameters=sum(p.numel() for p in net.parameters()),
        digest=digest,
    )
    return card, net


def _compact(
    name: str, state: Mapping[str, Tensor], layout: compact.Layout, digest: str
) -> tuple[ModelCard, compact.Compact]:
    net = compact.load({key: value.float() for key, value in state.items()}, layout)
    card = ModelCard(
        id=name,
        family=name,
        arch="compact",
        scale=layout.scale,
        domain="y" if layout.channels == 1 else "rgb",
        halo=layout.halo,
        tiling="exact",
        dtypes=("fp32", "bf16", "fp16"),
        parameters=sum(p.numel() for p in net.parameters()),
        digest=digest,
        description=f"Compact, {layout.features} wide, {layout.depth} deep",
    )
    return card, net
