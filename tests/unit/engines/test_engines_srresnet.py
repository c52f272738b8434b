from __future__ import annotations

import pytest
import torch

from vsr.engines.archs import srresnet
from vsr.filters import BICUBIC, resize


@pytest.mark.parametrize("scale", [2, 3, 4, 8])
def test_layout_is_read_from_the_weights(scale: int) -> None:
    layout = srresnet.Layout(scale=scale, channels=1, features=8, blocks=2)
    state = srresnet.SrResNet(layout).state_dict()
    assert srresnet.recognise(state) == layout
    assert srresnet.recognise({**state, "extra": torch.zeros(1)}) is None
    assert srresnet.recognise({}) is None


def test_a_fresh_network_is_bicubic() -> None:
    net = srresnet.SrResNet(srresnet.Layout(scale=4, features=8, blocks=2)).eval()
    frames = torch.rand(1, 1, 3, 16, 20)
    with torch.inference_mode():
        inside = net(frames)[..., 8:-8, 8:-8]
    assert torch.allclose(inside, resize(frames[:, 0], 64, 80, BICUBIC)[..., 8:-8, 8:-8], atol=1e-5)


@pytest.mark.parametrize("scale", [2, 4])
def test_the_halo_is_as_far_as_an_output_pixel_reads(scale: int) -> None:
    layout = srresnet.Layout(scale=scale, channels=1, features=4, blocks=2)
    net = srresnet.SrResNet(layout)
    torch.manual_seed(0)
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    size, at = 48, 24
    reached = 0
    for phase in range(scale):
        frames = torch.rand(1, 1, 1, size, size, requires_grad=True)
        net(frames)[0, 0, at * scale + phase, at * scale].backward()
        assert frames.grad is not None
        rows = frames.grad.abs().sum(dim=(0, 1, 2, 4)).nonzero()
        reached = max(reached, int((rows - at).abs().max()))
    assert layout.halo - 1 <= reached <= layout.halo
