"""What people see of counted work: one bar a unit, notes and warnings above it, nothing where nothing is wanted."""

from __future__ import annotations

import pytest

from vsr.commands.bars import open_bar
from vsr.core.events import Noted, Warned, Worked


def test_a_count_in_another_unit_gets_a_bar_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    with open_bar(as_json=False, quiet=False) as report:
        report(Worked(done=9, total=9, unit="files"))
        report(Worked(done=1, total=670, unit="updates"))
    files, updates = [line.rsplit("\r", 1)[-1] for line in capsys.readouterr().err.strip("\n").split("\n")]
    assert "9/9" in files and "files" in files
    assert "1/670" in updates and "updates" in updates and "files" not in updates


def test_a_note_is_no_warning(capsys: pytest.CaptureFixture[str]) -> None:
    with open_bar(as_json=False, quiet=False) as report:
        report(Noted(message="670 updates"))
        report(Warned(message="one file is damaged"))
    assert capsys.readouterr().err.splitlines() == ["670 updates", "warning: one file is damaged"]


def test_quiet_shows_nothing_and_json_goes_to_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    with open_bar(as_json=False, quiet=True) as report:
        report(Warned(message="one file is damaged"))
    assert capsys.readouterr() == ("", "")
    with open_bar(as_json=True, quiet=False) as report:
        report(Noted(message="670 updates"))
    assert capsys.readouterr() == ('{"event": "noted", "message": "670 updates"}\n', "")
