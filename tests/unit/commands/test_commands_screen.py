"""The screens, fed with recorded events and a clock of their own."""

from __future__ import annotations

import dataclasses
import io
import json
import logging
from collections.abc import Iterable, Iterator

import pytest
from rich.console import Console

from vsr.commands import screen
from vsr.core.events import Event, Planned, Progress, Summary, Warned, Worked, WorkerLoad

PLANNED = Planned(source="in.mp4", destination="out.mp4", frames=100, description="360p -> 720p")
WARNED = Warned(message="stream 3 is left out: no room")


def _summary() -> Summary:
    return Summary(
        source="in.mp4",
        destination="out.mp4",
        frames_in=100,
        frames_out=100,
        wall_s=4.0,
        cpu_s=7.0,
        cores=2,
        fps=25.0,
        bottleneck="",
        stages=(),
        width=64,
        height=48,
        size_bytes=1000,
        warnings=("stream 3 is left out: no room",),
    )


class FakeClock:
    """A clock that shows what the test says."""

    def __init__(self) -> None:
        self.time = 100.0

    def __call__(self) -> float:
        return self.time


def _progress(done: int, total: int = 100) -> Progress:
    return Progress(done=done, total=total, fps=25.0, eta_s=1.0)


def _recorded(count: int = 100) -> Iterator[Event]:
    yield PLANNED
    yield from (_progress(done, count) for done in range(1, count + 1))
    yield _summary()


def _play(report: screen.Report, events: Iterable[Event], clock: FakeClock, step_s: float) -> None:
    for event in events:
        report(event)
        clock.time += step_s


def test_plain_lines_come_every_five_percent_but_no_oftener_than_every_five_seconds(
    capsys: pytest.CaptureFixture[str],
) -> None:
    clock = FakeClock()
    _play(screen.PlainLines(clock), _recorded(), clock, step_s=2.0)  # 100 frames, 2 s each: 5 % are 10 s
    shown = [line for line in capsys.readouterr().err.splitlines() if "/100 frames" in line]
    assert [line.split("/")[0] for line in shown] == [str(done) for done in range(5, 101, 5)]

    clock = FakeClock()
    _play(screen.PlainLines(clock), _recorded(), clock, step_s=0.5)  # 5 % are 2.5 s: every 5 s then
    shown = [line for line in capsys.readouterr().err.splitlines() if "/100 frames" in line]
    assert [line.split("/")[0] for line in shown] == [str(done) for done in range(10, 101, 10)]


def test_a_log_is_never_silent_for_more_than_a_minute(capsys: pytest.CaptureFixture[str]) -> None:
    clock = FakeClock()
    report = screen.PlainLines(clock)
    _play(report, [_progress(done, 10_000) for done in range(1, 13)], clock, step_s=10.0)
    assert len(capsys.readouterr().err.splitlines()) == 1


def _measuring(done: int, total: int = 100) -> Worked:
    return Worked(done=done, total=total, unit="frames", note="measuring the pan")


def test_what_the_planner_measures_is_told_at_its_end_and_once_a_minute(capsys: pytest.CaptureFixture[str]) -> None:
    clock = FakeClock()
    _play(screen.PlainLines(clock), [_measuring(done) for done in range(10, 101, 10)], clock, step_s=14.0)
    assert capsys.readouterr().err.splitlines() == [f"measuring the pan, {done}/100 frames" for done in (60, 100)]


def test_the_live_line_shows_what_the_planner_measures() -> None:
    terminal, clock = io.StringIO(), FakeClock()
    live = screen.Live(Console(file=terminal, force_terminal=True, width=100), clock)
    _play(live, [PLANNED, _measuring(50), _progress(1)], clock, step_s=1.0)
    live.close()
    assert "measuring the pan, 50/100 frames" in terminal.getvalue()
    assert "1/100 frames, 25.0 fps" in terminal.getvalue()


def test_the_live_line_shows_each_of_several_workers() -> None:
    workers = tuple(WorkerLoad(worker=f"cpu #{k}", done=k, fps=float(k)) for k in (1, 3))
    terminal, clock = io.StringIO(), FakeClock()
    live = screen.Live(Console(file=terminal, force_terminal=True, width=100), clock)
    _play(live, [PLANNED, dataclasses.replace(_progress(4), workers=workers)], clock, step_s=1.0)
    live.close()
    assert "cpu #1 1.0 fps, cpu #3 3.0 fps" in terminal.getvalue()


def test_plain_progress_and_warnings_go_to_stderr_and_the_result_to_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    clock = FakeClock()
    _play(screen.PlainLines(clock), [PLANNED, WARNED, _progress(5), _summary()], clock, step_s=6.0)
    out, err = capsys.readouterr()
    assert err.splitlines() == [
        "in.mp4: 100 frames, 360p -> 720p",
        "warning: stream 3 is left out: no room",
        "5/100 frames (5 %), 25.0 fps, 1.0 s left",
    ]
    assert out.splitlines()[0] == "out.mp4" and "100 frames in = 100 frames out" in out
    assert "warning: stream 3" in out  # stdout is read without stderr here


def test_json_lines_are_objects_on_stdout_alone_and_progress_is_rationed(capsys: pytest.CaptureFixture[str]) -> None:
    clock = FakeClock()
    _play(screen.JsonLines(clock), [*_recorded(), WARNED], clock, step_s=0.1)
    out, err = capsys.readouterr()
    told = [json.loads(line) for line in out.splitlines()]
    assert err == ""
    assert [t["event"] for t in told if t["event"] != "progress"] == ["planned", "summary", "warning"]
    done = [t["done"] for t in told if t["event"] == "progress"]
    assert done[-1] == 100 and 15 <= len(done) <= 25  # 10 s of events, two a second


def test_the_live_line_shows_numbers_is_drawn_at_most_eight_times_a_second_and_is_gone_at_the_end(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = []
    monkeypatch.setattr(
        screen.Progress, "refresh", lambda self, real=screen.Progress.refresh: (drawn.append(clock.time), real(self))
    )
    terminal = io.StringIO()
    clock = FakeClock()
    live = screen.Live(Console(file=terminal, force_terminal=True, width=100), clock)
    _play(live, _recorded(), clock, step_s=0.02)  # 50 events a second for 2 s
    live.close()
    written = terminal.getvalue()
    assert "57/100 frames, 25.0 fps, 1.0 s left" in written
    assert "100/100 frames" in written
    assert len(drawn) <= 8 * 2 + 3
    assert "\x1b[?25h" in written  # the cursor is back
    assert "100 frames in = 100 frames out" in capsys.readouterr().out


def test_the_live_screen_takes_names_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    terminal = io.StringIO()
    live = screen.Live(Console(file=terminal, force_terminal=True, width=100))
    live(Planned(source="[red]a[/red]\x1b[2J.mp4", destination="b", frames=1, description=""))
    live.close()
    assert "[red]a[/red]\\x1b[2J.mp4" in terminal.getvalue()


@pytest.mark.parametrize(
    ("as_json", "quiet", "kind"), [(True, False, "JsonLines"), (True, True, "JsonLines"), (False, False, "PlainLines")]
)
def test_the_screen_fits_streams_and_flags(as_json: bool, quiet: bool, kind: str) -> None:
    with screen.open_screen(as_json=as_json, quiet=quiet, verbose=0) as report:
        assert type(report).__name__ == kind


def test_quiet_prints_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with screen.open_screen(as_json=False, quiet=True, verbose=0) as report:
        for event in [*_recorded(), WARNED]:
            report(event)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("quiet", "verbose", "level"),
    [(True, 0, logging.ERROR), (False, 0, logging.WARNING), (False, 1, logging.INFO), (False, 2, logging.DEBUG)],
)
def test_verbosity_sets_the_level_of_our_own_log(quiet: bool, verbose: int, level: int) -> None:
    with screen.open_screen(as_json=True, quiet=quiet, verbose=verbose):
        assert logging.getLogger("vsr").level == level
