"""Destinations by URL, over a store in memory: one process at a time has a destination's folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from vsr.core.errors import JobLocked
from vsr.jobs.remote import staged_remote

fsspec = pytest.importorskip("fsspec")
URL = "memory://out/clip.mkv"


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    system = fsspec.filesystem("memory")
    system.store.clear()
    system.pseudo_dirs[:] = [""]


def test_a_second_process_touches_nothing_of_the_first(tmp_path: Path) -> None:
    """Else it would move the other's result aside, or put its own fingerprint on it."""
    with staged_remote("in.mkv", URL) as first:
        assert first.destination is not None
        assert first.is_to_be_made("ours")
        first.destination.write_bytes(b"whole")
        with (
            pytest.raises(JobLocked, match=r"memory://out/clip\.mkv is being made by process"),
            staged_remote("b", URL),
        ):
            pytest.fail("both have it")
        assert first.destination.read_bytes() == b"whole"
    assert fsspec.filesystem("memory").cat_file("/out/clip.mkv") == b"whole"
    assert not list((tmp_path / "cache" / "vsr" / "results").iterdir())


def test_a_result_that_was_not_stored_is_kept_for_its_own_job(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), staged_remote("in.mkv", URL) as staged:
        assert staged.destination is not None
        assert staged.is_to_be_made("ours")
        staged.destination.write_bytes(b"whole")
        raise RuntimeError
    with staged_remote("in.mkv", URL) as staged:
        assert not staged.is_to_be_made("ours")
    assert fsspec.filesystem("memory").cat_file("/out/clip.mkv") == b"whole"
