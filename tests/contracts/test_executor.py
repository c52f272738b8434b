"""What every executor promises: each task once, the same bytes each time, failures named, nothing left running.

An executor is one line in EXECUTORS; it lives for the whole file, as it does for a folder of jobs.
"""

from __future__ import annotations

import dataclasses
import multiprocessing
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import cast

import pytest

from tests.media import make_clip, numbers_of, truncate
from vsr.core.errors import ChunkFailed, InputError, VsrError
from vsr.core.job import Job
from vsr.core.presets import resolve
from vsr.jobs.executors.base import Executor, Failed, Finished, Outcome, Task, Working
from vsr.jobs.executors.here import Here
from vsr.jobs.executors.processes import Processes
from vsr.jobs.executors.ray_cluster import RayCluster
from vsr.jobs.plan import plan
from vsr.pipeline.chunk import segment_name

EXECUTORS: dict[str, Callable[[], Executor]] = {
    "here": Here,
    "processes": lambda: Processes(["cpu", "cpu"]),
    "ray": RayCluster,
}
SLOW = {"ray"}  # `make cluster`: to start a cluster takes longer than the tests do
FRAMES = 14


@pytest.fixture(
    scope="module", params=[pytest.param(name, marks=[pytest.mark.slow] * (name in SLOW)) for name in sorted(EXECUTORS)]
)
def executor(request: pytest.FixtureRequest) -> Iterator[Executor]:
    made = EXECUTORS[request.param]()
    yield made
    made.close()
    assert multiprocessing.active_children() == []


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("executor")


@pytest.fixture(scope="module")
def job(folder: Path) -> Job:
    return planned(make_clip(folder / "in.mkv", frames=FRAMES), model="bicubic")


@pytest.fixture(scope="module")
def digests(job: Job, folder: Path) -> dict[int, str]:
    """Give what one process makes of each chunk."""
    work = folder / "alone"
    work.mkdir()
    with closing(Here()) as alone:
        return digests_of(list(alone.run(iter(tasks_of(job, work)), ignore)))


@pytest.fixture
def work(tmp_path: Path) -> Path:
    work = tmp_path / "work"
    work.mkdir()
    return work


def planned(clip: Path, model: str, *, scale: float = 2.0, chunk_frames: int = 4) -> Job:
    settings = resolve({"model": model, "scale": scale, "chunk_frames": chunk_frames})
    return plan(clip, clip.with_name(f"{clip.stem}-{model}.mkv"), settings)


def tasks_of(job: Job, work: Path) -> list[Task]:
    return [Task(job=job, chunk=chunk, path=work / segment_name(job, chunk)) for chunk in job.chunks]


def digests_of(outcomes: Sequence[Outcome]) -> dict[int, str]:
    assert all(isinstance(outcome, Finished) for outcome in outcomes), outcomes
    return {outcome.task.chunk.index: cast(Finished, outcome).result.digest for outcome in outcomes}


def ignore(working: Working) -> None:
    pass


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("vsr-")]


def test_every_chunk_gets_done_once_with_its_frames(executor, job, work):
    outcomes = list(executor.run(iter(tasks_of(job, work)), ignore))
    assert len(job.chunks) == 4
    assert sorted(outcome.task.chunk.index for outcome in outcomes) == [0, 1, 2, 3]
    finished = sorted((outcome.result for outcome in outcomes), key=lambda result: result.index)
    assert [number for result in finished for number in numbers_of(result.path)] == list(range(FRAMES))
    for outcome in outcomes:
        assert outcome.result.path == outcome.task.path
        assert outcome.result.index == outcome.task.chunk.index
        assert outcome.result.frames == outcome.task.chunk.frames


def test_the_bytes_are_those_of_one_process(executor, job, work, digests):
    assert digests_of(list(executor.run(iter(tasks_of(job, work)), ignore))) == digests


def test_noise_is_the_same_whoever_makes_it(executor, folder, work, tmp_path):
    """SR3 with its noise: a function of seed and frame, never of call order."""
    clip = make_clip(tmp_path / "in.mkv", width=24, height=16, frames=4, gop=2)
    noisy = planned(clip, model="sr3", scale=4.0, chunk_frames=2)
    with closing(Here()) as alone:
        expected = digests_of(list(alone.run(iter(tasks_of(noisy, tmp_path)), ignore)))
    assert len(expected) == 2
    assert digests_of(list(executor.run(iter(tasks_of(noisy, work)), ignore))) == expected


def test_tasks_are_pulled_when_a_worker_is_free(executor, job, work):
    taken = 0

    def tasks() -> Iterator[Task]:
        nonlocal taken
        for task in tasks_of(job, work):
            taken += 1
            yield task

    outcomes = executor.run(tasks(), ignore)
    assert taken == 0
    for done, _ in enumerate(outcomes, start=1):
        assert taken <= done + executor.workers
    assert taken == len(job.chunks)


def test_when_the_tasks_end_what_is_in_hand_is_finished(executor, job, work):
    """How a job is stopped."""
    outcomes = list(executor.run(iter(tasks_of(job, work)[:3]), ignore))
    assert sorted(outcome.task.chunk.index for outcome in outcomes) == [0, 1, 2]
    assert len(list(work.iterdir())) == 3
    assert list(executor.run(iter(()), ignore)) == []


def test_ticks_rise_to_the_chunks_frames_in_the_callers_thread(executor, job, work):
    heard: dict[int, list[Working]] = {}

    def tick(working: Working) -> None:
        assert threading.current_thread() is threading.main_thread()
        heard.setdefault(working.task.chunk.index, []).append(working)

    tasks = tasks_of(job, work)
    outcomes = list(executor.run(iter(tasks), tick))
    assert sorted(heard) == [0, 1, 2, 3]
    for outcome in outcomes:
        told = heard[outcome.task.chunk.index]
        done = [working.done for working in told]
        assert done == sorted(done)
        assert 0 <= done[0] <= done[-1] <= outcome.task.chunk.frames
        assert {working.worker for working in told} == {outcome.worker}
        assert all(working.task is outcome.task for working in told)
        assert {outcome.task} <= set(tasks)
    assert len({outcome.worker for outcome in outcomes}) <= executor.workers


def test_several_jobs_share_one_run(executor, job, work, tmp_path, digests):
    """Two models and two sources in turns: each gets its own engine, and neither the other's frames."""
    other = planned(make_clip(tmp_path / "other.mkv", frames=6, cuts=(0,)), model="nearest")
    (work / "a").mkdir()
    (work / "b").mkdir()
    mine, others = tasks_of(job, work / "a"), tasks_of(other, work / "b")
    turns = [task for pair in zip(mine, others, strict=False) for task in pair] + mine[len(others) :]
    outcomes = list(executor.run(iter(turns), ignore))
    assert digests_of([outcome for outcome in outcomes if outcome.task.job is job]) == digests
    (tmp_path / "alone").mkdir()
    with closing(Here()) as alone:
        expected = digests_of(list(alone.run(iter(tasks_of(other, tmp_path / "alone")), ignore)))
    assert digests_of([outcome for outcome in outcomes if outcome.task.job is other]) == expected


def test_a_failure_is_named_leaves_nothing_and_the_others_go_on(executor, job, work, tmp_path, digests):
    bad = planned(make_clip(tmp_path / "bad.mkv", frames=8), model="bicubic")
    (work / "bad").mkdir()
    tasks = [*tasks_of(bad, work / "bad"), *tasks_of(job, work)]
    (tmp_path / "bad.mkv").unlink()
    outcomes = list(executor.run(iter(tasks), ignore))
    failed = [outcome for outcome in outcomes if isinstance(outcome, Failed)]
    assert [outcome.task.job for outcome in failed] == [bad, bad]
    for outcome in failed:
        assert isinstance(outcome.error, InputError)
        assert "bad.mkv" in outcome.error.message
    assert list((work / "bad").iterdir()) == []
    assert digests_of([outcome for outcome in outcomes if isinstance(outcome, Finished)]) == digests
    assert threads() == []


def test_an_input_that_was_cut_short_meanwhile_is_never_done_by_half(executor, work, tmp_path):
    clip = make_clip(tmp_path / "cut.mkv", frames=24, gop=6)
    cut = planned(clip, model="bicubic", chunk_frames=6)
    truncate(clip, tmp_path / "half", keep=0.4)
    (tmp_path / "half").replace(clip)
    for outcome in executor.run(iter(tasks_of(cut, work)), ignore):
        if isinstance(outcome, Failed):
            assert isinstance(outcome.error, VsrError)
            assert not outcome.task.path.exists()
        else:
            missing = outcome.task.chunk.frames - outcome.result.frames
            assert missing == 0 or any("could not be decoded" in said for said in outcome.result.warnings)
            assert outcome.result.frames == 0 or len(numbers_of(outcome.task.path)) == outcome.result.frames


def test_an_unforeseen_error_is_an_outcome_with_its_traceback(executor, job, work, digests):
    broken = dataclasses.replace(job, compute=dataclasses.replace(job.compute, batch=cast(int, "many")))
    first, *others = tasks_of(job, work)
    bad = dataclasses.replace(first, job=broken)
    outcomes = {outcome.task: outcome for outcome in executor.run(iter([bad, *others]), ignore)}
    failed = outcomes.pop(bad)
    assert isinstance(failed, Failed)
    assert isinstance(failed.error, ChunkFailed)
    assert f"frames 0 to 2 of {job.source.path}: ValueError" in failed.error.message
    assert any("Traceback" in note and "islice" in note for note in failed.error.__notes__)
    assert {index: digests[index] for index in (1, 2, 3)} == digests_of(list(outcomes.values()))
    assert not bad.path.exists()


def test_closing_in_the_middle_leaves_nothing_running(executor, job, work, digests):
    outcomes = executor.run(iter(tasks_of(job, work)), ignore)
    first = next(outcomes)
    outcomes.close()
    assert threads() == []
    assert {path.name for path in work.iterdir()} <= {first.task.path.name}
    executor.close()
    assert multiprocessing.active_children() == []
    again = list(executor.run(iter(tasks_of(job, work)), ignore))  # and it can go on
    assert digests_of(again) == digests


def test_an_error_of_the_callers_own_passes_through(executor, job, work):
    def tick(working: Working) -> None:
        raise RuntimeError("the screen is gone")

    with pytest.raises(RuntimeError, match="the screen is gone"):
        list(executor.run(iter(tasks_of(job, work)), tick))
    assert threads() == []
    assert list(work.iterdir()) == []
