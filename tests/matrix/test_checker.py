"""The checker itself: it finds each fault that is planted, under its name, and nothing where there is none."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from tests.matrix.checker import Asked, checked, compared
from tests.matrix.reading import look
from tests.media import BT601, BT709, Tags, make_clip

GIVEN: dict[str, Any] = {
    "width": 48, "height": 32, "frames": 6, "codec": "ffv1", "tags": BT709, "audio": 1,
    "chapters": ((0.0, 0.1, "a"), (0.1, 0.2, "b")), "language": "eng", "metadata": {"title": "t"},
    "attachment": b"font" * 9,
}  # fmt: skip
SAME = Asked(scale=Fraction(1), mean=0.1, bias=0.1)


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({}, set()),
        ({"frames": 5}, {"frames"}),
        ({"pts": [0, 1, 2, 4, 5, 6], "time_base": Fraction(1, 25)}, {"times"}),
        ({"tags": BT601}, {"colour tags", "picture"}),
        ({"tags": Tags(matrix=1, range=2, primaries=1, transfer=1)}, {"colour tags", "picture"}),
        ({"chapters": ((0.0, 0.1, "a"),)}, {"chapters"}),
        ({"language": "fra"}, {"languages"}),
        ({"metadata": {}}, {"metadata"}),
        ({"attachment": None}, {"attachments"}),
        ({"audio": 0}, {"sound"}),
        ({"width": 50}, {"size", "aspect ratio", "picture"}),
        ({"cuts": (3,)}, {"picture"}),
    ],
    ids=lambda value: "_".join(value) if isinstance(value, dict) else "",
)
def test_a_planted_fault_is_found_under_its_name(change: dict[str, Any], found: set[str], tmp_path: Path) -> None:
    source = make_clip(tmp_path / "a.mkv", **GIVEN)
    result = make_clip(tmp_path / "b.mkv", **{**GIVEN, **change})
    seen = {name for name, how in checked(source, result, SAME).items() if how}
    # Fewer frames, or longer ones, take the sound's length along.
    assert (
        seen - ({"sound", "in step", "languages", "last duration"} if {"frames", "pts"} & change.keys() else set())
        >= found
    )
    assert bool(seen) == bool(found)


def test_two_frames_that_change_places_and_half_a_level_are_found(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "a.mkv", **GIVEN)
    seen = look(source)
    a, b, *rest = seen.frames
    swapped = replace(
        seen, frames=(replace(a, fine=b.fine, coarse=b.coarse), replace(b, fine=a.fine, coarse=a.coarse), *rest)
    )
    darker = replace(seen, frames=tuple(replace(f, coarse=tuple(p - 0.5 / 256 for p in f.coarse)) for f in seen.frames))
    later = replace(seen, tracks=tuple(_later(track) for track in seen.tracks))
    wide, mirrored = replace(seen, sar=Fraction(4, 3)), replace(seen, turn=(-1, 0, 0, 1))
    wrongs = ((swapped, "picture"), (darker, "picture"), (later, "in step"), (wide, "aspect ratio"))
    assert compared(mirrored, seen, (source, source), SAME)["rotation and mirror"]
    for wrong, name in wrongs:
        assert [key for key, how in compared(seen, wrong, (source, source), SAME).items() if how] == [name]


def _later(track: Any) -> Any:
    return replace(track, packets=[(at + Fraction(40, 1000), *rest) for at, *rest in track.packets])
