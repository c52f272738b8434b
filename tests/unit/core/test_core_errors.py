"""The error tree: exit codes as drawn, and errors that survive the trip between processes."""

from __future__ import annotations

import inspect
import pickle
import re

import pytest

from vsr.core import errors
from vsr.core.errors import VsrError

KINDS = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, VsrError)]
DRAWN = re.compile(r"^([│├└─ ]*)(\w+) +(\d+)\b", re.MULTILINE)


def _drawn() -> dict[str, tuple[str | None, int]]:
    """Read the tree of the module's docstring: name -> (parent, exit code)."""
    found: dict[str, tuple[str | None, int]] = {}
    path: list[str] = []
    for lead, name, code in DRAWN.findall(errors.__doc__ or ""):
        depth = len(lead) // 4
        found[name] = (path[depth - 1] if depth else None, int(code))
        path[depth:] = [name]
    return found


def test_every_error_stands_in_the_drawn_tree_under_its_parent_with_its_code() -> None:
    actual = {
        kind.__name__: (None if kind is VsrError else kind.__bases__[0].__name__, kind.exit_code) for kind in KINDS
    }
    assert _drawn() == actual


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_an_error_keeps_message_and_hint_through_a_pickle(kind: type[VsrError]) -> None:
    again = pickle.loads(pickle.dumps(kind("it failed", hint="do this")))
    assert (type(again), again.message, again.hint, str(again)) == (kind, "it failed", "do this", "it failed")


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_an_error_says_what_it_means(kind: type[VsrError]) -> None:
    assert kind.__doc__ and kind.__doc__.endswith(".")
