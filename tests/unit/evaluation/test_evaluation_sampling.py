"""How a contestant's sampling is written, and what it does to the pictures of a clip."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.media import make_clip
from tests.sr3_weights import write_sr3
from tests.textures import textured
from vsr.cli import main
from vsr.core.errors import IncompatibleModel, SettingsError, UsageError
from vsr.core.sampling import Sampling
from vsr.engines.archs.sr3 import Layout
from vsr.evaluation.compare import evaluate
from vsr.evaluation.contestants import Runner, choose
from vsr.evaluation.metrics import color_shift
from vsr.evaluation.sampling import read
from vsr.evaluation.testsets import Footage

SCALE = 4
SMALL = Layout(width=16, blocks=1, middle=1)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sr3(tmp_path_factory.mktemp("weights") / "small.safetensors", SMALL)


def sliding(*, frames: int, across: int) -> Footage:
    """Give a clip in which a grey picture moves right by so many LR pixels a frame."""
    big = (textured(5, 48, 96)[1].numpy() * 255).astype(np.uint8)
    lr = tuple(big[:, 24 - across * k : 24 - across * k + 64].copy() for k in range(frames))
    hr = tuple(np.kron(small, np.ones((SCALE, SCALE), np.uint8)) for small in lr)
    shots = tuple(k == 0 for k in range(frames))
    return Footage(name="clip", hr=hr, lr=lr, lr_luma=lr, opens_shot=shots, is_video=True)


def restored(text: str, footage: Footage, seed: int = 0) -> list[np.ndarray]:
    runner = Runner(contestant=choose(text, SCALE), seed=seed)
    with torch.inference_mode():
        pictures = [each.y.numpy() for each in runner.restore(footage)]
    runner.close()
    return pictures


def test_every_setting_is_read_and_what_is_not_named_stays_the_models_own() -> None:
    asked = read("steps=4, noise=static,detail=0.5,consistency=0,color-fix=adain,frames=3")
    assert asked.sampling == Sampling(steps=4, noise="static", detail=0.5, consistency=0, color_fix="adain")
    assert asked.frames == 3
    assert read("steps=2").sampling == Sampling(steps=2)
    assert read("frames=1").sampling == Sampling()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("step=4", "no setting 'step'"),
        ("steps=0", "at least 1"),
        ("steps=2.5", "of type int"),
        ("detail=half", "of type float"),
        ("detail=1.5", "at most 1"),
        ("detail=nan", "must be a number"),
        ("noise=fresh", "pan, static, frame"),
        ("steps=4,steps=2", "twice"),
        ("steps=4,", "no key=value"),
        ("steps=", "no key=value"),
    ],
)
def test_what_cannot_be_is_refused_by_name(text: str, said: str) -> None:
    with pytest.raises((UsageError, SettingsError), match=said):
        read(text)


def test_an_unknown_setting_names_the_close_one() -> None:
    with pytest.raises(UsageError) as caught:
        read("consistancy=2")
    assert caught.value.hint == "Did you mean consistency?"


def test_settings_and_steps_of_scale_stand_behind_the_model_in_any_order(weights: Path) -> None:
    one = choose(f"{weights}:steps=4,noise=static", SCALE)
    assert (one.label, one.steps) == ("small.safetensors 4 steps static", (4,))
    assert one.sampling == Sampling(steps=4, noise="static")
    assert choose(str(weights), SCALE).sampling is None
    first, second = (choose(f"{weights}{rest}", 16) for rest in (":x4x4:steps=1", ":steps=1:x4x4"))
    assert first == second
    assert (first.label, first.steps) == ("small.safetensors x4·x4 1 step", (4, 4))


def test_a_model_that_is_not_sampled_takes_no_settings(weights: Path) -> None:
    with pytest.raises(UsageError, match="espcn-x2 is no diffusion model"):
        choose("espcn:steps=1", 2)
    assert choose("espcn:frames=1", 2).label == "espcn N=1"
    with pytest.raises(IncompatibleModel, match="takes windows of 1 frame, not 3"):
        choose(f"{weights}:frames=3", SCALE)
    with pytest.raises(UsageError, match="settings twice"):
        choose(f"{weights}:steps=1:detail=0", SCALE)


def test_noise_that_pans_carries_the_texture_along_and_static_noise_does_not(weights: Path) -> None:
    across, frames = 2, 4  # 2 LR pixels are 8 of the output, a whole cell of the net's grid
    footage = sliding(frames=frames, across=across)
    margin = SMALL.reach + SCALE
    differing = {}
    for noise in ("pan", "static"):
        pictures = restored(f"{weights}:steps=4,consistency=0,noise={noise}", footage)
        shift = across * SCALE * (frames - 1)
        first, last = pictures[0][margin:-margin, margin : -margin - shift], pictures[-1][margin:-margin]
        differing[noise] = float(np.abs(last[:, margin + shift : -margin] - first).mean())
    assert differing["pan"] < 0.01  # 8-bit codes: float rounding now and then tips one
    assert differing["static"] > 1


def test_a_still_clip_stays_still_unless_each_frame_has_its_own_noise(weights: Path) -> None:
    footage = sliding(frames=2, across=0)
    for noise, is_still in (("pan", True), ("static", True), ("frame", False)):
        first, *rest = restored(f"{weights}:steps=2,noise={noise}", footage, seed=3)
        assert all(np.array_equal(first, each) for each in rest) == is_still


def test_the_seed_counts_from_the_second_step_on(weights: Path) -> None:
    footage = sliding(frames=1, across=0)
    for steps, is_same in ((1, True), (2, False)):
        (first,), (second,) = (restored(f"{weights}:steps={steps}", footage, seed) for seed in (0, 1))
        assert np.array_equal(first, second) == is_same


def test_one_model_is_compared_with_itself_sampled_otherwise(weights: Path, tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mp4", frames=3, width=96, height=72)
    models = [f"{weights}:steps={steps}" for steps in (1, 2)]
    result = evaluate(models, [clip], metrics=["psnr_y", "temporal_error"])
    rows = {model.label: model.figures["psnr_y"] for model in result.sets[0].models}
    assert list(rows) == ["bicubic", "small.safetensors 1 step", "small.safetensors 2 steps"]
    assert len(set(rows.values())) == 3


def test_the_command_line_says_what_is_wrong_with_a_setting(
    weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clip = make_clip(tmp_path / "clip.mp4", frames=1, width=96, height=72)
    assert main(["evaluate", str(clip), "-m", f"{weights}:nois=pan"]) == 2
    assert "Did you mean noise?" in capsys.readouterr().err


def test_colour_shift_is_that_of_the_plane_farthest_off() -> None:
    hr = torch.rand(3, 20, 30, dtype=torch.float64) * 200
    off = hr + torch.tensor([0.25, -1.5, 1.0], dtype=torch.float64)[:, None, None]
    assert color_shift(off, hr) == pytest.approx(1.5)
    assert color_shift(hr.flip(-1), hr) == pytest.approx(0, abs=1e-9)
