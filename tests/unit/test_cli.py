"""The door: exit codes, signals, pipes, help. What verbs do is tested with them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import click
import pytest

from vsr import __version__, cli
from vsr.core import errors
from vsr.core.errors import VsrError

Raise = Callable[[BaseException], None]


@pytest.fixture
def doctor_raises(monkeypatch: pytest.MonkeyPatch) -> Raise:
    """Give a function that makes `vsr doctor` raise what it is given."""

    def arm(error: BaseException) -> None:
        @click.command()
        @click.option("--json", "as_json", is_flag=True)
        def command(as_json: bool) -> None:
            raise error

        module = ModuleType("vsr.commands.doctor")
        vars(module)["command"] = command
        monkeypatch.setitem(sys.modules, "vsr.commands.doctor", module)

    return arm


def _kinds(kind: type[VsrError] = VsrError) -> list[type[VsrError]]:
    return [child for direct in kind.__subclasses__() for child in (direct, *_kinds(direct))]


@pytest.mark.parametrize("kind", _kinds(), ids=lambda kind: kind.__name__)
def test_every_error_ends_with_its_code_its_message_and_its_hint(
    kind: type[VsrError], doctor_raises: Raise, capsys: pytest.CaptureFixture[str]
) -> None:
    doctor_raises(kind("film.mp4 is odd", hint="Even it out."))
    assert cli.main(["doctor"]) == kind.exit_code
    assert capsys.readouterr() == ("", "error: film.mp4 is odd\nhint: Even it out.\n")


def test_with_json_an_error_is_one_object_on_stdout(doctor_raises: Raise, capsys: pytest.CaptureFixture[str]) -> None:
    error = errors.DecodeError("broken at pts 90")
    error.add_note("in the decode lane, item 3")
    doctor_raises(error)
    assert cli.main(["doctor", "--json"]) == 3
    out, err = capsys.readouterr()
    assert err == ""
    assert json.loads(out) == {
        "event": "error",
        "kind": "DecodeError",
        "message": "broken at pts 90",
        "hint": None,
        "notes": ["in the decode lane, item 3"],
        "exit_code": 3,
    }


def test_notes_of_an_error_are_shown(doctor_raises: Raise, capsys: pytest.CaptureFixture[str]) -> None:
    error = errors.ChunkFailed("no")
    error.add_note("in the infer lane, item 1")
    doctor_raises(error)
    assert cli.main(["doctor"]) == 7
    assert capsys.readouterr().err == "error: no\n       in the infer lane, item 1\n"


def test_an_unforeseen_exception_is_code_1_with_traceback_and_how_to_report(
    doctor_raises: Raise, capsys: pytest.CaptureFixture[str]
) -> None:
    doctor_raises(ZeroDivisionError("oops"))
    assert cli.main(["doctor"]) == 1
    err = capsys.readouterr().err
    assert "Traceback (most recent call last)" in err
    assert "error: ZeroDivisionError: oops" in err and "report it" in err


def test_a_broken_pipe_that_is_not_our_output_is_a_bug_too(
    doctor_raises: Raise, capsys: pytest.CaptureFixture[str]
) -> None:
    doctor_raises(BrokenPipeError(32, "some other pipe"))
    assert cli.main(["doctor"]) == 1
    assert "some other pipe" in capsys.readouterr().err


def test_ctrl_c_is_130(doctor_raises: Raise, capsys: pytest.CaptureFixture[str]) -> None:
    doctor_raises(KeyboardInterrupt())
    assert cli.main(["doctor"]) == 130
    assert "stopped by the user" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["upscal"], "No such command 'upscal'"),
        (["upscale"], "Missing argument 'INPUT'"),
        (["upscale", "a", "b"], "unexpected extra argument"),
        (["upscale", "a", "--scle", "2"], "--scale"),
        (["upscale", "a", "--codec", "mpeg2"], "'mpeg2' is not one of"),
        (["upscale", "a", "--stride", "0"], "stride must be at least 1, got 0"),
        (["upscale", "a", "--preset", "wep"], "no preset is named 'wep'"),
        (["presets", "show", "wep"], "Did you mean web?"),
        (["completion", "tcsh"], "'tcsh' is not one of"),
    ],
)
def test_a_wrong_command_line_is_code_2_and_says_what_is_wrong(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(words) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("error: ") and said in err


def test_json_as_a_file_name_after_a_bare_dash_is_no_flag(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["presets", "show", "--", "--json"]) == 2
    assert capsys.readouterr().err.startswith("error: no preset is named '--json'")


@pytest.mark.parametrize("words", [[], ["models"], ["presets"]])
def test_without_a_verb_the_help_is_the_answer(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(words) == 2
    assert "Usage: vsr" in capsys.readouterr().err


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"vsr {__version__}\n"


def test_the_handler_of_sigterm_is_put_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    cli.main(["--version"])
    assert signal.getsignal(signal.SIGTERM) is before


STUCK = """
import signal, sys, time, types, click
from vsr import cli
signal.signal(signal.SIGINT, signal.default_int_handler)  # a test run in the background inherits "ignore"
@click.command()
def command():
    print("ready", flush=True)
    time.sleep(60)
module = types.ModuleType("vsr.commands.doctor")
module.command = command
sys.modules[module.__name__] = module
sys.exit(cli.main(["doctor"]))
"""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_ends_the_program_with_the_code_shells_expect(number: signal.Signals, code: int) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", STUCK], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        assert process.wait(timeout=10) == code
        assert process.stderr.read().strip().startswith("error: stopped by")


def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    read, write = os.pipe()
    os.close(read)
    words = [sys.executable, "-m", "vsr", "reference"]
    ended = subprocess.run(words, stdout=write, stderr=subprocess.PIPE, text=True, check=False)
    os.close(write)
    assert (ended.returncode, ended.stderr) == (141, "")


HEAVY = "import sys; {}; print([n for n in ('torch', 'av', 'cv2', 'numpy', 'rich') if n in sys.modules])"


@pytest.mark.parametrize(
    "code",
    [
        "import vsr",
        "from vsr import cli; assert cli.main(['--help']) == 0",
        "from vsr import cli; assert cli.main(['upscale', '--help']) == 0",
        "from vsr import cli; assert cli.main(['presets', 'show', 'web']) == 0",
    ],
)
def test_help_loads_nothing_heavy(code: str) -> None:
    ended = subprocess.run([sys.executable, "-c", HEAVY.format(code)], capture_output=True, text=True, check=True)
    assert ended.stdout.splitlines()[-1] == "[]"


def test_help_takes_less_than_three_tenths_of_a_second() -> None:
    """The best of a few runs: a busy machine makes runs slower, never faster."""

    def once() -> float:
        began = time.perf_counter()
        subprocess.run([sys.executable, "-m", "vsr", "--help"], check=True, stdout=subprocess.DEVNULL)
        return time.perf_counter() - began

    deadline = time.perf_counter() + 20
    best = once()
    while best >= 0.3 and time.perf_counter() < deadline:
        best = min(best, once())
    assert best < 0.3


def test_a_bare_checkout_has_a_door_of_its_own() -> None:
    words = [sys.executable, "cli.py", "--version"]
    ended = subprocess.run(words, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2])
    assert ended.stdout == f"vsr {__version__}\n"
