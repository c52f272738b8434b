"""One case of the matrix: made, upscaled as a user would, held against its source twice, and noted for the table."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from pathlib import Path

from tests.matrix.case import Case
from tests.matrix.checker import checked
from vsr.core.errors import VsrError
from vsr.jobs.run import upscale

LOG = "VSR_MATRIX_LOG"
HAS_VERIFY = importlib.util.find_spec("vsr.jobs.verify") is not None


@dataclass(kw_only=True)
class Outcome:
    """found: each property that the source has, and how the result differs in it. faults: what should not be."""

    case: str
    to: str
    found: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    refused: str = ""
    verify: dict[str, list[str]] = field(default_factory=dict)  # state -> checks
    faults: list[str] = field(default_factory=list)
    lost: dict[str, str] = field(default_factory=dict)
    unsure: list[str] = field(default_factory=list)


def tried(case: Case, folder: Path) -> Outcome:
    """Give what became of a case; its faults are for the test to raise."""
    source = case.make(folder)
    result = folder / f"out.{case.to}"
    outcome = Outcome(case=case.name, to=case.to, lost=dict(case.lost), unsure=sorted(case.unsure))
    try:
        summary = upscale(source, result, settings=case.settings)
    except VsrError as error:
        outcome.refused = f"exit {error.exit_code}: {error.message}"
        _judge_refusal(case, error, outcome)
        left = sorted(path.name for path in folder.iterdir() if path != source)
        outcome.faults += [f"left over: {', '.join(left)}"] if left else []
        return outcome
    outcome.warnings = [str(text) for text in summary.warnings]
    if case.refused:
        outcome.faults.append(f"was to be refused with exit {case.refused[0]}")
    outcome.found = checked(source, result, case.asked)
    _judge(case, outcome)
    outcome.faults += _strictly(case, source)
    if HAS_VERIFY:
        _verify(case, source, result, outcome)
    left = sorted(path.name for path in folder.iterdir() if path not in (source, result))
    outcome.faults += [f"left over: {', '.join(left)}"] if left else []
    return outcome


def _judge_refusal(case: Case, error: VsrError, outcome: Outcome) -> None:
    if case.refused is None:
        outcome.faults.append(f"refused, {outcome.refused}")
    elif error.exit_code != case.refused[0] or case.refused[1] not in error.message:
        outcome.faults.append(f"refused in other words, {outcome.refused}")


def _judge(case: Case, outcome: Outcome) -> None:
    """Hold what was found against what was written down by hand: no more may be lost, and no less."""
    for name, how in outcome.found.items():
        if name in case.unsure:
            continue
        if how and name not in case.lost:
            outcome.faults.append(f"{name}: {how}")
        if not how and name in case.lost:
            outcome.faults.append(f"{name} is kept, and stands in the list of losses")
    for name, words in case.lost.items():
        if name not in outcome.found:
            outcome.faults.append(f"{name} stands in the list of losses, and the source has none")
        if words and not any(words in text for text in outcome.warnings):
            outcome.faults.append(f"nobody was told of {name}: no warning says {words!r}")


def _strictly(case: Case, source: Path) -> list[str]:
    """With --strict nothing that would be lost is begun."""
    if not any(case.lost.values()):
        return []
    result = source.with_name(f"strict.{case.to}")
    work = result.with_name(f".{result.name}.vsr-work")
    faults = []
    try:
        upscale(source, result, settings={**case.settings, "strict": True})
        result.unlink()
        faults.append("--strict does not refuse what is lost")
    except VsrError:
        if work.exists():
            faults.append("--strict refuses what is lost only after the work")
            shutil.rmtree(work)
    return faults


def _verify(case: Case, source: Path, result: Path, outcome: Outcome) -> None:
    """Ask vsr itself: it must find the same whole, and must not call broken what is known to be lost."""
    from vsr.jobs.verify.entry import verify
    from vsr.jobs.verify.expected import Expected

    asked = case.asked
    is_woven = case.name.startswith("interlaced")
    plain: Expected = Expected(
        start=asked.start or None,
        stop=asked.stop,
        fields=asked.fields,
        is_turned=asked.is_turned,
        is_deinterlaced=asked.fields > 1 or (is_woven and case.settings.get("deinterlace") != "off"),
        audio=asked.has_sound,
        has_square_pixels=asked.has_square_pixels,
    )
    try:
        verdict = verify(source, result, expected=plain)
    except VsrError as error:
        outcome.faults.append(f"vsr verify gives up: {error.message}")
        return
    for finding in verdict.findings:
        outcome.verify.setdefault(finding.state, []).append(f"{finding.check}: {finding.detail}")
    if not verdict.holds:
        outcome.faults.append(f"vsr verify: {'; '.join(outcome.verify.get('broken', ['does not hold']))}")


def note(outcome: Outcome) -> None:
    """Write what became of a case to the log of the table, where one is asked for."""
    where = os.environ.get(LOG)
    if where:
        with Path(where).open("a", encoding="utf-8") as log:
            log.write(json.dumps(asdict(outcome), default=_plain) + "\n")


def _plain(value: object) -> object:
    return float(value) if isinstance(value, Fraction) else str(value)
