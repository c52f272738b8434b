"""Calls that record their kernels once a shape and replay them: one launch instead of hundreds."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from vsr.core.errors import OutOfMemory
from vsr.engines.base import Batch, Engine, Key

log = logging.getLogger(__name__)

WARM_UP = 3  # calls before capture: kernels are chosen and workspaces taken in the first ones
SHAPES = 4  # graphs kept: each holds its activations

Given = tuple[Tensor | None, ...]
Call = Callable[[Given], Tensor]
Shape = tuple[torch.Size | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """A recorded call: write into `given`, `replay`, read `result`."""

    given: Given
    result: Tensor
    replay: Callable[[], None]


Record = Callable[[Call, Given], Recording]


def record(call: Call, given: Given) -> Recording:
    """Capture one call as a CUDA graph with a memory pool of its own.

    Warm-up runs on a side stream, as capture demands; afterwards the current stream waits for it.
    """
    static = tuple(None if tensor is None else tensor.clone() for tensor in given)
    device = next(tensor.device for tensor in static if tensor is not None)
    side = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    side.wait_stream(torch.cuda.current_stream(device))
    # The device is set and the stream given, because torch captures on a stream of whatever device came first.
    with torch.cuda.device(device):
        with torch.cuda.stream(side):
            for _ in range(WARM_UP):
                call(static)
        torch.cuda.current_stream(device).wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        # thread_local: other threads (pinned copies, the encoder's lane) may go on talking to CUDA meanwhile.
        with torch.cuda.graph(graph, stream=side, capture_error_mode="thread_local"):
            result = call(static)
    return Recording(given=static, result=result, replay=graph.replay)


class Replayed:
    """Replays `call` by CUDA graphs: a function of its tensors alone, whose result is a tensor.

    A shape is recorded when it comes for the second time, up to four shapes; where recording fails the function is
    called as it is. All calls must be made on one stream: a recording's tensors are written anew by the next call.
    A thread that asks for a shape which another one is replaying gets the function itself.
    """

    def __init__(self, name: str, call: Call, *, record: Record = record) -> None:
        self._name = name
        self._call = call
        self._record = record
        self._seen: set[Shape] = set()
        self._ready: dict[Shape, deque[Recording]] = {}
        self._can_record = True

    def __call__(self, given: Given) -> Tensor:
        shape = tuple(None if tensor is None else tensor.shape for tensor in given)
        with torch.inference_mode():
            recording = self._take(shape, given)
            if recording is None:
                return self._call(given)
            try:
                for static, tensor in zip(recording.given, given, strict=True):
                    if static is not None and tensor is not None:
                        static.copy_(tensor, non_blocking=True)
                recording.replay()
                return recording.result.clone()
            finally:
                self._ready[shape].append(recording)

    def forget(self) -> None:
        """Give the recordings' memory back."""
        self._ready.clear()

    def _take(self, shape: Shape, given: Given) -> Recording | None:
        """Take a recording for this shape out of the pool, making it if it is worth it; None: call the function."""
        if shape in self._ready:
            try:
                return self._ready[shape].pop()  # atomic: two threads never get the same one
            except IndexError:
                return None
        if shape not in self._seen:
            self._seen.add(shape)
            return None
        if not self._can_record or len(self._ready) >= SHAPES:
            return None
        self._ready[shape] = deque()
        try:
            return self._record(self._call, given)
        except (RuntimeError, OutOfMemory) as error:
            log.warning("%s: no CUDA graph (%s); going on without", self._name, error)
            self._can_record = False
            return None


def exact_float32() -> None:
    """Take float32 at its word: torch's default rounds convolutions to TF32's ten bits, 27 codes at 16 bit."""
    torch.backends.cudnn.allow_tf32 = False


def graphed(engine: Engine, device: str) -> Engine:
    """Give the engine with recording on CUDA, itself elsewhere."""
    if not device.startswith("cuda"):
        return engine
    exact_float32()
    return Graphed(engine)


class Graphed:
    """Replays an engine's calls. Only for engines whose result does not depend on `Batch.keys`."""

    def __init__(self, engine: Engine, *, record: Record = record) -> None:
        self.card = engine.card
        self._engine = engine
        self._replayed = Replayed(engine.card.id, self._call, record=record)

    @property
    def scale(self) -> int:
        return self._engine.scale

    def restore(self, batch: Batch) -> Tensor:
        return self._replayed((batch.frames, batch.aligned))

    def close(self) -> None:
        self._replayed.forget()
        self._engine.close()

    def _call(self, given: Given) -> Tensor:
        frames, aligned = given
        assert frames is not None
        keys = tuple(Key(frame=at, seed=0) for at in range(len(frames)))
        return self._engine.restore(Batch(frames=frames, keys=keys, aligned=aligned))
