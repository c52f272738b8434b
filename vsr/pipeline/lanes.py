"""Lanes: threads with bounded feeds between them. The only user of `threading` in the house.

    with Lanes() as lanes:
        windows = lanes.flow("decode", produce)                       # one thread drives an iterator
        restored = lanes.map("infer", restore, windows, workers=2)    # W threads, order kept
        lanes.drain("encode", restored, sink.write)                   # one thread consumes
        lanes.wait(tick)                                              # the caller watches

One lock serves the whole line: items are pictures, a few hundred a second at most. Feeds are bounded by count and by
bytes. The first exception of any lane stops all of them and is raised again in the caller; every blocking wait wakes
at once. Leaving the `with` joins every thread: no daemons, nothing left behind.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import Generic, TypeVar

from vsr.core.events import StageLoad

T = TypeVar("T")
R = TypeVar("R")


class _Stopped(Exception):
    """Another lane failed, or the caller left: unwind quietly."""


@dataclass(slots=True)
class _Meter:
    """What one stage did. Written by its own threads under the line's lock."""

    name: str
    workers: int
    items: int = 0
    life_s: float = 0.0
    waited_s: float = 0.0
    cpu_s: float = 0.0
    began: float = field(default_factory=time.perf_counter)

    def load(self, now: float) -> StageLoad:
        wall = now - self.began
        life = self.life_s if self.life_s > 0 else wall * self.workers
        return StageLoad(
            name=self.name,
            workers=self.workers,
            items=self.items,
            busy_s=max(0.0, life - self.waited_s),
            cpu_s=self.cpu_s,
            wall_s=wall,
        )


class Feed(Generic[T]):
    """A bounded, ordered feed between two stages. Items carry a sequence number; `get` gives them in order."""

    def __init__(self, line: Lanes, *, limit: int, limit_bytes: int, weigh: Callable[[T], int]) -> None:
        self._line = line
        self._limit = limit
        self._limit_bytes = limit_bytes
        self._weigh = weigh
        self._items: dict[int, tuple[T, int]] = {}
        self._bytes = 0
        self._next = 0  # the sequence number that `get` gives next
        self._end: int | None = None  # how many items there will have been

    def put(self, sequence: int, item: T) -> None:
        """Wait for room, then add. The item that is due next always finds room, so that order cannot deadlock."""
        size = self._weigh(item)
        with self._line.changed:
            while sequence != self._next and (
                sequence >= self._next + self._limit or self._bytes + size > self._limit_bytes
            ):
                self._line.rest()
            self._line.check()
            self._items[sequence] = (item, size)
            self._bytes += size
            self._line.changed.notify_all()

    def end(self, count: int) -> None:
        """Say that there are `count` items in all."""
        with self._line.changed:
            self._end = count
            self._line.changed.notify_all()

    def get(self) -> tuple[int, T] | None:
        """Wait for the item that is due, take it; None when the feed has ended."""
        with self._line.changed:
            while self._next not in self._items:
                if self._end is not None and self._next >= self._end:
                    return None
                self._line.rest()
            self._line.check()
            sequence = self._next
            item, size = self._items.pop(sequence)
            self._bytes -= size
            self._next += 1
            self._line.changed.notify_all()
            return sequence, item

    def __iter__(self) -> Iterator[T]:
        while (entry := self.get()) is not None:
            yield entry[1]


class Lanes:
    """The line of a chunk: its threads, feeds and meters."""

    def __init__(self, *, limit: int = 8, limit_bytes: int = 512 << 20) -> None:
        self.changed = threading.Condition()
        self._limit = limit
        self._limit_bytes = limit_bytes
        self._threads: list[threading.Thread] = []
        self._meters: list[_Meter] = []
        self._local = threading.local()
        self._failure: BaseException | None = None
        self._stopping = False
        self._running = 0

    def __enter__(self) -> Lanes:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        held: KeyboardInterrupt | None = None
        for thread in self._threads:
            while thread.is_alive():
                try:
                    thread.join()
                except KeyboardInterrupt as impatient:  # a lane may be inside the encoder: nobody may pull it away
                    held = impatient
        if self._failure is not None and (error is None or isinstance(error, _Stopped)):
            raise self._failure
        if held is not None and error is None:
            raise held

    def stop(self) -> None:
        """Ask every lane to end; each wakes at once. Safe to call at any time and twice."""
        with self.changed:
            self._stopping = True
            self.changed.notify_all()

    def flow(
        self, name: str, produce: Callable[[], Iterator[T]], *, weigh: Callable[[T], int] = lambda _: 0
    ) -> Feed[T]:
        """Run an iterator in a lane of its own. It is created, driven and closed by that thread."""
        feed = self._feed(weigh)

        def work(meter: _Meter) -> None:
            stream = produce()
            try:
                count = 0
                for item in stream:
                    feed.put(count, item)
                    count += 1
                    self._count(meter)
                feed.end(count)
            finally:
                close = getattr(stream, "close", None)
                if close is not None:
                    close()

        self._start(name, 1, work)
        return feed

    def map(
        self,
        name: str,
        function: Callable[[T], R],
        items: Feed[T],
        *,
        workers: int,
        setup: Callable[[], None] = lambda: None,
        weigh: Callable[[R], int] = lambda _: 0,
    ) -> Feed[R]:
        """Apply `function` in `workers` lanes at a time; the results keep the order of the items.

        `setup` runs first in each lane's thread.
        """
        feed = self._feed(weigh, workers)

        def work(meter: _Meter) -> None:
            setup()
            while (entry := items.get()) is not None:
                sequence, item = entry
                self._local.item = sequence
                result = function(item)
                del entry, item
                feed.put(sequence, result)
                del result
                self._count(meter)
            feed.end(items._next)

        self._start(name, workers, work)
        return feed

    def drain(self, name: str, items: Feed[T], consume: Callable[[T], None]) -> None:
        """Hand every item to `consume`, in order, in a lane of its own."""

        def work(meter: _Meter) -> None:
            while (entry := items.get()) is not None:
                self._local.item = entry[0]
                consume(entry[1])
                del entry
                self._count(meter)

        self._start(name, 1, work)

    def wait(self, tick: Callable[[], None] = lambda: None, *, every_s: float = 0.25) -> None:
        """Block the caller until every lane has ended; call `tick` now and then.

        Raises:
            The first exception of any lane, with a note that names the lane and the item.
        """
        while True:
            with self.changed:
                if self._running == 0:
                    break
                self.changed.wait_for(lambda: self._running == 0, timeout=every_s)
            if self._failure is None:
                tick()
        if self._failure is not None:
            raise self._failure

    def loads(self) -> tuple[StageLoad, ...]:
        """Give what each stage has done so far, in the order of the line."""
        now = time.perf_counter()
        with self.changed:
            return tuple(meter.load(now) for meter in self._meters)

    def heed(self) -> None:
        """End, inside a lane, long work on one item when the line is stopping: to be called now and then."""
        with self.changed:
            self.check()

    def check(self) -> None:
        """Raise inside a lane when the line is stopping. The lock is held."""
        if self._stopping:
            raise _Stopped

    def rest(self) -> None:
        """Wait, inside a lane, for anything to change. The lock is held."""
        self.check()
        began = time.perf_counter()
        self.changed.wait()
        meter: _Meter | None = getattr(self._local, "meter", None)
        if meter is not None:
            meter.waited_s += time.perf_counter() - began
        self.check()

    def _feed(self, weigh: Callable[[T], int], workers: int = 1) -> Feed[T]:
        return Feed(self, limit=max(self._limit, 2 * workers), limit_bytes=self._limit_bytes, weigh=weigh)

    def _count(self, meter: _Meter) -> None:
        with self.changed:
            meter.items += 1

    def _start(self, name: str, workers: int, work: Callable[[_Meter], None]) -> None:
        meter = _Meter(name, workers)
        self._meters.append(meter)
        for number in range(workers):
            thread = threading.Thread(target=self._live, args=(meter, work), name=f"vsr-{name}-{number}")
            with self.changed:
                self._running += 1
            try:
                thread.start()
            except BaseException:  # the system gives no more threads
                self._running -= 1
                raise
            self._threads.append(thread)

    def _live(self, meter: _Meter, work: Callable[[_Meter], None]) -> None:
        self._local.meter = meter
        self._local.item = None
        began = time.perf_counter()
        try:
            work(meter)
        except _Stopped:
            pass
        except BaseException as error:
            self._fail(error, meter.name)
        finally:
            with self.changed:
                meter.life_s += time.perf_counter() - began
                meter.cpu_s += time.thread_time()
                self._running -= 1
                self.changed.notify_all()

    def _fail(self, error: BaseException, name: str) -> None:
        with self.changed:
            if self._failure is None:
                item = getattr(self._local, "item", None)
                error.add_note(f"in the {name} lane" + (f", item {item}" if item is not None else ""))
                self._failure = error
            self._stopping = True
            self.changed.notify_all()


def merge_loads(loads: Iterable[StageLoad]) -> tuple[StageLoad, ...]:
    """Add up the loads of several chunks, by stage name, in the order of first sight."""
    merged: dict[str, StageLoad] = {}
    for load in loads:
        seen = merged.get(load.name)
        merged[load.name] = (
            load
            if seen is None
            else StageLoad(
                name=load.name,
                workers=max(load.workers, seen.workers),
                items=load.items + seen.items,
                busy_s=load.busy_s + seen.busy_s,
                cpu_s=load.cpu_s + seen.cpu_s,
                wall_s=load.wall_s + seen.wall_s,
            )
        )
    return tuple(merged.values())
