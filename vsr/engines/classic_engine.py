"""ClassicEngine: an Engine out of the SR3 U-Net that predicts noise, sampled in many network calls.

What the network is given is what it was trained on: each low-resolution frame rounded to 8 bits, enlarged as PIL does
it, and brought to [-1, 1].
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from vsr.core.card import ModelCard, Precision
from vsr.core.errors import IncompatibleModel, SettingsError
from vsr.core.sampling import Sampling
from vsr.engines import color_fix, noise
from vsr.engines.archs.sr3_classic import Sr3Classic
from vsr.engines.base import Batch, Key
from vsr.engines.ddpm import Grid, NoiseNet, Watch, ancestral, ddim, grid
from vsr.engines.memory import memory_errors
from vsr.engines.net import check_batch
from vsr.engines.tiling import Part, cut
from vsr.filters import BICUBIC, resize

_STEPS = 20  # of DDIM: beyond, the published model gains little (its users measured 22.99 dB where 2000 give 23.26)
_ROUNDS = 2  # of back-projection
_SHOWN = 10  # pictures of the way there, as the public implementation keeps them
_REACH = 2  # of the bicubic kernel, in source pixels
_LIVE_PLANES = 16  # of the whole picture, in float32: x, the prediction and what the sampler makes of them, measured


class ClassicEngine:
    """Runs an SR3 U-Net over windows of frames, oldest first; gives the middle one.

    sampling.steps: all that the network was trained with is the ancestral chain, fewer is DDIM (None: 20). Pictures
    larger than the size it was trained at run in windows of that size, half over one another: at each step their
    predictions are blended, so that one picture is sampled, not many (Bar-Tal et al. 2023, arXiv 2302.08113).
    Safe to call from several threads: nothing is kept of a call.

    Raises:
        SettingsError: more steps than the network was trained with, or a `detail` other than 1.
        IncompatibleModel: a precision other than fp32, in which the prediction's error, enlarged by up to 1/sqrt(alpha)
            at the noisiest steps, would show.
        OutOfMemory: the weights do not fit.
    """

    def __init__(
        self,
        net: Sr3Classic,
        *,
        card: ModelCard,
        scale: int,
        device: str = "cpu",
        precision: Precision = "fp32",
        sampling: Sampling | None = None,
    ) -> None:
        self.card = card
        self.device = torch.device(device)
        self.sampling = sampling or Sampling()
        self._scale = scale
        self._layout = net.layout
        self._grid = _grid_of(net, card, self.sampling)
        if precision != "fp32":
            raise IncompatibleModel(f"{card.id} does not run in {precision}", hint="It runs in fp32.")
        if self.device.type == "cuda":  # TF32's ten bits would be enlarged as well
            torch.backends.cudnn.allow_tf32 = False
        with memory_errors(f"the weights of {card.id} do not fit on {device}"):
            self._net: Sr3Classic | None = net.to(self.device).eval().requires_grad_(False)

    @property
    def scale(self) -> int:
        return self._scale

    @property
    def grid(self) -> Grid:
        """The steps that are visited: as many network calls a picture, or a window of one."""
        return self._grid

    def restore(self, batch: Batch) -> Tensor:
        """See `Engine.restore`. A result lies in [0, 1], unless a colour fix or consistency moves it.

        Raises:
            OutOfMemory: the batch does not fit.
            IncompatibleModel: the window's size or channels are not the card's.
        """
        return self._restored(batch, lambda left, x: None)

    def refine(self, batch: Batch) -> Iterator[Tensor]:
        """Yield the picture with its noise at ten or so steps of the sampler, evenly spread; the last is the result.

        Raises:
            As `restore`.
        """
        seen: list[Tensor] = []
        every = max(1, len(self._grid.steps) // _SHOWN)

        def watch(left: int, x: Tensor) -> None:
            if left and left % every == 0:
                seen.append((x + 1) / 2)

        result = self._restored(batch, watch)
        yield from seen
        yield result

    def _restored(self, batch: Batch, watch: Watch) -> Tensor:
        assert self._net is not None, "restore after close"
        check_batch(self.card, batch, self._scale)
        size = "x".join(str(n) for n in batch.frames.shape)
        with memory_errors(f"{self.card.id} on windows of {size}"), torch.inference_mode():
            condition = enlarged(batch.frames, self._scale)
            sampler = ancestral if len(self._grid.steps) == len(self._net.betas) else ddim
            predict = windowed(partial(_predict, self._net), self._layout.image_size)
            drawn = partial(self._noise, batch.keys, *condition.shape[-2:])
            sample = sampler(predict, drawn, condition, self._grid, watch)
            return self._finished((sample + 1) / 2, batch.frames[:, self._layout.frames // 2])

    def bytes_per_pixel(self) -> float:
        """Give the working memory of a call in bytes per input pixel and window; the network's own does not grow."""
        return 4.0 * 3 * (_LIVE_PLANES + self._layout.frames) * self._scale**2

    def close(self) -> None:
        self._net = None
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    def _noise(self, keys: tuple[Key, ...], height: int, width: int, step: int) -> Tensor:
        fields = []
        for key in keys:
            seed = noise.seed_of(key.seed, key.frame) if self.sampling.noise == "frame" else key.seed
            fields.append(noise.field(seed, height, width, 3, offset=key.offset, draw=step, device=self.device))
        return torch.stack(fields)

    def _finished(self, result: Tensor, low: Tensor) -> Tensor:
        kind, rounds = self.sampling.color_fix or "none", self.sampling.consistency
        if kind == "backproject":
            return color_fix.backproject(result, low, rounds=_ROUNDS if rounds is None else rounds)
        return color_fix.backproject(color_fix.fixed(result, low, kind), low, rounds=rounds or 0)


def enlarged(frames: Tensor, scale: int) -> Tensor:
    """Give what the network is conditioned on: (B, N, 3, h, w) in [0, 1] -> (B, 3N, scale*h, scale*w) in [-1, 1].

    Bicubic (a = -0.5) from 8 bits to 8 bits in PIL's way, level for level: columns first, each pass rounded and held to
    the range, and the kernel cut off at the border and weighed anew. In pictures of 16 pixels a third is border.
    """
    height, width = frames.shape[-2] * scale, frames.shape[-1] * scale
    large = frames.new_empty((*frames.shape[:3], height, width))
    for frame in range(frames.shape[1]):  # one by one: float64 takes the memory of two
        codes = (frames[:, frame] * 255).round().clamp(0, 255).double()  # halves must not fall either way
        large[:, frame] = _stretched(_stretched(codes, scale, dim=-1), scale, dim=-2)
    return large.flatten(1, 2).div_(127.5).sub_(1)


def _stretched(codes: Tensor, scale: int, *, dim: int) -> Tensor:
    """Enlarge one axis: zeros stand beyond the border, and what of the kernel falls on them is divided out."""
    size = codes.shape[dim]
    sides = (0, 0, _REACH, _REACH) if dim == -2 else (_REACH, _REACH, 0, 0)
    ones = codes.new_ones((size, 1) if dim == -2 else (1, size))
    large, covered = (_along(F.pad(planes, sides), scale, dim=dim) for planes in (codes, ones))
    inside = large.narrow(dim, _REACH * scale, size * scale) / covered.narrow(dim, _REACH * scale, size * scale)
    return (inside + 0.5).floor().clamp(0, 255)


def _along(planes: Tensor, scale: int, *, dim: int) -> Tensor:
    height, width = planes.shape[-2:]
    return resize(planes, height * scale if dim == -2 else height, width if dim == -2 else width * scale, BICUBIC)


def windowed(net: NoiseNet, side: int) -> NoiseNet:
    """Give a network for pictures of any size: it looks at windows of `side` and blends what they say linearly.

    Windows lie half over one another, spread evenly, the outer ones at the border. An axis that is no longer than
    `side` is taken whole.
    """

    def predict(x: Tensor, condition: Tensor, level: Tensor) -> Tensor:
        rows, columns = (cut(size, side - 2 * (side // 4), side // 4) for size in x.shape[-2:])
        if len(rows) == len(columns) == 1:
            return net(x, condition, level)
        total, weights = torch.zeros_like(x), x.new_zeros(x.shape[-2:])
        for row in rows:
            down = _tent(row, x.shape[-2], x.device)[:, None]
            for column in columns:
                place = (..., slice(row.start, row.stop), slice(column.start, column.stop))
                weight = down * _tent(column, x.shape[-1], x.device)
                total[place] += weight * net(x[place].contiguous(), condition[place].contiguous(), level)
                weights[place] += weight
        return total / weights

    return predict


def _tent(part: Part, size: int, device: torch.device) -> Tensor:
    """Give a window's weights along one axis: rising over half of it from each side that has a neighbour."""
    length = part.stop - part.start
    at = (torch.arange(length, dtype=torch.float32, device=device) + 0.5) / (length / 2)
    weight = torch.ones_like(at)
    if part.start > 0:
        weight = torch.minimum(weight, at)
    if part.stop < size:
        weight = torch.minimum(weight, at.flip(0))
    return weight


def _predict(net: Sr3Classic, x: Tensor, condition: Tensor, level: Tensor) -> Tensor:
    predicted: Tensor = net(torch.cat((condition, x), dim=1), level)
    return predicted


def _grid_of(net: Sr3Classic, card: ModelCard, sampling: Sampling) -> Grid:
    trained = len(net.betas)
    steps = min(_STEPS, trained) if sampling.steps is None else sampling.steps
    if not 1 <= steps <= trained:
        raise SettingsError(f"{card.id} takes 1 to {trained} steps, as it was trained; got {steps}")
    if sampling.detail != 1:
        raise SettingsError(
            f"{card.id} has no detail to choose: its first step knows nothing of the mean", hint="Leave out --detail."
        )
    return grid(net.betas.cpu(), steps)
