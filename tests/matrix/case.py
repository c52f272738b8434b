"""The matrix: what is sent through `vsr upscale`, and what of it the result's container is known to lose.

`lost` is written by hand, from what the container's own specification can hold: a property of `checker.PROPERTIES`, and
words that must stand in a warning then ("" where there is nobody to tell: nothing of it is seen or heard). A property
that is listed and yet kept fails the case, as one does that is lost and not listed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.matrix.checker import Asked
from tests.matrix.make import Maker


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One input. to: the result's suffix. refused: exit code and words, where a refusal is right.

    unsure: properties that the container does not hold, and that a reader may yet guess rightly.
    """

    name: str
    make: Maker
    to: str
    asked: Asked = Asked()
    settings: Mapping[str, object] = field(default_factory=dict)
    lost: Mapping[str, str] = field(default_factory=dict)
    unsure: frozenset[str] = frozenset()
    refused: tuple[int, str] | None = None


_PLAIN = Asked()


def case(
    name: str,
    maker: Maker,
    to: str,
    *,
    settings: Mapping[str, object] | None = None,
    asked: Asked = _PLAIN,
    lost: Mapping[str, str] | None = None,
    refused: tuple[int, str] | None = None,
) -> Case:
    """Give a case: nearest, twice as large, where nothing else is said."""
    every = {"model": "nearest", "scale": 2.0, **(settings or {})}
    wanted = {key: value for key, value in every.items() if value is not None}
    unsure = frozenset({"last duration"} if to == "ts" else ())  # MPEG-TS has no durations
    return Case(
        name=name, make=maker, to=to, asked=asked, settings=wanted, lost=lost or {}, unsure=unsure, refused=refused
    )
