"""The pan track: against pans of a known speed, a standing camera, and things that move by themselves."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.textures import textured
from vsr.core.frame import Frame, pixel_format
from vsr.filters import BICUBIC, Axis, resize
from vsr.temporal.pan import rounded, track

HEIGHT, WIDTH, FINE = 72, 128, 4  # of a frame; the scene is drawn FINE times finer


def panned(down: float, across: float, count: int, *, noise: float = 0.0, seed: int = 0) -> Iterator[NDArray[np.uint8]]:
    """Yield luma of a camera under which the scene moves `down` and `across` pixels a frame, shrunk as a lens does."""
    far = tuple(int(abs(speed) * count) + 8 for speed in (down, across))
    scene = textured(seed, (HEIGHT + far[0]) * FINE, (WIDTH + far[1]) * FINE)[:1]
    rng = np.random.default_rng(1)
    for k in range(count):
        starts = [(abs(v) * count if v > 0 else 0) - v * k + 2 for v in (down, across)]
        top, left = (int(start) - 2 for start in starts)
        seen = scene[:, top * FINE : (top + HEIGHT + 6) * FINE, left * FINE : (left + WIDTH + 6) * FINE]
        axes = [Axis(step=FINE, origin=(start - int(start) + 2.5) * FINE - 0.5) for start in starts]
        luma = resize(seen, HEIGHT, WIDTH, BICUBIC, vertical=axes[0], horizontal=axes[1])[0].numpy() * 255
        yield np.clip(np.rint(luma + rng.normal(0, noise, luma.shape)), 0, 255).astype(np.uint8)


def frames(lumas: Iterable[NDArray[np.uint8]], *, cuts: tuple[int, ...] = ()) -> Iterator[Frame]:
    for k, luma in enumerate(lumas):
        grey = pixel_format("gray")
        yield Frame(index=k, pts=k, duration=1, planes=(luma,), format=grey, opens_shot=k == 0 or k in cuts)


@pytest.mark.parametrize(
    ("down", "across", "noise"),
    [(0.3, -0.7, 0.0), (-0.13, 0.25, 4.0), (-0.5, 0.5, 2.0)],
)
def test_a_hundred_frames_of_a_pan_end_within_an_output_pixel_at_x4(down: float, across: float, noise: float) -> None:
    places = list(track(frames(panned(down, across, 100, noise=noise))))
    off = [max(abs(dy - down * k), abs(dx - across * k)) for k, (dy, dx) in enumerate(places)]
    assert 4 * max(off) < 1


def test_fast_pans_are_found() -> None:
    places = list(track(frames(panned(2.0, -9.3, 12))))
    assert places[-1] == pytest.approx((22.0, -102.3), abs=0.15)


@pytest.mark.parametrize("noise", [0.0, 3.0, 12.0])
def test_a_standing_camera_stands_exactly(noise: float) -> None:
    assert set(track(frames(panned(0, 0, 20, noise=noise)))) == {(0.0, 0.0)}


def test_a_codec_does_not_move_the_camera() -> None:
    (luma,) = panned(0, 0, 1)
    rng = np.random.default_rng(2)
    noisy = [np.clip(luma + rng.normal(0, 3, luma.shape), 0, 255).astype(np.uint8) for _ in range(20)]
    assert set(track(frames(through_h264(noisy)))) == {(0.0, 0.0)}


def through_h264(lumas: list[NDArray[np.uint8]]) -> list[NDArray[np.uint8]]:
    """Give the pictures as a hard H.264 leaves them."""
    held = io.BytesIO()
    with av.open(held, "w", format="matroska") as out:
        video = out.add_stream("libx264", rate=25, options={"crf": "35", "preset": "veryfast"})
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for luma in [*lumas, None]:
            frame = None if luma is None else av.VideoFrame.from_ndarray(luma, format="gray").reformat(format="yuv420p")
            out.mux(video.encode(frame))
    held.seek(0)
    with av.open(held) as back:
        return [frame.to_ndarray(format="gray") for frame in back.decode(video=0)]


@pytest.mark.parametrize("side", [24, 44])
def test_a_thing_that_moves_is_not_the_camera(side: int) -> None:
    (scene,), (thing,) = panned(0, 0, 1, seed=3), panned(0, 0, 1, seed=5)

    def shown() -> Iterator[NDArray[np.uint8]]:
        for k in range(20):
            picture = scene.copy()
            picture[8 : 8 + side, 4 + 3 * k : 4 + 3 * k + side] = thing[:side, :side]
            yield picture

    assert set(track(frames(shown()))) == {(0.0, 0.0)}


def test_the_camera_is_followed_behind_a_thing_that_stands() -> None:
    """A logo or a black bar is no reason to stand."""

    def shown() -> Iterator[NDArray[np.uint8]]:
        for luma in panned(0, 1.5, 20):
            luma[:10] = 16
            luma[50:66, 100:124] = 235
            yield luma

    assert list(track(frames(shown())))[-1] == pytest.approx((0, 28.5), abs=0.1)


def test_pictures_that_have_nothing_in_common_do_not_jump() -> None:
    rng = np.random.default_rng(4)
    flicker = [rng.integers(0, 256, (HEIGHT, WIDTH), np.uint8) for _ in range(8)]
    assert set(track(frames(flicker))) == {(0.0, 0.0)}


def test_after_a_gap_the_way_goes_on_from_where_it_was() -> None:
    lumas = list(panned(0, 2, 21))
    lumas[10] = np.full_like(lumas[10], 128)
    places = list(track(frames(lumas)))
    assert places[10] == places[9]
    # What was moved across the gap cannot be known: two steps, of 2 px.
    assert places[-1] == pytest.approx((0, 36), abs=0.1)


def test_a_cut_begins_again() -> None:
    one, other = list(panned(0, 1, 10)), list(panned(1, 0, 10, seed=6))
    places = list(track(frames([*one, *other], cuts=(10,))))
    assert places[10] == (0.0, 0.0)
    assert places[10:] == list(track(frames(other)))


@pytest.mark.parametrize("size", [(8, 8), (17, 33), (1, 40), (1, 700), (2000, 2)])
def test_any_size_is_taken(size: tuple[int, int]) -> None:
    rng = np.random.default_rng(7)
    assert len(list(track(frames(rng.integers(0, 256, size, np.uint8) for _ in range(3))))) == 3


def test_large_pictures_are_told_in_their_own_pixels() -> None:
    coarse = [np.kron(luma, np.ones((11, 11), np.uint8)) for luma in panned(0, 1, 4)]
    assert list(track(frames(coarse)))[-1] == pytest.approx((0, 33), abs=0.6)


def test_places_are_rounded_on_the_output_grid() -> None:
    assert rounded((0.3, -0.7), 4) == (1, -3)
    assert rounded((0.1, -0.12), 4) == (0, 0)
