"""An Evaluation as text: Markdown for people, plain data for programs. The page is `evaluation/page.py`."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping

from vsr.evaluation.metrics import Metric
from vsr.evaluation.results import Evaluation, ModelResult, SetResult


def markdown(evaluation: Evaluation) -> str:
    """Give a table a test set; the best figure of each column is bold, HR's own left aside."""
    parts = [f"# x{evaluation.scale}: {', '.join(test_set.name for test_set in evaluation.sets)}", stated(evaluation)]
    for test_set in evaluation.sets:
        headers, rows = table(test_set)
        parts.append(f"## {_plain(test_set.name)}\n\n{told(test_set)}")
        best = best_rows(test_set)
        lines = [headers, ["---", *["---:"] * (len(headers) - 1)]]
        for number, row in enumerate(rows):
            cells = [_plain(row[0])]
            for name, cell in zip(column_names(test_set), row[1:], strict=True):
                cells.append(f"**{cell}**" if number in best.get(name, ()) else cell)
            lines.append(cells)
        parts.append("\n".join(f"| {' | '.join(line)} |" for line in lines))
    used = {metric.name: metric for test_set in evaluation.sets for metric in test_set.metrics}
    parts.append("\n".join(f"- {metric.label}: {describe(metric)}" for metric in used.values()))
    parts += [f"Warning: {warning}" for warning in evaluation.warnings]
    return "\n\n".join(parts) + "\n"


def stated(evaluation: Evaluation) -> str:
    """Give protocol, machine and version in one paragraph."""
    return f"{evaluation.protocol} {evaluation.machine}; vsr {evaluation.version}."


def told(test_set: SetResult) -> str:
    """Give what a set is and how its LR came about."""
    kind = "clip" if test_set.has_video else "picture"
    text = f"{test_set.clips} {kind}{'' if test_set.clips == 1 else 's'}" + (
        f", {test_set.frames} frames" if test_set.has_video else ""
    )
    text += f". LR: {test_set.lr}."
    if test_set.hr_warping_error is not None:
        text += f" Warping error of HR itself: {test_set.hr_warping_error:.3f}."
    return text


def table(test_set: SetResult) -> tuple[list[str], list[list[str]]]:
    """Give headers and rows of text: label, figures, parameters, speed."""
    headers = ["model", *(heading(metric) for metric in test_set.metrics), "parameters", "ms/Mpx"]
    return headers, [row(test_set, model) for model in test_set.models]


def row(test_set: SetResult, model: ModelResult) -> list[str]:
    """Give one model's cells."""
    figures = [number(model.figures.get(metric.name), metric.digits) for metric in test_set.metrics]
    return [model.label, *figures, f"{model.parameters:,}", number(model.ms_per_megapixel, 0)]


def column_names(test_set: SetResult) -> list[str]:
    """Give the metric's name for each column after the label, the last two being none."""
    return [*(metric.name for metric in test_set.metrics), "parameters", "speed"]


def heading(metric: Metric) -> str:
    """Give a column's title: its label, unit, and which way is better."""
    way = {"high": "\u00a0↑", "low": "\u00a0↓", "one": "\u00a0→1", "none": ""}[metric.best]
    return f"{metric.label}{f' {metric.unit}' if metric.unit else ''}{way}"


def describe(metric: Metric) -> str:
    """Give a metric's meaning and which way is better."""
    better = {"high": " (higher is better)", "low": " (lower is better)", "one": " (1 is HR's)", "none": ""}[
        metric.best
    ]
    return f"{metric.meaning}{better}"


def number(value: float | None, digits: int) -> str:
    """Give a figure as it is printed; a dash where there is none."""
    if value is None:
        return "–"
    return f"{value:.{digits}f}" if math.isfinite(value) else "∞"


def best_rows(test_set: SetResult) -> dict[str, tuple[int, ...]]:
    """Give, by metric, the rows whose printed figure is the best; none where all are equal."""
    found = {}
    for metric in test_set.metrics:
        if metric.best == "none":
            continue
        ranks = {
            place: _rank(metric, round(model.figures[metric.name], metric.digits))
            for place, model in enumerate(test_set.models)
            if metric.name in model.figures
        }
        top = max(ranks.values())
        rows = tuple(place for place, rank in ranks.items() if rank == top)
        if len(rows) < len(ranks):
            found[metric.name] = rows
    return found


def _rank(metric: Metric, value: float) -> float:
    return {"high": value, "low": -value, "one": -abs(value - 1)}[metric.best]


def document(evaluation: Evaluation) -> Mapping[str, object]:
    """Give everything but the crops as plain data: figures unrounded, per clip and per frame; infinity is null."""
    return {
        "scale": evaluation.scale,
        "protocol": evaluation.protocol,
        "machine": evaluation.machine,
        "version": evaluation.version,
        "warnings": list(evaluation.warnings),
        "sets": [
            {
                "name": test_set.name,
                "source": test_set.source,
                "lr": test_set.lr,
                "clips": test_set.clips,
                "frames": test_set.frames,
                "hr_warping_error": test_set.hr_warping_error,
                "models": [_model(model) for model in test_set.models],
            }
            for test_set in evaluation.sets
        ],
    }


def as_json(evaluation: Evaluation) -> str:
    """Give `document` as JSON text."""
    return json.dumps(document(evaluation), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _model(model: ModelResult) -> dict[str, object]:
    return {
        "label": model.label,
        "reference": model.reference,
        "card": model.card,
        "steps": list(model.steps),
        "parameters": model.parameters,
        "ms_per_megapixel": model.ms_per_megapixel,
        "figures": _finite(model.figures),
        "clips": [
            {"name": clip.name, "figures": _finite(clip.figures), "frames": [_finite(frame) for frame in clip.frames]}
            for clip in model.clips
        ],
    }


def _finite(figures: Mapping[str, float]) -> dict[str, float | None]:
    return {name: value if math.isfinite(value) else None for name, value in figures.items()}


def _plain(text: str) -> str:
    """Give text that Markdown takes as it is, in a table cell too."""
    return "".join(_escaped(text))


def _escaped(text: str) -> Iterable[str]:
    for letter in text:
        yield f"\\{letter}" if letter in "\\`*_[]<>|#" else " " if letter in "\r\n" else letter
