"""Ctrl-C and SIGTERM while something is done that should be finished first: an update, and its checkpoint."""

from __future__ import annotations

import signal
from contextlib import suppress
from types import FrameType, TracebackType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interruption:
    """A block in which the first signal is only noted; the block looks at `is_asked` and leaves when it is ready.

    The signal is then delivered as it would have been without the block. A second one does not wait. In a thread that
    is not the main one, where Python takes no signals, it does nothing.
    """

    def __init__(self) -> None:
        self._before: dict[int, object] = {}
        self._first: tuple[int, FrameType | None] | None = None

    @property
    def is_asked(self) -> bool:
        """Whether a signal has come."""
        return self._first is not None

    def __enter__(self) -> Interruption:
        with suppress(ValueError):  # which is how Python says that this is not the main thread
            for number in _SIGNALS:
                if callable(signal.getsignal(number)):
                    self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._restore()
        if self._first is not None and error is None:
            self._deliver(*self._first)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self._first is None:
            self._first = number, frame
            return
        self._restore()
        self._deliver(number, frame)

    def _deliver(self, number: int, frame: FrameType | None) -> None:
        handler = signal.getsignal(number)
        if callable(handler):
            handler(number, frame)

    def _restore(self) -> None:
        while self._before:
            number, handler = self._before.popitem()
            signal.signal(number, handler)  # type: ignore[arg-type]  # what `signal.signal` gave
