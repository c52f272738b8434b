"""`vsr prepare` through the real command line: what it prints, exit codes, and a kill in the middle."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.conftest import Ended
from tests.media import make_clip


def clips(folder: Path, count: int) -> Path:
    folder.mkdir()
    for k in range(count):
        make_clip(folder / f"clip{k}.mp4", frames=6)
    return folder


def tree(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_pairs_are_made_and_counted(vsr: Callable[..., Ended], tmp_path: Path) -> None:
    ended = vsr("prepare", clips(tmp_path / "in", 3), tmp_path / "out", "--size", "8,32", "--split", "train/val")
    assert ended.code == 0, ended.err
    assert "3 windows, 27 pictures: 2 in train, 1 in val" in ended.out


def test_a_bad_file_among_good_ones_is_exit_code_9(vsr: Callable[..., Ended], tmp_path: Path) -> None:
    source = clips(tmp_path / "in", 2)
    (source / "bad.mp4").write_bytes(b"no video at all")
    ended = vsr("prepare", source, tmp_path / "out", "--scale", "4", "--json")
    assert ended.code == 9
    done, error = ended.events[-2:]
    assert (done["event"], done["windows"], error["kind"]) == ("prepared", 2, "PartialFailure")
    assert "bad.mp4" in str(error["message"])


def test_a_degradation_file_is_read_and_its_mistakes_are_named(vsr: Callable[..., Ended], tmp_path: Path) -> None:
    source = clips(tmp_path / "in", 1)
    table = tmp_path / "camera.toml"
    table.write_text('kind = "realistic"\njpeg_share = 1\njpeg = [50, 60]\n')
    assert vsr("prepare", source, tmp_path / "out", "--scale", "2", "--degrade-file", table).code == 0
    assert '"jpeg": 5' in (tmp_path / "out" / "manifest.jsonl").read_text()
    table.write_text("jpg = 50\n")
    ended = vsr("prepare", source, tmp_path / "other", "--scale", "2", "--degrade-file", table)
    assert ended.code == 2 and "Did you mean jpeg?" in ended.err
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize(
    ("words", "code"), [(["--size", "16"], 2), (["--scale", "4", "--size", "8,32"], 2), ([], 2), (["--scale", "30"], 2)]
)
def test_a_wrong_command_line_is_exit_code_2(
    vsr: Callable[..., Ended], tmp_path: Path, words: list[str], code: int
) -> None:
    assert vsr("prepare", clips(tmp_path / "in", 1), tmp_path / "out", *words).code == code


def test_an_empty_folder_is_exit_code_3_and_leaves_nothing(vsr: Callable[..., Ended], tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    ended = vsr("prepare", tmp_path / "in", tmp_path / "out", "--scale", "4")
    assert ended.code == 3 and "no videos" in ended.err and not (tmp_path / "out").exists()


def test_killed_in_the_middle_and_run_again_gives_what_one_run_gives(vsr: Callable[..., Ended], tmp_path: Path) -> None:
    source, out = clips(tmp_path / "in", 24), tmp_path / "out"
    wish = ["--size", "8,32", "--windows", "2", "--degrade", "realistic", "-q"]
    assert vsr("prepare", source, tmp_path / "whole", *wish).code == 0
    command = [sys.executable, "-m", "vsr", "prepare", str(source), str(out), *wish, "--workers", "1"]
    running = subprocess.Popen(command, env={**os.environ, "OMP_NUM_THREADS": "1"})
    book, until = out / "manifest.jsonl", time.monotonic() + 60
    while (not book.exists() or book.read_bytes().count(b"\n") < 6) and time.monotonic() < until:
        time.sleep(0.005)
    running.send_signal(signal.SIGKILL)
    assert running.wait(30) == -signal.SIGKILL
    assert 6 <= book.read_bytes().count(b"\n") < 49, "killed in the middle"
    assert vsr("prepare", source, out, *wish).code == 0
    assert tree(out) == tree(tmp_path / "whole")
