"""Signals that stop the program: the first asks, the second tells, impatience ends it."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from vsr.commands.failure import TERMINATED, Terminated
from vsr.core.stop import Stop

PATIENCE_S = 5.0
_INTERRUPTED = 130
_SAID = b"\nstopping after the chunk in hand; once more to stop now\n"

_asked: list[Stop] = []  # whom the first signal asks, while there is somebody


@contextmanager
def asking(*, is_heard: bool = True) -> Iterator[Stop]:
    """Give a Stop that the first signal asks, within the block; outside it, and the second time, it unwinds.

    is_heard: whether somebody heeds it already, or says so later.
    """
    stop = Stop(is_heard=is_heard)
    _asked.append(stop)
    try:
        yield stop
    finally:
        _asked.remove(stop)


class Stops:
    """The first signal asks whoever can be asked to finish what is in hand; where nobody can, and the second time, it
    unwinds the program. More of them in the next seconds would only tear what is unwinding: they are passed over; after
    PATIENCE_S one ends it on the spot."""

    def __init__(self) -> None:
        self._unwound: float | None = None

    def interrupt(self, number: int, frame: object) -> None:
        self._stop(KeyboardInterrupt(), _INTERRUPTED)

    def terminate(self, number: int, frame: object) -> None:
        self._stop(Terminated(), TERMINATED)

    def _stop(self, how: KeyboardInterrupt, code: int) -> None:
        now = time.monotonic()
        if self._unwound is None and _asked and _asked[-1].is_heard and not _asked[-1].asked:
            _asked[-1].ask(code)
            with suppress(OSError):  # not through Python's buffers: the signal may have come in the middle of a write
                os.write(sys.__stderr__.fileno() if sys.__stderr__ else 2, _SAID)
            return
        if self._unwound is None:
            self._unwound = now
            raise how
        if now - self._unwound > PATIENCE_S:
            os._exit(code)
