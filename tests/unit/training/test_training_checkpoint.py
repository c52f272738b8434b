from __future__ import annotations

import pickle
from pathlib import Path

import pytest
import torch

from vsr.core.errors import InputError
from vsr.training import checkpoint


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    content = {"update": 3, "nets": {"a": {"w": torch.arange(3.0)}}, "best": -1.5, "recipe": {"name": "x"}}
    checkpoint.save(tmp_path / "c.pt", content)
    loaded = checkpoint.load(tmp_path / "c.pt")
    assert loaded["update"] == 3
    assert loaded["recipe"] == {"name": "x"}
    assert torch.equal(loaded["nets"]["a"]["w"], torch.arange(3.0))
    assert [path.name for path in tmp_path.iterdir()] == ["c.pt"]


def test_a_torn_checkpoint_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "c.pt"
    checkpoint.save(path, {"update": 1, "w": torch.zeros(100)})
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(InputError, match=r"c\.pt"):
        checkpoint.load(path)


def test_a_checkpoint_that_wants_to_run_code_is_refused(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, ...]:
            return Path.touch, (tmp_path / "ran",)

    path = tmp_path / "c.pt"
    path.write_bytes(pickle.dumps({"update": 1, "x": Evil()}))
    with pytest.raises(InputError):
        checkpoint.load(path)
    assert not (tmp_path / "ran").exists()


def test_another_file_is_no_checkpoint(tmp_path: Path) -> None:
    torch.save({"weights": torch.zeros(1)}, tmp_path / "c.pt")
    with pytest.raises(InputError, match="no checkpoint"):
        checkpoint.load(tmp_path / "c.pt")
