"""Recipes: what is trained, on what, how long. A TOML file, typed and bounded; unknown keys are refused.

    name = "espcn-x2"
    [net]       arch = "espcn"   scale = 2
    [data]      crop = 32        batch = 32
    [loss]      kind = "mse"
    [schedule]  updates = 20000  rate = 1e-3

Any key can be given on the command line as `schedule.updates=500`.
"""

from __future__ import annotations

import dataclasses
import difflib
import json
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from vsr.core.errors import SettingsError
from vsr.data.degrade import Degradation, from_table
from vsr.engines.archs.sr3_classic import Variant
from vsr.engines.schedules import ScheduleName

SCALE = "{scale}"  # in `name` and `net.init`: one recipe for every scale
SHIPPED = Path(__file__).resolve().parents[1] / "recipes"
CHECKOUT = Path(__file__).resolve().parents[2] / "recipes"


@dataclass(frozen=True, slots=True, kw_only=True)
class NetRecipe:
    """arch: espcn, compact, srresnet, sr3, sr3_classic or selffeat. features, depth: 0 is the arch's own (espcn: depth
    4 is the deeper; sr3: the middle blocks; sr3_classic: the blocks of a level). blocks: sr3's at either end. scales:
    further ones that the same weights are for.

    init: weight file or model whose tensors the net starts from, where name and shape agree. freeze: those tensors
    stay as they are.
    """

    arch: str = "espcn"
    scale: int = 2
    frames: int = 1
    domain: Literal["y", "rgb"] = "y"
    features: int = 0
    depth: int = 0
    blocks: int = 0
    scales: tuple[int, ...] = ()
    init: str = ""
    freeze: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DataRecipe:
    """crop: side of a crop in LR pixels. only: patterns of file names that are used (none: all).

    holdout: patterns of the names, without suffix, that are for validation where a folder has no `val` part of its own
    (none: every tenth by a digest of the name). sizes: copies of each picture at these sizes. draws: degraded copies
    of each where the degradation draws. motion: windows made from each photograph by smooth motion, where N > 1.
    reach: its greatest speed in HR pixels a frame. still: share of those windows that hardly move. clip_windows: at
    most this many windows of each video. augment: mirror and transpose crops. scale_share: of the
    updates, is done at one of `net.scales`, on crops of as many HR pixels.
    """

    crop: int = 32
    batch: int = 16
    only: tuple[str, ...] = ()
    holdout: tuple[str, ...] = ()
    sizes: tuple[float, ...] = (1.0,)
    draws: int = 4
    motion: int = 1
    reach: float = 8.0
    still: float = 0.2
    clip_windows: int = 12
    augment: bool = True
    scale_share: float = 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class LossRecipe:
    """kind: a name of `vsr.training.losses`. weights: of its terms, in place of its own.

    discriminator: its width, where a term is adversarial (SRGAN's is 64).
    """

    kind: str = "mse"
    discriminator: int = 64
    weights: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class DiffusionRecipe:
    """Of sr3. start_share: of each batch, is shown zeros at the start of the flow, and so learns the regression.

    start_weight: of the logarithm of its error (smooth crops, whose errors are small, count as much as others).
    lowest: the rest is drawn evenly between it and the start; samplers do not go below. unroll_from: the share of the
    training after which the second stage begins (1: there is none). In it each update also samples the batch, and the
    sample answers for its features and its edges, by these weights.
    """

    start_share: float = 0.4
    start_weight: float = 0.25
    lowest: float = 0.15
    unroll_from: float = 1.0
    feature_weight: float = 0.1
    edge_weight: float = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassicRecipe:
    """Of sr3_classic: its U-Net as in `engines.archs.sr3_classic.Layout`, and its noise schedule.

    schedule, steps, start, end: see `engines.schedules.betas`.
    """

    multipliers: tuple[int, ...] = (1, 2, 4, 8, 8)
    attention: tuple[int, ...] = (3,)
    norm_groups: int = 32
    dropout: float = 0.2
    variant: Variant = "sr3"
    schedule: ScheduleName = "linear"
    steps: int = 2000
    start: float = 1e-6
    end: float = 1e-2


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleRecipe:
    """updates: how many; 0 where `minutes` sets them from the measured rate. rate: AdamW's, after `warm_up` updates;
    it falls to `final_rate` by a cosine. ema: decay of the average that is kept. clip: largest norm of the gradient."""

    updates: int = 0
    minutes: float = 0.0
    rate: float = 1e-3
    final_rate: float = 1e-5
    warm_up: int = 200
    ema: float = 0.999
    clip: float = 1.0
    decay: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecipe:
    """validate: updates between validations. pictures, side: validation uses at most so many, cut to so many HR pixels.

    save_s: seconds between checkpoints. threads: of torch on a CPU, 0: all cores.
    """

    seed: int = 0
    precision: Literal["fp32", "bf16"] = "fp32"
    validate: int = 500
    pictures: int = 16
    side: int = 384
    save_s: float = 60.0
    threads: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Everything that decides the weights, but for the pictures themselves. `{scale}` in `name` is filled in."""

    name: str
    description: str = ""
    net: NetRecipe = field(default_factory=NetRecipe)
    data: DataRecipe = field(default_factory=DataRecipe)
    degrade: Degradation = field(default_factory=Degradation)
    loss: LossRecipe = field(default_factory=LossRecipe)
    diffusion: DiffusionRecipe = field(default_factory=DiffusionRecipe)
    classic: ClassicRecipe = field(default_factory=ClassicRecipe)
    schedule: ScheduleRecipe = field(default_factory=ScheduleRecipe)
    run: RunRecipe = field(default_factory=RunRecipe)


_BLOCKS: Mapping[str, type] = {
    "net": NetRecipe,
    "data": DataRecipe,
    "loss": LossRecipe,
    "diffusion": DiffusionRecipe,
    "classic": ClassicRecipe,
    "schedule": ScheduleRecipe,
    "run": RunRecipe,
}
_BOUNDS: Mapping[str, tuple[float, float]] = {
    "net.scale": (1, 8),
    "net.frames": (1, 31),
    "net.features": (0, 1024),
    "net.depth": (0, 128),
    "net.blocks": (0, 64),
    "net.scales": (2, 8),
    "data.crop": (8, 512),
    "data.batch": (1, 4096),
    "data.sizes": (0.01, 4),
    "data.draws": (1, 64),
    "data.motion": (0, 64),
    "data.reach": (0, 64),
    "data.still": (0, 1),
    "data.clip_windows": (1, 10_000),
    "data.scale_share": (0, 0.99),
    "loss.discriminator": (4, 1024),
    "diffusion.start_share": (0.01, 0.99),
    "diffusion.start_weight": (0, 100),
    "diffusion.lowest": (0.01, 1.5),
    "diffusion.unroll_from": (0, 1),
    "diffusion.feature_weight": (0, 100),
    "diffusion.edge_weight": (0, 100),
    "classic.multipliers": (1, 64),
    "classic.attention": (0, 15),
    "classic.norm_groups": (1, 1024),
    "classic.dropout": (0, 0.9),
    "classic.steps": (2, 100_000),
    "classic.start": (1e-12, 0.999),
    "classic.end": (1e-12, 0.999),
    "schedule.updates": (0, 10**9),
    "schedule.minutes": (0, 10**5),
    "schedule.rate": (0, 1),
    "schedule.final_rate": (0, 1),
    "schedule.warm_up": (0, 10**6),
    "schedule.ema": (0, 0.999999),
    "schedule.clip": (1e-6, 1e6),
    "schedule.decay": (0, 1),
    "run.seed": (0, 2**31 - 1),
    "run.validate": (1, 10**9),
    "run.pictures": (1, 10_000),
    "run.side": (32, 65536),
    "run.save_s": (0, 10**6),
    "run.threads": (0, 1024),
}


def find(reference: str) -> Path:
    """Give the recipe file of a path or a shipped recipe's name (`espcn`).

    Raises:
        SettingsError: there is none, with the close matches.
    """
    path = Path(reference)
    if path.is_file():
        return path
    names: dict[str, Path] = {}
    for folder in (SHIPPED, CHECKOUT):
        names |= {file.stem: file for file in sorted(folder.glob("*.toml"))}
    if path.suffix != ".toml" and reference in names:
        return names[reference]
    close = difflib.get_close_matches(path.stem, names, n=3)
    hint = f"Did you mean {' or '.join(close)}?" if close else f"Recipes: {', '.join(names)}."
    raise SettingsError(f"there is no recipe {reference}", hint=hint)


def read_recipe(path: Path, overrides: Iterable[str] = ()) -> Recipe:
    """Read a recipe, with `key=value` put over it (`schedule.updates=500`, `net.domain=rgb`).

    Raises:
        SettingsError: not there, not TOML, an unknown key (with the close match), a wrong type or out of bounds.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"cannot read recipe {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"recipe {path} is not valid TOML: {error}") from error
    for override in overrides:
        _override(table, override)
    table.setdefault("name", path.stem)
    return from_mapping(table)


def from_mapping(table: Mapping[str, object]) -> Recipe:
    """Give the recipe of nested tables, checked.

    Raises:
        SettingsError: see `read_recipe`.
    """
    _check_keys(table, ("name", "description", "degrade", *_BLOCKS), "")
    text = {key: table.get(key, "") for key in ("name", "description")}
    for key, value in text.items():
        if not isinstance(value, str):
            raise SettingsError(f"recipe: {key} must be a string, got {value!r}")
    blocks: dict[str, Any] = {name: _block(name, kind, table.get(name, {})) for name, kind in _BLOCKS.items()}
    degrade = from_table(_table("degrade", table.get("degrade", {})))
    scale = blocks["net"].scale
    name = str(text["name"]).replace(SCALE, str(scale))
    if not name or name.startswith(".") or any(letter in name for letter in "/\\\0"):
        raise SettingsError(f"recipe: name must be one that files can bear, got {name!r}")
    blocks["net"] = dataclasses.replace(blocks["net"], init=blocks["net"].init.replace(SCALE, str(scale)))
    recipe = Recipe(name=name, description=str(text["description"]), degrade=degrade, **blocks)
    if recipe.net.frames % 2 == 0:
        raise SettingsError(f"recipe: net.frames must be odd, got {recipe.net.frames}")
    return recipe


def to_mapping(recipe: Recipe) -> dict[str, object]:
    """Give a recipe as nested plain tables: `from_mapping` gives it back."""
    table: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(recipe)))
    table["degrade"] = {key: value for key, value in table["degrade"].items() if value is not None}
    return table


def dump(recipe: Recipe) -> str:
    """Give a recipe as TOML, every key with its value."""
    table: dict[str, Any] = to_mapping(recipe)
    lines = [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in table.items() if _is_plain(value)]
    for name, block in table.items():
        if _is_plain(block):
            continue
        lines += ["", f"[{name}]"]
        lines += [
            f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in block.items() if _is_plain(value)
        ]
        for key, inner in block.items():
            if not _is_plain(inner):
                pairs = ", ".join(f"{json.dumps(term)} = {json.dumps(value)}" for term, value in inner.items())
                lines.append(f"{key} = {{ {pairs} }}" if pairs else f"{key} = {{}}")
    return "\n".join(lines) + "\n"


def differences(a: Recipe, b: Recipe) -> list[str]:
    """Give the dotted keys in which two recipes differ."""
    return [f"{key}: {first!r} -> {second!r}" for key, first, second in _differing(to_mapping(a), to_mapping(b))]


def _differing(a: Mapping[str, object], b: Mapping[str, object]) -> Iterable[tuple[str, object, object]]:
    for key in dict.fromkeys((*a, *b)):
        first, second = a.get(key), b.get(key)
        if isinstance(first, dict) and isinstance(second, dict):
            yield from ((f"{key}.{inner}", x, y) for inner, x, y in _differing(first, second))
        elif first != second:
            yield key, first, second


def _is_plain(value: object) -> bool:
    return not isinstance(value, dict)


def _override(table: dict[str, Any], override: str) -> None:
    key, equals, value = override.partition("=")
    if not equals or not key:
        raise SettingsError(f"{override!r} is no key=value", hint="As in schedule.updates=500.")
    try:
        parsed: object = tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        parsed = value  # a bare word is a string
    *blocks, last = key.split(".")
    place = table
    for block in blocks:
        inner = place.setdefault(block, {})
        if not isinstance(inner, dict):
            raise SettingsError(f"recipe: {block} is no table, {key} cannot be in it")
        place = inner
    place[last] = parsed


def _table(name: str, value: object) -> Mapping[str, object]:
    if not isinstance(value, Mapping):
        raise SettingsError(f"recipe: {name} must be a table, got {value!r}")
    return value


def _check_keys(table: Mapping[str, object], known: Iterable[str], block: str) -> None:
    names = list(known)
    for key in table:
        if key not in names:
            close = difflib.get_close_matches(key, names, n=1)
            hint = f"Did you mean {block}{close[0]}?" if close else f"Keys: {', '.join(names)}."
            raise SettingsError(f"recipe: unknown key {block}{key}", hint=hint)


def _block(name: str, kind: type, value: object) -> object:
    table = _table(name, value)
    hints = get_type_hints(kind)
    _check_keys(table, hints, f"{name}.")
    return kind(**{key: _value(f"{name}.{key}", hints[key], given) for key, given in table.items()})


def _value(key: str, hint: Any, given: object) -> object:
    """Give a TOML value as the field's type, within its bounds."""
    if get_origin(hint) is Literal:
        if given not in get_args(hint):
            raise SettingsError(f"recipe: {key} must be one of {', '.join(get_args(hint))}, got {given!r}")
        return given
    if get_origin(hint) is tuple:
        items = given if isinstance(given, list) else [given]
        return tuple(_value(key, get_args(hint)[0], item) for item in items)
    if get_origin(hint) is dict:
        return {str(term): _value(f"{key}.{term}", float, weight) for term, weight in _table(key, given).items()}
    if hint is float and isinstance(given, int) and not isinstance(given, bool):
        given = float(given)
    if not isinstance(given, hint) or (isinstance(given, bool) and hint is not bool):
        raise SettingsError(f"recipe: {key} must be of type {hint.__name__}, got {given!r}")
    low, high = _BOUNDS.get(key, (float("-inf"), float("inf")))
    if isinstance(given, int | float) and not low <= given <= high:
        raise SettingsError(f"recipe: {key} must be within {low:g} and {high:g}, got {given:g}")
    return given
