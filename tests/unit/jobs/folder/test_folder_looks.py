"""What files of a folder run weigh, by their headers, or by their size where there are too many of them."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.media import make_clip
from vsr.core.presets import resolve
from vsr.jobs.folder import looks as looking
from vsr.jobs.folder.listing import read_folder
from vsr.jobs.folder.looks import Looks
from vsr.jobs.folder.naming import Entry, Naming, entries


@pytest.fixture
def made(tmp_path: Path) -> tuple[Entry, ...]:
    make_clip(tmp_path / "a.mp4", frames=10, width=64, height=48)
    make_clip(tmp_path / "b.mkv", frames=20, width=32, height=48)
    cv2.imwrite(str(tmp_path / "c.png"), np.zeros((50, 40, 3), np.uint8))
    (tmp_path / "d.mp4").write_bytes(b"nothing")
    naming = Naming(template="{stem}{suffix}", model="m", scale=3.0, container=None)
    return entries(read_folder(tmp_path).files, tmp_path / "dst", naming)


def looks(*, scale: float | None = 3.0, **flags: object) -> Looks:
    return Looks(resolve(flags), (), scale=scale, is_usual=True)


def test_a_file_weighs_frames_times_output_pixels(made: tuple[Entry, ...]) -> None:
    assert looks().weights(made, lambda: False) == {
        "a.mp4": 10 * 64 * 48 * 9,
        "b.mkv": 20 * 32 * 48 * 9,
        "c.png": 40 * 50 * 9,
        "d.mp4": 0.0,
    }


def test_an_exact_size_is_the_weight(made: tuple[Entry, ...]) -> None:
    weights = looks(scale=None, height=96).weights(made, lambda: False)
    assert weights["a.mp4"] == pytest.approx(10 * 128 * 96)
    assert weights["b.mkv"] == pytest.approx(20 * 64 * 96)


def test_what_there_is_no_time_to_look_at_is_guessed_by_its_size(
    made: tuple[Entry, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]

    def clock() -> float:
        now[0] += looking.LOOK_S * 0.6
        return now[0]

    monkeypatch.setattr(looking.time, "monotonic", clock)
    weights = looks().weights(made, lambda: False)
    each = 10 * 64 * 48 * 9 / made[0].found.size
    assert weights["a.mp4"] == 10 * 64 * 48 * 9
    assert weights["b.mkv"] == pytest.approx(each * made[1].found.size)
