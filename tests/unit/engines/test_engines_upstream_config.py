"""Checkpoints of the public SR3 implementation and their configs: read, held against each other, imported."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load as parse
from torch import Tensor

from tests.unit.engines.upstream_unet import FRAMES, LARGE, SINGLE, Spec, forward, random_state, shapes
from vsr.cli import vsr
from vsr.core.errors import IncompatibleModel, ModelError, UnsafeWeights, WeightsMissing
from vsr.engines import cards, files, registry, schedules
from vsr.engines.archs.espcn import Espcn
from vsr.engines.archs.espcn import Layout as EspcnLayout
from vsr.engines.archs.sr3_classic import Sr3Classic
from vsr.engines.exchange import adopt, export
from vsr.engines.upstream_config import network, read_config, without_comments
from vsr.jobs.exchange import import_model

LINEAR = np.linspace(1e-6, 1e-2, 20)
SMALL = Spec(in_channel=12, mults=(1, 2), attn_res=(64,), res_blocks=1)
Table = dict[str, object]


def table(spec: Spec, **unet: object) -> Table:
    """Give a config of a small network as its JSON would be parsed."""
    schedule = {"schedule": "linear", "n_timestep": 20, "linear_start": 1e-6, "linear_end": 1e-2}
    return {
        "name": "sr3",
        "model": {
            "which_model_G": "sr3",
            "unet": {
                "in_channel": spec.in_channel,
                "out_channel": 3,
                "inner_channel": spec.inner,
                "norm_groups": spec.groups,
                "channel_multiplier": list(spec.mults),
                "attn_res": list(spec.attn_res),
                "res_blocks": spec.res_blocks,
                "dropout": 0.2,
                **unet,
            },
            "beta_schedule": {"train": schedule, "val": {**schedule, "n_timestep": 10}},
            "diffusion": {"image_size": spec.image_size, "channels": 3, "conditional": True},
        },
        "datasets": {"train": {"l_resolution": 16, "r_resolution": 128, "dataroot": "dataset/ffhq_16_128"}},
    }


def written(folder: Path, content: Table, name: str = "config.json") -> Path:
    (folder / name).write_text(json.dumps(content, indent=1))
    return folder / name


def checkpoint(folder: Path, spec: Spec = SMALL, *, betas: np.ndarray = LINEAR, prefix: str = "") -> Path:
    path = folder / "I20_E1_gen.pth"
    torch.save({f"{prefix}{key}": value for key, value in random_state(spec, betas=betas).items()}, path)
    return path


def set_in(content: Table, key: str, value: object) -> Table:
    """Give a copy with another value under a dotted key; None: without it."""
    changed = json.loads(json.dumps(content))
    *parents, last = key.split(".")
    inner = changed
    for parent in parents:
        inner = inner[parent]
    if value is None:
        del inner[last]
    else:
        inner[last] = value
    return changed


def test_comments_are_cut_and_what_only_looks_like_one_stays() -> None:
    text = r"""{ // the model, see "here"
        "dataroot": "https://host/a//b", // and "that" // twice
        "attn_res": [
            // 16
        ],
        "quoted": "a \" // b", "path": "C:\\" // "gone": 1
    }"""
    found = json.loads(without_comments(text))
    assert found == {"dataroot": "https://host/a//b", "attn_res": [], "quoted": 'a " // b', "path": "C:\\"}


def test_a_config_is_read_with_its_comments(tmp_path: Path) -> None:
    text = json.dumps(table(FRAMES), indent=1).replace('"norm_groups": 4,', '// "norm_groups": 16,')
    (tmp_path / "c.json").write_text(text.replace("dataset/", "https://host//dataset/"))
    found = read_config(tmp_path / "c.json")
    assert (found.norm_groups, found.in_channel, found.channel_multiplier) == (32, 12, (1, 2, 4, 8, 8))
    assert (found.attn_res, found.dropout, found.l_resolution, found.n_frames) == ((16,), 0.2, 16, None)
    assert found.train is not None and found.val is not None
    assert (found.train.n_timestep, found.val.n_timestep) == (20, 10)
    np.testing.assert_allclose(found.train.betas(), LINEAR, rtol=1e-12)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("model.unet.in_channel", None, "model.unet.in_channel is missing"),
        ("model.unet.res_blocks", "two", r"model.unet.res_blocks must be of the kind int, got 'two'"),
        ("model.unet.res_blocks", True, "model.unet.res_blocks must be of the kind int"),
        ("model.unet.attn_res", [1.5], "model.unet.attn_res must be a list of integers"),
        ("model.beta_schedule.train.schedule", "cubic", "train.schedule must be one of quad, linear"),
        ("model.beta_schedule.train.n_timestep", 10**12, "n_timestep must be 1 to"),
        ("model.beta_schedule.train.linear_end", 3, "linear_end must lie between 0 and 1"),
        ("datasets.train.l_resolution", 48, "multiple of l_resolution, got 128 and 48"),
        ("datasets", None, "datasets is missing"),
    ],
)
def test_a_wrong_config_is_refused_by_the_name_of_its_key(tmp_path: Path, key: str, value: object, said: str) -> None:
    with pytest.raises(ModelError, match=said):
        read_config(written(tmp_path, set_in(table(SMALL), key, value)))


def test_what_is_no_config_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot read config"):
        read_config(tmp_path / "absent.json")
    for text in ("{", "[]", "\x00", "[" * 100_000):
        (tmp_path / "bad.json").write_text(text)
        with pytest.raises(ModelError, match=r"bad\.json"):
            read_config(tmp_path / "bad.json")
    (tmp_path / "bad.json").write_bytes(b"\xff\xfe{}")
    with pytest.raises(ModelError, match=r"bad\.json"):
        read_config(tmp_path / "bad.json")


def test_the_other_network_of_that_implementation_is_refused_by_config_and_by_keys(tmp_path: Path) -> None:
    config = written(tmp_path, set_in(table(SMALL), "model.which_model_G", "ddpm"))
    with pytest.raises(IncompatibleModel, match="'ddpm' network"):
        adopt(checkpoint(tmp_path), "mine", config=config)
    state = {key.replace("noise_level_mlp", "time_mlp"): value for key, value in random_state(SMALL).items()}
    torch.save(state, tmp_path / "ddpm_gen.pth")
    with pytest.raises(IncompatibleModel, match=r"'ddpm' network.*time_mlp"):
        adopt(tmp_path / "ddpm_gen.pth", "mine", config=written(tmp_path, table(SMALL)))


@pytest.mark.parametrize("prefix", ["", "module."])
def test_an_imported_checkpoint_gives_what_it_gave(tmp_path: Path, prefix: str) -> None:
    done = adopt(checkpoint(tmp_path, prefix=prefix), "mine", config=written(tmp_path, table(SMALL)))
    assert (done.suffix, done.card.arch, done.card.scale, done.card.frames) == (".safetensors", "sr3_classic", 8, 3)
    assert (done.card.id, done.card.licence, done.card.parameters > 1000) == ("mine", "unknown", True)
    (tmp_path / "mine.safetensors").write_bytes(done.content)
    card, net = files.network(tmp_path / "mine.safetensors")
    assert isinstance(net, Sr3Classic)
    assert replace(done.card, id="x", family="x", licence="") == replace(card, id="x", family="x")
    assert (net.layout.norm_groups, net.layout.image_size, net.layout.attention) == (4, 128, (1,))
    assert net.layout.dropout == 0.2
    np.testing.assert_allclose(net.betas, LINEAR, rtol=1e-14)  # in float64, though the file's own are float32
    kept = parse(done.content)
    assert sum("." in key for key in kept) == len(random_state(SMALL)) and len(kept) - len(random_state(SMALL)) == 5
    x, level = torch.randn(1, 12, 16, 8, generator=torch.Generator().manual_seed(1)), torch.tensor([[0.7]])
    with torch.inference_mode():
        found = net.eval()(x, level)
    torch.testing.assert_close(found, forward(random_state(SMALL), SMALL, x, level), rtol=0, atol=1e-5)
    again = export(str(tmp_path / "mine.safetensors"), format="safetensors")
    assert all(torch.equal(value, kept[key]) for key, value in parse(again.content).items())
    with pytest.raises(IncompatibleModel, match="it is sampled"):
        export(str(tmp_path / "mine.safetensors"), format="onnx")


def test_the_schedule_is_the_configs_training_one_or_else_the_files(tmp_path: Path) -> None:
    config = written(tmp_path, table(SMALL))
    while_sampling = random_state(SMALL, betas=np.linspace(1e-6, 1e-2, 10))
    np.testing.assert_allclose(network("it", while_sampling, config).betas, LINEAR, rtol=1e-14)
    np.testing.assert_allclose(network("it", random_state(SMALL), config).betas, LINEAR, rtol=1e-14)
    silent = written(tmp_path, set_in(table(SMALL), "model.beta_schedule", None), "silent.json")
    own = random_state(SMALL, betas=np.linspace(1e-4, 1e-2, 30))
    np.testing.assert_array_equal(network("it", own, silent).betas, own["betas"].double())
    with pytest.raises(IncompatibleModel, match="noise schedule"):
        network("it", random_state(SMALL), silent)
    cosine = {"schedule": "cosine", "n_timestep": 20, "linear_start": 1, "linear_end": 2}
    config = written(tmp_path, set_in(table(SMALL), "model.beta_schedule.train", cosine))
    torch.testing.assert_close(
        network("it", random_state(SMALL), config).betas, schedules.betas("cosine", 20), rtol=0, atol=0
    )


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("model.unet.in_channel", 6, "in_channel is 6, the weights of .*gen.pth have 12"),
        ("model.unet.inner_channel", 16, "inner_channel is 16, .* have 8"),
        ("model.unet.channel_multiplier", [1, 4], r"channel_multiplier is \[1, 4\], .* have \[1, 2\]"),
        ("model.unet.res_blocks", 2, "res_blocks is 2, .* have 1"),
        ("model.unet.attn_res", [], r"attn_res is \[\], .* have \[64\]"),
        ("model.unet.out_channel", 6, "out_channel is 6, .* have 3"),
        ("model.unet.norm_groups", 16, "norm_groups must divide the width 8, got 16"),
        ("model.diffusion.n_frames", 5, "n_frames is 5, .* have 3"),
        ("model.diffusion.image_size", 63, "does not fit"),
        ("model.beta_schedule.train.n_timestep", 30, "n_timestep is 30, .* have 20"),
        ("model.beta_schedule.train.linear_end", 0.5, r"schedule \(linear\) is 1e-06 to 0.5, .* have 1e-06 to 0.01"),
    ],
)
def test_a_config_that_does_not_fit_is_refused_by_field_with_both_values(
    tmp_path: Path, key: str, value: object, said: str
) -> None:
    with pytest.raises(IncompatibleModel, match=said):
        adopt(checkpoint(tmp_path), "mine", config=written(tmp_path, set_in(table(SMALL), key, value)))


def test_without_a_config_it_is_said_which_one_fits(tmp_path: Path) -> None:
    with pytest.raises(IncompatibleModel, match=r"in_channel 12, inner_channel 8, channel_multiplier \[1, 2\]") as told:
        adopt(checkpoint(tmp_path), "mine")
    assert "--config" in (told.value.hint or "")
    for spec, name in ((SINGLE, "sr_sr3_16_128.json"), (LARGE, "sr_sr3_64_512.json"), (FRAMES, "3 frames")):
        with torch.device("meta"):
            hollow = {key: torch.empty(shape) for key, shape in shapes(replace(spec, inner=64)).items()}
        with pytest.raises(IncompatibleModel, match=f"its shapes are those of .*{name}"):
            network("it", hollow, None)


def test_the_optimizers_file_is_told_from_the_networks(tmp_path: Path) -> None:
    moments = {"state": {0: {"step": torch.tensor(1.0), "exp_avg": torch.zeros(2)}}, "param_groups": [{"lr": 1e-4}]}
    path = tmp_path / "I20_E1_opt.pth"
    torch.save({"epoch": 1, "iter": 20, "scheduler": None, "optimizer": moments}, path)
    for config in (None, written(tmp_path, table(SMALL))):
        with pytest.raises(IncompatibleModel, match="optimizer") as told:
            adopt(path, "mine", config=config)
        assert "I20_E1_gen" in (told.value.hint or "")


class _Caller:
    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, ("true",)


def test_files_that_are_no_whole_checkpoint_are_refused(tmp_path: Path) -> None:
    config = written(tmp_path, table(SMALL))
    with pytest.raises(WeightsMissing):
        adopt(tmp_path / "absent_gen.pth", "mine", config=config)
    torch.save({"denoise_fn.downs.0.weight": _Caller()}, tmp_path / "evil_gen.pth")
    with pytest.raises(UnsafeWeights, match="system"):
        adopt(tmp_path / "evil_gen.pth", "mine", config=config)
    state: dict[str, Tensor] = random_state(SMALL)
    del state["denoise_fn.mid.1.res_block.block2.block.3.weight"]
    torch.save(state, tmp_path / "part_gen.pth")
    for given in (None, config):
        with pytest.raises(IncompatibleModel, match="not its shapes"):
            adopt(tmp_path / "part_gen.pth", "mine", config=given)
    torch.save(Espcn(EspcnLayout(scale=2)).state_dict(), tmp_path / "espcn.pth")
    with pytest.raises(IncompatibleModel, match="no SR3 checkpoint"):
        adopt(tmp_path / "espcn.pth", "mine", config=config)
    with pytest.raises(IncompatibleModel, match="whole graph"):
        adopt(tmp_path / "net.onnx", "mine", config=config)


def test_an_imported_checkpoint_is_a_model_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home"))
    done = import_model(checkpoint(tmp_path), config=written(tmp_path, table(SMALL)))
    assert done.card.id == "I20_E1_gen"
    assert registry.choose("I20_E1_gen").card == done.card
    called = CliRunner().invoke(
        vsr,
        [
            "models",
            "import",
            str(checkpoint(tmp_path)),
            "--config",
            str(tmp_path / "config.json"),
            "--name",
            "b",
            "--json",
        ],
    )
    assert called.exit_code == 0, called.output
    assert cards.from_json(called.output).frames == 3
