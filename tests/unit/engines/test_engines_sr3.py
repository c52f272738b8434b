"""Sr3: its layout, its reach, what it is at the start, and that it knows its own weights."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from vsr.core.errors import IncompatibleModel, ModelError
from vsr.engines import registry
from vsr.engines.archs import sr3
from vsr.engines.archs.sr3 import GRID, PATCH, Layout, Sr3
from vsr.engines.diffusion import START
from vsr.filters import BICUBIC, resize

SMALL = Layout(width=16, blocks=1, middle=1, frames=3, scales=(4, 2, 3))


def small(layout: Layout = SMALL, scale: int | None = None) -> Sr3:
    """A net of random weights, none of them zero."""
    torch.manual_seed(0)
    net = Sr3(layout, scale=scale)
    for parameter in net.parameters():
        if not parameter.detach().any():
            torch.nn.init.normal_(parameter, std=0.05)
    return net.eval().requires_grad_(False)


def pictures(net: Sr3, height: int = 24, width: int = 32) -> tuple[Tensor, Tensor]:
    layout = net.layout
    full = (1, layout.frames - 1, layout.channels, height * net.scale, width * net.scale)
    return torch.rand(1, layout.frames, layout.channels, height, width), 0.05 * torch.randn(full)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_a_fresh_net_is_bicubic(scale: int) -> None:
    net = Sr3(SMALL, scale=scale)
    frames, aligned = pictures(net)
    result = net(frames, aligned)
    wanted = resize(frames[:, 1], 24 * scale, 32 * scale, BICUBIC)
    inner = (..., slice(2 * scale, -2 * scale), slice(2 * scale, -2 * scale))  # the borders are mirrored otherwise
    torch.testing.assert_close(result[inner], wanted[inner], rtol=0, atol=1e-5)


def test_zero_differences_give_exactly_what_the_centre_alone_gives() -> None:
    net = small()
    frames, aligned = pictures(net)
    assert torch.equal(net(frames, torch.zeros_like(aligned)), net(frames))
    assert not torch.equal(net(frames, aligned), net(frames))


def test_any_size_will_do() -> None:
    net = small()
    for height, width in ((1, 1), (7, 13), (31, 5)):
        frames, aligned = pictures(net, height, width)
        assert net(frames, aligned).shape == (1, 1, 4 * height, 4 * width)


def test_the_trunk_reaches_as_far_as_it_says() -> None:
    net = small().double()
    cells = 2 * (SMALL.trunk_reach // PATCH) + 8
    middle = cells // 2 * PATCH
    context = torch.randn(1, 16, cells, cells, dtype=torch.float64).requires_grad_(True)
    net.velocity(None, torch.tensor([START]), context)[0, 0, middle, middle].backward()
    assert context.grad is not None
    rows, columns = context.grad.abs().sum((0, 1)).nonzero(as_tuple=True)
    for seen in (rows, columns):
        reach = max(middle - int(seen.min()) * PATCH, (int(seen.max()) + 1) * PATCH - 1 - middle)
        assert SMALL.trunk_reach - GRID <= reach <= SMALL.trunk_reach


def test_the_context_reaches_as_far_as_it_says() -> None:
    net = small().double()
    side = 96
    aligned = (0.05 * torch.randn(1, 2, 1, side, side, dtype=torch.float64)).requires_grad_(True)
    base = torch.rand(1, 1, side, side, dtype=torch.float64)
    net.context(base, aligned, 0.1)[0, :, 12, 12].sum().backward()
    assert aligned.grad is not None
    rows, _ = aligned.grad.abs().sum((0, 1, 2)).nonzero(as_tuple=True)
    reach = max(48 - int(rows.min()), int(rows.max()) - 51)
    assert SMALL.context_reach - PATCH <= reach <= SMALL.context_reach


@pytest.mark.parametrize(
    "layout",
    [
        SMALL,
        Layout(width=8, blocks=2, middle=3),
        Layout(width=8, blocks=1, middle=1, frames=5, channels=3, scales=(2,)),
        Layout(width=16, blocks=1, middle=2, scales=(4, 3, 6, 8)),
    ],
)
def test_a_state_says_its_layout(layout: Layout) -> None:
    assert sr3.recognise(dict(Sr3(layout).state_dict())) == layout


def test_what_is_no_state_of_it_is_not_recognised() -> None:
    state = dict(Sr3(SMALL).state_dict())
    assert sr3.recognise({**state, "more": torch.zeros(1)}) is None
    assert sr3.recognise({key: value for key, value in state.items() if key != "head.bias"}) is None
    assert sr3.recognise({**state, "deviations": torch.zeros(8)}) is None
    assert sr3.recognise({}) is None
    assert sr3.recognise(dict(Sr3(dataclasses.replace(SMALL, frames=2)).state_dict())) is None, (
        "two frames have no centre"
    )


def test_a_file_offers_the_scales_that_it_was_trained_for(tmp_path: Path) -> None:
    save_file(dict(small().state_dict()), tmp_path / "own.safetensors")
    path = str(tmp_path / "own.safetensors")
    for scale, divisor in ((2, 4), (3, 8), (4, 2)):
        choice = registry.choose(path, scale)
        assert (choice.scale, choice.card.scale, choice.card.divisor) == (scale, scale, divisor)
        engine = registry.open_engine(path, scale=scale)
        assert engine.scale == scale
        engine.close()
    assert registry.choose(path, 2.5).scale == 3
    with pytest.raises(IncompatibleModel, match="x5"):
        registry.choose(path, 5)
    with pytest.raises(IncompatibleModel, match="windows of 3 frames"):
        registry.choose(path, 4, frames=5)
    with pytest.raises(IncompatibleModel, match="no centre"):
        registry.choose(path, 4, frames=2)


@pytest.mark.parametrize("wrapped", [{0: torch.zeros(2)}, {"state_dict": {0: torch.zeros(2)}}])
def test_tensors_without_names_are_no_network(wrapped: dict[object, object], tmp_path: Path) -> None:
    torch.save(wrapped, tmp_path / "numbers.pth")
    with pytest.raises(ModelError):
        registry.choose(str(tmp_path / "numbers.pth"))


def test_weights_of_another_kind_are_named() -> None:
    state = dict(Sr3(SMALL).state_dict())
    card = sr3.card("own", SMALL)
    with pytest.raises(RuntimeError, match="x8"):
        sr3.build(card, state, scale=8)
    with pytest.raises(RuntimeError, match="5 frames"):
        sr3.build(dataclasses.replace(card, frames=5), state, scale=4)


def test_the_shipped_size_is_what_it_is_said_to_be() -> None:
    with torch.device("meta"):
        net = Sr3(Layout(frames=3))
    assert sum(parameter.numel() for parameter in net.parameters()) == 1_178_896
