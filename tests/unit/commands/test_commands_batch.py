"""`vsr batch`: flags become a wish, and what came of it an exit code; events of a folder as lines, JSON and tables."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import pytest
from rich.console import Console

from tests.unit.commands.conftest import StandIn
from vsr import cli
from vsr.commands import lines, screen
from vsr.core.events import Event, FileEnded, FolderListed, FolderProgress, FolderSummary
from vsr.core.settings import Resolved
from vsr.core.stop import Stop
from vsr.jobs.folder.wish import Wish


def ended(status: str = "done", number: int = 1, **other: object) -> FileEnded:
    facts: dict[str, object] = {"source": "in/a.mp4", "destination": "out/a.mp4", "total": 3, "wall_s": 10.2, **other}
    return FileEnded(status=status, number=number, **facts)  # type: ignore[arg-type]


def summary(**counts: object) -> FolderSummary:
    facts: dict[str, object] = dict.fromkeys(("done", "earlier", "skipped", "failed", "taken", "left", "others"), 0)
    facts |= {"source": "in", "destination": "out", "results": "out/results.jsonl", "frames": 0}
    return FolderSummary(**(facts | {"wall_s": 20.0, "fps": 12.5} | counts))  # type: ignore[arg-type]


LISTED = FolderListed(source="in", destination="out", files=120, to_do=77, others={".txt": 8, "": 4})
PROGRESS = FolderProgress(
    done=5, total=77, share=0.12, eta_s=40.0, fps=24.81, file="b.mp4", file_done=100, file_total=250
)


class Calls:
    """Stands in for `jobs.folder`, and remembers what it was asked."""

    def __init__(self, result: FolderSummary) -> None:
        self.result = result
        self.wish: Wish | None = None
        self.resolved: Resolved | None = None
        self.settle_s: float | None = None
        self.asks: int | None = None

    def run_folder(self, wish: Wish, resolved: Resolved, report: object, *, stop: Stop, command: str) -> FolderSummary:
        self.wish, self.resolved = wish, resolved
        if self.asks is not None:
            stop.ask(self.asks)
        return self.result

    def watch_folder(
        self, wish: Wish, resolved: Resolved, report: object, *, stop: Stop, settle_s: float, command: str
    ) -> FolderSummary:
        self.settle_s = settle_s
        stop.ask()
        return self.result


@pytest.fixture
def calls(stand_in: StandIn) -> Calls:
    made = Calls(summary(done=2))
    stand_in("vsr.jobs.folder.entry", run_folder=made.run_folder, watch_folder=made.watch_folder)
    return made


def test_urls_stay_what_was_typed(calls: Calls) -> None:
    assert cli.main(["batch", "s3://in//films", "gs://out/films", "-m", "espcn", "-q"]) == 0
    assert calls.wish is not None
    assert (calls.wish.source, calls.wish.destination) == ("s3://in//films", "gs://out/films")


def test_flags_become_a_wish(calls: Calls, tmp_path: Path) -> None:
    rules = tmp_path / "rules.toml"
    rules.write_text('[[rule]]\nskip = "x"')
    words = ["in", "out", "--name", "{stem}_{ext}{suffix}", "--include", "*.mkv", "--include", "a/*", "--exclude", "b"]
    words += ["--no-recursive", "--rules", str(rules), "--skip-height", "2160", "--no-usual-rules", "--retry", "2"]
    assert cli.main(["batch", *words, "-m", "espcn", "--scale", "2", "--overwrite", "-q"]) == 0
    wish, resolved = calls.wish, calls.resolved
    assert wish is not None and resolved is not None
    assert (wish.source, wish.destination, wish.name) == (Path("in"), Path("out"), "{stem}_{ext}{suffix}")
    assert (wish.include, wish.exclude, wish.is_recursive) == (("*.mkv", "a/*"), ("b",), False)
    assert (wish.rules[0].skip, wish.skip_height, wish.is_usual, wish.retry) == ("x", 2160, False, 2)
    settings = resolved.settings
    assert (settings.engine.model, settings.engine.scale, settings.run.overwrite) == ("espcn", 2.0, True)
    assert resolved.origins["scale"] == "flag"


def test_without_flags_the_usual_holds(calls: Calls) -> None:
    assert cli.main(["batch", "in", "out"]) == 0
    assert calls.wish == Wish(source=Path("in"), destination=Path("out"))


def test_failures_are_code_9(calls: Calls, capsys: pytest.CaptureFixture[str]) -> None:
    calls.result = summary(done=5, failed=2, earlier=1)
    assert cli.main(["batch", "in", "out"]) == 9
    assert "error: 2 files failed, 6 are done\nhint: out/results.jsonl tells why." in capsys.readouterr().err


@pytest.mark.parametrize("code", [130, 143])
def test_a_stop_is_its_own_code_even_when_some_failed(
    code: int, calls: Calls, capsys: pytest.CaptureFixture[str]
) -> None:
    calls.result, calls.asks = summary(done=5, failed=2, left=3), code
    assert cli.main(["batch", "in", "out"]) == code
    assert "stopped: 5 files are done, 3 are left" in capsys.readouterr().err


def test_a_stop_that_stopped_nothing_is_none(calls: Calls) -> None:
    calls.asks = 130
    assert cli.main(["batch", "in", "out"]) == 0


def test_what_others_have_taken_is_no_failure(calls: Calls) -> None:
    calls.result = summary(taken=3)
    assert cli.main(["batch", "in", "out"]) == 0


def test_watching_ends_well_by_ctrl_c(calls: Calls) -> None:
    assert cli.main(["batch", "in", "out", "--watch", "--settle", "2.5"]) == 0
    assert calls.settle_s == 2.5
    calls.result = summary(failed=1)
    assert cli.main(["batch", "in", "out", "--watch"]) == 9


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--watch", "--dry-run"], "exclude each other"),
        (["--rules", "absent.toml"], "cannot read rules"),
        (["--skip-height", "0"], "0 is not in the range"),
        (["--scael", "2"], "--scale"),
    ],
)
def test_what_cannot_be(words: list[str], said: str, calls: Calls, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["batch", "in", "out", *words]) == 2
    assert said in capsys.readouterr().err


def test_the_help_loads_no_engine(stand_in: StandIn, capsys: pytest.CaptureFixture[str]) -> None:
    stand_in("vsr.jobs.folder.wish")
    assert cli.main(["batch", "--help"]) == 0
    assert "--retry" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("event", "name"),
    [
        (LISTED, "folder"),
        (PROGRESS, "folder_progress"),
        (ended(), "file"),
        (summary(files=(ended(),)), "folder_summary"),
    ],
)
def test_an_event_is_one_line_of_json(event: Event, name: str) -> None:
    line = lines.event_line(event)
    assert json.loads(line)["event"] == name
    assert "\n" not in line


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (lines.folder_line(LISTED), "in: 120 files, 77 to do; 12 others passed over (8 .txt, 4 without a suffix)"),
        (
            lines.folder_progress_line(PROGRESS),
            "5/77 files (12 %), 24.8 fps, 0:40 left; b.mp4: 100/250 frames",
        ),
        (lines.file_line(ended(frames=250)), "[1/3] done: out/a.mp4 (250 frames, 0:10)"),
        (lines.file_line(ended("failed", reason="it breaks off")), "[1/3] failed: in/a.mp4: it breaks off"),
        (lines.file_line(ended("left", source="a\n\x1b.mp4")), "[1/3] left: a\\n\\x1b.mp4"),
        (lines.folder_summary_line(summary()), "out: nothing to do"),
        (
            lines.folder_summary_line(summary(done=7, earlier=4, failed=2, taken=1, left=3, frames=250)),
            "out: 7 done, 4 done earlier, 2 failed, 1 taken by another process, 3 left; 250 frames in 0:20 (12.50 fps)",
        ),
    ],
)
def test_lines(said: str, expected: str) -> None:
    assert said == expected


def many() -> tuple[FileEnded, ...]:
    return (*(ended(number=n) for n in range(30)), ended("failed", reason="no"), ended("taken"))


def test_a_log_has_each_file_and_a_table_of_what_is_not_done(capsys: pytest.CaptureFixture[str]) -> None:
    report = screen.PlainLines()
    for event in (LISTED, ended("earlier"), ended(), ended("failed", reason="no"), summary(failed=1, files=many())):
        report(event)
    out, err = capsys.readouterr()
    assert [line.split()[1:2] for line in err.splitlines()] == [["120"], ["done:"], ["failed:"]]
    assert [line.split()[0] for line in out.splitlines()] == ["file", "failed", "taken", "out:"]


def test_a_table_of_few_files_has_them_all(capsys: pytest.CaptureFixture[str]) -> None:
    screen.PlainLines()(summary(done=2, files=(ended(frames=6), ended(frames=7))))
    rows = capsys.readouterr().out.splitlines()
    assert [row.split()[2] for row in rows[1:-1]] == ["6", "7"]


def test_a_long_table_ends_somewhere(capsys: pytest.CaptureFixture[str]) -> None:
    screen.PlainLines()(summary(failed=300, files=tuple(ended("failed") for _ in range(300))))
    out = capsys.readouterr().out
    assert out.count("failed  ") == screen.MOST_FILES
    assert "and 200 more: see out/results.jsonl" in out


def test_progress_in_a_log_comes_now_and_then(capsys: pytest.CaptureFixture[str]) -> None:
    now = [0.0]
    report = screen.PlainLines(lambda: now[0])
    for step in range(101):
        now[0] += 2.0
        report(FolderProgress(done=step, total=100, share=step / 100, eta_s=1.0, fps=1.0))
    told = [line.split("/")[0] for line in capsys.readouterr().err.splitlines()]
    assert told == [str(step) for step in range(5, 101, 5)]


def test_json_progress_at_most_twice_a_second(capsys: pytest.CaptureFixture[str]) -> None:
    report = screen.JsonLines(lambda: 7.0)
    for _ in range(5):
        report(PROGRESS)
    report(ended())
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_on_a_terminal_a_live_line_shows_the_queue() -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=120)
    live = screen.Live(console)
    live(LISTED)
    live._drawn = -1e9
    live(PROGRESS)
    live(ended("failed", reason="no"))
    live.close()
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", out.getvalue())
    assert "120 files, 77 to do" in text
    assert "5/77 files, 24.8 fps, 0:40 left" in text
    assert "b.mp4 100/250" in text
    assert "failed: in/a.mp4: no" in text


def test_what_began_anew_goes_on_without_restart(calls: Calls, capsys: pytest.CaptureFixture[str]) -> None:
    """The same words again would throw away what is done."""
    calls.result, calls.asks = summary(done=1, left=3), 130
    assert cli.main(["batch", "in", "out", "--restart"]) == 130
    said = capsys.readouterr().err
    assert "stopped: 1 file is done, 3 are left" in said
    assert "Run the same command without --restart again to go on." in said
    calls.result, calls.asks = summary(failed=1), None
    assert cli.main(["batch", "in", "out", "--restart"]) == 9
    assert "The same command without --restart tries again what is not done." in capsys.readouterr().err


def test_what_exists_is_made_anew_by_overwrite(calls: Calls, capsys: pytest.CaptureFixture[str]) -> None:
    """The same command alone would fail in the same way."""
    calls.result = summary(failed=1, files=(ended("failed", error="OutputExists"),))
    assert cli.main(["batch", "in", "out"]) == 9
    assert "Add --overwrite to make anew what exists." in capsys.readouterr().err
    calls.result = summary(failed=1, files=(ended("failed", error="InputError"),))
    assert cli.main(["batch", "in", "out"]) == 9
    assert "--overwrite" not in capsys.readouterr().err
