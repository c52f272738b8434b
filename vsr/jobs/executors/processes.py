"""Executor: worker processes of this machine, one for each device, pulling chunks as they get free.

A process of its own keeps a crash in a native library, or the system's memory killer, from taking the job along: the
chunk goes back to the queue, and another process takes the dead one's place. No chunk is fetched ahead: a worker is
given its next one before the caller sees its last, so that it works while the caller writes its journal.
"""

from __future__ import annotations

import logging
import os
import signal
from collections import Counter, deque
from collections.abc import Generator, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import connection, get_context, resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from multiprocessing.util import Finalize

from vsr.core.errors import ChunkFailed, JobError, VsrError
from vsr.core.job import Job
from vsr.jobs.executors.base import LIVES, Failed, Finished, Outcome, Task, Tick, Working
from vsr.jobs.executors.messages import Logged, Message, Order, Over, Ready, Told
from vsr.jobs.executors.worker import discard, frames_of
from vsr.jobs.executors.worker_process import PARENTS_SIGNALS, serve

log = logging.getLogger(__name__)

END_S = 5.0  # for a worker whose pipe has ended to end too

_SPAWN = get_context("spawn")  # a fork would share locks of threads, and CUDA cannot be used after it


@dataclass(slots=True, kw_only=True, eq=False)
class _Seat:
    """One worker's place: its device, the process that sits there now, and what it has in hand."""

    name: str
    device: str
    share: int
    process: SpawnProcess | None = None
    pipe: Connection | None = None
    is_ready: bool = False
    task: Task | None = None
    job: Job | None = None  # the last one it was sent


class Processes:
    """Runs tasks in one process a device. `devices`: `cuda:0`, `cuda:1`, or `cpu` as many times as there are to be."""

    def __init__(self, devices: Sequence[str]) -> None:
        if not devices:
            raise ValueError("no devices")
        count, met = Counter(devices), Counter[str]()
        self._seats: list[_Seat] = []
        for device in devices:
            met[device] += 1
            name = device if count[device] == 1 else f"{device} #{met[device]}"
            self._seats.append(_Seat(name=name, device=device, share=count[device] if device == "cpu" else 1))
        self._stillborn = 0  # processes in a row that ended before they began
        # Whoever forgets `close` leaves no process behind either, not even at the interpreter's exit.
        self._end = Finalize(self, _end, args=(self._seats,), exitpriority=10)

    @property
    def workers(self) -> int:
        return len(self._seats)

    @property
    def is_here(self) -> bool:
        return False

    def run(self, tasks: Iterator[Task], tick: Tick) -> Generator[Outcome]:
        queue = _Queue(tasks)
        try:
            while self._hand_out(queue):
                for seat in self._wait():
                    outcome = self._hear(seat, queue, tick)
                    if isinstance(outcome, Finished):
                        try:
                            self._hand_out(queue)
                        finally:
                            yield outcome
                    elif outcome is not None:
                        yield outcome
        finally:
            if self._busy():
                _end(self._seats)

    def close(self) -> None:
        """End the workers; the next `run` starts new ones."""
        _end(self._seats)  # not asked to go: there is nothing to lose, and tidying up takes an interpreter seconds

    def _busy(self) -> list[_Seat]:
        return [seat for seat in self._seats if seat.task is not None]

    def _hand_out(self, queue: _Queue) -> bool:
        """Give a task to everybody who is free, as long as there are any. Gives whether anybody has one."""
        for seat in self._seats:
            if seat.task is not None:
                continue
            task = queue.take()
            if task is None:
                break
            if seat.process is None or not seat.process.is_alive():
                _vacate(seat)  # it may have died without work
                self._start(seat)
            seat.task = task
            if seat.is_ready:
                _send(seat)
        return bool(self._busy())

    def _wait(self) -> list[_Seat]:
        """Wait until somebody who has work says something, or dies; give who did."""
        busy = self._busy()
        pipes = {seat.pipe: seat for seat in busy if seat.pipe is not None}
        ends = {seat.process.sentinel: seat for seat in busy if seat.process is not None}
        ready = set(connection.wait([*pipes, *ends]))
        heard = [seat for talking in (pipes, ends) for sign, seat in talking.items() if sign in ready]
        return list(dict.fromkeys(heard))

    def _hear(self, seat: _Seat, queue: _Queue, tick: Tick) -> Outcome | None:
        """Take what one worker says: its outcome, or None while there is none."""
        assert seat.pipe is not None and seat.task is not None
        try:
            # A dead one's last words count: its outcome may be among them.
            message: Message | None = seat.pipe.recv() if seat.pipe.poll() else None
        except (EOFError, OSError):
            message = None
        match message:
            case Ready():
                seat.is_ready, self._stillborn = True, 0
                _send(seat)
            case Told(done=done, stages=stages):
                tick(Working(worker=seat.name, task=seat.task, done=done, stages=stages))
            case Logged(logger=name, level=level, text=text):
                logging.getLogger(name).log(level, "%s: %s", seat.name, text)
            case Over(end=end):
                task, seat.task = seat.task, None
                if isinstance(end, VsrError):
                    return Failed(task=task, error=end, lost=queue.deaths[task])
                return Finished(task=task, result=end, worker=seat.name)
            case None:
                return self._bury(seat, queue)
        return None

    def _bury(self, seat: _Seat, queue: _Queue) -> Outcome | None:
        """Clear a dead worker's place: its task goes back to the queue, unless too many have died over it."""
        task, was_ready = seat.task, seat.is_ready
        assert task is not None
        how = _vacate(seat)
        discard(task)
        if not was_ready:
            self._stillborn += 1
            if self._stillborn >= LIVES:
                raise JobError(
                    f"worker processes end before they begin, the last one {how}",
                    hint="Without a list of devices (--device cpu) the work is done in one process.",
                )
        else:
            queue.deaths[task] += 1
        lost = queue.deaths[task]
        log.warning("worker %s ended %s over %s", seat.name, how, frames_of(task))
        if lost < LIVES:
            queue.back.append(task)
            return None
        return Failed(task=task, error=_fatal(task, lost, how), lost=lost)

    def _start(self, seat: _Seat) -> None:
        seat.pipe, theirs = _SPAWN.Pipe()
        level = logging.getLogger("vsr").getEffectiveLevel()
        process = _SPAWN.Process(
            target=serve,
            args=(theirs, os.getpid(), level, seat.name, seat.device, seat.share),
            name=f"vsr {seat.name}",
            daemon=True,
        )
        resource_tracker.ensure_running()  # here, for starting it unblocks signals
        held = signal.pthread_sigmask(signal.SIG_BLOCK, PARENTS_SIGNALS)
        try:
            process.start()
        except OSError as error:
            seat.pipe.close()
            raise JobError(f"no worker process can be started: {error.strerror}") from error
        else:
            seat.process = process
        finally:
            theirs.close()
            signal.pthread_sigmask(signal.SIG_SETMASK, held)


class _Queue:
    """The tasks to do: those that came back first, then what the caller's iterator gives."""

    def __init__(self, tasks: Iterator[Task]) -> None:
        self.back: deque[Task] = deque()
        self.deaths: Counter[Task] = Counter()
        self._tasks = tasks
        self._ended = False

    def take(self) -> Task | None:
        if self.back:
            return self.back.popleft()
        task = None if self._ended else next(self._tasks, None)
        self._ended = task is None
        return task


def _send(seat: _Seat) -> None:
    """Send a worker its task, and the job where it is another one. It listens: it is ready, and has nothing to do."""
    assert seat.pipe is not None and seat.task is not None
    job = None if seat.job is seat.task.job else seat.task.job
    with suppress(ConnectionError):  # it has just died: it will be heard of
        seat.pipe.send(Order(job=job, chunk=seat.task.chunk, path=seat.task.path))
    seat.job = seat.task.job


def _vacate(seat: _Seat) -> str:
    """End whatever process sits there, wait until it is gone, forget it; tell how it ended."""
    how = ""
    if seat.process is not None:
        seat.process.join(END_S)
        seat.process.kill()  # its pipe has ended, and it has not
        seat.process.join()
        how = _how(seat.process.exitcode)
        seat.process.close()
    if seat.pipe is not None:
        seat.pipe.close()
    seat.process = seat.pipe = seat.task = seat.job = None
    seat.is_ready = False
    return how


def _end(seats: Sequence[_Seat]) -> None:
    """Kill every worker, wait until they are gone, and remove what they leave half made."""
    for seat in seats:
        if seat.process is not None:
            seat.process.kill()
    for seat in seats:
        task = seat.task
        _vacate(seat)
        if task is not None:
            discard(task)


def _how(code: int | None) -> str:
    if code is None or code >= 0:
        return f"with exit code {code}"
    try:
        return f"by signal {-code} ({signal.Signals(-code).name})"
    except ValueError:
        return f"by signal {-code}"


def _fatal(task: Task, lost: int, how: str) -> ChunkFailed:
    return ChunkFailed(
        f"{frames_of(task)}: {lost} worker processes died over them, the last one {how}",
        hint="The system kills what takes too much memory: use a smaller --tile or --batch, or fewer workers."
        if "SIGKILL" in how
        else "A library crashed. `--decoder ffmpeg` decodes outside the process; please report it.",
    )
