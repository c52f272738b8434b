"""What every executor promises: every chunk once, the same bytes each time, failures named, nothing left running."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.media import make_clip, numbers_of
from vsr.core.errors import ModelError
from vsr.core.events import Event, Progress
from vsr.core.job import Job
from vsr.core.presets import resolve
from vsr.jobs.executors.base import Executor
from vsr.jobs.executors.here import Here
from vsr.jobs.plan import plan

EXECUTORS: dict[str, Callable[[], Executor]] = {"here": Here}


@pytest.fixture(params=sorted(EXECUTORS))
def executor(request: pytest.FixtureRequest):
    made = EXECUTORS[request.param]()
    yield made
    made.close()


@pytest.fixture
def job(tmp_path: Path) -> Job:
    clip = make_clip(tmp_path / "in.mkv", frames=14, audio=1)
    return plan(clip, tmp_path / "out.mkv", resolve({"model": "bicubic", "scale": 2.0}))


def test_every_chunk_gets_done_with_its_frames(executor, job, tmp_path):
    work = tmp_path / "work"
    work.mkdir()
    results = list(executor.run(job, job.chunks, work, lambda event: None))
    assert sorted(result.index for result in results) == [chunk.index for chunk in job.chunks]
    assert sum(result.frames for result in results) == 14
    seen = [number for result in sorted(results, key=lambda r: r.index) for number in numbers_of(result.path)]
    assert seen == list(range(14))


def test_same_plan_gives_the_same_bytes(executor, job, tmp_path):
    digests = []
    for name in ("a", "b"):
        work = tmp_path / name
        work.mkdir()
        digests.append([result.digest for result in executor.run(job, job.chunks, work, lambda event: None)])
    assert digests[0] == digests[1]


def test_progress_rises_to_the_end(executor, job, tmp_path):
    events: list[Event] = []
    list(executor.run(job, job.chunks, tmp_path, events.append))
    done = [event.done for event in events if isinstance(event, Progress)]
    assert done == sorted(done)
    assert done[-1] == 14


def test_failure_is_named_and_leaves_nothing(executor, job, tmp_path, monkeypatch):
    from vsr.engines.net import NetEngine

    def fail(self, batch):
        raise ModelError("planted")

    monkeypatch.setattr(NetEngine, "restore", fail)
    work = tmp_path / "work"
    work.mkdir()
    with pytest.raises(ModelError, match="planted"):
        list(executor.run(job, job.chunks, work, lambda event: None))
    assert list(work.iterdir()) == []
    assert [t for t in threading.enumerate() if t.name.startswith("vsr-")] == []
