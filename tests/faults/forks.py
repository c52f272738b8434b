"""Runs of the command line, each in a process of its own that is forked from one in which everything is loaded.

A run that is killed, starved or lied to takes nothing along, and costs a tenth of a second instead of two. `Forks` is
the client; run as a program this file is the server: requests and answers are JSON, one a line.
"""

from __future__ import annotations

import importlib
import json
import os
import pkgutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
LONGEST_S = 120.0

Plant = tuple[str, Mapping[str, object]]  # a function of `plants.py`, and what it is called with


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How a run ended. code: negative where a signal ended it. left: threads, handles and children that it left."""

    code: int
    out: str
    err: str
    seconds: float
    left: list[str] = field(default_factory=list)
    calls: dict[str, int] = field(default_factory=dict)

    @property
    def message(self) -> str:
        """Give the line that says what went wrong, without the word before it."""
        said = [line for line in self.err.splitlines() if line.startswith("error: ")]
        return said[-1].removeprefix("error: ") if said else ""

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines() if line.startswith("{")]


@dataclass(frozen=True, kw_only=True)
class Run:
    """A run that is going on."""

    pid: int
    place: Path
    began: float

    def send(self, number: int) -> None:
        os.kill(self.pid, number)


class Forks:
    """Starts runs and waits for them."""

    def __init__(self, place: Path) -> None:
        self._place = place
        self._count = 0
        threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
        self._server = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.forks"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, **threads, "PYTHONPATH": path},
            cwd=ROOT,
            text=True,
        )

    def start(
        self, words: Sequence[object], *plants: Plant, cwd: Path | None = None, env: Mapping[str, str] | None = None
    ) -> Run:
        self._count += 1
        place = self._place / f"run{self._count:05d}"
        place.mkdir()
        texts = [str(word) for word in words]
        asked = {"do": "start", "words": texts, "plants": plants, "cwd": str(cwd or place), "place": str(place)}
        answer = self._ask({**asked, "env": dict(env or {})})
        return Run(pid=answer["pid"], place=place, began=time.monotonic())

    def end(self, run: Run, *, longest_s: float = LONGEST_S) -> Ended:
        """Wait for a run; one that takes longer is killed, and fails the test that waits."""
        answer = self._ask({"do": "end", "pid": run.pid, "longest_s": longest_s})
        seconds = time.monotonic() - run.began
        assert not answer["hangs"], f"a run took longer than {longest_s} s: {(run.place / 'err').read_text()}"
        told: dict[str, Any] = {"left": [], "calls": {}}
        if (run.place / "told").exists():
            told = json.loads((run.place / "told").read_text())
        out, err = ((run.place / name).read_text(errors="surrogateescape") for name in ("out", "err"))
        return Ended(code=answer["code"], out=out, err=err, seconds=seconds, **told)

    def run(
        self, words: Sequence[object], *plants: Plant, cwd: Path | None = None, env: Mapping[str, str] | None = None
    ) -> Ended:
        return self.end(self.start(words, *plants, cwd=cwd, env=env))

    def close(self) -> None:
        assert self._server.stdin is not None and self._server.stdout is not None
        self._server.stdin.close()
        self._server.wait(10)
        self._server.stdout.close()

    def _ask(self, request: Mapping[str, object]) -> dict[str, Any]:
        assert self._server.stdin is not None and self._server.stdout is not None
        self._server.stdin.write(json.dumps(request) + "\n")
        self._server.stdin.flush()
        answer: dict[str, Any] = json.loads(self._server.stdout.readline())
        return answer


def serve() -> None:
    """Fork a run for each request. Nothing here starts a thread: it would be missing in the forked process."""
    _load()
    for line in sys.stdin:
        request = json.loads(line)
        answer = _end(**request) if request.pop("do") == "end" else {"pid": _fork(request)}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


def _load() -> None:
    """Load all of the program, so that no run loads anything later, and do the work that is kept for the process."""
    import cv2  # noqa: F401

    import vsr
    from vsr.io.encoding import codecs

    for module in pkgutil.walk_packages(vsr.__path__, "vsr."):
        if module.name != "vsr.__main__":
            with suppress(ImportError, SyntaxError):  # extras that are not installed; what somebody writes just now
                importlib.import_module(module.name)
    codecs.encoder_for("ffv1")


def _fork(request: Mapping[str, Any]) -> int:
    sys.stdout.flush()
    pid = os.fork()
    if pid:
        return pid
    code = 70
    try:
        code = _live(request)
    finally:
        os._exit(code)


def _live(request: Mapping[str, Any]) -> int:
    place = Path(request["place"])
    for number, name in ((0, None), (1, "out"), (2, "err")):
        flags = os.O_RDONLY if name is None else os.O_WRONLY | os.O_CREAT | os.O_APPEND
        file = os.open(os.devnull if name is None else place / name, flags)
        os.dup2(file, number)
        os.close(file)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.update(request["env"])
    os.chdir(os.fsencode(request["cwd"]))
    from tests.faults import plants

    before = plants.handles()
    counted: dict[str, int] = {}
    for name, how in request["plants"]:
        counted = getattr(plants, name)(**how) or counted
    from vsr.cli import main

    code = main(request["words"])
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    plants.uproot()
    left = plants.left(before)
    (place / "told").write_text(json.dumps({"left": left, "calls": counted}))
    return code


def _end(pid: int, longest_s: float) -> dict[str, object]:
    until = time.monotonic() + longest_s
    hangs = False
    while True:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return {"code": os.waitstatus_to_exitcode(status), "hangs": hangs}
        if time.monotonic() > until and not hangs:
            hangs = True
            os.kill(pid, signal.SIGKILL)
        time.sleep(0.005)


if __name__ == "__main__":
    serve()
