"""How a contestant's sampling is written: `steps=4,noise=static,detail=0.5` -> `Sampling`, and words for its label.

Keys and bounds are those of `vsr upscale`'s own settings.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import cast

from vsr.core.errors import UsageError
from vsr.core.sampling import ColorFix, NoiseMode, Sampling
from vsr.core.settings import SettingField, fields

_WORDS: Mapping[str, Callable[[str], str]] = {
    "steps": lambda value: f"{value} step{'' if value == '1' else 's'}",
    "noise": str,
    "detail": lambda value: f"detail {value}",
    "consistency": lambda value: f"consistency {value}",
    "color_fix": lambda value: f"colour {value}",
    "frames": lambda value: f"N={value}",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What was asked for. frames: N of the window, None for the model's own. words: for the label, in order."""

    sampling: Sampling
    frames: int | None
    words: tuple[str, ...]

    @property
    def is_sampled(self) -> bool:
        """Whether anything but `frames` was asked for."""
        return len(self.words) > (self.frames is not None)


def read(text: str) -> Asked:
    """Read `key=value,key=value`.

    Raises:
        UsageError: an unknown key (the close match is named), one given twice, or no value of its type.
        SettingsError: out of bounds, or not among the choices.
    """
    given = _pairs(text)
    known = {item.name: item for item in fields() if item.name in _WORDS}
    values = {key: known[key].check(_parsed(known[key], value)) for key, value in given.items()}
    usual = Sampling()
    sampling = Sampling(
        steps=cast("int | None", values.get("steps")),
        detail=cast(float, values.get("detail", usual.detail)),
        consistency=cast("int | None", values.get("consistency")),
        noise=cast(NoiseMode, values.get("noise", usual.noise)),
        color_fix=cast("ColorFix | None", values.get("color_fix")),
    )
    words = tuple(_WORDS[key](value) for key, value in given.items())
    return Asked(sampling=sampling, frames=cast("int | None", values.get("frames")), words=words)


def _pairs(text: str) -> dict[str, str]:
    given: dict[str, str] = {}
    for part in text.split(","):
        key, equals, value = (piece.strip() for piece in part.partition("="))
        key = key.replace("-", "_")
        if not (equals and key and value):
            raise UsageError(f"{part!r} in {text!r} is no key=value", hint="As in sr3:steps=4,noise=static.")
        if key not in _WORDS:
            close = difflib.get_close_matches(key, _WORDS, n=1)
            hint = f"Did you mean {close[0]}?" if close else f"There are {', '.join(_WORDS)}."
            raise UsageError(f"there is no setting {key!r} of a model's sampling", hint=hint)
        if key in given:
            raise UsageError(f"{key} is given twice in {text!r}")
        given[key] = value
    return given


def _parsed(item: SettingField, value: str) -> object:
    try:
        return item.kind(value)
    except ValueError:
        raise UsageError(f"{item.name} must be of type {item.kind.__name__}, got {value!r}") from None
