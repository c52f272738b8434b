"""One clip, all models: restored side by side, measured frame by frame, so that HR's motion is found only once."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from vsr.evaluation import cutouts, lpips, protocol, video
from vsr.evaluation.contestants import Restored, Runner
from vsr.evaluation.metrics import Compared, measure
from vsr.evaluation.results import ClipResult, Cutout, mean_figures
from vsr.evaluation.testsets import Footage
from vsr.io import vmaf

_MOVING = {"temporal_error", "warping_error"}
Distance = Callable[[Tensor, Tensor], Tensor]  # of pictures (1, 3, H, W) in [0, 1]: (1,)


@dataclass(slots=True, kw_only=True)
class Match:
    """All models on one clip, frame by frame. cutouts, hr_warping (HR's own warping errors): filled by `play`."""

    scale: int
    distances: Mapping[str, Distance]
    metrics: Collection[str]
    footage: Footage
    runners: Sequence[Runner]
    is_cut: bool
    cutouts: list[Cutout] = field(default_factory=list)
    hr_warping: list[float] = field(default_factory=list)

    def play(self) -> list[ClipResult]:
        """Run and measure; one result a runner, in their order.

        Raises:
            VsrError: of an engine, or of the ffmpeg program.
        """
        frames: list[list[dict[str, float]]] = [[] for _ in self.runners]
        height, width = self.footage.hr[0].shape[:2]
        with ExitStack() as stack:
            sinks = None
            if self.footage.is_video and "vmaf" in self.metrics and min(height, width) >= vmaf.SMALLEST:
                sinks = _Sinks.open(stack, len(self.runners)) if vmaf.has_vmaf() else None
            before: tuple[Tensor, list[Tensor]] | None = None
            for index, restored in enumerate(self._side_by_side()):
                hr = protocol.planes(self.footage.hr[index])
                y = protocol.luma(hr)
                lr = protocol.planes(self.footage.lr[index])
                for column, each in zip(frames, restored, strict=True):
                    column.append(self._pictured(hr, y, lr, each))
                if before is not None and not self.footage.opens_shot[index] and _MOVING & set(self.metrics):
                    self._between(before, y, restored, frames)
                before = y, [each.y for each in restored]
                if sinks is not None:
                    sinks.write(y, [each.y for each in restored])
                if self.is_cut and index == len(self.footage.hr) // 2:
                    self._cut(index, restored)
            if sinks is not None:
                for column, values in zip(frames, sinks.measure(width, height), strict=True):
                    for figures, value in zip(column, values, strict=True):
                        figures["vmaf"] = value
        return [
            ClipResult(name=self.footage.name, figures=mean_figures(column, is_over_frames=True), frames=tuple(column))
            for column in frames
        ]

    def _side_by_side(self) -> Iterator[tuple[Restored, ...]]:
        return zip(*(runner.restore(self.footage) for runner in self.runners), strict=True)

    def _pictured(self, hr: Tensor, y: Tensor, lr: Tensor, restored: Restored) -> dict[str, float]:
        border = self.scale
        compared = Compared(
            hr_y=protocol.inside(y, border),
            sr_y=protocol.inside(restored.y, border),
            hr_rgb=protocol.inside(hr, border),
            sr_rgb=protocol.inside(restored.codes, border),
            lr=lr,
            restored=restored.codes,
            scale=self.scale,
        )
        figures = {name: value for name, value in measure(compared, self.metrics).items() if value is not None}
        pair = [(codes / 255).float().expand(3, -1, -1)[None] for codes in (compared.sr_rgb, compared.hr_rgb)]
        for name, distance in self.distances.items():
            if name != "lpips" or min(pair[0].shape[-2:]) >= lpips.SMALLEST:
                figures[name] = float(distance(*pair))
        return figures

    def _between(
        self,
        before: tuple[Tensor, list[Tensor]],
        y: Tensor,
        restored: Sequence[Restored],
        frames: Sequence[list[dict[str, float]]],
    ) -> None:
        """Add the figures between this frame and the one before, borders left out."""
        border = self.scale
        hr_before, hr_after = (protocol.inside(plane, border) for plane in (before[0], y))
        moved = video.motion(hr_before, hr_after)
        own = video.warping_error(hr_before, hr_after, moved)
        if own is not None:
            self.hr_warping.append(own)
        for column, earlier, each in zip(frames, before[1], restored, strict=True):
            sr_before, sr_after = (protocol.inside(plane, border) for plane in (earlier, each.y))
            column[-1]["temporal_error"] = video.temporal_error(sr_before, sr_after, hr_before, hr_after)
            error = video.warping_error(sr_before, sr_after, moved)
            if error is not None:
                column[-1]["warping_error"] = error

    def _cut(self, index: int, restored: Sequence[Restored]) -> None:
        pictures = {"HR": self.footage.hr[index]}
        for runner, each in zip(self.runners, restored, strict=True):
            pictures[runner.contestant.label] = protocol.pixels(each.codes)
        self.cutouts.append(cutouts.cut(self.footage.name, index, pictures))


@dataclass(slots=True, kw_only=True)
class _Sinks:
    """Raw luma of HR (the first file) and of each model, for libvmaf."""

    paths: list[Path]
    writers: list[vmaf.RawLuma]

    @classmethod
    def open(cls, stack: ExitStack, models: int) -> _Sinks:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="vsr-vmaf-")))
        paths = [folder / f"{number}.yuv" for number in range(models + 1)]
        return cls(paths=paths, writers=[stack.enter_context(vmaf.raw_luma(path)) for path in paths])

    def write(self, hr: Tensor, restored: Sequence[Tensor]) -> None:
        for writer, plane in zip(self.writers, [hr, *restored], strict=True):
            writer.write(plane.to(torch.uint8).numpy())

    def measure(self, width: int, height: int) -> list[tuple[float, ...]]:
        for writer in self.writers:
            writer.close()
        reference, *restored = self.paths
        return [vmaf.vmaf(path, reference, width=width, height=height) for path in restored]
