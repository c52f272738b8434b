"""One chunk end to end: decode, window, infer, encode, in lanes. Frames in = frames out, or an error."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path

from vsr.color.convert import to_frame
from vsr.core.errors import ChunkFailed, DecodeError, OutputError
from vsr.core.events import StageLoad
from vsr.core.frame import NO_SIDE_DATA, Frame, Picture, SideData, pixel_format
from vsr.core.job import Chunk, ChunkResult, Job
from vsr.core.media import MediaInfo, Span
from vsr.engines import registry
from vsr.engines.base import Engine
from vsr.engines.device import tune_allocator, use_threads
from vsr.engines.memory import memory_errors
from vsr.filters import KERNELS, LANCZOS
from vsr.io.atomic import sync, translate
from vsr.io.base import DecodeTally, Sink, Source, Written
from vsr.io.decoding.decode import open_source
from vsr.io.encoding.capping import video_sink
from vsr.io.images.files import ImageSink
from vsr.io.images.sequences import kept_names
from vsr.pipeline import cuda
from vsr.pipeline.infer import Restorer
from vsr.pipeline.lanes import Feed, Lanes
from vsr.pipeline.pictures import pictures
from vsr.pipeline.trace import Traced
from vsr.temporal.window import Window, windows

Tick = Callable[[int, tuple[StageLoad, ...]], None]


def segment_name(job: Job, chunk: Chunk) -> str:
    """Give the name of a chunk's file (or folder of images) in the work folder."""
    return f"{chunk.index:06d}.nut" if job.destination.kind == "video" else f"{chunk.index:06d}"


def open_engine(job: Job) -> Engine:
    """Open the job's engine as the plan says.

    Raises:
        ModelError, DeviceError: it cannot be opened.
    """
    if job.compute.device == "cpu":
        tune_allocator()
    return registry.open_engine(
        job.model,
        scale=job.model_scale,
        device=job.compute.device,
        precision=job.compute.precision,
        frames=job.card.frames,
        sampling=job.sampling,
    )


def run_chunk(job: Job, chunk: Chunk, path: Path, engine: Engine, tick: Tick = lambda done, loads: None) -> ChunkResult:
    """Restore the frames of `chunk` into the segment (or folder of images) `path`.

    `tick(done, loads)` is called in the caller's thread a few times a second.

    Raises:
        VsrError: of whatever went wrong first; nothing is left at `path` then.
    """
    began, cpu = time.perf_counter(), time.process_time()
    sys.setswitchinterval(1e-3)  # the default 5 ms lets one busy Python thread starve the others
    source = _Counted(source=decoder_of(job), span=chunk.span)
    sink = _open_sink(job, path)
    restorer = open_restorer(job, engine)
    tally = DecodeTally()
    encoded: list[int] = []  # pts, in order

    def encode(group: list[Frame]) -> None:
        for frame in group:
            sink.write(source.with_side_data(frame))
            encoded.append(frame.pts)

    try:
        with Lanes() as lanes:
            if job.compute.device == "cpu":
                restored = _on_cpu(lanes, job, chunk, source, restorer, tally)
            else:
                restored = cuda.restore(lanes, job, chunk, source, restorer, tally)
            lanes.drain("encode", restored, encode)
            lanes.wait(lambda: tick(len(encoded), lanes.loads()))
            loads = lanes.loads()
        if not encoded and len(job.chunks) == 1:
            raise DecodeError(f"no frame of {job.source.path} could be decoded: {tally.first_error or 'it is empty'}")
        written = sink.close() if encoded else _empty(job, path)
        warnings = _account(job, chunk, tally, restorer, source.frames_in, encoded, written)
        digest = _proof(path)
    except BaseException:
        sink.abort()
        shutil.rmtree(path, ignore_errors=True)
        with suppress(OSError):  # the first error is on its way
            path.unlink(missing_ok=True)
        raise
    finally:
        restorer.close()
    tick(written.frames, loads)
    return ChunkResult(
        index=chunk.index,
        path=path,
        frames=written.frames,
        pts=written.pts,
        durations=written.durations,
        digest=digest,
        wall_s=time.perf_counter() - began,
        cpu_s=time.process_time() - cpu,
        stages=loads,
        warnings=warnings,
    )


@dataclass(slots=True, kw_only=True)
class _Counted:
    """A Source that counts the frames it gives for the chunk itself: the frames that must come out.

    What they carry beside the picture waits here, by pts, while the picture goes through the network.
    """

    source: Source
    span: Span
    frames_in: int = 0
    _waiting: dict[int, SideData] = field(default_factory=dict)

    @property
    def info(self) -> MediaInfo:
        return self.source.info

    def frames(self, span: Span, *, seek: int | None = None, tally: DecodeTally | None = None) -> Iterator[Frame]:
        for frame in self.source.frames(span, seek=seek, tally=tally):
            if frame.pts in self.span:
                self.frames_in += 1
                if frame.side_data != NO_SIDE_DATA:
                    self._waiting[frame.pts] = frame.side_data
            yield frame

    def with_side_data(self, frame: Frame) -> Frame:
        """Give a restored frame with what the decoded one of its time carried."""
        carried = self._waiting.pop(frame.pts, None)
        return frame if carried is None else dataclasses.replace(frame, side_data=carried)


def chunk_windows(job: Job, chunk: Chunk, source: Source, tally: DecodeTally) -> Iterator[Window[Picture]]:
    """Yield the windows whose centres the chunk writes; its context is decoded, and only looked at."""
    temporal = job.settings.temporal
    size = job.card.frames
    stream = pictures(
        source,
        chunk.decode,
        domain=job.card.domain,
        color=job.color,
        seek=chunk.seek,
        shots=size > 1 and temporal.shots,
        tally=tally,
    )
    every = windows(
        stream, size=size, stride=temporal.stride, edge=temporal.edge, opens_shot=lambda picture: picture.opens_shot
    )
    return (window for window in every if window.center.pts in chunk.span)


def to_output(job: Job, picture: Picture) -> Frame:
    """Give a restored Picture as a Frame of the output's format and colours."""
    with memory_errors(f"frame {picture.index} of {job.output.width}x{job.output.height}"):
        return to_frame(
            picture,
            pixel_format(job.output.pixel_format),
            job.output.color,
            source_format=pixel_format(job.source.video.pixel_format),
            source_color=job.color,
            source_size=(job.source.video.height, job.source.video.width),
            turn=job.turn,
        )


def _frames_bytes(group: list[Frame]) -> int:
    return sum(plane.nbytes for frame in group for plane in frame.planes)


def _on_cpu(
    lanes: Lanes, job: Job, chunk: Chunk, source: Source, restorer: Restorer, tally: DecodeTally
) -> Feed[list[Frame]]:
    """Frame-parallel: W workers with one intra-op thread each beat a team that waits at barriers."""

    def produce() -> Iterator[list[Window[Picture]]]:
        use_threads(1)
        every = chunk_windows(job, chunk, source, tally)
        while group := list(islice(every, job.compute.batch)):
            yield group

    def restore(group: list[Window[Picture]]) -> list[Frame]:
        return [to_output(job, picture) for picture in restorer.restore(group)]

    decoded = lanes.flow("decode", produce, weigh=_windows_bytes)
    return lanes.map(
        "infer", restore, decoded, workers=job.compute.workers, setup=lambda: use_threads(1), weigh=_frames_bytes
    )


def _windows_bytes(group: list[Window[Picture]]) -> int:
    """Give the bytes of the centres: neighbours are shared with the windows around."""
    return sum(window.center.data.nbytes for window in group)


def open_restorer(job: Job, engine: Engine) -> Restorer:
    """Make the runner around the job's engine; the engine stays its opener's."""
    exact = partial(
        registry.open_engine,
        job.model,
        scale=job.model_scale,
        device=job.compute.device,
        precision="fp32",
        frames=job.card.frames,
        sampling=job.sampling,
    )
    return Restorer(
        engine=_traced(job, engine),
        height=job.output.width if job.turn.swaps else job.output.height,
        width=job.output.height if job.turn.swaps else job.output.width,
        seed=job.seed,
        tile=job.compute.tile,
        track=job.track,
        open_exact=None if job.compute.precision == "fp32" else exact,
        kernel=KERNELS.get(job.card.family, LANCZOS),
    )


def _traced(job: Job, engine: Engine) -> Engine:
    if job.trace is None:
        return engine
    chosen = {job.trace.first + number: number for number in job.trace.frames}
    video = job.source.video
    return Traced(engine, folder=job.trace.folder, chosen=chosen, height=video.height, width=video.width)


def _open_sink(job: Job, path: Path) -> Sink:
    if job.destination.kind == "video":
        return video_sink(path, job.output)
    pattern = job.destination.pattern or f"%06d{job.destination.path.suffix}"
    is_kept = pattern.startswith("*") and not job.destination.is_shared
    return ImageSink(path, job.output, pattern=pattern, names=kept_names(job.source) if is_kept else ())


def _empty(job: Job, path: Path) -> Written:
    """Leave an empty file or folder for a chunk of which nothing could be decoded: the job goes on with the others."""
    try:
        if job.destination.kind == "video":
            path.write_bytes(b"")
        else:
            path.mkdir(exist_ok=True)
        sync(path)
    except OSError as error:
        raise translate(error, path) from error
    return Written(path=path, frames=0, pts=(), durations=(), bytes=0)


def decoder_of(job: Job, *, threads: int | None = None) -> Source:
    """Give the Source of the job's frames. threads: of the decoder (default: those the engine leaves it).

    Raises:
        SettingsError: the decoder cannot do what is asked.
    """
    run = job.settings.run
    left = 1 if job.compute.device == "cpu" else min(8, job.output.threads)
    return open_source(
        job.source,
        decoder=run.decoder,
        threads=threads or left,
        max_pixels=run.max_pixels,
        deinterlace=job.deinterlace,
        order=job.field_order,
        hwaccel=run.hwaccel,
    )


def _account(
    job: Job,
    chunk: Chunk,
    tally: DecodeTally,
    restorer: Restorer,
    frames_in: int,
    encoded: list[int],
    written: Written,
) -> tuple[str, ...]:
    """Hold frames decoded against frames out; say what was concealed, missing or run again.

    Raises:
        ChunkFailed: a frame was lost between the decoder and the file.
        DecodeError: damaged input under --strict.
    """
    if frames_in != len(encoded):
        raise ChunkFailed(f"{frames_in} frames were decoded, {len(encoded)} reached the encoder")
    if list(written.pts) != encoded:
        raise ChunkFailed(f"{len(encoded)} frames went to the encoder, {written.frames} came out with other times")
    said = []
    if tally.corrupt or tally.errors:
        said.append(
            f"{job.source.path.name} is damaged: {tally.corrupt} frames concealed, {tally.errors} packets refused"
            + (f" (first: {tally.first_error})" if tally.first_error else "")
        )
    if tally.retimed:
        said.append(f"{tally.retimed} frames had the time of the one before or an earlier one: moved one tick after it")
    if tally.fell_back:
        said.append(f"{job.source.path.name} was decoded in software: {tally.fell_back}")
    missing = chunk.frames - len(encoded)
    if missing > 0:
        said.append(f"{missing} of {chunk.frames} frames that the file announces could not be decoded")
    if said and job.settings.run.strict:
        raise DecodeError("; ".join(said), hint="Leave out --strict to go on with what can be decoded.")
    if restorer.tally.widened:
        black = f" ({len(restorer.tally.blackened)} were black)" if restorer.tally.blackened else ""
        said.append(f"{len(restorer.tally.widened)} frames were run again in float32{black}")
    if restorer.tally.shrunk:
        said.append(f"memory ran out: {', '.join(restorer.tally.shrunk)}")
    return tuple(said)


def _proof(path: Path) -> str:
    try:
        return digest_of(path)
    except OSError as error:
        raise OutputError(
            f"{path} cannot be read again: {os.strerror(error.errno or 0)}", hint="Check the disk and the network."
        ) from error


def digest_of(path: Path) -> str:
    """Give the sha256 of a segment, or of the names and contents in a folder of images.

    Raises:
        OSError: it is not there, or cannot be read.
    """
    if path.is_dir():
        files = sorted(path.iterdir())
        told = "".join(f"{file.name} {digest_of(file)}\n" for file in files)
        return hashlib.sha256(told.encode("utf-8", "surrogateescape")).hexdigest()
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
