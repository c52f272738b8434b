"""A job on disk: what is done is done, what is not whole is made again, and nobody works on another's job."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path

import pytest

from tests.media import make_clip
from vsr.core.errors import ChangedSinceStart, ChunkFailed, JobLocked
from vsr.core.events import Event, Noted, Warned
from vsr.core.job import ChunkResult, Destination, Job
from vsr.core.presets import resolve
from vsr.jobs.executors.base import Finished
from vsr.jobs.executors.here import Here
from vsr.jobs.journal import JOURNAL
from vsr.jobs.plan import plan
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
    events: list[Event] = []
    with Work(planned(clip), events.append) as work:
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
