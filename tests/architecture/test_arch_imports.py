"""Arrows point down: the contracts of pyproject.toml hold, here and so in CI."""

from __future__ import annotations

import subprocess
import sys

from tests.architecture.sources import ROOT


def test_the_import_contracts_hold() -> None:
    words = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as lint; lint()", "--no-cache"]
    ended = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "0 broken" in ended.stdout
