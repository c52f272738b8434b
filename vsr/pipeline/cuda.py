"""The device lane on CUDA: integer planes up, everything else on the device, integer planes down.

One thread submits; it never waits for the frame it has just submitted. Three streams (copy up, compute, copy down) are
tied by events, and up to IN_FLIGHT groups of windows are under way before the oldest is waited for. Planes travel
through pinned memory at the codec's depth, half the bytes of RGB or less; PyTorch's pinned allocator keeps the blocks
and gives one out again only when the copies that used it are over.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch
from torch import Tensor

from vsr.color.convert import decode_planes, encode_planes, plane_tensor
from vsr.core.frame import Frame, Picture, PixelFormat, pixel_format
from vsr.core.job import Chunk, Job
from vsr.io.base import DecodeTally, Source
from vsr.pipeline.infer import Restorer, is_plausible
from vsr.pipeline.lanes import Feed, Lanes
from vsr.pipeline.pictures import frames
from vsr.temporal.window import Window, windows

IN_FLIGHT = 3


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Pinned:
    """A decoded frame whose planes lie in pinned memory."""

    frame: Frame
    planes: tuple[Tensor, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Flight:
    """A submitted group: where its results will be when `landed` is done."""

    group: list[Window[Picture]]
    planes: list[tuple[Tensor, ...]]
    sound: Tensor
    landed: torch.cuda.Event


def restore(
    lanes: Lanes, job: Job, chunk: Chunk, source: Source, restorer: Restorer, tally: DecodeTally
) -> Feed[list[Frame]]:
    """Lay the lanes of a CUDA job: decode and pin in one, everything on the device in another."""
    shots = job.card.frames > 1 and job.settings.temporal.shots

    def produce() -> Iterator[_Pinned]:
        with torch.cuda.device(job.compute.device):
            for frame in frames(source, chunk.decode, seek=chunk.seek, shots=shots, tally=tally):
                yield _pin(frame)

    decoded = lanes.flow("decode", produce, weigh=lambda item: sum(plane.nbytes for plane in item.planes))
    return lanes.flow("device", lambda: DeviceLane(job, chunk, restorer).run(decoded), weigh=_bytes)


def _bytes(group: list[Frame]) -> int:
    return sum(plane.nbytes for frame in group for plane in frame.planes)


def _pin(frame: Frame) -> _Pinned:
    planes = []
    for plane in frame.planes:
        # Codes above 8 bits travel as the same bits in int16, a type that every kernel knows.
        bits = plane_tensor(plane)
        pinned = torch.empty(bits.shape, dtype=bits.dtype, pin_memory=True)
        planes.append(pinned.copy_(bits))
    return _Pinned(frame=frame, planes=tuple(planes))


def _stream(device: torch.device) -> torch.cuda.Stream:
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]


class DeviceLane:
    """State of the submitting thread: its device, its streams, what is in flight."""

    def __init__(self, job: Job, chunk: Chunk, restorer: Restorer) -> None:
        self._job = job
        self._chunk = chunk
        self._restorer = restorer
        self._device = torch.device(job.compute.device)
        self._source: PixelFormat = pixel_format(job.source.video.pixel_format)
        self._output: PixelFormat = pixel_format(job.output.pixel_format)
        self._up, self._compute, self._down = (_stream(self._device) for _ in range(3))
        self._flights: deque[_Flight] = deque()
        restorer.check = False  # checking would wait for the device: the flag comes down with the planes

    def run(self, decoded: Iterable[_Pinned]) -> Iterator[list[Frame]]:
        """Yield restored frames in order, a group at a time, IN_FLIGHT groups behind what is submitted."""
        temporal = self._job.settings.temporal
        every = windows(
            map(self._to_device, decoded),
            size=self._job.card.frames,
            stride=temporal.stride,
            edge=temporal.edge,
            opens_shot=lambda picture: picture.opens_shot,
        )
        wanted = (window for window in every if window.center.pts in self._chunk.span)
        with torch.cuda.device(self._device):
            while group := list(islice(wanted, self._job.compute.batch)):
                self._flights.append(self._submit(group))
                while len(self._flights) >= IN_FLIGHT:
                    yield list(self._land(self._flights.popleft()))
            while self._flights:
                yield list(self._land(self._flights.popleft()))

    def _to_device(self, item: _Pinned) -> Picture:
        with torch.cuda.stream(self._up):
            planes = [plane.to(self._device, non_blocking=True) for plane in item.planes]
            arrived = self._up.record_event()
        with torch.cuda.stream(self._compute), torch.inference_mode():
            self._compute.wait_event(arrived)
            for plane in planes:
                plane.record_stream(self._compute)
            decoded = decode_planes(planes, self._source, self._job.color, self._job.card.domain)
        frame = item.frame
        return Picture(
            index=frame.index,
            pts=frame.pts,
            duration=frame.duration,
            data=decoded.data,
            domain=self._job.card.domain,
            chroma=decoded.chroma,
            alpha=decoded.alpha,
            opens_shot=frame.opens_shot,
        )

    def _submit(self, group: list[Window[Picture]]) -> _Flight:
        with torch.cuda.stream(self._compute), torch.inference_mode():
            pictures = self._restorer.restore(group)
            sound = torch.cat([is_plausible(p.data[None], [window]) for p, window in zip(pictures, group, strict=True)])
            planes = [self._encode(picture) for picture in pictures]
            computed = self._compute.record_event()
        with torch.cuda.stream(self._down):
            self._down.wait_event(computed)
            home = [tuple(self._bring(plane) for plane in of_one) for of_one in planes]
            flag = self._bring(sound)
            landed = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]  # waiting for it sleeps
            landed.record(self._down)
        return _Flight(group=group, planes=home, sound=flag, landed=landed)

    def _encode(self, picture: Picture) -> tuple[Tensor, ...]:
        return encode_planes(
            picture.data,
            picture.chroma,
            picture.alpha,
            self._output,
            self._job.output.color,
            source_format=self._source,
            source_color=self._job.color,
            source_size=(self._job.source.video.height, self._job.source.video.width),
            turn=self._job.turn,
        )

    def _bring(self, tensor: Tensor) -> Tensor:
        home = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
        home.copy_(tensor, non_blocking=True)
        tensor.record_stream(self._down)
        return home

    def _land(self, flight: _Flight) -> Iterator[Frame]:
        flight.landed.synchronize()
        planes = flight.planes
        if not bool(flight.sound.all()):
            planes = self._again(flight)
        for window, of_one in zip(flight.group, planes, strict=True):
            center = window.center
            yield Frame(
                index=center.index,
                pts=center.pts,
                duration=center.duration,
                # Copied: the pinned block goes back to its pool, the encoder keeps frames for its look-ahead.
                planes=tuple(np.array(plane.numpy().view(self._output.dtype)) for plane in of_one),
                format=self._output,
                color=self._job.output.color,
                opens_shot=center.opens_shot,
            )

    def _again(self, flight: _Flight) -> list[tuple[Tensor, ...]]:
        """Run a group again with the check, which widens what cannot be right; rare, so it may wait."""
        with torch.cuda.stream(self._compute), torch.inference_mode():
            self._restorer.check = True
            try:
                pictures = self._restorer.restore(flight.group)
            finally:
                self._restorer.check = False
            planes = [tuple(plane.cpu() for plane in self._encode(picture)) for picture in pictures]
        self._compute.synchronize()
        return planes
