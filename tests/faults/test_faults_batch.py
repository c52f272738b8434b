"""A folder of files, killed, interrupted, and lied to by the disk: the same command goes on with what is not done."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.faults.conftest import CHUNK, WORDS, MakeScene, Scene, Tell
from tests.faults.forks import Ended, Plant

NAMES = ("one.mkv", "sub/it's two.mkv", "sub/three %d.mkv")


@dataclass(kw_only=True)
class FolderScene:
    """Three copies of one source in a folder; each result must be that source's."""

    one: Scene
    source: Path
    made: Path

    @property
    def command(self) -> tuple[object, ...]:
        return ("batch", self.source, self.made, *WORDS)

    def run(self, *plants: Plant) -> Ended:
        return self.one.forks.run(self.command, *plants)

    def fresh(self) -> None:
        shutil.rmtree(self.made, ignore_errors=True)

    def lost(self) -> int:
        """Give the frames of results that are missing or not what they must be."""
        wanted = self.one.wanted.read_bytes()
        there = [self.made / name for name in NAMES]
        return 24 * sum(not path.exists() or path.read_bytes() != wanted for path in there)

    def is_right(self, ended: Ended) -> None:
        assert ended.code == 0, ended.err
        assert self.lost() == 0
        names = {str(path.relative_to(self.made)) for path in self.made.rglob("*") if path.is_file()}
        assert names - {"results.jsonl"} == set(NAMES), "leftovers"
        assert ended.left == []


@pytest.fixture
def folder(make_scene: MakeScene) -> FolderScene:
    one = make_scene()
    source = one.folder / "source"
    for name in NAMES:
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(one.clip, source / name)
    return FolderScene(one=one, source=source, made=one.folder / "made")


@pytest.mark.parametrize(
    "kills", [pytest.param(3, id="3 times"), pytest.param(12, id="12 times", marks=pytest.mark.slow)]
)
def test_folder_run_is_killed_at_random_moments(kills: int, folder: FolderScene, tell: Tell) -> None:
    random_ = random.Random(kills)
    log = folder.one.folder / "begun"
    for _ in range(kills):
        plants = (("slow_engine", {"seconds": 0.02}), ("attempts", {"log": str(log)}))
        run = folder.one.forks.start(folder.command, *plants)
        time.sleep(random_.uniform(0.1, 2.4 / kills))
        run.send(signal.SIGKILL)
        assert folder.one.forks.end(run).code in (-9, 0)
    folder.is_right(folder.run(("attempts", {"log": str(log)})))
    begun = len(log.read_text().split())
    assert begun <= len(NAMES) * 24 // CHUNK + kills, "what was done is done again"
    tell("a folder run is killed (kill -9) at random moments", times=kills, lost=folder.lost(), message="")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_folder_run_is_asked_to_stop(number: int, folder: FolderScene, tell: Tell) -> None:
    run = folder.one.forks.start(folder.command, ("slow_engine", {"seconds": 0.05}))
    until = time.monotonic() + 30
    while not list(folder.made.rglob("000001.nut")):
        assert time.monotonic() < until
        time.sleep(0.01)
    run.send(number)
    ended = folder.one.forks.end(run)
    assert ended.code == 128 + number, ended.err
    assert ended.left == []
    folder.is_right(folder.run())
    tell(f"the first {signal.Signals(number).name} during a folder run", lost=folder.lost(), message=ended.message)


@pytest.mark.parametrize(
    "step", [pytest.param(97, id="some"), pytest.param(3, id="every third", marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("how", ["EIO", "die"])
def test_nth_call_of_a_folder_run(how: str, step: int, folder: FolderScene, tell: Tell) -> None:
    plant = {"how": how, "folder": str(folder.made)}
    total = sum(folder.run(("calls", plant)).calls.values())
    assert total > 100
    for at in range(1 + 41 * (how == "die") % step, total + 1, step):
        folder.fresh()
        ended = folder.run(("calls", {**plant, "at": at}))
        assert ended.code == -9 if how == "die" else ended.code in (0, 6, 7, 9), (at, ended.err)
        assert ended.left == [], at
        again = folder.run()
        if again.code:  # killed at the last steps of tidying up: see the page's end
            assert "exists" in again.err + again.out, (at, again.err)
            again = folder.run()
        assert folder.lost() == 0, (at, ended.err, again.err)
        kind = "is the last before the process is killed" if how == "die" else "fails once"
        tell(f"the N-th call {kind}, during a folder run", lost=folder.lost(), message=ended.message)


@pytest.mark.parametrize(
    "count", [pytest.param(120, id="some"), pytest.param(10_000, id="many", marks=pytest.mark.slow)]
)
def test_thousands_of_small_files(count: int, make_scene: MakeScene, tell: Tell) -> None:
    """Killed on the way and given again: each file once, and the third time nothing is to do."""
    one = make_scene()
    source, made = one.folder / "pictures", one.folder / "larger"
    small = np.zeros((4, 4), np.uint8)  # grey: its left half and its right half tell which it is
    for number in range(count):
        (source / f"{number % 100}").mkdir(parents=True, exist_ok=True)
        small[:, :2], small[:, 2:] = number % 251, number // 251
        cv2.imwrite(str(source / f"{number % 100}" / f"{number}.png"), small)
    command = ("batch", source, made, "-m", "nearest", "-s", 2, "-q")
    run = one.forks.start(command)
    while sum(name.endswith(".png") for _, _, names in os.walk(made) for name in names) < count // 3:
        time.sleep(0.05)
    run.send(signal.SIGKILL)
    assert one.forks.end(run).code == -9
    ended = one.forks.end(one.forks.start(command), longest_s=1200)
    assert (ended.code, ended.left) == (0, []), ended.err
    lost = 0
    for number in range(count):
        result = cv2.imread(str(made / f"{number % 100}" / f"{number}.png"), cv2.IMREAD_UNCHANGED)
        lost += result is None or (result.shape, result[0, 0], result[0, 7]) != ((8, 8), number % 251, number // 251)
    results = (made / "results.jsonl").read_text().splitlines()
    written = Counter(line["destination"] for line in map(json.loads, results) if line["status"] == "done")
    assert len(written) in (count - 1, count)  # killed between a result and its line, it is known by its content
    assert max(written.values()) == 1, "a file was made twice"
    assert [path for path in made.rglob(".*") if path.is_file()] == []
    lines = len(results)
    assert one.forks.run(command).code == 0
    assert len((made / "results.jsonl").read_text().splitlines()) <= lines + 1
    tell(f"a folder run of {count} files is killed (kill -9)", lost=lost, message="")
