from __future__ import annotations

import json
import shutil
import signal
from pathlib import Path

import pytest
import torch

from tests.pictures import draw_folder
from vsr.core.errors import (
    ChangedSinceStart,
    InputError,
    NonFiniteLoss,
    NotMedia,
    OutputError,
    OutputExists,
    SettingsError,
)
from vsr.core.events import Event, Noted, Warned, Worked
from vsr.engines import registry, weights
from vsr.training import checkpoint, state
from vsr.training.loop import train
from vsr.training.recipe import Recipe, find, read_recipe


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_folder(tmp_path_factory.mktemp("photos"), 6)


def recipe(*changes: str, name: str = "espcn") -> Recipe:
    small = [
        "data.crop=16",
        "data.batch=4",
        "run.validate=10",
        "run.pictures=2",
        "run.threads=1",
        "schedule.updates=20",
    ]
    return read_recipe(find(name), [*small, 'data.holdout=["*5"]', "run.precision=fp32", *changes])


def tensors(path: Path) -> dict[str, torch.Tensor]:
    return {key: value for key, value in weights.load(path).state.items() if isinstance(value, torch.Tensor)}


def test_a_run_leaves_weights_that_the_registry_opens(photos: Path, tmp_path: Path) -> None:
    events: list[Event] = []
    result = train(recipe(), [photos], tmp_path / "run", report=events.append)
    assert result.updates == 20
    engine = registry.open_engine(str(result.weights), scale=2)
    assert engine.card.arch == "espcn"
    engine.close()
    assert {"psnr_y", "ssim_y"} == set(result.figures) == set(result.bicubic)
    assert result.best.is_file()
    assert (tmp_path / "run" / "recipe.toml").is_file()
    assert any((tmp_path / "run" / "board").iterdir())
    assert any(isinstance(event, Worked) and event.done == 20 for event in events)
    assert any(isinstance(event, Noted) and "convolutions" in event.message for event in events)


def test_training_lowers_the_loss_and_beats_bicubic(photos: Path, tmp_path: Path) -> None:
    result = train(recipe("schedule.updates=400", "run.validate=400", "data.batch=8"), [photos], tmp_path / "run")
    assert result.figures["psnr_y"] > result.bicubic["psnr_y"] + 0.5


def test_a_resumed_run_ends_with_the_same_weights(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = train(recipe(), [photos], tmp_path / "whole")
    real = state.save

    def save_then_die(run: state.Run) -> None:
        real(run)
        if run.update == 10:  # validated at this very update
            raise KeyboardInterrupt

    monkeypatch.setattr("vsr.training.loop.save", save_then_die)
    with pytest.raises(KeyboardInterrupt):
        train(recipe("run.save_s=0"), [photos], tmp_path / "parts")
    monkeypatch.setattr("vsr.training.loop.save", real)
    parts = train(recipe("run.save_s=0"), [photos], tmp_path / "parts", resume=True)
    first, second = tensors(whole.weights), tensors(parts.weights)
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert weights.load(whole.best).digest == weights.load(parts.best).digest
    logs = [(tmp_path / name / "log.jsonl").read_text() for name in ("whole", "parts")]
    assert logs[0] == logs[1]


def test_measuring_moves_no_weights(photos: Path, tmp_path: Path) -> None:
    """The length from the rate, and the length given: the same updates give the same weights."""
    timed = train(recipe("schedule.updates=0", "schedule.minutes=0.0001"), [photos], tmp_path / "timed")
    assert timed.updates == 20  # as many as are measured, at least
    given = train(recipe(), [photos], tmp_path / "given")
    first, second = tensors(timed.weights), tensors(given.weights)
    assert all(torch.equal(first[key], second[key]) for key in first)


def test_a_run_is_not_overwritten_by_mistake(photos: Path, tmp_path: Path) -> None:
    train(recipe(), [photos], tmp_path)
    with pytest.raises(OutputExists, match="holds a training run"):
        train(recipe(), [photos], tmp_path)
    with pytest.raises(NotMedia):
        train(recipe("data.crop=500"), [photos], tmp_path, restart=True)
    assert (tmp_path / "checkpoint.pt").exists()  # what cannot begin takes nothing away
    assert train(recipe("run.seed=3"), [photos], tmp_path, restart=True).updates == 20
    assert (tmp_path / "log.jsonl").read_text().count("bicubic/psnr_y") == 1


def test_resuming_with_another_recipe_is_refused_by_key(photos: Path, tmp_path: Path) -> None:
    train(recipe(), [photos], tmp_path)
    with pytest.raises(ChangedSinceStart, match=r"schedule\.rate: 0\.001 -> 0\.01"):
        train(recipe("schedule.rate=0.01"), [photos], tmp_path, resume=True)
    assert train(recipe("schedule.updates=25"), [photos], tmp_path, resume=True).updates == 25


def test_resuming_with_another_picture_of_the_same_name_is_refused(photos: Path, tmp_path: Path) -> None:
    mine = tmp_path / "photos"
    shutil.copytree(photos, mine)
    train(recipe("schedule.updates=1"), [mine], tmp_path / "run")
    shutil.copy(mine / "picture-01.png", mine / "picture-00.png")
    with pytest.raises(ChangedSinceStart, match="not the same"):
        train(recipe("schedule.updates=2"), [mine], tmp_path / "run", resume=True)


def test_other_minutes_on_resuming_set_the_length_anew(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    timed = train(recipe("schedule.updates=0", "schedule.minutes=0.0001"), [photos], tmp_path)
    lengths: list[int] = []
    monkeypatch.setattr("vsr.training.loop._loop", lambda run, board, report: lengths.append(run.updates))
    for minutes in ("0.0001", "1"):
        train(recipe("schedule.updates=0", f"schedule.minutes={minutes}"), [photos], tmp_path, resume=True)
    assert lengths == [20, round(60 * 20 / timed.seconds)]


def test_an_interrupt_leaves_a_checkpoint_of_the_last_update(photos: Path, tmp_path: Path) -> None:
    def interrupt(event: Event) -> None:
        if isinstance(event, Worked) and event.unit == "updates" and event.done == 10:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        train(recipe("run.save_s=1000"), [photos], tmp_path, report=interrupt)
    assert checkpoint.load(tmp_path / "checkpoint.pt")["update"] == 10


def test_a_loss_that_is_not_finite_stops_with_the_batch_kept(photos: Path, tmp_path: Path) -> None:
    changes = ["schedule.rate=1.0", "schedule.clip=1e6", "schedule.warm_up=0", "schedule.updates=400"]
    with pytest.raises(NonFiniteLoss, match=r"non-finite-batch\.safetensors"):
        train(recipe(*changes, "loss.weights.mse=1e38"), [photos], tmp_path)
    kept = weights.load(tmp_path / "non-finite-batch.safetensors")
    assert kept.state["frames"].shape == (4, 1, 1, 16, 16)  # type: ignore[attr-defined]
    assert json.loads(kept.header["update"]) >= 0


def test_a_network_of_several_frames_starts_as_the_single_one(photos: Path, tmp_path: Path) -> None:
    single = train(recipe(), [photos], tmp_path / "single")
    changes = [f"net.init={json.dumps(str(single.weights))}", "schedule.updates=1", "schedule.rate=1e-9"]
    several = train(recipe(*changes, name="espcn-mf"), [photos], tmp_path / "several")
    assert several.card is not None
    assert (several.card.frames, several.card.alignment) == (3, "grid")
    first, second = tensors(single.weights), tensors(several.weights)
    assert all(torch.equal(first[key], second[key]) for key in first)  # frozen
    with pytest.raises(SettingsError, match="nothing to train"):
        train(recipe(*changes, "net.freeze=true"), [photos], tmp_path / "frozen")


def test_training_in_bfloat16_learns_too(photos: Path, tmp_path: Path) -> None:
    changes = ["run.precision=bf16", "schedule.updates=200", "run.validate=200"]
    result = train(recipe(*changes), [photos], tmp_path)
    assert result.figures["psnr_y"] > result.bicubic["psnr_y"] + 0.1


def test_nothing_to_train_on_is_said(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(NotMedia, match="nothing to train on"):
        train(recipe(), [tmp_path / "empty"], tmp_path / "run")
    assert not (tmp_path / "run").exists()
    with pytest.raises(InputError, match="missing"):
        train(recipe(), [tmp_path / "missing"], tmp_path / "run")


def test_a_file_is_no_folder_for_a_run(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "run").write_text("in the way")
    with pytest.raises(OutputError, match="is a file, not a folder"):
        train(recipe(), [photos], tmp_path / "run")


def test_pictures_that_cannot_be_read_are_named_and_left_out(tmp_path: Path) -> None:
    folder = draw_folder(tmp_path / "photos", 3)
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n nothing")
    draw_folder(folder / "tiny", 2, height=12, width=12)
    events: list[Event] = []
    train(recipe("schedule.updates=1", 'data.holdout=["*00"]'), [folder], tmp_path / "run", report=events.append)
    said = " ".join(event.message for event in events if isinstance(event, Warned))
    assert "broken.png" in said
    assert "tiny" in said
    assert "2 of 4 files left out" in said


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        (["net.arch=vgg"], SettingsError),
        (["loss.kind=ms"], SettingsError),
        (["net.features=12"], SettingsError),
        (["schedule.updates=0"], SettingsError),
        (["data.crop=500"], NotMedia),
    ],
)
def test_what_cannot_be_trained_is_refused(
    changes: list[str], error: type[Exception], photos: Path, tmp_path: Path
) -> None:
    with pytest.raises(error):
        train(recipe(*changes), [photos], tmp_path)
