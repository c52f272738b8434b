"""sr3 through the real command line: seeds, noise that stays with the picture, cuts, tiles, and what is refused."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file

from tests.media import planes_of
from tests.sr3_weights import write_sr3
from tests.textures import textured
from vsr.engines import schedules
from vsr.engines.archs import sr3_classic as classic
from vsr.engines.archs.sr3 import Layout

Luma = NDArray[np.uint8]
Upscaled = Callable[..., list[NDArray[np.int64]]]

SMALL = {"width": 16, "blocks": 1, "middle": 1}
HEIGHT, WIDTH, SCALE = 40, 64, 4
REACH = 60  # output px that a frame's border is felt, for certain
FOUR = ("--steps", 4)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("weights")


@pytest.fixture(scope="module")
def single(folder: Path) -> Path:
    return write_sr3(folder / "single.safetensors", Layout(**SMALL))


@pytest.fixture(scope="module")
def triple(folder: Path) -> Path:
    return write_sr3(folder / "triple.safetensors", Layout(**SMALL, frames=3))


def clip(path: Path, lumas: Iterable[Luma]) -> Path:
    """Write luma pictures without loss, 25 a second, grey."""
    pictures = list(lumas)
    height, width = pictures[0].shape
    grey = np.full((height // 2, width // 2), 128, np.uint8)
    with av.open(str(path), "w") as out:
        video = out.add_stream("ffv1", rate=25)
        video.width, video.height, video.pix_fmt = width, height, "yuv420p"
        for luma in pictures:
            frame = av.VideoFrame(width, height, "yuv420p")
            for plane, data in zip(frame.planes, (luma, grey, grey), strict=True):
                rows = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)
                rows[: data.shape[0], : data.shape[1]] = data
            out.mux(video.encode(frame))
        out.mux(video.encode(None))
    return path


def pan(count: int, step: int, *, seed: int = 0) -> list[Luma]:
    """Give a scene that moves right by whole pixels."""
    scene = (textured(seed, HEIGHT, WIDTH + count * abs(step))[0].numpy() * 219 + 16).round().astype(np.uint8)
    at = [step * (count - k) if step > 0 else -step * k for k in range(count)]
    return [scene[:, left : left + WIDTH] for left in at]


@pytest.fixture
def upscaled(vsr, tmp_path: Path) -> Upscaled:
    def run(source: Path, model: Path, *words: object) -> list[NDArray[np.int64]]:
        out = tmp_path / "out.mkv"
        fixed = ("-s", SCALE, "--codec", "ffv1", "--precision", "fp32", "-q", "--overwrite")
        ended = vsr("upscale", source, "-o", out, "-m", model, *fixed, *words)
        assert ended.code == 0, ended.err
        return [planes[0].astype(np.int64) for _, planes in planes_of(out)]

    return run


def test_the_same_seed_gives_the_same_file_and_one_step_knows_no_seed(upscaled, single, tmp_path):
    source = clip(tmp_path / "in.mkv", pan(2, 2))

    def digest(*words: object) -> str:
        upscaled(source, single, *words)
        return hashlib.sha256((tmp_path / "out.mkv").read_bytes()).hexdigest()

    first = digest(*FOUR, "--seed", 5)
    assert digest(*FOUR, "--seed", 5) == first
    assert digest(*FOUR, "--seed", 6) != first
    assert digest("--steps", 1, "--seed", 5) == digest("--steps", 1, "--seed", 6)


@pytest.mark.parametrize("noise", ["pan", "static", "frame"])
def test_frames_that_are_alike_come_out_alike_but_with_noise_of_their_own(noise, upscaled, triple, tmp_path):
    source = clip(tmp_path / "in.mkv", pan(1, 0) * 4)
    frames = upscaled(source, triple, *FOUR, "--noise", noise)
    same = [np.array_equal(frame, frames[0]) for frame in frames]
    assert same == [True, noise != "frame", noise != "frame", noise != "frame"]


def test_texture_moves_with_the_picture_and_stays_on_the_screen_if_told_so(upscaled, single, tmp_path):
    source = clip(tmp_path / "in.mkv", pan(4, 2))  # 2 px are 8 of the output: a cell of the net's lower level

    def moved(noise: str) -> float:
        frames = upscaled(source, single, *FOUR, "--noise", noise)
        by = 3 * 2 * SCALE
        first = frames[0][REACH:-REACH, REACH : -REACH - by]
        last = frames[3][REACH:-REACH, REACH + by : -REACH]
        return float(np.abs(first - last).mean())

    assert moved("pan") < 0.01
    assert moved("static") > 0.5


def test_a_cut_separates_shots_completely(upscaled, triple, tmp_path):
    one, other = pan(4, 2), pan(4, -1, seed=8)
    whole = upscaled(clip(tmp_path / "in.mkv", [*one, *other]), triple, *FOUR)
    alone = [upscaled(clip(tmp_path / "shot.mkv", shot), triple, *FOUR) for shot in (one, other)]
    for a, b in zip(whole, [*alone[0], *alone[1]], strict=True):
        assert np.array_equal(a, b)


@pytest.mark.parametrize("words", [("--tile", 16), ("--batch", 3), ("--tile", 24, "--batch", 2, "--workers", 2)])
def test_tiles_and_batches_change_nothing(words, upscaled, triple, tmp_path):
    source = clip(tmp_path / "in.mkv", pan(4, 1))
    plain = np.stack(upscaled(source, triple, *FOUR, "--batch", 1))
    found = np.stack(upscaled(source, triple, *FOUR, *words))
    assert np.abs(plain - found).max() <= 1
    assert float((plain != found).mean()) <= 1e-4  # sums in another order, at the edge between two levels


def test_workers_change_no_byte(upscaled, triple, tmp_path):
    source = clip(tmp_path / "in.mkv", pan(5, 1))
    digests = []
    for workers in (1, 2):
        upscaled(source, triple, *FOUR, "--workers", workers)
        digests.append((tmp_path / "out.mkv").read_bytes())
    assert digests[0] == digests[1]


@pytest.mark.parametrize("words", [("--steps", 1), (*FOUR, "--noise", "static"), (*FOUR, "--noise", "frame")])
def test_a_part_is_what_the_whole_has_there(words, upscaled, triple, tmp_path):
    source = clip(tmp_path / "in.mkv", pan(8, 1))
    whole = upscaled(source, triple, *words)
    part = upscaled(source, triple, *words, "--start", "0.2", "--end", "0.28")
    assert len(part) == 2
    for a, b in zip(whole[5:7], part, strict=True):
        assert np.array_equal(a, b)


def test_a_part_of_a_pan_carries_its_texture_from_where_it_begins(upscaled, triple, tmp_path):
    """Not what the whole has there: how far the camera went before is not known. From the next cut on it is again."""
    shots = [*pan(8, 1), *pan(4, 2, seed=8)]
    source = clip(tmp_path / "in.mkv", shots)
    whole = upscaled(source, triple, *FOUR)
    part = upscaled(source, triple, *FOUR, "--start", "0.2")
    assert [np.array_equal(a, b) for a, b in zip(whole[5:], part, strict=True)] == [False] * 3 + [True] * 4


def test_the_plan_tells_the_sampling_and_writes_nothing(vsr, single, tmp_path, leftovers):
    source = clip(tmp_path / "in.mkv", pan(4, 2))
    words = ("upscale", source, "-o", tmp_path / "out.mkv", "-m", single, *FOUR, "--trace", tmp_path / "steps")
    ended = vsr(*words, "--dry-run")
    assert ended.code == 0, ended.err
    assert '[sampling]\nsteps = 4\ndetail = 1.0\nconsistency = 2\nnoise = "pan"\n' in ended.out
    assert "tracked_frames = 4\nfarthest_down = 0\nfarthest_across = 24\n" in ended.out
    assert leftovers("in.mkv") == []


def test_measuring_the_pan_is_told(vsr, single, tmp_path):
    source = clip(tmp_path / "in.mkv", pan(4, 2))
    ended = vsr("upscale", source, "-o", tmp_path / "out.mkv", "-m", single, *FOUR, "--json")
    told = [event for event in ended.events if event["event"] == "worked"]
    assert told[-1]["done"] == 4 and told[-1]["note"] == "measuring the pan"
    ended = vsr("upscale", source, "-o", tmp_path / "more.mkv", "-m", single, "--json")
    assert [event for event in ended.events if event["event"] == "worked"] == []  # one step draws no noise


def test_an_image_is_taken(vsr, triple, tmp_path):
    cv2.imwrite(str(tmp_path / "in.png"), pan(1, 0)[0])
    ended = vsr("upscale", tmp_path / "in.png", "-o", tmp_path / "out.png", "-m", triple, "-s", 2 * SCALE, *FOUR)
    assert ended.code == 4 and "no scale x8" in ended.err
    ended = vsr("upscale", tmp_path / "in.png", "-o", tmp_path / "out.png", "-m", triple, "-s", SCALE, *FOUR)
    assert ended.code == 0, ended.err
    assert cv2.imread(str(tmp_path / "out.png")).shape == (HEIGHT * SCALE, WIDTH * SCALE, 3)


def test_each_step_of_chosen_frames_is_written(upscaled, triple, tmp_path):
    source = clip(tmp_path / "in.mkv", pan(4, 1))
    plain = upscaled(source, triple, *FOUR, "--start", "0.04")
    traced = upscaled(source, triple, *FOUR, "--start", "0.04", "--trace", tmp_path / "steps", "--trace-frames", "2,0")
    for a, b in zip(plain, traced, strict=True):
        assert np.array_equal(a, b)
    names = sorted(path.name for path in (tmp_path / "steps").iterdir())
    assert names == ["frame_000000.png", "frame_000002.png"]
    strip = cv2.imread(str(tmp_path / "steps" / "frame_000002.png"))
    wide = WIDTH * SCALE + 8
    assert strip.shape[1] == 7 * wide  # three frames, three steps, the result
    shown = strip[28:-4, 6 * wide + 4 : -4, 0]
    # Frame 2 of the part; luma in full range here, in limited range with room beyond it there.
    assert np.abs((shown * (219 / 255) + 16) - traced[2].clip(16, 235)).max() <= 1.01


def test_first_middle_and_last_are_traced_unless_told(upscaled, single, tmp_path):
    upscaled(clip(tmp_path / "in.mkv", pan(5, 1)), single, "--trace", tmp_path / "new" / "steps")
    names = sorted(path.name for path in (tmp_path / "new" / "steps").iterdir())
    assert names == ["frame_000000.png", "frame_000002.png", "frame_000004.png"]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--steps", 0), 2, "steps must be at least 1"),
        (("--frames", 2), 4, "2 frames have no centre"),
        (("--frames", 5), 4, "takes windows of 3 frames, not 5"),
        (("--scale", 3), 4, "has no scale x3"),
        (("--frames", 3, "--stride", 3), 2, "spans 7 frames, more than the 5 there are"),
        (("--frames", 3, "--end", "0.04"), 2, "spans 3 frames, more than the 1 there is"),
        (("--color-fix", "adain"), 2, "nothing to fix"),
        (("--trace-frames", "0"), 2, "without --trace"),
        (("--trace", "steps", "--trace-frames", "0,5"), 2, "there is no frame 5"),
        (("--trace", "steps", "--trace-frames", "a"), 2, "no list of frames"),
        (("--trace", "there"), 6, "frame_000002.png exists"),
        (("-o", "seq/%06d.png", "--trace", "seq"), 2, "of the result lie there"),
        (("--trace", "in.mkv"), 6, "no folder that can be written to"),
        (("--trace", "in.mkv/steps"), 6, "no folder that can be written to"),
        (("--trace", "/proc/steps"), 6, "no folder that can be written to"),
    ],
)
def test_what_cannot_be_is_refused_before_any_frame_is_decoded(
    words, code, said, vsr, triple, tmp_path, monkeypatch, leftovers
):
    clip(tmp_path / "in.mkv", pan(5, 1))
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "frame_000002.png").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("vsr.io.decoding.decode.PyavSource.frames", lambda *_, **__: pytest.fail("decoded"))
    ended = vsr("upscale", "in.mkv", "-o", "out.mkv", "-m", triple, *words)
    assert (ended.code, said in ended.err) == (code, True), ended.err
    assert leftovers("in.mkv", "there") == []


@pytest.mark.parametrize("words", [("--steps", 1), ("--noise", "static"), ("--detail", 0.5), ("--trace", "steps")])
def test_settings_of_diffusion_need_a_diffusion_model(words, vsr, tmp_path):
    ended = vsr("upscale", clip(tmp_path / "in.mkv", pan(2, 1)), "-m", "bicubic", *words)
    assert ended.code == 2
    assert f"{words[0]}: for diffusion models, and bicubic is none" in ended.err


def test_a_long_window_is_refused_only_where_it_was_asked_for(vsr, triple, tmp_path):
    source = clip(tmp_path / "in.mkv", pan(2, 1))
    words = ("upscale", source, "-m", triple, "-o", tmp_path / "out.mkv", "-q", "--overwrite")
    assert vsr(*words).code == 0
    assert vsr(*words, "--stride", 4).code == 0
    assert vsr(*words, "--frames", 3).code == 2


def test_a_classic_net_is_sampled_as_told_and_knows_its_limits(vsr, tmp_path, monkeypatch):
    layout = classic.Layout(
        inner=8, norm_groups=4, multipliers=(1, 2), attention=(1,), res_blocks=1, image_size=32, scale=4
    )
    torch.manual_seed(3)
    net = classic.Sr3Classic(layout, schedules.betas("linear", 6, end=0.6))
    save_file({key: value.contiguous() for key, value in net.state_dict().items()}, tmp_path / "classic.safetensors")
    source = clip(tmp_path / "in.mkv", pan(2, 2))
    words = ("upscale", source, "-o", tmp_path / "out.mkv", "-m", tmp_path / "classic.safetensors", "--overwrite")
    ended = vsr(*words, "--steps", 2, "--color-fix", "wavelet", "--trace", tmp_path / "trace", "--json")
    assert ended.code == 0, ended.err
    assert len(list((tmp_path / "trace").iterdir())) == 2
    assert "worked" in [event["event"] for event in ended.events]  # noise at each step: the pan is measured
    monkeypatch.setattr("vsr.io.decoding.decode.PyavSource.frames", lambda *_, **__: pytest.fail("decoded"))
    seven = ("--steps", 7, "--tile", 16)
    for more, said in [(seven, "takes 1 to 6 steps"), (("--detail", 0.5), "no detail to choose")]:
        ended = vsr(*words, *more)
        assert ended.code == 2 and said in ended.err, ended.err
