import threading
import time

import pytest

from vsr.pipeline.lanes import Lanes, merge_loads


class Boom(Exception):
    pass


def run(count: int, *, fail: tuple[str, int] | None = None, workers: int = 2, limit: int = 4) -> list[int]:
    """Send 0..count-1 through decode, infer (doubles) and encode; raise Boom in a stage at an item."""
    out: list[int] = []

    def maybe(stage: str, item: int) -> None:
        if fail == (stage, item):
            raise Boom(f"{stage} {item}")

    def produce():
        for i in range(count):
            maybe("decode", i)
            yield i

    def infer(i: int) -> int:
        maybe("infer", i)
        time.sleep(0.002 * (i % 3))  # finish out of order
        return 2 * i

    def encode(i: int) -> None:
        maybe("encode", i // 2)
        out.append(i)

    with Lanes(limit=limit) as lanes:
        restored = lanes.map("infer", infer, lanes.flow("decode", produce), workers=workers)
        lanes.drain("encode", restored, encode)
        lanes.wait()
    return out


@pytest.mark.parametrize("workers", [1, 2, 5])
@pytest.mark.parametrize("count", [0, 1, 2, 50])
def test_every_item_arrives_once_and_in_order(count, workers):
    assert run(count, workers=workers) == [2 * i for i in range(count)]


@pytest.mark.parametrize("stage", ["decode", "infer", "encode"])
@pytest.mark.parametrize("item", [0, 1, 29])
def test_a_lane_that_raises_ends_the_line_quickly_with_the_first_cause(stage, item):
    began = time.monotonic()
    with pytest.raises(Boom, match=f"{stage} {item}") as caught:
        run(30, fail=(stage, item))
    assert time.monotonic() - began < 5
    assert any(stage in note for note in caught.value.__notes__)
    assert [t for t in threading.enumerate() if t.name.startswith("vsr-")] == []


def test_error_in_the_caller_stops_and_joins_every_lane():
    def endless():
        while True:
            yield 1

    with pytest.raises(KeyboardInterrupt), Lanes() as lanes:
        lanes.drain("encode", lanes.flow("decode", endless), lambda _: time.sleep(0.001))
        raise KeyboardInterrupt
    assert [t for t in threading.enumerate() if t.name.startswith("vsr-")] == []


def test_producer_waits_for_a_slow_consumer():
    ahead: list[int] = []
    made = consumed = 0

    def produce():
        nonlocal made
        for i in range(40):
            made += 1
            yield i

    def consume(_: int) -> None:
        nonlocal consumed
        time.sleep(0.002)
        consumed += 1
        ahead.append(made - consumed)

    with Lanes(limit=4) as lanes:
        lanes.drain("encode", lanes.flow("decode", produce), consume)
        lanes.wait()
    assert max(ahead) <= 4 + 2  # the feed, the item in hand and the one being made


def test_feed_is_bounded_by_bytes_too():
    made = consumed = 0
    ahead: list[int] = []

    def produce():
        nonlocal made
        for i in range(20):
            made += 1
            yield i

    def consume(_: int) -> None:
        nonlocal consumed
        time.sleep(0.002)
        consumed += 1
        ahead.append(made - consumed)

    with Lanes(limit=100, limit_bytes=250) as lanes:
        lanes.drain("encode", lanes.flow("decode", produce, weigh=lambda _: 100), consume)
        lanes.wait()
    assert max(ahead) <= 2 + 2
    assert consumed == 20


def test_item_larger_than_the_limit_still_passes():
    with Lanes(limit_bytes=10) as lanes:
        out: list[int] = []
        lanes.drain("encode", lanes.flow("decode", lambda: iter(range(5)), weigh=lambda _: 1000), out.append)
        lanes.wait()
    assert out == [0, 1, 2, 3, 4]


def test_iterator_is_closed_by_its_own_thread():
    closed: list[str] = []

    def produce():
        try:
            while True:
                yield 0
        finally:
            closed.append(threading.current_thread().name)

    with pytest.raises(Boom), Lanes() as lanes:

        def fail(_: int) -> None:
            raise Boom

        lanes.drain("encode", lanes.flow("decode", produce), fail)
        lanes.wait()
    assert closed == ["vsr-decode-0"]


def test_stages_overlap():
    """Three stages of 5 ms an item: the line takes about as long as one of them, not as their sum (peers C1)."""

    def produce():
        for i in range(40):
            time.sleep(0.005)
            yield i

    def work(i: int) -> int:
        time.sleep(0.005)
        return i

    began = time.monotonic()
    with Lanes() as lanes:
        lanes.drain(
            "encode", lanes.map("infer", work, lanes.flow("decode", produce), workers=1), lambda i: time.sleep(0.005)
        )
        lanes.wait()
        loads = lanes.loads()
    assert time.monotonic() - began < 0.45  # the sum would be 0.6 s, one stage 0.2 s: wide, for busy machines
    assert [load.items for load in loads] == [40, 40, 40]
    assert [load.name for load in loads] == ["decode", "infer", "encode"]


def test_loads_of_chunks_add_up():
    with Lanes() as lanes:
        lanes.drain("encode", lanes.flow("decode", lambda: iter(range(3))), lambda _: None)
        lanes.wait()
        loads = lanes.loads()
    merged = merge_loads([*loads, *loads])
    assert [(load.name, load.items) for load in merged] == [("decode", 6), ("encode", 6)]
