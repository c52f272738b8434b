"""How long a queue of files will take: each weighs its frames times its pixels, the rate is what this run has made."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass


@dataclass(slots=True)
class _Share:
    """One file: what it weighs in all, what earlier runs had made of it, what this one has.

    is_guess: it weighs its bytes, as long as no more is known.
    """

    whole: float
    resumed: float = 0.0
    made: float = 0.0
    is_over: bool = False
    is_guess: bool = False

    @property
    def left(self) -> float:
        return 0.0 if self.is_over else max(0.0, self.whole - self.resumed - self.made)


class Pace:
    """Rate and time left of a queue. Weights are frames times output pixels; any unit does that is always the same.

    The rate counts from the first thing made, so that loading the model does not, and over all that was made since:
    opening, joining and copying files is part of the work. What is guessed weighs its bytes times what a byte of those
    weighed that were guessed too, and are known by now.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._shares: dict[Hashable, _Share] = {}
        # Of all shares, kept beside them: a queue may have many thousands.
        self._whole = self._left = 0.0
        self._guessed_whole = self._guessed_left = 0.0
        self._found_out = (0.0, 0.0)  # weight and bytes of what was guessed first
        self._made = 0.0
        self._since: tuple[float, float] | None = None  # when the first was made, and how much that was

    def expect(self, key: Hashable, weight: float, *, resumed: float = 0.0) -> None:
        """Say what a file weighs, anew when it is better known; `resumed`: what earlier runs made of it."""
        share = self._taken_out(key)
        if share.is_guess:
            self._found_out = self._found_out[0] + weight, self._found_out[1] + share.whole
        share.whole, share.resumed, share.made, share.is_over, share.is_guess = weight, resumed, 0.0, False, False
        self._put_back(share)

    def guess(self, key: Hashable, size: float) -> None:
        """Say how many bytes a file has of which no more is known."""
        share = self._taken_out(key)
        share.whole, share.is_guess = size, True
        self._put_back(share)

    def made(self, key: Hashable, weight: float) -> None:
        """Say how much of a file this run has made by now."""
        share = self._taken_out(key)
        self._made += max(0.0, weight - share.made)  # what is made again took its time too
        share.made = weight
        self._put_back(share)
        if self._since is None and self._made > 0:
            self._since = self._now(), self._made

    def over(self, key: Hashable) -> None:
        """Say that nothing of a file is left to do, whatever became of it."""
        share = self._taken_out(key)
        share.is_over = True
        self._put_back(share)

    @property
    def share(self) -> float:
        """How much of the whole queue is behind us, 0 to 1; what failed or was passed over is."""
        whole = self._whole + self._guessed_whole * self._weight_of_a_byte
        return 1 - self._all_left / whole if whole > 0 else 1.0

    @property
    def eta_s(self) -> float | None:
        """Seconds left at the rate so far; None as long as there is none."""
        if self._since is None:
            return None
        began, first = self._since
        seconds, made = self._now() - began, self._made - first
        if made <= 0 or seconds <= 0:
            return None
        return self._all_left * seconds / made

    @property
    def _all_left(self) -> float:
        return max(0.0, self._left + self._guessed_left * self._weight_of_a_byte)

    @property
    def _weight_of_a_byte(self) -> float:
        weight, size = self._found_out
        return weight / size if size else 1.0

    def _taken_out(self, key: Hashable) -> _Share:
        share = self._shares.setdefault(key, _Share(0.0))
        self._count(share, -1)
        return share

    def _put_back(self, share: _Share) -> None:
        self._count(share, 1)

    def _count(self, share: _Share, sign: int) -> None:
        if share.is_guess:
            self._guessed_whole += sign * share.whole
            self._guessed_left += sign * share.left
        else:
            self._whole += sign * share.whole
            self._left += sign * share.left
