"""Settings: types, bounds, choices, origins."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vsr.core.errors import SettingsError
from vsr.core.settings import SettingField, Settings, build, fields

FIELDS = {item.name: item for item in fields()}


def test_names_are_unique_over_all_blocks() -> None:
    names = [item.name for item in fields()]
    assert len(names) == len(set(names))


def test_defaults_come_out_where_nothing_is_given() -> None:
    resolved = build({}, {})
    assert resolved.settings == Settings()
    assert set(resolved.origins.values()) == {"default"}


def test_none_keeps_the_default_and_its_origin() -> None:
    resolved = build({"stride": None}, {"stride": "flag"})
    assert (resolved.settings.temporal.stride, resolved.origins["stride"]) == (1, "default")


def test_a_value_lands_in_its_block_and_remembers_its_origin() -> None:
    resolved = build({"scale": 3, "codec": "ffv1"}, {"scale": "flag", "codec": "preset archive"})
    assert (resolved.settings.engine.scale, resolved.settings.encode.codec) == (3.0, "ffv1")
    assert (resolved.origins["scale"], resolved.origins["codec"]) == ("flag", "preset archive")


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("stride", 0, "stride must be at least 1, got 0"),
        ("frames", 33, "frames must be at most 31, got 33"),
        ("scale", math.nan, "scale must be a number, got nan"),
        ("scale", math.inf, "scale must be at most 64, got inf"),
        ("scale", "2", "scale must be of type float, got '2'"),
        ("stride", True, "stride must be of type int, got True"),
        ("stride", 1.0, "stride must be of type int, got 1.0"),
        ("shots", 1, "shots must be of type bool, got 1"),
        ("edge", "wrap", "edge must be one of clamp, mirror, center, got 'wrap'"),
    ],
)
def test_a_wrong_value_is_refused_by_name_and_bound(name: str, value: object, said: str) -> None:
    with pytest.raises(SettingsError, match="^" + said.replace("(", r"\(") + "$"):
        build({name: value}, {})


BOUNDED = [item for item in FIELDS.values() if item.low is not None and item.high is not None and item.kind is int]


@pytest.mark.parametrize("item", BOUNDED, ids=lambda item: item.name)
@settings(deadline=None)  # a busy machine is no failure
@given(value=st.integers(-(2**70), 2**70))
def test_exactly_the_whole_numbers_within_the_bounds_pass(item: SettingField, value: int) -> None:
    assert item.low is not None and item.high is not None
    try:
        passed = item.check(value) == value
    except SettingsError:
        passed = False
    assert passed == (item.low <= value <= item.high)


@pytest.mark.parametrize("item", FIELDS.values(), ids=lambda item: item.name)
def test_every_default_passes_its_own_check_and_every_help_is_a_sentence(item: SettingField) -> None:
    assert item.check(item.default) == item.default
    assert item.help.endswith(".")
