"""Windows of numbered frames: within one shot, apart from each other, the frames they say they are."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.media import make_clip, make_images, read_number
from vsr.core.errors import InputError
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
        assert all(b - a > span for a, b in zip(chosen, chosen[1:], strict=False))


def test_a_window_holds_the_frames_and_times_that_it_tells(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "a.mp4", frames=20, pts=[3 * k + k // 5 for k in range(20)], cuts=[9])
    info, seen = look(clip_of(path), size=3, stride=2, count=3)
    assert seen.frames == 20 and seen.damaged == 0
    for window in cut(info, seen.starts, size=3, stride=2):
        assert [read_number(frame[..., 1], 255) for frame in window.data] == list(window.indices)
        assert [3 * k + k // 5 for k in window.indices] == [int(pts * window.time_base * 25) for pts in window.pts]
        assert window.indices[2] - window.indices[0] == 4
        assert (window.indices[0] < 9) == (window.indices[2] < 9)
    assert len(seen.starts) == 3


def test_frames_of_a_folder_are_taken_in_natural_order(tmp_path: Path) -> None:
    """Fault 14 of the multi-frame fork: `frame_10` before `frame_2`, folders of more than N frames joined whole."""
    folder = tmp_path / "frames"
    folder.mkdir()
    made = make_images(tmp_path / "made", count=12)
    for k, file in enumerate(sorted(made if isinstance(made, list) else Path(tmp_path / "made").iterdir())):
        file.rename(folder / f"frame_{k}.png")
    info, seen = look(clip_of(folder, "frames"), size=3, stride=1, count=4)
    windows = list(cut(info, seen.starts, size=3, stride=1))
    assert [window.indices for window in windows] == [(0, 1, 2), (3, 4, 5), (6, 7, 8), (9, 10, 11)]
    numbers = [read_number(frame[..., 1], 255) for window in windows for frame in window.data]
    assert numbers == sorted(numbers) and len({*numbers}) == 12


def test_too_few_frames_for_a_window_are_told(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "a.mp4", frames=10, cuts=[5])
    with pytest.raises(InputError, match="takes 7 frames within one shot, the longest of 10 frames has 5"):
        look(clip_of(path), size=4, stride=2, count=1)
