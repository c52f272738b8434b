"""OpenCV's .pb models: GraphDefs written by hand, run through the engine and through torch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from tests.graphdef import espcn as graph
from vsr.core.errors import IncompatibleModel, WeightsCorrupt, WeightsMissing
from vsr.engines import registry
from vsr.engines.base import Batch, Key

Layers = list[tuple[NDArray[np.float32], NDArray[np.float32]]]


def layers(scale: int, channels: int = 1) -> Layers:
    rng = np.random.default_rng(scale)
    shapes = ((8, channels, 5), (4, 8, 3), (channels * scale**2, 4, 3))
    return [
        (rng.normal(0, 0.5 / k, (o, i, k, k)).astype(np.float32), rng.normal(0, 0.1, o).astype(np.float32))
        for o, i, k in shapes
    ]


def oracle(picture: Tensor, weights: Layers, scale: int, activation: Callable[[Tensor], Tensor] = torch.tanh) -> Tensor:
    """The same network in torch; TensorFlow orders the channels of depth-to-space (dy, dx, colour)."""
    for index, (weight, bias) in enumerate(weights):
        picture = F.conv2d(picture, torch.from_numpy(weight), torch.from_numpy(bias), padding=weight.shape[-1] // 2)
        if index < len(weights) - 1:
            picture = activation(picture)
    count, depth, height, width = picture.shape
    split = picture.reshape(count, scale, scale, depth // scale**2, height, width).permute(0, 3, 4, 1, 5, 2)
    return split.reshape(count, depth // scale**2, height * scale, width * scale)


def batch(channels: int = 1, count: int = 2) -> Batch:
    frames = torch.rand(count, 1, channels, 19, 30, generator=torch.Generator().manual_seed(3))
    return Batch(frames=frames, keys=tuple(Key(frame=i, seed=0) for i in range(count)))


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_an_espcn_graph_equals_the_same_network_in_torch(tmp_path: Path, scale: int) -> None:
    path = tmp_path / f"ESPCN_x{scale}.pb"
    path.write_bytes(graph(layers(scale), scale))
    choice = registry.choose(str(path))
    assert (choice.scale, choice.card.domain, choice.card.tiling) == (scale, "y", "exact")
    assert choice.card.parameters == sum(w.size + b.size for w, b in layers(scale))
    # 2 + 1 + 1, and the margin of the measurement
    assert choice.card.halo == 4 + 2
    engine = registry.open_engine(choice.reference, scale=scale)
    given = batch()
    torch.testing.assert_close(
        engine.restore(given), oracle(given.frames[:, 0], layers(scale), scale), rtol=0, atol=1e-5
    )


def test_it_agrees_with_opencvs_own_upsample_to_its_8_bits(tmp_path: Path) -> None:
    path = tmp_path / "ESPCN_x2.pb"
    # a network that is nearly the identity: the middle tap through, times nothing else
    weights: Layers = [
        (np.zeros((1, 1, 5, 5), np.float32), np.zeros(1, np.float32)),
        (np.zeros((4, 1, 3, 3), np.float32), np.zeros(4, np.float32)),
    ]
    weights[0][0][0, 0, 2, 2] = 1.0
    weights[1][0][:, 0, 1, 1] = 1.1
    path.write_bytes(graph(weights, 2))
    grey = np.random.default_rng(0).integers(0, 200, (16, 24), np.uint8)
    own = cv2.dnn_superres.DnnSuperResImpl.create()
    own.readModel(str(path))
    own.setModel("espcn", 2)
    expected = own.upsample(cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR))[..., 0]
    engine = registry.open_engine(str(path), scale=2)
    frames = torch.from_numpy(grey).float()[None, None, None] / 255
    result = engine.restore(Batch(frames=frames, keys=(Key(frame=0, seed=0),)))[0, 0] * 255
    # OpenCV rounds Y, then converts YCrCb to BGR in 8 bits: up to 1.5 codes
    assert float((result - torch.from_numpy(expected).float()).abs().max()) <= 1.5


def test_edsr_sees_bgr_around_the_mean_of_div2k(tmp_path: Path) -> None:
    path = tmp_path / "EDSR_x2.pb"
    path.write_bytes(graph(layers(2, 3), 2, "Relu"))
    choice = registry.choose(str(path), 2)
    assert (choice.card.domain, choice.card.tiling) == ("rgb", "blend")
    mean = torch.tensor([114.35629928, 111.561547, 103.1545782])[:, None, None]
    given = batch(3)
    seen = ((given.frames[:, 0] * 255) - mean).flip(1)
    expected = (oracle(seen, layers(2, 3), 2, torch.relu).flip(1) + mean) / 255
    engine = registry.open_engine(choice.reference, scale=2)
    torch.testing.assert_close(engine.restore(given), expected, rtol=0, atol=1e-5)


def test_the_scale_is_the_graphs_not_the_names(tmp_path: Path) -> None:
    path = tmp_path / "ESPCN_x4.pb"
    path.write_bytes(graph(layers(3), 3))
    assert registry.choose(str(path)).scale == 3
    with pytest.raises(IncompatibleModel, match="no scale x4"):
        registry.choose(str(path), 4)


def test_what_cannot_run_is_refused(tmp_path: Path) -> None:
    (tmp_path / "ESPCN_x2.pb").write_bytes(b"no graph at all " * 9)
    with pytest.raises(WeightsCorrupt, match="no TensorFlow graph"):
        registry.choose(str(tmp_path / "ESPCN_x2.pb"))
    (tmp_path / "net.pb").write_bytes(graph(layers(2), 2))
    with pytest.raises(IncompatibleModel, match="does not say which network"):
        registry.choose(str(tmp_path / "net.pb"))
    (tmp_path / "FSRCNN_x2.pb").write_bytes(graph(layers(2, 3), 2))
    with pytest.raises(IncompatibleModel, match="refuses 1 planes"):
        registry.choose(str(tmp_path / "FSRCNN_x2.pb"))
    with pytest.raises(WeightsMissing):
        registry.choose(str(tmp_path / "LapSRN_x2.pb"))
