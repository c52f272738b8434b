"""Flags generated from the fields of `core/settings.py`: declared once, they are flag, TOML key and documentation."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import TypeVar

import click

from vsr.core.errors import UsageError
from vsr.core.settings import BLOCKS, SettingField, fields

Callback = TypeVar("Callback", bound=Callable[..., None])

TITLES = {"engine": "Model and machine", "temporal": "Time", "diffusion": "Diffusion", "encode": "Output", "run": "Run"}


def settings_flags(blocks: Collection[str] = tuple(BLOCKS)) -> Callable[[Callback], Callback]:
    """Give a decorator that adds the flags of these blocks, in the order of `core/settings.py`."""

    def add(callback: Callback) -> Callback:
        for item in reversed([item for item in fields() if item.block in blocks]):
            callback = click.option(*_names(item), type=_type(item), default=None, help=help_of(item))(callback)
        return callback

    return add


def given(flags: Mapping[str, object]) -> dict[str, object]:
    """Give only what the user typed."""
    return {name: value for name, value in flags.items() if value is not None}


def json_flag(what: str) -> Callable[[Callback], Callback]:
    """Give a decorator that adds `--json`."""
    return click.option("--json", "as_json", is_flag=True, help=f"Print {what} as JSON, one object a line.")


def volume_flags(callback: Callback) -> Callback:
    """Add -q and -v."""
    callback = click.option("-v", "--verbose", count=True, help="Log more; -vv logs everything.")(callback)
    return click.option("-q", "--quiet", is_flag=True, help="Print nothing but errors.")(callback)


def help_of(item: SettingField) -> str:
    """Give a setting's help, its default told where the text does not tell it already."""
    if item.default is None:
        return item.help
    default = {True: "on", False: "off"}[item.default] if isinstance(item.default, bool) else item.default
    text = item.help.removesuffix(".")
    return f"{text[:-1]}; default: {default})." if text.endswith(")") else f"{text} (default: {default})."


def flag_of(item: SettingField) -> str:
    """Give the long flag: `encoder_preset` is `--encoder-preset`."""
    return "--" + item.name.replace("_", "-")


class HerePath(click.Path):
    """A path on this machine: a URL is refused by name, before its two slashes become one."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(
        self, value: str | os.PathLike[str], param: click.Parameter | None, ctx: click.Context | None
    ) -> str | bytes | os.PathLike[str]:
        from vsr.io.remote import is_url

        if is_url(text := os.fspath(value)):
            raise UsageError(
                f"{text} is a URL, and this command reads files of this machine",
                hint="Fetch it first; upscale and batch take URLs.",
            )
        return super().convert(value, param, ctx)


class SettingsCommand(click.Command):
    """A command whose help lists the generated flags block by block, its own options first."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for title, params in sections(self.get_params(ctx)):
            rows = [row for param in params if (row := param.get_help_record(ctx)) is not None]
            with formatter.section(title):
                formatter.write_dl(rows)


def sections(params: Iterable[click.Parameter]) -> list[tuple[str, list[click.Option]]]:
    """Give options under the titles of their blocks; what is no setting comes first, under `Options`."""
    block_of = {item.name: item.block for item in fields()}
    found: dict[str, list[click.Option]] = {block: [] for block in ("", *BLOCKS)}
    for param in params:
        if isinstance(param, click.Option) and not param.hidden:
            found[block_of.get(param.name or "", "")].append(param)
    return [(TITLES.get(block, "Options"), options) for block, options in found.items() if options]


def _names(item: SettingField) -> list[str]:
    long = flag_of(item)
    name = f"{long}/--no-{long[2:]}" if item.kind is bool else long
    return [*([item.flag] if item.flag else []), name, item.name]


def _type(item: SettingField) -> _Checked | click.Choice[str] | None:
    if item.kind is bool:
        return None
    return click.Choice(item.choices) if item.choices else _Checked(item)


class _Checked(click.ParamType):  # type: ignore[type-arg]  # generic only since click 8.4
    """Text -> the field's type, within the field's bounds."""

    def __init__(self, item: SettingField) -> None:
        self.name = item.metavar or {int: "N", float: "X", str: "TEXT"}[item.kind]
        self._item = item

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        return self.name

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> object:
        if not isinstance(value, str):
            return value
        item = self._item
        try:
            typed: object = item.kind(value)
        except ValueError:
            kind = "whole number" if item.kind is int else "number"
            self.fail(f"{value!r} is no {kind}.", param, ctx)
        return item.check(typed)
