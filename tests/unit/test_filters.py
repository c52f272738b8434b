"""The resampler against PIL, against the formula of MATLAB's imresize in float64, and against itself."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image

from vsr.filters import (
    ALIGNED,
    BICUBIC,
    BILINEAR,
    KERNELS,
    LANCZOS,
    NEAREST,
    Axis,
    Kernel,
    phase_kernel,
    resize,
    shuffle,
    taps,
    unshuffle,
)

SIZES = [((9, 11), (18, 33)), ((16, 24), (8, 6)), ((17, 13), (25, 20)), ((40, 30), (13, 30)), ((5, 7), (35, 3))]
PIL_FILTERS = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}


def noise(*shape: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(5).random(shape, dtype=np.float32))


def cubic(x: float) -> float:
    """Keys 1981, eq. 4, a = -1/2, as published: 3/2|x|^3 - 5/2|x|^2 + 1 and -1/2|x|^3 + 5/2|x|^2 - 4|x| + 2."""
    d = abs(x)
    if d <= 1:
        return 1.5 * d**3 - 2.5 * d**2 + 1
    return -0.5 * d**3 + 2.5 * d**2 - 4 * d + 2 if d < 2 else 0.0


def imresize_line(line: NDArray[np.float64], target: int) -> NDArray[np.float64]:
    """MATLAB's imresize on one line, spelt out: antialiased cubic, border mirrored with the edge repeated."""
    step = len(line) / target
    widen = max(step, 1.0)
    pad = 4 * len(line) + 16
    wide = np.pad(line, pad, mode="symmetric")
    result = []
    for k in range(target):
        center = (k + 0.5) * step - 0.5
        near = range(int(np.floor(center - 2 * widen)), int(np.ceil(center + 2 * widen)) + 1)
        weights = [cubic((at - center) / widen) for at in near]
        result.append(sum(w * wide[at + pad] for w, at in zip(weights, near, strict=True)) / sum(weights))
    return np.array(result)


@pytest.mark.parametrize(("source", "target"), SIZES)
def test_bicubic_is_matlabs_imresize_up_to_the_border(source: tuple[int, int], target: tuple[int, int]) -> None:
    planes = noise(*source).double()
    columns = np.stack([imresize_line(column, target[0]) for column in planes.numpy().T]).T
    expected = np.stack([imresize_line(row, target[1]) for row in columns])
    np.testing.assert_allclose(resize(planes, *target, BICUBIC).numpy(), expected, atol=1e-12)


@pytest.mark.parametrize("name", sorted(PIL_FILTERS))
@pytest.mark.parametrize(("source", "target"), [((40, 48), (80, 144)), ((64, 80), (32, 20)), ((50, 60), (75, 90))])
def test_kernels_agree_with_pil_away_from_the_border(
    name: str, source: tuple[int, int], target: tuple[int, int]
) -> None:
    planes = noise(*source)
    image = Image.fromarray(planes.numpy()).resize(target[::-1], PIL_FILTERS[name])
    # PIL drops what lies outside instead of mirroring: leave out the kernel's reach (3 source samples, or 3 targets).
    cut = [3 * max(1, -(-t // s)) + 1 for s, t in zip(source, target, strict=True)]
    inside = np.s_[cut[0] : -cut[0], cut[1] : -cut[1]]
    ours = resize(planes, *target, KERNELS[name]).numpy()
    np.testing.assert_allclose(ours[inside], np.asarray(image)[inside], atol=2e-6)  # both sum in float32


def test_halfway_between_samples_bicubic_weighs_minus_one_nine_nine_minus_one_sixteenths() -> None:
    index, weight = taps(8, 7, BICUBIC, 1.0, 0.5)
    assert index[3].tolist() == [2, 3, 4, 5]
    np.testing.assert_allclose(weight[3], np.array([-1, 9, 9, -1]) / 16, atol=1e-15)


def test_borders_mirror_with_the_edge_sample_repeated() -> None:
    index, _ = taps(3, 6, LANCZOS)
    assert index.min() == 0 and index.max() == 2
    index, weight = taps(4, 8, BICUBIC)  # the first target lies at -1/4: it reads -2, -1, 0, 1
    assert index[0].tolist()[:4] == [1, 0, 0, 1]
    assert weight[0].sum() == pytest.approx(1, abs=1e-15)


@pytest.mark.parametrize("kernel", KERNELS.values(), ids=KERNELS.keys())
@pytest.mark.parametrize(("source", "target"), [*SIZES, ((1, 1), (4, 7)), ((2, 3), (1, 1))])
def test_flat_planes_stay_flat(kernel: Kernel, source: tuple[int, int], target: tuple[int, int]) -> None:
    planes = torch.full((2, *source), 0.7)
    result = resize(planes, *target, kernel)
    assert result.shape == (2, *target)
    np.testing.assert_allclose(result.numpy(), 0.7, atol=1e-6)


@pytest.mark.parametrize("step", [0.25, 0.5, 2 / 3, 1.0])
def test_an_axis_puts_target_samples_where_it_says(step: float) -> None:
    """Cubic interpolation reproduces a ramp, so the value read is the place it was read at."""
    ramp = torch.arange(32, dtype=torch.float64).reshape(1, 32)
    read = resize(ramp, 1, 20, BICUBIC, vertical=Axis(step=1.0, origin=0.0), horizontal=Axis(step=step, origin=4.3))
    np.testing.assert_allclose(read[0].numpy(), 4.3 + step * np.arange(20), atol=1e-12)


@pytest.mark.parametrize("kernel", [BILINEAR, BICUBIC, LANCZOS], ids=lambda kernel: kernel.name)
@pytest.mark.parametrize(("source", "target"), SIZES)
def test_the_roads_for_cpu_and_for_other_devices_give_the_same(
    kernel: Kernel, source: tuple[int, int], target: tuple[int, int]
) -> None:
    """Tensors that need gradients take the gathering road, which is the one that CUDA takes."""
    planes = noise(2, *source)
    shifted = Axis(step=source[1] / target[1], origin=0.3)
    multiplied = resize(planes, *target, kernel, horizontal=shifted)
    gathered = resize(planes.clone().requires_grad_(), *target, kernel, horizontal=shifted)
    np.testing.assert_allclose(multiplied.numpy(), gathered.detach().numpy(), atol=2e-6)  # both sum in float32


def test_gradients_are_the_transposed_weights() -> None:
    planes = noise(6, 7).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: resize(x, 9, 4, BICUBIC), (planes,))


def test_what_inference_leaves_behind_does_not_stop_training() -> None:
    with torch.inference_mode():
        resize(noise(5, 9), 10, 27, BICUBIC)
        resize(noise(5, 9), 11, 21, NEAREST)
    planes = noise(5, 9).requires_grad_()
    (resize(planes, 10, 27, BICUBIC).sum() + resize(planes, 11, 21, NEAREST).sum()).backward()
    assert planes.grad is not None and float(planes.grad.sum()) == pytest.approx(10 * 27 + 11 * 21, rel=1e-5)


def test_nearest_copies_samples() -> None:
    planes = noise(3, 4)
    expected = planes.repeat_interleave(3, 0).repeat_interleave(2, 1)
    assert torch.equal(resize(planes, 9, 8, NEAREST), expected)


@pytest.mark.parametrize("kernel", KERNELS.values(), ids=KERNELS.keys())
def test_the_same_grid_hands_the_planes_back(kernel: Kernel) -> None:
    planes = noise(3, 5, 6)
    assert resize(planes, 5, 6, kernel) is planes


def test_strided_views_and_many_leading_dimensions_are_taken() -> None:
    planes = noise(2, 3, 20, 30)
    view = planes[..., ::2, 3:27]
    whole = resize(view.contiguous(), 15, 60, BICUBIC)
    assert torch.equal(resize(view, 15, 60, BICUBIC), whole)
    assert whole.shape == (2, 3, 15, 60)
    np.testing.assert_allclose(whole[1, 2].numpy(), resize(view[1, 2], 15, 60, BICUBIC).numpy(), atol=1e-6)


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("kernel", [BICUBIC, LANCZOS], ids=lambda kernel: kernel.name)
def test_phase_kernels_upscale_like_resize_away_from_the_border(scale: int, kernel: Kernel) -> None:
    radius = 2 if kernel is BICUBIC else 3
    planes = noise(1, 1, 12, 14)
    weights = torch.from_numpy(phase_kernel(scale, kernel, radius=radius)).float()[:, None]
    shuffled = F.pixel_shuffle(F.conv2d(planes, weights), scale)[0, 0]
    cut = radius * scale
    expected = resize(planes, 12 * scale, 14 * scale, kernel)[0, 0, cut:-cut, cut:-cut]
    np.testing.assert_allclose(shuffled.numpy(), expected.numpy(), atol=2e-6)


def test_an_axis_left_alone_aligns_the_edges() -> None:
    explicit = Axis(step=0.5, origin=-0.25)
    planes = noise(4, 6)
    aligned = resize(planes, 8, 12, BICUBIC, vertical=ALIGNED, horizontal=ALIGNED)
    assert torch.equal(aligned, resize(planes, 8, 12, BICUBIC, vertical=explicit, horizontal=explicit))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("format", [torch.contiguous_format, torch.channels_last])
def test_shuffles_are_torchs_own_whether_or_not_they_are_recorded(format: torch.memory_format) -> None:
    folded = noise(2, 3 * 9, 5, 4).contiguous(memory_format=format)
    unfolded = F.pixel_shuffle(folded, 3)
    assert torch.equal(shuffle(folded, 3), unfolded)
    assert torch.equal(unshuffle(unfolded, 3), folded)
    recorded = torch.jit.trace(lambda planes: unshuffle(shuffle(planes, 3), 3), (folded[:1, :, :2],))
    kinds = {node.kind() for node in recorded.graph.nodes()}
    assert "aten::pixel_shuffle" in kinds and "aten::permute" not in kinds
    assert torch.equal(recorded(folded), folded)
