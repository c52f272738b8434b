"""`vsr batch` as a process: several at a time, killed, stopped, watching."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.media import make_clip, numbers_of

VSR = [sys.executable, "-m", "vsr"]
QUICK = ["-m", "bicubic", "--scale", "2", "--encoder-preset", "ultrafast"]


def start(*words: object) -> subprocess.Popen[str]:
    said = [*VSR, "batch", *map(str, words), *QUICK]
    return subprocess.Popen(said, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def results(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "results.jsonl").read_text().splitlines()]


def done(folder: Path) -> Counter[str]:
    return Counter(line["destination"] for line in results(folder) if line["status"] == "done")


def wait_for(what: Callable[[], bool], seconds: float = 30) -> None:
    until = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < until
        time.sleep(0.05)


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    """Give a folder of ten clips."""
    first = make_clip(tmp_path / "clip.mp4", frames=4, width=48, height=32)
    (tmp_path / "src" / "sub").mkdir(parents=True)
    for number in range(10):
        shutil.copyfile(first, tmp_path / "src" / ("sub" if number % 2 else ".") / f"{number}.mp4")
    return tmp_path / "src"


def test_a_folder_is_made_and_the_second_run_has_nothing_to_do(vsr, clips, tmp_path):
    (clips / "bad.mp4").write_bytes(b"nothing")
    first = vsr("batch", clips, tmp_path / "dst", *QUICK)
    assert first.code == 9
    assert "10 done, 1 failed" in first.out
    assert "is not a media file" in first.out
    assert "error: 1 file failed, 10 are done" in first.err
    assert "results.jsonl tells why" in first.err
    assert numbers_of(tmp_path / "dst" / "sub" / "1.mp4") == [0, 1, 2, 3]
    (clips / "bad.mp4").unlink()
    second = vsr("batch", clips, tmp_path / "dst", *QUICK)
    assert (second.code, second.out) == (0, f"{tmp_path / 'dst'}: 10 done earlier\n")
    assert sum(done(tmp_path / "dst").values()) == 10


def test_with_json_every_event_is_an_object(vsr, clips, tmp_path):
    ended = vsr("batch", clips, tmp_path / "dst", *QUICK, "--json", "--include", "0.mp4", "--include", "sub/1.mp4")
    assert ended.code == 0
    kinds = Counter(event["event"] for event in ended.events)
    assert kinds["folder"] == kinds["folder_summary"] == 1
    assert kinds["file"] == 2
    assert kinds["folder_progress"] >= 1
    (file, _) = (event for event in ended.events if event["event"] == "file")
    assert (file["status"], file["summary"]["frames_out"]) == ("done", 4)
    assert ended.events[-1]["done"] == 2


def test_a_dry_run_writes_nothing(vsr, clips, tmp_path):
    ended = vsr("batch", clips, tmp_path / "dst", *QUICK, "--dry-run", "--skip-height", "100")
    assert ended.code == 0
    assert "10 to make" in ended.out and "are free" in ended.out
    assert not (tmp_path / "dst").exists()
    plan = json.loads(vsr("batch", clips, tmp_path / "dst", *QUICK, "--dry-run", "--json").out)
    assert [file["action"] for file in plan["files"]] == ["make"] * 10
    assert plan["seconds"] > 0 and plan["bytes"] == sum(file["bytes"] for file in plan["files"]) > 0


def test_two_processes_do_every_file_exactly_once(clips, tmp_path):
    runs = [start(clips, tmp_path / "dst", "--json") for _ in range(2)]
    told = []
    for run in runs:
        out, err = run.communicate(timeout=60)
        assert run.returncode == 0, err
        told += [json.loads(line) for line in out.splitlines()]
    assert done(tmp_path / "dst") == Counter({f"{'sub/' * (n % 2)}{n}.mp4": 1 for n in range(10)})
    ends = Counter(event["status"] for event in told if event["event"] == "file")
    assert ends["done"] == 10
    assert set(ends) <= {"done", "taken", "earlier"}
    assert sorted(p.name for p in (tmp_path / "dst").iterdir()) == sorted(
        ["0.mp4", "2.mp4", "4.mp4", "6.mp4", "8.mp4", "results.jsonl", "sub"]
    )


def test_killed_at_any_moment_it_goes_on(clips, tmp_path):
    """SIGKILL, twice: every file once, none of them half, nothing else left."""
    dst = tmp_path / "dst"
    for more in (2, 3):
        run = start(clips, dst)
        before = sum(done(dst).values()) if dst.exists() and (dst / "results.jsonl").exists() else 0
        wait_for(lambda: (dst / "results.jsonl").exists() and sum(done(dst).values()) >= before + more)  # noqa: B023
        run.kill()
        run.communicate()
    kept = {p: p.stat().st_mtime_ns for p in dst.rglob("*.mp4")}
    assert 5 <= len(kept) < 10
    assert subprocess.run([*VSR, "batch", str(clips), str(dst), *QUICK], check=False).returncode == 0
    assert set(done(dst).values()) == {1} and len(done(dst)) == 10
    for path, changed in kept.items():
        assert path.stat().st_mtime_ns == changed
    for number in range(10):
        assert numbers_of(dst / ("sub" if number % 2 else ".") / f"{number}.mp4") == [0, 1, 2, 3]
    assert [p.name for p in dst.rglob(".*")] == []


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_it_after_the_chunk_in_hand(number, code, tmp_path):
    (tmp_path / "src").mkdir()
    for name in ("a.mkv", "b.mkv"):
        make_clip(tmp_path / "src" / name, frames=300, width=320, height=240)
    run = start(tmp_path / "src", tmp_path / "dst", "--json", "--chunk-frames", "20")
    assert run.stdout is not None
    for line in run.stdout:
        if json.loads(line)["event"] == "folder_progress":
            break
    run.send_signal(number)
    rest, err = run.communicate(timeout=30)
    assert run.returncode == code, err
    told = [json.loads(line) for line in rest.splitlines()]
    ends = [event for event in told if event["event"] == "file"]
    assert [event["status"] for event in ends] == ["left", "left"]
    assert ends[0]["reason"].startswith("stopped: ") and ends[1]["reason"] == "not begun"
    assert told[-1]["kind"] == "Interrupted" and "same command" in told[-1]["hint"]
    assert [p.name for p in (tmp_path / "dst").iterdir() if p.suffix == ".mkv"] == []


def test_watching_takes_what_is_complete_and_ends_cleanly(clips, tmp_path):
    src, dst = tmp_path / "inbox", tmp_path / "outbox"
    src.mkdir()
    whole = (clips / "0.mp4").read_bytes()
    run = start(src, dst, "--watch", "--settle", "0.3", "--json")
    time.sleep(0.5)
    shutil.copyfile(clips / "0.mp4", src / "first.mp4")
    (src / "slow.mp4").write_bytes(whole[: len(whole) // 3])  # its index is still to come
    wait_for(lambda: (dst / "results.jsonl").exists() and done(dst)["first.mp4"] == 1)
    time.sleep(1.5)
    assert not (dst / "slow.mp4").exists()
    (src / "slow.mp4").write_bytes(whole)
    wait_for(lambda: done(dst)["slow.mp4"] == 1)
    src.rename(tmp_path / "away")
    time.sleep(1.5)
    assert run.poll() is None
    (tmp_path / "away").rename(src)
    shutil.copyfile(clips / "0.mp4", src / "late.mp4")
    wait_for(lambda: done(dst)["late.mp4"] == 1)
    time.sleep(0.3)
    run.send_signal(signal.SIGINT)
    out, err = run.communicate(timeout=20)
    assert run.returncode == 0, err
    told = [json.loads(line) for line in out.splitlines()]
    assert told[-1]["event"] == "folder_summary" and told[-1]["done"] == 3
    notes = [event["message"] for event in told if event["event"] == "warning"]
    assert any("slow.mp4 is waited for" in note for note in notes)
    assert any("inbox does not exist: it is waited for" in note for note in notes)
    assert sorted(p.name for p in dst.iterdir()) == ["first.mp4", "late.mp4", "results.jsonl", "slow.mp4"]
