"""Signals that stop the program: the first unwinds it, impatience cannot tear it."""

from __future__ import annotations

import os
import time

from vsr.commands.failure import Terminated

PATIENCE_S = 5.0


class Stops:
    """The first signal unwinds the program. More of them in the next seconds would only tear what is unwinding: they
    are passed over; after PATIENCE_S one ends it on the spot."""

    def __init__(self) -> None:
        self._first: float | None = None

    def interrupt(self, number: int, frame: object) -> None:
        self._stop(KeyboardInterrupt(), 130)

    def terminate(self, number: int, frame: object) -> None:
        self._stop(Terminated(), 143)

    def _stop(self, how: KeyboardInterrupt, code: int) -> None:
        now = time.monotonic()
        if self._first is None:
            self._first = now
            raise how
        if now - self._first > PATIENCE_S:
            os._exit(code)
