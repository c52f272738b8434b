"""results.jsonl: appended to, read while others write, and never believed where it is torn."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from vsr.core.errors import DiskFull, OutputError
from vsr.jobs.folder.listing import Found
from vsr.jobs.folder.results import Asked, Result, Results, Source, source_of


def found(path: Path) -> Found:
    seen = path.stat()
    return Found(path=path, name=path.name, size=seen.st_size, mtime_ns=seen.st_mtime_ns)


def line(name: str = "a.mp4", **other: object) -> Result:
    source = Source(name=name, size=3, mtime_ns=4, digest="5")
    made = Result(destination=name, status="done", source=source, asked=Asked(folder="f", settings={"scale": 2.0}))
    return replace(made, **other)  # type: ignore[arg-type]


def test_lines_are_plain_json_that_people_can_read(tmp_path: Path) -> None:
    Results(tmp_path).append(line(bytes=77, frames=6))
    (text,) = (tmp_path / "results.jsonl").read_text(encoding="ascii").splitlines()
    data = json.loads(text)
    assert list(data)[:2] == ["destination", "status"]
    assert (data["destination"], data["bytes"], data["asked"]["settings"]) == ("a.mp4", 77, {"scale": 2.0})
    assert data["at"].endswith("+00:00")
    assert "model" not in data


def test_what_was_written_is_read_again(tmp_path: Path) -> None:
    first = Results(tmp_path)
    odd = 'd\u00e9j\u00e0 "vu"\n%d \udcff.mp4'
    for name in ("a.mp4", odd):
        first.append(line(name, fingerprint="x"))
    again = Results(tmp_path)
    assert again.made == first.made
    assert set(again.made) == {"a.mp4", odd}


def test_the_last_line_of_a_kind_counts_and_a_failure_takes_nothing_away(tmp_path: Path) -> None:
    results = Results(tmp_path)
    results.append(line(bytes=1))
    results.append(line(status="begun"))
    results.append(line(status="failed", reason="no"))
    for seen in (results, Results(tmp_path)):
        assert seen.made["a.mp4"].bytes == 1
        assert "a.mp4" in seen.begun
    results.append(line(bytes=2))
    results.append(line("b.mp4", status="passed", reason="large"))
    again = Results(tmp_path)
    assert (again.made["a.mp4"].bytes, again.begun, again.passed["b.mp4"].reason) == (2, {}, "large")


def test_a_torn_end_is_passed_over_at_every_byte_and_the_next_line_is_whole(tmp_path: Path) -> None:
    results = Results(tmp_path)
    results.append(line("a.mp4"))
    keep = results.path.stat().st_size
    results.append(line("b.mp4"))
    whole = results.path.read_bytes()
    for cut in range(keep, len(whole)):
        results.path.write_bytes(whole[:cut])
        torn = Results(tmp_path)
        assert set(torn.made) == {"a.mp4"}
        torn.append(line("c.mp4"))
        assert {"a.mp4", "c.mp4"} <= set(Results(tmp_path).made) <= {"a.mp4", "b.mp4", "c.mp4"}


@pytest.mark.parametrize(
    "junk", [b"", b"{}", b"[]", b"null", b"3", b'{"destination": 1}', b"\xff\xfe", b'{"a": NaN}', b"[" * 100_000]
)
def test_lines_of_others_are_passed_over(junk: bytes, tmp_path: Path) -> None:
    results = Results(tmp_path)
    results.append(line("a.mp4"))
    with results.path.open("ab") as file:
        file.write(junk + b"\n")
    results.append(line("b.mp4"))
    assert set(Results(tmp_path).made) == {"a.mp4", "b.mp4"}


def test_what_another_process_adds_is_seen(tmp_path: Path) -> None:
    one, other = Results(tmp_path), Results(tmp_path)
    one.append(line("a.mp4"))
    other.append(line("b.mp4"))
    for results in (one, other):
        results.refresh()
        assert set(results.made) == {"a.mp4", "b.mp4"}


def test_a_file_that_was_taken_away_is_nothing(tmp_path: Path) -> None:
    results = Results(tmp_path)
    results.append(line("a.mp4"))
    results.path.unlink()
    results.refresh()
    assert results.made == {}


def test_half_a_line_is_taken_back_when_the_disk_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    results = Results(tmp_path)
    results.append(line("a.mp4"))
    size = results.path.stat().st_size
    real = os.write
    monkeypatch.setattr(os, "write", lambda file, data: real(file, data[:20]))
    with pytest.raises(DiskFull):
        results.append(line("b.mp4"))
    assert results.path.stat().st_size == size
    assert set(results.made) == {"a.mp4"}


def test_a_folder_in_its_place(tmp_path: Path) -> None:
    (tmp_path / "results.jsonl").mkdir()
    with pytest.raises(OutputError, match="cannot be read"):
        Results(tmp_path)


def test_a_source_is_the_same_by_time_or_by_content(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(b"x" * 5000)
    was = source_of(found(path))
    assert was.difference(found(path)) is None
    os.utime(path, (1, 1))
    assert was.difference(found(path)) is None
    path.write_bytes(b"x" * 4999 + b"y")
    assert was.difference(found(path)) == "the source's content has changed"
    path.write_bytes(b"x" * 5001)
    assert was.difference(found(path)) == "the source had 5000 bytes, now 5001"
