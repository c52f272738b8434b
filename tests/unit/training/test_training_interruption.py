from __future__ import annotations

import signal
import threading

import pytest

from vsr.training.interruption import Interruption


def test_the_first_signal_waits_for_the_block_to_end() -> None:
    done = []
    with pytest.raises(KeyboardInterrupt), Interruption() as interruption:
        assert not interruption.is_asked
        signal.raise_signal(signal.SIGINT)
        assert interruption.is_asked
        done.append("finished")
    assert done == ["finished"]


def test_a_second_signal_does_not_wait() -> None:
    done = []
    with pytest.raises(KeyboardInterrupt), Interruption():
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        done.append("too late")
    assert done == []


def test_the_signal_goes_to_whom_it_went_before() -> None:
    seen: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: seen.append(number))
    try:
        with Interruption():
            signal.raise_signal(signal.SIGTERM)
            assert seen == []
        assert seen == [signal.SIGTERM]
        signal.raise_signal(signal.SIGTERM)
        assert seen == [signal.SIGTERM] * 2
    finally:
        signal.signal(signal.SIGTERM, before)


def test_an_error_in_the_block_is_what_is_told() -> None:
    with pytest.raises(ValueError, match="first"), Interruption():
        signal.raise_signal(signal.SIGINT)
        raise ValueError("first")
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_in_another_thread_it_does_nothing() -> None:
    asked: list[bool] = []

    def work() -> None:
        with Interruption() as interruption:
            asked.append(interruption.is_asked)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert asked == [False]
