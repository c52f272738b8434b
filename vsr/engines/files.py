"""Weight files without a card: what is in them, and an engine out of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from torch import nn

from vsr.core.card import ModelCard, Precision
from vsr.core.errors import IncompatibleModel
from vsr.core.sampling import Sampling
from vsr.engines import own, weights
from vsr.engines.base import Engine
from vsr.engines.onnx_graph import read_graph
from vsr.engines.opening import engine_of
from vsr.engines.tiling import Tiled


def inspect(path: Path) -> ModelCard:
    """Give the card of a weight file, inferred from its content; the id is the file's name without suffix.

    Raises:
        WeightsMissing, WeightsCorrupt, UnsafeWeights: see `weights.load`.
        IncompatibleModel: a known kind of file, but of no network that vsr runs.
    """
    if path.suffix.lower() in weights.GRAPHS:
        return _graph(path)[0]
    return network(path)[0]


def inspect_all(path: Path) -> tuple[ModelCard, ...]:
    """Give the cards of a weight file, one for each scale that its network was trained for.

    Raises:
        As `inspect`.
    """
    first = inspect(path)
    if first.arch != "sr3":
        return (first,)
    from vsr.engines.archs.sr3 import cards, recognise

    layout = recognise(weights.unwrapped(weights.load(path).state))
    assert layout is not None, "inspected"
    every = cards(first.id, layout)
    return tuple(replace(card, parameters=first.parameters, digest=first.digest) for card in every)


def open_file(
    path: Path,
    *,
    scale: int | None = None,
    device: str = "cpu",
    precision: Precision = "fp32",
    sampling: Sampling | None = None,
) -> Engine:
    """Open a weight file as an engine, in a precision of its card; scale None: the first that it was trained for.

    Raises:
        As `inspect`.
    """
    if path.suffix.lower() in weights.GRAPHS:
        return open_graph(path, device=device)
    card, net = network(path, scale=scale)
    assert card.scale is not None
    return engine_of(net, card=card, scale=card.scale, device=device, precision=precision, sampling=sampling)


def open_graph(path: Path, *, card: ModelCard | None = None, device: str = "cpu") -> Engine:
    """Open a whole network (.onnx, .pb) as an engine; `card` is the one that stands beside it, None: it is measured.

    Raises:
        As `inspect`; WeightsCorrupt: another digest than the card's.
    """
    card, content = _graph(path, card)
    assert card.scale is not None
    if path.suffix.lower() == ".pb":
        from vsr.engines.archs.dnn_superres import DnnSuperres

        return DnnSuperres(content, card=card, scale=card.scale)
    from vsr.engines.archs.onnx_file import OnnxFile

    engine = OnnxFile(content, card=card, device=device)
    if engine.side is None:
        return engine
    return Tiled(engine, tile=engine.side - 2 * card.halo)  # a graph of one size is run in tiles of that size


def _graph(path: Path, card: ModelCard | None = None) -> tuple[ModelCard, bytes]:
    """Give a graph's card and content. What was measured once is kept: running a large network takes seconds."""
    if path.suffix.lower() == ".pb":
        from vsr.engines.archs import dnn_superres

        content = weights.read(path)
        digest = weights.digest_of(content)
        if card is not None:
            weights.check_digest(path, digest, card.digest)
        return card or dnn_superres.inspect(path.stem, content, digest=digest), content
    graph = read_graph(path)
    if card is not None:
        weights.check_digest(path, graph.digest, card.digest)
        return card, graph.content
    known = path.stem, graph.digest
    if known not in _measured:
        from vsr.engines.archs import onnx_file

        _measured[known] = onnx_file.inspect(path.stem, graph)
    return _measured[known], graph.content


_measured: dict[tuple[str, str], ModelCard] = {}  # cards of ONNX files by name and digest


def network(path: Path, *, scale: int | None = None) -> tuple[ModelCard, nn.Module]:
    """Give the card and the network of a weight file, in single precision on the CPU; scale: one of its own.

    Raises:
        As `inspect`.
    """
    if path.suffix.lower() not in weights.SUFFIXES:
        raise IncompatibleModel(
            f"{path} is no weight file that vsr reads", hint=f"It reads {', '.join(weights.SUFFIXES)}."
        )
    found = weights.load(path)
    state = weights.unwrapped(found.state)
    if not all(isinstance(key, str) for key in state):
        raise IncompatibleModel(f"{path} holds no network: its tensors have no names")
    recognised = own.recognise(path.stem, state, scale=scale)
    if recognised is not None:
        card, net = recognised
        return replace(card, digest=found.digest), net
    from vsr.engines.archs import foreign

    try:
        return foreign.identify(path.stem, found.state, digest=found.digest)
    except IncompatibleModel as error:
        raise IncompatibleModel(f"{path}: {error.message}", hint=error.hint) from error
