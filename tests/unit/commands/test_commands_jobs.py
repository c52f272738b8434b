"""`vsr jobs`: what was left is listed, shown and, if the user says so, removed; never what is in use."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.unit.jobs.test_jobs_status import chunk, make
from vsr.cli import main, vsr
from vsr.core.errors import InputMissing, OutputError, UsageError
from vsr.io.lock import locked
from vsr.jobs import status


def run(*words: str | Path, answer: str | None = None) -> Result:
    return CliRunner().invoke(vsr, ["jobs", *map(str, words)], input=answer)


def age(folder: Path, days: float) -> None:
    then = time.time() - days * 86_400
    for path in (*folder.iterdir(), folder):
        os.utime(path, (then, then))


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let stdin pass for a terminal, whatever the runner puts there."""
    from click.testing import _NamedTextIOWrapper

    monkeypatch.setattr(_NamedTextIOWrapper, "isatty", lambda self: True, raising=False)


def test_list_tells_how_far_each_came(tmp_path: Path) -> None:
    age(make(tmp_path / "films", "a.mp4", chunk(0, 30), chunk(1, 25)), 3)
    make(tmp_path, "b\n\x1b[31m.mp4")
    result = run("list", tmp_path)
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert len(lines) == 3
    assert lines[0].split("  ")[0] == "destination"
    assert "\x1b" not in result.stdout
    row = next(line for line in lines if "a.mp4" in line)
    assert str(tmp_path / "films" / "a.mp4") in row
    for cell in ("55/100 (55 %)", "2/4", "3 days ago"):
        assert cell in row


def test_list_looks_in_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert run("list").stdout == "no interrupted jobs\n"
    assert run("list", "--json").stdout == ""
    make(tmp_path / "deep", "a.mp4")
    assert "a.mp4" in run("list").stdout
    assert isinstance(run("list", "nowhere").exception, InputMissing)


def test_list_gives_json(tmp_path: Path) -> None:
    first, second = make(tmp_path, "a.mp4", chunk(0, 30)), make(tmp_path, "b.mp4")
    with locked(second / "lock"):
        told = [json.loads(line) for line in run("list", tmp_path, "--json").stdout.splitlines()]
    assert [job["folder"] for job in told] == [str(first), str(second)]
    assert told[0]["in_use_by"] is None
    assert told[1]["in_use_by"]["pid"] == os.getpid()
    assert {key: told[0][key] for key in ("frames", "frames_done", "chunks", "chunks_done", "source")} == {
        "frames": 100,
        "frames_done": 30,
        "chunks": 4,
        "chunks_done": 1,
        "source": "/films/a.mkv",
    }


def test_one_that_cannot_be_read_does_not_hide_the_others(tmp_path: Path) -> None:
    (tmp_path / ".a.vsr-work").mkdir()
    (tmp_path / ".a.vsr-work" / "lock").touch()
    (tmp_path / ".a.vsr-work" / "journal.jsonl").mkdir()
    make(tmp_path, "b.mp4")
    result = run("list", tmp_path)
    assert result.exit_code == 0
    assert "b.mp4" in result.stdout
    assert result.stderr.startswith("passed over: ")


def test_show_takes_a_destination_or_its_work_folder(tmp_path: Path) -> None:
    folder = make(tmp_path, "a.mp4", chunk(0, 30))
    by_name, by_folder = run("show", tmp_path / "a.mp4"), run("show", folder)
    assert by_name.stdout == by_folder.stdout
    for words in ("/films/a.mkv", "espcn-x2", "30/100 (30 %)", "nobody", "vsr upscale a.mkv", "2026-01-02T03:05:00"):
        assert words in by_name.stdout
    assert json.loads(run("show", folder, "--json").stdout)["chunks_done"] == 1
    missing = run("show", tmp_path / "c.mp4").exception
    assert isinstance(missing, InputMissing)
    assert "c.mp4" in missing.message


def test_clean_asks_and_takes_no_for_no(tmp_path: Path, terminal: None) -> None:
    folder = make(tmp_path, "a.mp4", chunk(0, 30), segments=2)
    refused = run("clean", tmp_path, answer="n\n")
    assert "Remove 1 job?" in refused.stdout
    assert folder.is_dir()
    agreed = run("clean", tmp_path, answer="y\n")
    assert agreed.exit_code == 0
    assert "1 job removed, 2." in agreed.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("flag", [[], ["--json"]])
def test_clean_removes_nothing_unasked(tmp_path: Path, flag: list[str]) -> None:
    folder = make(tmp_path, "a.mp4")
    error = run("clean", tmp_path, *flag).exception
    assert isinstance(error, UsageError)
    assert "--yes" in str(error.hint)
    assert folder.is_dir()


def test_clean_removes_what_is_old_and_idle(tmp_path: Path) -> None:
    old, busy, young = (make(tmp_path, name) for name in ("old.mp4", "busy.mp4", "young.mp4"))
    for folder in (old, busy):
        (folder / "lock").touch()
        age(folder, 31)
    age(young, 29)
    with locked(busy / "lock"):
        age(busy, 31)
        result = run("clean", tmp_path, "--older-than", "30", "--yes", "--json")
        assert [json.loads(line)["folder"] for line in result.stdout.splitlines()] == [str(old)]
        assert sorted(tmp_path.iterdir()) == sorted([busy, young])
        assert run("clean", tmp_path, "--older-than", "30", "--yes").stdout == "nothing to clean\n"
    assert run("clean", tmp_path, "--yes").stdout.startswith("2 jobs removed, ")
    assert list(tmp_path.iterdir()) == []


def test_clean_keeps_one_that_is_taken_up_while_it_asks(
    tmp_path: Path, terminal: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make(tmp_path, "a.mp4")
    real = status.clean

    def late(path: Path) -> None:
        with locked(path / "lock"):
            real(path)

    monkeypatch.setattr(status, "clean", late)
    result = run("clean", tmp_path, answer="y\n")
    assert result.exit_code == 0
    assert "0 jobs removed" in result.stdout
    assert result.stderr.startswith("kept: ")
    assert folder.is_dir()


def test_clean_goes_on_past_one_that_will_not_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = make(tmp_path, "a.mp4"), make(tmp_path, "b.mp4")
    real = status.clean

    def stubborn(path: Path) -> None:
        if path == first:
            raise OutputError(f"{path} cannot be removed")
        real(path)

    monkeypatch.setattr(status, "clean", stubborn)
    assert isinstance(run("clean", tmp_path, "--yes").exception, OutputError)
    assert (first.exists(), second.exists()) == (True, False)


def test_an_error_ends_with_its_exit_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make(tmp_path, "a.mp4")
    assert main(["jobs", "clean", str(tmp_path), "--older-than", "-1"]) == 2
    assert main(["jobs", "show", str(tmp_path / "b.mp4")]) == 3
    assert "b.mp4" in capsys.readouterr().err


def test_nothing_heavy_is_brought_in(tmp_path: Path) -> None:
    import subprocess

    script = (
        "import sys; from vsr.cli import main; main(['jobs', 'list', sys.argv[1]]);"
        "print([name for name in ('torch', 'av', 'cv2', 'numpy') if name in sys.modules])"
    )
    ended = subprocess.run([sys.executable, "-c", script, tmp_path], capture_output=True, text=True, check=True)
    assert ended.stdout == "no interrupted jobs\n[]\n"
