"""Which files a folder means, what is said of gaps and of several sequences, and which names results can keep."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.media import make_images
from vsr.core.errors import UnsupportedInput
from vsr.core.media import WHOLE, MediaInfo
from vsr.io.images.files import ImageSource
from vsr.io.images.sequences import kept_names
from vsr.io.probe import probe


def _touch(folder: Path, *names: str) -> MediaInfo:
    """Make images of these names in a folder, and describe it."""
    folder.mkdir(exist_ok=True)
    for name in names:
        Image.fromarray(np.zeros((4, 6, 3), np.uint8)).save(folder / name)
    return probe(folder)


def test_missing_numbers_are_named_and_are_damage(tmp_path: Path) -> None:
    names = [f"s_{number:03d}.png" for number in (1, 2, 4, 5, 8, 9, 10, 14)]

    info = _touch(tmp_path / "s", *names)

    assert info.damage == (
        "the numbering has gaps: 6 numbers are missing: 3, 6 to 7, 11 to 13; no frame stands in for them",
    )
    assert info.damage == probe(tmp_path / "s" / "s_%03d.png").damage
    assert [file.name for file in info.files] == names


def test_of_many_gaps_the_first_are_named(tmp_path: Path) -> None:
    info = _touch(tmp_path / "s", *(f"{number}.png" for number in range(1, 24, 2)))

    assert info.damage[0].startswith(
        "the numbering has gaps: 11 numbers are missing: 2, 4, 6, 8, 10, 12, 14, 16 and 3 "
    )


def test_several_sequences_in_one_folder_are_named(tmp_path: Path) -> None:
    info = _touch(tmp_path / "s", "left_01.png", "left_02.png", "right_7.png", "right_10.png", "title.png")

    (warning,) = info.warnings
    assert "s holds left_%02d.png (2 files), right_%d.png (2 files)" in warning
    assert f"({tmp_path / 's' / 'left_%02d.png'})" in warning
    assert probe(tmp_path / "s" / "left_%02d.png").frame_count == 2
    assert info.damage == (
        "the numbering has gaps: 2 numbers of right_%d.png are missing: 8 to 9; no frame stands in for them",
    )


def test_photographs_of_other_names_are_no_sequence_and_have_no_gaps(tmp_path: Path) -> None:
    info = _touch(tmp_path / "s", "a.png", "beach 2019.jpg", "dog12.png")

    assert (info.warnings, info.damage) == ((), ())


def test_pictures_turned_by_their_camera_have_the_size_they_are_shown_in(tmp_path: Path) -> None:
    """Two photographs, one with the camera held upright: they are of one size only where orientation counts."""
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.zeros((4, 6, 3), np.uint8)).save(tmp_path / "1.png")
    Image.fromarray(np.zeros((6, 4, 3), np.uint8)).save(tmp_path / "2.jpg", exif=exif)
    Image.fromarray(np.zeros((6, 4, 3), np.uint8)).save(tmp_path / "3.png")

    with pytest.raises(UnsupportedInput, match=r"3\.png is 4x6, but 1\.png is 6x4"):
        probe(tmp_path)
    (tmp_path / "3.png").unlink()

    assert [frame.planes[0].shape for frame in ImageSource(info=probe(tmp_path)).frames(WHOLE)] == [(4, 6), (4, 6)]


def test_every_file_has_a_profile_of_its_own(tmp_path: Path) -> None:
    profile = b"\0" * 16 + b"RGB " + b"\0" * 16 + b"acsp" + b"\0" * 96
    picture = Image.fromarray(np.zeros((4, 6, 3), np.uint8))
    picture.save(tmp_path / "1.png")
    picture.save(tmp_path / "2.png", icc_profile=profile)

    info = probe(tmp_path)

    assert info.video.side_data == ("ICC profile (RGB)",)
    assert [frame.side_data.icc for frame in ImageSource(info=info).frames(WHOLE)] == [b"", profile]


def test_results_keep_the_sources_names_where_they_can(tmp_path: Path) -> None:
    make_images(tmp_path / "s", "shot_%05d.png", count=3, start=20)

    assert kept_names(probe(tmp_path / "s")) == ("shot_00020", "shot_00021", "shot_00022")
    assert kept_names(probe(tmp_path / "s" / "shot_%05d.png")) == ("shot_00020", "shot_00021", "shot_00022")
    assert kept_names(probe(tmp_path / "s" / "shot_00020.png")) == ()
    assert kept_names(_touch(tmp_path / "two", "1.png", "1.jpg")) == ()
    assert kept_names(_touch(tmp_path / "case", "a.png", "A.png")) == ()
    assert kept_names(_touch(tmp_path / "long", "x" * 245 + ".png")) == ()
