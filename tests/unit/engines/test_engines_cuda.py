"""Graphed: its bookkeeping anywhere, its graphs where there is CUDA."""

from __future__ import annotations

import pytest
import torch

from tests.engines import IdentityEngine, MeanEngine
from vsr.engines.base import Batch, Key
from vsr.engines.cuda import SHAPES, Call, Given, Graphed, Recording, Replayed, graphed, record


def batch(height: int, value: float = 0.5, frames: int = 3, device: str = "cpu") -> Batch:
    return Batch(frames=torch.full((1, frames, 3, height, 8), value, device=device), keys=(Key(frame=0, seed=0),))


class Recorder:
    """Records as CUDA does: the result's memory is written by `replay`, from the recording's own inputs."""

    def __init__(self) -> None:
        self.made = 0
        self.replays = 0

    def __call__(self, call: Call, given: Given) -> Recording:
        self.made += 1
        static = tuple(None if tensor is None else tensor.clone() for tensor in given)
        result = torch.zeros_like(call(static))

        def replay() -> None:
            self.replays += 1
            result.copy_(call(static))

        return Recording(given=static, result=result, replay=replay)


def test_a_shape_is_recorded_when_it_comes_again_and_replayed_from_then_on() -> None:
    recorder = Recorder()
    engine = Graphed(MeanEngine(), record=recorder)
    for value in (0.1, 0.2, 0.3, 0.4):
        assert torch.allclose(engine.restore(batch(6, value)), torch.tensor(value))
    assert (recorder.made, recorder.replays) == (1, 3)


def test_a_result_is_not_written_over_by_the_next_call() -> None:
    engine = Graphed(MeanEngine(), record=Recorder())
    results = [engine.restore(batch(6, value)) for value in (0.1, 0.2, 0.3)]
    assert [round(float(result.mean()), 3) for result in results] == [0.1, 0.2, 0.3]


def test_only_some_shapes_are_recorded() -> None:
    recorder = Recorder()
    engine = Graphed(MeanEngine(), record=recorder)
    for height in range(1, SHAPES + 4):
        for _ in range(3):
            assert engine.restore(batch(height)).shape == (1, 3, height, 8)
    assert recorder.made == SHAPES


def test_when_recording_fails_the_engine_runs_as_it_is(caplog: pytest.LogCaptureFixture) -> None:
    def fail(call: Call, given: Given) -> Recording:
        raise RuntimeError("operation not permitted when stream is capturing")

    engine = Graphed(MeanEngine(), record=fail)
    for value in (0.1, 0.2, 0.3):
        assert torch.allclose(engine.restore(batch(6, value)), torch.tensor(value))
    assert sum("no CUDA graph" in message for message in caplog.messages) == 1


def test_engines_off_cuda_are_left_alone() -> None:
    engine = IdentityEngine()
    assert graphed(engine, "cpu") is engine
    assert isinstance(graphed(engine, "cuda:0"), Graphed)


def test_calls_with_and_without_a_tensor_are_two_shapes() -> None:
    recorder = Recorder()

    def summed(given: Given) -> torch.Tensor:
        first, second = given
        assert first is not None
        return first.clone() if second is None else first + second

    call = Replayed("summed", summed, record=recorder)
    one, two = torch.ones(2), torch.full((2,), 2.0)
    for _ in range(3):
        assert call((one, None)).tolist() == [1, 1]
        assert call((one, two)).tolist() == [3, 3]
        assert call((two, one)).tolist() == [3, 3]
    assert recorder.made == 2
    call.forget()
    assert call((two, None)).tolist() == [2, 2]


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA")
def test_cuda_graphs_give_what_the_engine_gives() -> None:
    plain, engine = MeanEngine(), Graphed(MeanEngine(), record=record)
    for value in (0.1, 0.2, 0.3):
        given = batch(64, value, device="cuda")
        assert torch.equal(engine.restore(given), plain.restore(given))
