"""`vsr presets`: what can be put after --preset."""

from __future__ import annotations

import click

from vsr.commands.lines import json_line
from vsr.commands.options import json_flag
from vsr.core.presets import find, shipped


@click.group("presets")
def command() -> None:
    """List the presets, or show one.

    A preset is a TOML file of settings; flags beat it. To make your own, start from a shipped one:

    \b
    vsr presets show quality > mine.toml
    vsr upscale holiday.mp4 --preset mine.toml
    """


@command.command("list")
@json_flag("each preset")
def list_(as_json: bool) -> None:
    """List the shipped presets."""
    from vsr.commands.tables import show_table

    if as_json:
        for preset in shipped():
            click.echo(json_line(preset))
        return
    show_table(("preset", "for whom"), [(preset.name, preset.description) for preset in shipped()])


@command.command("show")
@click.argument("name")
@json_flag("the preset")
def show(name: str, as_json: bool) -> None:
    """Print the preset NAME, comments and all."""
    preset = find(name)
    click.echo(json_line(preset) if as_json else preset.path.read_text(encoding="utf-8"), nl=as_json)
