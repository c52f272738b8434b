"""Disks that are full, folders that go away or may not be written to, and a result on another disk than all else."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.conftest import CHUNK, MakeScene, Scene, Tell

FORCED = ("-m", "bicubic", "--codec", "ffv1", "--chunk-frames", CHUNK, "--force")  # else the forecast refuses first


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small file system of its own: 8 MiB in memory, until it is remounted smaller."""
    place = tmp_path / "disk"
    place.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8m", "none", str(place)], capture_output=True, text=True, check=False
    )
    if made.returncode:
        pytest.skip(f"no file system can be mounted here: {made.stderr.strip()}")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def remount(disk: Path, how: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{how}", str(disk)], check=True)


@pytest.mark.parametrize("step", [pytest.param(7, id="some"), pytest.param(1, id="every", marks=pytest.mark.slow)])
def test_disk_is_full_at_any_page(step: int, disk: Path, make_scene: MakeScene, tell: Tell) -> None:
    """Too small by every number of pages: full while the folder is made, encoding, journalling, joining."""
    scene = make_scene(words=FORCED)
    scene.out = disk / "out.mkv"
    seen = set()
    for pages in range(1, 100, step):
        shutil.rmtree(scene.work, ignore_errors=True)
        scene.out.unlink(missing_ok=True)
        remount(disk, f"size={pages * 4096}")
        ended = scene.run()
        scene.is_honest(ended)
        assert ended.left == []
        seen.add((ended.code, scene.done()))
        remount(disk, "size=8m")
        again = scene.run() if ended.code else ended
        scene.is_right(again)
        assert [entry.name for entry in disk.iterdir()] == ["out.mkv"]
        tell("the disk becomes full, at any byte of the way (encoding, journalling, joining)", lost=scene.lost(),
             message=scene.said(ended).replace(f"{disk}/", ""))  # fmt: skip
        if ended.code == 0:
            break
    assert {code for code, _ in seen} == {0, 6}
    assert step > 1 or {done for _, done in seen} >= {0, 1, 2, 3, 4, 5, 6}


@pytest.mark.parametrize("when", ["encoding", "joining"])
def test_file_may_not_grow(when: str, make_scene: MakeScene, tell: Tell) -> None:
    """A limit on a file's size stops FFmpeg's own writes, as a full disk would."""
    scene = make_scene(words=FORCED)
    scene.partly()
    largest = max(path.stat().st_size for path in scene.work.glob("*.nut"))
    most = largest // 2 if when == "encoding" else 2 * largest
    ended = scene.run(("file_size", {"most": most}))
    assert ended.code == 6, ended.err
    assert scene.done() == (3 if when == "encoding" else 6)
    assert not scene.out.exists()
    scene.is_right(scene.run())
    tell(f"a file may not grow any more while {when} (ulimit -f)", lost=scene.lost(), message=scene.said(ended))


@pytest.mark.parametrize("record", [1, 2, 5, 8])
def test_disk_is_full_while_journalling(record: int, scene: Scene, tell: Tell) -> None:
    plant = {
        "folder": str(scene.work / "journal.jsonl"),
        "kinds": ["write"],
        "at": record,
        "how": "ENOSPC",
        "torn": True,
    }
    ended = scene.run(("calls", plant))
    assert ended.code == 6
    assert "no space left" in ended.message and "hint:" in ended.err
    assert scene.done() == max(0, record - 2)
    scene.is_right(scene.run())
    tell("the disk becomes full while a record is written to the journal", lost=scene.lost(), message=scene.said(ended))


AWAY = {
    "is moved away": ("path.rename(path.with_name('away'))", lambda path: path.with_name("away").rename(path)),
    "is removed": ("exec('while path.exists(): shutil.rmtree(path, ignore_errors=True)')", lambda path: path.mkdir()),
    "is replaced by a file": (
        "path.rename(path.with_name('away')); path.write_text('')",
        lambda path: (path.unlink(), path.with_name("away").rename(path)),
    ),
}


@pytest.mark.parametrize("change", AWAY)
@pytest.mark.parametrize("when", ["encoding", "joining"])
def test_folder_goes_away(change: str, when: str, scene: Scene, tell: Tell) -> None:
    there = scene.folder / "there"
    there.mkdir()
    scene.out, scene.extra = there / "out.mkv", {"there"}
    text, mend = AWAY[change]
    script = f"import pathlib, shutil; path = pathlib.Path({str(there)!r}); {text}"
    plant = (
        ("once_at", {"frame": 9, "script": script}) if when == "encoding" else ("before_publishing", {"script": script})
    )
    ended = scene.run(plant)
    assert ended.code in (6, 7), ended.err
    assert "Traceback" not in ended.err
    mend(there)
    scene.is_right(scene.run())
    assert [entry.name for entry in there.iterdir()] == ["out.mkv"]
    tell(f"the output's folder {change} while {when}", lost=scene.lost(), message=scene.said(ended))


@pytest.mark.parametrize("when", ["encoding", "joining"])
def test_disk_becomes_read_only(when: str, disk: Path, scene: Scene, tell: Tell) -> None:
    scene.out = disk / "out.mkv"
    # Forced: the kernel refuses while a file is open for writing, as the journal is.
    script = f"import subprocess; subprocess.run(['chattr', '+i', {str(scene.work)!r}, {str(disk)!r}], check=True)"
    if subprocess.run(["chattr", "+i", str(disk)], capture_output=True, check=False).returncode:
        pytest.skip("this file system cannot make a folder immutable, and root may write anywhere else")
    subprocess.run(["chattr", "-i", str(disk)], check=True)
    plant = (
        ("once_at", {"frame": 9, "script": script}) if when == "encoding" else ("before_publishing", {"script": script})
    )
    ended = scene.run(plant)
    subprocess.run(["chattr", "-i", str(scene.work), str(disk)], check=True)
    assert ended.code == 6, ended.err
    assert "Traceback" not in ended.err
    scene.is_right(scene.run())
    tell(f"the output's folder becomes read-only while {when}", lost=scene.lost(),
         message=scene.said(ended).replace(f"{disk}/", ""))  # fmt: skip


def test_folder_is_read_only_from_the_start(disk: Path, scene: Scene, tell: Tell) -> None:
    scene.out = disk / "out.mkv"
    remount(disk, "ro")
    ended = scene.run()
    remount(disk, "rw")
    assert ended.code == 6 and "hint:" in ended.err
    scene.is_right(scene.run())
    tell("the output's disk is read-only", lost=scene.lost(), message=scene.said(ended).replace(f"{disk}/", ""))


def test_result_on_another_disk_than_source_and_temporary_files(disk: Path, scene: Scene) -> None:
    scene.out = disk / "out.mkv"
    scene.is_right(scene.run(env={"TMPDIR": str(scene.folder)}))
    assert [entry.name for entry in disk.iterdir()] == ["out.mkv"]


@pytest.mark.parametrize("temporary", ["/nonexistent", "/proc"])
def test_temporary_folder_of_the_system_is_not_needed(temporary: str, scene: Scene) -> None:
    scene.is_right(scene.run(env={"TMPDIR": temporary}))


def test_a_result_that_was_there_stays_until_the_new_one_is_whole(scene: Scene, tell: Tell) -> None:
    scene.out.write_bytes(b"the old one")
    words = ("--overwrite",)
    script = "import os; os.kill(os.getpid(), 9)"
    for plant in (("once_at", {"frame": 9, "script": script}), ("before_publishing", {"script": script})):
        assert scene.run(plant, more=words).code == -9
        assert scene.out.read_bytes() == b"the old one"
    ended = scene.run()
    assert (ended.code, "--overwrite" in ended.err) == (6, True)
    scene.is_right(scene.run(more=words))
    tell(
        "the process is killed while it makes a result that shall replace an old one",
        times=2,
        lost=scene.lost(),
        message="",
    )


def test_nothing_is_left_in_the_systems_temporary_folder(scene: Scene) -> None:
    place = scene.folder.with_name("tmp")
    place.mkdir()
    scene.is_right(scene.run(env={"TMPDIR": str(place)}))
    assert list(place.iterdir()) == []
