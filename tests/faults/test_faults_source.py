"""A source, or what is asked of it, that changes: during the job, or between two runs of it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.faults.conftest import CHUNK, MakeScene, Scene, Tell
from tests.media import make_images

CHANGES = {
    "is cut short": "data = path.read_bytes(); path.write_bytes(data[: len(data) // 2])",
    "becomes another": "path.write_bytes(path.with_name('other').read_bytes())",
    "is removed": "path.unlink()",
    "has a byte changed": "data = bytearray(path.read_bytes()); data[len(data) * 3 // 5] ^= 1; path.write_bytes(data)",
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("frame", [CHUNK + 1, 5 * CHUNK])
def test_source_changes_during_the_job(
    change: str, frame: int, scene: Scene, make_scene: MakeScene, tell: Tell
) -> None:
    """What was made from the changed source is not kept: with the old one in its place the result is right."""
    other = make_scene(frames=24, gop=5, name="another")
    kept = shutil.copy2(scene.clip, scene.folder.with_name("kept"))
    shutil.copy2(other.clip, scene.folder / "other")
    scene.extra.add("other")
    script = f"import pathlib; path = pathlib.Path({str(scene.clip)!r}); {CHANGES[change]}"
    ended = scene.run(("once_at", {"frame": frame, "script": script}))
    assert ended.code in (3, 7), ended.err
    assert "has changed" in ended.message or "in.mkv" in ended.message
    assert not scene.out.exists()
    shutil.copy2(kept, scene.clip)
    scene.is_right(scene.run())
    tell(f"the source {change} during the job", lost=scene.lost(), message=scene.said(ended))


def test_source_that_is_only_touched_is_the_same(scene: Scene) -> None:
    script = f"import os; os.utime({str(scene.clip)!r}, (1, 1))"
    scene.is_right(scene.run(("once_at", {"frame": 9, "script": script})))


def test_source_becomes_another_between_two_runs(scene: Scene, make_scene: MakeScene, tell: Tell) -> None:
    other = make_scene(gop=5, name="another")
    kept = shutil.copy2(scene.clip, scene.folder.with_name("kept"))
    scene.partly()
    shutil.copy2(other.clip, scene.clip)
    ended = scene.run()
    assert ended.code == 7
    assert "the source's content changed" in ended.message
    assert "--restart" in ended.err
    assert scene.done() == 3, "what is done stays until the user says otherwise"
    anew = scene.run(more=("--restart",))
    assert anew.code == 0, anew.err
    assert scene.out.read_bytes() == other.wanted.read_bytes()
    scene.fresh()
    shutil.copy2(kept, scene.clip)
    scene.is_right(scene.run())
    tell("the source becomes another between two runs", lost=scene.lost(), message=scene.said(ended))


def middle_byte(path: Path) -> None:
    data = bytearray(path.read_bytes())
    assert len(data) > 5 << 19, "its middle lies outside what a look at both ends would see"
    data[len(data) // 2 + 1234] ^= 0x40
    stat = path.stat()
    path.write_bytes(data)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def test_byte_in_the_middle_of_the_source_changes_between_two_runs(make_scene: MakeScene, tell: Tell) -> None:
    scene = make_scene(codec="rawvideo", width=320, height=240, audio=0)
    kept = shutil.copy2(scene.clip, scene.folder.with_name("kept"))
    scene.partly()
    middle_byte(scene.clip)
    ended = scene.run()
    assert ended.code == 7, "the change went unseen"
    assert "the source" in ended.message and "changed" in ended.message
    shutil.copy2(kept, scene.clip)
    scene.is_right(scene.run())
    tell("one byte in the middle of the source changes between two runs", lost=scene.lost(), message=scene.said(ended))


SETTINGS: dict[str, tuple[str, ...]] = {
    "model": ("-m", "lanczos"),
    "scale": ("-s", "3"),
    "seed": ("--seed", "5"),
    "encoder": ("--codec", "h264"),
    "pixel_format": ("--pix-fmt", "yuv444p"),
    "chunk_frames": ("--chunk-frames", "5"),
    "decoder": ("--decoder", "ffmpeg"),
}


@pytest.mark.parametrize("name", SETTINGS)
def test_setting_changes_between_two_runs(name: str, scene: Scene, tell: Tell) -> None:
    scene.partly()
    ended = scene.run(more=SETTINGS[name])
    assert ended.code == 7, ended.err
    assert name in ended.message
    assert scene.done() == 3
    scene.is_right(scene.run())
    tell("a setting that touches a pixel changes between two runs", lost=scene.lost(), message=scene.said(ended))


def test_quality_changes_between_two_runs_and_the_job_begins_anew(make_scene: MakeScene) -> None:
    words = ("-m", "bicubic", "--codec", "h264", "--crf", 20, "--chunk-frames", CHUNK)
    scene = make_scene(words=words, width=320, height=192)
    scene.partly()
    ended = scene.run(more=("--crf", 30))
    assert (ended.code, "crf" in ended.message) == (7, True)
    assert scene.run(more=("--crf", 30, "--restart")).code == 0
    assert scene.leftovers() == []
    assert scene.out.stat().st_size < scene.wanted.stat().st_size


def test_one_of_many_pictures_changes_during_the_job(scene: Scene, tell: Tell) -> None:
    shots, made = scene.folder / "shots", scene.folder / "made"
    files = make_images(shots, count=12)
    command = ("upscale", shots, "-o", made, "-m", "bicubic", "--chunk-frames", CHUNK)
    assert scene.forks.run(command).code == 0
    wanted = [file.read_bytes() for file in sorted(made.iterdir())]
    shutil.rmtree(made)
    kept = files[6].read_bytes()
    script = f"import shutil; shutil.copyfile({str(files[0])!r}, {str(files[6])!r})"
    ended = scene.forks.run(command, ("once_at", {"frame": 5, "script": script}))
    assert (ended.code, "has changed" in ended.message) == (7, True), ended.err
    files[6].write_bytes(kept)
    assert scene.forks.run(command).code == 0
    assert [file.read_bytes() for file in sorted(made.iterdir())] == wanted
    assert {entry.name for entry in scene.folder.iterdir()} == {"in.mkv", "shots", "made"}
    tell("one of many pictures changes during the job", lost=0, message=scene.said(ended))
