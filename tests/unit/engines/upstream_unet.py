"""The SR3 U-Net and its sampler once more, written from a description of the public checkpoints' tensors.

Nothing is shared with `vsr.engines`: the network is a walk over a flat table of tensors, the sampler a loop over arrays
made of the betas.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

State = dict[str, Tensor]


@dataclass(frozen=True, kw_only=True)
class Spec:
    """What a config says."""

    in_channel: int = 6
    inner: int = 8
    mults: tuple[int, ...] = (1, 2, 4, 8, 8)
    attn_res: tuple[int, ...] = (16,)
    res_blocks: int = 2
    groups: int = 4
    image_size: int = 128


SINGLE = Spec()
LARGE = Spec(mults=(1, 2, 4, 8, 16), attn_res=(), res_blocks=1, image_size=512)
FRAMES = Spec(in_channel=12)


def plan(spec: Spec) -> Iterator[tuple[str, str, int, int, bool]]:
    """Yield (name, kind, width in, width out, attends) of every layer in order."""
    yield "downs.0", "conv", spec.in_channel, spec.inner, False
    size, width, number, pushed = spec.image_size, spec.inner, 1, [spec.inner]
    for level, mult in enumerate(spec.mults):
        for _ in range(spec.res_blocks):
            yield f"downs.{number}", "block", width, spec.inner * mult, size in spec.attn_res
            width, number = spec.inner * mult, number + 1
            pushed.append(width)
        if level < len(spec.mults) - 1:
            yield f"downs.{number}", "down", width, width, False
            pushed.append(width)
            size, number = size // 2, number + 1
    yield "mid.0", "block", width, width, True
    yield "mid.1", "block", width, width, False
    number = 0
    for level in range(len(spec.mults) - 1, -1, -1):
        for _ in range(spec.res_blocks + 1):
            yield f"ups.{number}", "join", width + pushed.pop(), spec.inner * spec.mults[level], size in spec.attn_res
            width, number = spec.inner * spec.mults[level], number + 1
        if level > 0:
            yield f"ups.{number}", "up", width, width, False
            size, number = size * 2, number + 1


def shapes(spec: Spec) -> dict[str, tuple[int, ...]]:
    """Give every tensor of the network by its name in a checkpoint."""
    found: dict[str, tuple[int, ...]] = {}

    def layer(name: str, *shape: int, bias: bool = True) -> None:
        found[f"denoise_fn.{name}.weight"] = shape
        if bias:
            found[f"denoise_fn.{name}.bias"] = shape[:1]

    layer("noise_level_mlp.1", 4 * spec.inner, spec.inner)
    layer("noise_level_mlp.3", spec.inner, 4 * spec.inner)
    for name, kind, entering, leaving, attends in plan(spec):
        if kind == "conv":
            layer(name, leaving, entering, 3, 3)
        elif kind in ("down", "up"):
            layer(f"{name}.conv", leaving, entering, 3, 3)
        else:
            layer(f"{name}.res_block.noise_func.noise_func.0", leaving, spec.inner)
            for part, width in (("block1", entering), ("block2", leaving)):
                layer(f"{name}.res_block.{part}.block.0", width)
                layer(f"{name}.res_block.{part}.block.3", leaving, width, 3, 3)
            if entering != leaving:
                layer(f"{name}.res_block.res_conv", leaving, entering, 1, 1)
        if attends:
            layer(f"{name}.attn.norm", leaving)
            layer(f"{name}.attn.qkv", 3 * leaving, leaving, 1, 1, bias=False)
            layer(f"{name}.attn.out", leaving, leaving, 1, 1)
    layer("final_conv.block.0", spec.inner)
    layer("final_conv.block.3", 3, spec.inner, 3, 3)
    return found


def random_state(spec: Spec, *, seed: int = 0, betas: np.ndarray | None = None) -> State:
    """Give a checkpoint of random weights, with the twelve arrays of a schedule where betas are given."""
    draw = torch.Generator().manual_seed(seed)
    state: State = {}
    for name, shape in shapes(spec).items():
        values = torch.randn(shape, generator=draw)
        if len(shape) > 1:
            state[name] = values / math.sqrt(math.prod(shape[1:]))
        else:  # of a norm's weights, around 1
            state[name] = 0.1 * values + float(name.endswith("weight"))
    if betas is not None:
        state.update({name: torch.from_numpy(value).float() for name, value in tables(betas).items()})
    return state


def tables(betas: np.ndarray) -> dict[str, np.ndarray]:
    """Give the twelve arrays that lie beside the weights."""
    left = np.cumprod(1 - betas)
    before = np.append(1.0, left[:-1])
    variance = betas * (1 - before) / (1 - left)
    return {
        "betas": betas,
        "alphas_cumprod": left,
        "alphas_cumprod_prev": before,
        "sqrt_alphas_cumprod": left**0.5,
        "sqrt_one_minus_alphas_cumprod": (1 - left) ** 0.5,
        "log_one_minus_alphas_cumprod": np.log(1 - left),
        "sqrt_recip_alphas_cumprod": left**-0.5,
        "sqrt_recipm1_alphas_cumprod": (1 / left - 1) ** 0.5,
        "posterior_variance": variance,
        "posterior_log_variance_clipped": np.log(np.maximum(variance, 1e-20)),
        "posterior_mean_coef1": betas * before**0.5 / (1 - left),
        "posterior_mean_coef2": (1 - before) * (1 - betas) ** 0.5 / (1 - left),
    }


def forward(state: State, spec: Spec, x: Tensor, level: Tensor) -> Tensor:
    """Give the noise in x (B, in, H, W) at a level (B, 1), in the dtype of x."""
    table = {key.removeprefix("denoise_fn."): value.to(x.dtype) for key, value in state.items()}
    half = spec.inner // 2
    angles = torch.stack([level[:, 0] * 10 ** (-4 * i / half) for i in range(half)], dim=1)
    told = torch.cat([torch.sin(angles), torch.cos(angles)], dim=1)
    told = _linear(table, "noise_level_mlp.3", _swish(_linear(table, "noise_level_mlp.1", told)))
    pushed: list[Tensor] = []
    for name, kind, _, _, attends in plan(spec):
        if kind == "conv":
            x = _conv(table, name, x)
        elif kind == "down":
            x = F.conv2d(x, table[f"{name}.conv.weight"], table[f"{name}.conv.bias"], stride=2, padding=1)
        elif kind == "up":
            x = _conv(table, f"{name}.conv", x.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3))
        else:
            if kind == "join":
                x = torch.cat([x, pushed.pop()], dim=1)
            x = _residual(table, spec, f"{name}.res_block", x, told)
            if attends:
                x = _attention(table, spec, f"{name}.attn", x)
        if name.startswith("downs"):
            pushed.append(x)
    assert not pushed
    return _normed_conv(table, spec, "final_conv.block", x)


def _residual(table: State, spec: Spec, name: str, x: Tensor, told: Tensor) -> Tensor:
    hidden = _normed_conv(table, spec, f"{name}.block1.block", x)
    hidden = hidden + _linear(table, f"{name}.noise_func.noise_func.0", told)[:, :, None, None]
    hidden = _normed_conv(table, spec, f"{name}.block2.block", hidden)
    if f"{name}.res_conv.weight" in table:
        x = F.conv2d(x, table[f"{name}.res_conv.weight"], table[f"{name}.res_conv.bias"])
    return hidden + x


def _attention(table: State, spec: Spec, name: str, x: Tensor) -> Tensor:
    count, width, height, across = x.shape
    qkv = F.conv2d(_norm(table, spec, f"{name}.norm", x), table[f"{name}.qkv.weight"])
    query, key, value = (qkv[:, i * width : (i + 1) * width].reshape(count, width, -1) for i in range(3))
    scores = torch.einsum("bci,bcj->bij", query, key) / math.sqrt(width)
    found = torch.einsum("bij,bcj->bci", torch.softmax(scores, dim=-1), value).reshape(count, width, height, across)
    return x + F.conv2d(found, table[f"{name}.out.weight"], table[f"{name}.out.bias"])


def _normed_conv(table: State, spec: Spec, name: str, x: Tensor) -> Tensor:
    return _conv(table, f"{name}.3", _swish(_norm(table, spec, f"{name}.0", x)))


def _norm(table: State, spec: Spec, name: str, x: Tensor) -> Tensor:
    grouped = x.reshape(x.shape[0], spec.groups, -1)
    spread, mean = torch.var_mean(grouped, dim=2, keepdim=True, correction=0)
    flat = ((grouped - mean) / torch.sqrt(spread + 1e-5)).reshape(x.shape)
    return flat * table[f"{name}.weight"][:, None, None] + table[f"{name}.bias"][:, None, None]


def _conv(table: State, name: str, x: Tensor) -> Tensor:
    return F.conv2d(x, table[f"{name}.weight"], table[f"{name}.bias"], padding=1)


def _linear(table: State, name: str, x: Tensor) -> Tensor:
    return x @ table[f"{name}.weight"].T + table[f"{name}.bias"]


def _swish(x: Tensor) -> Tensor:
    return x * torch.sigmoid(x)


def sample(state: State, spec: Spec, betas: np.ndarray, condition: Tensor, noise: Callable[[int], Tensor]) -> Tensor:
    """Run the chain over every step, in the dtype of the condition; noise(0) is the start, noise(t) is added at t."""
    made = tables(betas)
    root_before = np.sqrt(np.append(1.0, made["alphas_cumprod"]))
    x = noise(0)
    for t in range(len(betas) - 1, -1, -1):
        level = torch.full((len(x), 1), root_before[t + 1], dtype=x.dtype)
        found = forward(state, spec, torch.cat([condition, x], dim=1), level)
        clean = (x * made["sqrt_recip_alphas_cumprod"][t] - found * made["sqrt_recipm1_alphas_cumprod"][t]).clamp(-1, 1)
        x = made["posterior_mean_coef1"][t] * clean + made["posterior_mean_coef2"][t] * x
        if t > 0:
            x = x + noise(t) * math.exp(0.5 * made["posterior_log_variance_clipped"][t])
    return x
