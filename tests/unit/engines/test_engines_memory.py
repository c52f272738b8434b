import pytest
import torch
from torch import nn

from vsr.engines import registry
from vsr.engines.memory import SAFETY, bytes_per_pixel, tile_that_fits
from vsr.engines.net import NetEngine


class Wide(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(1, 64, 3, padding=1), nn.ReLU(), nn.Conv2d(64, 1, 3, padding=1))

    def forward(self, frames):
        return self.body(frames[:, 0])


def test_widest_operator_decides():
    """64 float32 channels in and 64 out of the ReLU: 512 bytes a pixel."""
    assert bytes_per_pixel(Wide(), torch.zeros(1, 1, 1, 32, 32)) == pytest.approx(SAFETY * 512)


def test_estimate_does_not_depend_on_the_size():
    net = Wide()
    a, b = (bytes_per_pixel(net, torch.zeros(1, 1, 1, side, side)) for side in (16, 64))
    assert a == pytest.approx(b)
    assert all(not module._forward_hooks for module in net.modules())


def test_tile_fits_the_budget_with_its_halo():
    assert tile_that_fits(400, 360, 640, 1e9, 4) is None
    side = tile_that_fits(400, 2160, 3840, 400e6, 4)
    assert side is not None and side % 32 == 0
    assert 400 * (side + 8) ** 2 <= 400e6
    assert tile_that_fits(400, 2160, 3840, 1e3, 4) == 64


def test_shipped_engine_can_be_measured():
    engine = registry.open_engine("espcn-x2", scale=2)
    assert isinstance(engine, NetEngine)
    # Measured peak of a float32 call: 64 + 64 channels; the estimate lies above it, within its safety factor.
    assert 390 <= engine.bytes_per_pixel() <= 1100
    engine.close()
