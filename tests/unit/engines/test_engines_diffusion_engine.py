"""DiffusionEngine: steps, seeds, tiles and back-projection, on a small net of random weights."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from tests.unit.engines.test_engines_sr3 import small
from vsr.core.sampling import NoiseMode, Sampling
from vsr.engines.archs.sr3 import cards
from vsr.engines.base import Batch, Key
from vsr.engines.color_fix import backproject
from vsr.engines.diffusion_engine import DiffusionEngine
from vsr.filters import BICUBIC, resize


def engine(scale: int = 4, **chosen: object) -> DiffusionEngine:
    net = small(scale=scale)
    card = next(card for card in cards("own", net.layout) if card.scale == scale)
    return DiffusionEngine(net, card=card, sampling=Sampling(**chosen))  # type: ignore[arg-type]


def batch(scale: int = 4, *, height: int = 48, width: int = 64, count: int = 1, seed: int = 3) -> Batch:
    generator = torch.Generator().manual_seed(1)
    return Batch(
        frames=torch.rand(count, 3, 1, height, width, generator=generator),
        keys=tuple(Key(frame=at, seed=seed) for at in range(count)),
        aligned=0.05 * torch.randn(count, 2, 1, height * scale, width * scale, generator=generator),
    )


def shown(picture: Tensor) -> Tensor:
    """As 8 bits show it."""
    return (picture * 219 + 16).round().clamp(0, 255)


@pytest.mark.parametrize(("steps", "scale"), [(1, 4), (4, 4), (2, 2), (4, 3)])
@pytest.mark.parametrize("tile", [8, 20, 33])
def test_tiles_at_each_step_change_nothing(steps: int, scale: int, tile: int) -> None:
    whole = engine(scale, steps=steps)
    given = batch(scale, height=56, width=72)
    wanted, found = whole.restore(given), whole.tiled(tile).restore(given)
    torch.testing.assert_close(found, wanted, rtol=0, atol=5e-5)  # 1e-4 on [-1, 1]
    assert float((shown(found) != shown(wanted)).float().mean()) <= 1e-4


def test_a_tile_is_a_tile() -> None:
    """Else the test above would compare the whole with the whole."""
    seen: list[tuple[int, ...]] = []
    tiled = engine(steps=1).tiled(8)
    net = tiled._net
    assert net is not None
    net.down.register_forward_hook(lambda module, inputs, output: seen.append(tuple(inputs[0].shape)))
    tiled.restore(batch(height=64, width=64))
    assert len(seen) > 4 and max(shape[-1] for shape in seen) * 4 < 256


def test_one_step_knows_no_seed_and_four_do() -> None:
    for steps, is_same in ((1, True), (4, False)):
        used = engine(steps=steps)
        assert torch.equal(used.restore(batch(seed=3)), used.restore(batch(seed=4))) is is_same
        assert torch.equal(used.restore(batch(seed=3)), used.restore(batch(seed=3)))


def test_a_window_is_the_same_in_any_batch() -> None:
    used = engine(steps=4)
    three = batch(count=3)
    assert three.aligned is not None
    alone = replace(three, frames=three.frames[2:], keys=three.keys[2:], aligned=three.aligned[2:])
    torch.testing.assert_close(used.restore(three)[2:], used.restore(alone), rtol=0, atol=5e-5)


@pytest.mark.parametrize(("noise", "is_same"), [("static", True), ("pan", True), ("frame", False)])
def test_identical_windows_at_other_frames(noise: NoiseMode, is_same: bool) -> None:
    used = engine(steps=2, noise=noise)
    given = batch()
    later = replace(given, keys=(Key(frame=7, seed=3),))
    assert torch.equal(used.restore(given), used.restore(later)) is is_same


def test_a_pan_carries_its_texture() -> None:
    """A picture that moves by whole pixels, its noise with it: what comes out moves too."""
    used = engine(steps=4, consistency=0)
    wide = batch(height=48, width=80)
    assert wide.aligned is not None
    left = replace(wide, frames=wide.frames[..., :64].contiguous(), aligned=wide.aligned[..., :256].contiguous())
    right = Batch(
        frames=wide.frames[..., 16:].contiguous(),
        aligned=wide.aligned[..., 64:].contiguous(),
        keys=(Key(frame=1, seed=3, offset=(0, -64)),),
    )
    first, second = used.restore(left), used.restore(right)
    reach = small().layout.reach + 8
    torch.testing.assert_close(first[..., 64 + reach : -reach], second[..., reach : -64 - reach], rtol=0, atol=1e-4)
    still = replace(right, keys=(Key(frame=1, seed=3),))
    stuck = used.restore(still)
    assert float((first[..., 64 + reach : -reach] - stuck[..., reach : -64 - reach]).abs().max()) > 1e-3


def test_detail_blends_between_the_first_step_and_the_last() -> None:
    given = batch()
    none, half, full = (engine(steps=4, detail=a, consistency=0).restore(given) for a in (0.0, 0.5, 1.0))
    torch.testing.assert_close(none, engine(steps=1, consistency=0).restore(given), rtol=0, atol=1e-5)
    torch.testing.assert_close(half, (none + full) / 2, rtol=0, atol=1e-5)
    assert not torch.allclose(none, full, atol=1e-3)


def test_the_steps_can_be_watched() -> None:
    used = engine(steps=4)
    every = list(used.refine(batch()))
    assert len(every) == 4
    assert torch.equal(every[-1], used.restore(batch()))
    assert not torch.allclose(every[2], every[3])
    torch.testing.assert_close(every[0], engine(steps=1, consistency=0).restore(batch()), rtol=0, atol=1e-6)


def test_who_watches_may_stop_and_may_learn() -> None:
    step = next(engine(steps=2).refine(batch()))
    assert step.shape == (1, 1, 192, 256)
    assert not torch.is_inference_mode_enabled(), "a step that is left half-way leaves nothing behind"


def test_back_projection_brings_the_result_to_lr() -> None:
    given = batch()
    centre = given.frames[:, 1]

    def error(rounds: int) -> float:
        restored = engine(steps=4, consistency=rounds).restore(given)
        return float((resize(restored, 48, 64, BICUBIC) - centre).square().mean())

    assert error(2) < 0.5 * error(1) < 0.2 * error(0)
    exact = resize(centre, 192, 256, BICUBIC)
    consistent = backproject(exact, resize(exact, 48, 64, BICUBIC), rounds=3)
    torch.testing.assert_close(consistent, exact, rtol=0, atol=1e-6)


def test_memory_is_foreseen() -> None:
    assert 100 < engine().bytes_per_pixel() < 100_000
