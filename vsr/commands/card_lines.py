"""A model's card in words, for `vsr models list`, `info` and `import`."""

from __future__ import annotations

from vsr.core.card import ModelCard, Score


def facts(card: ModelCard) -> list[tuple[str, str]]:
    """Give what is known of a model as names and values."""
    found = [
        ("description", card.description),
        ("family", card.family),
        ("arch", card.arch),
        ("scale", scale(card)),
        ("input", domain(card)),
        ("frames", f"{card.frames} in a window"),
        ("parameters", f"{card.parameters:,}"),
        ("precisions", ", ".join(card.dtypes)),
        ("tiling", f"{card.tiling}, halo {card.halo} pixels" if card.tiling != "never" else card.tiling),
        ("smallest input", f"{card.minimum} pixels, in steps of {card.divisor}"),
        ("licence", card.licence),
        ("training", card.training),
        ("digest", card.digest),
    ]
    found += [(score.test_set, score_line(score)) for score in card.scores]
    return [(name, value) for name, value in found if value]


def scale(card: ModelCard) -> str:
    """Give the scale as people write it: x2, or any."""
    return f"x{card.scale}" if card.scale is not None else "any"


def domain(card: ModelCard) -> str:
    """Give what the model takes: luma or colour."""
    return "luma" if card.domain == "y" else "colour"


def score_line(score: Score) -> str:
    """Give a figure with bicubic's in brackets, and the test set."""
    if score.metric == "psnr_y":
        return f"{score.value:.2f} dB ({score.bicubic:.2f}) {score.test_set}"
    return f"{score.metric} {score.value:.4f} ({score.bicubic:.4f}) {score.test_set}"
