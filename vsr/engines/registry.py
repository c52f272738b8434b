"""From what the user types to an engine: names, scales, files.

A card's `arch` names the module in `vsr.engines.archs` whose `build` makes the network: a new engine is one file there
and a pair in the zoo. Listing and choosing by name load neither torch nor weights.
"""

from __future__ import annotations

import difflib
import importlib
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

from vsr.core.card import ModelCard, Precision
from vsr.core.errors import IncompatibleModel, UnknownModel
from vsr.core.sampling import Sampling
from vsr.engines import weights
from vsr.engines.cards import read_card
from vsr.engines.weights import user_folder

if TYPE_CHECKING:
    from torch import Tensor, nn

    from vsr.engines.base import Engine

__all__ = ["Choice", "choose", "model_scale_for", "models", "open_engine", "open_network", "user_folder"]

# The default, best first: the first of these families that has weights here, or needs none.
_PREFERRED = ("compact-mf", "compact", "espcn", "bicubic")
_USUAL_SCALE = 2  # where the user asks for none and the family has several


class _Arch(Protocol):
    def build(self, card: ModelCard, state: Mapping[str, Tensor], *, scale: int) -> nn.Module: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A model chosen: `reference` and `scale` are what `open_engine` wants, here or in another process."""

    card: ModelCard
    reference: str
    scale: int


def models() -> tuple[ModelCard, ...]:
    """Give every card, shipped ones first, then the user's; a user's card cannot replace a shipped one.

    Raises:
        ModelError: a card is wrong.
    """
    found: dict[str, ModelCard] = {}
    for folder in weights.folders():
        for path in sorted(folder.glob("*.toml")):
            card = read_card(path)
            found.setdefault(card.id, card)
    return tuple(found.values())


def choose(model: str | None = None, scale: float | None = None, frames: int | None = None) -> Choice:
    """Choose the card and the scale for what the user typed.

    `model` is a card's id (`espcn-x2`), a family (`espcn`), a weight file, or None: the best shipped model whose
    weights are there (of `frames` frames, where that is given). `scale` None gives the model's usual one; a scale
    between two integers is rounded up to one that the model has (the caller resamples the rest).

    Raises:
        UnknownModel: no such name (with close matches).
        IncompatibleModel: the model has not this scale, or not this number of frames.
        WeightsMissing, WeightsCorrupt, UnsafeWeights: of a weight file.
    """
    cards, reference = _candidates(model, frames)
    wanted = _wanted_scale(cards, scale)
    card = next((c for c in cards if c.scale in (wanted, None)), None)
    if card is None:
        raise _no_scale(cards, wanted)
    if frames is not None:
        _check_frames(card, frames)
    return Choice(card=card, reference=reference or card.id, scale=wanted)


def model_scale_for(model: str | None, wanted: float) -> int:
    """Give the model's smallest scale that reaches `wanted`, else its largest.

    Raises:
        As `choose`.
    """
    cards, _ = _candidates(model)
    offered = _offered(cards)
    if offered is None:
        return max(1, math.ceil(wanted))
    return next((scale for scale in offered if scale >= wanted), offered[-1])


def open_engine(
    reference: str,
    *,
    scale: int,
    device: str = "cpu",
    precision: Precision = "fp32",
    frames: int | None = None,
    sampling: Sampling | None = None,
) -> Engine:
    """Open a chosen model on a device (`cpu`, `cuda:0`), in a precision of its card.

    The caller closes it. On CUDA the kernels of a shape are recorded and replayed. sampling: of a diffusion model.

    Raises:
        UnknownModel, IncompatibleModel, WeightsMissing, WeightsCorrupt, UnsafeWeights: see `choose`.
        DeviceError: a precision that the device does not do.
        OutOfMemory: the weights do not fit.
    """
    from vsr.engines.device import check_precision

    choice = choose(reference, scale, frames)
    check_precision(choice.card, device, precision)
    if choice.reference != choice.card.id:
        from vsr.engines.files import open_file

        return open_file(
            Path(choice.reference), scale=choice.scale, device=device, precision=precision, sampling=sampling
        )
    return _open_card(choice.card, scale=choice.scale, device=device, precision=precision, sampling=sampling)


def open_network(model: str, *, scale: int | None = None) -> tuple[ModelCard, nn.Module]:
    """Give a model's card, with the scale that it was opened at, and its network in float32 on the CPU.

    Raises:
        As `choose`; IncompatibleModel: the model is a whole graph (.onnx, .pb), run by another library.
    """
    choice = choose(model, scale)
    is_file = choice.reference != choice.card.id
    path = Path(choice.reference) if is_file else weights.find(choice.card) if choice.card.digest else None
    if path is not None and path.suffix.lower() in weights.GRAPHS:
        raise IncompatibleModel(f"{path} is a whole graph, not the weights of a network that torch runs")
    if is_file:
        from vsr.engines.files import network

        return network(Path(choice.reference), scale=choice.scale)
    return replace(choice.card, scale=choice.scale), _build(choice.card, choice.scale)


def _open_card(card: ModelCard, *, scale: int, device: str, precision: Precision, sampling: Sampling | None) -> Engine:
    from vsr.engines.opening import engine_of

    path = weights.find(card) if card.digest else None
    if path is not None and path.suffix.lower() in weights.GRAPHS:
        from vsr.engines.files import open_graph

        return open_graph(path, card=card, device=device)
    net = _build(card, scale)
    return engine_of(net, card=card, scale=scale, device=device, precision=precision, sampling=sampling)


def _build(card: ModelCard, scale: int) -> nn.Module:
    state: Mapping[str, Tensor] = {}
    path = None
    if card.digest:
        path = weights.find(card)
        state = cast("Mapping[str, Tensor]", weights.load(path, digest=card.digest).state)
    name = card.arch.partition("/")[0]  # behind the slash: which of the arch's kinds
    try:
        arch = cast(_Arch, importlib.import_module(f"vsr.engines.archs.{name}"))
    except ModuleNotFoundError as error:
        raise IncompatibleModel(f"card {card.id} names the arch {card.arch!r}, which vsr does not have") from error
    try:
        return arch.build(card, state, scale=scale)
    except RuntimeError as error:  # torch's: keys or shapes differ
        raise IncompatibleModel(f"{path} does not hold the weights of {card.arch}: {error}") from error


def _candidates(model: str | None, frames: int | None = None) -> tuple[tuple[ModelCard, ...], str | None]:
    """Give the cards that a name stands for, and the path if it is a file."""
    if model is None:
        return _default(frames), None
    path = Path(model)
    if os.sep not in model and path.suffix.lower() not in weights.SUFFIXES:
        cards = models()
        for key in ("id", "family"):
            named = tuple(card for card in cards if getattr(card, key) == model)
            if named:
                return named, None
        beside = [user_folder() / f"{model}{suffix}" for suffix in weights.SUFFIXES]
        existing = next((file for file in [path, *beside] if file.is_file()), None)
        if existing is None:
            raise _unknown(model, cards)
        path = existing
    from vsr.engines.files import inspect_all

    return inspect_all(path), str(path.absolute())


def _default(frames: int | None) -> tuple[ModelCard, ...]:
    """Give the cards of the first preferred family, if there is one of so many frames; else of the first."""
    ready = [card for card in models() if _is_ready(card)]
    shipped = [card for card in ready if card.frames == frames] or ready
    for family in _PREFERRED:
        cards = tuple(card for card in shipped if card.family == family)
        if cards:
            return cards
    raise UnknownModel("no model is installed", hint="Reinstall vsr.")


def _is_ready(card: ModelCard) -> bool:
    return not card.digest or any(
        (folder / f"{card.weights or card.id}.safetensors").is_file() for folder in weights.folders()
    )


def _offered(cards: tuple[ModelCard, ...]) -> list[int] | None:
    """Give the scales that the cards have, ascending; None: any."""
    scales = [card.scale for card in cards]
    return None if None in scales else sorted(scale for scale in scales if scale is not None)


def _wanted_scale(cards: tuple[ModelCard, ...], scale: float | None) -> int:
    offered = _offered(cards)
    if scale is None:
        named = next((card.scale for card in cards if card.usual and card.scale), None)
        if named is not None:
            return named
        return _USUAL_SCALE if offered is None or _USUAL_SCALE in offered else offered[0]
    if scale == int(scale) and scale >= 1:
        return int(scale)
    if offered is None:
        return max(1, math.ceil(scale))
    reaching = next((have for have in offered if have >= scale), None)
    if reaching is None:
        raise _no_scale(cards, scale)
    return reaching


def _no_scale(cards: tuple[ModelCard, ...], scale: float) -> IncompatibleModel:
    family = tuple(card for card in models() if card.family == cards[0].family) or cards
    offered = ", ".join(f"x{have}" for have in _offered(family) or ())
    name = cards[0].id if len(cards) == 1 else cards[0].family
    return IncompatibleModel(
        f"{name} has no scale x{scale:g}",
        hint=f"{cards[0].family} has {offered}. Any scale: --model lanczos, or --height/--width for an exact size.",
    )


def _check_frames(card: ModelCard, frames: int) -> None:
    if frames % 2 == 0:
        raise IncompatibleModel(
            f"{card.id} restores the centre frame of a window: {frames} frames have no centre",
            hint="Use an odd number.",
        )
    if frames != card.frames:
        others = {c.family for c in models() if c.frames == frames and c.arch == card.arch}
        named = f" Of {frames} frames: --model {' or '.join(sorted(others))}." if others else ""
        raise IncompatibleModel(
            f"{card.id} takes windows of {card.frames} frame{'s' * (card.frames > 1)}, not {frames}",
            hint=f"Leave out --frames.{named}",
        )


def _unknown(model: str, cards: tuple[ModelCard, ...]) -> UnknownModel:
    names = sorted({card.family for card in cards} | {card.id for card in cards})
    close = difflib.get_close_matches(model, names, n=3)
    meant = f"Did you mean {' or '.join(close)}? " if close else ""
    families = ", ".join(dict.fromkeys(card.family for card in cards))
    return UnknownModel(
        f"no model is named {model!r}", hint=f"{meant}Models: {families}; or a weight file with its suffix."
    )
