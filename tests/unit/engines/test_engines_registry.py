"""Choosing models by name, scale and file; a zoo of random ESPCN weights in a folder of the test."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save

from vsr.core.card import ModelCard
from vsr.core.errors import DeviceError, IncompatibleModel, UnknownModel, WeightsCorrupt, WeightsMissing
from vsr.engines import registry, weights
from vsr.engines.archs.espcn import Espcn, Layout
from vsr.engines.base import Batch, Key
from vsr.engines.cards import dump

SHIPPED = weights.shipped_folder()


def put(folder: Path, scale: int, *, family: str = "espcn", domain: str = "y") -> ModelCard:
    torch.manual_seed(scale)
    net = Espcn(Layout(scale=scale, channels=1 if domain == "y" else 3))
    header = {"arch": "espcn", "scale": str(scale), "channels": "1" if domain == "y" else "3"}
    content = save(dict(net.state_dict()), metadata=header)
    card = ModelCard(
        id=f"{family}-x{scale}",
        family=family,
        arch="espcn",
        scale=scale,
        domain="y" if domain == "y" else "rgb",
        halo=Layout(scale=2).halo,
        dtypes=("fp32", "bf16"),
        parameters=sum(p.numel() for p in net.parameters()),
        digest=weights.digest_of(content),
    )
    (folder / f"{card.id}.safetensors").write_bytes(content)
    (folder / f"{card.id}.toml").write_text(dump(card))
    return card


@pytest.fixture
def zoo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A shipped zoo of the weightless cards and ESPCN x2, x3, x4 of random weights, and an empty user folder."""
    folder, user = tmp_path / "zoo", tmp_path / "user"
    folder.mkdir()
    user.mkdir()
    for name in ("nearest", "bilinear", "bicubic", "lanczos"):
        (folder / f"{name}.toml").write_bytes((SHIPPED / f"{name}.toml").read_bytes())
    for scale in (2, 3, 4):
        put(folder, scale)
    monkeypatch.setattr(weights, "folders", lambda: (folder, user))
    monkeypatch.setattr(registry, "user_folder", lambda: user)
    return folder


def luma() -> Batch:
    return Batch(frames=torch.rand(1, 1, 1, 12, 16), keys=(Key(frame=0, seed=0),))


def test_the_default_is_espcn_at_twice_the_size(zoo: Path) -> None:
    choice = registry.choose()
    assert (choice.reference, choice.scale) == ("espcn-x2", 2)


def test_the_default_is_bicubic_where_no_weights_are(zoo: Path) -> None:
    for path in zoo.glob("espcn*.safetensors"):
        path.unlink()
    assert registry.choose(None, 3).reference == "bicubic"
    with pytest.raises(WeightsMissing, match="espcn-x2"):
        registry.open_engine("espcn-x2", scale=2)


@pytest.mark.parametrize(
    ("model", "scale", "reference", "chosen"),
    [
        ("espcn", None, "espcn-x2", 2),
        ("espcn", 3, "espcn-x3", 3),
        ("espcn", 2.5, "espcn-x3", 3),
        ("espcn", 0.5, "espcn-x2", 2),
        ("espcn-x4", None, "espcn-x4", 4),
        ("bicubic", None, "bicubic", 2),
        ("lanczos", 7, "lanczos", 7),
        ("lanczos", 1.2, "lanczos", 2),
        ("lanczos", 0.3, "lanczos", 1),
    ],
)
def test_a_name_and_a_scale_give_a_card(
    zoo: Path, model: str, scale: float | None, reference: str, chosen: int
) -> None:
    choice = registry.choose(model, scale)
    assert (choice.reference, choice.scale) == (reference, chosen)


@pytest.mark.parametrize(
    ("model", "scale", "said"),
    [
        ("espcn", 5, "espcn has no scale x5"),
        ("espcn-x2", 3, "espcn-x2 has no scale x3"),
        ("espcn", 4.5, "no scale x4.5"),
    ],
)
def test_a_scale_the_model_has_not_names_those_it_has(zoo: Path, model: str, scale: float, said: str) -> None:
    with pytest.raises(IncompatibleModel, match=said) as caught:
        registry.choose(model, scale)
    assert "espcn has x2, x3, x4" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("model", "wanted", "expected"),
    [("espcn", 1.5, 2), ("espcn", 2.0, 2), ("espcn", 2.01, 3), ("espcn", 9.0, 4), ("nearest", 8.5, 9), (None, 3.5, 4)],
)
def test_the_models_scale_for_a_ratio_reaches_it_or_is_the_largest(
    zoo: Path, model: str | None, wanted: float, expected: int
) -> None:
    assert registry.model_scale_for(model, wanted) == expected


def test_an_unknown_name_gets_close_matches(zoo: Path) -> None:
    with pytest.raises(UnknownModel, match="no model is named 'espnc'") as caught:
        registry.choose("espnc")
    assert "Did you mean espcn" in (caught.value.hint or "")


@pytest.mark.parametrize(("frames", "said"), [(2, "2 frames have no centre"), (3, "windows of 1 frame, not 3")])
def test_a_number_of_frames_the_model_has_not_is_refused(zoo: Path, frames: int, said: str) -> None:
    with pytest.raises(IncompatibleModel, match=said):
        registry.choose("espcn", 2, frames)
    assert registry.choose("espcn", 2, 1).scale == 2


def test_missing_files_are_missing_and_not_unknown_names(zoo: Path) -> None:
    for name in ("none.pth", "./none", "folder/none.safetensors"):
        with pytest.raises((WeightsMissing, IncompatibleModel), match="none"):
            registry.choose(name)


def test_a_users_card_is_found_and_cannot_replace_a_shipped_one(zoo: Path) -> None:
    user = zoo.parent / "user"
    mine = put(user, 2, family="mine", domain="rgb")
    put(user, 2)
    assert registry.choose("mine").card == mine
    assert [card.id for card in registry.models()].count("espcn-x2") == 1
    assert registry.choose("espcn", 2).card == registry.choose("espcn-x2").card
    assert registry.open_engine("mine-x2", scale=2).card.domain == "rgb"


def test_a_users_weight_file_is_found_by_its_name(zoo: Path) -> None:
    user = zoo.parent / "user"
    (user / "own.safetensors").write_bytes((zoo / "espcn-x3.safetensors").read_bytes())
    choice = registry.choose("own")
    assert (choice.scale, choice.reference) == (3, str(user / "own.safetensors"))


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_a_bare_espcn_file_runs_as_its_card_does(zoo: Path, scale: int) -> None:
    file = registry.choose(str(zoo / f"espcn-x{scale}.safetensors"))
    assert (file.card.arch, file.scale, file.card.dtypes) == ("espcn", scale, ("fp32", "bf16"))
    batch = luma()
    by_file = registry.open_engine(file.reference, scale=scale).restore(batch)
    by_name = registry.open_engine(f"espcn-x{scale}", scale=scale).restore(batch)
    assert torch.equal(by_file, by_name)


def test_weights_of_another_card_are_refused(zoo: Path) -> None:
    (zoo / "espcn-x2.safetensors").write_bytes((zoo / "espcn-x3.safetensors").read_bytes())
    with pytest.raises(WeightsCorrupt, match="the card says"):
        registry.open_engine("espcn-x2", scale=2)


def test_weights_of_the_wrong_shape_are_incompatible(zoo: Path) -> None:
    card = registry.choose("espcn-x3").card
    (zoo / "espcn-x2.safetensors").write_bytes((zoo / "espcn-x3.safetensors").read_bytes())
    (zoo / "espcn-x2.toml").write_text(dump(replace(card, id="espcn-x2", scale=2)))
    with pytest.raises(IncompatibleModel, match="does not hold the weights of espcn"):
        registry.open_engine("espcn-x2", scale=2)


def test_precisions_are_held_against_card_and_device(zoo: Path) -> None:
    with pytest.raises(IncompatibleModel, match="bicubic does not run in bf16"):
        registry.open_engine("bicubic", scale=2, precision="bf16")
    with pytest.raises(DeviceError, match="fp16"):
        registry.open_engine("espcn", scale=2, precision="fp16")


def test_listing_and_choosing_by_name_load_no_torch() -> None:
    code = (
        "import sys\nfrom vsr.engines import registry\n"
        "registry.models(); registry.choose('bicubic', 3); registry.model_scale_for('lanczos', 2.5)\n"
        "assert not {'torch', 'cv2', 'spandrel'} & set(sys.modules), 'heavy'"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
