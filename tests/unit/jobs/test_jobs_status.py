"""What is told of a work folder is what its journal says; looking touches nothing."""

from __future__ import annotations

import os
import time
from contextlib import closing
from pathlib import Path

import pytest

from vsr.core.errors import InputMissing, JobError, JobLocked
from vsr.io.lock import locked
from vsr.jobs.journal import Journal, Record
from vsr.jobs.status import JobStatus, clean, find, is_work_folder, of_destination, read

BEGUN: Record = {
    "kind": "begun",
    "facts": {"scale": "2"},
    "device": "cpu",
    "source": "/films/a.mkv",
    "frames": 100,
    "chunks": 4,
    "model": "espcn-x2",
    "command": "vsr upscale a.mkv",
    "at": "2026-01-02T03:04:05+0000",
}


def chunk(index: int, frames: int, at: str = "2026-01-02T03:05:00+0000") -> Record:
    return {"kind": "chunk", "index": index, "frames": frames, "at": at}


def make(folder: Path, destination: str, *records: Record, segments: int = 0) -> Path:
    """Make a work folder beside `folder / destination`."""
    work_folder = folder / f".{destination}.vsr-work"
    work_folder.mkdir(parents=True)
    with closing(Journal(work_folder / "journal.jsonl")) as file:
        file.append({**BEGUN, "destination": str(folder / destination)})
        for record in records:
            file.append(record)
    for number in range(segments):
        (work_folder / f"{number:06}.nut").write_bytes(bytes(1000))
    return work_folder


def test_it_tells_what_the_journal_says(tmp_path: Path) -> None:
    folder = make(tmp_path, "a.mp4", chunk(2, 25), chunk(0, 30, at="2026-01-02T03:06:00+0000"), segments=2)
    before = {path: path.stat().st_mtime_ns for path in (folder, *folder.iterdir())}
    size = sum(path.stat().st_size for path in folder.iterdir())
    status = read(folder)
    assert 0 <= status.idle_s < 60
    assert status == JobStatus(
        folder=folder,
        source=Path("/films/a.mkv"),
        destination=tmp_path / "a.mp4",
        model="espcn-x2",
        device="cpu",
        command="vsr upscale a.mkv",
        frames=100,
        frames_done=55,
        chunks=4,
        chunks_done=2,
        began="2026-01-02T03:04:05+0000",
        last="2026-01-02T03:06:00+0000",
        idle_s=status.idle_s,
        size_bytes=size,
    )
    assert {path: path.stat().st_mtime_ns for path in (folder, *folder.iterdir())} == before


def test_a_chunk_that_was_done_twice_counts_once(tmp_path: Path) -> None:
    status = read(make(tmp_path, "a.mp4", chunk(0, 30), chunk(1, 25), chunk(0, 30)))
    assert (status.frames_done, status.chunks_done) == (55, 2)


def test_it_says_who_is_at_work(tmp_path: Path) -> None:
    folder = make(tmp_path, "a.mp4")
    with locked(folder / "lock"):
        status = read(folder)
        assert status.in_use_by is not None
        assert status.in_use_by.pid == os.getpid()
        with pytest.raises(JobLocked, match=str(os.getpid())):
            clean(folder)
    assert read(folder).in_use_by is None


@pytest.mark.parametrize("content", [b"", b"rubbish\n", b"\0" * 99])
def test_a_journal_that_says_nothing_is_a_job_without_facts(tmp_path: Path, content: bytes) -> None:
    folder = tmp_path / ".a.mp4.vsr-work"
    folder.mkdir()
    (folder / "journal.jsonl").write_bytes(content)
    status = read(folder)
    assert (status.source, status.destination, status.frames, status.chunks_done) == (None, None, 0, 0)
    assert list(find([tmp_path])) == [folder]


def test_records_of_another_shape_are_told_as_nothing(tmp_path: Path) -> None:
    folder = tmp_path / ".a.mp4.vsr-work"
    folder.mkdir()
    with closing(Journal(folder / "journal.jsonl")) as file:
        file.append({"kind": "begun", "source": 3, "frames": "many", "chunks": None, "destination": ["x"]})
        file.append({"kind": "chunk", "index": "first", "frames": [1]})
    status = read(folder)
    assert (status.source, status.destination, status.frames, status.frames_done) == (None, None, 0, 0)


def test_a_journal_that_cannot_be_read_says_so(tmp_path: Path) -> None:
    (tmp_path / ".a.vsr-work" / "journal.jsonl").mkdir(parents=True)
    with pytest.raises(JobError, match="cannot be read"):
        read(tmp_path / ".a.vsr-work")


def test_the_age_is_that_of_the_newest_file(tmp_path: Path) -> None:
    folder = make(tmp_path, "a.mp4", segments=2)
    now = time.time()
    for number, path in enumerate((folder, *sorted(folder.iterdir()))):
        os.utime(path, (now, now - 1000 - 100 * number))
    os.utime(folder, (now, now - 5000))
    assert read(folder).idle_s == pytest.approx(1100, abs=5)
    os.utime(folder, (now, now + 9999))  # a clock that was set back
    assert read(folder).idle_s == 0


def test_work_folders_are_found_wherever_they_are_and_once(tmp_path: Path) -> None:
    first = make(tmp_path / "films", "b.mp4")
    second = make(tmp_path / "films" / "deep" / "er", "a%d\n'\".mkv")
    within = make(first, "inner.mp4")  # nobody's: a work folder is not searched
    (tmp_path / ".empty.vsr-work").mkdir()
    (tmp_path / "films" / "loop").symlink_to(tmp_path)
    (tmp_path / "films" / ".linked.vsr-work").symlink_to(second)
    (tmp_path / "films" / "dangling").symlink_to("nowhere")
    assert list(find([tmp_path])) == [first, second]
    assert list(find([tmp_path / "films", tmp_path, first])) == [first, second]
    assert is_work_folder(within)
    assert not is_work_folder(tmp_path / "films" / ".linked.vsr-work")


def test_a_folder_that_is_closed_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine, theirs = make(tmp_path / "mine", "a.mp4"), make(tmp_path / "theirs", "b.mp4")
    real_file, real_scan = Path.is_file, os.scandir

    def is_file(self: Path) -> bool:
        if self.parent == theirs:
            raise PermissionError(13, "Permission denied")
        return real_file(self)

    def scan(path: str | Path) -> object:
        if Path(path) == theirs:
            raise PermissionError(13, "Permission denied")
        return real_scan(path)

    monkeypatch.setattr(Path, "is_file", is_file)
    monkeypatch.setattr(os, "scandir", scan)
    assert list(find([tmp_path])) == [mine]


def test_what_is_no_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputMissing, match="nowhere is no folder"):
        list(find([tmp_path / "nowhere"]))


def test_a_job_is_found_by_its_destination(tmp_path: Path) -> None:
    folder = make(tmp_path, "a.mp4")
    other = make(tmp_path, "0123456789abcdef")  # a name that was cut: only its journal knows
    with closing(Journal(other / "journal.jsonl")) as file:
        file.append(chunk(0, 1))
    make(tmp_path, "b.mp4")
    (tmp_path / "link.mp4").symlink_to("a.mp4")
    (tmp_path / "loop.mp4").symlink_to("loop.mp4")
    assert of_destination(tmp_path / "a.mp4") == (folder,)
    assert of_destination(tmp_path / "link.mp4") == (folder,)
    assert of_destination(tmp_path / "0123456789abcdef") == (other,)
    for name in ("c.mp4", "loop.mp4", "nowhere/a.mp4"):
        assert of_destination(tmp_path / name) == ()


def test_cleaning_leaves_nothing_of_the_job_and_all_else(tmp_path: Path) -> None:
    folder = make(tmp_path, "a.mp4", chunk(0, 30), segments=1)
    (folder / "000001").mkdir()
    (folder / "000001" / "1.png").touch()
    (tmp_path / "a.mp4").write_bytes(b"result")
    clean(folder)
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]
