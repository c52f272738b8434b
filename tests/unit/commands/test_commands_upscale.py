"""`vsr upscale` calls one function each: plan, run, or describe. What those do is tested where they live."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner, Result

from tests.unit.commands.conftest import StandIn
from vsr.cli import vsr
from vsr.core.errors import SettingsError
from vsr.core.events import Planned, Progress, Report, silent
from vsr.core.settings import Resolved
from vsr.core.stop import Stop


class Calls:
    """Stands in for the jobs: remembers what it was asked for."""

    def __init__(self) -> None:
        self.planned: list[tuple[Path, Path | None, Resolved]] = []
        self.ran: list[object] = []

    def plan(self, source: Path, destination: Path | None, resolved: Resolved, *, report: Report = silent) -> object:
        self.planned.append((source, destination, resolved))
        report(Planned(source=str(source), destination=str(destination), frames=2, description="x2"))
        return SimpleNamespace(name="job")

    def make(
        self, source: str, output: str | None, resolved: Resolved, report: Report, *, stop: Stop, command: str
    ) -> None:
        assert not stop.asked
        job = self.plan(Path(source), Path(output) if output else None, resolved, report=report)
        self.ran.append(job)
        report(Progress(done=2, total=2, fps=1.0, eta_s=0.0))


@pytest.fixture
def calls(stand_in: StandIn) -> Calls:
    made = Calls()
    stand_in("vsr.jobs.plan", plan=made.plan)
    stand_in("vsr.jobs.run", make=made.make)
    stand_in("vsr.jobs.describe", estimate=lambda job: 12.5, to_toml=lambda job, seconds: f"seconds = {seconds}\n")
    return made


def _upscale(*words: str) -> Result:
    return CliRunner().invoke(vsr, ["upscale", *words], catch_exceptions=False)


def test_flags_and_preset_are_resolved_and_the_planned_job_is_run(calls: Calls) -> None:
    result = _upscale("in.mp4", "-o", "out.mkv", "--preset", "archive", "--scale", "3")
    ((source, destination, resolved),) = calls.planned
    assert (result.exit_code, source, destination) == (0, Path("in.mp4"), Path("out.mkv"))
    assert (resolved.settings.engine.scale, resolved.origins["scale"]) == (3.0, "flag")
    assert (resolved.settings.encode.codec, resolved.origins["codec"]) == ("ffv1", "preset archive")
    assert calls.ran == [SimpleNamespace(name="job")]


@pytest.mark.parametrize("name", ["-dash.mp4", "--help", "100%d.mp4", "sp ace 'q' \"d\".mp4", "🎬.mp4"])
def test_any_name_is_a_name_after_a_bare_double_dash(calls: Calls, name: str) -> None:
    assert _upscale("-o", "out.mp4", "--", name).exit_code == 0
    assert calls.planned[0][0] == Path(name)


def test_a_dry_run_prints_the_plan_and_runs_nothing(calls: Calls) -> None:
    result = _upscale("in.mp4", "--dry-run")
    assert (result.stdout, calls.ran) == ("seconds = 12.5\n", [])


def test_with_json_stdout_holds_nothing_but_events(calls: Calls) -> None:
    result = _upscale("in.mp4", "--json")
    assert [json.loads(line)["event"] for line in result.stdout.splitlines()] == ["planned", "progress"]
    assert result.stderr == ""


def test_an_unknown_preset_is_refused_before_anything_is_planned(calls: Calls) -> None:
    with pytest.raises(SettingsError, match="no preset is named 'nope'"):
        _upscale("in.mp4", "--preset", "nope")
    assert calls.planned == []
