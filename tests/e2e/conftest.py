"""The real command line, in this process: what it prints and the code it ends with."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from vsr.cli import main


@dataclass(frozen=True)
class Ended:
    code: int
    out: str
    err: str

    @property
    def events(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self.out.splitlines()]


@pytest.fixture
def vsr(capfd: pytest.CaptureFixture[str]) -> Callable[..., Ended]:
    def run(*words: object) -> Ended:
        capfd.readouterr()
        code = main([str(word) for word in words])
        out, err = capfd.readouterr()
        return Ended(code=code, out=out, err=err)

    return run


@pytest.fixture
def leftovers(tmp_path: Path) -> Callable[..., list[str]]:
    """Give the names in the test's folder that are not expected: half-made outputs, work folders."""

    def look(*expected: str) -> list[str]:
        return sorted(p.name for p in tmp_path.iterdir() if p.name not in expected)

    return look
