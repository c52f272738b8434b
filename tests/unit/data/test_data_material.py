from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.media import make_clip
from tests.pictures import draw_folder
from vsr.core.errors import DecodeError, InputError, InputMissing, NotMedia
from vsr.data.material import find, picture_codes, video_codes


def names(items: list) -> list[str]:  # type: ignore[type-arg]
    return [item.name for item in items]


def test_the_holdout_s_names_are_for_validation(tmp_path: Path) -> None:
    draw_folder(tmp_path, 4, height=32, width=32)
    train, val = find([tmp_path], holdout=["*3"])
    assert names(train) == ["picture-00", "picture-01", "picture-02"]
    assert names(val) == ["picture-03"]


def test_with_no_holdout_all_is_for_training_but_the_val_parts(tmp_path: Path) -> None:
    draw_folder(tmp_path / "photos", 12, height=8, width=8)
    draw_folder(tmp_path / "prepared" / "train", 2, height=8, width=8)
    draw_folder(tmp_path / "prepared" / "val", 1, height=8, width=8)
    train, val = find([tmp_path / "photos", tmp_path / "prepared"], holdout=None)
    assert (len(train), len(val)) == (14, 1)
    assert find([tmp_path / "photos"], holdout=None)[1] == train[11:12]


def test_without_a_holdout_the_split_is_the_same_every_time(tmp_path: Path) -> None:
    draw_folder(tmp_path, 40, height=8, width=8)
    first, second = find([tmp_path]), find([tmp_path])
    assert first == second
    train, val = first
    assert set(names(train)).isdisjoint(names(val))
    assert 1 <= len(val) <= 12


def test_only_lets_through_what_its_patterns_name(tmp_path: Path) -> None:
    draw_folder(tmp_path, 12, height=8, width=8)
    train, val = find([tmp_path], only=["picture-1*"], holdout=["*1"])
    assert names(train) == ["picture-10"]
    assert names(val) == ["picture-11"]
    with pytest.raises(NotMedia, match="nothing to train on"):
        find([tmp_path], only=["photo*"])


def test_train_and_val_parts_are_taken_as_they_are(tmp_path: Path) -> None:
    draw_folder(tmp_path / "train", 2, height=8, width=8)
    draw_folder(tmp_path / "val", 3, height=8, width=8)
    train, val = find([tmp_path])
    assert (len(train), len(val)) == (2, 3)


def test_a_file_is_taken_like_a_folder_of_one(tmp_path: Path) -> None:
    draw_folder(tmp_path, 2, height=8, width=8)
    train, val = find([tmp_path / "picture-01.png"], holdout=["nothing"])
    assert names(train) == names(val) == ["picture-01"]


def test_what_is_held_out_altogether_is_trained_on_too(tmp_path: Path) -> None:
    draw_folder(tmp_path, 2, height=8, width=8)
    train, val = find([tmp_path], holdout=["*"])
    assert train == val
    assert len(train) == 2


def test_only_chooses_among_train_and_val_parts_too(tmp_path: Path) -> None:
    draw_folder(tmp_path / "train", 3, height=8, width=8)
    draw_folder(tmp_path / "val", 3, height=8, width=8)
    train, val = find([tmp_path], only=["*1"])
    assert names(train) == names(val) == ["picture-01"]
    assert train != val


def test_hidden_files_are_passed_over(tmp_path: Path) -> None:
    draw_folder(tmp_path, 1, height=8, width=8)
    (tmp_path / "._picture-00.png").write_bytes(b"Mac OS X")
    assert names(find([tmp_path])[0]) == ["picture-00"]


def test_a_name_that_is_no_text_is_taken_as_well(tmp_path: Path) -> None:
    (draw_folder(tmp_path, 1, height=8, width=8) / "picture-00.png").rename(tmp_path / "p\udcff.png")
    assert names(find([tmp_path])[0]) == ["p\udcff"]


def test_a_picture_without_its_lr_is_refused(tmp_path: Path) -> None:
    draw_folder(tmp_path / "hr_32", 3, height=8, width=8)
    draw_folder(tmp_path / "lr_16", 2, height=8, width=8)
    with pytest.raises(InputError, match="3 pictures, 2 in lr_16"):
        find([tmp_path])


def test_prepared_windows_are_read_in_natural_order(tmp_path: Path) -> None:
    for kind in ("hr_32", "lr_16"):
        for number in range(11):
            folder = tmp_path / kind / "clip"
            folder.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(folder / f"frame_{number}_{kind}.png"), np.full((8, 8, 3), number, np.uint8))
    (item,), _ = find([tmp_path])
    assert item.kind == "window"
    assert [path.name for path in item.files][9:] == ["frame_9_hr_32.png", "frame_10_hr_32.png"]
    assert item.lr[10].name == "frame_10_lr_16.png"


def test_a_window_without_its_lr_is_refused(tmp_path: Path) -> None:
    draw_folder(tmp_path / "hr_32" / "clip", 3, height=8, width=8)
    with pytest.raises(InputMissing, match="no lr_"):
        find([tmp_path])


def test_luma_is_the_formula_of_bt601(tmp_path: Path) -> None:
    picture = np.zeros((2, 2, 3), np.uint8)
    picture[0, 0], picture[0, 1], picture[1, 0] = (255, 0, 0), (0, 255, 0), (255, 255, 255)  # B, G, white
    cv2.imwrite(str(tmp_path / "a.png"), picture)
    # ITU-R BT.601-7 section 2.5.3: 16 + 24.966, 16 + 128.553, 235, 16.
    assert picture_codes(tmp_path / "a.png", "y").tolist() == [[41, 145], [235, 16]]
    assert picture_codes(tmp_path / "a.png", "rgb")[0, 0].tolist() == [0, 0, 255]


def test_sixteen_bits_and_grey_are_read(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "deep.png"), np.full((4, 4, 3), 65535, np.uint16))
    cv2.imwrite(str(tmp_path / "grey.png"), np.full((4, 4), 128, np.uint8))
    assert picture_codes(tmp_path / "deep.png", "rgb").max() == 255
    assert (picture_codes(tmp_path / "grey.png", "rgb") == 128).all()


def test_a_video_s_luma_is_its_own_plane(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mp4", frames=5)
    frames = list(video_codes(clip, "y"))
    assert len(frames) == 5
    assert frames[0][1] is True  # the first frame opens a shot
    assert frames[0][0].dtype == np.uint8
    import av

    with av.open(str(clip)) as container:
        plane = next(container.decode(video=0)).to_ndarray(format="yuv420p")
    height, width = frames[0][0].shape
    assert np.array_equal(frames[0][0], plane[:height, :width])


def test_a_broken_picture_is_named(tmp_path: Path) -> None:
    folder = draw_folder(tmp_path, 1, height=64, width=64)
    path = folder / "picture-00.png"
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises((DecodeError, NotMedia), match="picture-00"):
        picture_codes(path, "y")
