"""Measure the shipped weights again, and hold the figures against those in their cards.

    python recipes/score.py TESTSETS [CLIPS]            # prints card, measured, difference; fails where they differ
    python recipes/score.py TESTSETS [CLIPS] --write    # and puts the figures into the cards

The folders hold one for each test set that the cards name: pictures (`set5`, `set14`, `bsd100`), or clips (`val`). The
protocol is `vsr.evaluation.protocol`'s; engines run in float32, bicubic beside them. A card's scores are measured
again by the same names; a card without any gets those that `usual` names.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from vsr.core.card import ModelCard, Score
from vsr.engines import registry, weights
from vsr.engines.cards import dump
from vsr.evaluation.compare import evaluate
from vsr.evaluation.results import scores

PICTURES, CLIPS = ("set5", "set14", "bsd100"), ("val",)
TOLERANCE = 2e-3  # the cards keep three digits; kernels chosen by another processor move the third


def usual(card: ModelCard) -> dict[str, list[str]]:
    """Give the test sets and metrics that a new card gets: what its model is for."""
    if card.family.startswith("srgan"):
        return {name: ["psnr_y", "ssim_y", "detail", "selffeat"] for name in PICTURES[:2]}
    if card.frames > 1 or card.family == "compact":
        return {name: ["psnr_y"] for name in (*PICTURES, *CLIPS)}
    return {name: ["psnr_y"] for name in PICTURES}


def measured(card: ModelCard, folders: list[Path]) -> list[Score]:
    """Give the card's scores anew, for the test sets that are there."""
    named: dict[str, list[str]] = {}
    for score in card.scores:
        named.setdefault(score.test_set, []).append(score.metric)
    found: list[Score] = []
    for name, metrics in (named or usual(card)).items():
        testset = next((folder / name for folder in folders if (folder / name).exists()), None)
        if testset is None:
            print(f"{card.id:<20}{name:<10}is in none of the folders: not measured", flush=True)
            continue
        result = evaluate([card.id], [testset], scale=card.scale, metrics=metrics, crops=0, frames_limit=None)
        found += scores(result, result.sets[0].models[1].label, metrics)
    return found


def show(card: ModelCard, score: Score) -> bool:
    """Print one score beside the card's, and tell whether they agree (a new one does)."""
    old = next((s for s in card.scores if (s.test_set, s.metric) == (score.test_set, score.metric)), None)
    line = f"{card.id:<20}{score.test_set:<10}{score.metric:<10}{score.value:>9.3f}{score.bicubic:>9.3f}"
    if old is None:
        print(f"{line}      new", flush=True)
        return True
    apart = max(abs(score.value - old.value), abs(score.bicubic - old.bicubic))
    print(f"{line}{score.value - old.value:>+9.3f}{'' if apart <= TOLERANCE else '  DIFFERS'}", flush=True)
    return apart <= TOLERANCE


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("testsets", type=Path, nargs="+")
    parser.add_argument("--model", help="a family or an id (default: every shipped model with weights)")
    parser.add_argument("--write", action="store_true", help="put the figures into the shipped cards")
    args = parser.parse_args()
    cards = [card for card in registry.models() if card.digest]
    if args.model:
        cards = [card for card in cards if args.model in (card.id, card.family)]
    print("model               test set  metric     measured  bicubic    -card")
    agree = True
    for card in cards:
        found = measured(card, args.testsets)
        for score in found:
            agree = show(card, score) and agree
        if args.write and found:
            missing = [s for s in card.scores if s.test_set not in {score.test_set for score in found}]
            scored = replace(card, scores=(*found, *missing))
            (weights.shipped_folder() / f"{card.id}.toml").write_text(dump(scored), encoding="utf-8")
    return 0 if agree else 1


if __name__ == "__main__":
    sys.exit(main())
