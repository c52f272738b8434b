"""Checkpoints of the public SR3 implementation: what their JSON config says, and whether it fits the weights.

Such a checkpoint (`I..._E..._gen.pth`) is a bare table of tensors named after the U-Net's layers behind
`denoise_fn.`, and twelve arrays made of the noise schedule. Its config is JSON with comments. What shapes cannot say
(groups of the normalisation, the size it was trained at, the scale) only the config knows.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar, cast, get_args

import torch
from torch import Tensor

from vsr.core.errors import IncompatibleModel, ModelError
from vsr.engines import schedules
from vsr.engines.archs.sr3_classic import Layout, Sr3Classic, structure
from vsr.engines.schedules import ScheduleName

T = TypeVar("T")

# A string, or a comment to the end of its line: whichever begins first.
_STRING_OR_COMMENT = re.compile(r'"(?:[^"\\\n]|\\.)*"|//[^\n]*')
_PREFIXES = ("module.", "denoise_fn.")
_FIT_HINT = "Give the config that the model was trained with."
_DDPM_HINT = "It is told the step's number, not the noise level: another network."
_MOST_STEPS = 100_000
_ENDLESS = ("cosine", "jsd")  # they have no ends; what a config says of them is not looked at
# What the published configs are called, by the shapes of their networks.
_PUBLISHED: Mapping[str, Layout] = {
    "sr_sr3_16_128.json (16 -> 128 pixels)": Layout(),
    "sr_sr3_64_512.json (64 -> 512 pixels)": Layout(multipliers=(1, 2, 4, 8, 16), attention=(), res_blocks=1),
    "sr3_frames_16_128.json (16 -> 128 pixels, 3 frames)": Layout(frames=3),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """A noise schedule as a config names it."""

    schedule: ScheduleName
    n_timestep: int
    linear_start: float
    linear_end: float

    def betas(self) -> Tensor:
        """Give its variances (T,) float64."""
        return schedules.betas(self.schedule, self.n_timestep, start=self.linear_start, end=self.linear_end)


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamConfig:
    """The keys of a config that say what its network is. train, val: None where the config has none."""

    in_channel: int
    out_channel: int
    inner_channel: int
    norm_groups: int
    channel_multiplier: tuple[int, ...]
    attn_res: tuple[int, ...]
    res_blocks: int
    dropout: float
    image_size: int
    l_resolution: int
    r_resolution: int
    n_frames: int | None = None
    train: Schedule | None = None
    val: Schedule | None = None


def is_upstream(state: Mapping[str, object]) -> bool:
    """Whether a file's content is of that implementation: a checkpoint, or the state of its optimizer."""
    return "norm_groups" not in state and (
        _is_optimizer(state) or any("denoise_fn." in str(key) or key == "noise_level_mlp.1.weight" for key in state)
    )


def read_config(path: Path) -> UpstreamConfig:
    """Read a config.

    Raises:
        ModelError: not there, no JSON, or a key is missing or of another kind.
        IncompatibleModel: a config of the `ddpm` network.
    """
    try:
        text = path.read_text(encoding="utf-8")
        table = json.loads(without_comments(text))
    except OSError as error:
        raise ModelError(f"cannot read config {path}: {error.strerror}", hint="Check the path.") from error
    except (ValueError, RecursionError) as error:
        raise ModelError(f"config {path} is no JSON with // comments: {error}") from error
    try:
        kind = _entry(table, "model.which_model_G", str)
        if kind == "sr3":
            return _config(table)
    except ValueError as error:
        raise ModelError(f"config {path}: {error}", hint=_FIT_HINT) from error
    raise IncompatibleModel(
        f"config {path} is of a {kind!r} network (model.which_model_G): vsr imports sr3",
        hint=_DDPM_HINT if kind == "ddpm" else None,
    )


def without_comments(text: str) -> str:
    """Cut what follows `//` on a line, unless it stands in a string."""
    return _STRING_OR_COMMENT.sub(lambda match: match[0] if match[0].startswith('"') else "", text)


def network(name: str, state: Mapping[str, object], config: Path | None) -> Sr3Classic:
    """Build the network of a checkpoint, which is called `name` in what is said of it.

    The betas are those of the config's training schedule, rebuilt in float64: what the network was trained with, also
    if the config samples with fewer. A config without schedules leaves those in the file.

    Raises:
        ModelError: see `read_config`.
        IncompatibleModel: no checkpoint of this network, no config, or one that does not fit it.
    """
    weights = _weights(name, state)
    found = structure({key: tuple(value.shape) for key, value in weights.items()})
    if found is None:
        raise IncompatibleModel(
            f"{name} has the names of an SR3 checkpoint, but not its shapes: {len(weights)} tensors",
            hint="The file may be incomplete, or of a changed network.",
        )
    if config is None:
        raise _without_config(name, found)
    said = read_config(config)
    _check(name, config, said, found)
    try:
        layout = replace(
            found,
            norm_groups=said.norm_groups,
            image_size=said.image_size,
            scale=said.r_resolution // said.l_resolution,
            dropout=said.dropout,
        )
    except ValueError as error:
        raise IncompatibleModel(f"config {config} does not fit {name}: {error}") from error
    net = Sr3Classic(layout, _betas(name, config, said, state))
    net.load_state_dict({**{key: value for key, value in net.state_dict().items() if key not in weights}, **weights})
    return net


def _weights(name: str, state: Mapping[str, object]) -> dict[str, Tensor]:
    """Give the network's own tensors, prefixes taken off; the arrays of the schedule belong to no layer."""
    if _is_optimizer(state):
        likely = name.replace("_opt", "_gen")
        raise IncompatibleModel(
            f"{name} holds the state of an optimizer, not a network",
            hint=f"Take the file beside it{f': {likely}' if likely != name else ''}.",
        )
    bare = {_bare(key): value for key, value in state.items() if isinstance(value, Tensor)}
    if any(key.startswith("time_mlp.") for key in bare):
        raise IncompatibleModel(
            f"{name} is a checkpoint of the 'ddpm' network (it has time_mlp): vsr imports sr3", hint=_DDPM_HINT
        )
    return {key: value for key, value in bare.items() if "." in key}


def _bare(key: str) -> str:
    for prefix in (*_PREFIXES, *_PREFIXES):  # in either order
        key = key.removeprefix(prefix)
    return key


def _is_optimizer(state: Mapping[str, object]) -> bool:
    return {"epoch", "iter", "optimizer"} <= set(state)


def _without_config(name: str, found: Layout) -> IncompatibleModel:
    """Say what the shapes tell: which published config has them, or what a config must contain."""
    fitting = [config for config, layout in _PUBLISHED.items() if _described(layout) == _described(found)]
    looks = f"its shapes are those of {fitting[0]}" if fitting else f"from its shapes: {_described(found)}"
    return IncompatibleModel(
        f"{name} is an SR3 checkpoint, which does not say its normalisation's groups, size and scale; {looks}",
        hint="Name its config: vsr models import FILE --config CONFIG.json.",
    )


def _described(found: Layout) -> str:
    levels = ", ".join(map(str, found.attention)) or "none"
    return (
        f"in_channel {3 * found.frames + 3}, inner_channel {found.inner}, channel_multiplier "
        f"{list(found.multipliers)}, res_blocks {found.res_blocks}, attention on levels {levels}"
    )


def _check(name: str, config: Path, said: UpstreamConfig, found: Layout) -> None:
    """Hold a config against what the shapes say."""
    sizes = [said.image_size // 2**level for level in range(len(found.multipliers))]
    pairs: dict[str, tuple[object, object]] = {
        "model.unet.in_channel": (said.in_channel, 3 * found.frames + 3),
        "model.unet.out_channel": (said.out_channel, 3),
        "model.unet.inner_channel": (said.inner_channel, found.inner),
        "model.unet.channel_multiplier": (list(said.channel_multiplier), list(found.multipliers)),
        "model.unet.res_blocks": (said.res_blocks, found.res_blocks),
        "model.unet.attn_res": (
            [size for size in sizes if size in said.attn_res],
            [sizes[level] for level in found.attention],
        ),
        "model.diffusion.n_frames": (said.n_frames or found.frames, found.frames),
    }
    for field, (wanted, has) in pairs.items():
        if wanted != has:
            raise IncompatibleModel(
                f"config {config} does not fit: {field} is {wanted}, the weights of {name} have {has}", hint=_FIT_HINT
            )


def _betas(name: str, config: Path, said: UpstreamConfig, state: Mapping[str, object]) -> Tensor:
    """Give the variances that the network was trained with.

    The file's own are float32; they were made of the training schedule, or of the other one if it was saved while
    sampling.
    """
    stored = next((value for key, value in state.items() if _bare(key) == "betas" and isinstance(value, Tensor)), None)
    if said.train is None:
        if stored is None or stored.dim() != 1 or not len(stored):
            raise IncompatibleModel(f"neither config {config} nor {name} has a noise schedule (model.beta_schedule)")
        return stored.double()
    betas = said.train.betas()
    known = [betas] if said.val is None else [betas, said.val.betas()]
    if stored is None or any(_agree(stored, made) for made in known):
        return betas
    if len(stored) != len(betas):
        field, wanted, has = "n_timestep", f"{len(betas)}", f"{len(stored)}"
    else:
        field = f"schedule ({said.train.schedule})"
        wanted, has = (f"{float(b[0]):.3g} to {float(b[-1]):.3g}" for b in (betas, stored))
    raise IncompatibleModel(
        f"config {config} does not fit: model.beta_schedule.train.{field} is {wanted}, the betas of {name} have {has}",
        hint=_FIT_HINT,
    )


def _agree(stored: Tensor, made: Tensor) -> bool:
    """Whether they are the same but for float32."""
    return stored.shape == made.shape and torch.allclose(stored.double(), made, rtol=1e-5, atol=1e-9)


def _config(table: object) -> UpstreamConfig:
    """Take what is needed out of a parsed config. Raises ValueError naming the key."""
    groups = _optional(table, "model.unet.norm_groups", int)
    sets = _entry(table, "datasets", dict)
    data = "datasets.val" if "train" not in sets else "datasets.train"
    low, high = _entry(table, f"{data}.l_resolution", int), _entry(table, f"{data}.r_resolution", int)
    if low < 1 or high < low or high % low:
        raise ValueError(f"{data}.r_resolution must be a multiple of l_resolution, got {high} and {low}")
    return UpstreamConfig(
        in_channel=_entry(table, "model.unet.in_channel", int),
        out_channel=_entry(table, "model.unet.out_channel", int),
        inner_channel=_entry(table, "model.unet.inner_channel", int),
        norm_groups=32 if groups is None else groups,  # as that implementation assumes
        channel_multiplier=_integers(table, "model.unet.channel_multiplier"),
        attn_res=_integers(table, "model.unet.attn_res"),
        res_blocks=_entry(table, "model.unet.res_blocks", int),
        dropout=_optional(table, "model.unet.dropout", float) or 0.0,
        image_size=_entry(table, "model.diffusion.image_size", int),
        l_resolution=low,
        r_resolution=high,
        n_frames=_optional(table, "model.diffusion.n_frames", int),
        train=_schedule(table, "model.beta_schedule.train"),
        val=_schedule(table, "model.beta_schedule.val"),
    )


def _schedule(table: object, key: str) -> Schedule | None:
    if _optional(table, key, dict) is None:
        return None
    name, steps = _entry(table, f"{key}.schedule", str), _entry(table, f"{key}.n_timestep", int)
    if name not in get_args(ScheduleName):
        raise ValueError(f"{key}.schedule must be one of {', '.join(get_args(ScheduleName))}, got {name!r}")
    if not 1 <= steps <= _MOST_STEPS:
        raise ValueError(f"{key}.n_timestep must be 1 to {_MOST_STEPS}, got {steps}")
    start, end = (_end(table, f"{key}.linear_{which}", name) for which in ("start", "end"))
    return Schedule(schedule=cast(ScheduleName, name), n_timestep=steps, linear_start=start, linear_end=end)


def _end(table: object, key: str, name: str) -> float:
    value = 0.5 if name in _ENDLESS else _entry(table, key, float)
    if not 0 < value < 1:
        raise ValueError(f"{key} must lie between 0 and 1, got {value}")
    return value


def _integers(table: object, key: str) -> tuple[int, ...]:
    items = _entry(table, key, list)
    if not all(type(item) is int for item in items):
        raise ValueError(f"{key} must be a list of integers, got {items!r}")
    return tuple(items)


def _entry(table: object, key: str, kind: type[T]) -> T:
    """Give what stands under a dotted key, of the kind that is wanted."""
    found = _optional(table, key, kind)
    if found is None:
        raise ValueError(f"{key} is missing")
    return found


def _optional(table: object, key: str, kind: type[T]) -> T | None:
    """Give what stands under a dotted key, None where there is nothing, or null."""
    value = table
    for part in key.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    if kind is float and type(value) is int:
        value = float(value)
    if value is not None and (not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool)):
        raise ValueError(f"{key} must be of the kind {kind.__name__}, got {value!r}")
    return value
