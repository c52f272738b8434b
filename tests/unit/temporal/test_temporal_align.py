from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from vsr.filters import BICUBIC, LANCZOS, Axis, resize
from vsr.temporal.align import differences, estimate_all, sample_on_device
from vsr.temporal.flow import sample_each
from vsr.temporal.motion import Motion, still, unknown

HEIGHT, WIDTH = 40, 56


def picture(seed: int, *, height: int = HEIGHT, width: int = WIDTH, channels: int = 1) -> Tensor:
    """Give a smooth random picture with a little of every frequency."""
    rough = torch.rand(channels, height, width, generator=torch.Generator().manual_seed(seed))
    smooth = resize(resize(rough, height // 5, width // 5, BICUBIC), height, width, BICUBIC)
    return (0.85 * smooth + 0.15 * rough).clamp(0, 1)


def moved(shift: tuple[float, float], confidence: float = 1.0, *, whole: bool = True) -> Motion:
    flow = np.empty((HEIGHT, WIDTH, 2), np.float32)
    flow[...] = shift
    return Motion(
        flow=flow,
        confidence=np.full((HEIGHT, WIDTH), confidence, np.float32),
        kind="translation" if whole else "local",
        shift=shift if whole else None,
    )


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("frames", "scale"), [(1, 2), (3, 2), (5, 3), (2, 1)])
def test_identical_frames_differ_by_exactly_nothing(channels: int, frames: int, scale: int) -> None:
    one = picture(1, channels=channels)
    result = differences(torch.stack([one] * frames), scale=scale)
    assert result.shape == (frames - 1, channels, HEIGHT * scale, WIDTH * scale)
    assert result.dtype == torch.float32 and not result.any()


def test_what_is_not_believed_is_exactly_nothing() -> None:
    frames = torch.stack([picture(k) for k in (1, 2, 3)])
    result = differences(frames, scale=2, motions=[unknown(HEIGHT, WIDTH), still(HEIGHT, WIDTH)])
    assert not result[0].any() and bool(result[1].any())


def test_unrelated_frames_are_exactly_nothing() -> None:
    assert not differences(torch.stack([picture(k) for k in (4, 5, 6)]), scale=2).any()


def test_without_motion_it_is_the_difference_of_the_interpolations() -> None:
    frames = torch.stack([picture(1), picture(2), picture(1)])
    result = differences(frames, scale=3, motions=[still(HEIGHT, WIDTH)] * 2)
    upsampled = resize(frames, HEIGHT * 3, WIDTH * 3, BICUBIC)
    assert torch.equal(result[0], upsampled[0] - upsampled[1])


@pytest.mark.parametrize("whole", [True, False])
def test_a_pixel_of_motion_is_a_scale_of_output_pixels(whole: bool) -> None:
    frames = torch.stack([picture(1), picture(2)])
    (result,) = differences(frames, scale=4, motions=[moved((1.0, -2.0), whole=whole)])
    u = resize(frames, HEIGHT * 4, WIDTH * 4, BICUBIC)
    expected = torch.roll(u[0], (8, -4), (-2, -1)) - u[1]
    inside = (..., slice(20, -20), slice(20, -20))
    torch.testing.assert_close(result[inside], expected[inside], rtol=0, atol=1e-5)  # rounding of float32 sums


@pytest.mark.parametrize(("whole", "tolerance"), [(True, 1e-5), (False, 2e-4)])
def test_a_parabola_is_read_exactly_between_pixels(whole: bool, tolerance: float) -> None:
    """Keys 1981: a = -1/2 reproduces parabolas. Displacements pixel by pixel go through a second cubic, a = -.525."""
    dx, dy, scale = 0.37, -0.21, 2

    def value(x: Tensor, y: Tensor) -> Tensor:
        return 0.3 + 0.004 * x + 0.006 * y + 0.0001 * x * x + 0.00015 * y * y

    y, x = torch.meshgrid(torch.arange(float(HEIGHT)), torch.arange(float(WIDTH)), indexing="ij")
    frames = value(x, y)[None, None].repeat(2, 1, 1, 1)
    (result,) = differences(frames, scale=scale, motions=[moved((dx, dy), whole=whole)])
    v, u = torch.meshgrid(torch.arange(float(HEIGHT * scale)), torch.arange(float(WIDTH * scale)), indexing="ij")
    u, v = (u + 0.5) / scale - 0.5, (v + 0.5) / scale - 0.5
    expected = value(u + dx, v + dy) - value(u, v)
    torch.testing.assert_close(result[0, 8:-8, 8:-8], expected[8:-8, 8:-8], rtol=0, atol=tolerance)


def test_half_the_confidence_is_half_the_difference() -> None:
    frames = torch.stack([picture(1), picture(2)])
    (full,), (half,) = (differences(frames, scale=2, motions=[moved((0.3, 0.1), c)]) for c in (1.0, 0.5))
    torch.testing.assert_close(half, full / 2)


def test_colours_move_with_their_luma() -> None:
    grey = torch.stack([picture(1), torch.roll(picture(1), 1, -1)])
    luma = differences(grey, scale=2)
    colour = differences(grey.repeat(1, 3, 1, 1), scale=2)
    for channel in range(3):
        # the weights of luma sum to 1 but for float32's rounding, which the estimate sees
        torch.testing.assert_close(colour[:, channel], luma[:, 0], rtol=0, atol=2e-3)


SCALE, SHIFTS = 2, ((0.5, 0.9), (0.0, 0.0), (-1.1, 0.5))  # a pan in output pixels


def panned(samples: int) -> tuple[Tensor, Tensor]:
    """Give three shrunk views of a scene, and the middle one as it was; 160 output pixels hold `samples` of detail."""
    rough = torch.rand(1, samples, samples * 5 // 4, generator=torch.Generator().manual_seed(7))
    truth = resize(0.25 + 0.5 * rough, 160, 200, LANCZOS)
    rows, columns = HEIGHT * SCALE, WIDTH * SCALE
    views = []
    for dx, dy in SHIFTS:
        down, across = Axis(step=1.0, origin=30 - dy), Axis(step=1.0, origin=30 - dx)
        views.append(resize(truth, rows, columns, LANCZOS, vertical=down, horizontal=across))
    return resize(torch.stack(views), HEIGHT, WIDTH, BICUBIC), views[1]


def test_a_pan_is_taken_out_as_the_true_motion_takes_it_out() -> None:
    frames, _ = panned(80)
    true = [moved((dx / SCALE, dy / SCALE)) for dx, dy in (SHIFTS[0], SHIFTS[2])]
    found, wanted, unmoved = (
        float((differences(frames, scale=SCALE, motions=motions)[..., 12:-12, 12:-12] ** 2).mean())
        for motions in (estimate_all(frames), true, [still(HEIGHT, WIDTH)] * 2)
    )
    assert wanted < 0.5 * unmoved
    assert 0.5 * wanted < found < 1.1 * wanted  # less where it is not believed, hardly more anywhere


def test_neighbours_of_a_pan_bring_the_centre_nearer_to_the_truth() -> None:
    frames, truth = panned(64)
    base = resize(frames[1], HEIGHT * SCALE, WIDTH * SCALE, BICUBIC)
    mean = base + differences(frames, scale=SCALE).sum(0) / 3
    errors = [float(((guess - truth)[..., 8:-8, 8:-8] ** 2).mean()) for guess in (mean, base)]
    assert errors[0] < 0.93 * errors[1]


def test_each_neighbour_has_its_own_motion() -> None:
    one = picture(3, height=HEIGHT + 8, width=WIDTH + 8)
    frames = torch.stack([one[:, 4 : 4 + HEIGHT, 4 + k : 4 + k + WIDTH] for k in (-2, -1, 0, 1, 2)])
    shifts = [motion.shift for motion in estimate_all(frames)]
    assert [None if s is None else round(s[0]) for s in shifts] == [2, 1, -1, -2]


def test_a_motion_for_each_neighbour_is_demanded() -> None:
    with pytest.raises(ValueError, match="2 neighbours, 1 motions"):
        differences(torch.stack([picture(1)] * 3), scale=2, motions=[still(HEIGHT, WIDTH)])


def test_every_device_reads_the_same_between_pixels() -> None:
    frames = torch.stack([picture(1)[0], picture(2)[0]])
    rng = np.random.default_rng(3)
    x = np.arange(WIDTH, dtype=np.float32) + rng.uniform(-3, 3, (HEIGHT, WIDTH)).astype(np.float32)
    y = np.arange(HEIGHT, dtype=np.float32)[:, None] + rng.uniform(-3, 3, (HEIGHT, WIDTH)).astype(np.float32)
    by_opencv = torch.from_numpy(np.stack(list(sample_each(frames.numpy(), x, y))))
    by_torch = sample_on_device(frames, torch.from_numpy(np.stack([x, y], -1)))
    # float32 places, scaled to [-1, 1] and back, move by up to 1/10,000 px
    torch.testing.assert_close(by_torch, by_opencv, rtol=0, atol=1e-4)
