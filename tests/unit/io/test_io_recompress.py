"""Real encoders in memory: order, shape, and more damage at a higher crf."""

from __future__ import annotations

import io
from fractions import Fraction

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from vsr.core.errors import SettingsError
from vsr.io.encoding.recompress import CODECS, recompress

Plane = NDArray[np.uint8]


def moving(count: int = 5, height: int = 48, width: int = 64) -> tuple[Plane, Plane]:
    """Give luma and chroma of smooth frames, each brighter than the one before."""
    y, x = np.mgrid[0:height, 0:width]
    base = 80 + 40 * np.sin(x / 9) * np.cos(y / 7)
    luma = np.stack([base + 20 * k for k in range(count)])
    y, x = np.mgrid[0 : -(-height // 2), 0 : -(-width // 2)]
    chroma = np.stack([[110 + 9 * k + x / 9, 140 - 9 * k + y / 9] for k in range(count)])
    return np.rint(luma).astype(np.uint8), np.rint(chroma).astype(np.uint8)


def psnr(a: Plane, b: Plane) -> float:
    return float(10 * np.log10(255**2 / max(1e-9, np.mean((a.astype(float) - b.astype(float)) ** 2))))


@pytest.mark.parametrize("codec", CODECS)
def test_at_the_finest_quality_frames_come_back_in_order_and_all_but_unchanged(codec: str) -> None:
    luma, chroma = moving()
    back, halves = recompress(luma, chroma, codec=codec, crf=0)
    assert back.shape == luma.shape and halves.shape == chroma.shape and back.dtype == halves.dtype == np.uint8
    # crf 0 of 8-bit x264 is lossless; x265 needs a flag of its own for that, and is a level off here and there.
    assert np.abs(back.astype(int) - luma).max() <= (0 if codec == "h264" else 2)
    assert np.abs(halves.astype(int) - chroma).max() <= (0 if codec == "h264" else 2)


@pytest.mark.parametrize("codec", CODECS)
def test_a_higher_crf_does_more_damage(codec: str) -> None:
    luma, chroma = moving()
    quality = [psnr(recompress(luma, chroma, codec=codec, crf=crf)[0], luma) for crf in (5, 25, 45)]
    assert quality[0] > quality[1] > quality[2]


@pytest.mark.parametrize(("codec", "size"), [("h264", (7, 9)), ("h264", (1, 1)), ("hevc", (5, 3)), ("hevc", (18, 31))])
def test_odd_and_tiny_sizes_keep_their_shape_and_their_picture(codec: str, size: tuple[int, int]) -> None:
    luma, chroma = moving(2, *size)
    back, halves = recompress(luma, chroma, codec=codec, crf=1)
    assert back.shape == luma.shape and halves.shape == chroma.shape
    assert psnr(back, luma) > 40 and psnr(halves, chroma) > 40


def test_the_same_input_gives_the_same_output() -> None:
    luma, chroma = moving(3, 64, 64)
    for codec in CODECS:
        results = [recompress(luma, chroma, codec=codec, crf=30) for _ in range(8)]
        assert len({back.tobytes() + halves.tobytes() for back, halves in results}) == 1


def test_h264_does_the_damage_that_the_same_encoder_does_to_a_file() -> None:
    """The same settings through PyAV's containers, as any other program would write and read them."""
    luma, chroma = moving()
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="nut") as out:
        stream = out.add_stream("libx264", rate=25, options={"crf": "28", "preset": "veryfast", "tune": "zerolatency"})
        stream.height, stream.width = luma.shape[1:]
        stream.pix_fmt, stream.thread_count = "yuv420p", 1
        for pts, (y, c) in enumerate(zip(luma, chroma, strict=True)):
            frame = av.VideoFrame.from_ndarray(np.vstack([y, c.reshape(24, 64)]), format="yuv420p")
            frame.pts, frame.time_base = pts, Fraction(1, 25)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    buffer.seek(0)
    with av.open(buffer) as source:
        decoded = np.stack([frame.to_ndarray() for frame in source.decode(video=0)])
    back, halves = recompress(luma, chroma, codec="h264", crf=28)
    # A container's encoder is set up a little otherwise (headers, rate hints): as much damage, not the same.
    assert psnr(back, luma) == pytest.approx(psnr(decoded[:, :48], luma), abs=1.0)
    assert psnr(halves, chroma) == pytest.approx(psnr(decoded[:, 48:].reshape(5, 2, 24, 32), chroma), abs=1.0)


def test_what_it_does_not_take_is_named() -> None:
    luma, chroma = moving(1)
    with pytest.raises(SettingsError, match="av1"):
        recompress(luma, chroma, codec="av1", crf=20)
    with pytest.raises(SettingsError, match="crf 52"):
        recompress(luma, chroma, codec="h264", crf=52)
    with pytest.raises(SettingsError, match="quick"):
        recompress(luma, chroma, codec="h264", crf=20, preset="quick")
    with pytest.raises(ValueError, match="4:2:0"):
        recompress(luma, chroma[..., 1:], codec="h264", crf=20)
