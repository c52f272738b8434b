"""Contestants: what the user names as a model -> restored pictures of a clip.

`espcn` is a model; `espcn:x2x2` restores twice by x2, the second time what the first gave, without rounding between;
a file is a model too (`.safetensors`, `.pth`, `.pb`, ...). Every run goes through `pipeline.infer.Restorer`.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from vsr.core.card import ModelCard
from vsr.core.errors import IncompatibleModel
from vsr.core.frame import Domain, Picture
from vsr.engines import registry
from vsr.engines.base import Engine
from vsr.engines.tta import Ensemble
from vsr.evaluation.protocol import enlarged, luma, planes, rgb, rounded, ycc
from vsr.evaluation.testsets import Footage
from vsr.filters import BICUBIC
from vsr.pipeline.infer import Restorer
from vsr.temporal.window import windows

BASELINE = "bicubic"
_STEPS = re.compile(r"(?P<reference>.+):(?P<steps>x\d+(?:x\d+)*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Contestant:
    """A model in a comparison. steps: the scales it is run at, one after the other; their product is the scale."""

    label: str
    reference: str
    steps: tuple[int, ...]
    card: ModelCard
    is_ensemble: bool = False


@dataclass(slots=True, kw_only=True)
class Stopwatch:
    """Seconds spent in restoring, and pixels that came out."""

    seconds: float = 0.0
    pixels: int = 0

    @property
    def ms_per_megapixel(self) -> float | None:
        return 1e9 * self.seconds / self.pixels if self.pixels else None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Restored:
    """A restored frame: luma codes (H, W) and the picture's codes (3 or 1, H, W), both 8-bit values in float64."""

    y: Tensor
    codes: Tensor


def choose(text: str, scale: int | None, *, is_ensemble: bool = False) -> Contestant:
    """Choose the model that `text` names, at `scale` (None: the model's own).

    Raises:
        UnknownModel, IncompatibleModel, WeightsMissing, WeightsCorrupt, UnsafeWeights: see `registry.choose`.
    """
    match = _STEPS.fullmatch(text)
    reference = match["reference"] if match else text
    steps = tuple(int(step) for step in match["steps"][1:].split("x")) if match else ()
    if scale is not None and steps and math.prod(steps) != scale:
        raise IncompatibleModel(
            f"{text} makes pictures {math.prod(steps)} times larger, not {scale} times",
            hint=f"Steps multiply: {reference}:x2x2 is x4.",
        )
    choices = [registry.choose(reference, step) for step in steps or (scale,)]
    card = choices[0].card
    name = Path(reference).name if choices[0].reference != card.id else card.family
    label = name + (f" {'·'.join(f'x{step}' for step in steps)}" if len(steps) > 1 else "")
    return Contestant(
        label=label + (" +tta" if is_ensemble else ""),
        reference=choices[0].reference if choices[0].reference != card.id else reference,
        steps=tuple(choice.scale for choice in choices),
        card=card,
        is_ensemble=is_ensemble,
    )


@dataclass(slots=True, kw_only=True)
class Runner:
    """Runs a contestant over clips. Opens its engines when made; `close` gives them back."""

    contestant: Contestant
    device: str = "cpu"
    watch: Stopwatch = field(default_factory=Stopwatch)
    _engines: tuple[Engine, ...] = field(init=False)

    def __post_init__(self) -> None:
        opened = {step: self._open(step) for step in set(self.contestant.steps)}
        self._engines = tuple(opened[step] for step in self.contestant.steps)

    def restore(self, footage: Footage) -> Iterator[Restored]:
        """Yield the clip's frames restored, in order; a clip shorter than a window repeats its ends.

        Raises:
            OutOfMemory, ChunkFailed, IncompatibleModel: of the engine.
        """
        domain = self.contestant.card.domain
        stream: Iterator[Picture] = _pictures(footage, domain, self.device)
        height, width = footage.lr[0].shape[:2]
        for engine in self._engines:
            height, width = height * engine.scale, width * engine.scale
            stream = self._run(engine, stream, height, width)
        for index, picture in enumerate(self._timed(stream)):
            yield _result(picture.data.cpu().double(), footage, index, domain)

    def close(self) -> None:
        for engine in set(self._engines):
            engine.close()

    def _open(self, step: int) -> Engine:
        engine = registry.open_engine(self.contestant.reference, scale=step, device=self.device, precision="fp32")
        return Ensemble(engine) if self.contestant.is_ensemble else engine

    def _run(self, engine: Engine, pictures: Iterator[Picture], height: int, width: int) -> Iterator[Picture]:
        restorer = Restorer(engine=engine, height=height, width=width, kernel=BICUBIC)
        size = engine.card.frames
        for window in windows(pictures, size=size, opens_shot=lambda picture: picture.opens_shot):
            yield restorer.restore([window])[0]

    def _timed(self, stream: Iterator[Picture]) -> Iterator[Picture]:
        while True:
            began = time.perf_counter()
            picture = next(stream, None)
            if picture is None:
                return
            if picture.data.is_cuda:
                torch.cuda.synchronize(picture.data.device)
            self.watch.seconds += time.perf_counter() - began
            self.watch.pixels += picture.data.shape[-2] * picture.data.shape[-1]
            yield picture


def _pictures(footage: Footage, domain: Domain, device: str) -> Iterator[Picture]:
    """Give LR as the engine is fed: luma codes 16 to 235 as black 0 and white 1, RGB codes 0 to 255."""
    for index, opens_shot in enumerate(footage.opens_shot):
        if domain == "y":
            data = (planes(footage.lr_luma[index]) - 16) / 219
        else:
            data = (planes(footage.lr[index]) / 255).expand(3, -1, -1)
        yield Picture(
            index=index,
            pts=index,
            duration=1,
            data=data.float().contiguous().to(device),
            domain=domain,
            opens_shot=opens_shot,
        )


def _result(data: Tensor, footage: Footage, index: int, domain: Domain) -> Restored:
    """Give a result as 8 bits hold it. Of a luma net chroma is LR's, enlarged by bicubic, as the papers' code does."""
    lr = planes(footage.lr[index])
    is_grey = lr.shape[0] == 1
    if domain == "rgb":
        codes = rounded((data.mean(dim=0, keepdim=True) if is_grey else data) * 255)
        return Restored(y=luma(codes), codes=codes)
    y = data[0] * 219 + 16
    if is_grey:
        return Restored(y=rounded(y), codes=rounded(y)[None])
    chroma = enlarged(ycc(lr)[1:], *y.shape)
    return Restored(y=rounded(y), codes=rounded(rgb(torch.cat([y[None], chroma]))))
