"""Commands are tested without what they call: stand-ins take the modules' places for one test."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import ModuleType

import pytest

StandIn = Callable[..., ModuleType]


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> StandIn:
    """Give a function that puts a module with the named contents in the place of a real one."""

    def place(name: str, **contents: object) -> ModuleType:
        module = ModuleType(name)
        vars(module).update(contents)
        monkeypatch.setitem(sys.modules, name, module)
        return module

    return place
