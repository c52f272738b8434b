"""Windows of numbered frames: within one shot, apart from each other, the frames they say they are."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.media import make_clip, read_number
from vsr.core.errors import InputError
from vsr.core.frame import Frame
from vsr.data import shot_windows
from vsr.data.clips import Clip
from vsr.data.shot_windows import _spread, _starts, cut, look


def clip_of(path: Path, kind: str = "video") -> Clip:
    return Clip(path=path, id=path.stem, video=path.stem, kind=kind)  # type: ignore[arg-type]


@given(st.lists(st.integers(-1, 3), max_size=40), st.integers(0, 6), st.integers(1, 8))
def test_windows_stay_within_a_shot_and_apart(shots: list[int], span: int, count: int) -> None:
    starts = _starts(shots, span)
    assert all(len({*shots[s : s + span + 1]}) == 1 and shots[s] >= 0 for s in starts)
    if starts:
        chosen = _spread(starts, count, span + 1)
        assert 1 <= len(chosen) <= count and set(chosen) <= set(starts)
        assert all(b - a > span for a, b in pairwise(chosen))


def scenes(folder: Path, *lengths: int) -> Path:
    """Write `frame_0.png`, `frame_1.png`, ...: still scenes, in each the red of the k-th frame is 2 k."""
    folder.mkdir()
    y, x = np.mgrid[0:36, 0:48]
    number = 0
    for scene, length in enumerate(lengths):
        back = 120 + (100 if scene % 2 else -100) * np.sin(x / (5 + scene) + y / 9)
        for _ in range(length):
            picture = np.dstack([back, back, np.full_like(back, 2 * number)])
            cv2.imwrite(str(folder / f"frame_{number}.png"), np.rint(picture).astype(np.uint8))
            number += 1
    return folder


def test_a_window_holds_the_frames_and_times_that_it_tells(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "a.mp4", frames=20, pts=[3 * k + k // 5 for k in range(20)])
    info, seen = look(clip_of(path), size=3, stride=1, count=2)
    assert seen.frames == 20 and seen.damaged == 0 and len(seen.starts) == 2
    for window in cut(info, seen.starts, size=3, stride=1):
        assert [read_number(frame[..., 1], 255) for frame in window.data] == list(window.indices)
        assert [3 * k + k // 5 for k in window.indices] == [pts * window.time_base * 25 for pts in window.pts]


def test_frames_of_a_folder_are_taken_in_natural_order(tmp_path: Path) -> None:
    """Fault 14 of the multi-frame fork: `frame_10` before `frame_2`, folders of more than N frames joined whole."""
    info, seen = look(clip_of(scenes(tmp_path / "a", 12), "frames"), size=3, stride=1, count=4)
    windows = list(cut(info, seen.starts, size=3, stride=1))
    assert [window.indices for window in windows] == [(0, 1, 2), (3, 4, 5), (6, 7, 8), (9, 10, 11)]
    assert [int(frame[0, 0, 0]) for window in windows for frame in window.data] == [2 * k for k in range(12)]


def test_no_window_crosses_a_cut(tmp_path: Path) -> None:
    info, seen = look(clip_of(scenes(tmp_path / "a", 7, 4, 9), "frames"), size=3, stride=2, count=9)
    windows = list(cut(info, seen.starts, size=3, stride=2))
    # Five frames from first to last: one fits before frame 7, none in the second scene, one or more from 11 on.
    assert [window.indices for window in windows] == [(0, 2, 4), (11, 13, 15)]
    assert [[int(frame[0, 0, 0]) for frame in window.data] for window in windows] == [[0, 4, 8], [22, 26, 30]]


def test_a_single_window_lies_in_the_middle(tmp_path: Path) -> None:
    _, seen = look(clip_of(scenes(tmp_path / "a", 11), "frames"), size=3, stride=1, count=1)
    assert seen.starts == (4,)


def test_too_few_frames_for_a_window_are_told(tmp_path: Path) -> None:
    folder = scenes(tmp_path / "a", 5, 4)
    with pytest.raises(InputError, match="takes 7 frames within one shot, the longest of 9 frames has 5"):
        look(clip_of(folder, "frames"), size=4, stride=2, count=1)


def test_no_window_has_a_gap_where_a_frame_could_not_be_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = shot_windows.decoded_frames

    def with_gaps(*given: object, **named: object) -> Iterator[Frame]:
        return (frame for frame in whole(*given, **named) if frame.index not in (0, 7))  # type: ignore[arg-type]

    monkeypatch.setattr(shot_windows, "decoded_frames", with_gaps)
    info, seen = look(clip_of(scenes(tmp_path / "a", 13), "frames"), size=3, stride=1, count=9)
    windows = [window.indices for window in cut(info, seen.starts, size=3, stride=1)]
    assert windows == [(1, 2, 3), (4, 5, 6), (8, 9, 10)]
