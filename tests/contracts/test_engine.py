"""The Engine contract, held over every implementation: the weightless ones, ESPCN, spandrel, dnn_superres, tests'."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.engines import IdentityEngine, MeanEngine, NoiseEngine, aligned_mean
from tests.graphdef import espcn as graph
from tests.onnxgraph import layers, network
from vsr.core.card import Precision
from vsr.core.sampling import Sampling
from vsr.engines import registry, weights
from vsr.engines.archs import sr3
from vsr.engines.archs.espcn import Espcn, Layout
from vsr.engines.base import Batch, Engine, Key
from vsr.engines.cuda import Graphed
from vsr.engines.diffusion_engine import DiffusionEngine
from vsr.engines.tiling import Tiled
from vsr.engines.torchvision_stub import ensure_torchvision

Opener = Callable[[Path, Precision], Engine]


def weightless(name: str, scale: int) -> Opener:
    return lambda folder, precision: registry.open_engine(name, scale=scale, precision=precision)


def espcn(scale: int, channels: int = 1) -> Opener:
    """ESPCN of random weights, as a bare file."""

    def opened(folder: Path, precision: Precision) -> Engine:
        from safetensors.torch import save_file

        torch.manual_seed(scale)
        save_file(dict(Espcn(Layout(scale=scale, channels=channels)).state_dict()), folder / "own.safetensors")
        return registry.open_engine(str(folder / "own.safetensors"), scale=scale, precision=precision)

    return opened


def shipped(name: str, scale: int) -> Opener:
    return lambda folder, precision: registry.open_engine(name, scale=scale, precision=precision)


def compact(scale: int) -> Opener:
    def opened(folder: Path, precision: Precision) -> Engine:
        ensure_torchvision()
        from spandrel.architectures.Compact import Compact

        torch.manual_seed(scale)
        net = Compact(num_in_ch=3, num_out_ch=3, num_feat=16, num_conv=3, upscale=scale)
        torch.save({"params": net.state_dict()}, folder / "compact.pth")
        return registry.open_engine(str(folder / "compact.pth"), scale=scale, precision=precision)

    return opened


def diffusion(scale: int, steps: int, frames: int = 3) -> Opener:
    """A small sr3 of random weights, as a bare file."""

    def opened(folder: Path, precision: Precision) -> Engine:
        from safetensors.torch import save_file

        torch.manual_seed(scale)
        net = sr3.Sr3(sr3.Layout(width=16, blocks=1, middle=1, frames=frames, scales=(4, 2, 3)))
        torch.nn.init.normal_(net.head.weight, std=0.02)
        save_file(dict(net.state_dict()), folder / "sr3.safetensors")
        sampling = Sampling(steps=steps)
        path = str(folder / "sr3.safetensors")
        return registry.open_engine(path, scale=scale, precision=precision, sampling=sampling)

    return opened


def superres(folder: Path, precision: Precision) -> Engine:
    rng = np.random.default_rng(0)
    layers = [
        (rng.normal(0, 0.4 / k, (o, i, k, k)).astype(np.float32), rng.normal(0, 0.1, o).astype(np.float32))
        for o, i, k in ((8, 1, 5), (9, 8, 3))
    ]
    (folder / "ESPCN_x3.pb").write_bytes(graph(layers, 3))
    return registry.open_engine(str(folder / "ESPCN_x3.pb"), scale=3, precision=precision)


def onnx_file(scale: int, *, channels: int = 3, side: int | str = "side") -> Opener:
    def opened(folder: Path, precision: Precision) -> Engine:
        model = network(layers(scale, channels), scale, shape=("count", channels, side, side))
        (folder / "net.onnx").write_bytes(model.SerializeToString())
        return registry.open_engine(str(folder / "net.onnx"), scale=scale, precision=precision)

    return opened


ENGINES: dict[str, Opener] = {
    **{f"{name}-x{scale}": weightless(name, scale) for name in ("nearest", "bilinear", "bicubic") for scale in (1, 2)},
    **{f"lanczos-x{scale}": weightless("lanczos", scale) for scale in (2, 3, 5)},
    **{f"espcn-x{scale}-random": espcn(scale) for scale in (2, 3, 4)},
    "espcn-x2-rgb": espcn(2, channels=3),
    **{
        path.stem: shipped(path.stem, int(path.stem[-1]))
        for path in sorted(weights.shipped_folder().glob("espcn-*.toml"))
    },
    "compact-x2": compact(2),
    "compact-x4": compact(4),
    "sr3-x4-in-4-steps": diffusion(4, 4),
    "sr3-x3-in-1-step": diffusion(3, 1),
    "sr3-x2-of-1-frame": diffusion(2, 2, frames=1),
    "dnn-superres-x3": superres,
    "onnx-x3": onnx_file(3, channels=1),
    "onnx-x2-rgb": onnx_file(2),
    "onnx-x2-of-one-size": onnx_file(2, side=24),
    "identity": lambda folder, precision: IdentityEngine(),
    "mean-3": lambda folder, precision: MeanEngine(3),
    "aligned-mean-3": lambda folder, precision: aligned_mean(3, scale=2),
    "aligned-mean-5-rgb": lambda folder, precision: aligned_mean(5, scale=4, domain="rgb", divisor=4),
    "noise": lambda folder, precision: NoiseEngine(),
    "tiled": lambda folder, precision: Tiled(espcn(2)(folder, precision), 11),
    "graphed": lambda folder, precision: Graphed(espcn(3)(folder, precision)),
}


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Run small networks on one thread: a team that shares its cores with others is six times slower."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(params=ENGINES)
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Opener:
    """Opens the engine under test, in a folder of its own."""
    return lambda _, precision: ENGINES[request.param](tmp_path, precision)


@pytest.fixture
def engine(opened: Opener, tmp_path: Path) -> Engine:
    return opened(tmp_path, "fp32")


def batch(engine: Engine, *, height: int = 36, width: int = 45, count: int = 3) -> Batch:
    """Give windows with slopes, an edge and texture, of a size that the engine takes."""
    card = engine.card
    height, width = (-(-max(n, card.minimum) // card.divisor) * card.divisor for n in (height, width))
    y, x = torch.meshgrid(torch.linspace(0, 1, height), torch.linspace(0, 1, width), indexing="ij")
    channels = 1 if card.domain == "y" else 3
    texture = torch.rand(count, card.frames, channels, height, width, generator=torch.Generator().manual_seed(4))
    frames = 0.3 + 0.2 * torch.sin(7 * x + 3 * y) + 0.2 * (x > y) + 0.1 * texture
    aligned = None
    if card.alignment == "grid":
        full = (count, card.frames - 1, channels, height * engine.scale, width * engine.scale)
        aligned = 0.1 * torch.randn(full, generator=torch.Generator().manual_seed(5))
    return Batch(frames=frames, keys=tuple(Key(frame=i, seed=9) for i in range(count)), aligned=aligned)


def agreement_db(a: Tensor, b: Tensor) -> float:
    error = float(((a - b).double() ** 2).mean())
    return math.inf if error == 0 else -10 * math.log10(error)


def test_the_shape_and_type_are_the_promised_ones(engine: Engine) -> None:
    given = batch(engine)
    count, _, channels, height, width = given.frames.shape
    result = engine.restore(given)
    assert result.shape == (count, channels, height * engine.scale, width * engine.scale)
    assert result.dtype == torch.float32 and result.device == given.frames.device
    assert engine.card.scale in (None, engine.scale)


def test_the_result_is_finite_and_is_a_picture_of_the_input(engine: Engine) -> None:
    result = engine.restore(batch(engine))
    assert bool(torch.isfinite(result).all())


def test_the_input_is_left_as_it_was(engine: Engine) -> None:
    given = batch(engine)
    before = given.frames.clone()
    engine.restore(given)
    assert torch.equal(given.frames, before)


def test_the_same_input_gives_the_same_bits(engine: Engine) -> None:
    given = batch(engine)
    first = engine.restore(given).clone()
    assert torch.equal(engine.restore(given), first)
    assert torch.equal(engine.restore(given), first)


def test_a_window_does_not_depend_on_its_batch(engine: Engine) -> None:
    given = batch(engine)
    together = engine.restore(given)
    alone = [
        engine.restore(
            Batch(
                frames=given.frames[i : i + 1],
                keys=given.keys[i : i + 1],
                aligned=None if given.aligned is None else given.aligned[i : i + 1],
            )
        )
        for i in range(len(given.keys))
    ]
    # kernels are chosen by shape: sums in another order
    torch.testing.assert_close(torch.cat(alone), together, rtol=0, atol=1e-5)


@pytest.mark.parametrize("tile", [9, 20])
def test_tiles_equal_the_whole_where_the_card_says_exact(engine: Engine, tile: int) -> None:
    if engine.card.tiling != "exact":
        pytest.skip("the card does not say exact")
    given = batch(engine, height=52, width=61, count=1)
    # float32 sums in another order
    tiled = engine.tiled(tile) if isinstance(engine, DiffusionEngine) else Tiled(engine, tile)
    torch.testing.assert_close(tiled.restore(given), engine.restore(given), rtol=0, atol=1e-5)


def test_the_smallest_picture_is_taken(engine: Engine) -> None:
    given = batch(engine, height=1, width=1, count=1)
    assert bool(torch.isfinite(engine.restore(given)).all())


def test_two_threads_get_what_one_gets(engine: Engine) -> None:
    batches = [batch(engine, height=20 + 8 * (i % 2), count=1 + i % 3) for i in range(8)]
    expected = [engine.restore(given).clone() for given in batches]
    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(engine.restore, batches))
    for result, wanted in zip(results, expected, strict=True):
        torch.testing.assert_close(result, wanted, rtol=0, atol=1e-5)


def test_bf16_agrees_with_fp32_by_50_db_where_the_card_has_it(opened: Opener, engine: Engine, tmp_path: Path) -> None:
    if "bf16" not in engine.card.dtypes:
        pytest.skip("the card has no bf16")
    given = batch(engine)
    assert agreement_db(opened(tmp_path, "bf16").restore(given), engine.restore(given)) >= 50


def test_it_can_be_closed_and_opened_again(opened: Opener, engine: Engine, tmp_path: Path) -> None:
    given = batch(engine)
    first = engine.restore(given).clone()
    engine.close()
    assert torch.equal(opened(tmp_path, "fp32").restore(given), first)
