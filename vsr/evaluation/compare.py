"""Models x test sets -> figures and crops. Bicubic is always the first row.

All models run side by side on a clip, frame by frame, so that what is measured on HR (its motion) is measured once.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from vsr import __version__
from vsr.core.errors import UsageError, WeightsMissing
from vsr.core.events import Report, Warned, Worked, silent
from vsr.data.degrade import Degradation
from vsr.engines import registry
from vsr.engines.device import pick_device
from vsr.evaluation import cutouts, features, lpips, protocol, testsets
from vsr.evaluation.contestants import BASELINE, Contestant, Runner, choose
from vsr.evaluation.match import Distance, Match
from vsr.evaluation.metrics import check_names
from vsr.evaluation.results import ClipResult, Cutout, Evaluation, Figures, ModelResult, SetResult, mean_figures
from vsr.evaluation.testsets import Clip, TestSet
from vsr.io.probe import probe


def evaluate(
    models: Sequence[str],
    test_sets: Sequence[Path | str],
    *,
    scale: int | None = None,
    lr: Sequence[Path | str] = (),
    degradation: Degradation | None = None,
    ensemble: bool = False,
    frames_limit: int | None = 60,
    crops: int = 3,
    device: str = "auto",
    features_from: Path | str | None = None,
    lpips_from: tuple[Path, Path] | None = None,
    metrics: Collection[str] = (),
    seed: int = 0,
    report: Report = silent,
) -> Evaluation:
    """Measure models on test sets, beside bicubic.

    models: names, files, or either with steps or settings (`espcn:x2x2`, `sr3:steps=4,noise=static`); none: the best
    shipped one. seed: of random degradations, and of noise that a model draws. test_sets: see
    `evaluation.testsets`. scale: None takes that of `lr` or of the first model. lr: one folder or file for each test
    set, else LR is made by `degradation` (None: bicubic). ensemble: a second row for each model, run with its geometric
    self-ensemble. frames_limit: frames of each video, None for all. crops: clips a set that are cut out for the page.
    features_from: of the perceptual distance, None for `selffeat`. lpips_from: files of backbone and heads. metrics:
    names of `evaluation.metrics.METRICS`, none for all; VMAF is measured where ffmpeg has it, for videos.

    Raises:
        UsageError: nothing to compare, not one LR for each test set, or no such metric.
        InputError: a test set cannot be used. ModelError: a model cannot. DeviceError: the machine cannot.
    """
    if not test_sets:
        raise UsageError("no test set is named", hint="Name a folder of HR pictures, or a video.")
    if lr and len(lr) != len(test_sets):
        raise UsageError(f"{len(lr)} LR folders for {len(test_sets)} test sets", hint="Name one --lr for each.")
    places: Sequence[Path | None] = [Path(place) for place in lr] or [None] * len(test_sets)
    found = [testsets.find(Path(path), lr=place) for path, place in zip(test_sets, places, strict=True)]
    if scale is None and lr:
        scale = _scale_of(found[0].clips[0])
    contestants = _contestants(models, scale, ensemble)
    bench = _Bench(
        scale=_product(contestants[0].steps),
        degradation=degradation or Degradation(),
        limit=frames_limit,
        crops=crops,
        seed=seed,
        metrics=check_names(metrics),
        report=report,
    )
    bench.distances = bench.load_distances(features_from, lpips_from)
    place = pick_device(device)
    sets = []
    for path, test_set in zip(test_sets, found, strict=True):
        with torch.inference_mode(), ExitStack() as stack:
            runners = []
            for each in contestants:
                runners.append(Runner(contestant=each, device=place, seed=seed))
                stack.callback(runners[-1].close)
            sets.append(bench.run(test_set, str(path), runners))
    return Evaluation(
        scale=bench.scale,
        protocol=protocol.STATED.format(scale=bench.scale),
        machine=f"{place}, float32, torch threads: {torch.get_num_threads()}",
        version=__version__,
        sets=tuple(sets),
        warnings=tuple(bench.warnings),
    )


def _contestants(models: Sequence[str], scale: int | None, ensemble: bool) -> list[Contestant]:
    models = models or (registry.choose(None, scale).card.family,)
    if scale is None:
        scale = _product(choose(models[0], None).steps)
    chosen = [choose(BASELINE, scale)]
    for text in dict.fromkeys(models):
        alone = choose(text, scale)
        if text != BASELINE:
            chosen.append(alone)
        if ensemble and alone.card.parameters:  # kernels are symmetric: their ensemble is themselves
            chosen.append(choose(text, scale, is_ensemble=True))
    labels = [each.label for each in chosen]
    repeated = next((label for label in labels if labels.count(label) > 1), None)
    if repeated is not None:
        raise UsageError(f"two of the models are called {repeated}", hint="Rename one of the files.")
    return chosen


def _scale_of(clip: Clip) -> int:
    assert clip.lr is not None
    full, small = (probe(path, scan=False).video for path in (clip.path, clip.lr))
    return max(1, full.width // small.width)


def _product(steps: Sequence[int]) -> int:
    return int(np.prod(steps))


@dataclass(slots=True, kw_only=True)
class _Bench:
    """What is the same for every test set."""

    scale: int
    degradation: Degradation
    limit: int | None
    crops: int
    seed: int
    metrics: Collection[str]
    report: Report
    distances: Mapping[str, Distance] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    def load_distances(
        self, features_from: Path | str | None, lpips_from: tuple[Path, Path] | None
    ) -> dict[str, Distance]:
        loaded: dict[str, Distance] = {}
        if not {"selffeat", "vgg19", "lpips"} & set(self.metrics):
            return loaded
        try:
            net = features.load_features(features_from)
            loaded[net.name] = lambda a, b: features.distance(net, a, b)
        except WeightsMissing as error:
            if features_from is not None:
                raise
            self.warn(f"no perceptual distance: {error.message}")
        if lpips_from is not None:
            loaded["lpips"] = lpips.load_lpips(*lpips_from)
        return loaded

    def warn(self, message: str) -> None:
        self.warnings.append(message)
        self.report(Warned(message=message))

    def run(self, test_set: TestSet, source: str, runners: Sequence[Runner]) -> SetResult:
        """Run every model on every clip of one set."""
        results: list[list[ClipResult]] = [[] for _ in runners]
        cut: list[Cutout] = []
        own: list[float] = []
        shown = cutouts.spread(len(test_set.clips), self.crops)
        for number, clip in enumerate(test_set.clips):
            self._tick(test_set, number)
            footage = testsets.read(
                clip, scale=self.scale, degradation=self.degradation, seed=self.seed, limit=self.limit
            )
            match = Match(
                scale=self.scale,
                distances=self.distances,
                metrics=self.metrics,
                footage=footage,
                runners=runners,
                is_cut=number in shown,
            )
            for column, result in zip(results, match.play(), strict=True):
                column.append(result)
            cut += match.cutouts
            own += match.hr_warping
        self._tick(test_set, len(test_set.clips))
        return SetResult(
            name=test_set.name,
            source=source,
            lr="given" if test_set.clips[0].lr is not None else _words(self.degradation, self.seed),
            clips=len(test_set.clips),
            frames=sum(len(clip.frames) for clip in results[0]),
            has_video=test_set.has_video,
            models=tuple(_summed(runner, tuple(clips)) for runner, clips in zip(runners, results, strict=True)),
            hr_warping_error=float(np.sqrt(np.mean(np.square(own)))) if own else None,
            cutouts=tuple(cut),
        )

    def _tick(self, test_set: TestSet, done: int) -> None:
        self.report(Worked(done=done, total=len(test_set.clips), unit="clips", note=test_set.name))


def _summed(runner: Runner, clips: tuple[ClipResult, ...]) -> ModelResult:
    contestant = runner.contestant
    return ModelResult(
        label=contestant.label,
        reference=contestant.reference,
        card=contestant.card.id,
        steps=contestant.steps,
        parameters=contestant.card.parameters,
        figures=_over_clips(clips),
        ms_per_megapixel=runner.watch.ms_per_megapixel,
        clips=clips,
    )


def _over_clips(clips: Sequence[ClipResult]) -> Figures:
    return mean_figures((clip.figures for clip in clips), is_over_frames=False)


def _words(degradation: Degradation, seed: int) -> str:
    if degradation.kind == "bicubic":
        return "bicubic (MATLAB's: a = -0.5, antialiased, mirrored borders), rounded to 8 bits"
    if degradation.kind == "gauss+decimate":
        return f"Gaussian (sigma {degradation.sigma or '0.4 x scale'} HR pixels), every s-th pixel"
    return (
        f"realistic (blur {degradation.blur}, resize {', '.join(degradation.resize)}, shot noise "
        f"{degradation.shot_noise}, noise {degradation.noise}, JPEG {degradation.jpeg} in {degradation.jpeg_share:.0%}"
        f", {', '.join(degradation.codecs)} at crf {degradation.crf} in {degradation.video_share:.0%}), seed {seed}"
    )
