"""What is shown of a result: the crop of the source's container, with its pixels' shape, in the result's header."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import pytest

from tests.joins import rejoin, spec_for
from tests.media import make_clip, numbers_of
from vsr.io.ffmpeg import run_program
from vsr.io.metadata.description import describe_video
from vsr.io.metadata.sidedata import dropped
from vsr.io.muxing.matroska import change_video, crop_elements
from vsr.io.muxing.shape import keeps_shape, resized_crop
from vsr.io.probe import probe

SHAPE = Fraction(64, 45)
CROP = (4, 12, 3, 9)  # left, right, top, bottom of 64 x 48


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("shape") / "in.mkv"
    make_clip(path, frames=4, sar=SHAPE, container_options={"metadata_header_padding": "64"})
    with path.open("r+b") as file:
        change_video(file, crop_elements(CROP), name=path.name)
    return path


def crop_of(path: Path) -> tuple[int, ...]:
    with av.open(str(path)) as file:
        return describe_video(file, 0).crop


@pytest.mark.parametrize(("suffix", "codec"), [("mp4", "h264"), ("mov", "hevc"), ("mkv", "ffv1"), ("webm", "vp9")])
def test_what_players_hide_of_the_source_they_hide_of_the_result(
    suffix: str, codec: str, clip: Path, tmp_path: Path
) -> None:
    target = tmp_path / f"out.{suffix}"
    assert crop_of(clip) == CROP
    assert rejoin(clip, target, codec).warnings == ()  # at 96 x 64
    assert crop_of(target) == (6, 18, 4, 12)
    assert probe(target).video.sar == SHAPE and numbers_of(target) == [0, 1, 2, 3]
    assert dropped(probe(clip), codec, container=suffix) == ()
    code, said = run_program(["-i", target.name, "-f", "rawvideo", "-y", "shown"], folder=tmp_path)
    assert code == 0 and "SAR 64:45" in said
    assert (tmp_path / "shown").stat().st_size % ((96 - 24) * (64 - 16)) == 0


@pytest.mark.parametrize(("container", "codec"), [("ts", "h264"), ("png", "png")])
def test_a_result_that_shows_it_all_is_announced(container: str, codec: str, clip: Path) -> None:
    (said,) = dropped(probe(clip), codec, container=container)
    assert said.startswith("cropping when shown (left 4, right 12, top 3, bottom 9)") and ".mkv" in said


def test_a_turned_result_hides_the_same_edges(clip: Path) -> None:
    """Turned clockwise the left edge is the upper one: a sample (p, q) is shown at (48 - q, p)."""
    info = probe(clip)
    turned = (0, 65536, 0, -65536, 0, 0, 0, 0, 1 << 30)
    video = replace(info.video, display_matrix=turned)
    baked = replace(spec_for(info, "h264", width=96, height=128, hdr=None), display_matrix=(), rotation=0)
    with av.open(str(clip)) as file:
        assert resized_crop(file, video, baked) == (18, 6, 8, 24)
        assert resized_crop(file, video, replace(baked, width=128, height=96, display_matrix=turned)) == (8, 24, 6, 18)
    assert resized_crop(None, video, baked) == ()


@pytest.mark.parametrize("pair", ["mp4 vp9", "mov prores", "mkv ffv1", "webm av1", "ts h264", "nut hevc"])
def test_where_the_shape_is_kept(pair: str) -> None:
    assert keeps_shape(*pair.split())


@pytest.mark.parametrize(("container", "codec"), [("avi", "ffv1"), ("nut", "vp9"), ("nut", "av1"), ("nut", "ffv1")])
def test_where_the_shape_is_lost(container: str, codec: str, tmp_path: Path) -> None:
    assert not keeps_shape(container, codec)
    source = make_clip(tmp_path / "in.mp4", frames=2, sar=SHAPE)
    said = " ".join(rejoin(source, tmp_path / f"out.{container}", codec).warnings)
    assert "sample aspect ratio 64/45" in said and ".mkv" in said
