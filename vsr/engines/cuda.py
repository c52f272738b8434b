"""Graphed: an Engine that records its kernels once a shape and replays them: one launch instead of hundreds."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from vsr.core.errors import OutOfMemory
from vsr.engines.base import Batch, Engine

log = logging.getLogger(__name__)

WARM_UP = 3  # calls before capture: kernels are chosen and workspaces taken in the first ones
SHAPES = 4  # graphs kept: each holds its activations


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """A recorded call: write into `batch`'s tensors, `replay`, read `result`."""

    batch: Batch
    result: Tensor
    replay: Callable[[], None]


Record = Callable[[Engine, Batch], Recording]


def record(engine: Engine, batch: Batch) -> Recording:
    """Capture one call as a CUDA graph with a memory pool of its own.

    Warm-up runs on a side stream, as capture demands; afterwards the current stream waits for it.
    """
    static = Batch(
        frames=batch.frames.clone(),
        keys=batch.keys,
        aligned=None if batch.aligned is None else batch.aligned.clone(),
    )
    device = batch.frames.device
    side = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    side.wait_stream(torch.cuda.current_stream(device))
    # The device is set and the stream given, because torch captures on a stream of whatever device came first.
    with torch.cuda.device(device):
        with torch.cuda.stream(side):
            for _ in range(WARM_UP):
                engine.restore(static)
        torch.cuda.current_stream(device).wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        # thread_local: other threads (pinned copies, the encoder's lane) may go on talking to CUDA meanwhile.
        with torch.cuda.graph(graph, stream=side, capture_error_mode="thread_local"):
            result = engine.restore(static)
    return Recording(batch=static, result=result, replay=graph.replay)


def graphed(engine: Engine, device: str) -> Engine:
    """Give the engine with recording on CUDA, itself elsewhere."""
    if not device.startswith("cuda"):
        return engine
    # torch's default rounds float32 convolutions to TF32's ten bits: 27 codes at 16 bit. fp32 means float32 here.
    torch.backends.cudnn.allow_tf32 = False
    return Graphed(engine)


class Graphed:
    """Replays `engine` by CUDA graphs. Only for engines whose result does not depend on `Batch.keys`.

    A shape is recorded when it comes for the second time, up to four shapes; where recording fails the engine is
    called as it is. All calls must be made on one stream: a recording's tensors are written anew by the next call.
    A thread that asks for a shape which another one is replaying gets the engine itself.
    """

    def __init__(self, engine: Engine, *, record: Record = record) -> None:
        self.card = engine.card
        self._engine = engine
        self._record = record
        self._seen: set[tuple[torch.Size, torch.Size | None]] = set()
        self._ready: dict[tuple[torch.Size, torch.Size | None], deque[Recording]] = {}
        self._can_record = True

    @property
    def scale(self) -> int:
        return self._engine.scale

    def restore(self, batch: Batch) -> Tensor:
        shape = (batch.frames.shape, None if batch.aligned is None else batch.aligned.shape)
        with torch.inference_mode():
            recording = self._take(shape, batch)
            if recording is None:
                return self._engine.restore(batch)
            try:
                recording.batch.frames.copy_(batch.frames, non_blocking=True)
                if recording.batch.aligned is not None and batch.aligned is not None:
                    recording.batch.aligned.copy_(batch.aligned, non_blocking=True)
                recording.replay()
                return recording.result.clone()
            finally:
                self._ready[shape].append(recording)

    def close(self) -> None:
        self._ready.clear()
        self._engine.close()

    def _take(self, shape: tuple[torch.Size, torch.Size | None], batch: Batch) -> Recording | None:
        """Take a recording for this shape out of the pool, making it if it is worth it; None: call the engine."""
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
            return self._record(self._engine, batch)
        except (RuntimeError, OutOfMemory) as error:
            log.warning("%s: no CUDA graph (%s); going on without", self.card.id, error)
            self._can_record = False
            return None
