"""Windows of N items around each centre, with a stride, never across a shot cut.

Works on anything that comes in order (Frames, Pictures, numbers in tests) and holds at most `2 * reach + 1` items,
however long the stream.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from vsr.core.errors import UsageError

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Window(Generic[T]):
    """`items[len(items) // 2]` is the centre; `valid[k]` says whether items[k] is a true neighbour or a stand-in."""

    items: tuple[T, ...]
    valid: tuple[bool, ...]

    @property
    def center(self) -> T:
        return self.items[len(self.items) // 2]


# An edge policy gives, for a position outside the shot [first, last], the position that stands in for it.
EdgePolicy = Callable[[int, int, int, int], int]


def _clamp(position: int, center: int, first: int, last: int) -> int:
    return min(max(position, first), last)


def _mirror(position: int, center: int, first: int, last: int) -> int:
    folded = 2 * first - position if position < first else 2 * last - position
    return _clamp(folded, center, first, last)


def _center(position: int, center: int, first: int, last: int) -> int:
    return center


EDGE_POLICIES: Mapping[str, EdgePolicy] = {"clamp": _clamp, "mirror": _mirror, "center": _center}


def reach(size: int, stride: int) -> int:
    """Give how many items before and after its centre a window reads."""
    return size // 2 * stride


def windows(
    items: Iterable[T], *, size: int, stride: int = 1, edge: str = "clamp", opens_shot: Callable[[T], bool]
) -> Iterator[Window[T]]:
    """Yield one Window for every item, in order: as many windows as items.

    `size` is odd. An item for which `opens_shot` is true starts a new shot; windows of one shot never see another.
    An item is yielded as a centre as soon as `reach(size, stride)` items after it are known, or its shot has ended.

    Raises:
        UsageError: size is even or below 1, stride below 1, or the edge policy is unknown.
    """
    if size < 1 or size % 2 == 0:
        raise UsageError(f"a window has an odd number of frames around its centre, got {size}")
    if stride < 1:
        raise UsageError(f"stride must be at least 1, got {stride}")
    if edge not in EDGE_POLICIES:
        raise UsageError(f"unknown edge policy {edge!r}", hint=f"Policies: {', '.join(EDGE_POLICIES)}.")
    stream = iter(items)
    opening = next(stream, None)
    while opening is not None:
        cut: list[T] = []
        yield from _of_shot(_until_cut(opening, stream, opens_shot, cut), size, stride, EDGE_POLICIES[edge])
        opening = cut[0] if cut else None


def _until_cut(opening: T, stream: Iterator[T], opens_shot: Callable[[T], bool], cut: list[T]) -> Iterator[T]:
    """Yield the items of one shot; the item that opens the next one is left in `cut`."""
    yield opening
    for item in stream:
        if opens_shot(item):
            cut.append(item)
            return
        yield item


def _of_shot(items: Iterator[T], size: int, stride: int, policy: EdgePolicy) -> Iterator[Window[T]]:
    """Yield the windows of one shot; positions count from the shot's first item."""
    far = reach(size, stride)
    held: deque[T] = deque()
    first_held, center, last, ended = 0, 0, -1, False
    while not ended or center <= last:
        while not ended and last < center + far:
            item = next(items, None)
            if item is None:
                ended = True
            else:
                held.append(item)
                last += 1
        if center > last:
            return
        wanted = range(center - far, center + far + 1, stride)
        positions = [p if 0 <= p <= last else policy(p, center, 0, last) for p in wanted]
        yield Window(
            items=tuple(held[p - first_held] for p in positions),
            valid=tuple(0 <= p <= last for p in wanted),
        )
        center += 1
        while first_held < center - far:
            held.popleft()
            first_held += 1
