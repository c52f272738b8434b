"""The life of a worker process: it takes orders from a pipe, tells how it goes, and ends with the pipe.

What the terminal or a service manager sends to every process is for the parent to decide on: a worker hears none of it.
When the parent is gone its worker goes at once, in mid-chunk too, and touches no file any more: the next run may
already own the work folder.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import time
from multiprocessing.connection import Connection

from vsr.core.errors import VsrError
from vsr.core.job import ChunkResult, Job
from vsr.jobs.executors.base import Finished, Task, Working
from vsr.jobs.executors.messages import Logged, Message, Order, Over, Ready, Told
from vsr.jobs.executors.worker import Worker

PARENTS_SIGNALS = (signal.SIGINT, signal.SIGTERM)
TELL_S = 0.25

_PR_SET_PDEATHSIG = 1  # prctl(2)


def serve(pipe: Connection, parent: int, level: int, name: str, device: str, share: int) -> None:
    """Do orders until the pipe ends: the whole of a worker process. level: of the parent's log.

    The others are `Worker`'s.
    """
    _leave_signals_to(parent)
    worker = Worker(name, device=device, share=share)
    log = _Kept()
    logging.getLogger("vsr").handlers[:] = [log]
    logging.getLogger("vsr").setLevel(level)
    teller = _Teller(pipe, log)
    job: Job | None = None
    try:
        pipe.send(Ready())
        while True:
            order: Order = pipe.recv()
            job = order.job or job
            assert job is not None, "the first order brings its job"
            task = Task(job=job, chunk=order.chunk, path=order.path)
            outcome = worker.do(task, teller.tick)
            teller.over(outcome.result if isinstance(outcome, Finished) else outcome.error)
    except (EOFError, ConnectionError):
        worker.close()


class _Teller:
    """Tells the parent how it goes, a few times a second; the first time that nobody listens, the process ends."""

    def __init__(self, pipe: Connection, log: _Kept) -> None:
        self._pipe = pipe
        self._log = log
        self._last = 0.0

    def tick(self, working: Working) -> None:
        now = time.monotonic()
        if now - self._last < TELL_S:
            return
        self._last = now
        self._send(*self._log.take(), Told(done=working.done, stages=working.stages))

    def over(self, end: ChunkResult | VsrError) -> None:
        self._last = 0.0  # the next chunk's first word comes at once
        self._send(*self._log.take(), Over(end=end))

    def _send(self, *messages: Message) -> None:
        try:
            for message in messages:
                self._pipe.send(message)
        except ConnectionError:
            os._exit(1)  # not by an exception: the chunk's clearing up would remove what is another's by now


class _Kept(logging.Handler):
    """Keeps what is logged, in whatever thread, until the one thread that owns the pipe takes it."""

    def __init__(self) -> None:
        super().__init__()
        self._kept: list[Logged] = []

    def emit(self, record: logging.LogRecord) -> None:
        self._kept.append(Logged(logger=record.name, level=record.levelno, text=self.format(record)))

    def take(self) -> list[Logged]:
        taken, self._kept = self._kept, []
        return taken


def _leave_signals_to(parent: int) -> None:
    for number in PARENTS_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, PARENTS_SIGNALS)  # the parent blocked them until here
    if sys.platform == "linux":  # elsewhere the end of the pipe will tell, at the next tick
        import ctypes

        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)
