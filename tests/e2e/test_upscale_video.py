"""The main job on generated clips: frames, times, sound and colours are those of the source."""

from __future__ import annotations

import dataclasses
import tomllib
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from tests.engines import MeanEngine
from tests.fidelity import compare
from tests.media import BT709, make_clip, make_images, numbers_of, planes_of, times_of
from vsr.core.presets import resolve
from vsr.jobs.plan import plan
from vsr.pipeline.chunk import run_chunk


def upscaled(vsr, clip: Path, *words: object, name: str = "out") -> Path:
    out = clip.with_name(name + clip.suffix)
    ended = vsr("upscale", clip, "-o", out, "-m", "nearest", "-q", *words)
    assert ended.code == 0, ended.err
    return out


@pytest.mark.parametrize("frames", [1, 2, 3, 25, 51])
def test_tail_frames_are_not_lost(frames, tmp_path, vsr):
    """Peers A1: with B-frames the last ones stay inside a decoder that is not drained."""
    clip = make_clip(tmp_path / "in.mp4", frames=frames, b_frames=3, audio=1)
    out = upscaled(vsr, clip)
    assert compare(clip, out) == []
    assert numbers_of(out) == list(range(frames))


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov"])
def test_variable_frame_rate_is_kept_to_the_tick(suffix, tmp_path, vsr):
    """Peers A2: ten gaps, one of them a hold of three seconds."""
    steps = [40, 17, 83, 40, 40, 3000, 21, 60, 40, 33, 90, 5]
    pts = [sum(steps[:k]) for k in range(len(steps))]
    clip = make_clip(tmp_path / f"in{suffix}", frames=len(pts), pts=pts, time_base=Fraction(1, 1000))
    out = upscaled(vsr, clip)
    assert times_of(out) == times_of(clip) == [Fraction(p, 1000) for p in pts]


@pytest.mark.parametrize("rate", [Fraction(24000, 1001), Fraction(30000, 1001), 60])
def test_broadcast_rates_are_exact(rate, tmp_path, vsr):
    clip = make_clip(tmp_path / "in.mp4", frames=9, rate=rate)
    out = upscaled(vsr, clip)
    assert times_of(out) == times_of(clip)


def test_sound_subtitles_and_chapters_pass_byte_for_byte(tmp_path, vsr):
    clip = make_clip(
        tmp_path / "in.mkv",
        frames=30,
        audio=2,
        subtitles=("srt", "ass"),
        chapters=((0, 0.5, "one"), (0.5, 1.2, "two")),
        metadata={"title": "A film"},
    )
    out = upscaled(vsr, clip)
    assert compare(clip, out) == []
    import av

    with av.open(str(out)) as result:
        assert result.metadata["title"] == "A film"
        assert len(result.chapters()) == 2


@pytest.mark.parametrize(
    ("pix_fmt", "codec", "suffix"),
    [
        ("yuv420p", "libx264", ".mp4"),
        ("yuv422p", "libx264", ".mkv"),
        ("yuv444p", "libx264", ".mkv"),
        ("yuv420p10le", "libx264", ".mkv"),
        ("gray", "ffv1", ".mkv"),
        ("gbrp10le", "ffv1", ".mkv"),
        ("yuv422p10le", "prores_ks", ".mov"),
    ],
)
def test_pixel_formats_go_through(pix_fmt, codec, suffix, tmp_path, vsr):
    clip = make_clip(tmp_path / f"in{suffix}", frames=5, pix_fmt=pix_fmt, codec=codec)
    out = upscaled(vsr, clip)
    assert compare(clip, out) == []
    assert numbers_of(out) == list(range(5))


def test_odd_sizes(tmp_path, vsr):
    clip = make_clip(tmp_path / "in.mkv", frames=4, width=61, height=47, codec="ffv1")
    out = upscaled(vsr, clip, "--codec", "ffv1", "-s", 3)
    assert compare(clip, out) == []
    assert planes_of(out)[0][1][0].shape == (141, 183)


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv444p", "yuv420p10le", "gray", "gbrp10le"])
def test_identity_in_luma_is_bit_exact(pix_fmt, tmp_path, vsr):
    """A `y` engine at scale 1 moves no code: no matrix, no RGB, no rounding (peers A7, A9)."""
    clip = make_clip(tmp_path / "in.mkv", frames=3, pix_fmt=pix_fmt, codec="ffv1")
    out = upscaled(vsr, clip, "--codec", "ffv1", "-s", 1)
    for (_, before), (_, after) in zip(planes_of(clip), planes_of(out), strict=True):
        for a, b in zip(before, after, strict=True):
            # GBR goes through luma and chroma in float: a code may round the other way.
            limit = 1 if pix_fmt == "gbrp10le" else 0
            assert np.abs(a.astype(int) - b.astype(int)).max() <= limit


def test_colour_tags_are_kept_and_unspecified_ones_resolved(tmp_path, vsr):
    import av

    clip = make_clip(tmp_path / "in.mp4", frames=2, tags=BT709)
    with av.open(str(upscaled(vsr, clip))) as result:
        context = result.streams.video[0].codec_context
        assert (int(context.colorspace), int(context.color_range)) == (1, 1)
        assert (int(context.color_primaries), int(context.color_trc)) == (1, 1)
    plain = make_clip(tmp_path / "plain.mp4", frames=2)
    with av.open(str(upscaled(vsr, plain, name="plain-out"))) as result:
        context = result.streams.video[0].codec_context
        assert int(context.colorspace) in (5, 6)  # standard definition: BT.601
        assert int(context.color_range) == 1


@pytest.mark.parametrize("codec", ["h264", "hevc", "av1", "vp9", "prores", "ffv1"])
def test_every_codec(codec, tmp_path, vsr):
    clip = make_clip(tmp_path / "in.mkv", frames=6, width=128, height=96, audio=1)
    out = upscaled(vsr, clip, "--codec", codec)
    assert compare(clip, out) == []
    assert numbers_of(out) == list(range(6))


def test_second_decoder_gives_the_same_frames(tmp_path, vsr):
    clip = make_clip(
        tmp_path / "in.mkv", frames=10, pts=[0, 40, 90, 200, 240, 280, 400, 440, 500, 510], time_base=Fraction(1, 1000)
    )
    one = upscaled(vsr, clip, "--codec", "ffv1", name="one")
    two = upscaled(vsr, clip, "--codec", "ffv1", "--decoder", "ffmpeg", name="two")
    for (t, a), (u, b) in zip(planes_of(one), planes_of(two), strict=True):
        assert t == u
        assert all((x == y).all() for x, y in zip(a, b, strict=True))


@pytest.mark.parametrize(
    ("words", "size"),
    [(("--height", 144), (144, 192)), (("--width", 100, "--height", 100), (100, 100)), (("-s", "1.5"), (72, 96))],
)
def test_exact_sizes(words, size, tmp_path, vsr):
    clip = make_clip(tmp_path / "in.mkv", frames=3)
    out = upscaled(vsr, clip, *words)
    assert planes_of(out)[0][1][0].shape == size


def test_start_and_end_cut_pictures_and_sound_together(tmp_path, vsr):
    clip = make_clip(tmp_path / "in.mkv", frames=50, audio=1)
    out = upscaled(vsr, clip, "--start", "0.4", "--end", "00:01.2")
    assert numbers_of(out) == list(range(10, 30))
    times = times_of(out)
    assert times[0] == 0
    assert times[-1] == Fraction(19, 25)


@pytest.mark.parametrize(("start", "first"), [("0.4", 10), ("0.76", 19), ("1.4", 35)])
def test_a_start_is_found_where_the_container_has_no_index(start, first, tmp_path, vsr):
    """MPEG-TS is sought by decoding times: a seek for a keyframe alone lands on the next one, or behind the last."""
    clip = make_clip(tmp_path / "c.ts", frames=40, gop=10)
    out = upscaled(vsr, clip, "--start", start)
    assert numbers_of(out) == list(range(first, 40))


def test_sequence_in_and_out(tmp_path, vsr):
    folder = tmp_path / "frames"
    make_images(folder, "f_%d.png", count=12, start=9)  # 9, 10, 11: order by number, not by text
    assert vsr("upscale", folder, "-o", tmp_path / "out", "-m", "nearest", "-q").code == 0
    assert len(list((tmp_path / "out").iterdir())) == 12
    ended = vsr("upscale", folder / "f_%d.png", "-o", tmp_path / "film.mkv", "-m", "nearest", "--rate", 24, "-q")
    assert ended.code == 0, ended.err
    assert numbers_of(tmp_path / "film.mkv") == list(range(12))


def test_video_to_sixteen_bit_images_and_one_image(tmp_path, vsr):
    import cv2

    clip = make_clip(tmp_path / "in.mkv", frames=3, pix_fmt="yuv420p10le")
    assert vsr("upscale", clip, "--preset", "sequence", "-m", "nearest", "-o", tmp_path / "seq", "-q").code == 0
    images = sorted((tmp_path / "seq").iterdir())
    assert [image.suffix for image in images] == [".png"] * 3
    assert cv2.imread(str(images[0]), cv2.IMREAD_UNCHANGED).dtype == np.uint16
    ended = vsr("upscale", images[0], "-m", "espcn", "-q")
    assert ended.code == 0, ended.err
    (made,) = [p for p in (tmp_path / "seq").iterdir() if "espcn" in p.name]
    assert cv2.imread(str(made), cv2.IMREAD_UNCHANGED).shape == (192, 256, 3)


@pytest.mark.parametrize("preset", ["fast", "quality", "web", "archive"])
def test_presets(preset, tmp_path, vsr):
    clip = make_clip(tmp_path / "in.mp4", frames=4)
    ended = vsr("upscale", clip, "--preset", preset, "-m", "bicubic", "-q")
    assert ended.code == 0, ended.err
    (out,) = [p for p in tmp_path.iterdir() if p != clip]
    assert out.suffix == (".mkv" if preset == "archive" else ".mp4")
    assert "bicubic" in out.name and "x2" in out.name
    assert numbers_of(out) == list(range(4))


def test_dry_run_writes_nothing_and_prints_toml(tmp_path, vsr, leftovers):
    clip = make_clip(tmp_path / "in.mp4", frames=20, audio=1)
    ended = vsr("upscale", clip, "--dry-run", "--preset", "web", "--seed", 7)
    assert ended.code == 0, ended.err
    assert leftovers("in.mp4") == []
    described = tomllib.loads(ended.out)
    assert described["output"]["width"] == 128
    assert described["settings"]["seed"] == 7
    assert "# preset web" in ended.out and "# flag" in ended.out
    assert described["job"]["estimated_seconds"] >= 0


def test_json_is_one_object_a_line(tmp_path, vsr):
    clip = make_clip(tmp_path / "in.mp4", frames=8)
    ended = vsr("upscale", clip, "-m", "bicubic", "--json")
    kinds = [event["event"] for event in ended.events]
    assert kinds[0] == "planned" and kinds[-1] == "summary" and "progress" in kinds
    assert ended.events[-1]["frames_in"] == ended.events[-1]["frames_out"] == 8


@pytest.mark.parametrize("cut", [3, 4, 5])
def test_windows_of_a_multi_frame_engine_restart_at_cuts(cut, tmp_path):
    """Peers D2: frames beside a cut equal those of each shot run alone."""
    clip = make_clip(tmp_path / "in.mkv", frames=9, codec="ffv1", cuts=(cut,))

    def restored(first: int, last: int, name: str) -> list[np.ndarray]:
        words = {"model": "bicubic", "scale": 1.0, "codec": "ffv1", "start": str(first / 25), "end": str(last / 25)}
        job = plan(clip, tmp_path / f"{name}.mkv", resolve(words))
        engine = MeanEngine(3, domain="y")
        job = dataclasses.replace(job, card=dataclasses.replace(engine.card, family="bicubic"))
        result = run_chunk(job, job.chunks[0], tmp_path / f"{name}.nut", engine)
        assert result.frames == last - first
        return [planes[0] for _, planes in planes_of(tmp_path / f"{name}.nut")]

    both = restored(0, 9, "both")
    alone = restored(0, cut, "before") + restored(cut, 9, "after")
    for a, b in zip(both, alone, strict=True):
        assert (a == b).all()
    inside = planes_of(clip)
    mean = np.mean([inside[k][1][0].astype(float) for k in (0, 1, 2)], axis=0)
    assert np.abs(both[1] - mean).max() <= 0.51  # the window's true neighbours were there
