"""Weight files: whole, damaged, and malicious ones that must never run."""

from __future__ import annotations

import io
import os
import pickle
from argparse import Namespace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save

from vsr.core.card import ModelCard
from vsr.core.errors import UnsafeWeights, WeightsCorrupt, WeightsMissing
from vsr.engines import registry, weights

STATE = {"a": torch.arange(60.0).reshape(3, 20), "b": torch.zeros(5)}


class Touch:
    """A pickle that makes a file when it is loaded the careless way."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return os.system, (f"touch {self.path}",)


def pickled(content: object, *, zipped: bool) -> bytes:
    stream = io.BytesIO()
    torch.save(content, stream, _use_new_zipfile_serialization=zipped)
    return stream.getvalue()


def test_safetensors_give_tensors_header_and_digest(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    path.write_bytes(save(STATE, metadata={"arch": "espcn"}))
    found = weights.load(path, digest=weights.digest_of(path.read_bytes()))
    assert found.header == {"arch": "espcn"}
    assert {key: value.tolist() for key, value in found.state.items()} == {k: v.tolist() for k, v in STATE.items()}


@pytest.mark.parametrize("zipped", [True, False])
def test_pickled_tensors_load(tmp_path: Path, zipped: bool) -> None:
    path = tmp_path / "w.pth"
    path.write_bytes(pickled({"params_ema": STATE}, zipped=zipped))
    assert torch.equal(weights.load(path).state["params_ema"]["a"], STATE["a"])


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("suffix", [".pth", ".pt", ".ckpt"])
def test_a_malicious_checkpoint_is_refused_and_runs_nothing(tmp_path: Path, zipped: bool, suffix: str) -> None:
    flag = tmp_path / "pwned"
    path = tmp_path / f"evil{suffix}"
    path.write_bytes(pickled({**STATE, "x": Touch(flag)}, zipped=zipped))
    for attempt in (lambda: weights.load(path), lambda: registry.choose(str(path))):
        with pytest.raises(UnsafeWeights, match=r"wants to run (posix|nt)\.system") as caught:
            attempt()
        assert caught.value.hint is not None
    assert not flag.exists()
    # the control: the same file does run code when it is loaded without the guard
    torch.load(path, weights_only=False)
    assert flag.exists()


def test_a_bare_malicious_pickle_is_refused(tmp_path: Path) -> None:
    flag = tmp_path / "pwned"
    path = tmp_path / "evil.pth"
    path.write_bytes(pickle.dumps(Touch(flag)))
    with pytest.raises((UnsafeWeights, WeightsCorrupt)):
        weights.load(path)
    assert not flag.exists()


def test_a_checkpoint_with_a_foreign_class_is_refused_by_its_name(tmp_path: Path) -> None:
    path = tmp_path / "options.pth"
    path.write_bytes(pickled({"args": Namespace(lr=1)}, zipped=True))
    with pytest.raises(UnsafeWeights, match=r"argparse\.Namespace"):
        weights.load(path)


def test_a_torchscript_archive_is_refused_as_a_program(tmp_path: Path) -> None:
    path = tmp_path / "scripted.pt"
    torch.jit.save(torch.jit.script(torch.nn.Conv2d(1, 1, 1)), path)
    with pytest.raises(UnsafeWeights, match="TorchScript"):
        weights.load(path)


@pytest.mark.parametrize("cut", [1, 10, 100, 0.5, -30, -3])
@pytest.mark.parametrize("kind", ["safetensors", "zip", "legacy"])
def test_a_truncated_file_is_corrupt(tmp_path: Path, kind: str, cut: float) -> None:
    whole = save(STATE) if kind == "safetensors" else pickled(STATE, zipped=kind == "zip")
    path = tmp_path / ("w.safetensors" if kind == "safetensors" else "w.pth")
    path.write_bytes(whole[: int(len(whole) * cut) if cut == 0.5 else int(cut)])
    with pytest.raises(WeightsCorrupt):
        weights.load(path)


@pytest.mark.parametrize("name", ["w.pth", "w.safetensors"])
@pytest.mark.parametrize("content", [b"", b"hello, I am text and no weights", bytes(200)])
def test_what_is_no_weight_file_is_corrupt(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(WeightsCorrupt, match=name):
        weights.load(tmp_path / name)


def test_a_checkpoint_that_is_no_table_is_corrupt(tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    path.write_bytes(pickled([STATE["a"]], zipped=True))
    with pytest.raises(WeightsCorrupt, match="holds a list"):
        weights.load(path)


def test_one_changed_byte_is_found_by_the_digest(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    content = bytearray(save(STATE))
    digest = weights.digest_of(bytes(content))
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(WeightsCorrupt, match="the card says"):
        weights.load(path, digest=digest)


def test_missing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsMissing, match=r"none\.pth does not exist"):
        weights.load(tmp_path / "none.pth")
    card = ModelCard(id="gone", family="gone", arch="espcn", scale=2, domain="y", digest="0" * 64)
    with pytest.raises(WeightsMissing, match="gone are missing"):
        weights.find(card)
