"""Motion against known motion: textures of sinusoids are moved analytically, no resampling is involved."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from vsr.filters import BICUBIC, resize
from vsr.temporal.motion import Motion, estimate

Floats = NDArray[np.float32]
Place = Callable[[NDArray[np.float64], NDArray[np.float64]], tuple[NDArray[np.float64], NDArray[np.float64]]]
HEIGHT, WIDTH = 72, 96


def texture(
    seed: int, *, highest: float = 0.3, height: int = HEIGHT, width: int = WIDTH, at: Place | None = None
) -> Floats:
    """Give a texture of sinusoids up to `highest` cycles a pixel with a falling spectrum, read at displaced places."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width].astype(np.float64)
    if at is not None:
        x, y = at(x, y)
    total = np.zeros_like(x)
    for _ in range(60):
        frequency, angle, phase = highest * rng.uniform(0.05, 1), rng.uniform(0, np.pi), rng.uniform(0, 2 * np.pi)
        wave = 2 * np.pi * frequency * (x * np.cos(angle) + y * np.sin(angle)) + phase
        total += np.cos(wave) * 0.02 / (frequency / highest)
    return np.clip(0.5 + total / 4, 0, 1).astype(np.float32)


def pan(dx: float, dy: float) -> Place:
    """Move what is shown by (dx, dy): the neighbour shows at p what the centre shows at p - d."""
    return lambda x, y: (x - dx, y - dy)


def error(motion: Motion, dx: NDArray[np.float64] | float, dy: NDArray[np.float64] | float) -> NDArray[np.float64]:
    return np.hypot(motion.flow[..., 0] - dx, motion.flow[..., 1] - dy)


def eight_bits(picture: Floats) -> Floats:
    return np.round(picture * 255).astype(np.float32) / np.float32(255)


def test_identical_pictures_do_not_move_at_all() -> None:
    picture = texture(1)
    motion = estimate(picture, picture.copy())
    assert motion.kind == "still" and motion.shift == (0.0, 0.0)
    assert not motion.flow.any() and bool((motion.confidence == 1).all())


@pytest.mark.parametrize(("dx", "dy"), [(0.25, 0), (-0.5, 0.25), (1.3, -2.7), (0.1, 0.1), (6.6, 3.2)])
def test_a_pan_is_found_to_hundredths_of_a_pixel(dx: float, dy: float) -> None:
    motion = estimate(eight_bits(texture(2)), eight_bits(texture(2, at=pan(dx, dy))))
    assert motion.kind == "translation" and motion.shift is not None
    # .025 px is a tenth of an output pixel at x4; rounding to 8 bits alone leaves a few thousandths
    assert np.hypot(motion.shift[0] - dx, motion.shift[1] - dy) < 0.02
    inside = motion.confidence[10:-10, 10:-10]
    assert float((inside > 0.9).mean()) > 0.95


def test_noise_averages_out_of_a_pan() -> None:
    rng = np.random.default_rng(5)
    a, b = texture(3), texture(3, at=pan(0.7, -0.4))
    a, b = (p + rng.normal(0, 2 / 255, p.shape).astype(np.float32) for p in (a, b))
    motion = estimate(a, b)
    assert float(np.median(error(motion, 0.7, -0.4))) < 0.03


@pytest.mark.parametrize("scale", [2, 4])
def test_aliasing_of_shrunk_pictures_does_not_displace_a_pan(scale: int) -> None:
    """Detail above what the small picture can hold, shrunk as our degradation shrinks."""
    dx, dy = 1.3, -0.8  # output pixels
    size = {"highest": 0.3, "height": HEIGHT * scale, "width": WIDTH * scale}
    pair = [torch.from_numpy(texture(4, **size)), torch.from_numpy(texture(4, **size, at=pan(dx, dy)))]  # type: ignore[arg-type]
    a, b = (eight_bits(resize(p, HEIGHT, WIDTH, BICUBIC).clamp(0, 1).numpy()) for p in pair)
    motion = estimate(a, b)
    assert float(np.median(error(motion, dx / scale, dy / scale))) * scale < 0.1


def test_rotation_and_zoom_are_one_model() -> None:
    turn, zoom = np.deg2rad(0.8), 1.012
    cx, cy = (WIDTH - 1) / 2, (HEIGHT - 1) / 2

    def back(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        u, v = (x - cx) / zoom, (y - cy) / zoom
        return cx + u * np.cos(turn) + v * np.sin(turn), cy - u * np.sin(turn) + v * np.cos(turn)

    motion = estimate(texture(5), texture(5, at=back))
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype(np.float64)
    u, v = zoom * (x - cx), zoom * (y - cy)
    dx = cx + u * np.cos(turn) - v * np.sin(turn) - x
    dy = cy + u * np.sin(turn) + v * np.cos(turn) - y
    assert motion.kind == "affine" and motion.shift is None
    assert float(error(motion, dx, dy).mean()) < 0.03  # of up to .9 px of motion


def test_a_moving_thing_keeps_its_own_motion() -> None:
    """A disc that moves over a background that does not."""
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype(np.float64)
    disc, moved = ((x - 44 - d) ** 2 + (y - 36) ** 2 < 20**2 for d in (0.0, 1.6))
    a = np.where(disc, texture(7), texture(6)).astype(np.float32)
    b = np.where(moved, texture(7, at=pan(1.6, 0)), texture(6)).astype(np.float32)
    motion = estimate(a, b)
    core = (x - 44) ** 2 + (y - 36) ** 2 < 12**2
    rest = (x - 44) ** 2 + (y - 36) ** 2 > 30**2
    assert float(np.median(error(motion, 1.6, 0)[core])) < 0.05
    assert float(np.median(error(motion, 0, 0)[rest])) < 0.02
    wrong = (error(motion, np.where(disc, 1.6, 0.0), 0) > 0.5) & (motion.confidence > 0.5)
    assert float(wrong.mean()) < 0.03  # around the rim only


def test_unrelated_pictures_are_not_believed_anywhere() -> None:
    for seed in range(4):
        motion = estimate(texture(20 + seed), texture(40 + seed))
        assert motion.kind == "none" and not motion.confidence.any()


def test_a_covered_part_is_not_believed() -> None:
    a, b = texture(8), texture(8, at=pan(0.5, 0))
    b[20:50, 30:60] = texture(9)[20:50, 30:60]
    motion = estimate(a, b)
    assert float(motion.confidence[24:46, 34:56].mean()) < 0.05
    assert float(motion.confidence[5:-5, 70:-5].mean()) > 0.95


def test_what_left_the_picture_is_not_believed() -> None:
    motion = estimate(texture(10), texture(10, at=pan(9.4, 0)))
    assert not motion.confidence[:, -10:].any()
    assert float(motion.confidence[10:-10, 10:70].mean()) > 0.9


@pytest.mark.parametrize("shape", [(1, 1), (3, 2), (8, 8), (8, 50), (15, 16), (17, 33)])
def test_small_and_flat_pictures_are_taken(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(1)
    noise = rng.random(shape, dtype=np.float32)
    flat = np.full(shape, 0.5, np.float32)
    for a, b in ((noise, rng.random(shape, dtype=np.float32)), (flat, noise), (flat, flat + np.float32(0.3))):
        motion = estimate(a, b)
        assert motion.flow.shape == (*shape, 2) and bool(np.isfinite(motion.flow).all())
        assert bool((motion.confidence >= 0).all()) and bool((motion.confidence <= 1).all())
    assert not estimate(flat, flat + np.float32(0.3)).confidence.any()


def test_a_small_picture_pans_too() -> None:
    motion = estimate(texture(11, height=14, width=20), texture(11, height=14, width=20, at=pan(0.4, -0.3)))
    assert float(np.median(error(motion, 0.4, -0.3))) < 0.1


def test_threads_do_not_change_a_bit() -> None:
    a, b = (
        texture(12),
        texture(13, at=pan(0.4, 0.6)) * np.float32(0.3) + texture(12, at=pan(0.4, 0.6)) * np.float32(0.7),
    )
    before = cv2.getNumThreads()
    try:
        found = []
        for threads in (1, 2, 5):
            cv2.setNumThreads(threads)
            found.append(estimate(a, b))
    finally:
        cv2.setNumThreads(before)
    for motion in found[1:]:
        assert np.array_equal(motion.flow, found[0].flow)
        assert np.array_equal(motion.confidence, found[0].confidence)


def test_pictures_of_two_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="differ in size"):
        estimate(texture(1), texture(1, width=WIDTH + 1))
