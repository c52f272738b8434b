"""Finding and reading test sets: names, pairs, and what is refused."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from tests.media import make_clip
from tests.textures import textured
from vsr.core.errors import DecodeError, InputError, InputMissing, NotMedia, UnsupportedInput
from vsr.data.degrade import Degradation
from vsr.evaluation import protocol
from vsr.evaluation.testsets import find, read


def write(path: Path, *, seed: int = 0, height: int = 52, width: int = 62, grey: bool = False) -> np.ndarray:
    """Write a picture and give what was written, (H, W, 3) RGB or (H, W)."""
    rgb = (textured(seed, height, width) * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = rgb[..., 1] if grey else rgb
    cv2.imwrite(str(path), picture if grey else np.ascontiguousarray(rgb[..., ::-1]))
    return picture


def test_a_folder_is_its_pictures_in_natural_order_and_nothing_else(tmp_path: Path) -> None:
    for name in ("b10.png", "b2.png", ".hidden.png"):
        write(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no picture")
    found = find(tmp_path)
    assert [clip.name for clip in found.clips] == ["b2.png", "b10.png"]
    assert found.name == tmp_path.name
    assert not found.has_video


def test_folders_within_are_searched_where_there_is_nothing_at_the_top(tmp_path: Path) -> None:
    write(tmp_path / "one" / "frame_0_hr_128.png")
    write(tmp_path / "two" / "frame_0_hr_128.png")
    assert [clip.name for clip in find(tmp_path).clips] == ["one/frame_0_hr_128.png", "two/frame_0_hr_128.png"]


def test_lr_is_found_by_the_name_but_for_its_mark(tmp_path: Path) -> None:
    pairs = [("0801.png", "0801x4.png"), ("frame_0_hr_128.png", "frame_0_lr_16.png"), ("img_1_HR.png", "img_1_LR.png")]
    for full, small in pairs:
        write(tmp_path / "hr" / full)
        write(tmp_path / "lr" / small, height=13, width=15)
    found = find(tmp_path / "hr", lr=tmp_path / "lr")
    assert {(clip.path.name, clip.lr.name if clip.lr else "") for clip in found.clips} == set(pairs)


def test_lr_of_the_papers_is_made_of_the_planes_and_of_luma_itself(tmp_path: Path) -> None:
    rgb = write(tmp_path / "a.png", height=50, width=61)
    footage = read(find(tmp_path).clips[0], scale=3, degradation=Degradation(), seed=0, limit=None)
    hr = protocol.planes(rgb[:48, :60])
    assert np.array_equal(footage.hr[0], rgb[:48, :60])
    assert np.array_equal(footage.lr[0], protocol.pixels(protocol.shrunk(hr, 3)))
    expected = protocol.rounded(protocol.shrunk(protocol.luma(hr), 3))
    assert np.array_equal(footage.lr_luma[0], expected.numpy().astype(np.uint8))


def test_given_lr_is_taken_as_it_is(tmp_path: Path) -> None:
    write(tmp_path / "hr" / "a.png", height=52, width=60)
    small = write(tmp_path / "lr" / "a.png", seed=4, height=13, width=15)
    clip = find(tmp_path / "hr", lr=tmp_path / "lr").clips[0]
    footage = read(clip, scale=4, degradation=Degradation(), seed=0, limit=None)
    assert np.array_equal(footage.lr[0], small)
    assert np.array_equal(footage.lr_luma[0], protocol.luma(protocol.planes(small)).numpy().astype(np.uint8))


def test_a_random_degradation_depends_on_seed_and_name_alone(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        write(tmp_path / name)
    realistic = Degradation(kind="realistic", video_share=0.0)
    one, other = find(tmp_path).clips
    first = read(one, scale=2, degradation=realistic, seed=7, limit=None).lr[0]
    again = read(one, scale=2, degradation=realistic, seed=7, limit=None).lr[0]
    assert np.array_equal(first, again)
    for clip, seed in ((one, 8), (other, 7)):
        assert not np.array_equal(first, read(clip, scale=2, degradation=realistic, seed=seed, limit=None).lr[0])


def test_a_grey_picture_and_one_of_16_bits_are_read_as_8_bits(tmp_path: Path) -> None:
    grey = write(tmp_path / "grey.png", grey=True)
    deep = np.dstack([grey] * 3).astype(np.uint16) * 257
    cv2.imwrite(str(tmp_path / "deep.png"), deep)
    clips = {clip.name: clip for clip in find(tmp_path).clips}
    for name, shape in (("grey.png", (52, 62)), ("deep.png", (52, 62, 3))):
        footage = read(clips[name], scale=2, degradation=Degradation(), seed=0, limit=None)
        assert footage.hr[0].shape == shape
        assert np.array_equal(footage.hr[0].reshape(52, 62, -1)[..., 0], grey)


def test_a_video_is_one_clip_of_so_many_frames_at_most(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mp4", frames=6, width=64, height=48)
    found = find(clip)
    assert found.name == "clip"
    assert found.has_video
    footage = read(found.clips[0], scale=2, degradation=Degradation(), seed=0, limit=4)
    assert len(footage.hr) == len(footage.lr) == 4
    assert footage.opens_shot == (True, False, False, False)


@pytest.mark.parametrize(
    ("make", "error", "says"),
    [
        (lambda folder: None, NotMedia, "no pictures and no videos"),
        (lambda folder: (folder / "a.png").write_bytes(b"no picture at all"), NotMedia, "a.png"),
        (lambda folder: write(folder / "a.png", height=20, width=20), UnsupportedInput, "a.png is too small"),
    ],
    ids=["empty", "unreadable", "tiny"],
)  # fmt: skip
def test_what_cannot_be_measured_is_named(tmp_path: Path, make, error: type[InputError], says: str) -> None:  # type: ignore[no-untyped-def]
    make(tmp_path)
    with pytest.raises(error, match=says):
        for clip in find(tmp_path).clips:
            read(clip, scale=2, degradation=Degradation(), seed=0, limit=None)


def test_a_damaged_picture_is_named(tmp_path: Path) -> None:
    write(tmp_path / "a.png")
    data = (tmp_path / "a.png").read_bytes()
    (tmp_path / "a.png").write_bytes(data[:60])
    with pytest.raises(DecodeError, match=r"a\.png"):
        read(find(tmp_path).clips[0], scale=2, degradation=Degradation(), seed=0, limit=None)


def test_lr_that_is_missing_or_of_another_size_is_named(tmp_path: Path) -> None:
    write(tmp_path / "hr" / "a.png", height=52, width=60)
    write(tmp_path / "hr" / "b.png", height=52, width=60)
    write(tmp_path / "lr" / "a.png", height=26, width=30)
    with pytest.raises(InputMissing, match=r"1 of 2 HR files have no LR .* first b\.png"):
        find(tmp_path / "hr", lr=tmp_path / "lr")
    write(tmp_path / "lr" / "b.png", height=26, width=30)
    clip = find(tmp_path / "hr", lr=tmp_path / "lr").clips[0]
    with pytest.raises(UnsupportedInput, match=r"is 30x26, LR of .* at x4 is 15x13"):
        read(clip, scale=4, degradation=Degradation(), seed=0, limit=None)
