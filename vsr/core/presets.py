"""Presets: TOML files of settings. Flags beat a preset, a preset beats the defaults.

A preset is a flat table of setting names, with `description` (for whom it is) as the only other key. Presets are
found by name among the shipped ones, or by path when the name ends in `.toml`.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from vsr.core.errors import SettingsError
from vsr.core.settings import Resolved, build, fields

# A flag that says something else takes away what a preset said with the flag's rival or for the flag's old value.
_REPLACES: Mapping[str, tuple[str, ...]] = {
    "scale": ("width", "height"),
    "width": ("scale",),
    "height": ("scale",),
    "codec": ("crf", "encoder_preset", "encoder", "codec_options", "pix_fmt"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    name: str
    path: Path
    description: str
    values: Mapping[str, object]


def folder() -> Path:
    """Give the folder of the shipped presets: beside the package in a checkout, inside it when installed."""
    package = Path(__file__).resolve().parent.parent
    inside = package / "presets"
    return inside if inside.is_dir() else package.parent / "presets"


def shipped() -> tuple[Preset, ...]:
    return tuple(read(path) for path in sorted(folder().glob("*.toml")))


def find(name: str) -> Preset:
    """Find a preset by name or by path.

    Raises:
        SettingsError: there is none (with close matches), or its content is wrong.
    """
    if name.endswith(".toml"):
        return read(Path(name))
    path = folder() / f"{name}.toml"
    if Path(name).name != name or not path.is_file():
        names = [p.stem for p in sorted(folder().glob("*.toml"))]
        close = difflib.get_close_matches(name, names, n=1)
        meant = f"Did you mean {close[0]}? " if close else ""
        raise SettingsError(f"no preset is named {name!r}", hint=f"{meant}Presets: {', '.join(names)}.")
    return read(path)


def read(path: Path) -> Preset:
    """Read and check a preset file.

    Raises:
        SettingsError: not there, not TOML, an unknown key (with close matches), a wrong value.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"cannot read preset {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"preset {path} is not valid TOML: {error}") from error
    description = table.pop("description", "")
    if not isinstance(description, str):
        raise SettingsError(f"preset {path}: description must be a string")
    known = {item.name: item for item in fields()}
    for key, value in table.items():
        if key not in known:
            close = difflib.get_close_matches(key, known, n=1)
            raise SettingsError(
                f"preset {path} has an unknown key {key!r}",
                hint=f"Did you mean {close[0]!r}?" if close else f"Known keys: {', '.join(known)}.",
            )
        try:
            known[key].check(value)
        except SettingsError as error:
            raise SettingsError(f"preset {path}: {error.message}") from error
    return Preset(name=path.stem, path=path, description=description, values=table)


def resolve(flags: Mapping[str, object], preset: Preset | None = None) -> Resolved:
    """Merge: defaults < preset < flags. `flags` holds only what the user gave (None: not given)."""
    values: dict[str, object] = {}
    origins: dict[str, str] = {}
    if preset is not None:
        values.update(preset.values)
        origins.update(dict.fromkeys(preset.values, f"preset {preset.name}"))
    given = {name: value for name, value in flags.items() if value is not None}
    for flag, replaced in _REPLACES.items():
        if flag in given:
            for name in replaced:
                values.pop(name, None)
                origins.pop(name, None)
    values.update(given)
    origins.update(dict.fromkeys(given, "flag"))
    return build(values, origins)
