"""Models x test sets on generated pictures and a generated clip."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from tests import graphdef
from tests.engines import MeanEngine
from tests.media import make_clip
from tests.textures import textured
from vsr.core.errors import IncompatibleModel, UnknownModel, UsageError
from vsr.core.events import Event, Worked
from vsr.engines import registry
from vsr.engines.torchvision_stub import ensure_torchvision
from vsr.evaluation import protocol
from vsr.evaluation.compare import evaluate
from vsr.evaluation.contestants import Contestant, Runner
from vsr.evaluation.results import mean_figures, scores
from vsr.evaluation.testsets import Footage
from vsr.filters import BICUBIC, phase_kernel
from vsr.io.vmaf import has_vmaf

ensure_torchvision()
from spandrel.architectures.ESRGAN import ESRGAN  # noqa: E402


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    for seed, size in enumerate(((90, 110), (97, 82))):
        rgb = (textured(seed, *size) * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
        cv2.imwrite(str(folder / f"{seed}.png"), np.ascontiguousarray(rgb[..., ::-1]))
    cv2.imwrite(str(folder / "grey.png"), rgb[..., 1])
    return folder


def test_bicubic_is_the_first_row_and_agrees_with_scikit_image(pictures: Path) -> None:
    result = evaluate(["espcn"], [pictures], scale=4)
    assert [model.label for model in result.sets[0].models] == ["bicubic", "espcn"]
    expected: dict[str, list[float]] = {"psnr_y": [], "ssim_y": []}
    for path in sorted(pictures.iterdir()):
        image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        array = image if image.ndim == 2 else image[..., ::-1].copy()
        y = protocol.luma(protocol.planes(protocol.cropped(array, 4)))
        height, width = y.shape
        small = protocol.rounded(protocol.shrunk(y, 4))
        again = protocol.rounded(protocol.enlarged(small, height, width))
        a, b = (plane[4:-4, 4:-4].numpy() for plane in (y, again))
        expected["psnr_y"].append(peak_signal_noise_ratio(a, b, data_range=255))
        similarity = structural_similarity(
            a, b, data_range=255, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
        )
        expected["ssim_y"].append(similarity)
    for name, values in expected.items():
        assert result.figure(pictures.name, "bicubic", name) == pytest.approx(np.mean(values), abs=1e-3)
    # The net beats bicubic on what it was never shown, or it does nothing.
    assert result.figure(pictures.name, "espcn", "psnr_y") > result.figure(pictures.name, "bicubic", "psnr_y")


def test_a_model_may_be_run_twice_and_in_an_ensemble(pictures: Path) -> None:
    result = evaluate(["espcn:x2x2", "bicubic"], [pictures], scale=4, ensemble=True)
    models = {model.label: model for model in result.sets[0].models}
    assert list(models) == ["bicubic", "espcn x2·x2", "espcn x2·x2 +tta"]
    assert models["espcn x2·x2"].steps == (2, 2)
    assert models["espcn x2·x2"].figures["psnr_y"] > models["bicubic"].figures["psnr_y"]
    assert models["espcn x2·x2"].figures["psnr_y"] != models["espcn x2·x2 +tta"].figures["psnr_y"]


def test_the_scale_is_that_of_lr_or_of_the_first_model(pictures: Path, tmp_path: Path) -> None:
    for path in pictures.iterdir():
        image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        image = image[: image.shape[0] // 3 * 3, : image.shape[1] // 3 * 3]
        small = cv2.resize(image, (image.shape[1] // 3, image.shape[0] // 3), interpolation=cv2.INTER_AREA)
        cv2.imwrite(str(tmp_path / path.name), small)
    given = evaluate(["bicubic"], [pictures], lr=[tmp_path])
    assert given.scale == 3
    assert given.sets[0].lr == "given"
    assert evaluate(["espcn-x4"], [pictures], crops=0).scale == 4


def test_a_clip_has_figures_between_frames_and_hr_its_own(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mp4", frames=4, width=96, height=72)
    seen: list[Event] = []
    result = evaluate(
        ["espcn"],
        [clip],
        scale=2,
        frames_limit=3,
        metrics=["psnr_y", "temporal_error", "warping_error"],
        report=seen.append,
    )
    found = result.sets[0]
    assert (found.frames, found.has_video) == (3, True)
    assert found.hr_warping_error is not None
    frames = found.models[1].clips[0].frames
    assert ["temporal_error" in frame for frame in frames] == [False, True, True]
    rms = np.sqrt(np.mean([frame["temporal_error"] ** 2 for frame in frames[1:]]))
    assert found.models[1].figures["temporal_error"] == pytest.approx(rms)
    assert [event.done for event in seen if isinstance(event, Worked)] == [0, 1]


@pytest.mark.skipif(not has_vmaf(), reason="no ffmpeg program with libvmaf")
def test_vmaf_is_measured_on_every_frame_of_a_clip(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mp4", frames=3, width=96, height=72)
    result = evaluate(["nearest"], [clip], scale=2, metrics=["vmaf"])
    bicubic, nearest = (model.clips[0] for model in result.sets[0].models)
    assert all(0 <= frame["vmaf"] <= 100 for clip in (bicubic, nearest) for frame in clip.frames)
    assert bicubic.figures["vmaf"] != nearest.figures["vmaf"]


def test_crops_are_cut_from_the_same_place_of_every_result(pictures: Path) -> None:
    result = evaluate(["espcn"], [pictures], scale=2, crops=1)
    (cutout,) = result.sets[0].cutouts
    assert list(cutout.pictures) == ["HR", "bicubic", "espcn"]
    image = cv2.imread(str(pictures / cutout.clip), cv2.IMREAD_UNCHANGED)
    hr = cv2.imdecode(np.frombuffer(cutout.pictures["HR"], np.uint8), cv2.IMREAD_UNCHANGED)
    rows, columns = (slice(start, start + cutout.side) for start in (cutout.top, cutout.left))
    assert np.array_equal(hr, image[rows, columns])


def test_scores_are_what_a_card_keeps(pictures: Path) -> None:
    result = evaluate(["espcn"], [pictures], scale=2, crops=0)
    (score,) = scores(result, "espcn")
    assert (score.test_set, score.metric) == (pictures.name, "psnr_y")
    assert score.value == round(result.figure(pictures.name, "espcn", "psnr_y"), 3)
    assert score.bicubic == round(result.figure(pictures.name, "bicubic", "psnr_y"), 3)


def test_a_mean_leaves_out_what_was_not_measured_and_keeps_an_rms_one() -> None:
    frames = [{"psnr_y": 30.0}, {"psnr_y": 34.0, "temporal_error": 3.0}, {"psnr_y": 32.0, "temporal_error": 4.0}]
    assert mean_figures(frames, is_over_frames=True) == pytest.approx({"psnr_y": 32.0, "temporal_error": (12.5) ** 0.5})
    assert mean_figures(frames, is_over_frames=False)["temporal_error"] == 3.5


def test_what_cannot_be_compared_is_refused_before_any_work(pictures: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no test set"):
        evaluate(["espcn"], [])
    with pytest.raises(UsageError, match="1 LR folders for 2 test sets"):
        evaluate(["espcn"], [pictures, pictures], lr=[tmp_path])
    with pytest.raises(UnknownModel, match="espcm"):
        evaluate(["espcm"], [pictures], scale=2)
    with pytest.raises(IncompatibleModel, match="4 times larger, not 3"):
        evaluate(["espcn:x2x2"], [pictures], scale=3)


def test_files_of_other_projects_stand_beside_ours(pictures: Path, tmp_path: Path) -> None:
    """An OpenCV graph that is bicubic scores as bicubic; an ESRGAN checkpoint has its row."""
    framed = tmp_path / "framed"
    framed.mkdir()
    image = cv2.imread(str(pictures / "0.png"))
    # Black around it: the graph pads with zeros where bicubic mirrors.
    cv2.imwrite(str(framed / "0.png"), cv2.copyMakeBorder(image, 16, 18, 16, 18, cv2.BORDER_CONSTANT))
    weight = phase_kernel(4, BICUBIC).astype(np.float32)[:, None]
    (tmp_path / "ESPCN_x4.pb").write_bytes(graphdef.espcn([(weight, np.zeros(16, np.float32))], 4))
    torch.manual_seed(0)
    torch.save(ESRGAN(num_filters=8, num_blocks=1, scale=4).state_dict(), tmp_path / "rrdb.pth")
    files = [str(tmp_path / name) for name in ("ESPCN_x4.pb", "rrdb.pth")]
    result = evaluate([*files, "espcn"], [framed], crops=0)
    labels = [model.label for model in result.sets[0].models]
    assert (result.scale, labels) == (4, ["bicubic", "ESPCN_x4.pb", "rrdb.pth", "espcn"])
    for name in ("psnr_y", "psnr_rgb", "ssim_y"):
        # Black is 16 in luma, 0 to the graph: only rounding differs.
        assert result.figure("framed", "ESPCN_x4.pb", name) == pytest.approx(
            result.figure("framed", "bicubic", name), abs=0.02
        )
    assert result.figure("framed", "rrdb.pth", "psnr_rgb") > 3


def test_a_window_repeats_a_picture_and_slides_over_a_clip(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = MeanEngine(frames=3, domain="y")
    monkeypatch.setattr(registry, "open_engine", lambda *_, **__: engine)
    contestant = Contestant(label="mean", reference="mean", steps=(1,), card=engine.card)
    levels = [np.full((40, 40), level, np.uint8) for level in (40, 70, 100, 220)]

    def run(frames: list[np.ndarray], shots: list[bool]) -> list[float]:
        planes = tuple(frames)
        footage = Footage(
            name="x", hr=planes, lr=planes, lr_luma=planes, opens_shot=tuple(shots), is_video=len(frames) > 1
        )
        return [float(each.y.mean()) for each in Runner(contestant=contestant).restore(footage)]

    assert run(levels[:1], [True]) == [40]
    # Ends repeat, and the fourth frame opens a shot of its own.
    assert run(levels, [True, False, False, True]) == [50, 70, 90, 220]
