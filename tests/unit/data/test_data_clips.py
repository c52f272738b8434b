"""What is found in a source, and what it is called."""

from __future__ import annotations

from pathlib import Path

import pytest

from vsr.core.errors import InputMissing, NotMedia, UsageError
from vsr.data.clips import find_clips


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_videos_and_frame_folders_are_found_at_any_depth_in_natural_order_and_never_the_root(tmp_path: Path) -> None:
    touch(*(tmp_path / f"clip{k}.mp4" for k in (10, 2)), tmp_path / "b" / "shot1" / "1.png", tmp_path / "b" / "x.mkv")
    touch(tmp_path / "notes.txt", tmp_path / ".hidden" / "1.png", tmp_path / "c" / "readme.md")
    found = [(clip.id, clip.video, clip.kind) for clip in find_clips(tmp_path)]
    assert found == [
        ("b_shot1", "b", "frames"),
        ("b_x", "b", "video"),
        ("clip2", "clip2", "video"),
        ("clip10", "clip10", "video"),
    ]


def test_images_in_the_folder_itself_are_single_images(tmp_path: Path) -> None:
    touch(tmp_path / "a.png", tmp_path / "b.JPG")
    assert [(clip.id, clip.kind) for clip in find_clips(tmp_path)] == [("a", "image"), ("b", "image")]


def test_the_result_that_lies_in_the_source_is_no_source(tmp_path: Path) -> None:
    touch(tmp_path / "a.mp4", tmp_path / "sub" / "data" / "hr" / "a" / "frame_0_hr.png", tmp_path / "sub" / "b.mp4")
    assert [clip.id for clip in find_clips(tmp_path, tmp_path / "sub" / "data")] == ["a", "sub_b"]


def test_what_cannot_be_told_apart_is_refused(tmp_path: Path) -> None:
    touch(tmp_path / "two" / "a.mp4", tmp_path / "two" / "a.mkv", tmp_path / "mixed" / "a.png")
    touch(tmp_path / "mixed" / "b.mp4", tmp_path / "none" / "a.txt")
    with pytest.raises(UsageError, match="both be named a"):
        find_clips(tmp_path / "two")
    with pytest.raises(UsageError, match="single images"):
        find_clips(tmp_path / "mixed")
    with pytest.raises(NotMedia, match="no videos"):
        find_clips(tmp_path / "none")
    with pytest.raises(InputMissing, match="nothing"):
        find_clips(tmp_path / "nothing")
