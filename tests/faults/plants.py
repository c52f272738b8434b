"""Faults, planted in a run's own process before it begins (see `forks.py`); each function plants one.

`calls` makes the N-th call to the system that concerns one folder fail, or the process die at it. The others lie in
wait in the engine, the decoder, the encoder, the lanes, the clock.
"""

from __future__ import annotations

import errno
import io
import itertools
import os
import resource
import signal
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tests.faults.power import Disk

KINDS = ("open", "write", "fsync", "replace", "rename", "link", "unlink", "mkdir", "rmdir", "ftruncate", "listdir")
_uproot: list[Callable[[], None]] = []


def uproot() -> None:
    """Take back everything that was planted in modules."""
    while _uproot:
        _uproot.pop()()


def _set(where: Any, name: str, value: Any) -> None:
    before = getattr(where, name)
    _uproot.append(lambda: setattr(where, name, before))
    setattr(where, name, value)


# --- the system's calls ----------------------------------------------------------------------------------------------


def calls(
    folder: str,
    kinds: Sequence[str] = KINDS,
    at: int = 0,
    how: str = "EIO",
    *,
    forever: bool = False,
    torn: bool = False,
) -> dict[str, int]:
    """Count the calls of `kinds` that concern what lies in `folder`; let number `at` (from 1) fail with `how`.

    how: an errno's name, or `die`: the process is killed there, or `power`: and what the disk was not told to keep is
    gone. forever: so do all after it. torn: a write gets half of its bytes to the file first. Gives the counts, which
    go on.
    """
    counts = dict.fromkeys(kinds, 0)
    numbers, lock = itertools.count(1), threading.Lock()

    def meet(kind: str, thing: Any) -> bool:
        """Count a call; whether it fails."""
        if not _concerns(folder, thing):
            return False
        with lock:
            counts[kind] += 1
            number = next(numbers)
        return at > 0 and (number == at or (forever and number > at))

    disk = Disk(Path(folder), os.fsync)
    if how == "power":
        _set(os, "fsync", disk.fsync)

    def fail(thing: Any) -> None:
        if how == "power":
            uproot()
            disk.lose()
        if how in ("die", "power"):
            os.kill(os.getpid(), signal.SIGKILL)
        code = getattr(errno, how)
        raise OSError(code, os.strerror(code), str(thing))

    def wrapped(kind: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(thing: Any, *more: Any, **named: Any) -> Any:
            if meet(kind, thing):
                if kind == "write" and torn:
                    real(thing, bytes(more[0])[: len(more[0]) // 2])
                fail(thing)
            return real(thing, *more, **named)

        return call

    for kind in kinds:
        _set(os, kind, wrapped(kind, getattr(os, kind)))
    opened = io.open

    class Raw(io.FileIO):
        def write(self, data: Any) -> int:
            if "write" in counts and meet("write", self.name):
                if torn:
                    super().write(bytes(data)[: len(data) // 2])
                fail(self.name)
            return super().write(data) or 0

    def open_(file: Any, mode: str = "r", *more: Any, **named: Any) -> Any:
        if "open" in counts and meet("open", file):
            fail(file)
        if mode == "wb" and _concerns(folder, file):
            return io.BufferedWriter(Raw(file, "wb"))
        return opened(file, mode, *more, **named)

    _set(io, "open", open_)
    return counts


def _concerns(folder: str, thing: Any) -> bool:
    if isinstance(thing, int):
        try:
            return str(Path(f"/proc/self/fd/{thing}").readlink()).startswith(folder)
        except OSError:
            return False
    path = os.fsdecode(thing) if thing is not None else "."
    return not path.startswith("/") or path.startswith(folder)


def file_size(most: int) -> None:
    """Let no file grow over `most` bytes: a full disk to whoever writes, FFmpeg's own C code too."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))


# --- engine ----------------------------------------------------------------------------------------------------------


def _engine(change: Callable[[Any, Any, Callable[[Any, Any], Any]], Any]) -> None:
    """Put `change(engine, batch, restore)` in the place of every network's `restore`."""
    from vsr.engines.net import NetEngine

    real = NetEngine.restore
    _set(NetEngine, "restore", lambda self, batch: change(self, batch, real))


def slow_engine(seconds: float) -> None:
    def change(engine: Any, batch: Any, restore: Any) -> Any:
        time.sleep(seconds)
        return restore(engine, batch)

    _engine(change)


def little_memory(frame: int, limit: int) -> None:
    """From `frame` on, let no call have more than `limit` pixels (windows x height x width)."""
    from vsr.core.errors import OutOfMemory

    def change(engine: Any, batch: Any, restore: Any) -> Any:
        count, _, _, height, width = batch.frames.shape
        if any(key.frame >= frame for key in batch.keys) and count * height * width > limit:
            raise OutOfMemory(f"planted: {count}x{height}x{width} do not fit")
        return restore(engine, batch)

    _engine(change)


def bad_pictures(frames: Sequence[int], value: str, *, forever: bool = False) -> None:
    """Let these frames come out as `value` (`nan`, `0`) everywhere: the first time, or whenever they are asked for."""
    left = set(frames)

    def change(engine: Any, batch: Any, restore: Any) -> Any:
        result = restore(engine, batch)
        for at, key in enumerate(batch.keys):
            if key.frame in left:
                result[at] = float(value)
                if not forever:
                    left.discard(key.frame)
        return result

    _engine(change)


# --- lanes -----------------------------------------------------------------------------------------------------------


def lane_raises(lane: str, item: int, what: str = "planted") -> None:
    """Let a lane raise at its call number `item` (from 0), over all chunks: an error of ours, or a bug."""
    from vsr.core.errors import ChunkFailed

    error: Exception = (
        ValueError("nobody foresaw this") if what == "bug" else ChunkFailed(f"{what} in {lane} at {item}")
    )
    numbers = itertools.count()

    def raising(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **named: Any) -> Any:
            if next(numbers) == item:
                raise error
            return real(*args, **named)

        return call

    from vsr.engines.net import NetEngine
    from vsr.io.encoding.encode import PyavSink
    from vsr.pipeline import pictures

    if lane == "decode":
        _set(pictures, "to_picture", raising(pictures.to_picture))
    elif lane == "infer":
        _set(NetEngine, "restore", raising(NetEngine.restore))
    else:
        _no_rehearsal()
        _set(PyavSink, "write", raising(PyavSink.write))


def _no_rehearsal() -> None:
    """Let frames be counted from the job's own first one."""
    from vsr.jobs import run

    _set(run, "rehearse", lambda *_: ())


def lossy_encoder(at: int) -> None:
    """Let the encoder keep a packet to itself: the one that frame `at` (from 0, over all chunks) brings out."""
    from vsr.io.encoding.encode import PyavSink

    _no_rehearsal()
    real, numbers = PyavSink._mux, itertools.count()

    class Stream:
        def __init__(self, stream: Any) -> None:
            self._stream = stream

        def encode(self, picture: Any) -> list[Any]:
            packets = list(self._stream.encode(picture))
            return packets[:-1] if packets and next(numbers) == at else packets

    _set(PyavSink, "_mux", lambda self, stream, picture: real(self, Stream(stream), picture))


def broken_encoder(at: int) -> None:
    """Let FFmpeg's encoder refuse frame `at` (from 0, over all chunks), as one that dies does."""
    import av

    from vsr.io.encoding import encode

    _no_rehearsal()
    real, numbers = encode._video_frame, itertools.count()

    def frame(*args: Any) -> Any:
        if next(numbers) == at:
            raise av.ExternalError(542398533, "Generic error in an external library", "planted")
        return real(*args)

    _set(encode, "_video_frame", frame)


def broken_decoder(at: int, how: str) -> None:
    """Let the decoder break off before frame `at` (from 0, over all chunks): with an error (`raise`), or quietly."""
    from vsr.io.decoding import decode

    real, numbers = decode.timed, itertools.count()

    def timed(*args: Any) -> Any:
        for timing, frame in real(*args):
            if next(numbers) == at:
                if how == "raise":
                    raise OSError(errno.EIO, os.strerror(errno.EIO))
                return
            yield timing, frame

    _set(decode, "timed", timed)


# --- what else -------------------------------------------------------------------------------------------------------


def clock_jumps(seconds: float, every: int = 3) -> None:
    """Let every third look at the clock be `seconds` off: both clocks, forth or back."""
    for name in ("time", "monotonic", "perf_counter"):
        real, numbers = getattr(time, name), itertools.count(1)

        def read(real: Callable[[], float] = real, numbers: Any = numbers) -> float:
            return real() + (seconds if next(numbers) % every == 0 else 0.0)

        _set(time, name, read)


def once_at(frame: int, script: str) -> None:
    """Run Python text once, in this process, when the network is asked for `frame`."""
    done: list[int] = []

    def change(engine: Any, batch: Any, restore: Any) -> Any:
        if not done and any(key.frame >= frame for key in batch.keys):
            done.append(frame)
            exec(script, {})
        return restore(engine, batch)

    _engine(change)


def before_publishing(script: str) -> None:
    """Run Python text once, in this process, when every chunk is done and they are about to be joined."""
    from vsr.io.muxing import mux

    real = mux.join

    def join(segments: Any, *args: Any, **named: Any) -> Any:
        if len(segments) > 1:  # the rehearsal has one
            exec(script, {})
        return real(segments, *args, **named)

    _set(mux, "join", join)


def attempts(log: str) -> None:
    """Write a line into `log` for each chunk that is begun."""
    from vsr.jobs.executors import worker

    real = worker.run_chunk

    def run_chunk(job: Any, chunk: Any, *more: Any) -> Any:
        file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.write(file, f"{chunk.index}\n".encode())
        os.close(file)
        return real(job, chunk, *more)

    _set(worker, "run_chunk", run_chunk)


def slow_lane(lane: str, seconds: float) -> dict[str, int]:
    """Let decoder or encoder take `seconds` for each frame; give the most that has waited in any feed, and its bound.

    Gives `items` and `bytes`, and the largest `limit` and `limit_bytes`, of all feeds.
    """
    from vsr.io.encoding.encode import PyavSink
    from vsr.pipeline import lanes, pictures

    most = dict.fromkeys(("items", "bytes", "limit", "limit_bytes", "largest"), 0)

    def late(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **named: Any) -> Any:
            time.sleep(seconds)
            return real(*args, **named)

        return call

    if lane == "encode":
        _no_rehearsal()
        _set(PyavSink, "write", late(PyavSink.write))
    else:
        _set(pictures, "to_picture", late(pictures.to_picture))
    put = lanes.Feed.put

    def counted(self: Any, sequence: int, item: Any) -> None:
        put(self, sequence, item)
        seen = {"items": len(self._items), "bytes": self._bytes, "limit": self._limit, "limit_bytes": self._limit_bytes}
        for name, number in {**seen, "largest": self._weigh(item)}.items():
            most[name] = max(most[name], number)

    _set(lanes.Feed, "put", counted)
    return most


# --- what a run leaves -----------------------------------------------------------------------------------------------


def handles() -> list[str]:
    """Give what the process has open."""
    found = []
    for handle in Path("/proc/self/fd").iterdir():
        try:
            found.append(str(handle.readlink()))
        except OSError:
            continue
    return found


def left(before: Sequence[str]) -> list[str]:
    """Give the threads of ours, the handles and the children that are there now and were not before."""
    found = [thread.name for thread in threading.enumerate() if thread.name.startswith("vsr-")]
    known = list(before)
    for handle in handles():
        if handle in known:
            known.remove(handle)
        elif handle.startswith("/") and not handle.startswith(("/dev/", "/proc/")):
            found.append(handle)
    return found + _children()


def _children() -> list[str]:
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, _, rest = stat.read_text().rpartition(")")
            state, parent = rest.split()[:2]
            words = (stat.parent / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if int(parent) == os.getpid() and "resource_tracker" not in words:  # that one ends with its parent
            found.append(f"child {name.partition('(')[2]} ({state}) {words}".strip())
    return found
