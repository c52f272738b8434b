"""Codes in memory: what decoders hand out, and rounding."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch

from vsr.color.codes import numbers, numpy_plane, plane_tensor, quantise
from vsr.color.tables import Levels, luma_levels

UNIT = Levels(offset=0.0, span=1.0)


@pytest.mark.parametrize("depth", [8, 9, 10, 12, 14, 15, 16])
@pytest.mark.parametrize("levels", ["tv", "pc"])
def test_every_code_survives_the_way_there_and_back(depth: int, levels: str) -> None:
    codes = np.arange(1 << depth).astype(np.uint8 if depth == 8 else np.uint16).reshape(16, -1)
    scale = luma_levels(levels, depth)
    there = numbers(plane_tensor(codes), scale, depth)
    assert there.dtype == torch.float32
    np.testing.assert_allclose(there.numpy(), (codes.astype(float) - scale.offset) / scale.span, atol=1e-6)
    back = numpy_plane(quantise(there * scale.span, scale.offset, depth))
    assert back.dtype == codes.dtype and np.array_equal(back, codes)


def test_rounding_is_to_nearest_and_stops_at_the_ends() -> None:
    values = torch.tensor([[-9.0, -0.4, 0.49, 0.5, 1.49, 1.51, 254.49, 254.51, 255.4, 300.0]])
    assert quantise(values.clone(), 0.0, 8).tolist() == [[0, 0, 0, 1, 1, 2, 254, 255, 255, 255]]
    high = torch.tensor([[-9.0, 1022.4, 1022.6, 5000.0]])
    assert numpy_plane(quantise(high, 0.0, 10)).tolist() == [[0, 1022, 1023, 1023]]
    top = torch.tensor([[32767.6, 65534.6, 70000.0]])
    assert numpy_plane(quantise(top, 0.0, 16)).tolist() == [[32768, 65535, 65535]]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_decoders_views_are_taken_without_copy_or_warning(dtype: type[np.uint8] | type[np.uint16]) -> None:
    memory = np.arange(600).astype(dtype).reshape(20, 30)
    view = memory[:, 2:22]
    view.flags.writeable = False
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tensor = plane_tensor(view)
    assert tensor.data_ptr() == view.ctypes.data
    assert np.array_equal(numpy_plane(tensor), view)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_flipped_and_mirrored_views_are_read_right(dtype: type[np.uint8] | type[np.uint16]) -> None:
    memory = np.arange(600).astype(dtype).reshape(20, 30)
    for view in (memory[::-1], memory[:, ::-1], memory[::-2, ::3]):
        assert np.array_equal(numpy_plane(plane_tensor(view)), view)


def test_rows_at_odd_distances_are_read_right() -> None:
    memory = np.zeros(21 * 41, np.uint8)
    view = np.ndarray((20, 20), np.uint16, buffer=memory, strides=(41, 2))
    view[:] = np.arange(400).reshape(20, 20)
    assert np.array_equal(numpy_plane(plane_tensor(view)), view)
