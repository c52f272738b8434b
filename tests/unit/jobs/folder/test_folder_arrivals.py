"""Which files that arrive are complete."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from vsr.core.errors import DecodeError
from vsr.core.events import Event, Warned
from vsr.jobs.folder.arrivals import Arrivals
from vsr.jobs.folder.listing import Found

FILM = Found(path=Path("film.mp4"), name="film.mp4", size=10, mtime_ns=1)


class Gate:
    """Arrivals with a clock and a probe that do what the test says."""

    def __init__(self, settle_s: float = 5.0) -> None:
        self.time = 100.0
        self.broken: set[Found] = set()
        self.asked = 0
        self.told: list[Event] = []
        self.arrivals = Arrivals(
            settle_s=settle_s, is_whole=self._is_whole, report=self.told.append, now=lambda: self.time
        )

    def _is_whole(self, found: Found) -> None:
        self.asked += 1
        if found in self.broken:
            raise DecodeError(f"{found.name} lacks its index")

    def after(self, seconds: float, *files: Found) -> list[Found]:
        self.time += seconds
        return list(self.arrivals.ready(files))


def test_a_file_is_taken_once_it_has_settled() -> None:
    gate = Gate()
    assert gate.after(0, FILM) == []
    assert gate.after(4.9, FILM) == []
    assert gate.asked == 0
    assert gate.after(0.2, FILM) == [FILM]
    assert gate.after(60, FILM) == []


def test_a_file_that_grows_is_waited_for() -> None:
    gate = Gate()
    for size in (1, 2, 3, 4):
        assert gate.after(4, replace(FILM, size=size)) == []
    touched = replace(FILM, size=4, mtime_ns=2)
    assert gate.after(4, touched) == []
    assert gate.after(5, touched) == [touched]


def test_what_cannot_be_read_yet_is_asked_again_when_it_has_changed() -> None:
    gate = Gate(settle_s=0)
    gate.broken.add(FILM)
    assert gate.after(0, FILM) == []
    assert gate.after(9, FILM) == []
    assert gate.asked == 1
    assert [event.message for event in gate.told if isinstance(event, Warned)] == [
        "film.mp4 is waited for: film.mp4 lacks its index"
    ]
    whole = replace(FILM, size=20)
    assert gate.after(1, whole) == [whole]


def test_an_empty_file_is_waited_for() -> None:
    gate = Gate(settle_s=0)
    assert gate.after(9, replace(FILM, size=0)) == []
    assert gate.asked == 0


def test_a_new_file_of_an_old_name_is_new() -> None:
    gate = Gate(settle_s=0)
    assert gate.after(0, FILM) == [FILM]
    assert gate.after(0) == []
    assert gate.after(0, FILM) == [FILM]
    other = replace(FILM, mtime_ns=7)
    assert gate.after(0, other) == [other]
