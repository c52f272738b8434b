"""The strip of a traced frame: what stands where, in which colour, how large."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from vsr.core.card import ModelCard
from vsr.core.errors import OutputError
from vsr.engines.base import Batch, Engine, Key
from vsr.pipeline.trace import BAND, FRAME, WIDEST, Traced, strip

BLUE, RED = (255, 96, 32), (48, 48, 240)


class Counting:
    """After step k the picture is k tenths everywhere."""

    card = ModelCard(id="counting", family="counting", arch="test", scale=2, domain="rgb", frames=3)
    scale = 2

    def __init__(self, steps: int = 3, tile: int | None = None) -> None:
        self.steps, self.tile = steps, tile
        self.closed = False

    def restore(self, batch: Batch) -> Tensor:
        *_, last = self.refine(batch)
        return last

    def refine(self, batch: Batch) -> Iterator[Tensor]:
        count, _, channels, height, width = batch.frames.shape
        for step in range(1, self.steps + 1):
            yield torch.full((count, channels, 2 * height, 2 * width), step / 10)

    def tiled(self, tile: int) -> Engine:
        return Counting(self.steps, tile)

    def close(self) -> None:
        self.closed = True


def batch(*frames: int, height: int = 16, width: int = 24) -> Batch:
    data = torch.zeros(len(frames), 3, 3, height, width)
    data[:, :, 0] = torch.tensor([0.2, 0.4, 0.6])[None, :, None, None]  # red, brighter from frame to frame
    return Batch(frames=data, keys=tuple(Key(frame=frame, seed=0) for frame in frames))


def panels(picture: np.ndarray, count: int) -> list[np.ndarray]:
    return np.split(picture, count, axis=1)


def color_of(panel: np.ndarray) -> tuple[int, ...]:
    return tuple(int(value) for value in panel[-1, panel.shape[1] // 2])


def test_window_steps_and_result_stand_in_a_row(tmp_path: Path) -> None:
    engine = Counting()
    traced = Traced(engine, folder=tmp_path, chosen={41: 1}, height=16, width=24)
    found = traced.restore(batch(40, 41))
    assert torch.equal(found, engine.restore(batch(40, 41)))
    assert [path.name for path in tmp_path.iterdir()] == ["frame_000001.png"]
    row = panels(cv2.imread(str(tmp_path / "frame_000001.png")), 6)
    assert row[0].shape == (2 * 16 + 2 * FRAME + BAND, 2 * 24 + 2 * FRAME, 3)
    assert [color_of(panel) for panel in row] == [BLUE, BLUE, BLUE, (0, 0, 0), (0, 0, 0), RED]
    middle = [panel[BAND + FRAME + 16, FRAME + 24].tolist() for panel in row]
    assert middle == [[0, 0, 51], [0, 0, 102], [0, 0, 153], [26] * 3, [51] * 3, [76] * 3]


def test_frames_that_are_not_chosen_are_not_refined(tmp_path: Path) -> None:
    engine = Counting()
    engine.refine = None  # type: ignore[method-assign, assignment]
    engine.restore = lambda batch: batch.frames[:, 1]  # type: ignore[method-assign]
    Traced(engine, folder=tmp_path, chosen={3: 0}, height=16, width=24).restore(batch(40))
    assert list(tmp_path.iterdir()) == []


def test_what_the_runner_padded_is_left_out(tmp_path: Path) -> None:
    Traced(Counting(1), folder=tmp_path, chosen={0: 0}, height=13, width=21).restore(batch(0))
    picture = cv2.imread(str(tmp_path / "frame_000000.png"))
    assert picture.shape == (26 + 2 * FRAME + BAND, 4 * (42 + 2 * FRAME), 3)


def test_tiles_are_traced_too(tmp_path: Path) -> None:
    engine = Counting()
    tiled = Traced(engine, folder=tmp_path, chosen={0: 0}, height=16, width=24).tiled(8)
    tiled.restore(batch(0))
    assert (tmp_path / "frame_000000.png").is_file()
    tiled.close()
    assert not engine.closed


def test_a_wide_strip_is_shrunk_as_a_whole() -> None:
    frame = np.full((500, 900, 3), 90, np.uint8)
    picture = strip([frame] * 3, [np.full((1000, 1800, 3), 90, np.uint8)] * 4, 2)
    assert WIDEST - 7 <= picture.shape[1] <= WIDEST
    row = panels(picture, 7)
    inner = row[0][BAND + FRAME : -FRAME, FRAME:-FRAME]
    assert inner.shape[1] / inner.shape[0] == pytest.approx(1.8, rel=0.01)
    assert (inner == 90).all()


def test_of_many_steps_some_are_shown_the_first_among_them() -> None:
    steps = [np.full((32, 32, 3), k, np.uint8) for k in range(101)]
    row = panels(strip([np.zeros((8, 8, 3), np.uint8)], steps, 4), 10)
    assert [int(panel[-FRAME - 2, FRAME + 2, 0]) for panel in row[1:]] == [0, 12, 25, 38, 50, 62, 75, 88, 100]


def test_the_folder_is_made(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "here"
    Traced(Counting(), folder=folder, chosen={0: 0}, height=16, width=24).restore(batch(0))
    assert [path.name for path in folder.iterdir()] == ["frame_000000.png"]


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="below cannot be written"):
        Traced(Counting(), folder=tmp_path / "file" / "below", chosen={0: 0}, height=16, width=24).restore(batch(0))


def test_of_tiles_without_whole_pictures_the_result_alone_is_shown(tmp_path: Path) -> None:
    class Untiled:
        """Refines whole pictures, and leaves the cutting of tiles to others."""

        card, scale = Counting.card, Counting.scale
        restore, refine, steps = Counting.restore, Counting.refine, 3

        def close(self) -> None: ...

    traced = Traced(Untiled(), folder=tmp_path, chosen={0: 0}, height=16, width=24)
    assert traced.restore(batch(0)).shape == traced.tiled(8).restore(batch(0)).shape == (1, 3, 32, 48)
    row = panels(cv2.imread(str(tmp_path / "frame_000000.png")), 4)
    assert [color_of(panel) for panel in row] == [BLUE, BLUE, BLUE, RED]
