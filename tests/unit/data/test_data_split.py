"""Parts by video: fair, repeatable, never empty."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vsr.core.errors import SettingsError
from vsr.data.split import Split, assign, read_split


@given(st.sets(st.text(max_size=8), max_size=40), st.integers(0, 9), st.integers(1, 99))
def test_each_video_has_a_part_and_no_part_is_empty_from_two_videos_on(names: set[str], seed: int, share: int) -> None:
    split = Split(shares=(share, 100 - share))
    parts = assign(names, split, seed=seed)
    assert set(parts) == names
    assert parts == assign(sorted(names, reverse=True), split, seed=seed)
    second = list(parts.values()).count("val")
    if len(names) >= 2:
        assert 1 <= second <= len(names) - 1
        assert second == min(max(round(len(names) * (100 - share) / 100), 1), len(names) - 1)
    else:
        assert second == 0


def test_another_seed_holds_other_videos_back() -> None:
    names = [f"clip{k}" for k in range(50)]
    held = [frozenset(n for n, part in assign(names, Split(), seed=seed).items() if part == "val") for seed in range(4)]
    assert len(set(held)) == 4 and {len(part) for part in held} == {5}


def test_the_three_ways_to_write_it() -> None:
    assert read_split("train/val") == Split(names=("train", "val"), shares=(90, 10))
    assert read_split("80/20") == Split(names=("train", "val"), shares=(80, 20))
    assert read_split("train/test=3/1") == Split(names=("train", "test"), shares=(3, 1))


@pytest.mark.parametrize("text", ["", "train", "90", "train/train", "0/100", "../val/x", "a/b=c", "train/val=90"])
def test_what_is_no_split_is_refused(text: str) -> None:
    with pytest.raises(SettingsError):
        read_split(text)
