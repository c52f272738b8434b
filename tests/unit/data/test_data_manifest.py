"""A manifest is whole lines, whatever happened while the last one was written."""

from __future__ import annotations

import errno
import hashlib
import json
import os

import pytest

from vsr.core.errors import DiskFull, InputError, InputMissing
from vsr.data import manifest

RECORDS = [{"file": "a/0.png", "pts": 0}, {"file": "b/ü\udcff.png", "pts": 2**40, "shot": None}]


def test_what_is_appended_is_read_in_order(tmp_path):
    path = tmp_path / "m.jsonl"
    for record in RECORDS:
        manifest.append(path, record)
    assert manifest.read(path) == RECORDS
    assert [json.loads(line) for line in path.read_text().splitlines()] == RECORDS


def test_a_file_cut_at_any_byte_gives_the_whole_lines_and_goes_on(tmp_path):
    path = tmp_path / "m.jsonl"
    manifest.append_all(path, RECORDS)
    data = path.read_bytes()
    for keep in range(len(data) + 1):
        path.write_bytes(data[:keep])
        whole = RECORDS[: data[:keep].count(b"\n")]
        assert manifest.read(path) == whole
        manifest.append(path, {"last": True})
        assert manifest.read(path) == [*whole, {"last": True}]


def test_a_torn_line_longer_than_a_block_is_cut_off_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(manifest, "_BLOCK", 16)
    path = tmp_path / "m.jsonl"
    path.write_bytes(b'{"a": 1}\n{"b": "' + b"x" * 100)
    manifest.append(path, {"c": 3})
    assert manifest.read(path) == [{"a": 1}, {"c": 3}]


def test_write_replaces_all_or_nothing(tmp_path, monkeypatch):
    path = tmp_path / "m.jsonl"
    manifest.write(path, RECORDS)

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DiskFull):
        manifest.write(path, [])
    monkeypatch.undo()
    assert manifest.read(path) == RECORDS
    assert [entry.name for entry in tmp_path.iterdir()] == ["m.jsonl"]


@pytest.mark.parametrize("line", [b"{broken}\n", b"[1]\n", b"\xff\n"])
def test_a_damaged_whole_line_is_named(line, tmp_path):
    path = tmp_path / "m.jsonl"
    path.write_bytes(b'{"a": 1}\n' + line)
    with pytest.raises(InputError, match=r"m\.jsonl line 2"):
        manifest.read(path)


def test_missing_files_are_named(tmp_path):
    for call in (manifest.read, manifest.digest_file):
        with pytest.raises(InputMissing, match="gone"):
            call(tmp_path / "gone")


def test_a_digest_is_the_sha256_of_the_bytes(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b"abc" * 1_000_000)
    assert manifest.digest_file(path) == hashlib.sha256(b"abc" * 1_000_000).hexdigest()
