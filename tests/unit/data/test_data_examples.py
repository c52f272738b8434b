from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from tests.media import make_clip
from tests.pictures import draw_folder
from vsr.core.errors import NotMedia
from vsr.core.events import Event, Warned
from vsr.data.crops import Crops, middle
from vsr.data.degrade import Degradation
from vsr.data.examples import Example, ExampleSpec, build, digest_of, unit
from vsr.data.material import Item, find, picture_codes, video_codes
from vsr.data.synthetic_motion import Path2d, draw_path, move
from vsr.filters import BICUBIC, resize


def spec(**changes: object) -> ExampleSpec:
    return ExampleSpec(**{"scale": 2, "domain": "y", "degradation": Degradation(), "smallest": 8, **changes})


def items(folder: Path) -> list[Item]:
    train, _ = find([folder], holdout=["nothing"])
    return train


def test_a_picture_s_lr_is_the_rounded_bicubic_of_its_luma(tmp_path: Path) -> None:
    draw_folder(tmp_path, 1, height=41, width=50)
    (example,) = build(items(tmp_path), spec(), seed=0)
    luma = torch.from_numpy(picture_codes(tmp_path / "picture-00.png", "y"))[:40]
    assert torch.equal(example.hr[0], luma)
    expected = resize(luma.double(), 20, 25, BICUBIC).round().clamp(0, 255)
    assert (example.lr[0].double() - expected).abs().max() <= 1  # halves may round either way in float32


def test_examples_depend_on_seed_and_name_alone(tmp_path: Path) -> None:
    draw_folder(tmp_path, 3)
    drawing = spec(degradation=Degradation(kind="realistic", video_share=0.0), draws=2)
    every = items(tmp_path)
    first, second = build(every, drawing, seed=1), build(list(reversed(every)), drawing, seed=1)
    assert len(first) == 6
    by_name = {example.name: example for example in second}
    assert torch.equal(first[1].lr, by_name[first[1].name].lr) or torch.equal(first[0].lr, by_name[first[0].name].lr)
    other = build(every, drawing, seed=2)
    assert not torch.equal(first[0].lr, other[0].lr)


def test_smaller_copies_are_made_and_too_small_ones_left_out(tmp_path: Path) -> None:
    draw_folder(tmp_path, 1, height=64, width=64)
    made = build(items(tmp_path), spec(sizes=(1.0, 0.5, 0.2)), seed=0)
    assert [tuple(example.hr.shape) for example in made] == [(1, 64, 64), (1, 32, 32)]


def test_a_still_window_has_no_differences_and_a_moving_one_has(tmp_path: Path) -> None:
    draw_folder(tmp_path, 1, height=128, width=128)
    still = build(items(tmp_path), spec(frames=3, still=2.0), seed=0)[0]
    assert still.aligned is not None
    assert still.aligned.shape == (2, 1, 128, 128)
    assert not still.aligned.any()
    moving = build(items(tmp_path), spec(frames=3, still=0.0, reach=4.0), seed=0)[0]
    assert moving.aligned is not None
    assert moving.aligned.any()


def test_a_video_gives_windows_within_its_shots(tmp_path: Path) -> None:
    make_clip(tmp_path / "a.mp4", frames=8)
    made = build(items(tmp_path), spec(frames=3, clip_windows=4), seed=0)
    assert len(made) == 4
    frames = [codes for codes, _ in video_codes(tmp_path / "a.mp4", "y")]
    height, width = made[0].hr.shape[-2:]
    centers = [codes[:height, :width] for codes in (frames[k] for k in (1, 3, 4, 6))]  # evenly over 1 to 6, rounded
    assert all(np.array_equal(example.hr[0], codes) for example, codes in zip(made, centers, strict=True))
    make_clip(tmp_path / "b.mp4", frames=2)
    events: list[Event] = []
    build(items(tmp_path), spec(frames=3), seed=0, report=events.append)
    assert any(isinstance(event, Warned) and "b.mp4 has no 3 frames" in event.message for event in events)


def test_the_digest_tells_examples_apart(tmp_path: Path) -> None:
    draw_folder(tmp_path, 2, height=32, width=32)
    first, again = (build(items(tmp_path), spec(), seed=0) for _ in range(2))
    assert digest_of(first) == digest_of(again)
    assert digest_of(first) != digest_of(first[:1])
    changed = cv2.imread(str(tmp_path / "picture-01.png"))
    assert changed is not None
    changed[8:16, 8:16] = 255 - changed[8:16, 8:16]
    cv2.imwrite(str(tmp_path / "picture-01.png"), changed)
    assert digest_of(first) != digest_of(build(items(tmp_path), spec(), seed=0))


def test_prepared_lr_is_used_as_it_lies_there(tmp_path: Path) -> None:
    for kind, side, value in (("hr_32", 32, 200), ("lr_16", 16, 100)):
        folder = tmp_path / kind / "clip"
        folder.mkdir(parents=True)
        for number in range(3):
            cv2.imwrite(str(folder / f"frame_{number}_{kind}.png"), np.full((side, side, 3), value + number, np.uint8))
    (example,) = build(items(tmp_path), spec(domain="rgb", frames=3), seed=0)
    assert (example.lr == 101).all()  # the middle frame
    assert (example.hr == 201).all()
    with pytest.raises(NotMedia):  # HR is twice LR, not four times
        build(items(tmp_path), spec(domain="rgb", scale=4), seed=0)


def test_without_alignment_a_window_s_frames_come_as_they_are_oldest_first(tmp_path: Path) -> None:
    for kind, side in (("hr_32", 32), ("lr_16", 16)):
        for number in range(5):
            (tmp_path / kind / "clip").mkdir(parents=True, exist_ok=True)
            picture = np.full((side, side, 3), 100 + number, np.uint8)
            cv2.imwrite(str(tmp_path / kind / "clip" / f"frame_{number}_{kind}.png"), picture)
    (example,) = build(items(tmp_path), spec(domain="rgb", frames=3, alignment="none"), seed=0)
    assert example.aligned is None
    assert example.window is not None
    assert example.window[:, 0, 0, 0].tolist() == [101, 102, 103]  # the inner three of five
    assert (example.lr == 102).all()
    before = digest_of([example])
    cv2.imwrite(str(tmp_path / "lr_16" / "clip" / "frame_1_lr_16.png"), np.full((16, 16, 3), 7, np.uint8))
    assert digest_of(build(items(tmp_path), spec(domain="rgb", frames=3, alignment="none"), seed=0)) != before


def test_unit_is_black_0_and_white_1() -> None:
    assert unit(torch.tensor([16, 235], dtype=torch.uint8), "y").tolist() == [0, 1]
    assert unit(torch.tensor([0, 255], dtype=torch.uint8), "rgb").tolist() == [0, 1]


def example_of_positions(height: int, width: int, scale: int) -> Example:
    """An example whose every pixel says where it lies, in LR pixels."""

    def grid(times: int) -> torch.Tensor:
        y, x = torch.meshgrid(torch.arange(height * times), torch.arange(width * times), indexing="ij")
        return torch.stack([y // times, x // times, torch.zeros_like(x)]).to(torch.uint8)

    hr = grid(scale)
    return Example(name="grid", lr=grid(1), hr=hr, aligned=hr[None].half() / 255)


def test_crops_of_lr_hr_and_differences_are_of_one_place_whatever_the_flips() -> None:
    crops = Crops([example_of_positions(20, 30, 3)], side=8, scale=3, domain="rgb")
    crop = crops.draw(64, np.random.default_rng(0))
    assert crop.lr.shape == (64, 3, 8, 8)
    enlarged = crop.lr.repeat_interleave(3, -1).repeat_interleave(3, -2)
    assert torch.equal(enlarged, crop.hr)
    assert crop.aligned is not None
    assert torch.allclose(crop.aligned[:, 0], crop.hr, atol=1e-3)
    assert len({tuple(one[0, 0, :2].tolist()) + tuple(one[1, 0, :2].tolist()) for one in crop.lr}) > 20


def test_the_frames_of_a_window_are_cut_and_turned_with_hr() -> None:
    upright = example_of_positions(20, 30, 2)
    window = torch.stack([upright.lr, upright.lr + 100])
    example = replace(upright, aligned=None, window=window)
    crop = Crops([example], side=8, scale=2, domain="rgb").draw(32, np.random.default_rng(0))
    assert crop.frames.shape == (32, 2, 3, 8, 8)
    assert torch.equal(crop.frames[:, 0], crop.lr)
    assert torch.allclose(crop.frames[:, 1], crop.lr + 100 / 255)
    assert torch.equal(crop.lr.repeat_interleave(2, -1).repeat_interleave(2, -2), crop.hr)
    inner = middle(example, scale=2, side=16)
    assert inner.window is not None
    assert torch.equal(inner.window[0], inner.lr)
    alone = Crops([upright], side=8, scale=2, domain="rgb").draw(1, np.random.default_rng(0))
    assert torch.equal(alone.frames, alone.lr[:, None])


def test_crops_without_augmentation_are_upright() -> None:
    crops = Crops([example_of_positions(20, 30, 2)], side=8, scale=2, domain="rgb", augment=False)
    lr = crops.draw(32, np.random.default_rng(0)).lr
    assert (lr[:, 0].diff(dim=1) > 0).all()
    assert (lr[:, 1].diff(dim=2) > 0).all()


def test_larger_pictures_are_drawn_oftener() -> None:
    small = Example(
        name="s", lr=torch.zeros(1, 10, 10, dtype=torch.uint8), hr=torch.zeros(1, 20, 20, dtype=torch.uint8)
    )
    large = Example(
        name="l", lr=torch.full((1, 30, 30), 255, dtype=torch.uint8), hr=torch.zeros(1, 60, 60, dtype=torch.uint8)
    )
    lr = Crops([small, large], side=8, scale=2, domain="rgb").draw(1000, np.random.default_rng(0)).lr
    assert float(lr.mean()) == pytest.approx(0.9, abs=0.03)


def test_crops_larger_than_every_picture_are_refused() -> None:
    with pytest.raises(NotMedia, match="128 pixels a side"):
        Crops([example_of_positions(20, 30, 2)], side=64, scale=2, domain="rgb")


def test_middle_is_the_middle() -> None:
    example = example_of_positions(21, 31, 2)
    cut = middle(example, scale=2, side=10)
    assert cut.lr.shape == (3, 5, 5)
    assert cut.hr.shape == (3, 10, 10)
    assert cut.lr[:2, 2, 2].tolist() == [10, 15]


def test_a_moved_window_s_centre_is_the_photograph_itself(tmp_path: Path) -> None:
    draw_folder(tmp_path, 1, height=64, width=80)
    photo = picture_codes(tmp_path / "picture-00.png", "y")
    window = move(photo, Path2d(velocity=(2.0, 1.0)), frames=3)
    margin = (photo.shape[0] - window.shape[1]) // 2
    assert np.array_equal(window[1], photo[margin : 64 - margin, margin : 80 - margin])
    # A motion of whole pixels is a cut at another place: Lanczos at whole steps is the identity.
    assert np.array_equal(window[2][:-1, :-2], window[1][1:, 2:])


def test_a_path_moves_at_most_by_its_reach() -> None:
    rng = np.random.default_rng(0)
    paths = [draw_path(rng, reach=4.0, still=0.3) for _ in range(500)]
    speeds = np.array([np.hypot(*path.velocity) for path in paths])
    assert speeds.max() <= 4.0
    assert 0.05 < (speeds == 0).mean() < 0.3
    assert any(path.turn for path in paths)
