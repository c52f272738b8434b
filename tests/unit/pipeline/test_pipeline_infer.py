import math

import pytest
import torch

from tests.engines import aligned_mean
from vsr.core.card import ModelCard
from vsr.core.errors import ChunkFailed, OutOfMemory
from vsr.core.frame import Picture
from vsr.engines.base import Batch, Key
from vsr.filters import BICUBIC, Axis, resize
from vsr.pipeline import infer
from vsr.pipeline.infer import Restorer
from vsr.temporal.align import differences
from vsr.temporal.window import Window, windows


class Doubling:
    """Nearest x2 with a reach of one pixel (a 3x3 mean is mixed in), so that tiling without a halo would show."""

    def __init__(self, *, fits: float = math.inf, nan_frames: tuple[int, ...] = (), **card: object) -> None:
        self.card = ModelCard(id="doubling", family="doubling", arch="test", scale=2, domain="y", halo=1, **card)  # type: ignore[arg-type]
        self.fits = fits
        self.nan_frames = nan_frames
        self.calls: list[tuple[int, ...]] = []
        self.closed = False

    @property
    def scale(self) -> int:
        return 2

    def restore(self, batch: Batch) -> torch.Tensor:
        shape = tuple(batch.frames.shape)
        self.calls.append(shape)
        if shape[0] * shape[-1] * shape[-2] > self.fits:
            raise OutOfMemory("it does not fit")
        center = batch.frames[:, shape[1] // 2]
        mixed = center + torch.nn.functional.avg_pool2d(center, 3, stride=1, padding=1)
        out = mixed.repeat_interleave(2, -1).repeat_interleave(2, -2)
        for at, key in enumerate(batch.keys):
            if key.frame in self.nan_frames:
                out[at, 0, 0, 0] = math.nan
        return out

    def close(self) -> None:
        self.closed = True


def window(index: int, height: int = 12, width: int = 20, frames: int = 1) -> Window[Picture]:
    torch.manual_seed(index)
    pictures = tuple(
        Picture(
            index=index + k - frames // 2, pts=10 * index, duration=10, data=torch.rand(1, height, width), domain="y"
        )
        for k in range(frames)
    )
    return Window(items=pictures, valid=(True,) * frames)


def expected(w: Window[Picture]) -> torch.Tensor:
    key = Key(frame=w.center.index, seed=0)
    return Doubling().restore(Batch(frames=w.center.data[None, None], keys=(key,)))[0]


def test_pictures_come_back_in_order_with_their_times():
    windows = [window(i) for i in range(3)]
    out = Restorer(engine=Doubling(), height=24, width=40).restore(windows)
    for w, picture in zip(windows, out, strict=True):
        assert (picture.index, picture.pts, picture.duration) == (w.center.index, w.center.pts, 10)
        torch.testing.assert_close(picture.data, expected(w))


def test_size_is_padded_to_the_divisor_and_cropped_again():
    engine = Doubling(divisor=8, minimum=16)
    (out,) = Restorer(engine=engine, height=22, width=38).restore([window(1, 11, 19)])
    assert engine.calls == [(1, 1, 1, 16, 24)]
    assert out.data.shape == (1, 22, 38)
    # Away from the padded edge the padding cannot be seen.
    torch.testing.assert_close(out.data[:, :18, :34], expected(window(1, 11, 19))[:, :18, :34])


def test_result_is_brought_to_the_exact_size():
    (out,) = Restorer(engine=Doubling(), height=30, width=33).restore([window(1)])
    assert out.data.shape == (1, 30, 33)
    assert float(out.data.mean()) == pytest.approx(float(expected(window(1)).mean()), abs=0.01)


@pytest.mark.parametrize("fits", [240, 100, 75])
def test_out_of_memory_shrinks_batch_then_tile_and_loses_nothing(fits):
    """Peers B1: frames kept, and the result of the smaller tiles is the whole one's."""
    windows = [window(i, 40, 64) for i in range(4)]
    engine = Doubling(fits=fits * 16)
    restorer = Restorer(engine=engine, height=80, width=128)
    out = restorer.restore(windows)
    assert [picture.index for picture in out] == [0, 1, 2, 3]
    for w, picture in zip(windows, out, strict=True):
        torch.testing.assert_close(picture.data, expected(w))
    assert restorer.tally.shrunk
    calls = len(engine.calls)
    restorer.restore([windows[0]])
    refused = [shape for shape in engine.calls[calls:] if shape[0] * shape[-1] * shape[-2] > engine.fits]
    assert refused == []  # what was shrunk stays so


def test_no_memory_even_for_the_smallest_tile_is_an_error():
    with pytest.raises(OutOfMemory, match="32 pixels"):
        Restorer(engine=Doubling(fits=10), height=80, width=128).restore([window(0, 40, 64)])


def test_not_finite_is_run_again_in_float32_and_counted():
    exact = Doubling()
    restorer = Restorer(engine=Doubling(nan_frames=(1,)), height=24, width=40, open_exact=lambda: exact)
    windows = [window(i) for i in range(3)]
    out = restorer.restore(windows)
    for w, picture in zip(windows, out, strict=True):
        torch.testing.assert_close(picture.data, expected(w))
    assert restorer.tally.widened == [1]
    assert len(exact.calls) == 1
    restorer.close()
    assert exact.closed


def test_not_finite_even_in_float32_is_an_error_that_names_the_frame():
    broken = Doubling(nan_frames=(1,))
    restorer = Restorer(engine=broken, height=24, width=40, open_exact=lambda: broken)
    with pytest.raises(ChunkFailed, match="frame 1"):
        restorer.restore([window(1)])


def test_neighbours_reach_the_engine_in_order():
    engine = Doubling(frames=3)
    Restorer(engine=engine, height=24, width=40).restore([window(5, frames=3)])
    assert engine.calls == [(1, 3, 1, 12, 20)]


def clip(cut: int | None = None, frames: int = 6, height: int = 24, width: int = 36) -> list[Picture]:
    """Give a pan of half a pixel a frame; after `cut`, of another scene."""
    pictures = []
    for index in range(frames):
        scene = torch.Generator().manual_seed(0 if cut is None or index < cut else 1)
        rough = torch.rand(1, 12, 20, generator=scene)
        at = Axis(step=0.5, origin=1 + index / 4)
        data = resize(rough, height, width, BICUBIC, horizontal=at, vertical=Axis(step=0.45, origin=0.5))
        opens = index in (0, cut)
        pictures.append(
            Picture(index=index, pts=10 * index, duration=10, data=data.clamp(0, 1), domain="y", opens_shot=opens)
        )
    return pictures


def clip_windows(pictures: list[Picture], size: int = 3, edge: str = "clamp") -> list[Window[Picture]]:
    return list(windows(pictures, size=size, edge=edge, opens_shot=lambda picture: picture.opens_shot))


def restored(windows: list[Window[Picture]], frames: int = 3, **options: object) -> list[torch.Tensor]:
    restorer = Restorer(engine=aligned_mean(frames), height=48, width=72, **options)  # type: ignore[arg-type]
    return [picture.data for picture in restorer.restore(windows)]


@pytest.mark.parametrize("frames", [3, 5])
def test_an_engine_gets_its_neighbours_aligned_on_the_output_grid(frames):
    pictures = clip()
    out = restored(clip_windows(pictures, frames), frames)
    reach = frames // 2
    for at in range(reach, len(pictures) - reach):
        stack = torch.stack([picture.data for picture in pictures[at - reach : at + reach + 1]])
        expected = resize(stack[reach], 48, 72, BICUBIC) + differences(stack, scale=2).mean(0)
        torch.testing.assert_close(out[at], expected)
        assert not torch.equal(out[at], resize(stack[reach], 48, 72, BICUBIC))


@pytest.mark.parametrize("edge", ["clamp", "mirror", "center"])
def test_a_cut_never_leaks_through_alignment(edge):
    """Every frame is what it would be if its own shot were the whole clip."""
    whole = restored(clip_windows(clip(cut=3), edge=edge))
    first = restored(clip_windows(clip(cut=3)[:3], edge=edge))
    second = restored(clip_windows(clip(cut=3)[3:], edge=edge))
    for picture, expected in zip(whole, first + second, strict=True):
        assert torch.equal(picture, expected)


def test_a_single_picture_with_stand_ins_is_its_plain_restoration():
    (only,) = clip(frames=1)
    (out,) = restored(clip_windows([only], 5), 5)
    assert torch.equal(out, resize(only.data, 48, 72, BICUBIC))


def test_alignment_does_not_depend_on_the_batch():
    every = clip_windows(clip())
    together = restored(every)
    alone = [restored([window])[0] for window in every]
    for a, b in zip(together, alone, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-6)  # float32 sums of a batch may be taken in another order


def test_tiles_and_padding_cut_what_is_aligned_like_the_frames():
    every = clip_windows(clip())
    whole = restored(every)
    for a, b in zip(whole, restored(every, tile=10), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-5)
    padding = Restorer(engine=aligned_mean(3, divisor=16), height=48, width=72)
    for a, picture in zip(whole, padding.restore(every), strict=True):
        # The base alone sees the padding: it repeats the edge where the base's own border mirrors it.
        torch.testing.assert_close(a[..., :44, :68], picture.data[..., :44, :68], rtol=0, atol=1e-5)


def test_out_of_memory_while_aligning_shrinks_the_batch(monkeypatch):
    """Differences are as large as results: they are made again for the smaller batch."""
    real, calls = infer.differences, []

    def scarce(frames: torch.Tensor, *, scale: int) -> torch.Tensor:
        calls.append(scale)
        if len(calls) == 3:
            raise MemoryError
        return real(frames, scale=scale)

    every = clip_windows(clip())
    expected = restored(every)
    monkeypatch.setattr(infer, "differences", scarce)
    restorer = Restorer(engine=aligned_mean(3), height=48, width=72)
    for a, picture in zip(expected, restorer.restore(every), strict=True):
        torch.testing.assert_close(a, picture.data, rtol=0, atol=1e-6)
    assert restorer.tally.shrunk == ["batch 6 -> 3"]


class Remembering(Doubling):
    """Remembers where the noise was to lie, and tiles itself."""

    def __init__(self) -> None:
        super().__init__()
        self.offsets: list[tuple[int, int]] = []
        self.tiles: list[int] = []

    def restore(self, batch: Batch) -> torch.Tensor:
        self.offsets += [key.offset for key in batch.keys]
        return super().restore(batch)

    def tiled(self, tile: int) -> "Remembering":
        self.tiles.append(tile)
        return self


def test_noise_lies_where_the_track_says():
    engine = Remembering()
    track = ((10, 1, -2), (20, 3, -4), (40, 5, -6))
    Restorer(engine=engine, height=24, width=40, track=track).restore([window(i) for i in (1, 2, 3, 4, 5, 0)])
    # Frames of pts 10 to 50, then 0: what the track lacks lies where the frame before it does.
    assert engine.offsets == [(1, -2), (3, -4), (3, -4), (5, -6), (5, -6), (1, -2)]


def test_without_a_track_noise_lies_still():
    engine = Remembering()
    Restorer(engine=engine, height=24, width=40).restore([window(3)])
    assert engine.offsets == [(0, 0)]


def test_an_engine_that_tiles_itself_is_asked_to():
    engine = Remembering()
    Restorer(engine=engine, height=80, width=128, tile=16).restore([window(0, 40, 64)])
    assert engine.tiles == [16]
    assert engine.calls == [(1, 1, 1, 40, 64)]


class Painting(Doubling):
    """Gives one value everywhere, but for the picture's first sample."""

    def __init__(self, value: float, first: float | None = None) -> None:
        super().__init__()
        self.value, self.first = value, value if first is None else first

    def restore(self, batch: Batch) -> torch.Tensor:
        out = torch.full_like(super().restore(batch), self.value)
        out[..., 0, 0] = self.first
        return out


def flat(level: float) -> Window[Picture]:
    data = torch.full((1, 12, 20), level)
    return Window(items=(Picture(index=7, pts=70, duration=10, data=data, domain="y"),), valid=(True,))


@pytest.mark.parametrize("value", [0.0, 0.5 / 255, -0.5 / 255])
def test_black_where_the_source_is_not_is_run_again_and_counted(value):
    exact = Doubling()
    restorer = Restorer(engine=Painting(value), height=24, width=40, open_exact=lambda: exact)
    (picture,) = restorer.restore([window(7)])
    assert torch.equal(picture.data, Doubling().restore(restorer._batch([window(7)]))[0])
    assert (restorer.tally.widened, restorer.tally.blackened) == ([7], [7])


def test_black_even_in_float32_is_an_error_that_names_the_frame():
    restorer = Restorer(engine=Painting(0.0), height=24, width=40, open_exact=lambda: Painting(0.0))
    with pytest.raises(ChunkFailed, match="gives black for frame 7"):
        restorer.restore([window(7)])


@pytest.mark.parametrize(
    ("engine", "level"),
    [
        pytest.param(Painting(0.0), 0.0, id="black source"),
        pytest.param(Painting(0.0), 3 / 255, id="source nearly black"),
        pytest.param(Painting(2 / 255), 0.5, id="dark"),
        pytest.param(Painting(0.0, first=1.0), 0.5, id="one bright sample"),
        pytest.param(Painting(-0.5, first=0.5), 0.5, id="far below black"),
    ],
)
def test_what_is_dark_for_a_reason_is_left_as_it_is(engine, level):
    restorer = Restorer(engine=engine, height=24, width=40)
    restorer.restore([flat(level)])
    assert len(engine.calls) == 1
    assert restorer.tally.widened == []
