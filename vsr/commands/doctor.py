"""`vsr doctor`: what this machine can do, tried and not assumed."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING

import click

from vsr.commands.lines import json_line
from vsr.commands.options import json_flag
from vsr.core.errors import DeviceError

if TYPE_CHECKING:
    from vsr.jobs.doctor import Finding

MARKS = {True: "ok", False: "FAILED", None: ""}


@click.command("doctor")
@json_flag("each finding")
def command(as_json: bool) -> None:
    """Check what this machine can do: libraries, devices, cores, memory, encoders (really opened), weights (digests).

    Exit code 5 if a check failed.

    \b
    vsr doctor
    """
    from vsr.jobs.doctor import report

    findings = report()
    if as_json:
        for finding in findings:
            click.echo(json_line(finding))
    else:
        _show(findings)
    failed = [f"{finding.name}: {finding.value}" for finding in findings if finding.ok is False]
    if failed:
        raise DeviceError(f"{len(failed)} of {len(findings)} checks failed", hint="\n".join(failed))


def _show(findings: Sequence[Finding]) -> None:
    from vsr.commands.tables import show_facts

    for section, found in groupby(findings, key=lambda finding: finding.section):
        show_facts(section, [(finding.name, _said(finding)) for finding in found])


def _said(finding: Finding) -> str:
    mark = MARKS[finding.ok]
    return finding.value if mark in ("", finding.value) else f"{finding.value} [{mark}]"
