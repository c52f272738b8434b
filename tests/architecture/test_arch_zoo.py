"""Cards and weights lie side by side and belong together."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from tests.architecture.sources import PACKAGE
from vsr.engines.cards import dump, read_card

ZOO = PACKAGE / "engines" / "zoo"
CARDS = sorted(ZOO.glob("*.toml"))
TRAINED = [path for path in CARDS if read_card(path).parameters]
WEIGHTS = sorted(ZOO.glob("*.safetensors"))


def test_every_card_with_parameters_has_its_weights_and_all_weights_their_card() -> None:
    named = {read_card(path).weights or path.stem for path in TRAINED}
    assert sorted(named) == [path.stem for path in WEIGHTS]


def test_a_card_without_parameters_promises_no_weights() -> None:
    assert [path.stem for path in CARDS if path not in TRAINED and read_card(path).digest] == []


def test_the_promised_models_are_shipped() -> None:
    promised = {f"{family}-x{scale}" for family in ("espcn", "espcn-mf", "compact", "compact-mf") for scale in (2, 4)}
    promised |= {"sr3-x4", "espcn-x3", "srresnet-x4", "srgan-perceptual-x4", "srgan-per-pix-x4"}
    assert {path.stem for path in CARDS} >= promised


def test_a_clone_stays_light() -> None:
    """28 MB in all, of which 17 are for the diffusion models."""
    diffusion = {read_card(path).weights for path in TRAINED if read_card(path).arch == "sr3"}
    sizes = {path.stem: path.stat().st_size for path in WEIGHTS}
    assert sum(sizes[name] for name in diffusion) < 17e6
    assert sum(size for name, size in sizes.items() if name not in diffusion) < 11e6


@pytest.mark.parametrize("path", TRAINED, ids=lambda path: path.stem)
def test_a_card_tells_the_digest_the_licence_the_training_and_the_scores_of_its_weights(path: Path) -> None:
    card = read_card(path)
    assert card.id == path.stem
    assert card.digest == hashlib.sha256((ZOO / f"{card.weights or card.id}.safetensors").read_bytes()).hexdigest()
    assert card.licence and card.training and card.description
    assert card.scores


@pytest.mark.parametrize("path", TRAINED, ids=lambda path: path.stem)
def test_no_weights_are_shipped_that_are_not_worth_it(path: Path) -> None:
    """1.5 dB above bicubic on Set5 at x4, 2.5 dB at x2; adversarial ones win in detail and in perceptual distance."""
    card = read_card(path)
    scores = {(score.test_set, score.metric): score for score in card.scores}
    if card.family.startswith("srgan"):
        for name in ("set5", "set14"):
            detail, distance = scores[name, "detail"], scores[name, "selffeat"]
            assert detail.bicubic < detail.value <= 1.1
            assert distance.value < distance.bicubic
        return
    gain = scores["set5", "psnr_y"].value - scores["set5", "psnr_y"].bicubic
    assert gain >= {2: 2.5, 3: 2.0, 4: 1.5}[card.scale or 0]


def test_sr3_is_worth_its_steps_on_pictures_and_its_neighbours_on_video() -> None:
    scores = {score.test_set: score for score in read_card(ZOO / "sr3-x4.toml").scores}
    assert scores["set5"].value - scores["set5"].bicubic >= 1.8
    assert scores["val"].value - scores["val"].bicubic >= 1.0


@pytest.mark.parametrize("path", CARDS, ids=lambda path: path.stem)
def test_a_card_written_and_read_again_is_the_same_card(path: Path, tmp_path: Path) -> None:
    card = read_card(path)
    again = tmp_path / path.name
    again.write_text(dump(card), encoding="utf-8")
    assert read_card(again) == card
