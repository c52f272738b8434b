"""Jobs through an executor: one that fails does not stop the others; a killed publication is known again."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.media import make_clip, numbers_of
from vsr.core.errors import (
    ChangedSinceStart,
    ChunkFailed,
    Interrupted,
    JobError,
    OutOfMemory,
    OutputError,
    OutputExists,
    VsrError,
)
from vsr.core.events import Event, Progress, Summary
from vsr.core.job import Job
from vsr.core.presets import resolve
from vsr.core.stop import Stop
from vsr.jobs.executors.base import Failed, Outcome, Task, Tick
from vsr.jobs.executors.here import Here
from vsr.jobs.plan import plan
from vsr.jobs.run import Ended, run, run_each
from vsr.jobs.work import Work, is_published, work_folder

SETTINGS = {"model": "nearest", "scale": 2.0, "codec": "ffv1", "chunk_frames": 10}


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return make_clip(tmp_path / "in.mkv", frames=30, audio=1)


def planned(clip: Path, name: str = "out.mkv", **settings: object) -> Job:
    return plan(clip, clip.with_name(name), resolve(SETTINGS | settings))


class Flawed(Here):
    """Fails the chunks that it is told to, after doing the others."""

    def __init__(self, *flaws: tuple[str, int]) -> None:
        super().__init__()
        self.flaws = set(flaws)
        self.did: list[tuple[str, int]] = []

    def run(self, tasks: Iterator[Task], tick: Tick) -> Iterator[Outcome]:
        for task in tasks:
            what = (task.job.destination.path.name, task.chunk.index)
            self.did.append(what)
            if what in self.flaws:
                yield Failed(task=task, error=ChunkFailed("planted"))
            else:
                yield from super().run(iter([task]), tick)


def test_chunks_are_joined_to_the_whole(clip):
    summary = run(planned(clip))
    assert (summary.frames_in, summary.frames_out, summary.resumed_frames) == (30, 30, 0)
    assert numbers_of(clip.with_name("out.mkv")) == list(range(30))
    assert sorted(path.name for path in clip.parent.iterdir()) == ["in.mkv", "out.mkv"]


def test_a_failed_chunk_keeps_the_others(clip):
    job = planned(clip)
    with pytest.raises(ChunkFailed, match="planted") as caught:
        run(job, executor=Flawed(("out.mkv", 1)))
    assert "1 of 3 chunks (10 of 30 frames) are kept: the same command goes on from there" in caught.value.__notes__
    again = Flawed()
    summary = run(planned(clip), executor=again)
    assert (summary.resumed_frames, again.did) == (10, [("out.mkv", 1), ("out.mkv", 2)])
    assert numbers_of(clip.with_name("out.mkv")) == list(range(30))
    assert not work_folder(job.destination).exists()


def test_resumed_and_whole_are_the_same_bytes(clip):
    run(planned(clip, "whole.mkv"))
    with pytest.raises(ChunkFailed):
        run(planned(clip), executor=Flawed(("out.mkv", 2)))
    run(planned(clip))
    assert clip.with_name("out.mkv").read_bytes() == clip.with_name("whole.mkv").read_bytes()


def test_a_failed_job_does_not_stop_the_others(clip):
    jobs = [planned(clip, name) for name in ("a.mkv", "b.mkv", "c.mkv")]
    hands = Flawed(("b.mkv", 0))
    ended: list[Ended] = list(run_each(iter(jobs), hands))
    assert [end.job.destination.path.name for end in ended] == ["a.mkv", "b.mkv", "c.mkv"]
    assert [type(end.error) for end in ended] == [type(None), ChunkFailed, type(None)]
    assert ("b.mkv", 1) not in hands.did  # no more of a job that cannot end well
    assert sorted(path.name for path in clip.parent.iterdir()) == ["a.mkv", "c.mkv", "in.mkv"]


def test_the_next_job_is_planned_when_it_is_its_turn(clip):
    order: list[str] = []

    def jobs() -> Iterator[Job]:
        for name in ("a.mkv", "b.mkv"):
            order.append(f"plan {name}")
            yield planned(clip, name)

    for ended in run_each(jobs(), Here()):
        order.append(f"done {ended.job.destination.path.name}")
    assert order == ["plan a.mkv", "done a.mkv", "plan b.mkv", "done b.mkv"]


def test_a_stop_ends_after_the_chunk_in_hand(clip):
    stop = Stop()
    job = planned(clip)

    def report(event: Event) -> None:
        if isinstance(event, Progress):
            stop.ask(143)

    with pytest.raises(Interrupted, match=r"1 of 3 chunks \(10 of 30 frames\)") as caught:
        run(job, report, stop=stop)
    assert caught.value.exit_code == 143
    assert run(planned(clip)).resumed_frames == 10


def test_a_stop_in_the_last_chunk_is_too_late(clip):
    stop = Stop()

    def report(event: Event) -> None:
        if isinstance(event, Progress) and event.done > 20:
            stop.ask()

    assert run(planned(clip), report, stop=stop).frames_out == 30


def test_ctrl_c_keeps_what_is_done_and_lets_go(clip):
    job = planned(clip)

    class Torn(Here):
        def run(self, tasks: Iterator[Task], tick: Tick) -> Iterator[Outcome]:
            yield from super().run(iter([next(tasks)]), tick)
            next(tasks)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(job, executor=Torn())
    with Work(job) as work:  # not locked any more
        assert sorted(work.results) == [0]


def test_a_kill_between_the_name_and_the_tidying_is_known_again(clip, monkeypatch):
    job = planned(clip)
    with monkeypatch.context() as patched:
        patched.setattr(Work, "discard", lambda work: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            run(job)
    assert is_published(job.destination)
    result = job.destination.path.read_bytes()
    hands = Flawed()
    summary = run(planned(clip), executor=hands)  # without --overwrite
    assert (summary.frames_out, hands.did) == (30, [])
    assert job.destination.path.read_bytes() == result
    assert not work_folder(job.destination).exists()
    with pytest.raises(OutputExists):
        planned(clip)


def test_another_file_of_that_name_is_not_taken_for_the_result(clip, monkeypatch):
    job = planned(clip)
    monkeypatch.setattr(Work, "discard", lambda work: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        run(job)
    job.destination.path.write_bytes(b"mine")
    assert not is_published(job.destination)
    with pytest.raises(OutputExists):
        planned(clip)


def test_frames_that_vanish_on_the_way_to_the_result_are_an_error(clip, monkeypatch):
    from vsr.io.muxing import mux

    join = mux.join

    def losing(segments, target, **given):
        joined = join(segments, target, **given)
        return type(joined)(frames=joined.frames - 1, packets=joined.packets, warnings=joined.warnings)

    monkeypatch.setattr("vsr.jobs.publish.mux.join", losing)
    with pytest.raises(JobError, match="30 frames went in, 29 would come out"):
        run(planned(clip))
    assert not clip.with_name("out.mkv").exists()


def test_a_job_that_cannot_begin_ends_with_its_error(clip):
    job = planned(clip)
    with Work(job):
        ended: list[Ended] = list(run_each(iter([planned(clip)]), Here()))
    assert isinstance(ended[0].error, VsrError)
    assert ended[0].error.exit_code == 7


@pytest.mark.parametrize("name", ["pictures", "shot_%04d.png"])
def test_pictures_resume_too(clip, name):
    with pytest.raises(ChunkFailed):
        run(planned(clip, name), executor=Flawed((clip.with_name(name).name, 2), (clip.parent.name, 2)))
    events: list[Event] = []
    run(planned(clip, name), events.append)
    (summary,) = [event for event in events if isinstance(event, Summary)]
    assert (summary.frames_out, summary.resumed_frames) == (30, 20)
    folder = clip.with_name(name) if name == "pictures" else clip.parent
    assert len(list(folder.glob("*.png"))) == 30
    assert [path.name for path in clip.parent.iterdir() if "vsr" in path.name] == []


def test_what_began_anew_goes_on_without_beginning_anew_once_more(clip):
    stop = Stop()

    def report(event: Event) -> None:
        if isinstance(event, Progress):
            stop.ask()

    with pytest.raises(Interrupted) as caught:
        run(planned(clip, restart=True), report, stop=stop)
    assert caught.value.hint == "Run the same command without --restart again to go on."
    assert not stop.is_heard  # whatever comes after the run is not done in chunks
    with pytest.raises(ChunkFailed) as failed:
        run(planned(clip, restart=True), executor=Flawed(("out.mkv", 1)))
    assert any("without --restart goes on" in note for note in failed.value.__notes__)


def test_a_reader_that_has_gone_is_no_fault_of_the_disk(clip):
    def report(event: Event) -> None:
        if isinstance(event, Summary):
            raise BrokenPipeError

    job = planned(clip)
    with pytest.raises(BrokenPipeError):
        run(job, report)
    assert numbers_of(job.destination.path) == list(range(30))


def test_a_forecast_without_memory_is_no_forecast(clip, monkeypatch):
    def greedy(*given: object, **named: object) -> float:
        raise OutOfMemory("two engines at once")

    monkeypatch.setattr("vsr.jobs.run.forecast_seconds", greedy)
    assert run(planned(clip)).frames_out == 30


def test_a_folder_of_no_pictures_is_no_result(clip, monkeypatch):
    """Where chunks hold fewer frames than planned the job goes on; where all hold none there is nothing to give."""

    def nothing(job: Job, *given: object) -> Iterator[object]:
        return iter(())

    monkeypatch.setattr("vsr.pipeline.chunk.chunk_windows", nothing)
    with pytest.raises(JobError, match=r"nothing of .*in\.mkv could be decoded"):
        run(planned(clip, "pictures"))
    assert not clip.with_name("pictures").exists()


def test_a_pipe_in_the_destinations_place_stays_one(clip):
    pipe = clip.with_name("out.mkv")
    os.mkfifo(pipe)
    with pytest.raises(OutputError, match="device or a pipe"):
        planned(clip, overwrite=True)
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def test_a_stop_before_the_beginning_is_an_interruption(clip):
    stop = Stop()
    stop.ask(143)
    with pytest.raises(Interrupted, match=r"out\.mkv is not begun") as caught:
        run(planned(clip), stop=stop)
    assert caught.value.exit_code == 143
    assert [path.name for path in clip.parent.iterdir()] == ["in.mkv"]


def test_a_source_that_changes_while_its_sound_is_copied_gives_no_result(clip, monkeypatch):
    from vsr.io.muxing import mux

    join = mux.join

    def changing(segments, target, **named):
        joined = join(segments, target, **named)
        if not target.name.startswith("rehearsal"):
            with clip.open("ab") as file:
                file.write(b"more")
        return joined

    job = planned(clip)
    monkeypatch.setattr("vsr.jobs.publish.mux.join", changing)
    with pytest.raises(ChangedSinceStart, match=r"in\.mkv has changed"):
        run(job)
    assert not job.destination.path.exists()


@pytest.mark.parametrize("name", ["pictures", "shot_%04d.png"])
def test_pictures_that_are_copied_are_on_the_disk_before_the_first_ones_go(clip, monkeypatch, name):
    """A file system without second names for a file: each is written twice, and both times brought to the disk."""

    def refuse(*_: object) -> None:
        raise OSError(errno.EPERM, "no links here")

    synced: set[int] = set()
    fsync = os.fsync

    def noting(file: int) -> None:
        fsync(file)
        synced.add(os.fstat(file).st_ino)

    monkeypatch.setattr(os, "link", refuse)
    monkeypatch.setattr(os, "fsync", noting)
    run(planned(clip, name))
    pictures = list(clip.parent.rglob("*.png"))
    assert len(pictures) == 30
    assert {path.stat().st_ino for path in pictures} <= synced


def test_a_log_that_cannot_be_written_stops_no_job(clip):
    """Its disk is full, or its terminal is gone; only a summary that nobody gets is worth an error."""
    told: list[Event] = []

    def report(event: Event) -> None:
        told.append(event)
        if not isinstance(event, Summary):
            raise OSError(errno.EIO, "the terminal is gone")

    assert run(planned(clip), report).frames_out == 30
    assert any(isinstance(event, Progress) for event in told)

    def full(event: Event) -> None:
        raise OSError(errno.ENOSPC, "the log's disk is full")

    with pytest.raises(OSError, match="the log's disk is full"):
        run(planned(clip, "other.mkv"), full)
    assert sorted(path.name for path in clip.parent.iterdir()) == ["in.mkv", "other.mkv", "out.mkv"]


def test_a_result_that_was_named_before_a_kill_is_still_verified(clip, monkeypatch):
    job = planned(clip)
    with monkeypatch.context() as patched:
        patched.setattr(Work, "discard", lambda work: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            run(job)
    assert "checks hold" in run(planned(clip, verify=True)).verified
