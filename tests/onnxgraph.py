"""Write small ONNX models by hand: the super-resolution files that other people's programs export."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper
from torch import Tensor

Layers = list[tuple[NDArray[np.float32], NDArray[np.float32]]]
Shape = Sequence[int | str]


def layers(scale: int, channels: int = 3, *, inner: int = 6, kernels: tuple[int, int] = (5, 3)) -> Layers:
    """Give weights (out, in, k, k) and biases of two convolutions that end in channels * scale² planes."""
    rng = np.random.default_rng(scale)
    shapes = ((inner, channels, kernels[0]), (channels * scale**2, inner, kernels[1]))
    return [
        (rng.normal(0, 0.5 / k, (o, i, k, k)).astype(np.float32), rng.normal(0, 0.1, o).astype(np.float32))
        for o, i, k in shapes
    ]


def oracle(pictures: Tensor, weights: Layers, scale: int) -> Tensor:
    """The same network in torch."""
    for index, (weight, bias) in enumerate(weights):
        pictures = F.conv2d(pictures, torch.from_numpy(weight), torch.from_numpy(bias), padding=weight.shape[-1] // 2)
        pictures = pictures if index else F.leaky_relu(pictures, 0.01)
    return F.pixel_shuffle(pictures, scale)


def network(
    weights: Layers,
    scale: int,
    *,
    shape: Shape | None = None,
    dtype: type[np.float32 | np.float16] = np.float32,
    before: Sequence[NodeProto] = (),
    after: Sequence[NodeProto] = (),
) -> ModelProto:
    """Give `input` -> convolution, LeakyReLU, convolution, DepthToSpace -> `output`.

    `before` are nodes from `input` to `x`, `after` from `y` to `output`; `shape` is that of `input`.
    """
    kind = TensorProto.FLOAT if dtype is np.float32 else TensorProto.FLOAT16
    channels = weights[-1][0].shape[0] // scale**2
    nodes = list(before) or [helper.make_node("Identity", ["input"], ["x"])]
    for index, (weight, _) in enumerate(weights):
        side = weight.shape[-1]
        given, made = ("x", "a") if index == 0 else ("b", "c")
        nodes.append(
            helper.make_node(
                "Conv", [given, f"w{index}", f"b{index}"], [made], kernel_shape=[side, side], pads=[side // 2] * 4
            )
        )
        if index == 0:
            nodes.append(helper.make_node("LeakyRelu", ["a"], ["b"], alpha=0.01))
    nodes.append(helper.make_node("DepthToSpace", ["c"], ["y"], blocksize=scale, mode="CRD"))
    nodes += list(after) or [helper.make_node("Identity", ["y"], ["output"])]
    named = [(f"{name}{i}", value) for i, pair in enumerate(weights) for name, value in zip("wb", pair, strict=True)]
    graph = helper.make_graph(
        nodes,
        "network",
        [helper.make_tensor_value_info("input", kind, list(shape or ("n", channels, "h", "w")))],
        [helper.make_tensor_value_info("output", kind, None)],
        [numpy_helper.from_array(value.astype(dtype), name) for name, value in named],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def constant(name: str, values: Sequence[int]) -> NodeProto:
    """Give a node that makes a vector of integers."""
    return helper.make_node("Constant", [], [name], value=numpy_helper.from_array(np.array(values, np.int64)))
