"""The environment holds the SR3 data set's keys, and PNG bytes as values."""

from __future__ import annotations

import sys
from pathlib import Path

import lmdb
import pytest

from vsr.core.errors import UsageError
from vsr.data.lmdb_store import require_lmdb, write_store


def test_keys_and_values_are_those_of_the_sr3_data_set(tmp_path: Path) -> None:
    triplets = []
    for k in range(3):
        files = tuple(tmp_path / f"{kind}{k}.png" for kind in ("hr", "lr", "sr"))
        for file in files:
            file.write_bytes(f"{file.name}".encode() * 1000 * (k + 1))
        triplets.append(files)
    for _ in range(2):  # the second takes the place of the first
        assert write_store(tmp_path / "db", triplets, low=16, high=128) == 3
    with lmdb.open(str(tmp_path / "db"), readonly=True, lock=False) as env, env.begin() as transaction:
        found = {bytes(key).decode(): bytes(value) for key, value in transaction.cursor()}
    names = [f"{stem}_{k:05d}" for k in range(3) for stem in ("hr_128", "lr_16", "sr_16_128")]
    assert sorted(found) == sorted([*names, "length"])
    assert found["length"] == b"3"
    assert all(found[f"sr_16_128_{k:05d}"] == triplets[k][2].read_bytes() for k in range(3))
    assert sorted(path.name for path in tmp_path.iterdir() if path.suffix != ".png") == ["db"]


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lmdb", None)
    with pytest.raises(UsageError, match="lmdb is not installed") as refused:
        require_lmdb()
    assert "vsr[train]" in (refused.value.hint or "")
