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
    assert [path.stem for path in TRAINED] == [path.stem for path in WEIGHTS]


def test_a_card_without_parameters_promises_no_weights() -> None:
    assert [path.stem for path in CARDS if path not in TRAINED and read_card(path).digest] == []


def test_the_promised_models_are_shipped() -> None:
    assert {path.stem for path in CARDS} >= {"espcn-x2", "espcn-x3", "espcn-x4"}


@pytest.mark.parametrize("path", TRAINED, ids=lambda path: path.stem)
def test_a_card_tells_the_digest_the_licence_the_training_and_the_scores_of_its_weights(path: Path) -> None:
    card = read_card(path)
    assert card.id == path.stem
    assert card.digest == hashlib.sha256(path.with_suffix(".safetensors").read_bytes()).hexdigest()
    assert card.licence and card.training and card.description
    assert all(score.value > score.bicubic for score in card.scores) and card.scores


@pytest.mark.parametrize("path", CARDS, ids=lambda path: path.stem)
def test_a_card_written_and_read_again_is_the_same_card(path: Path, tmp_path: Path) -> None:
    card = read_card(path)
    again = tmp_path / path.name
    again.write_text(dump(card), encoding="utf-8")
    assert read_card(again) == card
