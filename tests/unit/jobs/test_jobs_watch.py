from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from vsr.core.errors import ChunkFailed
from vsr.core.events import Progress, StageLoad
from vsr.core.job import Chunk, ChunkResult, Job
from vsr.core.media import Span
from vsr.jobs.executors.base import Failed, Finished, Task, Working
from vsr.jobs.watch import Watch

CLOCK = [0.0]


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    CLOCK[0] = 100.0
    monkeypatch.setattr("vsr.jobs.watch.time.monotonic", lambda: CLOCK[0])
    return CLOCK


def task(index: int = 0, frames: int = 10) -> Task:
    span = Span(start=index * frames, stop=(index + 1) * frames)
    return Task(
        job=cast(Job, SimpleNamespace()),
        chunk=Chunk(index=index, span=span, frames=frames, decode=span),
        path=Path("out"),
    )


def working(of: Task, done: int, worker: str = "cpu", busy_s: float | None = None) -> Working:
    load = StageLoad(name="infer", workers=1, items=done, busy_s=busy_s or 0.0, cpu_s=0.0, wall_s=1.0)
    return Working(worker=worker, task=of, done=done, stages=() if busy_s is None else (load,))


def finished(of: Task, worker: str = "cpu") -> Finished:
    frames = of.chunk.frames
    result = ChunkResult(
        index=of.chunk.index,
        path=of.path,
        frames=frames,
        pts=tuple(range(frames)),
        durations=(1,) * frames,
        digest="",
        wall_s=1.0,
        cpu_s=1.0,
    )
    return Finished(task=of, result=result, worker=worker)


def watched(total: int, done: int = 0) -> tuple[Watch, list[Progress]]:
    seen: list[Progress] = []
    return Watch(total=total, report=lambda event: seen.append(cast(Progress, event)), done=done), seen


def test_rate_and_time_left_follow_a_constant_speed(clock):
    """Peers E4: at a constant speed the ETA is right to 10 % once 5 % are done."""
    watch, seen = watched(1000)
    whole = task(frames=1000)
    for done in range(5, 1001, 5):
        clock[0] += 0.5  # ten frames a second
        watch.tick(working(whole, done))
    assert len(seen) == 200
    for progress in seen:
        if progress.done >= 50:
            left = (1000 - progress.done) / 10
            assert abs(progress.fps - 10) < 0.5
            assert progress.eta_s is not None
            assert abs(progress.eta_s - left) <= max(0.1 * left, 0.01)


def test_frames_of_finished_chunks_stay_counted(clock):
    watch, seen = watched(20)
    first, second = task(0), task(1)
    clock[0] += 1.0
    watch.tick(working(first, 10))
    watch.finished(finished(first))
    clock[0] += 1.0
    watch.tick(working(second, 4))
    assert [progress.done for progress in seen] == [10, 14]
    assert seen[-1].eta_s is not None


def test_what_a_chunk_made_after_its_last_tick_is_told_when_it_is_finished(clock):
    watch, seen = watched(10)
    only = task()
    clock[0] += 1.0
    watch.tick(working(only, 4))
    clock[0] += 1.0
    watch.finished(finished(only))
    assert [progress.done for progress in seen] == [4, 10]
    assert seen[-1].fps == pytest.approx(6)


def test_resumed_frames_count_as_done_and_not_in_the_rate(clock):
    """Peers E4: resumed work is left out of the rate."""
    watch, seen = watched(1000, done=800)
    whole = task(frames=200)
    for done in range(2, 21, 2):
        clock[0] += 1.0
        watch.tick(working(whole, done))
    assert (seen[0].done, seen[-1].done) == (802, 820)
    assert seen[-1].fps == pytest.approx(2)
    assert seen[-1].eta_s == pytest.approx((1000 - 820) / 2)
    assert [load.done for load in seen[-1].workers] == [20]


def test_several_workers_add_up_and_each_is_told(clock):
    watch, seen = watched(400)
    slow, fast = task(0, 100), task(1, 300)
    for second in range(1, 11):
        clock[0] += 1.0
        watch.tick(working(slow, second, "cpu #1", busy_s=0.5))
        watch.tick(working(fast, 3 * second, "cpu #2", busy_s=1.0))
    last = seen[-1]
    assert last.done == 40
    assert last.fps == pytest.approx(4)
    assert last.eta_s == pytest.approx(360 / 4)
    assert [(load.worker, load.done) for load in last.workers] == [("cpu #1", 10), ("cpu #2", 30)]
    assert [load.fps for load in last.workers] == pytest.approx([1, 3])
    assert last.stages[0].busy == pytest.approx(0.75)


def test_a_chunk_begun_anew_counts_once_and_its_worker_is_not_slowed(clock):
    """A worker died at 6 frames; another does the chunk again."""
    watch, seen = watched(20)
    again = task()
    clock[0] += 1.0
    watch.tick(working(again, 6, "cpu #1"))
    clock[0] += 1.0
    watch.tick(working(again, 2, "cpu #2"))
    clock[0] += 1.0
    watch.finished(finished(again, "cpu #2"))
    assert [progress.done for progress in seen] == [6, 2, 10]
    assert {load.worker: load.done for load in seen[-1].workers} == {"cpu #1": 6, "cpu #2": 10}
    assert seen[-1].fps == pytest.approx(8)


def test_a_failed_chunk_is_not_done(clock):
    watch, seen = watched(20)
    bad, good = task(0), task(1)
    clock[0] += 1.0
    watch.tick(working(bad, 7))
    watch.finished(Failed(task=bad, error=ChunkFailed("planted")))
    clock[0] += 1.0
    watch.tick(working(good, 1))
    assert [progress.done for progress in seen] == [7, 1]


def test_slow_frames_still_give_a_rate_and_a_stall_shows(clock):
    """One frame in 40 s is slower than the window is long."""
    watch, seen = watched(100)
    whole = task(frames=100)
    for tick in range(1, 4 * 40 * 10 + 1):  # four ticks a second
        clock[0] += 0.25
        watch.tick(working(whole, tick // 160))
    assert seen[-1].done == 10
    assert seen[-1].fps == pytest.approx(1 / 40, rel=0.05)
    clock[0] += 400.0
    watch.tick(working(whole, 10))
    assert seen[-1].fps < 1 / 100


def test_starting_up_is_not_held_against_the_rate(clock):
    """A minute for the model, then a second worker that joins late."""
    watch, seen = watched(1000)
    first, second = task(0, 500), task(1, 500)
    clock[0] += 60.0
    for done in range(0, 51, 5):
        watch.tick(working(first, done, "a"))
        clock[0] += 0.5
    for done in range(0, 51, 5):
        watch.tick(working(second, done, "b"))
        watch.tick(working(first, 55 + done, "a"))
        clock[0] += 0.5
    assert [progress.fps for progress in seen[5:]] == pytest.approx([10] * 6 + [10] * 2 + [20] * 20, rel=0.1)
    assert seen[-1].eta_s == pytest.approx((1000 - 155) / 20, rel=0.05)


def test_a_worker_that_is_gone_is_told_no_more_and_slows_no_rate_for_long(clock):
    watch, seen = watched(10_000)
    gone, stays = task(0, 5000), task(1, 5000)
    for done in range(101):
        watch.tick(working(gone, done, "a", busy_s=0.1))
        watch.tick(working(stays, done, "b", busy_s=0.9))
        clock[0] += 1.0
    assert seen[-1].fps == pytest.approx(2, rel=0.05)
    assert seen[-1].stages[0].busy == pytest.approx(0.5)
    for done in range(101, 142):
        watch.tick(working(stays, done, "b", busy_s=0.9))
        clock[0] += 1.0
    assert seen[-1].fps == pytest.approx(1, rel=0.1)
    assert [load.worker for load in seen[-1].workers] == ["b"]
    assert seen[-1].stages[0].busy == pytest.approx(0.9)


def test_the_rate_follows_the_last_seconds(clock):
    watch, seen = watched(10_000)
    whole = task(frames=10_000)
    done = 0
    for _ in range(50):
        clock[0] += 1.0
        watch.tick(working(whole, done := done + 100))
    for _ in range(25):
        clock[0] += 1.0
        watch.tick(working(whole, done := done + 10))
    assert seen[49].fps == pytest.approx(100)
    assert seen[-1].fps == pytest.approx(10)
