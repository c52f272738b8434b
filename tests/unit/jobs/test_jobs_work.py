"""A job on disk: what is done is done, what is not whole is made again, and nobody works on another's job."""

from __future__ import annotations

import dataclasses
import os
import shutil
import stat
from functools import partial
from pathlib import Path

import pytest

from tests.media import make_clip
from vsr.core.errors import ChangedSinceStart, ChunkFailed, JobLocked, MuxError, OutputError, OutputExists
from vsr.core.events import Event, Noted, Warned
from vsr.core.job import ChunkResult, Destination, Job
from vsr.core.presets import resolve
from vsr.jobs.executors.base import Finished
from vsr.jobs.executors.here import Here
from vsr.jobs.journal import JOURNAL, replay
from vsr.jobs.plan import plan
from vsr.jobs.records import Chosen, chunk_record, chunk_result
from vsr.jobs.work import Work, begun, is_published, work_folder

SETTINGS = {"model": "nearest", "scale": 2.0, "codec": "ffv1", "chunk_frames": 10}


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return make_clip(tmp_path / "in.mkv", frames=30)


def planned(clip: Path, **settings: object) -> Job:
    return plan(clip, clip.with_name("out.mkv"), resolve(SETTINGS | settings))


def done(work: Work, *indexes: int) -> list[ChunkResult]:
    tasks = [task for task in work.pending() if task.chunk.index in indexes]
    outcomes = list(Here().run(iter(tasks), lambda working: None))
    results = [outcome.result for outcome in outcomes if isinstance(outcome, Finished)]
    for result in results:
        work.record(result)
    return results


def waiting(work: Work) -> list[int]:
    return [task.chunk.index for task in work.pending()]


def test_a_finished_chunk_is_not_done_again(clip):
    with Work(planned(clip)) as work:
        assert waiting(work) == [0, 1, 2]
        (first,) = done(work, 1)
    with Work(planned(clip)) as work:
        assert (waiting(work), work.resumed_frames) == ([0, 2], 10)
        assert work.results == {1: first}


def test_the_folder_is_for_its_owner_alone(clip):
    with Work(planned(clip)) as work:
        assert stat.S_IMODE(work.folder.stat().st_mode) == 0o700
        assert stat.S_IMODE((work.folder / JOURNAL).stat().st_mode) == 0o600


def test_a_folder_without_a_finished_chunk_goes(clip):
    with Work(planned(clip)) as work:
        assert work.folder.is_dir()
    assert not work.folder.exists()


@pytest.mark.parametrize("harm", ["flip", "cut", "gone", "other", "empty"])
def test_a_segment_that_is_not_whole_is_made_again(clip, harm):
    with Work(planned(clip)) as work:
        done(work, 0, 1)
    path = work.folder / "000001.nut"
    data = bytearray(path.read_bytes())
    match harm:
        case "flip":
            data[len(data) // 2] ^= 1
            path.write_bytes(data)
        case "cut":
            path.write_bytes(data[:-1])
        case "gone":
            path.unlink()
        case "other":
            shutil.copyfile(work.folder / "000000.nut", path)
        case "empty":
            path.write_bytes(b"")
    events: list[Event] = []
    with Work(planned(clip), events.append) as work:
        assert waiting(work) == [1, 2]
    assert any(isinstance(event, Warned) and "made again" in event.message for event in events)


def test_what_nobody_finished_is_swept_away(clip):
    with Work(planned(clip)) as work:
        done(work, 0)
        (work.folder / "000002.nut").write_bytes(b"half")
        (work.parts / "x.mkv").write_bytes(b"half")
    with Work(planned(clip)) as work:
        assert sorted(path.name for path in work.folder.iterdir()) == ["000000.nut", "journal.jsonl", "lock"]


def test_a_segment_that_changed_on_its_way_is_no_result(clip):
    with Work(planned(clip)) as work:
        task = work.pending()[0]
        (outcome,) = Here().run(iter([task]), lambda working: None)
        assert isinstance(outcome, Finished)
        task.path.write_bytes(task.path.read_bytes()[:-1])
        with pytest.raises(ChunkFailed, match=r"000000\.nut"):
            work.record(outcome.result)
        assert waiting(work) == [0, 1, 2]


@pytest.mark.parametrize(
    ("setting", "value", "said"), [("model", "bicubic", "model: bicubic, was nearest"), ("seed", 3, "seed: 3, was 0")]
)
def test_another_setting_is_refused_by_name(clip, setting, value, said):
    with Work(planned(clip)) as work:
        done(work, 0)
    with pytest.raises(ChangedSinceStart, match=said) as caught, Work(planned(clip, **{setting: value})):
        pass
    assert caught.value.hint is not None and "--restart" in caught.value.hint
    with Work(planned(clip)) as work:  # and nothing of it is lost
        assert waiting(work) == [1, 2]


def test_restart_begins_anew(clip):
    with Work(planned(clip)) as work:
        done(work, 0)
    with Work(planned(clip, seed=3, restart=True)) as work:
        assert waiting(work) == [0, 1, 2]
    assert not work.folder.exists()


def test_another_source_is_refused_by_name(clip):
    with Work(planned(clip)) as work:
        done(work, 0)
    make_clip(clip, frames=30, cuts=[3])
    with pytest.raises(ChangedSinceStart, match="the source's content changed"), Work(planned(clip)):
        pass


def test_two_do_not_have_one_job(clip):
    with Work(planned(clip)), pytest.raises(JobLocked, match=str(os.getpid())), Work(planned(clip)):
        pass


def test_what_the_machine_chose_is_kept(clip, monkeypatch):
    with Work(planned(clip)) as work:
        done(work, 0)
        threads = work.job.output.threads
    monkeypatch.setattr("vsr.jobs.plan.device.cores", lambda: threads + 3)  # another machine
    again = planned(clip)
    assert (again.output.threads, again.fingerprint) == (threads, work.job.fingerprint)
    with Work(again) as work:
        assert waiting(work) == [1, 2]


def test_another_kind_of_device_goes_on_and_says_so(clip, monkeypatch):
    with Work(planned(clip)) as work:
        done(work, 0)
    monkeypatch.setattr("vsr.jobs.work.device_kind", lambda job: "cuda")
    monkeypatch.setattr("vsr.jobs.plan.chosen_before", lambda record, on=None: Chosen())
    planned_there = partial(planned, batch=3, tile=32)  # as a GPU might choose
    events: list[Event] = []
    with Work(planned_there(clip), events.append) as work:
        assert waiting(work) == [1, 2]
    assert any(isinstance(event, Warned) and "begun on cpu, going on on cuda" in event.message for event in events)
    assert any(isinstance(event, Noted) and "1 of 3 chunks (10 of 30 frames)" in event.message for event in events)


def test_a_source_that_changes_on_the_way_is_seen(clip):
    with Work(planned(clip)) as work:
        done(work, 0, 1, 2)
        os.utime(clip, (1, 1))
        work.check_source()  # only touched
        with clip.open("ab") as file:
            file.write(b"more")
        with pytest.raises(ChangedSinceStart, match=r"in\.mkv has changed"):
            work.check_source()


def test_work_folders_of_two_names_differ_and_fit(tmp_path):
    plain = Destination(path=tmp_path / "a.mkv", kind="video", container="matroska")
    long = Destination(path=tmp_path / ("é" * 125 + ".mkv"), kind="video", container="matroska")
    one, two = (
        Destination(path=tmp_path, kind="sequence", container="png", pattern=pattern, is_shared=True)
        for pattern in ("a%06d.png", "b%06d.png")
    )
    names = [work_folder(where).name for where in (plain, long, one, two)]
    assert names[0] == ".a.mkv.vsr-work"
    assert len(set(names)) == 4
    assert all(len(os.fsencode(name)) <= 255 and name.endswith(".vsr-work") for name in names)


def test_nothing_is_begun_where_nothing_is(tmp_path):
    where = Destination(path=tmp_path / "a.mkv", kind="video", container="matroska")
    assert begun(where) is None
    assert not is_published(where)


def test_a_link_in_the_folders_place_is_refused_and_what_it_leads_to_stays(clip):
    job, precious = planned(clip), clip.with_name("precious")
    precious.mkdir()
    (precious / "a.txt").write_text("mine")
    work_folder(job.destination).symlink_to(precious)
    with pytest.raises(OutputError, match="is a link"), Work(job):
        pass
    assert [path.name for path in precious.iterdir()] == ["a.txt"]


def test_a_result_that_appears_after_the_plan_is_seen_before_the_work(clip):
    job = planned(clip)
    job.destination.path.write_bytes(b"another's")
    with pytest.raises(OutputExists, match=r"out\.mkv exists"), Work(job):
        pass
    assert not work_folder(job.destination).exists()
    with Work(planned(clip, overwrite=True)) as work:
        assert waiting(work) == [0, 1, 2]


def test_a_run_on_other_libraries_goes_on_and_says_so(clip, monkeypatch):
    with Work(planned(clip)) as work:
        done(work, 0)
    monkeypatch.setattr("vsr.jobs.work.versions_here", lambda: dict(before, torch="1.0"))
    before = replay(work.folder / JOURNAL)[0]["libraries"]
    events: list[Event] = []
    with Work(planned(clip), events.append) as work:
        assert waiting(work) == [1, 2]
    assert any(isinstance(event, Warned) and "torch: 1.0, was" in event.message for event in events)


def test_segments_of_two_encoders_are_told_apart_at_once(clip):
    """Not when all are done, and have to be joined."""
    with Work(planned(clip, codec="h264", encoder_preset="medium")) as work:
        done(work, 0)
        task = work.pending()[0]
        other = dataclasses.replace(planned(clip, codec="h264", encoder_preset="ultrafast", restart=True))
        (outcome,) = Here().run(iter([dataclasses.replace(task, job=other)]), lambda working: None)
        assert isinstance(outcome, Finished)
        with pytest.raises(MuxError, match=r"000001\.nut has another header"):
            work.record(outcome.result)
        assert waiting(work) == [1, 2]


def test_a_large_source_that_was_touched_is_the_same(clip, monkeypatch):
    """It is looked at again with the limit of its job, not with the usual one."""
    limits: list[int] = []
    with Work(planned(clip, max_pixels=1 << 30)) as work:
        from vsr.io.probe import probe

        def noted(path: Path, *, max_pixels: int = 0) -> object:
            limits.append(max_pixels)
            return probe(path, max_pixels=max_pixels)

        monkeypatch.setattr("vsr.jobs.work.probe", noted)
        os.utime(clip, (1, 1))
        work.check_source()
    assert limits == [1 << 30]


def test_a_folder_of_the_same_names_and_sizes_is_not_taken_for_the_result(clip, monkeypatch):
    """Pictures that are stored plainly are all of one size, whatever they show."""
    job = plan(clip, clip.with_name("pictures"), resolve(SETTINGS))
    with Work(job) as work:
        made = work.parts / "made"
        made.mkdir()
        (made / "000001.png").write_bytes(b"new")
        work.record_joined(made)
        done(work, 0)
        earlier = job.destination.path
        earlier.mkdir()
        (earlier / "000001.png").write_bytes(b"old")
        os.utime(earlier / "000001.png", (1, 1))
        assert not is_published(job.destination)
        shutil.rmtree(earlier)
        made.rename(earlier)
        assert is_published(job.destination)


@pytest.mark.parametrize("index", [-1, 3, "x", None])
def test_a_record_of_no_chunk_of_the_job_says_nothing(clip, index):
    with Work(planned(clip)) as work:
        (result,) = done(work, 2)
        record = dict(chunk_record(result))
        assert chunk_result(record, work.folder, work.job) == result
        assert chunk_result(record | {"index": index}, work.folder, work.job) is None


def test_what_goes_on_is_not_what_begins_anew(clip):
    with Work(planned(clip, restart=True), command="vsr upscale in.mkv --restart -o 'out --restart.mkv'") as work:
        assert work.way_on == "the same command without --restart"
        begin = replay(work.folder / JOURNAL)[0]
    assert begin["command"] == "vsr upscale in.mkv -o 'out --restart.mkv'"
    with Work(planned(clip)) as work:
        assert work.way_on == "the same command"


def test_a_journal_that_is_damaged_at_its_beginning_is_told_of(clip):
    with Work(planned(clip)) as work:
        done(work, 0)
    journal = work.folder / JOURNAL
    journal.write_bytes(b"x" + journal.read_bytes()[1:])  # no hexadecimal digit: never the right one
    events: list[Event] = []
    with Work(planned(clip), events.append) as work:
        assert waiting(work) == [0, 1, 2]
    assert any(isinstance(event, Warned) and "the beginning of" in event.message for event in events)
