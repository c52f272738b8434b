"""Killed at random moments, and asked to stop: at most the chunk in hand is lost, and the same command goes on."""

from __future__ import annotations

import random
import signal
import time

import pytest

from tests.faults.conftest import CHUNK, MakeScene, Scene, Tell
from tests.faults.forks import Run

SLOW = ("slow_engine", {"seconds": 0.03})


def wait_for(scene: Scene, chunks: int) -> None:
    until = time.monotonic() + 30
    while scene.done() < chunks:
        assert time.monotonic() < until, "no chunk gets done"
        time.sleep(0.01)


def begun(scene: Scene) -> list[int]:
    """Give the indices of the chunks that were begun, in order, over all runs."""
    return [int(line) for line in (scene.folder / "begun").read_text().split()]


@pytest.mark.parametrize(
    ("kills", "frames"),
    [pytest.param(5, 160, id="5 times"), pytest.param(20, 480, id="20 times", marks=pytest.mark.slow)],
)
def test_kill_at_random_moments_in_a_row(kills: int, frames: int, make_scene: MakeScene, tell: Tell) -> None:
    scene = make_scene(frames=frames)
    scene.extra.add("begun")
    log = ("attempts", {"log": str(scene.folder / "begun")})
    random_ = random.Random(frames)
    kept: list[int] = []
    for kill in range(kills):
        run = scene.start(SLOW, log)
        time.sleep(random_.uniform(0.05, 0.45))
        run.send(signal.SIGKILL)
        ended = scene.end(run)
        assert ended.code == -9, f"kill {kill} came too late"
        now = [int(str(record["index"])) for record in scene.records() if record["kind"] == "chunk"]
        assert now[: len(kept)] == kept
        kept = now
    ended = scene.run(log)
    scene.is_right(ended)
    # The chunk that was in hand is all that was done again, once a kill.
    assert len(begun(scene)) <= frames // CHUNK + kills
    assert ended.err.count("going on:") == (1 if kept else 0)
    tell("the process is killed (kill -9) at a random moment, many times in a row in one job", times=kills,
         lost=scene.lost(), message="")  # fmt: skip


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_first_signal_finishes_the_chunk_in_hand(number: int, code: int, scene: Scene, tell: Tell) -> None:
    scene.extra.add("begun")
    log = ("attempts", {"log": str(scene.folder / "begun")})
    run = scene.start(("slow_engine", {"seconds": 0.1}), log)
    wait_for(scene, 1)
    time.sleep(0.1)
    run.send(number)
    ended = scene.end(run)
    assert ended.code == code
    assert "Run the same command again" in ended.err
    assert scene.done() == len(begun(scene)) < 6
    assert ended.left == []
    scene.is_right(scene.run())
    tell(f"the first {signal.Signals(number).name}", lost=scene.lost(), message=scene.said(ended))


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_second_signal_stops_now(number: int, code: int, scene: Scene, tell: Tell) -> None:
    run: Run = scene.start(("slow_engine", {"seconds": 0.5}))
    wait_for(scene, 1)
    time.sleep(0.1)
    done = scene.done()
    run.send(number)
    time.sleep(0.1)
    began = time.monotonic()
    run.send(number)
    ended = scene.end(run)
    assert ended.code == code
    assert time.monotonic() - began < 2  # the picture in hand
    assert scene.done() == done, "the chunk in hand was given up"
    assert ended.left == []
    assert "Traceback" not in ended.err
    scene.is_right(scene.run())
    tell(f"a second {signal.Signals(number).name}", lost=scene.lost(), message=scene.said(ended))
