"""Triplets on disk: layout, pixels against PIL, split by video, going on, failures named."""

from __future__ import annotations

import hashlib
import signal
import threading
from pathlib import Path

import cv2
import lmdb
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tests.media import make_clip
from vsr.core.errors import (
    ChangedSinceStart,
    DiskFull,
    InputError,
    OutputExists,
    PartialFailure,
    SettingsError,
    UsageError,
)
from vsr.core.events import Event, Warned
from vsr.data import manifest
from vsr.data import prepare as preparing
from vsr.data.degrade import Degradation
from vsr.data.preparation import Preparation
from vsr.data.prepare import prepare, raise_failures
from vsr.data.split import Split

SMALL = Preparation(size=(8, 32))


def photo(path: Path, height: int = 45, width: int = 70, seed: int = 0) -> Path:
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (height // 4 + 1, width // 4 + 1, 3), dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC))
    return path


def clips(folder: Path, count: int = 3) -> Path:
    folder.mkdir()
    for k in range(count):
        make_clip(folder / f"clip{k}.mp4", frames=9)
    return folder


def tree(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def pixels(path: Path) -> NDArray[np.uint8]:
    return np.asarray(Image.open(path))


def test_windows_lie_in_the_layout_of_the_multi_frame_data_set(tmp_path: Path) -> None:
    prepare(clips(tmp_path / "in", 1), tmp_path / "out", SMALL)
    names = [f"{t}/clip0/frame_{k}_{m}.png" for t, m in TREES for k in range(3)]
    assert sorted(tree(tmp_path / "out")) == sorted([*names, "manifest.jsonl"])
    shapes = {name: pixels(tmp_path / "out" / name).shape for name in names}
    assert {shape for name, shape in shapes.items() if name.startswith("lr")} == {(8, 8, 3)}
    assert {shape for name, shape in shapes.items() if not name.startswith("lr")} == {(32, 32, 3)}


TREES = (("hr_32", "hr_32"), ("lr_8", "lr_8"), ("sr_8_32", "sr_32"))


def test_hr_and_sr_are_pils_pictures_and_lr_is_matlabs(tmp_path: Path) -> None:
    source = photo(tmp_path / "in" / "a.png")
    prepare(source, tmp_path / "out", SMALL)
    hr, lr, sr = (pixels(tmp_path / "out" / name / "a.png") for name in ("hr_32", "lr_8", "sr_8_32"))
    whole = Image.open(source)
    # 70x45: 12.5 columns left out on either side; halves to even, as torchvision's center_crop has them.
    square = whole.crop((12, 0, 57, 45))
    assert (hr == np.asarray(square.resize((32, 32), Image.Resampling.BICUBIC))).all()
    assert (sr == np.asarray(Image.fromarray(lr).resize((32, 32), Image.Resampling.BICUBIC))).all()
    # The same kernel; PIL rounds between passes and weighs the border pixels otherwise.
    theirs = np.asarray(Image.fromarray(hr).resize((8, 8), Image.Resampling.BICUBIC)).astype(int)
    assert np.abs(lr - theirs)[2:-2, 2:-2].max() <= 1


def test_a_scale_keeps_the_pictures_own_size_cut_to_a_multiple(tmp_path: Path) -> None:
    source = photo(tmp_path / "a.png", 45, 70)
    prepare(source, tmp_path / "out", Preparation(scale=4))
    hr, lr, sr = (pixels(tmp_path / "out" / name / "a.png") for name in ("hr", "lr_x4", "sr_x4"))
    assert hr.shape == sr.shape == (44, 68, 3) and lr.shape == (11, 17, 3)
    assert (hr == pixels(source)[0:44, 1:69]).all()


def test_videos_not_frames_are_split_and_windows_of_one_stay_together(tmp_path: Path) -> None:
    source = clips(tmp_path / "in", 4)
    result = prepare(source, tmp_path / "out", Preparation(size=(8, 32), windows=2, split=Split(shares=(50, 50))))
    assert result.parts == {"train": 4, "val": 4} and result.windows == 8 and result.pictures == 72
    names = {part: {p.name[:5] for p in (tmp_path / "out" / part / "lr_8").iterdir()} for part in ("train", "val")}
    assert len(names["train"]) == len(names["val"]) == 2 and not names["train"] & names["val"]


def test_that_one_video_cannot_be_split_is_said(tmp_path: Path) -> None:
    said: list[Event] = []
    wish = Preparation(size=(8, 32), split=Split())
    result = prepare(clips(tmp_path / "in", 1), tmp_path / "out", wish, report=said.append)
    assert result.parts == {"train": 1, "val": 0}
    assert [event.message for event in said if isinstance(event, Warned)] == [
        f"{tmp_path / 'in'} is one video: all of it is in train, val stays empty"
    ]


def test_the_manifest_tells_where_each_window_comes_from_and_its_pictures_hashes(tmp_path: Path) -> None:
    spec = Degradation(kind="realistic", video_share=1.0)
    wish = Preparation(size=(8, 32), degradation=spec, seed=5)
    prepare(clips(tmp_path / "in", 1), tmp_path / "out", wish)
    first, window = manifest.read(tmp_path / "out" / manifest.NAME)
    assert first["seed"] == 5 and first["degradation"]["kind"] == "realistic"  # type: ignore[index]
    assert window["frames"] == [3, 4, 5] and len(window["pts"]) == 3  # type: ignore[arg-type]
    assert window["degradation"]["codec"] in ("h264", "hevc")  # type: ignore[index]
    assert window["files"] == {n: d for n, d in tree(tmp_path / "out").items() if n != manifest.NAME}


def test_the_result_depends_on_the_seed_and_not_on_the_workers(tmp_path: Path) -> None:
    source, spec = clips(tmp_path / "in"), Degradation(kind="realistic")
    for name, seed, workers in (("one", 1, 1), ("three", 1, 3), ("other", 2, 1)):
        prepare(source, tmp_path / name, Preparation(size=(8, 32), degradation=spec, seed=seed), workers=workers)
    assert tree(tmp_path / "one") == tree(tmp_path / "three")
    assert tree(tmp_path / "one") != tree(tmp_path / "other")


def test_going_on_makes_what_is_missing_and_gives_what_one_run_gives(tmp_path: Path) -> None:
    source = clips(tmp_path / "in")
    wish = Preparation(size=(8, 32), windows=2)
    prepare(source, tmp_path / "whole", wish)
    out = tmp_path / "out"
    prepare(source, out, wish)
    # As a kill leaves it: the last clip not noted, a window of it half there, one being written, a torn line.
    lines = (out / manifest.NAME).read_bytes().splitlines(keepends=True)
    (out / manifest.NAME).write_bytes(b"".join(lines[:-2]) + lines[-2][:40])
    (out / "lr_8" / "clip2_w0000" / "frame_1_lr_8.png").unlink()
    (out / ".vsr-part-left").mkdir()
    (out / "sr_8_32" / ".vsr-part-left.png").touch()
    result = prepare(source, out, wish)
    assert result.resumed == 4 and result.windows == 6
    assert tree(out) == tree(tmp_path / "whole")


def test_other_settings_or_clips_are_refused_and_overwrite_makes_it_anew(tmp_path: Path) -> None:
    source = clips(tmp_path / "in")
    prepare(source, tmp_path / "out", SMALL)
    with pytest.raises(ChangedSinceStart, match="stride, seed differ"):
        prepare(source, tmp_path / "out", Preparation(size=(8, 32), stride=2, seed=1))
    make_clip(source / "clip9.mp4", frames=9)
    with pytest.raises(ChangedSinceStart, match="clips"):
        prepare(source, tmp_path / "out", SMALL)
    (tmp_path / "out" / "mine.txt").write_text("stays")
    prepare(source, tmp_path / "out", Preparation(scale=2), overwrite=True)
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        "hr",
        "lr_x2",
        "manifest.jsonl",
        "mine.txt",
        "sr_x2",
    ]


def test_a_folder_with_other_things_is_not_touched(tmp_path: Path) -> None:
    photo(tmp_path / "out" / "mine.png")
    with pytest.raises(OutputExists, match="not empty"):
        prepare(photo(tmp_path / "a.png"), tmp_path / "out", SMALL, overwrite=True)
    assert list(tree(tmp_path / "out")) == ["mine.png"]


def test_bad_files_are_named_and_counted_and_the_others_made(tmp_path: Path) -> None:
    """Upstream put another item in the place of one it could not read."""
    source = tmp_path / "in"
    photo(source / "good.png")
    photo(source / "tiny.png", 20, 20)
    (source / "broken.png").write_bytes(photo(source / "x.png").read_bytes()[:200])
    (source / "x.png").unlink()
    result = prepare(source, tmp_path / "out", SMALL)
    assert sorted(failed.path.name for failed in result.failed) == ["broken.png", "tiny.png"]
    assert [p.name for p in (tmp_path / "out" / "hr_32").iterdir()] == ["good.png"]
    with pytest.raises(PartialFailure, match="20x20") as partial:
        raise_failures(result)
    assert "broken.png" in partial.value.message and partial.value.exit_code == 9


def test_where_nothing_can_be_used_nothing_is_left(tmp_path: Path) -> None:
    photo(tmp_path / "in" / "tiny.png", 8, 8)
    with pytest.raises(InputError, match="8x8"):
        prepare(tmp_path / "in", tmp_path / "out", SMALL)
    assert not (tmp_path / "out").exists()


def test_frames_of_mixed_sizes_are_a_named_failure(tmp_path: Path) -> None:
    for k in range(4):
        photo(tmp_path / "in" / "a" / f"{k}.png")
        photo(tmp_path / "in" / "b" / f"{k}.png", 45 + k, 70)
    result = prepare(tmp_path / "in", tmp_path / "out", SMALL)
    (failed,) = result.failed
    assert failed.path.name == "b" and "70x46" in failed.why and result.windows == 1


def test_the_store_has_a_picture_for_each_file(tmp_path: Path) -> None:
    prepare(clips(tmp_path / "in", 2), tmp_path / "out", SMALL, lmdb=True)
    with lmdb.open(str(tmp_path / "out" / "lmdb"), readonly=True, lock=False) as env, env.begin() as transaction:
        assert transaction.get(b"length") == b"6"
        stored = bytes(transaction.get(b"sr_8_32_00004"))
    assert stored == (tmp_path / "out" / "sr_8_32" / "clip1" / "frame_1_sr_32.png").read_bytes()
    with pytest.raises(UsageError, match="--size"):
        prepare(tmp_path / "in", tmp_path / "other", Preparation(scale=2), lmdb=True)


@pytest.mark.parametrize("wrong", [{"size": (16, 100)}, {"size": (32, 8)}, {"scale": 1}, {"scale": 2, "frames": 0}])
def test_settings_that_cannot_be_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(SettingsError):
        Preparation(**wrong)  # type: ignore[arg-type]


def test_another_file_of_the_same_name_is_not_taken_for_the_one_prepared(tmp_path: Path) -> None:
    out = tmp_path / "out"
    first, second = photo(tmp_path / "one" / "a.png"), photo(tmp_path / "two" / "a.png", seed=1)
    prepare(first, out, SMALL)
    before = tree(out)
    with pytest.raises(ChangedSinceStart, match=r"two/a\.png is not the file"):
        prepare(second, out, SMALL)
    assert tree(out) == before
    prepare(second, out, SMALL, overwrite=True)
    prepare(second, tmp_path / "fresh", SMALL)
    assert tree(out) == tree(tmp_path / "fresh")


def test_overwrite_removes_what_a_killed_run_had_not_noted(tmp_path: Path) -> None:
    source, out = clips(tmp_path / "in", 2), tmp_path / "out"
    prepare(source, out, Preparation(size=(8, 32), windows=2), lmdb=True)
    first, second, *_ = (out / manifest.NAME).read_bytes().splitlines(keepends=True)
    (out / manifest.NAME).write_bytes(first + second)
    (out / "hr_32" / "mine.txt").write_text("stays")
    prepare(source, out, SMALL, overwrite=True)
    prepare(source, tmp_path / "fresh", SMALL)
    assert tree(out) == {**tree(tmp_path / "fresh"), "hr_32/mine.txt": hashlib.sha256(b"stays").hexdigest()}
    assert not (out / "lmdb").exists()


def test_a_part_whose_only_video_is_bad_is_said_to_be_empty(tmp_path: Path) -> None:
    source, told = clips(tmp_path / "in", 3), list[Event]()
    wish = Preparation(size=(8, 32), split=Split())
    held = prepare(source, tmp_path / "whole", wish)
    assert held.parts == {"train": 2, "val": 1}
    (name,) = (path.name for path in (tmp_path / "whole" / "val" / "hr_32").iterdir())
    (source / f"{name}.mp4").write_bytes(b"no video at all")
    result = prepare(source, tmp_path / "out", wish, report=told.append)
    assert result.parts == {"train": 2, "val": 0}
    assert any(isinstance(event, Warned) and "val is empty" in event.message for event in told)


def test_stopped_inside_a_clip_it_ends_soon_and_leaves_nothing_unnoted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A clip may be a film: whoever interrupts does not wait for its end."""
    source, out = make_clip(tmp_path / "long.mp4", frames=240), tmp_path / "out"
    written, calls = preparing.write_whole, list[Path]()

    def write(target: Path, data: bytes) -> None:
        written(target, data)
        calls.append(target)
        if len(calls) == 10:
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    monkeypatch.setattr(preparing, "write_whole", write)
    with pytest.raises(KeyboardInterrupt):
        prepare(source, out, Preparation(scale=2, windows=20), workers=1)
    assert [path.name for path in out.iterdir()] == [manifest.NAME] and len(calls) < 180


def test_a_full_disk_leaves_nothing_half_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(target: Path, data: bytes) -> None:
        target.write_bytes(data[:10])
        raise DiskFull(f"no space left for {target}")

    monkeypatch.setattr(preparing, "write_whole", full)
    with pytest.raises(DiskFull):
        prepare(clips(tmp_path / "in", 1), tmp_path / "out", SMALL)
    assert [path.name for path in (tmp_path / "out").iterdir()] == [manifest.NAME]
