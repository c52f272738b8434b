from __future__ import annotations

from pathlib import Path

import pytest
import torch

from vsr.core.errors import IncompatibleModel, ModelError, SettingsError
from vsr.engines import files
from vsr.training.nets import card_of, make_net, start_from, write_weights
from vsr.training.recipe import NetRecipe, Recipe, find, read_recipe

NAMES = ("espcn", "espcn4", "espcn-mf", "compact", "compact-64x16", "compact-mf", "srresnet")


@pytest.mark.parametrize("name", NAMES)
def test_what_is_trained_is_recognised_when_it_is_written(name: str, tmp_path: Path) -> None:
    recipe = read_recipe(find(name))
    net = make_net(recipe.net)
    path = tmp_path / f"{recipe.name}.safetensors"
    write_weights(path, net, {"vsr": "{}"})
    found = files.inspect(path)
    card = card_of(recipe, net.state_dict(), found.digest)
    assert (found.arch, found.scale, found.frames, found.domain, found.alignment, found.halo) == (
        card.arch, card.scale, card.frames, card.domain, card.alignment, card.halo
    )  # fmt: skip
    assert card.parameters == sum(parameter.numel() for parameter in net.parameters())


def test_the_published_sizes() -> None:
    """Parameter counts of the literature: ESPCN's four-layer net, SRVGGNetCompact, SRResNet without its norms."""
    count = {name: sum(p.numel() for p in make_net(read_recipe(find(name)).net).parameters()) for name in NAMES}
    assert count["espcn4"] == 58_212
    assert count["espcn"] == 21_284
    rgb = make_net(read_recipe(find("compact-64x16"), ["net.domain=rgb"]).net)
    assert sum(p.numel() for p in rgb.parameters()) == 621_424
    assert 1.4e6 < count["srresnet"] < 1.6e6


def test_starting_weights_are_copied_where_they_fit(tmp_path: Path) -> None:
    single = make_net(NetRecipe(arch="espcn", scale=3))
    write_weights(tmp_path / "single.safetensors", single, {})
    recipe = NetRecipe(arch="espcn", scale=3, frames=3)
    several = make_net(recipe)
    copied = start_from(several, str(tmp_path / "single.safetensors"), recipe)
    assert set(copied) == set(single.state_dict())
    frames, aligned = torch.rand(1, 3, 1, 12, 12), torch.zeros(1, 2, 1, 36, 36)
    with torch.inference_mode():
        assert torch.equal(several(frames, aligned), single(frames))


def test_starting_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    write_weights(tmp_path / "w.safetensors", make_net(NetRecipe(arch="espcn", scale=2)), {})
    recipe = NetRecipe(arch="srresnet", scale=2, domain="rgb")
    with pytest.raises(IncompatibleModel, match="holds nothing for srresnet"):
        start_from(make_net(recipe), str(tmp_path / "w.safetensors"), recipe)
    with pytest.raises(ModelError):
        start_from(make_net(recipe), str(tmp_path / "missing.safetensors"), recipe)


@pytest.mark.parametrize(
    "recipe",
    [
        NetRecipe(arch="unet"),
        NetRecipe(arch="espcn", features=3),
        NetRecipe(arch="espcn", depth=7),
        NetRecipe(arch="srresnet", scale=5),
        NetRecipe(arch="srresnet", frames=3),
    ],
)
def test_what_an_arch_does_not_have_is_refused(recipe: NetRecipe) -> None:
    with pytest.raises(SettingsError):
        make_net(recipe)
    assert isinstance(Recipe(name="x", net=recipe), Recipe)
