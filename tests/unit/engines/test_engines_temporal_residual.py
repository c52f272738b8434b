from __future__ import annotations

import pytest
import torch

from vsr.engines.archs import compact, espcn
from vsr.engines.temporal_residual import TemporalResidual


def stirred(net: torch.nn.Module) -> torch.nn.Module:
    """Give the net with weights that are nowhere zero, biases too."""
    torch.manual_seed(0)
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return net.eval()


def nets() -> dict[str, tuple[torch.nn.Module, int]]:
    first = espcn.Layout(scale=2, frames=3)
    second = compact.Layout(channels=3, features=8, depth=2, scale=2, bicubic=True, frames=5)
    return {"espcn": (espcn.Espcn(first), first.halo), "compact": (compact.Compact(second), second.halo)}


def test_zero_differences_give_exactly_zero() -> None:
    residual = stirred(TemporalResidual(frames=3, channels=1, scale=2, context=4, features=8))
    assert not residual(torch.zeros(1, 2, 1, 16, 16), torch.rand(1, 4, 8, 8)).any()
    assert residual(torch.rand(1, 2, 1, 16, 16), torch.rand(1, 4, 8, 8)).any()


@pytest.mark.parametrize("name", ["espcn", "compact"])
def test_a_static_window_is_restored_as_by_the_single_frame_net(name: str) -> None:
    net, _ = nets()[name]
    stirred(net)
    count, channels = (3, 1) if name == "espcn" else (5, 3)
    frames = torch.rand(2, count, channels, 12, 10)
    with torch.inference_mode():
        still = net(frames, torch.zeros(2, count - 1, channels, 24, 20))
        assert torch.equal(still, net(frames))
        assert not torch.equal(still, net(frames, torch.rand(2, count - 1, channels, 24, 20)))


@pytest.mark.parametrize("name", ["espcn", "compact"])
def test_the_halo_is_as_far_as_an_output_pixel_reads(name: str) -> None:
    net, halo = nets()[name]
    stirred(net)
    count, channels = (3, 1) if name == "espcn" else (5, 3)
    size, at = 40, 20
    frames = torch.rand(1, count, channels, size, size, requires_grad=True)
    aligned = torch.rand(1, count - 1, channels, 2 * size, 2 * size, requires_grad=True)
    net(frames, aligned)[0, 0, 2 * at, 2 * at].backward()
    for grad, times in ((frames.grad, 1), (aligned.grad, 2)):
        assert grad is not None
        rows = grad.abs().sum(dim=(0, 1, 2, 4)).nonzero()
        assert int((rows // times - at).abs().max()) <= halo
    assert frames.grad is not None
    rows = frames.grad.abs().sum(dim=(0, 1, 2, 4)).nonzero()
    assert int((rows - at).abs().max()) == halo  # and no farther than it has to


def test_weights_of_several_frames_are_recognised() -> None:
    for module, layout in ((espcn, espcn.Layout(scale=3, frames=5)), (compact, nets_layout())):
        net = module.Espcn(layout) if module is espcn else module.Compact(layout)
        assert module.recognise(net.state_dict()) == layout


def nets_layout() -> compact.Layout:
    return compact.Layout(channels=1, features=16, depth=3, scale=4, bicubic=True, frames=3)
