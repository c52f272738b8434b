"""What the nodes of a cluster tell of the orders they work on. Light: it lives in a process of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vsr.core.events import StageLoad


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What a worker says of its order: `done` frames have reached the encoder."""

    worker: str
    done: int
    stages: tuple[StageLoad, ...] = ()


class Board:
    """Keeps what was said last of each order, by the order's name."""

    def __init__(self) -> None:
        self._said: dict[str, Said] = {}

    def tell(self, name: str, said: Said) -> None:
        self._said[name] = said

    def read(self, names: Sequence[str]) -> dict[str, Said]:
        """Give what was said of these orders, and forget the others."""
        self._said = {name: self._said[name] for name in names if name in self._said}
        return self._said
