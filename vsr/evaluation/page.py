"""An Evaluation as one HTML page that needs nothing else, and the folder of reports it lies in.

`page.css` and `page.js` beside this file are put into the page; its policy forbids it to load anything.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping
from html import escape
from pathlib import Path

from vsr.core.errors import OutputError, OutputExists
from vsr.evaluation.curves import COLORS, curves
from vsr.evaluation.metrics import METRICS
from vsr.evaluation.results import Cutout, Evaluation, SetResult
from vsr.evaluation.tables import as_json, best_rows, column_names, describe, markdown, stated, table, told
from vsr.io.atomic import check_writable, staged, translate

REPORTS = ("report.md", "report.json", "report.html")
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"


def check_output(folder: Path, *, overwrite: bool) -> None:
    """Refuse a folder that reports cannot be written to, before any work.

    Raises:
        OutputExists: there are reports, and `overwrite` is not set.
        OutputError: it is a file, or cannot be written.
    """
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{folder} is a file, not a folder", hint="Name a folder with -o.")
    there = [folder / name for name in REPORTS if (folder / name).exists()]
    if there and not overwrite:
        raise OutputExists(f"{there[0]} exists", hint="Add --overwrite to replace it, or name another folder with -o.")
    check_writable(folder / REPORTS[0] if folder.is_dir() else folder)


def write_reports(evaluation: Evaluation, folder: Path, *, overwrite: bool) -> None:
    """Write Markdown, JSON and the page; each is whole or not there.

    Raises:
        OutputExists, OutputError, DiskFull: they cannot be written.
    """
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise translate(error, folder) from error
    for name, text in zip(REPORTS, (markdown(evaluation), as_json(evaluation), page(evaluation)), strict=True):
        with staged(folder / name, overwrite=overwrite) as part:
            part.write_text(text, encoding="utf-8")


def page(evaluation: Evaluation) -> str:
    """Give the page: a section a test set with its table, its crops under a slider, and curves of its videos."""
    here = Path(__file__).resolve().parent
    style, script = ((here / name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    title = f"x{evaluation.scale}: {', '.join(test_set.name for test_set in evaluation.sets)}"
    used = {metric.name for test_set in evaluation.sets for metric in test_set.metrics}
    meanings = "".join(
        f"<dt>{escape(metric.label)}</dt><dd>{escape(describe(metric))}</dd>"
        for metric in METRICS
        if metric.name in used
    )
    warnings = "".join(f'<p class="warning">{escape(warning)}</p>' for warning in evaluation.warnings)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>\n{style}</style>\n</head>\n<body>\n"
        f"<h1>{escape(title)}</h1>\n<p>{escape(stated(evaluation))}</p>\n{warnings}"
        f"{''.join(_section(test_set) for test_set in evaluation.sets)}"
        f"<h2>What the figures are</h2>\n<dl>{meanings}</dl>\n<script>\n{script}</script>\n</body>\n</html>\n"
    )


def _section(test_set: SetResult) -> str:
    parts = [f"<h2>{escape(test_set.name)}</h2>\n<p>{escape(told(test_set))}</p>\n", _table(test_set)]
    parts += [_cutout(test_set, cutout) for cutout in test_set.cutouts]
    if test_set.has_video:
        parts.append(curves(test_set))
    return "".join(parts)


def _table(test_set: SetResult) -> str:
    headers, rows = table(test_set)
    names = column_names(test_set)
    best = best_rows(test_set)
    head = "".join(f'<th scope="col"><button type="button">{escape(header)}</button></th>' for header in headers)
    body = []
    for number, (model, row) in enumerate(zip(test_set.models, rows, strict=True)):
        values = {**model.figures, "parameters": float(model.parameters), "speed": model.ms_per_megapixel}
        swatch = f'<span class="swatch" style="background:var(--s{number % COLORS})"></span>'
        cells = [f'<td data-value="{escape(row[0])}">{swatch}{escape(row[0])}</td>']
        for name, cell in zip(names, row[1:], strict=True):
            is_best = number in best.get(name, ())
            mark = ' class="best"' if is_best else ""
            cells.append(f'<td{mark} data-value="{_sortable(values.get(name))}">{escape(cell)}</td>')
        body.append(f"<tr>{''.join(cells)}</tr>\n")
    return (
        f'<div class="scroll"><table class="sortable"><thead><tr>{head}</tr></thead>\n'
        f"<tbody>\n{''.join(body)}</tbody></table></div>\n"
    )


def _sortable(value: float | None) -> str:
    if value is None:
        return ""
    return repr(value) if math.isfinite(value) else "1e99"


def _cutout(test_set: SetResult, cutout: Cutout) -> str:
    labels = list(cutout.pictures)
    captions = _captions(test_set, cutout)
    first = min(2, len(labels) - 1)  # bicubic on the left, the first model, where there is one, on the right
    strip = "".join(
        f'<figure><img alt="{escape(label)}" src="data:image/png;base64,{base64.b64encode(png).decode()}">'
        f"<figcaption><b>{escape(label)}</b> {escape(captions.get(label, ''))}</figcaption></figure>"
        for label, png in cutout.pictures.items()
    )
    is_video = any(clip.name == cutout.clip and len(clip.frames) > 1 for clip in test_set.models[0].clips)
    place = f"{cutout.clip}{f', frame {cutout.frame}' if is_video else ''}"
    return (
        f"<h3>{escape(place)}</h3>\n"
        '<div class="cutout"><div class="compare"><div class="choose">'
        f"{_select('left', labels, 1)}{_select('right', labels, first)}</div>"
        '<div class="stage" style="--cut: 50%"><div class="side right"></div><div class="side left"></div>'
        '<div class="bar"></div><input type="range" min="0" max="100" value="50" '
        'aria-label="where the left picture ends"></div></div>'
        f'<div class="strip">{strip}</div></div>\n'
    )


def _select(side: str, labels: list[str], chosen: int) -> str:
    options = "".join(
        f"<option{' selected' if number == chosen else ''}>{escape(label)}</option>"
        for number, label in enumerate(labels)
    )
    return f'<select class="{side}" aria-label="{side} picture">{options}</select>'


def _captions(test_set: SetResult, cutout: Cutout) -> Mapping[str, str]:
    """Give each model's PSNR on the whole frame that the crop is of."""
    found = {}
    for model in test_set.models:
        frame = next((clip.frames[cutout.frame] for clip in model.clips if clip.name == cutout.clip), {})
        if math.isfinite(frame.get("psnr_y", math.inf)):
            found[model.label] = f"{frame['psnr_y']:.2f} dB"
    return found
