"""Worker processes that die, and parents that die over them."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from tests.faults.conftest import MakeScene, Scene, Tell
from tests.faults.test_faults_kill import wait_for

WORKERS = ("--device", "cpu,cpu")


def workers_of(pid: int) -> list[int]:
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            if int(stat.read_text().rpartition(")")[2].split()[1]) == pid:
                words = (stat.parent / "cmdline").read_bytes()
                found += [int(stat.parent.name)] if b"spawn_main" in words else []
        except OSError:
            continue
    return found


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_worker_is_killed(make_scene: MakeScene, tell: Tell) -> None:
    """Its chunk goes back to the queue, and the bytes are those of one process."""
    scene = make_scene(frames=480)
    run = scene.start(more=WORKERS)
    wait_for(scene, 1)
    victim = workers_of(run.pid)[0]
    os.kill(victim, signal.SIGKILL)
    ended = scene.end(run)
    scene.is_right(ended)
    tell("a worker process is killed (kill -9)", lost=scene.lost(), message="")


def test_everybody_is_killed(make_scene: MakeScene, tell: Tell) -> None:
    scene: Scene = make_scene(frames=480)
    run = scene.start(more=WORKERS)
    wait_for(scene, 1)
    workers = workers_of(run.pid)
    assert len(workers) == 2
    run.send(signal.SIGKILL)
    assert scene.end(run).code == -9
    until = time.monotonic() + 5
    while any(is_alive(worker) for worker in workers):
        assert time.monotonic() < until, "a worker outlives its parent"
        time.sleep(0.02)
    ended = scene.run()
    scene.is_right(ended)
    assert "going on:" in ended.err
    tell("the process that leads several workers is killed (kill -9)", lost=scene.lost(), message="")
