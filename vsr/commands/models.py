"""`vsr models`: what can be put after --model; export and import stand in `models_exchange.py`."""

from __future__ import annotations

import click

from vsr.commands.card_lines import domain, facts, scale, score_line
from vsr.commands.lines import json_line
from vsr.commands.models_exchange import export, import_
from vsr.commands.options import json_flag
from vsr.core.card import ModelCard


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
        scale(card),
        domain(card),
        str(card.frames),
        f"{card.parameters:,}" if card.parameters else "none",
        score_line(best) if best else "",
        card.description,
    )
