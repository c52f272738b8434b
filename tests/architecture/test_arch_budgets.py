"""Small files, short functions, and names that say something."""

from __future__ import annotations

import ast

import pytest

from tests.architecture.sources import ROOT, modules

FILE_LINES = 450
FUNCTION_LINES = 50
VAGUE = {"utils", "util", "helpers", "helper", "common", "misc", "manager", "tools", "stuff"}


@pytest.mark.parametrize("path", [path for path, _ in modules()])
def test_a_file_stays_small(path: str) -> None:
    assert len((ROOT / path).read_text(encoding="utf-8").splitlines()) <= FILE_LINES


def test_functions_stay_short() -> None:
    """Counted without signature and docstring: what must be held in mind."""
    found = []
    for path, tree in modules():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef):
                body = node.body[1:] if ast.get_docstring(node) else node.body
                if body and (node.end_lineno or 0) - body[0].lineno + 1 > FUNCTION_LINES:
                    found.append(f"{path}:{node.name}")
    assert found == []


def test_no_file_is_named_vaguely() -> None:
    assert [path for path, _ in modules() if VAGUE & set(path.removesuffix(".py").split("/"))] == []


def test_every_module_says_what_it_is_for() -> None:
    silent = [path for path, tree in modules() if tree.body and ast.get_docstring(tree) is None]
    assert silent == []


def test_the_doors_stay_thin() -> None:
    def lines(path: str) -> int:
        return len((ROOT / path).read_text(encoding="utf-8").splitlines())

    assert lines("cli.py") <= 10
    assert lines("vsr/cli.py") <= 120
