"""Figures frame by frame as inline SVG: one drawing a metric, one line a model."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from vsr.evaluation.metrics import METRICS, Metric
from vsr.evaluation.results import ClipResult, SetResult
from vsr.evaluation.tables import heading

COLORS = 8  # the page's `--s0` .. `--s7`
CLIPS = 4  # drawn at most, the first ones
_DRAWN = ("psnr_y", "ssim_y", "temporal_error", "warping_error", "vmaf")
_WIDTH, _HEIGHT, _LEFT, _BOTTOM, _TOP, _RIGHT = 520, 210, 46, 26, 8, 8

Series = Sequence[float | None]


def curves(test_set: SetResult) -> str:
    """Give the curves of the set's clips of more than one frame."""
    parts = []
    moving = [number for number, clip in enumerate(test_set.models[0].clips) if len(clip.frames) > 1]
    for number in moving[:CLIPS]:
        clips = [model.clips[number] for model in test_set.models]
        drawings = [_figure(metric, clips) for metric in METRICS if metric.name in _DRAWN]
        parts.append(
            f"<h3>{escape(clips[0].name)}, frame by frame</h3>\n{_legend(test_set)}"
            f'<div class="curves">{"".join(drawings)}</div>\n'
        )
    return "".join(parts)


def _legend(test_set: SetResult) -> str:
    items = "".join(
        f'<span><span class="swatch" style="background:var(--s{number % COLORS})"></span>{escape(model.label)}</span>'
        for number, model in enumerate(test_set.models)
    )
    return f'<div class="legend">{items}</div>\n'


def _figure(metric: Metric, clips: Sequence[ClipResult]) -> str:
    lines: list[Series] = [[frame.get(metric.name) for frame in clip.frames] for clip in clips]
    values = [value for line in lines for value in line if value is not None and math.isfinite(value)]
    if not values:
        return ""
    return f"<figure><figcaption>{escape(heading(metric))}</figcaption>{_drawing(metric, lines, values)}</figure>\n"


def _drawing(metric: Metric, lines: Sequence[Series], values: Sequence[float]) -> str:
    marks = ticks(min(values), max(values))
    low, high = min(marks[0], *values), max(marks[-1], *values)
    count = max(2, len(lines[0]))

    def x(frame: float) -> float:
        return _LEFT + frame * (_WIDTH - _LEFT - _RIGHT) / (count - 1)

    def y(value: float) -> float:
        return _TOP + (high - value) * (_HEIGHT - _TOP - _BOTTOM) / (high - low)

    parts = [f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(metric.label)} by frame">']
    for mark in marks:
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y(mark):.1f}" y2="{y(mark):.1f}"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{y(mark) + 4:.1f}" text-anchor="end">{mark:g}</text>')
    for frame in sorted({0, (count - 1) // 2, count - 1}):
        anchor = "end" if frame == count - 1 else "middle"
        parts.append(f'<text x="{x(frame):.1f}" y="{_HEIGHT - 8}" text-anchor="{anchor}">{frame}</text>')
    for number, line in enumerate(lines):
        for run in _runs(line):
            points = " ".join(f"{x(frame):.1f},{y(value):.1f}" for frame, value in run)
            color = f'style="stroke:var(--s{number % COLORS})"'
            parts.append(f'<polyline class="curve" {color} points="{points}"/>')
    return "".join([*parts, "</svg>"])


def ticks(low: float, high: float) -> list[float]:
    """Give three to six round numbers that span [low, high], ascending."""
    span = max(high - low, abs(high) * 1e-3, 1e-6)
    power = 10.0 ** math.floor(math.log10(span / 3))
    step = next(factor * power for factor in (1, 2, 5, 10) if span / (factor * power) <= 4)
    first, last = math.floor(low / step), math.ceil(high / step)
    if first == last:
        last += 1
    return [round(k * step, 10) for k in range(first, last + 1)]


def _runs(line: Series) -> list[list[tuple[int, float]]]:
    """Give the stretches of frames that have a figure: a curve breaks where there is none (shot cuts)."""
    runs: list[list[tuple[int, float]]] = [[]]
    for frame, value in enumerate(line):
        if value is not None and math.isfinite(value):
            runs[-1].append((frame, value))
        elif runs[-1]:
            runs.append([])
    return [run for run in runs if run]
