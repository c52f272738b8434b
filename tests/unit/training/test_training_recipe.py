from __future__ import annotations

from pathlib import Path

import pytest

from vsr.core.errors import SettingsError
from vsr.training import recipe as recipes
from vsr.training.recipe import CHECKOUT, differences, dump, find, from_mapping, read_recipe, to_mapping

SHIPPED = sorted(CHECKOUT.glob("*.toml"))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_shipped_recipe_reads_and_its_dump_reads_as_the_same(path: Path, tmp_path: Path) -> None:
    recipe = read_recipe(path)
    (tmp_path / "again.toml").write_text(dump(recipe))
    assert read_recipe(tmp_path / "again.toml") == recipe
    assert from_mapping(to_mapping(recipe)) == recipe


def test_the_issue_s_recipes_are_there() -> None:
    wanted = {"espcn", "espcn4", "espcn-mf", "compact", "compact-64x16", "compact-mf", "srresnet", "selffeat"}
    assert wanted | {"srgan-perceptual", "srgan-per-pix"} <= {path.stem for path in SHIPPED}


def test_a_recipe_is_found_by_name_or_path(tmp_path: Path) -> None:
    assert find("compact").name == "compact.toml"
    (tmp_path / "mine.toml").write_text('name = "mine"\n')
    assert find(str(tmp_path / "mine.toml")) == tmp_path / "mine.toml"
    with pytest.raises(SettingsError) as caught:
        find("compakt")
    assert "compact" in str(caught.value.hint)


def test_the_scale_fills_the_name_and_what_it_starts_from() -> None:
    recipe = read_recipe(find("espcn-mf"), ["net.scale=4"])
    assert (recipe.name, recipe.net.init, recipe.net.scale) == ("espcn-mf-x4", "espcn-x4", 4)


def test_overrides_are_typed_as_toml() -> None:
    recipe = read_recipe(
        find("compact"), ["schedule.updates=7", "net.domain=rgb", "loss.weights.mse=2", 'data.only=["a*"]']
    )
    assert recipe.schedule.updates == 7
    assert recipe.net.domain == "rgb"
    assert recipe.loss.weights == {"mse": 2.0}
    assert recipe.data.only == ("a*",)


@pytest.mark.parametrize(
    ("override", "named"),
    [
        ("schedul.updates=7", "schedule"),
        ("schedule.update=7", "schedule.updates"),
        ("net.scaled=2", "net.scale"),
        ("degrade.kindd=bicubic", "kind"),
    ],
)
def test_an_unknown_key_is_refused_and_the_close_one_named(override: str, named: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read_recipe(find("compact"), [override])
    assert named in str(caught.value.hint)


@pytest.mark.parametrize(
    "override",
    [
        "schedule.updates=many",
        "schedule.rate=-1",
        "net.domain=xyz",
        "net.frames=2",
        "data.augment=1",
        "net=3",
        "nothing",
        "name=a/b",
        'name=""',
        "data.sizes=[1.0, 0]",
    ],
)
def test_a_wrong_value_is_refused(override: str) -> None:
    with pytest.raises(SettingsError):
        read_recipe(find("compact"), [override])


def test_a_file_that_is_no_toml_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "broken.toml"
    path.write_text("name = \n")
    with pytest.raises(SettingsError, match=r"broken\.toml"):
        read_recipe(path)


def test_differences_name_each_key() -> None:
    a, b = (read_recipe(find("compact"), [f"run.seed={seed}", "data.crop=24"]) for seed in (0, 1))
    assert differences(a, b) == ["run.seed: 0 -> 1"]
    assert differences(a, a) == []


def test_bounds_name_fields_that_exist() -> None:
    table = to_mapping(read_recipe(find("compact")))
    for key in recipes._BOUNDS:
        block, name = key.split(".")
        assert name in table[block]
