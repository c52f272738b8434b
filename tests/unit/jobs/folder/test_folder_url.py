"""Folder runs by URL, over a store in memory: what is fetched, stored, passed over, and kept when it is refused."""

from __future__ import annotations

import json
import os
import shutil
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.media import make_clip, numbers_of
from vsr.core.errors import InputError, InputMissing, OutputError, UsageError
from vsr.core.events import Event, FileEnded, FolderProgress, FolderSummary, Noted, Warned
from vsr.core.presets import resolve
from vsr.core.stop import Stop
from vsr.io import atomic, remote
from vsr.jobs.folder.entry import run_folder, watch_folder
from vsr.jobs.folder.listing import Found, read_url
from vsr.jobs.folder.naming import Entry, clashes
from vsr.jobs.folder.plan import plan_folder
from vsr.jobs.folder.results import Result, Results
from vsr.jobs.folder.rules import Rule
from vsr.jobs.folder.wish import Wish, where

fsspec = pytest.importorskip("fsspec")
X2 = {"model": "nearest", "scale": 2.0, "encoder_preset": "ultrafast"}


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = make_clip(tmp_path_factory.mktemp("clips") / "clip.mp4", frames=4, width=48, height=32)
    return path.read_bytes()


class Store:
    """Source and destination of a test in one store; what was told, what was fetched."""

    def __init__(self, clip: bytes, cache: Path) -> None:
        self.clip, self.cache = clip, cache
        self.system = fsspec.filesystem("memory")
        self.src, self.dst = "memory://in/films", "memory://out/films"
        self.events: list[Event] = []
        self.fetched: list[str] = []
        self.stop = Stop()

    def put(self, *names: str, data: bytes | None = None) -> None:
        for name in names:
            self.system.pipe_file(f"/in/films/{name}", self.clip if data is None else data)

    def run(self, *, settings: dict[str, object] | None = None, **wish: object) -> FolderSummary:
        self.events.clear()
        self.fetched.clear()
        wished = replace(Wish(source=self.src, destination=self.dst), **wish)  # type: ignore[arg-type]
        return run_folder(wished, resolve({**X2, **(settings or {})}), self.told, stop=self.stop)

    def told(self, event: Event) -> None:
        self.events.append(event)

    def ends(self) -> dict[str, str]:
        ended = [event for event in self.events if isinstance(event, FileEnded)]
        return {event.source.removeprefix(f"{self.src}/"): event.status for event in ended}

    def reasons(self) -> dict[str, str]:
        ended = [event for event in self.events if isinstance(event, FileEnded)]
        return {event.source.removeprefix(f"{self.src}/"): event.reason for event in ended}

    def said(self, kind: type) -> list[str]:
        return [event.message for event in self.events if isinstance(event, kind)]

    def results(self) -> dict[str, bytes]:
        names = self.system.find("/out/films")
        return {name.removeprefix("/out/films/"): self.system.cat_file(name) for name in names}

    def lines(self) -> list[tuple[str, str]]:
        told = [json.loads(line) for line in self.results()["results.jsonl"].splitlines()]
        return [(line["destination"], line["status"]) for line in told]

    def left(self) -> list[str]:
        """Give the files on this machine that are the results' URL's own."""
        (home,) = (self.cache / "vsr" / "folders").iterdir()
        return sorted(path.relative_to(home).as_posix() for path in home.rglob("*") if path.is_file())


@pytest.fixture
def store(clip: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    made = Store(clip, tmp_path / "cache")
    made.system.store.clear()
    made.system.pseudo_dirs[:] = [""]
    download = remote._download

    def counted(system: object, path: str, found: remote.Origin, here: Path) -> None:
        made.fetched.append(found.url.rpartition("/")[2])
        download(system, path, found, here)  # type: ignore[arg-type]

    monkeypatch.setattr(remote, "_download", counted)
    return made


def test_a_tree_goes_from_url_to_url_and_nothing_of_it_stays_here(store: Store, tmp_path: Path) -> None:
    store.put("a.mp4", "sub/b.mp4")
    store.put("bad.mp4", data=b"nothing")
    store.put("notes.txt", ".hidden.mp4", "sub/.half/c.mp4")
    summary = store.run()
    assert store.ends() == {"a.mp4": "done", "bad.mp4": "failed", "sub/b.mp4": "done"}
    assert (summary.done, summary.failed, summary.others, summary.frames) == (2, 1, 1, 8)
    assert summary.results == "memory://out/films/results.jsonl"
    assert store.reasons()["bad.mp4"].startswith("memory://in/films/bad.mp4 is not a media file")
    assert set(store.results()) == {"a.mp4", "sub/b.mp4", "results.jsonl"}
    (tmp_path / "b.mp4").write_bytes(store.results()["sub/b.mp4"])
    assert numbers_of(tmp_path / "b.mp4") == [0, 1, 2, 3]
    assert store.left() == ["results.jsonl"]
    assert set(store.lines()) == {
        ("a.mp4", "begun"), ("a.mp4", "done"), ("bad.mp4", "failed"), ("sub/b.mp4", "begun"), ("sub/b.mp4", "done"),
    }  # fmt: skip
    done = next(event for event in store.events if isinstance(event, FileEnded) and event.status == "done")
    assert done.summary is not None
    assert (done.summary.source, done.summary.destination) == (f"{store.src}/a.mp4", f"{store.dst}/a.mp4")


def test_the_bytes_are_those_of_a_run_on_this_machine(store: Store, tmp_path: Path) -> None:
    store.put("a.mp4", "sub/b.mp4")
    for name in ("a.mp4", "sub/b.mp4"):
        (tmp_path / "src" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "src" / name).write_bytes(store.clip)
    run_folder(Wish(source=tmp_path / "src", destination=tmp_path / "dst"), resolve(X2))
    store.run()
    assert store.results()["a.mp4"] == (tmp_path / "dst" / "a.mp4").read_bytes()
    assert store.results()["sub/b.mp4"] == (tmp_path / "dst" / "sub" / "b.mp4").read_bytes()


def test_what_is_done_is_passed_over_and_nothing_is_fetched(store: Store) -> None:
    store.put("a.mp4", "b.mp4")
    store.run()
    before = store.results()
    assert store.run().earlier == 2
    assert [name for name in store.fetched if name.endswith(".mp4")] == []
    assert store.results() == before


def test_a_new_version_of_a_source_is_told_and_made_anew_when_asked(store: Store) -> None:
    store.put("a.mp4", "b.mp4")
    store.run()
    time.sleep(0.002)  # the store's mark of a version is its time
    store.put("b.mp4")
    assert store.run().failed == 1
    assert "the source's content has changed" in store.reasons()["b.mp4"]
    store.run(settings={"overwrite": True})
    assert store.ends() == {"a.mp4": "earlier", "b.mp4": "done"}
    assert store.run().earlier == 2


def test_what_nobody_noted_is_not_replaced(store: Store) -> None:
    store.put("a.mp4")
    store.system.pipe_file("/out/films/a.mp4", b"mine")
    assert store.run().failed == 1
    assert "nothing is known" in store.reasons()["a.mp4"]
    assert store.results()["a.mp4"] == b"mine"


def test_another_machine_finds_the_notes_in_the_store(store: Store, monkeypatch, tmp_path: Path) -> None:
    store.put("a.mp4")
    store.run()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "other"))
    store.put("b.mp4")
    store.run()
    assert store.ends() == {"a.mp4": "earlier", "b.mp4": "done"}
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert store.run().earlier == 2
    assert [name for name, status in store.lines() if status == "done"] == ["a.mp4", "b.mp4"]


def test_a_result_that_the_store_refuses_stays_and_is_not_made_again(store: Store, monkeypatch) -> None:
    store.put("a.mp4", "b.mp4")
    real = remote.store

    def refused(path: Path, url: str, *, overwrite: bool = False) -> None:
        if url.endswith("/a.mp4"):
            raise OutputError(f"{url} cannot be written: denied", hint="Ask.")
        real(path, url, overwrite=overwrite)

    monkeypatch.setattr(remote, "store", refused)
    assert store.run().failed == 1
    assert store.ends() == {"a.mp4": "failed", "b.mp4": "done"}
    ended = next(event for event in store.events if isinstance(event, FileEnded) and event.status == "failed")
    assert "is kept in" in ended.hint
    assert store.left() == ["a.mp4", "results.jsonl"]
    monkeypatch.setattr(remote, "store", real)
    monkeypatch.setattr("vsr.jobs.folder.run.plan", lambda *args, **more: pytest.fail("planned"))
    shutil.rmtree(store.cache / "vsr" / "fetched")
    store.run()
    assert store.ends() == {"a.mp4": "earlier", "b.mp4": "earlier"}
    assert "stored now" in store.reasons()["a.mp4"]
    assert [name for name in store.fetched if name.endswith(".mp4")] == []
    assert set(store.results()) == {"a.mp4", "b.mp4", "results.jsonl"}
    assert store.left() == ["results.jsonl"]


def test_a_refused_result_of_other_settings_is_made_anew(store: Store, monkeypatch) -> None:
    store.put("a.mp4")
    with monkeypatch.context() as patched:
        patched.setattr("vsr.jobs.folder.home.UrlHome.take_away", _denied)
        assert store.run().failed == 1
    assert store.run(settings={"scale": 3.0}).done == 1
    assert store.left() == ["results.jsonl"]
    assert store.run(settings={"scale": 3.0}).earlier == 1


def test_a_run_ended_between_storing_and_noting_is_taken_up(store: Store, monkeypatch) -> None:
    store.put("a.mp4")
    append = Results.append

    def killed(self: Results, line: Result) -> None:
        if line.status == "done":
            raise KeyboardInterrupt
        append(self, line)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(Results, "append", killed)
        store.run()
    assert "a.mp4" in store.results()
    assert "a.mp4" in store.left()
    assert store.run().earlier == 1
    assert store.left() == ["results.jsonl"]


def test_what_somebody_else_put_there_meanwhile_is_not_replaced(store: Store, monkeypatch) -> None:
    store.put("a.mp4")

    def report(event: Event) -> None:
        store.events.append(event)
        if isinstance(event, FolderProgress):
            store.system.pipe_file("/out/films/a.mp4", b"mine")

    monkeypatch.setattr(store, "told", report)
    assert store.run().failed == 1
    assert store.results()["a.mp4"] == b"mine"
    assert store.run().failed == 1
    store.run(settings={"overwrite": True})
    assert store.results()["a.mp4"] != b"mine"


def test_an_interrupted_file_goes_on(store: Store, tmp_path: Path, monkeypatch) -> None:
    long = make_clip(tmp_path / "long.mp4", frames=8, width=48, height=32, gop=4).read_bytes()
    store.put("a.mp4", data=long)
    store.put("b.mp4")
    told = store.told

    def report(event: Event) -> None:
        told(event)
        if isinstance(event, FolderProgress):
            store.stop.ask()

    with monkeypatch.context() as patched:
        patched.setattr(store, "told", report)
        assert store.run(settings={"chunk_frames": 4}).left == 2
    assert "results.jsonl" in store.results()
    store.stop = Stop()
    summary = store.run(settings={"chunk_frames": 4})
    assert (summary.done, summary.frames) == (2, 8)  # 4 of the first were made before
    assert store.left() == ["results.jsonl"]


def test_a_source_that_goes_meanwhile_fails_alone(store: Store, monkeypatch) -> None:
    store.put("a.mp4", "b.mp4", "c.mp4")
    told = store.told

    def report(event: Event) -> None:
        told(event)
        if isinstance(event, FileEnded) and event.source.endswith("a.mp4"):
            store.system.rm_file("/in/films/b.mp4")

    monkeypatch.setattr(store, "told", report)
    store.run()
    assert store.ends() == {"a.mp4": "done", "b.mp4": "failed", "c.mp4": "done"}
    assert "memory://in/films/b.mp4 does not exist" in store.reasons()["b.mp4"]


def test_what_the_network_kept_from_coming_is_tried_again(store: Store, monkeypatch) -> None:
    store.put("a.mp4", "b.mp4", "c.mp4")
    get, calls = type(store.system).get_file, []

    def failing(self: object, path: str, target: str, **more: object) -> None:
        calls.append(path)
        if path.endswith("b.mp4") and calls.count(path) == 1:
            raise ConnectionResetError("the line is cut")
        get(self, path, target, **more)

    monkeypatch.setattr(type(store.system), "get_file", failing)
    store.run(retry=1)
    assert store.ends() == {"a.mp4": "done", "c.mp4": "done", "b.mp4": "done"}
    assert any("to be tried again" in said and "the line is cut" in said for said in store.said(Warned))


def test_a_store_that_cannot_be_written_is_told_before_any_work(store: Store, monkeypatch) -> None:
    store.put("a.mp4")

    def denied(self: object, *args: object, **more: object) -> None:
        raise PermissionError("no")

    monkeypatch.setattr(type(store.system), "put_file", denied)
    with pytest.raises(OutputError, match=r"out/films/results\.jsonl cannot be written"):
        store.run()
    assert [name for name in store.fetched if name.endswith(".mp4")] == []


def test_notes_that_cannot_be_stored_in_the_end_are_told_with_their_place(store: Store, monkeypatch) -> None:
    store.put("a.mp4")
    monkeypatch.setattr("vsr.jobs.folder.home.UrlHome.share", _denied)
    assert store.run().done == 1
    (said,) = store.said(Warned)
    assert str(store.cache / "vsr" / "folders") in said


def test_rules_and_names_hold_for_urls_too(store: Store) -> None:
    store.put("a.mp4", "sub/b.mp4", "c.mp4")
    rule = Rule(name="sub", when={"path": ("sub/*",)}, skip="not these")
    wish = {"rules": (rule,), "name": "{stem}_x{scale}{suffix}", "exclude": ("c.*",)}
    store.run(**wish)
    assert store.ends() == {"a.mp4": "done", "sub/b.mp4": "skipped"}
    assert set(store.results()) == {"a_x2.mp4", "results.jsonl"}
    store.run(**wish)
    assert store.ends() == {"a.mp4": "earlier", "sub/b.mp4": "skipped"}
    assert [name for name in store.fetched if name.endswith(".mp4")] == []


def test_one_side_may_be_of_this_machine(store: Store, tmp_path: Path) -> None:
    store.put("a.mp4")
    store.run(destination=tmp_path / "dst")
    assert sorted(path.name for path in (tmp_path / "dst").iterdir()) == ["a.mp4", "results.jsonl"]
    assert store.run(destination=tmp_path / "dst").earlier == 1
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "c.mp4").write_bytes(store.clip)
    store.run(source=tmp_path / "src")
    assert set(store.results()) == {"c.mp4", "results.jsonl"}
    assert store.run(source=tmp_path / "src").earlier == 1


def test_results_within_the_source_are_no_sources(store: Store) -> None:
    store.put("a.mp4", "x2/b.mp4")
    store.dst = f"{store.src}/x2/"
    store.run(settings={"overwrite": True})
    assert store.ends() == {"a.mp4": "done"}


def test_results_beside_their_sources_are_no_sources(store: Store) -> None:
    store.put("a.mp4")
    store.dst = f"{store.src}/"
    store.run(name="{stem}_x2{suffix}")
    assert store.ends() == {"a.mp4": "done"}
    assert store.run(name="{stem}_x2{suffix}").earlier == 1
    assert store.ends() == {"a.mp4": "earlier"}
    with pytest.raises(UsageError, match="which is a source"):
        store.run(settings={"overwrite": True})


def test_a_source_is_fetched_when_its_turn_comes(store: Store, monkeypatch) -> None:
    store.put("a.mp4", "b.mp4", "c.mp4")
    fetched_by: dict[str, list[str]] = {}
    told = store.told

    def report(event: Event) -> None:
        told(event)
        if isinstance(event, FileEnded):
            fetched_by[event.source[-5:]] = [name for name in store.fetched if name.endswith(".mp4")]

    monkeypatch.setattr(store, "told", report)
    store.run()
    assert fetched_by == {"a.mp4": ["a.mp4"], "b.mp4": ["a.mp4", "b.mp4"], "c.mp4": ["a.mp4", "b.mp4", "c.mp4"]}
    assert [said for said in store.said(Noted) if said.endswith("fetching it")] == [
        f"{name}.mp4: fetching it" for name in "abc"
    ]


def test_a_dry_run_fetches_nothing_and_says_what_it_does_not_know(store: Store) -> None:
    store.put("a.mp4", "b.mp4")
    store.run(include=("a.*",))
    store.fetched.clear()
    wish = Wish(source=store.src, destination=store.dst)
    plan = plan_folder(wish, resolve(X2))
    assert [(file.source, file.action) for file in plan.files] == [
        ("memory://in/films/a.mp4", "done"), ("memory://in/films/b.mp4", "make"),
    ]  # fmt: skip
    assert (plan.unknown, plan.seconds, plan.bytes) == (1, 0.0, 0)
    assert "not looked at" in plan.files[1].reason
    assert [name for name in store.fetched if name.endswith(".mp4")] == []


def test_urls_are_not_watched(store: Store, tmp_path: Path) -> None:
    for source, destination in ((store.src, tmp_path), (tmp_path, store.dst)):
        with pytest.raises(UsageError, match="not for URLs"):
            watch_folder(Wish(source=source, destination=destination), resolve(X2), stop=store.stop, settle_s=0)


def test_where_nothing_lies_it_is_told(store: Store) -> None:
    with pytest.raises(InputMissing, match="nothing lies below memory://in/films"):
        store.run()
    with pytest.raises(InputError):
        store.run(source="memory://nowhere")
    with pytest.raises(UsageError, match="not something vsr reads"):
        store.run(source="http://host/films")


def test_one_store_has_several_schemes() -> None:
    """Replacing a source by its result is refused, by whatever name the store goes."""
    origin = remote.Origin(url="s3://in/films/a.mp4", size=1, version="")
    found = Found(path=Path("a.mp4"), name="a.mp4", size=1, mtime_ns=0, origin=origin)
    (said,) = clashes(
        [Entry(found=found, name="a.mp4", destination=Path("made/a.mp4"), url="s3a://in/films/a.mp4")]
    ).values()
    assert "which is a source" in said


def test_a_url_is_told_from_a_path() -> None:
    assert where("s3://a/b") == where(Path("s3://a/b").as_posix().replace(":/", "://")) == "s3://a/b"
    assert where("./s3:/a") == Path("s3:/a")
    assert where(Path("films")) == Path("films")


def test_the_listing_says_what_read_folder_would(store: Store) -> None:
    store.put("b10.mp4", "b9.mp4", "deep/a.dat", "deep/a.txt", "deep/old/c.mkv")
    assert [found.name for found in read_url(store.src, exclude=("deep/o*",)).files] == ["b9.mp4", "b10.mp4"]
    assert [found.name for found in read_url(store.src, include=("*.dat",)).files] == ["deep/a.dat"]
    assert [found.name for found in read_url(store.src, is_recursive=False).files] == ["b9.mp4", "b10.mp4"]
    listing = read_url(f"{store.src}/", never=f"{store.src}/deep/old")
    assert "deep/old/c.mkv" not in [found.name for found in listing.files]
    assert listing.others == {".dat": 1, ".txt": 1}
    assert listing.files[0].origin == remote.look(listing.files[0].address)


def test_keys_that_are_one_path_here_are_refused(store: Store) -> None:
    store.put("sub/a.mp4", "sub//a.mp4")
    with pytest.raises(UsageError, match="results would have the names of others"):
        store.run()


def test_a_fetched_source_is_kept_while_its_job_is_open(store: Store, monkeypatch) -> None:
    store.put("a.mp4")
    kept: list[bool] = []
    told = store.told

    def report(event: Event) -> None:
        told(event)
        if isinstance(event, FolderProgress):
            kept.extend(remote._is_in_use(entry) for entry in _entries(store.cache))

    monkeypatch.setattr(store, "told", report)
    store.run()
    assert True in kept
    assert not any(remote._is_in_use(entry) for entry in _entries(store.cache))


def test_sources_that_are_done_make_room_at_once(store: Store, monkeypatch) -> None:
    """A disk on which two of them have room, and the tenth part of it."""
    store.put(*(f"{name}.mp4" for name in "abcde"))
    whole, most = 3 * len(store.clip), [0]

    def free(path: Path) -> int:
        kept = list((store.cache / "vsr" / "fetched").glob("*/data/*.mp4"))
        most[0] = max(most[0], len(kept))
        return whole - sum(file.stat().st_size for file in kept)

    monkeypatch.setattr(remote, "atomic", SimpleNamespace(**{**vars(atomic), "free_bytes": free}))
    disk = {**vars(shutil), "disk_usage": lambda path: SimpleNamespace(total=whole)}
    monkeypatch.setattr(remote, "shutil", SimpleNamespace(**disk))
    assert store.run().done == 5
    assert most == [2]


def _entries(cache: Path) -> list[Path]:
    return [Path(entry.path) for entry in os.scandir(cache / "vsr" / "fetched")]


def _denied(self: object, *args: object, **more: object) -> None:
    raise OutputError("it cannot be written: denied", hint="Ask.")
