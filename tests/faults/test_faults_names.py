"""Names as people and scripts make them, links that lead somewhere or nowhere, and two at the same job."""

from __future__ import annotations

import os
import shutil
import signal

import pytest

from tests.faults.conftest import Scene, Tell
from tests.faults.test_faults_kill import wait_for

NAMES = [
    "тест 試験 🎬",
    'it\'s "quoted" `$(rm)`; & | * ?',
    "100%d %s %05d %",
    "new\nline",
    "-leading dash",
    "--overwrite",
    "~ [brackets] {braces} #hash",
    "a" * 251,
    "é" * 125,
    ".hidden",
    "back\\slash",
    "file:colon,comma",
    " spaces at both ends ",
]


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
def test_name(name: str, scene: Scene, tell: Tell) -> None:
    """As source, as destination, and as both; after a kill too."""
    scene.clip = scene.clip.rename(scene.folder / f"{name}.mkv")
    there = scene.folder / (name + "é"[: len(name) < 100])
    there.mkdir()
    scene.out, scene.extra = there / f"{name}.mkv", {there.name}
    script = "import os; os.kill(os.getpid(), 9)"
    assert scene.run(("once_at", {"frame": 12, "script": script})).code == -9
    ended = scene.run()
    scene.is_right(ended)
    assert [entry.name for entry in there.iterdir()] == [scene.out.name]
    tell("the process is killed; names with quotes, line ends, %d, dashes, 255 bytes, any script",
         lost=scene.lost(), message="")  # fmt: skip


def test_relative_name_with_a_leading_dash(scene: Scene) -> None:
    scene.clip.rename(scene.folder / "-in.mkv")
    words = ("upscale", *scene.words, "-o", "-out.mkv", "--", "-in.mkv")
    ended = scene.forks.run(words, cwd=scene.folder)
    assert ended.code == 0, ended.err
    assert (scene.folder / "-out.mkv").read_bytes() == scene.wanted.read_bytes()


def test_name_that_is_valid_in_no_encoding(scene: Scene, tell: Tell) -> None:
    name = os.fsdecode(b"caf\xe9.mkv")
    scene.clip = scene.clip.rename(scene.folder / name)
    scene.out = scene.folder / os.fsdecode(b"out\xff.mkv")
    ended = scene.run()
    assert "Traceback" not in ended.err
    if ended.code:
        assert ended.code in (3, 6)
        assert scene.leftovers() == []
    else:
        scene.is_right(ended)
    tell("a name that is valid in no encoding", lost=0, message=scene.said(ended))


def test_name_that_is_too_long(scene: Scene) -> None:
    scene.out = scene.folder / ("b" * 252 + ".mkv")
    ended = scene.run()
    assert (ended.code, "too long" in ended.message) == (6, True), ended.err


def test_result_through_a_link(scene: Scene) -> None:
    there = scene.folder / "there"
    there.mkdir()
    (there / "real.mkv").write_bytes(b"old")
    scene.extra = {"there"}
    scene.out.symlink_to("there/real.mkv")
    script = "import os; os.kill(os.getpid(), 9)"
    assert scene.run(("once_at", {"frame": 12, "script": script}), more=("--overwrite",)).code == -9
    scene.is_right(scene.run(more=("--overwrite",)))
    assert scene.out.is_symlink()
    assert [entry.name for entry in there.iterdir()] == ["real.mkv"]


@pytest.mark.parametrize("which", ["result", "source", "folder"])
def test_link_that_leads_in_a_circle(which: str, scene: Scene, tell: Tell) -> None:
    loop = scene.folder / "loop.mkv"
    loop.symlink_to("loop2.mkv")
    (scene.folder / "loop2.mkv").symlink_to("loop.mkv")
    scene.extra = {"loop.mkv", "loop2.mkv"}
    clip, out = scene.clip, scene.out
    if which == "result":
        scene.out = loop
    elif which == "source":
        scene.clip = loop
    else:
        scene.out = loop / "out.mkv"
    ended = scene.run()
    assert ended.code in (3, 6), ended.err
    assert ended.message
    scene.clip, scene.out = clip, out
    scene.is_right(scene.run())
    tell("a link leads in a circle", lost=scene.lost(), message=scene.said(ended))


def test_link_that_leads_nowhere(scene: Scene) -> None:
    scene.out.symlink_to("there.mkv")
    scene.extra = {"there.mkv"}
    scene.is_right(scene.run())
    assert scene.out.is_symlink()


def test_two_at_the_same_job(scene: Scene, tell: Tell) -> None:
    first = scene.start(("slow_engine", {"seconds": 0.3}))
    wait_for(scene, 1)
    second = scene.run()
    assert second.code == 7
    assert f"process {first.pid} " in second.message
    ended = scene.end(first)
    scene.is_right(ended)
    tell(
        "two processes are given the same job",
        lost=scene.lost(),
        message=scene.said(second).replace(str(first.pid), "N"),
    )


def test_lock_of_a_dead_process_holds_nobody_up(scene: Scene, tell: Tell) -> None:
    scene.partly()
    assert (scene.work / "lock").exists()
    scene.is_right(scene.run())
    tell("the lock file of a killed process", lost=scene.lost(), message="")


def test_stopped_process_keeps_its_job(scene: Scene) -> None:
    """SIGSTOP is no death: nobody else may take the job."""
    first = scene.start(("slow_engine", {"seconds": 0.1}))
    wait_for(scene, 1)
    first.send(signal.SIGSTOP)
    second = scene.run()
    first.send(signal.SIGCONT)
    assert second.code == 7
    scene.is_right(scene.end(first))


def test_work_folder_that_was_copied_elsewhere(scene: Scene) -> None:
    scene.partly()
    kept = scene.folder.with_name("kept")
    shutil.copytree(scene.work, kept)
    shutil.rmtree(scene.work)
    shutil.copytree(kept, scene.work)
    ended = scene.run()
    scene.is_right(ended)
    assert "going on: 3 of 6" in ended.err


@pytest.mark.parametrize("seconds", [3600.0, -3600.0])
def test_clock_jumps(seconds: float, scene: Scene, tell: Tell) -> None:
    script = "import os; os.kill(os.getpid(), 9)"
    jumps = ("clock_jumps", {"seconds": seconds})
    assert scene.run(jumps, ("once_at", {"frame": 12, "script": script})).code == -9
    ended = scene.run(jumps)
    scene.is_right(ended)
    assert "going on: 3 of 6" in ended.err
    tell(
        f"the clocks jump an hour {'forth' if seconds > 0 else 'back'}, again and again", lost=scene.lost(), message=""
    )
