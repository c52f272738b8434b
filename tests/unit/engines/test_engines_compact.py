"""Compact against the reference network of spandrel, on the same weights."""

from __future__ import annotations

import pytest
import torch

from vsr.engines.archs import compact
from vsr.engines.files import inspect, open_file
from vsr.engines.torchvision_stub import ensure_torchvision
from vsr.engines.weights import unwrapped


def reference(scale: int, features: int = 16, depth: int = 3, activation: str = "prelu"):
    ensure_torchvision()
    from spandrel.architectures.Compact.__arch.SRVGG import SRVGGNetCompact

    torch.manual_seed(scale)
    net = SRVGGNetCompact(
        num_in_ch=3, num_out_ch=3, num_feat=features, num_conv=depth, upscale=scale, act_type=activation
    )
    return net.eval()


@pytest.mark.parametrize("scale", [1, 2, 3, 4])
def test_result_is_the_reference_networks(scale):
    theirs = reference(scale)
    layout = compact.recognise(theirs.state_dict())
    assert layout == compact.Layout(channels=3, features=16, depth=3, scale=scale)
    ours = compact.load(theirs.state_dict(), layout).eval()
    pictures = torch.rand(2, 3, 13, 17)
    with torch.inference_mode():
        torch.testing.assert_close(ours(pictures[:, None]), theirs(pictures), atol=1e-6, rtol=0)


def test_wrapped_checkpoints_open_as_compact(tmp_path):
    theirs = reference(2)
    for number, content in enumerate(
        ({"params": theirs.state_dict()}, {"params_ema": theirs.state_dict(), "params": {}}, theirs.state_dict())
    ):
        path = tmp_path / f"{number}.pth"
        torch.save(content, path)
        card = inspect(path)
        assert (card.arch, card.scale, card.domain, card.halo, card.tiling) == ("compact", 2, "rgb", 5, "exact")
        open_file(path).close()


def test_what_is_not_its_layout_is_left_to_others():
    assert compact.recognise({}) is None
    assert compact.recognise(reference(2, activation="relu").state_dict()) is None
    state = reference(2).state_dict()
    assert compact.recognise({**state, "extra": torch.zeros(1)}) is None
    assert compact.recognise({**state, "body.2.weight": torch.zeros(3, 3, 3, 3)}) is None


def test_module_prefix_is_taken_off():
    assert unwrapped({"module.a": 1, "module.b": 2}) == {"a": 1, "b": 2}
    assert unwrapped({"state_dict": {"params": {"a": 1}}}) == {"a": 1}
