"""The sampled SR3 engine: beside an independent chain, in windows, and independent of how it is called."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from tests.textures import textured
from tests.unit.engines.upstream_unet import LARGE, SINGLE, Spec, random_state, sample
from vsr.core.errors import IncompatibleModel, SettingsError
from vsr.core.sampling import Sampling
from vsr.engines import color_fix, noise, schedules
from vsr.engines.archs.sr3_classic import Layout, Sr3Classic, card
from vsr.engines.base import Batch, Key
from vsr.engines.classic_engine import ClassicEngine, enlarged, windowed
from vsr.engines.tiling import Tiled
from vsr.filters import BICUBIC, resize

SMALL = Layout(inner=8, norm_groups=4, multipliers=(1, 2), attention=(1,), res_blocks=1, image_size=32, scale=4)
FRAMES = replace(SMALL, frames=3)
BETAS = schedules.betas("linear", 6, end=0.6)


def engine_of(layout: Layout, sampling: Sampling | None = None, *, betas: Tensor = BETAS) -> ClassicEngine:
    torch.manual_seed(3)
    net = Sr3Classic(layout, betas)
    return ClassicEngine(net, card=card("classic", layout), scale=layout.scale, sampling=sampling)


def batch_of(layout: Layout, count: int, height: int, width: int, *, seed: int = 0) -> Batch:
    scene = torch.stack([textured(k, height + 4, width + 4) for k in range(count)])
    frames = torch.stack([scene[..., k : k + height, k : k + width] for k in range(layout.frames)], dim=1)
    return Batch(frames=frames, keys=tuple(Key(frame=10 + k, seed=seed) for k in range(count)))


@pytest.mark.parametrize("spec", [SINGLE, LARGE, Spec(in_channel=12)], ids=["16-128", "64-512", "3-frames"])
def test_the_whole_chain_gives_what_an_independent_one_gives(spec: Spec) -> None:
    """20 steps of ancestral sampling, the same start and the same noise, in float32 against float64."""
    frames = spec.in_channel // 3 - 1
    attention = tuple(i for i in range(len(spec.mults)) if spec.image_size // 2**i in spec.attn_res)
    layout = Layout(
        frames=frames,
        inner=spec.inner,
        multipliers=spec.mults,
        attention=attention,
        res_blocks=spec.res_blocks,
        norm_groups=spec.groups,
        image_size=spec.image_size,
    )
    state = random_state(spec, seed=4)
    betas = np.linspace(1e-6, 1e-2, 20)
    net = Sr3Classic(layout, torch.from_numpy(betas))
    facts = {key: value for key, value in net.state_dict().items() if "." not in key}
    net.load_state_dict({**facts, **{key.removeprefix("denoise_fn."): value for key, value in state.items()}})
    engine = ClassicEngine(net, card=card("it", layout), scale=8, sampling=Sampling(steps=20))
    batch = batch_of(layout, 1, 2, 4, seed=7)
    condition = enlarged(batch.frames, 8).double()
    with torch.inference_mode():
        wanted = sample(state, spec, betas, condition, lambda t: noise.field(7, 16, 32, 3, draw=t)[None].double())
    codes = [
        ((value.clamp(-1, 1) + 1) / 2 * 255).round().to(torch.uint8)
        for value in (engine.restore(batch) * 2 - 1, wanted)
    ]
    assert codes[1].float().std() > 20
    assert torch.equal(*codes)


@pytest.mark.parametrize("steps", [1, 3, 6])
@pytest.mark.parametrize("layout", [SMALL, FRAMES], ids=["single", "frames"])
def test_any_size_comes_out_enlarged_the_same_each_time_alone_or_in_a_batch(layout: Layout, steps: int) -> None:
    engine = engine_of(layout, Sampling(steps=steps))
    for height, width in ((1, 1), (3, 11)):
        batch = batch_of(layout, 3, height, width, seed=5)
        found = engine.restore(batch)
        assert found.shape == (3, 3, 4 * height, 4 * width) and found.dtype == torch.float32
        assert float(found.min()) >= 0 and float(found.max()) <= 1
        assert torch.equal(found, engine.restore(batch))
        single = engine.restore(Batch(frames=batch.frames[1:2], keys=batch.keys[1:2]))
        torch.testing.assert_close(found[1:2], single, rtol=0, atol=1e-4)  # kernels differ by batch


def test_the_frames_go_in_oldest_first_and_the_noisy_picture_last() -> None:
    seen: list[Tensor] = []
    engine = engine_of(FRAMES, Sampling(steps=2))
    assert engine._net is not None
    engine._net.register_forward_pre_hook(lambda module, given: seen.append(given[0]))
    batch = batch_of(FRAMES, 1, 4, 6, seed=9)
    engine.restore(batch)
    assert torch.equal(seen[0][:, 3:6], enlarged(batch.frames[:, 1:2], 4))
    assert torch.equal(seen[0][:, :9], enlarged(batch.frames, 4))
    assert torch.equal(seen[0][0, 9:], noise.field(9, 16, 24, 3))


@pytest.mark.parametrize("scale", [2, 3, 4, 8])
@pytest.mark.parametrize("size", [(16, 16), (5, 40), (1, 2)])
def test_the_condition_is_what_pil_makes_of_8_bit_frames(scale: int, size: tuple[int, int]) -> None:
    height, width = size
    frame = textured(4, 40, 40)[:, 10 : 10 + height, :width]
    codes = frame.mul(255).round().byte().permute(1, 2, 0).numpy()
    wanted = np.asarray(Image.fromarray(codes).resize((width * scale, height * scale), Image.Resampling.BICUBIC))
    found = (enlarged((frame + 0.001)[None, None], scale)[0] + 1) * 127.5
    off = np.abs(found.permute(1, 2, 0).numpy() - wanted.astype(np.float32))
    if scale == 8:
        assert off.max() < 1e-4
    else:  # PIL's weights have 22 bits: what is exactly a half may fall the other way, and once more in the second pass
        assert off.max() < 2.001 and (off > 0.5).mean() <= 0.005


@pytest.mark.parametrize("kind", ["shape", "steps", "detail", "precision"])
def test_what_cannot_be_is_refused(kind: str) -> None:
    if kind == "shape":
        with pytest.raises(IncompatibleModel, match="windows of 3 frames"):
            engine_of(FRAMES).restore(batch_of(SMALL, 1, 8, 8))
    elif kind == "steps":
        for steps in (0, 7):
            with pytest.raises(SettingsError, match="1 to 6 steps"):
                engine_of(SMALL, Sampling(steps=steps))
    elif kind == "detail":
        with pytest.raises(SettingsError, match="detail"):
            engine_of(SMALL, Sampling(detail=0.5))
    else:
        with pytest.raises(IncompatibleModel, match="bf16"):
            ClassicEngine(Sr3Classic(SMALL, BETAS), card=card("c", SMALL), scale=4, precision="bf16")


def test_the_default_is_20_steps_of_those_it_was_trained_with() -> None:
    assert engine_of(SMALL, betas=schedules.betas("linear", 2000)).grid.steps[::19] == (0, 1999)
    assert len(engine_of(SMALL, betas=schedules.betas("linear", 2000)).grid.steps) == 20
    assert len(engine_of(SMALL, betas=schedules.betas("linear", 7)).grid.steps) == 7


def test_a_picture_of_one_window_is_run_whole_and_a_larger_one_in_even_windows() -> None:
    sizes: list[tuple[int, ...]] = []
    engine = engine_of(SMALL, Sampling(steps=1))
    assert engine._net is not None
    engine._net.register_forward_pre_hook(lambda module, given: sizes.append(tuple(given[0].shape)))
    for (height, width), wanted in (((8, 8), [(32, 32)]), ((3, 8), [(12, 32)]), ((8, 17), [(32, 32)] * 4)):
        sizes.clear()
        engine.restore(batch_of(SMALL, 2, height, width))
        assert [shape[-2:] for shape in sizes] == wanted


@pytest.mark.parametrize("side", [32, 6, 2])
def test_windows_of_a_network_that_looks_at_pixels_give_what_the_whole_gives(side: int) -> None:
    """And those of one that answers by its window's place change slowly: no seam."""

    def pixels(x: Tensor, condition: Tensor, level: Tensor) -> Tensor:
        return x * 0.3 + condition[:, :3] * level[..., None, None]

    x, condition = (torch.randn(2, c, 46, 38, generator=torch.Generator().manual_seed(c)) for c in (3, 9))
    level = torch.tensor([[0.3], [0.9]])
    torch.testing.assert_close(
        windowed(pixels, side)(x, condition, level), pixels(x, condition, level), rtol=0, atol=1e-6
    )


def test_blended_windows_have_no_seam() -> None:
    calls = iter(range(100))

    def counted(x: Tensor, condition: Tensor, level: Tensor) -> Tensor:
        return torch.full_like(x, float(next(calls)))

    given = torch.zeros(1, 3, 32, 160)
    found = windowed(counted, 32)(given, given, torch.ones(1, 1))[0, 0, 0]
    assert next(calls) == 9
    steps = found.diff()
    assert float(found[0]) == 0 and float(found[-1]) == 8
    assert float(steps.min()) >= 0 and float(steps.max()) < 2 / 16  # from window to window over 16 pixels


def test_noise_follows_the_key_alone_and_the_frame_where_that_is_asked_for() -> None:
    batch = batch_of(SMALL, 1, 8, 8, seed=1)

    def restored(sampling: Sampling, **key: object) -> Tensor:
        changed = replace(batch.keys[0], **key)  # type: ignore[arg-type]
        return engine_of(SMALL, sampling).restore(Batch(frames=batch.frames, keys=(changed,)))

    still = restored(Sampling(steps=2))
    assert torch.equal(restored(Sampling(steps=2), frame=99), still)
    assert not torch.equal(restored(Sampling(steps=2), seed=2), still)
    assert not torch.equal(restored(Sampling(steps=2), offset=(0, 4)), still)
    other = Sampling(steps=2, noise="frame")
    assert not torch.equal(restored(other, frame=99), restored(other))
    assert torch.equal(restored(other), restored(other))


def test_colour_fixes_and_consistency_come_after_sampling() -> None:
    batch = batch_of(SMALL, 1, 8, 8)
    low, plain = batch.frames[:, 0], engine_of(SMALL, Sampling(steps=2)).restore(batch)
    for sampling, wanted in (
        (Sampling(steps=2, color_fix="adain"), color_fix.adain(plain, low)),
        (Sampling(steps=2, color_fix="wavelet"), color_fix.wavelet(plain, low)),
        (Sampling(steps=2, color_fix="backproject"), color_fix.backproject(plain, low, rounds=2)),
        (Sampling(steps=2, color_fix="backproject", consistency=5), color_fix.backproject(plain, low, rounds=5)),
        (Sampling(steps=2, consistency=3), color_fix.backproject(plain, low, rounds=3)),
    ):
        found = engine_of(SMALL, sampling).restore(batch)
        torch.testing.assert_close(found, wanted, rtol=0, atol=1e-6)
        assert float((found - plain).abs().max()) > 0.01
    close = engine_of(SMALL, Sampling(steps=2, consistency=4)).restore(batch)
    errors = [float((resize(result, 8, 8, BICUBIC) - low).abs().mean()) for result in (plain, close)]
    assert errors[1] < 0.1 * errors[0]


def test_tiles_see_the_noise_of_the_place_they_lie_at() -> None:
    """With a network that finds no noise, one step gives the noise itself, held to the range: the whole picture's."""
    torch.manual_seed(0)
    net = Sr3Classic(SMALL, BETAS)
    torch.nn.init.zeros_(net.final_conv.block[3].weight)
    torch.nn.init.zeros_(net.final_conv.block[3].bias)
    engine = ClassicEngine(net, card=card("classic", SMALL), scale=4, sampling=Sampling(steps=1))
    batch = batch_of(SMALL, 1, 20, 12, seed=6)
    found, whole = Tiled(engine, tile=4).restore(batch), engine.restore(batch)
    torch.testing.assert_close(found, whole, rtol=0, atol=1e-6)
    left = float(schedules.alphas(BETAS)[-1])
    wanted = (noise.field(6, 80, 48, 3) / left**0.5).clamp(-1, 1) / 2 + 0.5
    torch.testing.assert_close(whole[0], wanted, rtol=0, atol=1e-5)


@pytest.mark.parametrize(("steps", "shown"), [(3, 3), (40, 10)])
def test_the_way_to_the_result_can_be_watched(steps: int, shown: int) -> None:
    engine = engine_of(SMALL, Sampling(steps=steps), betas=schedules.betas("linear", 40, end=0.2))
    batch = batch_of(SMALL, 1, 8, 8)
    every = list(engine.refine(batch))
    assert len(every) == shown
    assert torch.equal(every[-1], engine.restore(batch))
    assert float((every[0] - every[-1]).std()) > float((every[-2] - every[-1]).std()), "noise goes"


def test_a_call_takes_no_more_memory_than_is_promised() -> None:
    layout = replace(FRAMES, scale=8)
    engine, batch = engine_of(layout, Sampling(steps=1)), batch_of(layout, 1, 12, 16)
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as watched:
        engine.restore(batch)
    results = watched.profiler.kineto_results
    changes = sorted((event.start_ns(), event.nbytes()) for event in results.events() if event.name() == "[memory]")
    held = np.cumsum([size for _, size in changes])
    promised = engine.bytes_per_pixel() * 12 * 16
    assert promised / 4 < held.max() <= promised
