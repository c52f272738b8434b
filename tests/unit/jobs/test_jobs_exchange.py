"""Exports and imports as files: whole or not at all, under names that can be."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from tests.onnxgraph import layers, network
from vsr.core.card import Score
from vsr.core.errors import ModelError, OutputError, OutputExists, UnsafeWeights, UsageError, WeightsCorrupt
from vsr.engines import cards, registry
from vsr.engines.archs import sr3
from vsr.engines.archs.espcn import Espcn, Layout
from vsr.engines.onnx_graph import CARD_KEY
from vsr.jobs.exchange import export_model, import_model


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's data folder in which there is nothing yet; gives where models would lie."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home"))
    return tmp_path / "home" / "vsr" / "models"


def checkpoint(folder: Path, seed: int = 0, name: str = "my net.pth") -> Path:
    torch.manual_seed(seed)
    torch.save(Espcn(Layout(scale=2, middle=(8, 6))).state_dict(), folder / name)
    return folder / name


def test_an_export_is_named_after_the_model_and_does_not_replace_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = export_model("espcn", format="safetensors", scale=3)
    assert (done.path, done.model, done.scale) == (Path("espcn-x3.safetensors"), "espcn-x3", 3)
    assert done.bytes == done.path.stat().st_size
    before = done.path.read_bytes()
    with pytest.raises(OutputExists):
        export_model("espcn", format="safetensors", scale=3)
    assert done.path.read_bytes() == before
    export_model("espcn", format="safetensors", scale=3, overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ["espcn-x3.safetensors"]


def test_nothing_is_written_of_an_export_that_fails(tmp_path: Path) -> None:
    with pytest.raises(ModelError):
        export_model("lanczos", tmp_path / "l.safetensors", format="safetensors", scale=2)
    with pytest.raises(OutputError, match="absent"):
        export_model("espcn", tmp_path / "absent" / "e.pt", format="torchscript")
    assert list(tmp_path.iterdir()) == []


def test_an_imported_file_is_a_model_by_its_name_from_then_on(tmp_path: Path, home: Path) -> None:
    done = import_model(checkpoint(tmp_path))
    assert (done.card.id, done.path) == ("my-net", home / "my-net.safetensors")
    assert sorted(path.name for path in home.iterdir()) == ["my-net.safetensors", "my-net.toml"]
    assert done.card in registry.models()
    assert registry.choose("my-net").card == done.card
    registry.open_engine("my-net", scale=2).close()


def test_a_taken_name_is_refused_until_overwrite_is_said(tmp_path: Path, home: Path) -> None:
    first = import_model(checkpoint(tmp_path), "mine")
    with pytest.raises(OutputExists, match="mine"):
        import_model(checkpoint(tmp_path, seed=1), "mine")
    assert registry.choose("mine").card == first.card
    (tmp_path / "other.onnx").write_bytes(network(layers(3), 3).SerializeToString())
    done = import_model(tmp_path / "other.onnx", "mine", overwrite=True)
    assert sorted(path.name for path in home.iterdir()) == ["mine.onnx", "mine.toml"]
    assert (registry.choose("mine").card, done.card.scale) == (done.card, 3)


@pytest.mark.parametrize("name", ["espcn", "espcn-x2", "bicubic", "../up", "a/b", "", "-o", "net.pth", "net.onnx"])
def test_a_name_that_cannot_be_a_models_is_refused(tmp_path: Path, home: Path, name: str) -> None:
    path = checkpoint(tmp_path, name="espcn.pth" if not name else "my net.pth")
    with pytest.raises(UsageError, match=r"comes with vsr|cannot be named"):
        import_model(path, name)
    assert not home.exists()


class _Runs:
    def __reduce__(self) -> tuple[object, ...]:
        return print, ("run!",)


def test_a_file_that_wants_to_run_code_is_refused_and_nothing_is_kept(
    tmp_path: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save({"params": _Runs()}, tmp_path / "bad.pth")
    with pytest.raises(UnsafeWeights, match="print"):
        import_model(tmp_path / "bad.pth")
    export_model("espcn", tmp_path / "script.pt", format="torchscript")
    with pytest.raises(UnsafeWeights, match="TorchScript"):
        import_model(tmp_path / "script.pt")
    (tmp_path / "half.onnx").write_bytes(network(layers(2), 2).SerializeToString()[:-30])
    with pytest.raises(WeightsCorrupt):
        import_model(tmp_path / "half.onnx")
    assert not home.exists() and "run!" not in capsys.readouterr().out


def test_changed_weights_of_an_imported_model_are_noticed(tmp_path: Path, home: Path) -> None:
    (tmp_path / "net.onnx").write_bytes(network(layers(2), 2).SerializeToString())
    done = import_model(tmp_path / "net.onnx")
    done.path.write_bytes(network(layers(3), 3).SerializeToString())
    with pytest.raises(WeightsCorrupt, match="sha256"):
        registry.open_engine("net", scale=2)


def test_the_commands_say_what_they_did(tmp_path: Path, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from vsr.cli import main

    out = tmp_path / "e.safetensors"
    assert main(["models", "export", "espcn-x4", "--format", "safetensors", "--out", str(out), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["path"], told["largest_error"], told["tried"]) == (str(out), 0.0, ["1x21x34", "3x47x29"])
    assert main(["models", "import", str(out), "--name", "again"]) == 0
    assert "CC-BY-SA-4.0" in capsys.readouterr().out
    assert main(["models", "import", str(out), "--name", "again"]) == 6
    assert "--overwrite" in capsys.readouterr().err
    assert main(["models", "info", "again", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["scale"] == 4


def test_a_network_of_several_scales_is_kept_under_one_name(tmp_path: Path, home: Path) -> None:
    net = sr3.Sr3(sr3.Layout(width=8, blocks=1, middle=1, frames=3, scales=(4, 2)))
    save_file(dict(net.state_dict()), tmp_path / "trained.safetensors")
    done = import_model(tmp_path / "trained.safetensors", "mine")
    assert {path.name for path in home.iterdir()} == {"mine-x2.toml", "mine-x4.toml", "mine.safetensors"}
    assert done.card.scale == 4
    assert registry.choose("mine").scale == 4, "the first that it was trained for"
    for scale in (2, 4):
        engine = registry.open_engine("mine", scale=scale)
        assert engine.scale == scale and engine.card.id == f"mine-x{scale}"
        engine.close()
    import_model(checkpoint(tmp_path), "mine", overwrite=True)
    assert {path.name for path in home.iterdir()} == {"mine.toml", "mine.safetensors"}


def several_scales(path: Path, stated: dict[str, str] | None = None) -> Path:
    net = sr3.Sr3(sr3.Layout(width=8, blocks=1, middle=1, frames=3, scales=(4, 2)))
    save_file(dict(net.state_dict()), path, stated)
    return path


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_scale_does_not_take_another_models_name(tmp_path: Path, home: Path, overwrite: bool) -> None:
    other = import_model(checkpoint(tmp_path), "mine-x4")
    before = sorted(path.name for path in home.iterdir())
    with pytest.raises(OutputExists, match=r"mine-x4\.toml exists, of another model"):
        import_model(several_scales(tmp_path / "trained.safetensors"), "mine", overwrite=overwrite)
    assert sorted(path.name for path in home.iterdir()) == before
    assert registry.choose("mine-x4").card == other.card


def test_figures_of_one_scale_are_not_told_of_another(tmp_path: Path, home: Path) -> None:
    score = Score(test_set="set5", metric="psnr_y", value=35.0, bicubic=33.7)
    plain = import_model(several_scales(tmp_path / "plain.safetensors"), "plain").card
    exported = replace(plain, id="sr3-x2", family="sr3", weights="sr3", scale=2, scores=(score,), licence="CC0-1.0")
    stated = {CARD_KEY: cards.to_json(exported)}
    import_model(several_scales(tmp_path / "told.safetensors", stated), "told")
    found = {card.id: (card.licence, card.scores) for card in registry.models() if card.family == "told"}
    assert found == {"told-x2": ("CC0-1.0", (score,)), "told-x4": ("CC0-1.0", ())}
