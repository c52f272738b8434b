"""The public face: every promised name is there, and nothing else."""

from __future__ import annotations

import importlib
import tomllib
from pathlib import Path

import pytest

import vsr


def test_every_promised_name_is_resolved_lazily_from_a_home_of_its_own() -> None:
    assert {*vsr._HOMES, "__version__"} == set(vsr.__all__)
    assert dir(vsr) == sorted(vsr.__all__)


@pytest.mark.parametrize("name", sorted(vsr._HOMES))
def test_a_promised_name_is_there(name: str) -> None:
    module, attribute = vsr._HOMES[name]
    home = importlib.import_module(module)
    assert getattr(vsr, name) is (home if attribute is None else getattr(home, attribute))


def test_an_unpromised_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="upscail"):
        vsr.upscail  # type: ignore[attr-defined]  # noqa: B018


def test_the_version_is_the_projects() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))
    assert vsr.__version__ == project["project"]["version"]
