"""Folder runs, with tiny clips and the weightless engine: what is made, passed over, refused, noted, and how often."""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.media import make_clip, numbers_of
from vsr.core.errors import (
    ChunkFailed,
    DiskFull,
    NoDevice,
    OutOfMemory,
    OutputError,
    UnknownModel,
    UsageError,
    VsrError,
)
from vsr.core.events import Event, FileEnded, FolderListed, FolderProgress, FolderSummary, Report, Warned
from vsr.core.job import Destination, Job
from vsr.core.presets import resolve
from vsr.core.settings import Resolved
from vsr.core.stop import Stop
from vsr.io.lock import locked
from vsr.jobs.executors.base import Executor, Failed, Outcome, Task, Tick, Working
from vsr.jobs.executors.here import Here
from vsr.jobs.executors.processes import Processes
from vsr.jobs.folder import run as folder_run
from vsr.jobs.folder.claims import claimed
from vsr.jobs.folder.entry import run_folder
from vsr.jobs.folder.pace import Pace
from vsr.jobs.folder.rules import Rule
from vsr.jobs.folder.wish import Wish

X2 = {"model": "bicubic", "scale": 2.0, "encoder_preset": "ultrafast"}


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("clips") / "clip.mp4", frames=4, width=48, height=32)


class Folder:
    """Source and destination of a test, and what was told."""

    def __init__(self, root: Path, clip: Path) -> None:
        self.root, self.clip = root, clip
        self.src, self.dst = root / "src", root / "dst"
        self.src.mkdir()
        self.events: list[Event] = []
        self.stop = Stop()

    def put(self, *names: str) -> None:
        for name in names:
            path = self.src / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.suffix == ".png":
                cv2.imwrite(str(path), np.full((16, 24, 3), 90, np.uint8))
            elif path.suffix == ".mp4":
                shutil.copyfile(self.clip, path)
            else:
                path.write_text("no media")

    def run(
        self,
        executor: Executor | None = None,
        settings: dict[str, object] | None = None,
        report: Callable[[Event], None] | None = None,
        **wish: object,
    ) -> FolderSummary:
        self.events.clear()
        wished = replace(Wish(source=self.src, destination=self.dst), **wish)  # type: ignore[arg-type]
        told = report or self.events.append
        return run_folder(wished, self.resolved(settings), told, executor, stop=self.stop)

    def resolved(self, settings: dict[str, object] | None = None) -> Resolved:
        return resolve({**X2, **(settings or {})})

    def ends(self) -> dict[str, str]:
        return {Path(e.source).relative_to(self.src).as_posix(): e.status for e in self.told(FileEnded)}

    def reasons(self) -> dict[str, str]:
        return {Path(e.source).relative_to(self.src).as_posix(): e.reason for e in self.told(FileEnded)}

    def told(self, kind: type) -> list:
        return [event for event in self.events if isinstance(event, kind)]

    def results(self) -> list[dict]:
        return [json.loads(line) for line in (self.dst / "results.jsonl").read_text().splitlines()]

    def results_text(self) -> list[str]:
        return (self.dst / "results.jsonl").read_text().splitlines()

    def tree(self) -> list[str]:
        return sorted(p.relative_to(self.dst).as_posix() for p in self.dst.rglob("*") if p.is_file())


@pytest.fixture
def folder(tmp_path: Path, clip: Path) -> Folder:
    return Folder(tmp_path, clip)


def test_a_tree_is_mirrored_and_one_bad_file_stops_nobody(folder: Folder) -> None:
    """Peers E5."""
    folder.put("a.mp4", "sub/b.mp4", "sub/deep/c.png", "notes.txt", "sub/d.nfo")
    (folder.src / "bad.mp4").write_bytes(b"nothing")
    summary = folder.run()
    assert folder.ends() == {"a.mp4": "done", "bad.mp4": "failed", "sub/b.mp4": "done", "sub/deep/c.png": "done"}
    assert (summary.done, summary.failed, summary.others, summary.frames) == (3, 1, 2, 9)
    assert folder.tree() == ["a.mp4", "results.jsonl", "sub/b.mp4", "sub/deep/c.png"]
    assert numbers_of(folder.dst / "sub" / "b.mp4") == [0, 1, 2, 3]
    assert cv2.imread(str(folder.dst / "sub/deep/c.png")).shape == (32, 48, 3)
    (listed,) = folder.told(FolderListed)
    assert (listed.files, listed.to_do, listed.others) == (4, 4, {".txt": 1, ".nfo": 1})
    statuses = Counter((line["destination"], line["status"]) for line in folder.results())
    assert statuses["a.mp4", "done"] == statuses["bad.mp4", "failed"] == 1
    done = next(line for line in folder.results() if line["status"] == "done")
    assert done["source"]["size"] == folder.clip.stat().st_size
    assert done["bytes"] == (folder.dst / "a.mp4").stat().st_size
    assert done["asked"]["settings"] == X2
    assert len(done["fingerprint"]) == 64


def test_the_model_is_opened_once(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    from vsr.engines import trial
    from vsr.jobs.executors import worker

    opened: Counter[str] = Counter()

    def counted(name: str, real: Callable[..., object]) -> Callable[..., object]:
        def call(*args: object, **more: object) -> object:
            opened[name] += 1
            return real(*args, **more)

        return call

    monkeypatch.setattr(worker, "open_engine", counted("engine", worker.open_engine))
    monkeypatch.setattr(trial, "open_engine", counted("trial", trial.open_engine))
    monkeypatch.setattr(trial, "_weights", {})
    folder.put("a.mp4", "b.mp4", "c.mp4", "d.png", "e.png")
    assert folder.run(settings={"model": "espcn", "precision": "fp32"}).done == 5
    assert opened == {"engine": 1, "trial": 1}


def test_what_is_done_is_passed_over_without_being_planned(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.put("a.mp4", "sub/b.png")
    folder.run()
    before = folder.results()
    for name in ("plan", "claimed"):
        monkeypatch.setattr(folder_run, name, lambda *args, **more: pytest.fail("planned"))
    monkeypatch.setattr("vsr.jobs.folder.looks.probe", lambda *args, **more: pytest.fail("looked at"))
    summary = folder.run()
    assert (summary.earlier, summary.done, summary.failed) == (2, 0, 0)
    assert folder.results() == before
    os.utime(folder.src / "a.mp4", (1, 1))  # touched, and the same
    assert folder.run().earlier == 2


def test_thousands_of_done_files_take_no_time(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    folder.put("0.png")
    folder.run()
    (line,) = (json.loads(text) for text in folder.results_text() if '"done"' in text)
    lines = []
    for number in range(1, 2000):
        for root in (folder.src, folder.dst):
            os.link(root / "0.png", root / f"{number}.png")
        lines.append(json.dumps({**line, "destination": f"{number}.png"}))
    with (folder.dst / "results.jsonl").open("a") as file:
        file.write("\n".join(lines) + "\n")
    monkeypatch.setattr(folder_run, "plan", lambda *args, **more: pytest.fail("planned"))
    began = time.process_time()
    assert folder.run().earlier == 2000
    assert time.process_time() - began < 2.0  # 0.2 s on an idle machine


def _flip_last_byte(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def _other_model(folder: Folder) -> None:
    path = folder.dst / "results.jsonl"
    text = path.read_text().replace('"model_scale": 2,', '"model_scale": 2, "model_digest": "0123",')
    path.write_text(text)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda f: make_clip(f.src / "a.mp4", frames=5, width=48, height=32),
            "made from another source: the source had",
        ),
        (lambda f: _flip_last_byte(f.src / "a.mp4"), "made from another source: the source's content"),
        (lambda f: (f.dst / "a.mp4").write_bytes(b"mine"), "it has changed since it was made"),
        (lambda f: (f.dst / "results.jsonl").unlink(), "nothing is known of what it was made from"),
        (_other_model, "its weights have changed"),
    ],
)
def test_what_has_changed_is_told_and_made_again_only_when_asked(
    change: Callable[[Folder], object], said: str, folder: Folder
) -> None:
    folder.put("a.mp4")
    folder.run()
    change(folder)
    kept = (folder.dst / "a.mp4").read_bytes()
    summary = folder.run()
    (ended,) = summary.files
    assert (ended.status, ended.error) == ("failed", "OutputExists")
    assert said in ended.reason
    assert "--overwrite" in ended.hint
    assert (folder.dst / "a.mp4").read_bytes() == kept
    if "content" not in said:  # a clip with a broken index is no clip
        assert folder.run(settings={"overwrite": True}).done == 1
        assert folder.run(settings={"overwrite": True}).earlier == 1


def test_changed_settings_are_named(folder: Folder) -> None:
    folder.put("a.mp4")
    folder.run()
    summary = folder.run(settings={"scale": 3.0, "crf": 30.0})
    assert "made with other settings: crf: 30.0, was default; scale: 3.0, was 2.0" in summary.files[0].reason
    no_pixel = {"workers": 1, "batch": 2, "force": True, "verify": True}
    assert folder.run(settings=no_pixel).earlier == 1
    assert folder.run(settings={"scale": 3.0, "overwrite": True}).done == 1
    assert folder.run(settings={"scale": 3.0}).earlier == 1


def test_a_default_that_is_named_is_the_same(folder: Folder) -> None:
    folder.put("a.mp4")
    folder.run(settings={"model": "espcn", "scale": None})
    assert folder.run(settings={"model": "espcn-x2", "scale": 2.0}).earlier == 1
    other = folder.run(settings={"model": "bicubic", "scale": None})
    assert "made with other settings: model: bicubic, was espcn" in other.files[0].reason


def test_rules_that_change_nothing_for_a_file_leave_it_done(folder: Folder) -> None:
    folder.put("a.mp4", "b.png")
    folder.run()
    rule = Rule(name="r", when={"kind": ("image",)}, settings={"scale": 3.0})
    summary = folder.run(rules=(rule,))
    assert folder.ends() == {"a.mp4": "earlier", "b.png": "failed"}
    assert summary.failed == 1
    folder.run(rules=(rule,), settings={"overwrite": True})
    assert cv2.imread(str(folder.dst / "b.png")).shape == (48, 72, 3)


def test_a_result_whose_line_was_not_written_is_known_again(folder: Folder) -> None:
    """Killed between the result and its line: not made twice, not refused."""
    folder.put("a.mp4", "b.mp4")
    folder.run()
    path = folder.dst / "results.jsonl"
    lines = [text for text in path.read_text().splitlines() if '"a.mp4", "status": "done"' not in text]
    path.write_text("\n".join(lines) + "\n")
    seen = (folder.dst / "a.mp4").stat()
    assert folder.run().earlier == 2
    assert (folder.dst / "a.mp4").stat().st_mtime_ns == seen.st_mtime_ns
    assert sum(line["status"] == "done" and line["destination"] == "a.mp4" for line in folder.results()) == 1


def test_a_result_older_than_its_beginning_is_not_taken_for_it(folder: Folder) -> None:
    folder.put("a.mp4")
    folder.run()
    path = folder.dst / "results.jsonl"
    path.write_text("\n".join(text for text in path.read_text().splitlines() if '"begun"' in text) + "\n")
    os.utime(folder.dst / "a.mp4", (1, 1))
    assert folder.run().failed == 1


def test_files_are_skipped_by_rule_and_remembered(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.put("a.mp4", "b.png")
    summary = folder.run(skip_height=32)
    assert folder.ends() == {"a.mp4": "skipped", "b.png": "done"}
    assert (summary.skipped, summary.done) == (1, 1)
    assert "already 32 lines" in folder.reasons()["a.mp4"]
    monkeypatch.setattr("vsr.jobs.folder.looks.probe", lambda *args, **more: pytest.fail("looked at"))
    assert folder.run(skip_height=32).skipped == 1
    monkeypatch.undo()
    assert folder.run().done == 1


def test_hdr_becomes_hevc_of_ten_bits(folder: Folder) -> None:
    from tests.media import BT2020_PQ
    from vsr.io.probe import probe

    make_clip(folder.src / "hdr.mp4", frames=2, width=64, height=64, pix_fmt="yuv420p10le", tags=BT2020_PQ)
    assert folder.run().done == 1
    video = probe(folder.dst / "hdr.mp4").video
    assert (video.codec, video.pixel_format, video.color.transfer) == ("hevc", "yuv420p10le", "smpte2084")


@pytest.mark.parametrize(("flags", "wanted"), [({}, "frame"), ({"deinterlace": "off"}, "off")])
def test_fields_are_merged_unless_told_otherwise(
    flags: dict[str, object], wanted: str, folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned: list[str] = []
    real = folder_run.plan

    def spy(source: Path, destination: Destination, resolved: Resolved, *, report: Report) -> Job:
        job = real(source, destination, resolved, report=report)
        planned.append(job.deinterlace)
        return job

    monkeypatch.setattr(folder_run, "plan", spy)
    make_clip(folder.src / "a.mp4", frames=3, width=64, height=64, options={"x264-params": "tff=1"})
    make_clip(folder.src / "b.mp4", frames=3, width=64, height=64)
    assert folder.run(settings={**X2, **flags}).done == 2
    assert planned == [wanted, "off"]


def test_clashes_are_refused_before_any_work(folder: Folder) -> None:
    """Peers E9."""
    folder.put("a.mp4", "b.mp4")
    make_clip(folder.src / "a.mkv", frames=2)
    with pytest.raises(UsageError, match=r"a\.mkv and a\.mp4 -> a\.mp4|a\.mp4 and a\.mkv"):
        folder.run(name="{stem}.mp4")
    assert not folder.dst.exists()


def test_a_wrong_model_or_template_is_refused_before_any_work(folder: Folder) -> None:
    folder.put("a.mp4")
    with pytest.raises(UnknownModel):
        folder.run(settings={"model": "espnc"})
    with pytest.raises(UsageError):
        folder.run(name="{stam}{suffix}")
    assert not folder.dst.exists()


def test_into_its_own_folder_by_other_names(folder: Folder) -> None:
    folder.put("a.mp4", "sub/b.png")
    folder.dst = folder.src
    with pytest.raises(UsageError, match="is a source"):
        folder.run()
    name = "{stem}_{model}_x{scale}{suffix}"
    assert folder.run(name=name).done == 2
    assert (folder.src / "sub" / "b_bicubic_x2.png").exists()
    again = folder.run(name=name)
    assert (again.earlier, again.done, again.failed) == (2, 0, 0)  # results are no sources


def test_a_destination_inside_the_source(folder: Folder) -> None:
    folder.put("a.mp4")
    folder.dst = folder.src / "out" / "x2"
    assert folder.run().done == 1
    assert folder.run().earlier == 1


ODD = [
    "\N{CLAPPER BOARD} d\u00e9j\u00e0.mp4",
    'it\'s "so".mp4',
    "50%d %05d.mp4",
    "a\nb.mp4",
    "-i.mp4",
    "a" * 251 + ".mp4",
]


def test_odd_names(folder: Folder) -> None:
    """Peers E3."""
    odd = [*ODD, "-1 %03d.png"]
    folder.put(*odd)
    assert folder.run().done == len(odd)
    assert sorted(p.name for p in folder.dst.iterdir()) == sorted([*odd, "results.jsonl"])
    assert folder.run().earlier == len(odd)


def test_a_name_in_no_encoding_fails_alone(folder: Folder) -> None:
    folder.put("a.mp4", os.fsdecode(b"caf\xe9.mp4"))
    summary = folder.run()
    assert (summary.done, summary.failed) == (1, 1)
    assert folder.run().earlier == 1


class Planted(Here):
    """Fails at chosen sources, so many times each."""

    def __init__(self, **failures: tuple[VsrError, int]) -> None:
        super().__init__()
        self.left = {name: times for name, (_, times) in failures.items()}
        self.errors = {name: error for name, (error, _) in failures.items()}
        self.tried: list[str] = []

    def run(self, tasks: Iterator[Task], tick: Tick) -> Generator[Outcome]:
        for task in tasks:
            name = task.job.source.path.stem
            self.tried.append(name)
            if self.left.get(name, 0) > 0:
                self.left[name] -= 1
                yield Failed(task=task, error=self.errors[name])
            else:
                yield self._worker.do(task, tick)


def test_what_failed_is_tried_again_after_the_others(folder: Folder) -> None:
    folder.put("a.mp4", "b.mp4", "c.mp4")
    hands = Planted(a=(ChunkFailed("flaky"), 1), b=(ChunkFailed("broken"), 9))
    summary = folder.run(hands, retry=2)
    assert hands.tried == ["a", "b", "c", "a", "b", "b"]
    assert folder.ends() == {"a.mp4": "done", "b.mp4": "failed", "c.mp4": "done"}
    assert (summary.done, summary.failed) == (2, 1)
    assert sum("to be tried again" in event.message for event in folder.told(Warned)) == 3
    hands.close()


def test_what_cannot_pass_is_not_tried_again(folder: Folder) -> None:
    folder.put("a.mp4")
    (folder.src / "bad.mp4").write_bytes(b"nothing")
    folder.run(retry=5)
    assert not folder.told(Warned)


def test_a_bug_in_one_file_is_its_failure(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.put("a.mp4", "b.mp4")
    real = folder_run.plan

    def plan(source: Path, *args: object, **more: object) -> object:
        if source.name == "a.mp4":
            raise ZeroDivisionError("planted")
        return real(source, *args, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(folder_run, "plan", plan)
    summary = folder.run()
    assert folder.ends() == {"a.mp4": "failed", "b.mp4": "done"}
    assert "ZeroDivisionError: planted" in summary.files[0].reason
    assert "Traceback" in summary.files[0].notes[0]


@pytest.mark.parametrize("error", [DiskFull("full"), NoDevice("gone")])
def test_where_going_on_makes_no_sense_the_run_ends(error: VsrError, folder: Folder) -> None:
    folder.put("a.mp4", "b.mp4", "c.mp4", "d.mp4")
    hands = Planted(b=(error, 9))
    with pytest.raises(type(error)) as caught:
        folder.run(hands, retry=3)
    assert folder.ends() == {"a.mp4": "done", "b.mp4": "failed", "c.mp4": "left", "d.mp4": "left"}
    assert caught.value.__notes__ == ["1 files are done, 2 are left: the same command goes on"]
    assert folder.told(FolderSummary)[0].left == 2
    assert folder.run().done == 3


def test_no_memory_for_one_file_is_no_end_for_the_others(folder: Folder) -> None:
    folder.put("a.mp4", "b.mp4")
    folder.run(Planted(a=(OutOfMemory("too large"), 9)))
    assert folder.ends() == {"a.mp4": "failed", "b.mp4": "done"}


def test_a_results_file_that_cannot_be_written_ends_the_run(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.put("a.mp4", "b.mp4")
    from vsr.jobs.folder.results import Results

    def full(self: Results, result: object) -> None:
        raise DiskFull("no space left for results.jsonl")

    monkeypatch.setattr(Results, "append", full)
    with pytest.raises(DiskFull):
        folder.run()
    assert list(folder.ends().values()) == ["failed", "left"]


def test_a_stop_keeps_what_is_done_and_the_same_command_goes_on(folder: Folder) -> None:
    folder.put("a.mp4", "b.mp4", "c.mp4")

    def report(event: Event) -> None:
        folder.events.append(event)
        if isinstance(event, FolderProgress) and event.file == "b.mp4":
            folder.stop.ask()

    summary = folder.run(settings={"chunk_frames": 1}, report=report)
    assert (summary.done, summary.left) == (1, 2)
    assert folder.ends() == {"a.mp4": "done", "b.mp4": "left", "c.mp4": "left"}
    assert "stopped: " in folder.reasons()["b.mp4"]
    assert folder.reasons()["c.mp4"] == "not begun"
    assert not list(folder.dst.glob(".vsr-claims*"))
    folder.stop = Stop()
    summary = folder.run(settings={"chunk_frames": 1})
    assert folder.ends() == {"a.mp4": "earlier", "b.mp4": "done", "c.mp4": "done"}
    done = {Path(e.source).name: e.summary for e in folder.told(FileEnded) if e.status == "done"}
    assert done["b.mp4"].resumed_frames >= 1
    assert done["c.mp4"].resumed_frames == 0


def test_what_another_has_is_looked_at_again_in_the_end(folder: Folder) -> None:
    folder.put("a.mp4", "b.mp4", "c.mp4")
    hands = Planted()
    with claimed_elsewhere(folder, "a.mp4"):
        summary = folder.run(hands)
    assert folder.ends() == {"a.mp4": "taken", "b.mp4": "done", "c.mp4": "done"}
    assert f"process {os.getpid()}" in folder.reasons()["a.mp4"]
    assert (summary.taken, summary.failed) == (1, 0)
    assert folder.run(hands).done == 1


def test_what_another_gives_up_is_taken_over(folder: Folder) -> None:
    folder.put("a.mp4", "b.mp4")
    held = claimed_elsewhere(folder, "a.mp4")
    held.__enter__()

    def report(event: Event) -> None:
        folder.events.append(event)
        if isinstance(event, FileEnded) and event.source.endswith("b.mp4"):
            held.__exit__(None, None, None)

    folder.run(report=report)
    assert folder.ends() == {"b.mp4": "done", "a.mp4": "done"}


def test_a_job_that_another_runs_is_taken_too(folder: Folder) -> None:
    """`vsr upscale` into the same destination knows no claims."""
    folder.put("a.mp4", "b.mp4")
    folder.dst.mkdir()
    with locked(folder.dst / ".a.mp4.vsr-work" / "lock"):
        folder.run()
    assert folder.ends() == {"b.mp4": "done", "a.mp4": "taken"}


def claimed_elsewhere(folder: Folder, name: str):
    folder.dst.mkdir(exist_ok=True)
    return claimed(folder.dst, name)


def test_no_traces_are_left(folder: Folder) -> None:
    folder.put("a.mp4", "sub/bad.mp4")
    (folder.src / "sub" / "bad.mp4").write_bytes(b"nothing")
    folder.run()
    assert sorted(p.name for p in folder.dst.iterdir()) == ["a.mp4", "results.jsonl"]


class Steady(Here):
    """Works at a constant speed, by a clock of its own."""

    def __init__(self, speed: float) -> None:
        super().__init__()
        self.time = 1000.0
        self.speed = speed

    def run(self, tasks: Iterator[Task], tick: Tick) -> Generator[Outcome]:
        for task in tasks:
            pixels = task.job.output.width * task.job.output.height
            for done in range(1, task.chunk.frames):
                self.time += pixels / self.speed
                tick(Working(worker="steady", task=task, done=done))
            self.time += pixels / self.speed
            yield self._worker.do(task, lambda working: None)


def test_time_left_is_right_after_a_twentieth(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Peers E4: error at most 10 % after 5 %; what an earlier run made is no speed."""
    make_clip(folder.src / "0.mp4", frames=8, width=48, height=32, gop=4)
    hands = Steady(speed=10_000.0)
    settings = {"chunk_frames": 4}

    def stop(event: Event) -> None:
        if isinstance(event, FolderProgress) and event.file_done == 4:
            folder.stop.ask()

    assert folder.run(settings=settings, report=stop).left == 1
    folder.stop = Stop()
    for number in range(1, 8):
        make_clip(folder.src / f"{number}.mp4", frames=4, width=48 if number % 3 else 96, height=32)
    monkeypatch.setattr(folder_run, "Pace", lambda: Pace(lambda: hands.time))
    guesses: list[tuple[float, float, float]] = []

    def report(event: Event) -> None:
        if isinstance(event, FolderProgress) and event.eta_s is not None:
            guesses.append((event.share, hands.time, event.eta_s))

    assert folder.run(hands, settings=settings, report=report).done == 8
    end = hands.time
    late = [(time, eta) for share, time, eta in guesses if 0.05 <= share < 0.98]
    assert len(late) > 15
    for time, eta in late:
        assert eta == pytest.approx(end - time, rel=0.10)
    hands.close()


def test_a_destination_that_cannot_be_written_is_told_once(folder: Folder) -> None:
    folder.put("a.mp4", "b.mp4")
    folder.dst.write_text("a file")
    with pytest.raises(OutputError):
        folder.run()
    assert folder.ends() == {}


def test_two_workers_make_what_one_makes(folder: Folder) -> None:
    folder.put("a.mp4", "b.mp4", "c.mp4", "sub/d.mp4")
    folder.run()
    alone = {name: (folder.dst / name).read_bytes() for name in folder.tree() if name.endswith(".mp4")}
    shutil.rmtree(folder.dst)
    hands = Processes(["cpu", "cpu"])
    try:
        assert folder.run(hands).done == 4
    finally:
        hands.close()
    assert {name: (folder.dst / name).read_bytes() for name in folder.tree() if name.endswith(".mp4")} == alone


def test_a_destination_that_vanishes_is_not_made_anew(folder: Folder) -> None:
    """A disk that was unmounted: what lies under it is not to be filled."""
    folder.put("a.mp4", "b.mp4", "c.mp4")

    def report(event: Event) -> None:
        folder.events.append(event)
        if isinstance(event, FileEnded) and event.source.endswith("a.mp4"):
            folder.dst.rename(folder.root / "away")

    with pytest.raises(OutputError) as caught:
        folder.run(report=report)
    assert not folder.dst.exists()
    assert folder.ends()["c.mp4"] == "left"
    assert "files are done" in caught.value.__notes__[0]
    (folder.root / "away").rename(folder.dst)
    folder.run()
    assert folder.tree() == ["a.mp4", "b.mp4", "c.mp4", "results.jsonl"]


def test_a_dry_run_counts_what_is_there(folder: Folder) -> None:
    from vsr.jobs.folder.plan import plan_folder

    folder.put("a.mp4", "c.mp4", "d.png")
    (folder.src / "bad.mp4").write_bytes(b"nothing")
    make_clip(folder.src / "b.mp4", frames=8, width=48, height=32, gop=4)
    settings = {"chunk_frames": 4}

    def report(event: Event) -> None:
        if isinstance(event, FolderProgress) and event.file == "b.mp4":
            folder.stop.ask()

    folder.run(settings=settings, report=report)
    before = folder.tree()
    wish = Wish(source=folder.src, destination=folder.dst, skip_height=32, include=("*.mp4", "*.png"))
    plan = plan_folder(replace(wish, skip_height=None), folder.resolved(settings))
    actions = {file.source.name: file.action for file in plan.files}
    assert actions == {"a.mp4": "done", "b.mp4": "go on", "bad.mp4": "refuse", "c.mp4": "make", "d.png": "make"}
    seconds = {file.source.name: file.seconds for file in plan.files}
    assert seconds["b.mp4"] == pytest.approx(seconds["c.mp4"])  # half of it is done, and it is twice as long
    assert plan.seconds >= sum(seconds.values()) > 0
    assert folder.tree() == before
    skipped = plan_folder(wish, folder.resolved(settings))
    assert [file.action for file in skipped.files].count("skip") == 2
