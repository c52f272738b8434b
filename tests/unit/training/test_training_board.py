from __future__ import annotations

import json
from pathlib import Path

import pytest

from vsr.core.errors import OutputError
from vsr.training.board import Board


def lines(folder: Path) -> list[dict[str, float | None]]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def test_a_resumed_log_keeps_what_the_checkpoint_s_update_told(tmp_path: Path) -> None:
    with Board(tmp_path, after=-1) as board:
        for update in (0, 10, 20):
            board.scalars(update, {"train/loss": 0.5})
    with (tmp_path / "log.jsonl").open("a") as log:
        log.write('{"update": 5, "torn')
    with Board(tmp_path, after=10) as board:
        board.scalars(30, {"train/loss": 0.25})
    assert [line["update"] for line in lines(tmp_path)] == [0, 10, 30]


def test_a_new_log_forgets_all(tmp_path: Path) -> None:
    for value in (0.5, 0.25):
        with Board(tmp_path, after=-1) as board:
            board.scalars(0, {"train/loss": value})
    assert lines(tmp_path) == [{"update": 0, "train/loss": 0.25}]


def test_what_is_not_finite_is_null(tmp_path: Path) -> None:
    with Board(tmp_path, after=-1) as board:
        board.scalars(1, {"held out/psnr_y": float("inf")})
    assert lines(tmp_path) == [{"update": 1, "held out/psnr_y": None}]


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "board").write_text("in the way")
    with pytest.raises(OutputError, match="board"):
        Board(tmp_path, after=-1)
