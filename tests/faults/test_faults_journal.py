"""Segments and journals that are not what was written: what is wrong is made again, never believed."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.conftest import Scene, Tell


def flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 0x10
    path.write_bytes(bytes(data))


DAMAGE: dict[str, Callable[[Path], object]] = {
    "has one bit flipped": lambda folder: flip(folder / "000001.nut", (folder / "000001.nut").stat().st_size // 2),
    "is cut short": lambda folder: (folder / "000001.nut").write_bytes((folder / "000001.nut").read_bytes()[:-7]),
    "is empty": lambda folder: (folder / "000001.nut").write_bytes(b""),
    "is gone": lambda folder: (folder / "000001.nut").unlink(),
    "is replaced by another chunk's": lambda folder: shutil.copy2(folder / "000000.nut", folder / "000001.nut"),
    "is replaced by a folder": lambda folder: ((folder / "000001.nut").unlink(), (folder / "000001.nut").mkdir()),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_segment_that_is_not_what_was_written_is_made_again(damage: str, scene: Scene, tell: Tell) -> None:
    scene.partly()
    DAMAGE[damage](scene.work)
    ended = scene.run()
    scene.is_right(ended)
    assert "1 segments" in ended.err and "made again" in ended.err
    assert "going on: 2 of 6 chunks" in ended.err
    tell(
        f"a finished segment {damage}", lost=scene.lost(), message="1 segments are damaged or gone: they are made again"
    )


def cuts(journal: bytes, few: bool) -> list[int]:
    ends = [at + 1 for at, byte in enumerate(journal) if byte == ord("\n")]
    places = {at + by for at in [0, *ends] for by in (-1, 0, 1) if 0 <= at + by < len(journal)}
    places |= set(random.Random(1).sample(range(len(journal)), 4 if few else 60))
    return sorted(places)[:: 3 if few else 1]


@pytest.mark.parametrize("few", [pytest.param(True, id="some"), pytest.param(False, id="many", marks=pytest.mark.slow)])
def test_journal_cut_anywhere(few: bool, scene: Scene, tell: Tell) -> None:
    scene.partly()
    kept = scene.folder.with_name("kept")
    shutil.copytree(scene.work, kept)
    journal = (kept / "journal.jsonl").read_bytes()
    for at in cuts(journal, few):
        scene.fresh()
        shutil.copytree(kept, scene.work)
        (scene.work / "journal.jsonl").write_bytes(journal[:at])
        ended = scene.run()
        scene.is_right(ended)
        whole = max(0, journal[:at].count(b"\n") - 1)
        assert (f"going on: {whole} of 6 chunks" in ended.err) == (whole > 0), f"cut at {at}"
        tell("the journal is cut at any byte", lost=scene.lost(), message="")


@pytest.mark.parametrize("few", [pytest.param(3, id="some"), pytest.param(40, id="many", marks=pytest.mark.slow)])
def test_journal_with_a_flipped_bit(few: int, scene: Scene, tell: Tell) -> None:
    scene.partly()
    kept = scene.folder.with_name("kept")
    shutil.copytree(scene.work, kept)
    size = (kept / "journal.jsonl").stat().st_size
    for at in random.Random(2).sample(range(size), few):
        scene.fresh()
        shutil.copytree(kept, scene.work)
        flip(scene.work / "journal.jsonl", at)
        scene.is_right(scene.run())
        tell("a bit of the journal is flipped", lost=scene.lost(), message="")


def test_journal_that_is_empty(scene: Scene, tell: Tell) -> None:
    scene.partly()
    (scene.work / "journal.jsonl").write_bytes(b"")
    scene.is_right(scene.run())
    tell("the journal is empty", lost=scene.lost(), message="")


def test_journal_that_is_a_folder(scene: Scene, tell: Tell) -> None:
    scene.partly()
    (scene.work / "journal.jsonl").unlink()
    (scene.work / "journal.jsonl").mkdir()
    ended = scene.run()
    assert ended.code == 7, ended.err
    assert "--restart" in ended.err
    scene.is_right(scene.run(more=("--restart",)))
    tell("the journal is a folder", lost=scene.lost(), message=scene.said(ended))
