"""How long a queue will take."""

from __future__ import annotations

import pytest

from vsr.jobs.folder.pace import Pace


class Clock:
    def __init__(self) -> None:
        self.time = 50.0

    def __call__(self) -> float:
        return self.time


def test_time_left_follows_the_weights() -> None:
    clock = Clock()
    pace = Pace(clock)
    pace.expect("a", 100)
    pace.expect("b", 300)
    assert (pace.eta_s, pace.share) == (None, 0.0)
    pace.made("a", 10)
    assert pace.eta_s is None  # nothing yet to measure against
    clock.time += 9
    pace.made("a", 100)
    assert pace.eta_s == pytest.approx(30.0)
    assert pace.share == pytest.approx(0.25)
    clock.time += 15
    pace.made("b", 150)
    assert pace.eta_s == pytest.approx(15.0)


def test_resumed_work_is_no_speed_and_no_rest() -> None:
    """Peers E4."""
    clock = Clock()
    pace = Pace(clock)
    pace.expect("a", 1000, resumed=900)
    pace.expect("b", 100)
    pace.made("a", 1)
    clock.time += 99
    pace.made("a", 100)
    assert pace.eta_s == pytest.approx(100.0)


def test_what_ended_is_no_rest_whatever_became_of_it() -> None:
    clock = Clock()
    pace = Pace(clock)
    for name in ("failed", "b", "c"):
        pace.expect(name, 100)
    pace.over("failed")
    pace.made("b", 1)
    clock.time += 99
    pace.made("b", 100)
    assert pace.eta_s == pytest.approx(100.0)
    pace.over("c")
    assert (pace.eta_s, pace.share) == (0.0, 1.0)


def test_what_is_made_again_took_its_time() -> None:
    clock = Clock()
    pace = Pace(clock)
    pace.expect("a", 100)
    pace.made("a", 1)
    clock.time += 49
    pace.made("a", 50)
    pace.expect("a", 100)  # it failed, and is begun anew
    clock.time += 50
    pace.made("a", 50)
    assert pace.eta_s == pytest.approx(50.0)


def test_what_is_guessed_weighs_as_those_that_were_guessed_and_are_known_now() -> None:
    clock = Clock()
    pace = Pace(clock)
    for name, size in (("a", 10), ("b", 30), ("gone", 20), ("c", 60)):
        pace.guess(name, size)
    assert (pace.eta_s, pace.share) == (None, 0.0)
    pace.over("gone")
    assert pace.share == pytest.approx(20 / 120)
    pace.expect("a", 5000)  # 500 a byte
    pace.made("a", 1000)
    clock.time += 40
    pace.made("a", 5000)
    assert pace.eta_s == pytest.approx((30 + 60) * 500 / 100)
    assert pace.share == pytest.approx((5000 + 20 * 500) / (120 * 500))
    pace.expect("b", 35000)  # 40 bytes of 40 000
    assert pace.eta_s == pytest.approx((35000 + 60 * 1000) / 100)
    pace.over("a"), pace.over("b"), pace.over("c")
    assert (pace.eta_s, pace.share) == (0.0, 1.0)


def test_an_empty_queue_is_over() -> None:
    assert Pace().share == 1.0
