"""Contestants: what the user names as a model -> restored pictures of a clip.

`espcn` is a model; `espcn:x2x2` restores twice by x2, the second time what the first gave, without rounding between;
`sr3:steps=4,noise=static` samples a diffusion model so (`evaluation.sampling`), and both may stand behind one another;
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
from vsr.core.errors import IncompatibleModel, UsageError
from vsr.core.frame import Domain, Frame, Picture, pixel_format
from vsr.core.sampling import DIFFUSION, Sampling
from vsr.engines import registry
from vsr.engines.base import Engine
from vsr.engines.tta import Ensemble
from vsr.evaluation.protocol import enlarged, luma, planes, rgb, rounded, ycc
from vsr.evaluation.sampling import Asked, read
from vsr.evaluation.testsets import Footage
from vsr.filters import BICUBIC
from vsr.pipeline.infer import Restorer
from vsr.temporal import pan
from vsr.temporal.window import windows

BASELINE = "bicubic"
_PART = re.compile(r"(?P<rest>.+):(?:(?P<steps>x\d+(?:x\d+)*)|(?P<settings>\w[\w-]*=[^:]*))")


@dataclass(frozen=True, slots=True, kw_only=True)
class Contestant:
    """A model in a comparison. steps: the scales it is run at, one after the other; their product is the scale.

    sampling: of a diffusion model, None for its own choice throughout.
    """

    label: str
    reference: str
    steps: tuple[int, ...]
    card: ModelCard
    is_ensemble: bool = False
    sampling: Sampling | None = None


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
        UsageError: settings that there are not, or of a model that is no diffusion model.
    """
    reference, steps, asked = _taken_apart(text)
    if scale is not None and steps and math.prod(steps) != scale:
        raise IncompatibleModel(
            f"{text} makes pictures {math.prod(steps)} times larger, not {scale} times",
            hint=f"Steps multiply: {reference}:x2x2 is x4.",
        )
    frames = None if asked is None else asked.frames
    choices = [registry.choose(reference, step, frames) for step in steps or (scale,)]
    card = choices[0].card
    if asked is not None and asked.is_sampled and card.arch not in DIFFUSION:
        raise UsageError(
            f"{card.id} is no diffusion model: nothing of it is sampled", hint=f"Name it alone: {reference}."
        )
    name = Path(reference).name if choices[0].reference != card.id else card.family
    words = [
        name,
        *(["·".join(f"x{step}" for step in steps)] if len(steps) > 1 else []),
        *(asked.words if asked else ()),
    ]
    return Contestant(
        label=" ".join(words) + (" +tta" if is_ensemble else ""),
        reference=choices[0].reference if choices[0].reference != card.id else reference,
        steps=tuple(choice.scale for choice in choices),
        card=card,
        is_ensemble=is_ensemble,
        sampling=None if asked is None else asked.sampling,
    )


def _taken_apart(text: str) -> tuple[str, tuple[int, ...], Asked | None]:
    """Give the model, its scales (none: one run) and its settings; the last two stand behind colons, in any order."""
    reference = text
    steps: tuple[int, ...] = ()
    asked: Asked | None = None
    while match := _PART.fullmatch(reference):
        if match["steps"]:
            if steps:
                raise UsageError(f"{text} has steps of scale twice")
            steps = tuple(int(step) for step in match["steps"][1:].split("x"))
        else:
            if asked is not None:
                raise UsageError(f"{text} has settings twice", hint="Put commas between them: steps=4,noise=static.")
            asked = read(match["settings"])
        reference = match["rest"]
    return reference, steps, asked


@dataclass(slots=True, kw_only=True)
class Runner:
    """Runs a contestant over clips. Opens its engines when made; `close` gives them back. seed: of its noise."""

    contestant: Contestant
    device: str = "cpu"
    seed: int = 0
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
        places = _places(footage) if self._pans and len(footage.lr) > 1 else ()
        height, width = full = footage.lr[0].shape[:2]
        for engine in self._engines:
            height, width = height * engine.scale, width * engine.scale
            offsets = (pan.rounded(place, height // full[0]) for place in places)
            track = tuple((index, *offset) for index, offset in enumerate(offsets))
            stream = self._run(engine, stream, height, width, track)
        for index, picture in enumerate(self._timed(stream)):
            yield _result(picture.data.cpu().double(), footage, index, domain)

    def close(self) -> None:
        for engine in set(self._engines):
            engine.close()

    def _open(self, step: int) -> Engine:
        engine = registry.open_engine(
            self.contestant.reference,
            scale=step,
            device=self.device,
            precision="fp32",
            sampling=self.contestant.sampling,
        )
        return Ensemble(engine) if self.contestant.is_ensemble else engine

    @property
    def _pans(self) -> bool:
        """Whether noise enters the result, and moves with the picture."""
        sampling = self.contestant.sampling or Sampling()
        return self.contestant.card.arch in DIFFUSION and sampling.noise == "pan" and sampling.steps != 1

    def _run(
        self,
        engine: Engine,
        pictures: Iterator[Picture],
        height: int,
        width: int,
        track: tuple[tuple[int, int, int], ...],
    ) -> Iterator[Picture]:
        restorer = Restorer(engine=engine, height=height, width=width, seed=self.seed, track=track, kernel=BICUBIC)
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


def _places(footage: Footage) -> tuple[pan.Place, ...]:
    """Give how far each LR frame has moved since its shot began, as a job's plan measures it."""
    frames = (
        Frame(index=at, pts=at, duration=1, planes=(plane,), format=pixel_format("gray"), opens_shot=opens_shot)
        for at, (plane, opens_shot) in enumerate(zip(footage.lr_luma, footage.opens_shot, strict=True))
    )
    return tuple(pan.track(frames))


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
