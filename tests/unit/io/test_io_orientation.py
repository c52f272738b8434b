"""The display matrix on its way into every container: each of the eight ways, and the place of the picture."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import pytest

from tests.joins import rejoin
from tests.media import make_clip
from vsr.core.turn import turn_of
from vsr.io.metadata.orientation import is_mirrored, read_matrix, resized
from vsr.io.probe import probe

ONE, LAST = 1 << 16, 1 << 30
UPRIGHT = (ONE, 0, 0, 0, ONE, 0, 0, 0, LAST)
EIGHT = {
    f"{'swap' if swaps else 'keep'}{a:+d}{d:+d}": (
        (0, a * ONE, 0, d * ONE, 0, 0, 0, 0, LAST) if swaps else (a * ONE, 0, 0, 0, d * ONE, 0, 0, 0, LAST)
    )
    for swaps in (False, True)
    for a in (1, -1)
    for d in (1, -1)
}


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("matrix") / "in.mp4", width=48, height=32, frames=2)


@pytest.mark.parametrize(("suffix", "codec"), [("mp4", "h264"), ("mov", "h264"), ("mkv", "h264"), ("webm", "vp9")])
@pytest.mark.parametrize("name", [name for name in EIGHT if EIGHT[name] != UPRIGHT])
def test_each_of_the_eight_ways_is_kept(name: str, suffix: str, codec: str, clip: Path, tmp_path: Path) -> None:
    matrix, target = EIGHT[name], tmp_path / f"out.{suffix}"
    info = probe(clip)
    said = rejoin(replace(info, video=replace(info.video, display_matrix=matrix)), target, codec).warnings
    assert said == ()
    with av.open(str(target)) as file:
        (item,) = [item for item in next(file.decode(video=0)).side_data if item.type.name == "DISPLAYMATRIX"]
        found = read_matrix(bytes(item))
    assert turn_of(found) == turn_of(matrix)
    assert is_mirrored(found) == is_mirrored(matrix)
    assert probe(target).video.display_matrix == found


def test_the_place_grows_with_the_picture(clip: Path, tmp_path: Path) -> None:
    """A phone's quarter turn moves the picture back by its height; so it does for twice the size."""
    turned = (0, ONE, 0, -ONE, 0, 0, 32 * ONE, 0, LAST)
    info = probe(clip)
    rejoin(replace(info, video=replace(info.video, display_matrix=turned)), tmp_path / "out.mov", "h264")
    assert probe(tmp_path / "out.mov").video.display_matrix == (0, ONE, 0, -ONE, 0, 0, 64 * ONE, 0, LAST)


@pytest.mark.parametrize("name", EIGHT)
def test_a_corner_that_was_brought_back_to_zero_is_again(name: str) -> None:
    a, b, u, c, d, v, _, _, w = EIGHT[name]

    def least(size: tuple[int, int], row: tuple[int, int]) -> int:
        return min(row[0] * p + row[1] * q for p in (0, size[0]) for q in (0, size[1]))

    old, new = (48, 32), (144, 80)
    before = (a, b, u, c, d, v, -least(old, (a, c)), -least(old, (b, d)), w)
    made = resized(before, (Fraction(48), Fraction(32)), (Fraction(144), Fraction(80)))
    assert made == [a, b, u, c, d, v, -least(new, (a, c)), -least(new, (b, d)), w]


def test_a_matrix_that_moves_nothing_is_none() -> None:
    assert read_matrix(b"") == read_matrix(b"".join(number.to_bytes(4, "little") for number in UPRIGHT)) == ()


@pytest.mark.parametrize(("suffix", "codec"), [("ts", "h264"), ("avi", "ffv1")])
def test_a_container_without_says_so(suffix: str, codec: str, clip: Path, tmp_path: Path) -> None:
    info = probe(clip)
    mirrored = replace(info, video=replace(info.video, display_matrix=EIGHT["keep-1+1"]))
    said = " ".join(rejoin(mirrored, tmp_path / f"out.{suffix}", codec).warnings)
    assert "rotation" in said and "mirrored" in said and "--autorotate" in said
