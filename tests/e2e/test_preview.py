"""`vsr preview` shows the very frames that `vsr upscale` hands to its encoder, whatever stands around them."""

from __future__ import annotations

import dataclasses
import json
import tempfile
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.engines import MeanEngine
from tests.media import make_clip, make_images, planes_of, read_number
from tests.sr3_weights import write_sr3
from vsr.core.errors import OutputError
from vsr.core.presets import resolve
from vsr.engines.archs.sr3 import Layout
from vsr.jobs import preview as previews
from vsr.jobs.chunks import chunks
from vsr.jobs.plan import plan
from vsr.jobs.preview import preview, restored
from vsr.pipeline.chunk import open_engine, run_chunk

LOSSLESS = ("--codec", "ffv1", "--precision", "fp32")


def full_run(vsr, clip: Path, *words: object) -> list[tuple[int, tuple[np.ndarray, ...]]]:
    """Give (pts, planes) of every frame of the result, through the whole command line, without loss."""
    out = clip.with_name("full.mkv")
    ended = vsr("upscale", clip, "-o", out, "-q", "--overwrite", *LOSSLESS, *words)
    assert ended.code == 0, ended.err
    return planes_of(out)


def stills(clip: Path, places: list[int], folder: Path, **settings: object) -> list[tuple[np.ndarray, ...]]:
    """Give the planes of single frames, before any conversion to RGB."""
    job = plan(clip, None, resolve({"precision": "fp32", **settings}))
    engine = open_engine(job)
    try:
        return [restored(job, engine, place, folder)[0].planes for place in places]
    finally:
        engine.close()


def check_equal(ours: tuple[np.ndarray, ...], theirs: tuple[np.ndarray, ...]) -> None:
    assert len(ours) == len(theirs)
    for number, (one, other) in enumerate(zip(ours, theirs, strict=True)):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other, err_msg=f"plane {number}")


@pytest.mark.parametrize(
    ("model", "settings"),
    [
        ("nearest", {"scale": 2.0}),
        ("espcn", {"scale": 2.0}),
        ("compact-mf", {"scale": 2.0}),
        ("nearest", {"scale": 1.5}),
    ],
)
def test_each_frame_is_that_of_the_full_run(model: str, settings: Mapping[str, object], tmp_path, vsr) -> None:
    """Around chunk borders (5, 10) and cuts (6, 10), at both ends, between keyframes."""
    clip = make_clip(tmp_path / "in.mp4", frames=14, gop=5, b_frames=2, cuts=(6, 10))
    words = ("-m", model, "-s", settings["scale"], "--chunk-frames", 5)
    whole = full_run(vsr, clip, *words)
    places = [0, 4, 5, 6, 9, 10, 13]
    made = stills(clip, places, tmp_path, model=model, chunk_frames=5, **settings)

    for place, planes in zip(places, made, strict=True):
        check_equal(planes, whole[place][1])


@pytest.mark.parametrize("way", ["frame", "field"])
def test_a_frame_made_of_fields_is_that_of_the_full_run(way: str, tmp_path, vsr) -> None:
    """With two pictures a frame, numbers and times count those."""
    clip = make_clip(tmp_path / "in.mkv", frames=8, gop=3, options={"x264-params": "tff=1"})
    words = ("-m", "nearest", "-s", 2, "--chunk-frames", 3, "--deinterlace", way)
    whole = full_run(vsr, clip, *words)
    assert len(whole) == (16 if way == "field" else 8)
    places = [0, 2, 3, len(whole) - 1]
    made = stills(clip, places, tmp_path, model="nearest", scale=2.0, chunk_frames=3, deinterlace=way)
    for place, planes in zip(places, made, strict=True):
        check_equal(planes, whole[place][1])
    assert not np.array_equal(whole[3][1][0], whole[2][1][0])


@pytest.mark.parametrize("size", [3, 5])
@pytest.mark.parametrize("stride", [1, 2])
def test_windows_see_the_same_neighbours(size: int, stride: int, tmp_path) -> None:
    clip = make_clip(tmp_path / "in.mkv", frames=21, gop=4, cuts=(7, 8, 14))
    engine = MeanEngine(size, domain="y")
    job = plan(
        clip, tmp_path / "out.mkv", resolve({"model": "bicubic", "scale": 1.0, "codec": "ffv1", "stride": stride})
    )
    around = {"frames_per_window": size, "stride": stride, "shots": True, "seeks": True}
    card = dataclasses.replace(engine.card, family="bicubic")

    def with_chunks(length: int):
        return dataclasses.replace(job, card=card, chunks=chunks(job.source, job.span, length=length, **around))

    (result,) = [run_chunk(with_chunks(99), with_chunks(99).chunks[0], tmp_path / "whole.nut", engine)]
    whole = planes_of(result.path)
    for place in range(21):
        check_equal(restored(with_chunks(7), engine, place, tmp_path)[0].planes, whole[place][1])


def test_a_frame_goes_through_the_network_in_the_batch_of_the_full_run(tmp_path) -> None:
    clip = make_clip(tmp_path / "in.mkv", frames=13)
    job = plan(clip, tmp_path / "out.mkv", resolve({"model": "bicubic", "scale": 1.0, "batch": 3, "chunk_frames": 7}))
    seen: list[tuple[int, ...]] = []

    class Noted(MeanEngine):
        def restore(self, batch):
            seen.append(tuple(key.frame for key in batch.keys))
            return super().restore(batch)

    engine = Noted(1, domain="y")
    job = dataclasses.replace(job, card=dataclasses.replace(engine.card, family="bicubic"))
    for chunk in job.chunks:
        run_chunk(job, chunk, tmp_path / f"{chunk.index}.nut", engine)
    groups = sorted(seen)
    assert groups == [(0, 1, 2), (3, 4, 5), (6, 7, 8), (9, 10, 11), (12,)]
    for place in range(13):
        seen.clear()
        restored(job, engine, place, tmp_path)
        assert seen == [next(group for group in groups if place in group)]


def test_noise_that_moves_with_the_picture_is_the_same(tmp_path, vsr) -> None:
    clip = make_clip(tmp_path / "in.mp4", frames=7, gop=4, width=48, height=32, cuts=(5,))
    net = write_sr3(tmp_path / "net.safetensors", Layout(width=16, blocks=1, middle=1, frames=3))
    words = ("-m", net, "-s", 4, "--steps", 3, "--seed", 3, "--chunk-frames", 3)
    whole = full_run(vsr, clip, *words)
    settings = {"model": str(net), "scale": 4.0, "steps": 3, "seed": 3, "chunk_frames": 3}
    made = stills(clip, [0, 3, 6], tmp_path, **settings)

    for place, planes in zip([0, 3, 6], made, strict=True):
        check_equal(planes, whole[place][1])
    other = stills(clip, [3], tmp_path, **{**settings, "seed": 4})
    assert not np.array_equal(other[0][0], made[1][0])  # and the noise counts


@pytest.mark.parametrize("pix_fmt", ["yuv422p10le", "gray", "gbrp10le", "yuva444p", "yuv410p"])
def test_every_kind_of_plane_comes_through(pix_fmt: str, tmp_path, vsr) -> None:
    clip = make_clip(tmp_path / "in.mkv", frames=3, codec="ffv1", pix_fmt=pix_fmt, b_frames=0)
    whole = full_run(vsr, clip, "-m", "nearest", "-s", 2)
    (planes,) = stills(clip, [1], tmp_path, model="nearest", scale=2.0, codec="ffv1")
    check_equal(planes, whole[1][1])


def test_the_picture_is_the_frame_in_rgb(tmp_path, vsr) -> None:
    """4:4:4 needs no resampling of chroma: ITU-T H.273 equations 38 to 40, BT.601, limited range."""
    clip = make_clip(tmp_path / "in.mkv", frames=3, codec="ffv1", pix_fmt="yuv444p", b_frames=0)
    y, cb, cr = (plane.astype(float) for plane in full_run(vsr, clip, "-m", "nearest", "-s", 2)[1][1])
    (still,) = preview(clip, resolve({"model": "nearest", "scale": 2.0, "codec": "ffv1"}), frames=[1])
    luma, blue, red = (y - 16) / 219, (cb - 128) / 224, (cr - 128) / 224
    r, b = luma + 1.402 * red, luma + 1.772 * blue
    g = (luma - 0.299 * r - 0.114 * b) / 0.587
    expected = np.clip(np.stack([b, g, r], axis=-1) * 255, 0, 255)
    shown = cv2.imread(str(still.path), cv2.IMREAD_UNCHANGED)

    assert shown.dtype == np.uint8 and shown.shape == (96, 128, 3)
    assert np.abs(shown - expected).max() <= 0.5 + 1e-3  # rounded to nearest, and nothing else


@pytest.mark.parametrize(
    ("pix_fmt", "dtype", "shape"),
    [
        ("yuv420p10le", np.uint16, (96, 128, 3)),
        ("gray16le", np.uint16, (96, 128)),
        ("yuva420p", np.uint8, (96, 128, 4)),
    ],
)
def test_depth_and_alpha_are_those_of_the_result(pix_fmt: str, dtype: type, shape: tuple[int, ...], tmp_path) -> None:
    clip = make_clip(tmp_path / "in.mkv", frames=2, codec="ffv1", pix_fmt=pix_fmt, b_frames=0)
    (still,) = preview(clip, resolve({"model": "nearest", "scale": 2.0, "codec": "ffv1"}), frames=[1])
    for path in (still.path, still.compare):
        shown = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        assert shown.dtype == dtype and shown.shape[2:] == shape[2:]
    assert cv2.imread(str(still.path), cv2.IMREAD_UNCHANGED).shape == shape


def test_both_halves_of_the_pair_are_what_they_say(tmp_path, vsr) -> None:
    clip = make_clip(tmp_path / "in.mkv", frames=4, codec="ffv1", b_frames=0)
    ended = vsr("preview", clip, "--frame", 2, "-m", "espcn", "-s", 2, "--crop", "10,6,20,16", "-o", tmp_path / "a.png")
    assert ended.code == 0, ended.err
    assert (
        vsr("preview", clip, "--frame", 2, "-m", "bicubic", "-s", 2, "--no-compare", "-o", tmp_path / "b.png").code == 0
    )
    model, bicubic, pair = (cv2.imread(str(tmp_path / name)) for name in ("a.png", "b.png", "a_compare.png"))
    assert pair.shape == (32, 40 + 2 + 40, 3)
    np.testing.assert_array_equal(pair[:, :40], bicubic[12:44, 20:60])
    np.testing.assert_array_equal(pair[:, 42:], model[12:44, 20:60])
    assert (pair[:, 40:42] == 255).all() and not np.array_equal(pair[:, :40], pair[:, 42:])
    assert not (tmp_path / "b_compare.png").exists()


def test_a_time_shows_the_frame_that_stands_then(tmp_path, vsr) -> None:
    """Counted from the first frame, which is not at zero here; a frame stands until the next one."""
    steps = [40, 17, 83, 40, 3000, 21, 60, 40]
    pts = [500 + sum(steps[:k]) for k in range(len(steps))]
    clip = make_clip(tmp_path / "in.mp4", frames=8, pts=pts, time_base=Fraction(1, 1000))
    times = {"0": 0, "0.039": 0, "0.04": 1, "0.0569": 1, "0.057": 2, "3.179": 4, "0:03.18": 5, "3.3": 7}
    for text, place in times.items():
        ended = vsr("preview", clip, "--at", text, "-m", "nearest", "-s", 2, "--overwrite", "--no-compare", "--json")
        (said,) = [event for event in ended.events if event["event"] == "preview"]
        assert (said["frame"], said["pts"]) == (place, pts[place]), text
        picture = cv2.imread(str(said["path"]))
        assert read_number(picture[..., 1]) == place


def test_the_end_is_the_last_frame_and_beyond_it_is_none(tmp_path, vsr, leftovers) -> None:
    clip = make_clip(tmp_path / "in.mp4", frames=10)
    ended = vsr("preview", clip, "--at", "0.4", "-m", "nearest", "--no-compare", "--json", "-o", tmp_path / "x.png")
    assert ended.code == 0 and json.loads(ended.out.splitlines()[-1])["frame"] == 9
    for words, said in (
        (("--at", "0.41"), "ends after 0.400 s"),
        (("--frame", 10), "has 10 frames"),
        (("--at", "soon"), "is no time"),
        ((), "which frame?"),
        (("--frame", 1, "--start", "0.2"), "between --start and --end"),
        (("--frame", 1, "--crop", "60,0,10,10"), "does not lie in"),
        (("--frame", 1, "--crop", "1,2,3"), "no part of a picture"),
        (("--frame", 1, "-o", "x.jpg"), "PNG"),
        (("--frame", 1, "--frame", 2, "-o", tmp_path / "two.png"), "2 frames are asked for"),
        (("--frame", 1, "--trace", tmp_path / "t"), "no trace"),
    ):
        ended = vsr("preview", clip, "-m", "nearest", *words)
        assert ended.code == 2 and said in ended.err, (words, ended.err)
    assert leftovers("in.mp4", "x.png") == []


def test_a_frame_that_is_announced_and_not_there_is_an_error(tmp_path, vsr, leftovers) -> None:
    """The same file without its last packets' bytes: the index still has them."""
    clip = make_clip(
        tmp_path / "in.mp4", frames=10, b_frames=0, options={"crf": "0"}, container_options={"movflags": "faststart"}
    )
    clip.write_bytes(clip.read_bytes()[:-40])
    assert vsr("preview", clip, "--frame", 5, "-m", "nearest", "--no-compare", "-o", tmp_path / "a.png").code == 0
    ended = vsr("preview", clip, "--frame", 9, "-m", "nearest", "-o", tmp_path / "b.png")
    assert ended.code == 3 and "9" in ended.err
    assert leftovers("in.mp4", "a.png") == []


def test_several_frames_are_named_after_source_model_and_number(tmp_path, vsr, leftovers) -> None:
    clip = make_clip(tmp_path / "in.mp4", frames=10)
    ended = vsr("preview", clip, "--at", "0.1", "--frame", 7, "--at", "0.12", "-m", "nearest", "-s", 2)
    assert ended.code == 0, ended.err
    names = [f"in_nearest_128x96_frame{place:06d}{kind}.png" for place in (2, 3, 7) for kind in ("", "_compare")]
    assert leftovers("in.mp4") == sorted(names)
    assert [line.split(",")[0] for line in ended.out.splitlines() if line.startswith("frame")] == [
        "frame 2",
        "frame 3",
        "frame 7",
    ]
    again = vsr("preview", clip, "--frame", 7, "-m", "nearest", "-s", 2)
    assert again.code == 6 and "--overwrite" in again.err
    assert vsr("preview", clip, "--frame", 7, "-m", "nearest", "-s", 2, "--overwrite").code == 0


def test_a_result_that_is_there_is_no_hindrance_and_stays(tmp_path, vsr) -> None:
    clip = make_clip(tmp_path / "in.mp4", frames=4)
    assert vsr("upscale", clip, "-m", "nearest", "-s", 2, "-q").code == 0
    (result,) = [path for path in tmp_path.iterdir() if path != clip]
    before = result.read_bytes()
    assert vsr("preview", clip, "--frame", 1, "-m", "nearest", "-s", 2).code == 0
    assert result.read_bytes() == before


def test_images_and_sequences_are_shown_as_they_would_be_written(tmp_path, vsr) -> None:
    files = make_images(tmp_path / "shots", count=4)
    out = tmp_path / "full"
    assert vsr("upscale", tmp_path / "shots", "-o", out, "-m", "espcn", "-s", 2, "-q").code == 0
    for words in (("--frame", 2), ("--at", "0.1")):  # at 25 a second
        ended = vsr(
            "preview", tmp_path / "shots", *words, "-m", "espcn", "-s", 2, "-o", tmp_path / "a.png", "--overwrite"
        )
        assert ended.code == 0, ended.err
        full = cv2.imread(str(sorted(out.iterdir())[2]), cv2.IMREAD_UNCHANGED)
        np.testing.assert_array_equal(cv2.imread(str(tmp_path / "a.png"), cv2.IMREAD_UNCHANGED), full)
    one = files[0].with_name("one.tiff")  # it has but one frame, and none needs to be named
    assert vsr("upscale", files[0], "-o", one, "-m", "nearest", "-s", 2, "-q").code == 0
    ended = vsr("preview", files[0], "-m", "nearest", "-s", 2, "-o", tmp_path / "one.png")
    assert ended.code == 0, ended.err
    np.testing.assert_array_equal(cv2.imread(str(tmp_path / "one.png")), cv2.imread(str(one)))


def test_an_interruption_leaves_nothing(tmp_path, vsr, leftovers, monkeypatch) -> None:
    clip = make_clip(tmp_path / "in.mp4", frames=4)
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))

    def stopped(*words: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(previews, "run_chunk", stopped)
    assert vsr("preview", clip, "--frame", 1, "-m", "nearest").code == 130
    assert leftovers("in.mp4", "temporary") == [] and list(temporary.iterdir()) == []


def test_a_folder_that_is_not_there_is_named_with_the_picture(tmp_path):
    clip = make_clip(tmp_path / "in.mkv", frames=2)
    with pytest.raises(OutputError, match=r"look\.png cannot be written there"):
        preview(clip, resolve({"model": "nearest"}), frames=[0], output=tmp_path / "away" / "look.png")
