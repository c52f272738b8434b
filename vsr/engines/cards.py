"""Model cards as TOML files: read with every field checked, written so that reading gives the same card.

Torch-free, so that listing models is quick.
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, cast, get_args

from vsr.core.card import Alignment, ModelCard, Precision, Score, Tiling
from vsr.core.errors import ModelError
from vsr.core.frame import Domain

_WORDS: Mapping[str, tuple[str, ...]] = {
    "domain": get_args(Domain),
    "alignment": get_args(Alignment),
    "tiling": get_args(Tiling),
}
_STRINGS = ("id", "family", "arch", "digest", "weights", "licence", "training", "description")
_NUMBERS = {"scale": 1, "frames": 1, "divisor": 1, "minimum": 1, "halo": 0, "parameters": 0}  # and their least value
_KEYS = tuple(field.name for field in dataclasses.fields(ModelCard))
_REQUIRED = ("id", "family", "arch", "domain")


def read_card(path: Path) -> ModelCard:
    """Read a card. A file without `scale` is a card of any scale.

    Raises:
        ModelError: not there, not TOML, a key that is unknown (with close matches) or missing, a wrong value.
    """
    try:
        return _parsed(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ModelError(f"cannot read model card {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ModelError(f"model card {path} is not valid TOML: {error}") from error
    except ValueError as error:
        raise ModelError(f"model card {path}: {error}", hint="Mend the card, or remove it.") from error


@functools.lru_cache(maxsize=256)  # every file of a folder asks for all of them
def _parsed(text: str) -> ModelCard:
    return _card(tomllib.loads(text))


def dump(card: ModelCard) -> str:
    """Give the card as TOML; fields at their defaults are left out."""
    lines = []
    for field in dataclasses.fields(ModelCard):
        value = getattr(card, field.name)
        if field.name == "scores" or value is None or (value == field.default and field.name not in _REQUIRED):
            continue
        lines.append(f"{field.name} = {_toml(value)}")
    for score in card.scores:
        lines.append("\n[[scores]]")
        lines += [f"{field.name} = {_toml(getattr(score, field.name))}" for field in dataclasses.fields(Score)]
    return "\n".join(lines) + "\n"


def to_json(card: ModelCard) -> str:
    """Give the card as one line of JSON: what travels inside exported files."""
    return json.dumps({key: value for key, value in dataclasses.asdict(card).items() if value is not None})


def from_json(text: str) -> ModelCard:
    """Give the card that `to_json` wrote. It may come from anywhere: what a terminal would obey becomes a space.

    Raises:
        ModelError: not such a line.
    """
    try:
        table = _printable(json.loads(text))
        if not isinstance(table, dict):
            raise ValueError("not a table")
        return _card(table)
    except ValueError as error:  # JSON's own is one
        raise ModelError(f"not a model card: {error}") from error


def _printable(value: object) -> object:
    if isinstance(value, str):
        return "".join(sign if sign.isprintable() else " " for sign in value)
    if isinstance(value, list):
        return [_printable(item) for item in value]
    if isinstance(value, dict):
        return {key: _printable(item) for key, item in value.items()}
    return value


def _card(table: Mapping[str, object]) -> ModelCard:
    for key in table:
        if key not in _KEYS:
            close = difflib.get_close_matches(key, _KEYS, n=1)
            raise ValueError(f"unknown key {key!r}" + (f"; did you mean {close[0]!r}?" if close else ""))
    missing = [key for key in _REQUIRED if key not in table]
    if missing:
        raise ValueError(f"missing {', '.join(missing)}")
    text = {key: _string(table, key) for key in _STRINGS if key in table}
    numbers = {key: _number(table, key, least) for key, least in _NUMBERS.items() if key in table}
    words = {key: _word(table[key], key, allowed) for key, allowed in _WORDS.items() if key in table}
    return ModelCard(
        id=text["id"],
        family=text["family"],
        arch=text["arch"],
        scale=numbers.get("scale"),
        domain=cast(Domain, words["domain"]),
        frames=numbers.get("frames", 1),
        alignment=cast(Alignment, words.get("alignment", "none")),
        divisor=numbers.get("divisor", 1),
        minimum=numbers.get("minimum", 1),
        halo=numbers.get("halo", 0),
        tiling=cast(Tiling, words.get("tiling", "exact")),
        dtypes=_dtypes(table.get("dtypes", ["fp32"])),
        parameters=numbers.get("parameters", 0),
        digest=text.get("digest", ""),
        weights=text.get("weights", ""),
        usual=_truth(table.get("usual", False), "usual"),
        licence=text.get("licence", ""),
        training=text.get("training", ""),
        description=text.get("description", ""),
        scores=_scores(table.get("scores", [])),
    )


def _string(table: Mapping[str, object], key: str) -> str:
    value = table[key]
    if not isinstance(value, str):
        raise ValueError(f"{key} must be a string, got {value!r}")
    if key == "digest" and value and (len(value) != 64 or set(value) - set("0123456789abcdef")):
        raise ValueError(f"digest must be a sha256 in 64 hex digits, got {value!r}")
    return value


def _number(table: Mapping[str, object], key: str, least: int) -> int:
    value = table[key]
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ValueError(f"{key} must be an integer of at least {least}, got {value!r}")
    return value


def _truth(value: object, key: str) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"{key} must be true or false, got {value!r}")
    return value


def _word(value: object, key: str, allowed: tuple[str, ...]) -> str:
    if not isinstance(value, str) or value not in allowed:
        raise ValueError(f"{key} must be one of {', '.join(allowed)}, got {value!r}")
    return value


def _dtypes(value: object) -> tuple[Precision, ...]:
    if not isinstance(value, list):
        raise ValueError(f"dtypes must be a list, got {value!r}")
    names = tuple(_word(item, "dtypes", get_args(Precision)) for item in value)
    if "fp32" not in names:
        raise ValueError("dtypes must contain fp32")
    return cast(tuple[Precision, ...], names)


def _scores(value: object) -> tuple[Score, ...]:
    if not isinstance(value, list):
        raise ValueError(f"scores must be a list of tables, got {value!r}")
    return tuple(_score(item) for item in value)


def _score(item: object) -> Score:
    names = {field.name for field in dataclasses.fields(Score)}
    if not isinstance(item, dict) or set(item) != names:
        raise ValueError(f"a score has exactly {', '.join(sorted(names))}, got {item!r}")
    return Score(
        test_set=_string(item, "test_set"),
        metric=_string(item, "metric"),
        value=_decibels(item, "value"),
        bicubic=_decibels(item, "bicubic"),
    )


def _decibels(item: Mapping[str, object], key: Literal["value", "bicubic"]) -> float:
    value = item[key]
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise ValueError(f"score: {key} must be a number, got {value!r}")
    return float(value)


def _toml(value: object) -> str:
    """Give a TOML value. JSON's escapes are TOML's, but for the delete character, which TOML wants escaped too."""
    if isinstance(value, tuple):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return repr(value)
