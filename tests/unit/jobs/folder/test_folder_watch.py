"""Watching a folder, and second tries: what comes, goes, clashes, is another's, or was put down before."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Generator, Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.media import make_clip
from vsr.core.errors import ChunkFailed, OutputError
from vsr.core.events import Event, FileEnded, FolderSummary
from vsr.core.presets import resolve
from vsr.core.stop import Stop
from vsr.jobs.executors.base import Executor, Failed, Outcome, Task, Tick
from vsr.jobs.executors.here import Here
from vsr.jobs.folder.claims import claimed
from vsr.jobs.folder.entry import run_folder, watch_folder
from vsr.jobs.folder.listing import Listing, read_folder
from vsr.jobs.folder.wish import Wish

X2 = {"model": "bicubic", "scale": 2.0, "encoder_preset": "ultrafast"}
PATIENCE_S = 20.0


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("clips") / "clip.mp4", frames=4, width=48, height=32)


class Watched:
    """A folder that is watched; `on_end` is called at each file's end, and `stop` asked at the last that is wanted."""

    def __init__(self, root: Path, clip: Path) -> None:
        self.root, self.clip = root, clip
        self.src, self.dst = root / "src", root / "dst"
        self.src.mkdir()
        self.ended: list[FileEnded] = []
        self.stop = Stop()

    def put(self, name: str) -> None:
        if name.endswith(".png"):
            cv2.imwrite(str(self.src / name), np.full((16, 24, 3), 90, np.uint8))
        else:
            shutil.copyfile(self.clip, self.src / name)

    def watch(self, ends: int, on_end: Callable[[FileEnded], None], **wish: object) -> FolderSummary:
        def report(event: Event) -> None:
            if isinstance(event, FileEnded):
                self.ended.append(event)
                on_end(event)
                if len(self.ended) == ends:
                    self.stop.ask()

        wished = replace(Wish(source=self.src, destination=self.dst), **wish)  # type: ignore[arg-type]
        guard = threading.Timer(PATIENCE_S, self.stop.ask)
        guard.start()
        try:
            return watch_folder(wished, resolve(X2), report, stop=self.stop, settle_s=0.0, poll_s=0.05)
        finally:
            guard.cancel()

    def told(self) -> list[tuple[str, str]]:
        return [(Path(event.source).name, event.status) for event in self.ended]


@pytest.fixture
def watched(tmp_path: Path, clip: Path) -> Watched:
    return Watched(tmp_path, clip)


def test_a_destination_that_vanishes_between_two_files_is_not_made_anew(watched: Watched) -> None:
    """A disk that was unmounted while nothing was to do."""
    watched.put("a.mp4")

    def on_end(ended: FileEnded) -> None:
        if ended.source.endswith("a.mp4"):
            threading.Timer(0.1, lambda: (watched.dst.rename(watched.root / "away"), watched.put("b.mp4"))).start()

    with pytest.raises(OutputError, match="is gone, or is another folder now"):
        watched.watch(3, on_end)
    assert not watched.dst.exists()
    assert (watched.root / "away" / "a.mp4").exists()


def test_a_file_that_can_have_no_name_fails_alone(watched: Watched) -> None:
    watched.put("a.mp4")

    def on_end(ended: FileEnded) -> None:
        if ended.source.endswith("a.mp4"):
            watched.put("b.png")
            watched.put("c.mp4")

    summary = watched.watch(3, on_end, name="{stem}.mkv")
    assert sorted(watched.told()) == [("a.mp4", "done"), ("b.png", "failed"), ("c.mp4", "done")]
    assert "makes no image of b.png" in next(event.reason for event in watched.ended if event.status == "failed")
    assert (summary.done, summary.failed) == (2, 1)


def test_what_another_process_had_and_gave_up_is_made(watched: Watched) -> None:
    """Two watch one folder, and one of them dies with a file in hand."""
    watched.put("a.mp4")
    watched.dst.mkdir()
    other = claimed(watched.dst, "a.mp4")
    other.__enter__()

    def on_end(ended: FileEnded) -> None:
        if ended.status == "taken":
            threading.Timer(0.2, lambda: other.__exit__(None, None, None)).start()

    summary = watched.watch(2, on_end)
    assert watched.told() == [("a.mp4", "taken"), ("a.mp4", "done")]
    assert (summary.done, summary.taken) == (1, 0)
    assert (watched.ended[-1].number, watched.ended[-1].total) == (1, 1)


def test_a_source_that_has_gone_clashes_with_nobody(watched: Watched) -> None:
    watched.put("a.mp4")

    def on_end(ended: FileEnded) -> None:
        if ended.source.endswith("a.mp4"):
            (watched.src / "a.mp4").unlink()
            (watched.dst / "a.mp4").unlink()
            watched.put("b.mp4")
        elif ended.source.endswith("b.mp4"):
            watched.put("A.mp4")

    watched.watch(3, on_end)
    assert watched.told() == [("a.mp4", "done"), ("b.mp4", "done"), ("A.mp4", "done")]


def test_what_another_process_makes_while_the_folder_is_read_is_no_source(
    tmp_path: Path, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copyfile(clip, tmp_path / "a.mp4")
    wish = Wish(source=tmp_path, destination=tmp_path, name="{stem}_x2{suffix}")
    others = [wish]

    def read(*args: object, **more: object) -> Listing:
        if others:
            run_folder(others.pop(), resolve(X2))  # the other process
        return read_folder(*args, **more)  # type: ignore[arg-type]

    monkeypatch.setattr("vsr.jobs.folder.sources.read_folder", read)
    summary = run_folder(wish, resolve(X2))
    assert (summary.done, summary.earlier) == (0, 1)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mp4", "a_x2.mp4", "results.jsonl"]


def test_a_folder_in_which_another_process_works_is_not_removed(watched: Watched) -> None:
    """It has made room for a result that is still to come; a file beside it fails here."""
    (watched.src / "sub").mkdir()
    (watched.src / "sub" / "bad.mp4").write_bytes(b"nothing")
    watched.dst.mkdir()
    with claimed(watched.dst, "sub/b.mp4"):
        (watched.dst / "sub").mkdir()
        run_folder(Wish(source=watched.src, destination=watched.dst), resolve(X2))
        assert (watched.dst / "sub").is_dir()
    run_folder(Wish(source=watched.src, destination=watched.dst), resolve(X2))
    assert not (watched.dst / "sub").exists()


class Flaky(Here):
    """Fails once, at its second chunk."""

    def __init__(self) -> None:
        super().__init__()
        self.tried: list[int] = []

    def run(self, tasks: Iterator[Task], tick: Tick) -> Generator[Outcome]:
        for task in tasks:
            self.tried.append(task.chunk.index)
            if len(self.tried) == 2:
                yield Failed(task=task, error=ChunkFailed("flaky"))
            else:
                yield self._worker.do(task, tick)


def go(folder: Watched, hands: Executor, settings: dict[str, object], **wish: object) -> FolderSummary:
    wished = replace(Wish(source=folder.src, destination=folder.dst), **wish)  # type: ignore[arg-type]
    return run_folder(wished, resolve({**X2, **settings}), executor=hands)


def test_a_second_try_goes_on_though_the_first_began_anew(watched: Watched) -> None:
    make_clip(watched.src / "a.mp4", frames=8, width=48, height=32, gop=4)
    hands = Flaky()
    summary = go(watched, hands, {"chunk_frames": 4, "restart": True}, retry=1)
    assert summary.done == 1
    assert hands.tried == [0, 1, 1]


def test_a_first_try_begins_anew(watched: Watched) -> None:
    make_clip(watched.src / "a.mp4", frames=8, width=48, height=32, gop=4)
    go(watched, Flaky(), {"chunk_frames": 4})
    hands = Flaky()
    hands.tried = [9, 9]  # does not fail
    go(watched, hands, {"chunk_frames": 4, "restart": True}, retry=1)
    assert hands.tried == [9, 9, 0, 1]


@pytest.mark.parametrize("ends", ["failed", "left"])
def test_what_is_put_where_a_try_ended_badly_is_not_taken_for_its_result(ends: str, watched: Watched) -> None:
    """Tried, given up, made with another program: that is the user's, and nobody's `done`."""
    watched.put("a.mp4")

    class Hopeless(Here):
        def run(self, tasks: Iterator[Task], tick: Tick) -> Generator[Outcome]:
            for task in tasks:
                if ends == "left":
                    watched.stop.ask()
                    return
                yield Failed(task=task, error=ChunkFailed("broken"))

    wish = Wish(source=watched.src, destination=watched.dst)
    assert getattr(run_folder(wish, resolve(X2), executor=Hopeless(), stop=watched.stop), ends) == 1
    (watched.dst / "a.mp4").write_bytes(b"the user's own")
    summary = run_folder(wish, resolve(X2))
    assert (summary.earlier, summary.failed) == (0, 1)
    assert (watched.dst / "a.mp4").read_bytes() == b"the user's own"
