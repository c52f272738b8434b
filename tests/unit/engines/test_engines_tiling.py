from __future__ import annotations

import itertools

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tests.engines import IdentityEngine, NoiseEngine, card
from vsr.core.errors import IncompatibleModel
from vsr.engines.archs.espcn import Espcn, Layout
from vsr.engines.base import Batch, Key
from vsr.engines.net import NetEngine
from vsr.engines.tiling import Tiled, cut


@given(
    size=st.integers(1, 300), tile=st.integers(1, 64), overlap=st.integers(0, 20), divisor=st.sampled_from([1, 2, 4, 8])
)
def test_cores_partition_the_axis_and_keep_their_context(size: int, tile: int, overlap: int, divisor: int) -> None:
    size, tile, overlap = size * divisor, tile * divisor, overlap * divisor
    parts = cut(size, tile, overlap, divisor)
    assert parts[0].core_start == 0 and parts[-1].core_stop == size
    assert all(a.core_stop == b.core_start for a, b in itertools.pairwise(parts))
    assert len({part.stop - part.start for part in parts}) == 1
    for part in parts:
        assert 0 <= part.start <= part.core_start < part.core_stop <= part.stop <= size
        assert part.start % divisor == 0
        assert part.start == 0 or part.core_start - part.start >= overlap
        assert part.stop == size or part.stop - part.core_stop >= overlap
        assert part.stop - part.start <= tile + 2 * overlap


def batch(height: int, width: int, *, channels: int = 1, frames: int = 1, count: int = 2) -> Batch:
    generator = torch.Generator().manual_seed(7)
    data = torch.rand(count, frames, channels, height, width, generator=generator)
    return Batch(frames=data, keys=tuple(Key(frame=i, seed=i + 1, offset=(3, -5)) for i in range(count)))


def espcn(**facts: int) -> NetEngine:
    torch.manual_seed(0)
    net = Espcn(Layout(scale=2))
    return NetEngine(
        net, card=card("espcn", domain="y", scale=2, halo=facts.get("halo", Layout(scale=2).halo)), scale=2
    )


@pytest.mark.parametrize("size", [(40, 40), (50, 33), (17, 70), (9, 9)])
@pytest.mark.parametrize("tile", [5, 16, 31])
def test_tiles_of_an_exact_network_equal_the_whole(size: tuple[int, int], tile: int) -> None:
    engine = espcn()
    given = batch(*size)
    # float32 convolutions pick their kernels by shape: sums in another order
    torch.testing.assert_close(Tiled(engine, tile).restore(given), engine.restore(given), rtol=0, atol=1e-5)


def test_one_pixel_of_overlap_too_little_is_seen() -> None:
    engine, short = espcn(), espcn(halo=Layout(scale=2).halo - 1)
    given = batch(40, 40)
    assert float((Tiled(short, 10).restore(given) - engine.restore(given)).abs().max()) > 1e-5


def test_less_overlap_than_the_halo_is_blended_and_not_called_exact() -> None:
    tiled = Tiled(espcn(), 16, overlap=2)
    assert not tiled.is_exact
    whole = espcn().restore(batch(48, 48))
    assert float((tiled.restore(batch(48, 48)) - whole).abs().max()) < 0.05


class Drift(IdentityEngine):
    """Gives each call a level of its own, as a network that looks at the whole picture does."""

    def __init__(self) -> None:
        super().__init__("y")
        self.card = card("drift", domain="y", halo=8, tiling="blend")
        self.calls = 0

    def restore(self, batch: Batch) -> Tensor:
        self.calls += 1
        return torch.full_like(batch.frames[:, 0], float(self.calls))


def test_blending_hides_the_seam_between_tiles_of_different_level() -> None:
    given = batch(20, 100, count=1)
    result = Tiled(Drift(), 30).restore(given)[0, 0]
    steps = result.diff(dim=1).abs()
    # neighbours differ by 1, spread over 2 x 8 columns
    assert float(steps.max()) <= 1 / 16 + 1e-4
    assert float(result[0, 0]) == 1 and float(result[0, -1]) > 2


@settings(max_examples=20, deadline=None)
@given(height=st.integers(20, 80), width=st.integers(20, 80), tile=st.integers(3, 40), overlap=st.integers(1, 12))
def test_blending_an_identity_gives_it_back(height: int, width: int, tile: int, overlap: int) -> None:
    engine = IdentityEngine("y")
    engine.card = card("identity", domain="y", tiling="blend")
    given = batch(height, width)
    torch.testing.assert_close(Tiled(engine, tile, overlap).restore(given), given.frames[:, 0], rtol=0, atol=1e-5)


def test_noise_belongs_to_the_picture_and_not_to_the_tile() -> None:
    engine = NoiseEngine()
    given = batch(40, 52)
    assert torch.equal(Tiled(engine, 16).restore(given), engine.restore(given))


class Shuffled(IdentityEngine):
    """Sums windows of three, their aligned differences and a 4x4 block mean: wants divisor 4."""

    scale = 2

    def __init__(self) -> None:
        super().__init__("y")
        self.card = card("shuffled", domain="y", frames=3, scale=2, divisor=4, halo=4)

    def restore(self, batch: Batch) -> Tensor:
        assert batch.aligned is not None
        mean = F.interpolate(F.avg_pool2d(batch.frames.sum(1), 4), scale_factor=8.0, mode="nearest")
        return mean + batch.aligned.sum(1)


def test_windows_aligned_inputs_and_divisors_are_cut_alike() -> None:
    data = batch(48, 64, frames=3)
    aligned = torch.rand(2, 2, 1, 96, 128, generator=torch.Generator().manual_seed(2))
    given = Batch(frames=data.frames, keys=data.keys, aligned=aligned)
    engine = Shuffled()
    torch.testing.assert_close(Tiled(engine, 10).restore(given), engine.restore(given), rtol=0, atol=1e-6)


def test_a_network_that_needs_the_whole_picture_is_not_tiled() -> None:
    engine = IdentityEngine()
    engine.card = card("global", tiling="never")
    with pytest.raises(IncompatibleModel, match="needs the whole picture"):
        Tiled(engine, 64)


def test_tiles_are_never_smaller_than_the_network_takes() -> None:
    class Picky(IdentityEngine):
        def __init__(self) -> None:
            super().__init__("y")
            self.card = card("picky", domain="y", divisor=4, minimum=32, halo=3)

        def restore(self, batch: Batch) -> Tensor:
            assert min(batch.frames.shape[-2:]) >= 32 and batch.frames.shape[-1] % 4 == 0
            return super().restore(batch)

    given = batch(64, 100)
    assert torch.equal(Tiled(Picky(), 5).restore(given), given.frames[:, 0])
