"""From a recipe to networks, and from a trained network to a weight file that `--model` takes."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor, nn

from vsr.core.card import ModelCard
from vsr.core.errors import IncompatibleModel, SettingsError
from vsr.engines import own, weights
from vsr.engines.archs import compact, espcn, sr3, sr3_classic, srresnet
from vsr.engines.registry import choose
from vsr.io.images.files import write_whole
from vsr.training.recipe import NetRecipe, Recipe

ARCHS = ("espcn", "compact", "srresnet", "sr3")


def make_net(recipe: NetRecipe) -> nn.Module:
    """Give a fresh network, from torch's random state.

    Raises:
        SettingsError: an arch that cannot be trained, or options that it does not have.
    """
    channels = 1 if recipe.domain == "y" else 3
    if recipe.arch != "sr3" and (recipe.scales or recipe.blocks):
        raise SettingsError(f"recipe: net.scales and net.blocks are for sr3, not for {recipe.arch}")
    if recipe.arch == "sr3":
        return sr3.Sr3(
            sr3.Layout(
                channels=channels,
                width=recipe.features or 48,
                blocks=recipe.blocks or 2,
                middle=recipe.depth or 4,
                frames=recipe.frames,
                scales=tuple(dict.fromkeys((recipe.scale, *recipe.scales))),
            )
        )
    if recipe.arch == "espcn":
        if recipe.features or recipe.depth not in (0, 3, 4):
            raise SettingsError("recipe: espcn has no net.features, and a net.depth of 3 or 4 convolutions")
        middle = (64, 64, 32) if recipe.depth == 4 else (64, 32)
        return espcn.Espcn(espcn.Layout(scale=recipe.scale, channels=channels, middle=middle, frames=recipe.frames))
    if recipe.arch == "compact":
        layout = compact.Layout(
            channels=channels,
            features=recipe.features or 32,
            depth=recipe.depth or 8,
            scale=recipe.scale,
            bicubic=True,
            frames=recipe.frames,
        )
        return compact.Compact(layout)
    if recipe.arch == "srresnet":
        if recipe.frames != 1 or recipe.scale not in (2, 3, 4, 8):
            raise SettingsError("recipe: srresnet takes one frame, at x2, x3, x4 or x8")
        return srresnet.SrResNet(
            srresnet.Layout(
                scale=recipe.scale, channels=channels, features=recipe.features or 64, blocks=recipe.depth or 16
            )
        )
    raise SettingsError(f"recipe: net.arch {recipe.arch!r} is not one of {', '.join(ARCHS)}, sr3_classic, selffeat")


def start_from(net: nn.Module, reference: str, recipe: NetRecipe) -> tuple[str, ...]:
    """Copy the tensors of a weight file or model into a network where name and shape agree; gives their names.

    Raises:
        ModelError: there is no such model, or it cannot be read.
        IncompatibleModel: not one tensor fits.
    """
    choice = choose(reference, recipe.scale, None)
    path = weights.find(choice.card) if choice.reference == choice.card.id else Path(choice.reference)
    state = weights.unwrapped(weights.load(path).state)
    own = net.state_dict()
    # What the buffers say of the making of sr3 and sr3_classic is the recipe's to say: scales; groups, schedule, size.
    is_told = isinstance(net, sr3.Sr3 | sr3_classic.Sr3Classic)
    told = {name for name, _ in net.named_buffers()} if is_told else set()
    fitting = {
        key: value.float()
        for key, value in state.items()
        if isinstance(value, Tensor) and key in own and key not in told and own[key].shape == value.shape
    }
    if not fitting:
        raise IncompatibleModel(
            f"{path} holds nothing for {recipe.arch} at x{recipe.scale}",
            hint="net.init names weights of the same arch.",
        )
    own.update(fitting)
    net.load_state_dict(own)
    return tuple(sorted(fitting))


def card_of(recipe: Recipe, state: Mapping[str, Tensor], digest: str) -> ModelCard:
    """Give the card of trained weights."""
    found = own.recognise(recipe.name, state)
    assert found is not None, "what was built is recognised"
    card, _ = found
    return dataclasses.replace(card, digest=digest, description=recipe.description or card.description)


def write_weights(path: Path, net: nn.Module, header: Mapping[str, str]) -> bytes:
    """Write a network's tensors as safetensors, whole or not at all; gives the file's bytes.

    Raises:
        DiskFull, OutputError: it cannot be written.
    """
    # Schedules stay in double precision: their products over thousands of steps are taken when they are read.
    state = {
        key: value.detach().to("cpu", value.dtype if value.dtype == torch.float64 else torch.float32).contiguous()
        for key, value in net.state_dict().items()
    }
    content = save(state, metadata=dict(header))
    write_whole(path, content)
    return content
