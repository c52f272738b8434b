"""`vsr models`: what can be put after --model; export and import stand in `models_exchange.py`."""

from __future__ import annotations

import click

from vsr.commands.lines import json_line
from vsr.commands.models_exchange import export, import_
from vsr.commands.options import json_flag
from vsr.core.card import ModelCard, Score


@click.group("models")
def command() -> None:
    """List the models, tell everything about one, take them to other programs and from them.

    \b
    vsr models list
    vsr models info espcn-x2
    vsr models export espcn-x2 --format onnx
    """


command.add_command(export)
command.add_command(import_)


@command.command("list")
@json_flag("each model")
def list_(as_json: bool) -> None:
    """List the shipped models and your own."""
    from vsr.commands.tables import show_table
    from vsr.engines.registry import models

    if as_json:
        for card in models():
            click.echo(json_line(card))
        return
    headers = ("model", "scale", "input", "frames", "parameters", "quality (bicubic)", "description")
    show_table(headers, [_row(card) for card in models()])


@command.command("info")
@click.argument("name")
@json_flag("the card")
def info(name: str, as_json: bool) -> None:
    """Tell everything about NAME: what it does, how it was trained, how well it scores, its licence."""
    from vsr.commands.tables import show_facts
    from vsr.engines.registry import models

    for card in _named(name, models()):
        if as_json:
            click.echo(json_line(card))
        else:
            show_facts(card.id, facts(card))


def _named(name: str, cards: tuple[ModelCard, ...]) -> list[ModelCard]:
    """Give the card of this id, or all of this family.

    Raises:
        UnknownModel: there is none, with close matches.
    """
    from vsr.engines.registry import choose

    found = [card for card in cards if name == card.id] or [card for card in cards if name == card.family]
    return found or [choose(name, None, None).card]


def _row(card: ModelCard) -> tuple[str, ...]:
    best = card.scores[0] if card.scores else None
    return (
        card.id,
        _scale(card),
        _domain(card),
        str(card.frames),
        f"{card.parameters:,}" if card.parameters else "none",
        _score(best) if best else "",
        card.description,
    )


def facts(card: ModelCard) -> list[tuple[str, str]]:
    """Give what is known of a model as names and values."""
    found = [
        ("description", card.description),
        ("family", card.family),
        ("arch", card.arch),
        ("scale", _scale(card)),
        ("input", _domain(card)),
        ("frames", f"{card.frames} in a window"),
        ("parameters", f"{card.parameters:,}"),
        ("precisions", ", ".join(card.dtypes)),
        ("tiling", f"{card.tiling}, halo {card.halo} pixels" if card.tiling != "never" else card.tiling),
        ("smallest input", f"{card.minimum} pixels, in steps of {card.divisor}"),
        ("licence", card.licence),
        ("training", card.training),
        ("digest", card.digest),
    ]
    found += [(score.test_set, _score(score)) for score in card.scores]
    return [(name, value) for name, value in found if value]


def _scale(card: ModelCard) -> str:
    return f"x{card.scale}" if card.scale is not None else "any"


def _domain(card: ModelCard) -> str:
    return "luma" if card.domain == "y" else "colour"


def _score(score: Score) -> str:
    if score.metric == "psnr_y":
        return f"{score.value:.2f} dB ({score.bicubic:.2f}) {score.test_set}"
    return f"{score.metric} {score.value:.4f} ({score.bicubic:.4f}) {score.test_set}"
