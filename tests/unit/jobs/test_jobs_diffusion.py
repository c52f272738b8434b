"""What the planner decides for a diffusion model."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from tests.media import make_clip, make_images
from tests.sr3_weights import write_sr3
from vsr.core.card import ModelCard
from vsr.core.errors import OutputError, UsageError
from vsr.core.events import Event, Worked
from vsr.core.frame import ColorSpec
from vsr.core.media import MediaInfo, VideoInfo
from vsr.core.presets import resolve
from vsr.core.sampling import Sampling
from vsr.core.settings import Resolved
from vsr.engines.archs.sr3 import Layout
from vsr.engines.diffusion_engine import STEPS
from vsr.jobs import diffusion
from vsr.jobs.plan import plan

SR3 = ModelCard(id="own", family="own", arch="sr3", scale=4, domain="y", frames=3, alignment="grid")
CLASSIC = replace(SR3, arch="sr3_classic", domain="rgb", alignment="none")
OTHER = replace(SR3, arch="compact")


def source(codec: str) -> MediaInfo:
    color = ColorSpec(matrix="bt709", range="tv", primaries="bt709", transfer="bt709", siting="left")
    video = VideoInfo(
        index=0, codec=codec, width=64, height=48, pixel_format="yuv420p", coded_pixel_format="yuv420p", color=color,
        time_base=Fraction(1, 25), rate=Fraction(25),
    )  # fmt: skip
    return MediaInfo(path=Path("in"), kind="video", container="matroska", video=video)


def chosen(codec: str = "h264", card: ModelCard = SR3, **settings: object) -> Sampling | None:
    return diffusion.sampling(source(codec), resolve(settings), card)


@pytest.mark.parametrize("codec", ["ffv1", "huffyuv", "rawvideo", "png", "tiff", "bmp"])
def test_the_result_goes_back_to_a_lossless_source_twice(codec):
    found = chosen(codec)
    assert found is not None and found.consistency == 2


@pytest.mark.parametrize("codec", ["h264", "hevc", "mjpeg", "jpeg", "vp9"])
def test_to_a_compressed_one_it_goes_back_as_often_as_was_measured_to_be_good(codec):
    found = chosen(codec)
    assert found is not None and found.consistency == diffusion.CONSISTENCY_COMPRESSED


def test_what_the_user_says_stands():
    found = chosen("ffv1", steps=4, detail=0.5, consistency=0, noise="static")
    assert found == Sampling(steps=4, detail=0.5, consistency=0, noise="static")


def test_steps_are_the_models_own_unless_told():
    assert (found := chosen()) is not None and found.steps == STEPS


def test_the_classic_engine_knows_its_own_figures():
    assert chosen(card=CLASSIC, color_fix="wavelet") == Sampling(color_fix="wavelet")


def test_other_models_are_not_sampled():
    assert chosen(card=OTHER) is None
    with pytest.raises(UsageError, match="--steps, --trace-frames: for diffusion models, and own is none"):
        chosen(card=OTHER, steps=1, trace_frames="0")


@pytest.mark.parametrize(("domain", "why"), [("y", "luma alone"), ("rgb", "the source's own colours")])
def test_there_are_no_colours_to_fix_in_sr3(domain, why):
    with pytest.raises(UsageError, match=why):
        chosen(card=replace(SR3, domain=domain), color_fix="adain")
    assert chosen(color_fix="none") is not None


def traced(count: int, folder: Path, frames: str | None = None, card: ModelCard = SR3) -> tuple[int, ...]:
    found = diffusion.trace(resolve({"trace": str(folder), "trace_frames": frames}), card, first=7, count=count)
    assert found is not None and found.first == 7
    return found.frames


@pytest.mark.parametrize(("count", "expected"), [(1, (0,)), (2, (0, 1)), (3, (0, 1, 2)), (100, (0, 50, 99))])
def test_first_middle_and_last_are_traced(count, expected, tmp_path):
    assert traced(count, tmp_path / "made" / "here") == expected
    assert list(tmp_path.iterdir()) == []  # a plan makes nothing


def test_frames_are_traced_as_told(tmp_path):
    assert traced(100, tmp_path, "80, 0,40,0") == (0, 40, 80)


@pytest.mark.parametrize("frames", ["100", "-1", "", "1;2", "1.5"])
def test_frames_that_are_not_there_are_refused(frames, tmp_path):
    with pytest.raises(UsageError, match="--trace-frames"):
        traced(100, tmp_path, frames)


def test_a_folder_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(OutputError, match="no folder that can be written to"):
            traced(3, folder)


def test_every_diffusion_model_can_be_traced(tmp_path):
    assert traced(3, tmp_path, card=CLASSIC) == (0, 1, 2)


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    layout = Layout(width=16, blocks=1, middle=1, scales=(4, 2))
    return write_sr3(tmp_path_factory.mktemp("weights") / "own.safetensors", layout)


def asked(model: Path, **settings: object) -> Resolved:
    return resolve({"model": str(model), "precision": "fp32", **settings})


@pytest.mark.parametrize(
    ("settings", "needed"),
    [
        ({"steps": 4}, True),
        ({"steps": 1}, False),
        ({}, False),
        ({"steps": 4, "noise": "static"}, False),
        ({"steps": 4, "noise": "frame"}, False),
        ({"steps": 4, "detail": 0.0}, False),
    ],
)
def test_the_pan_is_measured_where_noise_follows_it(settings, needed, model, tmp_path):
    clip = make_clip(tmp_path / "in.mkv", frames=12)
    events: list[Event] = []
    job = plan(clip, tmp_path / "out.mkv", asked(model, **settings), report=events.append)
    assert bool(job.track) == needed
    assert [event.done for event in events if isinstance(event, Worked)] == ([10, 12] if needed else [])


def test_the_track_is_in_pixels_of_the_models_own_output(model, tmp_path):
    clip = make_clip(tmp_path / "in.mkv", frames=6, codec="ffv1", pts=[0, 3, 4, 9, 10, 12])
    tracks = {s: plan(clip, tmp_path / "o.mkv", asked(model, steps=2, scale=s)).track for s in (2.0, 3.5, 4.0)}
    assert [pts for pts, _, _ in tracks[4.0]] == list(plan(clip, tmp_path / "o.mkv", asked(model)).source.packets.pts)
    assert tracks[3.5] == tracks[4.0]  # restored at x4, then shrunk
    for (_, *small), (_, *large) in zip(tracks[2.0], tracks[4.0], strict=True):
        assert all(abs(2 * a - b) <= 1 for a, b in zip(small, large, strict=True))
    assert tracks[4.0][-1][1:] != (0, 0)


def test_a_sequence_of_images_has_a_pan_and_one_image_has_none(model, tmp_path):
    make_images(tmp_path / "frames", count=3)
    assert len(plan(tmp_path / "frames", tmp_path / "out", asked(model, steps=2)).track) == 3
    image = tmp_path / "frames" / "00001.png"
    assert plan(image, tmp_path / "out.png", asked(model, steps=2)).track == ()


def test_whatever_touches_a_pixel_is_in_the_fingerprint(model, tmp_path):
    clip = make_clip(tmp_path / "in.mkv", frames=4)
    every: list[dict[str, object]] = [
        {},
        {"steps": 2},
        {"steps": 4},
        {"steps": 4, "detail": 0.5},
        {"steps": 4, "noise": "static"},
        {"consistency": 3},
    ]
    prints = [plan(clip, tmp_path / "out.mkv", asked(model, **settings)).fingerprint for settings in every]
    assert len(set(prints)) == len(every)
    assert plan(clip, tmp_path / "out.mkv", asked(model, trace=str(tmp_path / "t"))).fingerprint == prints[0]
