"""Sizes, shapes and turns of the result, as independent readers see them."""

from __future__ import annotations

import subprocess
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from tests.media import make_clip, planes_of, times_of
from vsr.io.ffmpeg import require_program


def size_of(path: Path) -> tuple[int, int, Fraction]:
    with av.open(str(path)) as found:
        stream = found.streams.video[0]
        return stream.width, stream.height, Fraction(stream.sample_aspect_ratio or 1)


def shown(path: Path, width: int, height: int) -> np.ndarray:
    """The first frame luma as the ffmpeg program shows it: turned by the display matrix."""
    words = [
        str(require_program()),
        "-v",
        "error",
        "-i",
        str(path),
        "-frames:v",
        "1",
        "-f",
        "rawvideo",
        "-pix_fmt",
        "yuv444p",
        "-",
    ]
    raw = subprocess.run(words, capture_output=True, check=True).stdout
    return np.frombuffer(raw, np.uint8).reshape(3, height, width)[0]


def make_turned(path: Path, degrees: int, *, is_mirrored: bool) -> Path:
    """A lossless clip with a display matrix of this turn."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=25, options={"crf": "0"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv444p"
        stream.set_display_rotation(degrees, hflip=is_mirrored)
        y, x = np.mgrid[0:48, 0:64]
        luma = (40 + 2 * x + y).astype(np.uint8)
        luma[:12, :20] = 220  # one corner is marked
        frame = av.VideoFrame(64, 48, "yuv444p")
        for plane, values in zip(frame.planes, (luma, np.full_like(luma, 120), np.full_like(luma, 140)), strict=True):
            rows = np.frombuffer(memoryview(plane), np.uint8).reshape(48, plane.line_size)
            rows[:, :64] = values
        for number in range(3):
            frame.pts, frame.time_base = number, Fraction(1, 25)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
@pytest.mark.parametrize("is_mirrored", [False, True])
def test_autorotate_bakes_the_turn_that_players_show(degrees, is_mirrored, tmp_path, vsr):
    clip = make_turned(tmp_path / "in.mp4", degrees, is_mirrored=is_mirrored)
    out = tmp_path / "out.mkv"
    ended = vsr("upscale", clip, "-o", out, "-m", "nearest", "-s", 1, "--codec", "ffv1", "--autorotate", "-q")
    assert ended.code == 0, ended.err
    wide, high = (48, 64) if degrees % 180 else (64, 48)
    assert size_of(out)[:2] == (wide, high)
    with av.open(str(out)) as found:
        frame = next(found.decode(video=0))
        assert frame.rotation == 0
    np.testing.assert_array_equal(planes_of(out)[0][1][0], shown(clip, wide, high))
    assert times_of(out) == times_of(clip)


def test_autorotate_turns_chroma_and_the_sample_aspect_ratio_with_the_picture(tmp_path, vsr):
    clip = make_clip(tmp_path / "in.mp4", frames=2, rotation=90, sar=Fraction(4, 3), pix_fmt="yuv420p")
    out = tmp_path / "out.mp4"
    ended = vsr("upscale", clip, "-o", out, "-m", "nearest", "-s", 2, "--autorotate", "-q")
    assert ended.code == 0, ended.err
    assert size_of(out) == (96, 128, Fraction(3, 4))


@pytest.mark.parametrize(("sar", "size"), [(Fraction(4, 3), (170, 96)), (Fraction(1, 2), (128, 192))])
def test_square_pixels_stretch_the_short_side(sar, size, tmp_path, vsr):
    clip = make_clip(tmp_path / "in.mp4", frames=2, sar=sar)
    out = tmp_path / "out.mp4"
    ended = vsr("upscale", clip, "-o", out, "-m", "nearest", "-s", 2, "--square-pixels", "-q")
    assert ended.code == 0, ended.err
    assert size_of(out) == (*size, 1)


def test_a_scale_that_leaves_half_a_chroma_sample_is_rounded_and_said(tmp_path, vsr):
    clip = make_clip(tmp_path / "in.mkv", width=61, height=35, codec="ffv1", frames=2)
    out = tmp_path / "out.mp4"
    ended = vsr("upscale", clip, "-o", out, "-m", "nearest", "-s", 1.2)
    assert ended.code == 0, ended.err
    assert size_of(out)[:2] == (74, 42)  # 61 * 1.2 = 73.2
    assert "73x42 becomes 74x42" in ended.out + ended.err


def test_an_exact_size_that_the_encoder_does_not_take_is_refused_before_decoding(tmp_path, vsr):
    clip = make_clip(tmp_path / "in.mp4", frames=2)
    ended = vsr("upscale", clip, "-o", tmp_path / "out.mp4", "-m", "nearest", "--width", 101, "--height", 75)
    assert ended.code == 6 and "--width 102 --height 76" in ended.err
    assert not (tmp_path / "out.mp4").exists()


@pytest.mark.parametrize(("codec", "name"), [("ffv1", "out.mkv"), ("vp9", "out.webm")])
def test_odd_sizes_stay_odd_where_the_codec_holds_them(codec, name, tmp_path, vsr):
    clip = make_clip(tmp_path / "in.mkv", width=61, height=35, codec="ffv1", frames=2)
    ended = vsr("upscale", clip, "-o", tmp_path / name, "-m", "nearest", "-s", 1, "--codec", codec, "-q")
    assert ended.code == 0, ended.err
    assert size_of(tmp_path / name)[:2] == (61, 35)


@pytest.mark.parametrize(
    ("size", "scale", "name", "made"),
    [
        ((1, 1), 2, "out.mp4", (2, 2)),
        ((1, 1), 1.5, "out.mp4", (2, 2)),
        ((3, 5), 2, "out.mp4", (6, 10)),
        ((3, 5), 3, "out.mp4", (10, 16)),
        ((3, 5), 3, "out.webm", (9, 15)),
        ((719, 405), 1.5, "out.mp4", (1078, 608)),
    ],
)
def test_small_and_odd_sizes(size, scale, name, made, tmp_path, vsr):
    """Peers A11. Nothing of these is refused: the size is the nearest that the codec takes."""
    clip = make_clip(tmp_path / "in.nut", width=size[0], height=size[1], codec="rawvideo", frames=2)
    ended = vsr("upscale", clip, "-o", tmp_path / name, "-m", "nearest", "-s", scale, "-q")
    assert ended.code == 0, ended.err
    assert size_of(tmp_path / name)[:2] == made
    assert len(times_of(tmp_path / name)) == 2


def test_a_size_below_what_the_encoder_holds_is_refused_before_decoding(tmp_path, vsr):
    clip = make_clip(tmp_path / "in.mkv", width=16, height=16, frames=2)
    ended = vsr("upscale", clip, "-o", tmp_path / "out.mp4", "-m", "nearest", "-s", 2, "--codec", "hevc")
    assert ended.code == 6 and "smallest side is 64" in ended.err
    assert not (tmp_path / "out.mp4").exists()
