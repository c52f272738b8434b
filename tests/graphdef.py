"""Write small TensorFlow GraphDef files by hand: the `.pb` models that OpenCV's dnn_superres speaks.

Only the messages and fields that such models use (tensorflow/core/framework/graph.proto, node_def.proto,
attr_value.proto, tensor.proto); the layers are those of the published ESPCN and EDSR files.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

FLOAT, INT32 = 1, 3


def espcn(
    layers: Sequence[tuple[NDArray[np.float32], NDArray[np.float32]]], scale: int, activation: str = "Tanh"
) -> bytes:
    """Give ESPCN: 'same' convolutions, tanh between, depth-to-space last. Weights (out, in, k, k), biases (out,)."""
    last = len(layers) - 1
    channels = layers[0][0].shape[1]
    nodes = [_placeholder("input", channels)]
    top = "input"
    for index, (weight, bias) in enumerate(layers):
        nodes += _conv(f"conv{index}", top, weight, bias)
        top = f"conv{index}/bias_add"
        if index != last:
            nodes.append(_node(f"activation{index}", activation, [top], T=_kind(FLOAT)))
            top = f"activation{index}"
    nodes.append(
        _node(
            "depth_to_space",
            "DepthToSpace",
            [top],
            T=_kind(FLOAT),
            block_size=_integer(scale),
            data_format=_string(b"NHWC"),
        )
    )
    nodes += [
        _constant("perm", np.array([0, 3, 1, 2], np.int32)),
        _node("NCHW_output", "Transpose", ["depth_to_space", "perm"], T=_kind(FLOAT), Tperm=_kind(INT32)),
    ]
    return b"".join(_field(1, node) for node in nodes) + _field(4, _number(1, 175))


def _placeholder(name: str, channels: int) -> bytes:
    return _node(name, "Placeholder", [], dtype=_kind(FLOAT), shape=_field(7, _shape((-1, -1, -1, channels))))


def _conv(name: str, source: str, weight: NDArray[np.float32], bias: NDArray[np.float32]) -> list[bytes]:
    return [
        _constant(f"{name}/weight", np.ascontiguousarray(weight.transpose(2, 3, 1, 0), np.float32)),
        _constant(f"{name}/bias", bias.astype(np.float32)),
        _node(
            name,
            "Conv2D",
            [source, f"{name}/weight"],
            T=_kind(FLOAT),
            strides=_integers((1, 1, 1, 1)),
            dilations=_integers((1, 1, 1, 1)),
            padding=_string(b"SAME"),
            data_format=_string(b"NHWC"),
        ),
        _node(f"{name}/bias_add", "BiasAdd", [name, f"{name}/bias"], T=_kind(FLOAT), data_format=_string(b"NHWC")),
    ]


def _constant(name: str, value: NDArray[np.float32] | NDArray[np.int32]) -> bytes:
    kind = FLOAT if value.dtype == np.float32 else INT32
    tensor = _number(1, kind) + _field(2, _shape(value.shape)) + _field(4, value.tobytes())
    return _node(name, "Const", [], dtype=_kind(kind), value=_field(8, tensor))


def _node(name: str, op: str, sources: Sequence[str], **attributes: bytes) -> bytes:
    body = _field(1, name.encode()) + _field(2, op.encode())
    body += b"".join(_field(3, source.encode()) for source in sources)
    for key, value in attributes.items():
        body += _field(5, _field(1, key.encode()) + _field(2, value))
    return body


def _kind(value: int) -> bytes:
    return _number(6, value)


def _integer(value: int) -> bytes:
    return _number(3, value)


def _integers(values: Sequence[int]) -> bytes:
    return _field(1, b"".join(_number(3, value) for value in values))


def _string(value: bytes) -> bytes:
    return _field(2, value)


def _shape(sizes: Sequence[int]) -> bytes:
    return b"".join(_field(2, _number(1, size)) for size in sizes)


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value & (2**64 - 1))


def _field(field: int, value: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes(out) + struct.pack("B", value)
