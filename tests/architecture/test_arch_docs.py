"""The documentation of the command line is the command line."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

import click
import pytest

from tests.architecture.sources import ROOT
from vsr.cli import HIDDEN, VERBS, vsr
from vsr.commands.reference import reference

DOCS = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")


def _all(group: click.Group, path: str) -> Iterator[tuple[str, click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        yield f"{path} {name}", command
        if isinstance(command, click.Group):
            yield from _all(command, f"{path} {name}")


COMMANDS = dict(_all(vsr, "vsr"))


def test_the_documentation_is_generated_from_the_commands() -> None:
    assert reference(vsr) == DOCS, "run `make docs`"


@pytest.mark.parametrize("path", COMMANDS)
def test_every_command_has_help_and_stands_in_the_documentation(path: str) -> None:
    assert COMMANDS[path].help
    assert f"# {path}\n" in DOCS


@pytest.mark.parametrize("path", COMMANDS)
def test_every_option_has_help(path: str) -> None:
    assert [param.name for param in COMMANDS[path].params if isinstance(param, click.Option) and not param.help] == []


def test_every_verb_has_a_file_of_its_own_and_a_line_of_help() -> None:
    for verb, line in VERBS.items():
        assert (ROOT / "vsr" / "commands" / f"{verb}.py").is_file()
        assert line.endswith(".") and len(line) <= 72
    assert set(VERBS) >= HIDDEN


@pytest.mark.parametrize("path", [path for path in COMMANDS if path.count(" ") == 1])
def test_every_verb_shows_an_example(path: str) -> None:
    assert f"\b\n{path}" in inspect.cleandoc(COMMANDS[path].help or "")
