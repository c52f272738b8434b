"""The SR3 U-Net beside another one that was written from a description of its checkpoints."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from tests.unit.engines.upstream_unet import FRAMES, LARGE, SINGLE, Spec, forward, plan, random_state
from vsr.engines import own, schedules
from vsr.engines.archs.sr3_classic import Layout, Sr3Classic, build, card, load, recognise, structure

BETAS = schedules.betas("linear", 20)
SMALL = Layout(inner=8, norm_groups=4, multipliers=(1, 2), attention=(1,), res_blocks=1, image_size=16, scale=4)


def layout_of(spec: Spec) -> Layout:
    return Layout(
        frames=spec.in_channel // 3 - 1,
        inner=spec.inner,
        multipliers=spec.mults,
        attention=tuple(i for i in range(len(spec.mults)) if spec.image_size // 2**i in spec.attn_res),
        res_blocks=spec.res_blocks,
        norm_groups=spec.groups,
        image_size=spec.image_size,
    )


def network(layout: Layout, seed: int = 0) -> Sr3Classic:
    torch.manual_seed(seed)
    return Sr3Classic(layout, BETAS).eval()


def pictures(*shape: int, seed: int = 5) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("spec", [SINGLE, LARGE, FRAMES], ids=["16-128", "64-512", "3-frames"])
def test_the_network_gives_what_an_independent_one_gives(spec: Spec) -> None:
    state = random_state(spec, seed=1)
    net = network(layout_of(spec)).double()
    missing, unexpected = net.load_state_dict(
        {key.removeprefix("denoise_fn."): value for key, value in state.items()}, strict=False
    )
    assert set(missing) == {"betas", "norm_groups", "image_size", "scale", "dropout"} and not unexpected
    x = pictures(2, spec.in_channel, 32, 48).double()
    level = torch.tensor([[0.9], [0.01]], dtype=torch.float64)
    with torch.inference_mode():
        found, wanted = net(x, level), forward(state, spec, x, level)
        other = net(x, level.flip(0))
    assert float(wanted.std()) > 0.1 and float((found - other).abs().max()) > 1e-3  # neither nothing nor deaf to level
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("layout", "parameters", "keys"),
    [
        (Layout(), 97_807_491, 374),
        (Layout(frames=3), 97_810_947, 374),
        (Layout(multipliers=(1, 2, 4, 8, 16), attention=(), res_blocks=1, norm_groups=16), 155_334_339, 241),
    ],
)
def test_the_published_networks_have_the_published_sizes(layout: Layout, parameters: int, keys: int) -> None:
    with torch.device("meta"):
        net = Sr3Classic(layout, torch.empty(2000))
    state = net.state_dict()
    assert sum(p.numel() for p in net.parameters()) == parameters
    assert sum("." in key for key in state) + 12 == keys  # twelve arrays of the schedule lie beside the weights
    found = structure({key: tuple(value.shape) for key, value in state.items() if "." in key})
    assert found is not None
    assert replace(found, norm_groups=layout.norm_groups, image_size=128, scale=8) == layout


def test_the_blocks_attend_where_the_16_pixel_level_lies() -> None:
    attending = [name for name, _, _, _, attends in plan(SINGLE) if attends]
    assert attending == ["downs.10", "downs.11", "mid.0", "ups.4", "ups.5", "ups.6"]
    net = network(layout_of(SINGLE))
    assert sorted(name.removesuffix(".attn") for name, _ in net.named_modules() if name.endswith(".attn")) == attending


@pytest.mark.parametrize(
    "layout",
    [
        SMALL,
        replace(SMALL, frames=5, dropout=0.25, scale=2, norm_groups=2),
        replace(SMALL, variant="biggan", multipliers=(1, 1), attention=()),
        replace(SMALL, multipliers=(2,), attention=(0,), res_blocks=3, image_size=7, scale=7),
    ],
)
def test_a_state_says_everything_of_its_network(layout: Layout) -> None:
    net = network(layout)
    state = net.state_dict()
    assert recognise(state) == layout
    again = build(card("it", layout), state, scale=layout.scale)
    assert again.layout == layout
    assert all(torch.equal(value, state[key]) for key, value in again.state_dict().items())
    assert again.betas.dtype == torch.float64 and torch.equal(again.betas, BETAS)
    found = own.recognise("it", state)
    assert found is not None and found[0] == replace(
        card("it", layout), parameters=sum(p.numel() for p in net.parameters())
    )
    assert torch.equal(found[1].state_dict()["betas"], BETAS)  # not rounded on the way


def test_other_states_are_not_taken_for_it() -> None:
    state = network(SMALL).state_dict()
    for key in ("betas", "norm_groups", "mid.1.res_block.block1.block.0.weight", "ups.0.res_block.res_conv.weight"):
        assert recognise({name: value for name, value in state.items() if name != key}) is None
    assert recognise({**state, "more": torch.zeros(1)}) is None
    assert recognise({**state, "norm_groups": torch.tensor(3)}) is None
    assert recognise({**state, "norm_groups": torch.zeros(2)}) is None
    assert recognise({**state, "downs.0.weight": torch.zeros(8, 3, 3, 3)}) is None
    with pytest.raises(RuntimeError, match="the card says x8"):
        build(card("it", SMALL), state, scale=8)
    with pytest.raises(RuntimeError, match="size mismatch"):
        load(state, replace(SMALL, inner=16))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"norm_groups": 3}, "norm_groups must divide"),
        ({"image_size": 15}, "image_size is a multiple of 2"),
        ({"frames": 2}, "frames odd"),
        ({"multipliers": ()}, "at least 1"),
        ({"dropout": 1.0}, "dropout below 1"),
    ],
)
def test_a_layout_that_cannot_be_is_refused(wrong: dict[str, int], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        replace(SMALL, **wrong)  # type: ignore[arg-type]


def test_the_card_asks_for_sizes_that_every_level_can_halve() -> None:
    facts = card("it", Layout(frames=3))
    assert (facts.scale, facts.frames, facts.domain, facts.alignment) == (8, 3, "rgb", "none")
    assert (facts.divisor * 8 % 16, facts.divisor, facts.tiling, facts.dtypes) == (0, 2, "blend", ("fp32",))
    assert "approximate" in facts.description
    assert card("it", Layout(scale=3)).divisor == 16
    assert card("it", Layout(scale=16)).divisor == 1


def test_any_size_runs_and_gradients_reach_every_weight() -> None:
    for layout in (SMALL, replace(SMALL, variant="biggan", dropout=0.5)):
        net = Sr3Classic(layout, BETAS)
        for height, width in ((2, 2), (6, 34)):
            found = net(pictures(2, 6, height, width), torch.tensor([[0.2], [0.8]]))
            assert found.shape == (2, 3, height, width)
        found.square().sum().backward()
        silent = [name for name, p in net.named_parameters() if p.grad is None or not bool(p.grad.abs().max() > 0)]
        assert silent == []


def test_dropout_acts_in_training_only() -> None:
    net = Sr3Classic(replace(SMALL, dropout=0.5), BETAS)
    x, level = pictures(1, 6, 8, 8), torch.tensor([[0.5]])
    assert not torch.equal(net(x, level), net(x, level))
    net.eval()
    assert torch.equal(net(x, level), net(x, level))


def test_the_biggan_block_is_told_before_its_first_convolution_and_is_scaled_down() -> None:
    """A block of silent convolutions gives its input over the root of two; a silent first one hears no level."""
    block = network(replace(SMALL, variant="biggan")).downs[1].res_block
    usual = network(SMALL).downs[1].res_block
    x, told = pictures(1, 8, 6, 6), pictures(1, 8)
    with torch.no_grad():
        for last in (block.block2.block[3], usual.block2.block[3]):
            last.weight.zero_(), last.bias.zero_()
        torch.testing.assert_close(block(x, told), x / 2**0.5)
        assert torch.equal(usual(x, told), x)
        for last in (block.block2.block[3], usual.block2.block[3]):
            last.weight.normal_()
        for first in (block.block1.block[3], usual.block1.block[3]):
            first.weight.zero_()
        assert torch.equal(block(x, told), block(x, -told))
        assert not torch.equal(usual(x, told), usual(x, -told))
