"""From a run's folder to the zoo: `recipes/ship.py`, on networks that nobody trained."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
import torch

from vsr.engines import registry, weights
from vsr.engines.cards import dump
from vsr.training import classic
from vsr.training.nets import card_of, make_net, write_weights
from vsr.training.recipe import Recipe, find, read_recipe
from vsr.training.recipe import dump as dump_recipe

SMALL = {
    "sr3-tiny": ("net.features=16", "net.blocks=1", "net.depth=1"),
    "sr3-classic": ("net.features=8", "net.depth=1", "classic.multipliers=[1,2]", "classic.norm_groups=4"),
}


def shipping() -> ModuleType:
    spec = importlib.util.spec_from_file_location("ship", Path(__file__).resolve().parents[3] / "recipes" / "ship.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def shipped(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a zoo that holds what a run of the recipe, made small, would have left."""
    recipe: Recipe = read_recipe(find(name), [*SMALL[name], "data.crop=8"])
    torch.manual_seed(0)
    net = classic.make_net(recipe) if recipe.net.arch == "sr3_classic" else make_net(recipe.net)
    run, zoo = folder / "run", folder / "zoo"
    run.mkdir()
    zoo.mkdir()
    content = write_weights(run / f"{name}.safetensors", net, {"vsr": "{}"})
    card = card_of(recipe, net.state_dict(), weights.digest_of(content))
    (run / f"{name}.toml").write_text(dump(card), encoding="utf-8")
    (run / "recipe.toml").write_text(dump_recipe(recipe), encoding="utf-8")
    shipping().ship(run, zoo, "a machine")
    monkeypatch.setattr(weights, "folders", lambda: (zoo,))
    return zoo


def test_one_file_in_half_precision_and_a_card_for_each_of_its_scales(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    zoo = shipped("sr3-tiny", tmp_path, monkeypatch)
    assert sorted(file.name for file in zoo.iterdir()) == [
        "sr3-x2.toml",
        "sr3-x3.toml",
        "sr3-x4.toml",
        "sr3.safetensors",
    ]
    for scale in (2, 3, 4):
        choice = registry.choose("sr3", scale, 3)
        assert (choice.card.id, choice.card.weights) == (f"sr3-x{scale}", "sr3")
        registry.open_engine(choice.reference, scale=scale).close()
    kept = weights.load(zoo / "sr3.safetensors").state
    assert {value.dtype for value in kept.values() if isinstance(value, torch.Tensor)} == {torch.float16}


def test_a_schedule_stays_in_double_precision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In half precision the first of its steps, one in a million, would be off by a hundredth."""
    zoo = shipped("sr3-classic", tmp_path, monkeypatch)
    kept, made = (weights.load(f / "sr3-classic.safetensors").state for f in (zoo, tmp_path / "run"))
    assert isinstance(kept["betas"], torch.Tensor) and isinstance(made["betas"], torch.Tensor)
    assert torch.equal(kept["betas"], made["betas"])
