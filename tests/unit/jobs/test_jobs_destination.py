"""Names of written pictures: the source's own in a folder that names nothing else."""

from __future__ import annotations

from pathlib import Path

from tests.media import make_clip, make_images
from vsr.core.job import Destination
from vsr.io.probe import probe
from vsr.jobs.destination import destination


def _made(source: Path, path: Path | None, container: str | None = None) -> Destination:
    return destination(probe(source), path, container=container, label="x2", overwrite=False)


def test_a_folder_takes_over_the_names_of_a_sequence(tmp_path: Path) -> None:
    make_images(tmp_path / "in", "%05d.jpg", count=2, start=20)

    assert _made(tmp_path / "in", tmp_path / "out").pattern == "*.png"
    assert _made(tmp_path / "in", tmp_path / "out", "tiff").pattern == "*.tiff"
    assert _made(tmp_path / "in", None).pattern == "*.jpg"
    assert _made(tmp_path / "in" / "%05d.jpg", None).pattern == "*.jpg"


def test_a_pattern_of_the_users_own_and_frames_of_a_video_are_numbered(tmp_path: Path) -> None:
    make_images(tmp_path / "in", "%05d.jpg", count=2, start=20)
    clip = make_clip(tmp_path / "a.mkv", frames=2)

    assert _made(clip, tmp_path / "out").pattern == "%06d.png"
    assert _made(tmp_path / "in", tmp_path / "f_%03d.png").pattern == "f_%03d.png"


def test_two_sources_of_one_name_are_numbered(tmp_path: Path) -> None:
    make_images(tmp_path / "in", "%d.jpg", count=1)
    make_images(tmp_path / "in", "%d.png", count=1)

    assert _made(tmp_path / "in", tmp_path / "out").pattern == "%06d.png"
