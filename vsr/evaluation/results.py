"""What an evaluation found: plain data, from the whole down to one frame of one model."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from vsr.core.card import Score
from vsr.evaluation.metrics import METRICS, Metric

Figures = Mapping[str, float]  # by the metric's name; what could not be measured is absent


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipResult:
    """One model on one clip. frames: each frame's figures, in order. figures: of the clip."""

    name: str
    figures: Figures
    frames: tuple[Figures, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelResult:
    """One model on one test set. figures: means over the clips. ms_per_megapixel: of output, all of inference."""

    label: str
    reference: str
    card: str
    steps: tuple[int, ...]
    parameters: int
    figures: Figures
    ms_per_megapixel: float | None
    clips: tuple[ClipResult, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cutout:
    """A crop of one clip: PNG bytes of HR and of each model's result, by label."""

    clip: str
    frame: int
    left: int
    top: int
    side: int
    pictures: Mapping[str, bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class SetResult:
    """All models on one test set. hr_warping_error: HR's own, what a perfect result would have; None for pictures."""

    name: str
    source: str
    lr: str  # how LR came about, in words
    clips: int
    frames: int
    has_video: bool
    models: tuple[ModelResult, ...]
    hr_warping_error: float | None = None
    cutouts: tuple[Cutout, ...] = ()

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """The metrics that any model has a figure of, in the order of the tables."""
        return tuple(metric for metric in METRICS if any(metric.name in model.figures for model in self.models))


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """Models x test sets. The first model of each set is bicubic."""

    scale: int
    protocol: str
    machine: str
    version: str
    sets: tuple[SetResult, ...]
    warnings: tuple[str, ...] = field(default_factory=tuple)

    def figure(self, test_set: str, label: str, metric: str) -> float:
        """Give one figure.

        Raises:
            KeyError: there is none of these names.
        """
        found = {(s.name, model.label): model.figures for s in self.sets for model in s.models}
        return found[test_set, label][metric]


def scores(evaluation: Evaluation, label: str, metrics: Iterable[str] = ("psnr_y",)) -> tuple[Score, ...]:
    """Give a model's figures as its card keeps them: beside bicubic's, rounded as the tables show them."""
    digits = {metric.name: metric.digits for metric in METRICS}
    made = []
    for test_set in evaluation.sets:
        bicubic = test_set.models[0].figures
        model = next(model for model in test_set.models if model.label == label)
        made += [
            Score(
                test_set=test_set.name,
                metric=name,
                value=round(model.figures[name], digits[name]),
                bicubic=round(bicubic[name], digits[name]),
            )
            for name in metrics
            if name in model.figures
        ]
    return tuple(made)


def mean_figures(every: Iterable[Figures], *, is_over_frames: bool) -> Figures:
    """Give the mean of each figure over those that have it; over frames, an RMS stays one (a quadratic mean)."""
    columns: dict[str, list[float]] = {}
    for figures in every:
        for name, value in figures.items():
            columns.setdefault(name, []).append(value)
    quadratic = {metric.name for metric in METRICS if metric.is_rms} if is_over_frames else set()
    return {
        name: math.sqrt(_mean([value**2 for value in values])) if name in quadratic else _mean(values)
        for name, values in columns.items()
    }


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)
