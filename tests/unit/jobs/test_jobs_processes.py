"""Worker processes that die, are slow, or log; most of them only act, so that it happens on cue (tests/workers.py)."""

from __future__ import annotations

import logging
import multiprocessing
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.workers import FRAMES, Part, act, never_ready, play
from vsr.core.errors import ChunkFailed, JobError, ModelError
from vsr.jobs.executors.base import LIVES, Failed, Finished, Outcome, Task, Working
from vsr.jobs.executors.processes import Processes


@pytest.fixture(autouse=True)
def acted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vsr.jobs.executors.processes.serve", act)


@pytest.fixture
def work(tmp_path: Path) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    return folder


@pytest.fixture
def pair() -> Iterator[Processes]:
    made = Processes(["cpu", "cpu"])
    yield made
    made.close()
    assert multiprocessing.active_children() == []


def ignore(working: Working) -> None:
    pass


def by_index(outcomes: list[Outcome]) -> dict[int, Outcome]:
    found = {outcome.task.chunk.index: outcome for outcome in outcomes}
    assert len(found) == len(outcomes)
    return found


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and waits for its parent does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_workers_are_named_by_device_and_numbered_where_there_are_several():
    assert [seat.name for seat in Processes(["cuda:0", "cuda:1"])._seats] == ["cuda:0", "cuda:1"]
    seats = Processes(["cpu", "cpu", "cpu"])._seats
    assert [seat.name for seat in seats] == ["cpu #1", "cpu #2", "cpu #3"]
    assert [seat.share for seat in seats] == [3, 3, 3]
    with pytest.raises(ValueError, match="no devices"):
        Processes([])


@pytest.mark.parametrize(("how", "words"), [("kill", "SIGKILL"), ("crash", "SIGSEGV"), ("leave", "exit code 3")])
def test_a_dead_workers_chunk_goes_back_to_the_queue(pair, work, caplog, how, words):
    """Peers B7: retried, and the others never notice."""
    job = play(6, {1: Part(last=how, times=LIVES - 1)})
    outcomes = by_index(list(pair.run(iter(job.tasks(work)), ignore)))
    assert all(isinstance(outcome, Finished) for outcome in outcomes.values())
    assert (work / "000001").read_text() == f"whole, at the {LIVES}. try"
    deaths = [record.message for record in caplog.records if "ended" in record.message]
    assert len(deaths) == LIVES - 1
    assert all(words in death and "frames 10 to 19 of film.mkv" in death for death in deaths)


def test_a_chunk_that_kills_every_worker_fails_naming_frames_and_signal(pair, work):
    job = play(5, {2: Part(last="kill")})
    outcomes = by_index(list(pair.run(iter(job.tasks(work)), ignore)))
    bad = outcomes.pop(2)
    assert isinstance(bad, Failed)
    assert (type(bad.error), bad.lost) == (ChunkFailed, LIVES)
    assert "frames 20 to 29 of film.mkv" in bad.error.message
    assert "SIGKILL" in bad.error.message
    assert "--tile" in (bad.error.hint or "")
    assert len(outcomes) == 4
    assert all(isinstance(outcome, Finished) for outcome in outcomes.values())
    assert sorted(file.name for file in work.iterdir()) == ["000000", "000001", "000003", "000004"]


def test_an_error_of_ours_comes_across_whole(pair, work):
    outcomes = by_index(list(pair.run(iter(play(3, {1: Part(last="error")}).tasks(work)), ignore)))
    bad = outcomes[1]
    assert isinstance(bad, Failed)
    assert (type(bad.error), bad.error.message, bad.error.hint, bad.lost) == (ModelError, "planted", "none", 0)
    assert bad.error.__notes__ == ["in the infer lane, item 3"]


def test_an_error_after_a_death_tells_how_many_died(work):
    executor = Processes(["cpu"])
    (bad,) = executor.run(iter(play(1, {0: Part(last="kill", times=1, then="error")}).tasks(work)), ignore)
    assert isinstance(bad, Failed)
    assert (type(bad.error), bad.lost) == (ModelError, 1)
    executor.close()


def test_a_worker_that_was_killed_without_work_is_replaced(pair, work):
    list(pair.run(iter(play(2, usual=Part(sleep_s=0.1)).tasks(work)), ignore))
    for child in multiprocessing.active_children():
        os.kill(child.pid, signal.SIGKILL)
        child.join()
    outcomes = list(pair.run(iter(play(3).tasks(work)), ignore))
    assert len(outcomes) == 3
    assert all(isinstance(outcome, Finished) for outcome in outcomes)


def test_workers_that_never_begin_are_not_started_for_ever(work, monkeypatch):
    monkeypatch.setattr("vsr.jobs.executors.processes.serve", never_ready)
    executor = Processes(["cpu"])
    with pytest.raises(JobError, match=r"end before they begin.*exit code 5"):
        list(executor.run(iter(play(2).tasks(work)), ignore))
    assert multiprocessing.active_children() == []


def test_the_job_is_sent_once_a_worker(pair, work):
    """It holds the packet index, and may be megabytes: here more than any pipe holds."""
    first, second = play(8, usual=Part(sleep_s=0.02), weight=bytes(4 << 20)), play(4)
    tasks = [*first.tasks(work), *second.tasks(work)]
    results = [o.result for o in pair.run(iter(tasks), ignore) if isinstance(o, Finished)]
    assert len(results) == 12
    by_worker = Counter(result.digest for result in results if result.warnings)
    assert len({result.digest for result in results}) == 2
    assert all(count <= 2 for count in by_worker.values())  # once for each job


def test_unequal_devices_reach_nine_tenths_of_their_summed_speed(pair, work):
    """Peers C5. Counted in chunks and nominal times, so that a busy machine does not matter."""
    list(pair.run(iter(play(2, usual=Part(sleep_s=0.1)).tasks(work)), ignore))  # both are up
    count, slow_s, speed = 40, 0.12, 3.0
    job = play(count, usual=Part(sleep_s=slow_s), speeds={"cpu #2": speed})
    outcomes = list(pair.run(iter(job.tasks(work)), ignore))
    took = Counter(outcome.worker for outcome in outcomes if isinstance(outcome, Finished))
    wall_s = max(took["cpu #1"] * slow_s, took["cpu #2"] * slow_s / speed)
    best_s = count * slow_s / (1 + speed)
    assert best_s / wall_s >= 0.9, took
    assert sorted(outcome.task.chunk.index for outcome in outcomes) == list(range(count))


def test_a_slow_consumer_does_not_idle_the_workers(work):
    """The next chunk is handed out before the caller sees the last one."""
    executor = Processes(["cpu"])
    list(executor.run(iter(play(1).tasks(work)), ignore))
    handed: list[int] = []

    def tasks() -> Iterator[Task]:
        for task in play(4).tasks(work):
            handed.append(task.chunk.index)
            yield task

    seen = [(outcome.task.chunk.index, len(handed)) for outcome in executor.run(tasks(), ignore)]
    assert seen == [(0, 2), (1, 3), (2, 4), (3, 4)]
    executor.close()


def test_a_plan_that_fails_does_not_lose_the_chunk_that_was_done(work):
    executor = Processes(["cpu"])

    def tasks() -> Iterator[Task]:
        yield play(1).tasks(work)[0]
        raise ModelError("the next file")

    outcomes = executor.run(tasks(), ignore)
    assert isinstance(next(outcomes), Finished)
    with pytest.raises(ModelError, match="the next file"):
        next(outcomes)
    executor.close()


def test_what_workers_tell_and_log_arrives_with_their_names(pair, work, caplog):
    heard: list[Working] = []
    job = play(3, {1: Part(log="the weights are old", ticks=4)})
    list(pair.run(iter(job.tasks(work)), heard.append))
    assert {working.worker for working in heard} <= {"cpu #1", "cpu #2"}
    told = [working.done for working in heard if working.task.chunk.index == 1]
    assert told == [k * FRAMES // 5 for k in range(1, 5)]
    (record,) = [record for record in caplog.records if "weights" in record.message]
    assert (record.name, record.levelno) == ("vsr.engines.weights", logging.WARNING)
    assert re.fullmatch(r"cpu #[12]: the weights are old", record.message)


@pytest.mark.parametrize("how", ["close", "tick", "consumer", "interrupt"])
def test_whoever_stops_in_the_middle_leaves_no_process_and_no_file(work, how, monkeypatch):
    executor = Processes(["cpu", "cpu"])
    job = play(6, {0: Part(), 1: Part(sleep_s=60.0)}, usual=Part(sleep_s=60.0))

    def tick(working: Working) -> None:
        if how == "tick" and working.task.chunk.index == 1:
            raise RuntimeError("planted")
        if how == "interrupt" and working.task.chunk.index == 1:
            os.kill(os.getpid(), signal.SIGINT)

    outcomes = executor.run(iter(job.tasks(work)), tick)
    began = time.monotonic()
    with suppress(RuntimeError, KeyboardInterrupt):
        for outcome in outcomes:
            assert outcome.task.chunk.index == 0
            if how == "close":
                outcomes.close()
            elif how == "consumer":
                raise RuntimeError("planted")
    del outcomes
    assert time.monotonic() - began < 5
    if how == "consumer":
        executor.close()  # an exception keeps the frame, and the iterator in it
    assert multiprocessing.active_children() == []
    assert {file.name for file in work.iterdir()} <= {"000000"}
    executor.close()


def test_whoever_forgets_to_close_leaves_no_process(work):
    executor = Processes(["cpu"])
    list(executor.run(iter(play(1).tasks(work)), ignore))
    (pid,) = (child.pid for child in multiprocessing.active_children())
    assert pid is not None
    assert is_alive(pid)
    del executor
    assert not is_alive(pid)


SCRIPT = """
import sys
from pathlib import Path
from tests.media import make_clip
from vsr.core.presets import resolve
from vsr.jobs.executors.base import Task
from vsr.jobs.executors.processes import Processes
from vsr.jobs.plan import plan

if __name__ == "__main__":
    folder = Path(sys.argv[1])
    clip = make_clip(folder / "in.mp4", width=160, height=120, frames=100)
    settings = {"model": "lanczos", "scale": 8.0, "codec": "ffv1", "chunk_frames": 100}
    job = plan(clip, folder / "out.mkv", resolve(settings))
    executor = Processes(["cpu"])
    tasks = (Task(job=job, chunk=chunk, path=folder / f"{chunk.index}.nut") for chunk in job.chunks)
    for outcome in executor.run(tasks, lambda working: print(executor._seats[0].process.pid, flush=True)):
        print(type(outcome).__name__, flush=True)
"""


def test_a_real_worker_hears_no_signals_and_dies_with_its_parent_in_mid_chunk(tmp_path):
    """Ctrl-C and service managers send to everybody: the worker works on while its parent makes up its mind."""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    words = [sys.executable, str(script), str(tmp_path)]
    surroundings = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, text=True, start_new_session=True, env=surroundings
    ) as process:
        assert process.stdout is not None
        worker = int(process.stdout.readline())
        try:
            os.kill(worker, signal.SIGINT)
            os.kill(worker, signal.SIGTERM)
            assert [int(process.stdout.readline()) for _ in range(3)] == [worker] * 3  # it still ticks
            process.kill()
            process.wait()
            end = time.monotonic() + 5
            while is_alive(worker) and time.monotonic() < end:
                time.sleep(0.02)
            assert not is_alive(worker)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
