"""Executor: the machines of a Ray cluster, one task of Ray's for each chunk in hand. The only place that speaks to Ray.

Ray places tasks, carries data and notices the dead; how often a chunk is begun anew is counted here (Ray's own retries
never end for a task that was killed for memory, and do not say how many there were). Nothing is remembered here: the
journal on this machine's disk says what is done. What a task does on its machine stands in `node.py`.
"""

from __future__ import annotations

import dataclasses
import os
import secrets
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from types import ModuleType
from typing import TYPE_CHECKING, Protocol, cast

from vsr.core.errors import ChunkFailed, JobError, NoDevice, OutputError, UsageError, VsrError
from vsr.core.events import StageLoad
from vsr.core.job import Job
from vsr.engines.device import cores
from vsr.io import atomic, remote
from vsr.io.versions import libraries
from vsr.jobs.executors import node
from vsr.jobs.executors.base import LIVES, Failed, Finished, Outcome, Task, Tick, Working
from vsr.jobs.executors.board import Board, Said
from vsr.jobs.executors.worker import discard, frames_of
from vsr.jobs.facts import facts

if TYPE_CHECKING:
    from ray import ObjectRef

    Ref = ObjectRef[object]

POLL_S = 0.25  # how often progress is asked for, and a stop noticed
TELL_S = 1.0  # how often a node tells its progress
REACH_S = 5.0  # for a cluster to take a connection: Ray itself tries for many minutes
END_S = 5.0  # for tasks that are stopped to be gone


class _Board(Protocol):
    """The actor that nodes tell their progress, as seen from outside."""

    tell: _Method
    read: _Method


class _Method(Protocol):
    def remote(self, *args: object) -> Ref: ...


@dataclasses.dataclass(slots=True, kw_only=True)
class _Sent:
    """A job that the cluster has: what its tasks are given."""

    job: Job
    terms: node.Terms
    terms_ref: Ref
    job_ref: Ref


@dataclasses.dataclass(slots=True, kw_only=True)
class _InHand:
    """A task that the cluster works on. lost: how many workers have died over it. told: frames that were reported."""

    task: Task
    order: node.Order
    lost: int
    told: int = 0


class RayCluster:
    """Runs tasks on a Ray cluster: the one at `address` (`HOST:PORT`, `auto`), or one started here and ended by close.

    gpus_per_task: 0.5 puts two tasks on each GPU. shared: whether the machines share the disk that destinations lie
    on; None: each machine looks for itself.

    Raises:
        UsageError: ray is not installed. JobError: the cluster cannot be reached.
    """

    def __init__(self, address: str | None = None, *, gpus_per_task: float = 1.0, shared: bool | None = None) -> None:
        if not 0 < gpus_per_task <= 1:
            raise ValueError(f"gpus_per_task must lie in (0, 1], got {gpus_per_task}")
        self._address = address
        self._is_ours = False
        self._gpus_per_task = gpus_per_task
        self._shared = shared
        self._ray = _imported(is_ours=address is None)
        self._join()
        self._call = self._ray.remote(max_retries=0, max_calls=0)(_on_node)
        self._board: _Board | None = None
        self._reading: Ref | None = None
        self._need = (1.0, 0.0)  # CPUs and GPUs of a task, by the last job seen
        self._sent: dict[int, _Sent] = {}

    @property
    def workers(self) -> int:
        """How many tasks are in hand at a time, by the machines that are there now and the last job's needs.

        One more than there is room for, an eighth more on large clusters: a machine that gets done takes the next
        while its answer is on the way.
        """
        cpus, gpus = self._need
        rooms = [
            int(min(have.get("CPU", 0) / cpus, have.get("GPU", 0) / gpus if gpus else float("inf")) + 1e-9)
            for have in self._machines()
        ]
        room = max(1, sum(rooms))
        return room + 1 + room // 8

    @property
    def is_here(self) -> bool:
        return False

    def run(self, tasks: Iterator[Task], tick: Tick) -> Generator[Outcome]:
        if not self._ray.is_initialized():  # closed before, and wanted again
            self._join()
        hand: dict[Ref, _InHand] = {}
        is_over = False
        try:
            while True:
                while not is_over and len(hand) < self.workers:
                    task = next(tasks, None)
                    is_over = task is None
                    if task is not None and (failed := self._submit(hand, task)) is not None:
                        yield failed
                if not hand:
                    return
                ready, _ = self._ray.wait(list(hand), num_returns=1, timeout=POLL_S)
                self._tell(hand, tick)
                for ref in ready:
                    in_hand = hand[ref]
                    outcome = self._outcome(ref, in_hand)
                    if isinstance(outcome, Finished):
                        _tick_last(outcome, tick)
                    del hand[ref]  # from here on it is not removed when the caller stops
                    outcome = outcome or self._submit(hand, in_hand.task, lost=in_hand.lost + 1)
                    if outcome is not None:
                        yield outcome
        finally:
            self._stop(hand)
            self._forget({})

    def close(self) -> None:
        """Leave the cluster; one that was started here ends."""
        if self._is_ours:
            self._is_ours = False
            self._ray.shutdown()
        self._home.cleanup()
        self._board = self._reading = None

    def _join(self) -> None:
        self._home = tempfile.TemporaryDirectory(prefix="vsr-ray-", ignore_cleanup_errors=True)
        self._is_ours = _connect(self._ray, self._address, self._home.name)

    def _machines(self) -> list[dict[str, float]]:
        return [found["Resources"] for found in self._ray.nodes() if found["Alive"]]

    def _submit(self, hand: dict[Ref, _InHand], task: Task, *, lost: int = 0) -> Failed | None:
        """Hand a task to the cluster; gives its end at once where its job cannot be sent."""
        try:
            sent = self._sent.get(id(task.job)) or self._send(hand, task)
        except VsrError as error:
            return Failed(task=task, error=error, lost=lost)
        order = node.Order(name=secrets.token_hex(4), chunk=task.chunk, path=task.path)
        cpus, gpus = self._need
        ref = self._call.options(num_cpus=cpus, num_gpus=gpus).remote(
            order, sent.terms_ref, sent.job_ref, self._open_board()
        )
        hand[ref] = _InHand(task=task, order=order, lost=lost)
        return None

    def _send(self, hand: dict[Ref, _InHand], task: Task) -> _Sent:
        """Give the cluster a job, once for all its chunks."""
        job = task.job
        self._forget(hand)
        self._need = self._needed(job)
        known = facts(job)
        token = task.path.parent / f".shared-{secrets.token_hex(8)}"
        if self._shared is not False:
            try:
                token.touch()
            except OSError as error:
                raise atomic.translate(error, token) from error
        terms = node.Terms(
            token=token,
            facts=known,
            libraries=libraries(),
            origin=remote.origin(job.source.path),
            cpus=int(self._need[0]),
            on_gpu=self._need[1] > 0,
        )
        sent = _Sent(job=job, terms=terms, terms_ref=self._ray.put(terms), job_ref=self._ray.put(job))
        self._sent[id(job)] = sent
        return sent

    def _forget(self, hand: dict[Ref, _InHand]) -> None:
        """Take back the jobs of which nothing is in hand."""
        busy = {id(in_hand.task.job) for in_hand in hand.values()}
        for key in [key for key in self._sent if key not in busy]:
            with suppress(OSError):  # its folder may be gone by now, the work being done
                self._sent.pop(key).terms.token.unlink()

    def _needed(self, job: Job) -> tuple[float, float]:
        """Give CPUs and GPUs for one task: as many threads as the job wants, and as the smallest machine has.

        Raises:
            NoDevice: the job was planned for a GPU, and the cluster has none.
        """
        machines = self._machines()
        if job.compute.device == "cpu":
            return min([float(job.compute.workers), *(m["CPU"] for m in machines if m.get("CPU", 0) >= 1)]), 0.0
        shares = [m.get("CPU", 1.0) * self._gpus_per_task / m["GPU"] for m in machines if m.get("GPU")]
        if not shares:
            raise NoDevice("the cluster has no GPU", hint="Start a machine with one, or add --device cpu.")
        return max(1.0, float(int(min(float(job.compute.workers), *shares)))), self._gpus_per_task

    def _open_board(self) -> _Board:
        if self._board is None:
            made = self._ray.remote(num_cpus=0, max_restarts=-1)(Board).options(
                scheduling_strategy=self._ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(
                    self._ray.get_runtime_context().get_node_id(), soft=True
                )
            )
            self._board = cast(_Board, made.remote())
        return self._board

    def _tell(self, hand: dict[Ref, _InHand], tick: Tick) -> None:
        """Hand on what the nodes have told since the last time; a board that is not there just now says nothing."""
        if self._reading is None:
            self._reading = self._open_board().read.remote([in_hand.order.name for in_hand in hand.values()])
        ready, _ = self._ray.wait([self._reading], timeout=0)
        if not ready:
            return
        reading, self._reading = self._reading, None
        try:
            said: dict[str, Said] = self._ray.get(reading)
        except self._ray.exceptions.RayError:
            return
        for in_hand in hand.values():
            if (told := said.get(in_hand.order.name)) and told.done != in_hand.told:
                in_hand.told = told.done
                tick(Working(worker=told.worker, task=in_hand.task, done=told.done, stages=told.stages))

    def _outcome(self, ref: Ref, in_hand: _InHand) -> Outcome | None:
        """Give what came of a task; None if its worker died and it has lives left."""
        task, order = in_hand.task, in_hand.order
        try:
            answer: node.Answer = self._ray.get(ref)
            if answer.result is None:
                return Failed(task=task, error=_error(answer), lost=in_hand.lost)
            if answer.content is not None:
                node.write(answer.content, task.path, is_folder=task.job.destination.kind != "video")
            return Finished(task=task, result=answer.result, worker=answer.worker)
        except OutputError as error:
            return Failed(task=task, error=error, lost=in_hand.lost)
        except self._ray.exceptions.RayTaskError as error:
            failed = ChunkFailed(f"{frames_of(task)}: {error.cause or error}", hint="Is the same vsr on every machine?")
            failed.add_note(str(error))
            return Failed(task=task, error=failed, lost=in_hand.lost)
        except self._ray.exceptions.RayError as error:
            self._sweep(order)
            if in_hand.lost + 1 < LIVES:
                return None
            discard(task)
            said = str(error).strip().partition("\n")[0]
            failed = ChunkFailed(
                f"{frames_of(task)}: {LIVES} workers died over it ({type(error).__name__}: {said})",
                hint="If they ran out of memory, name a smaller --tile.",
            )
            return Failed(task=task, error=failed, lost=LIVES)

    def _sweep(self, order: node.Order) -> None:
        for part in node.leftovers(order.path, order.name):
            node.remove(part)

    def _stop(self, hand: dict[Ref, _InHand]) -> None:
        """End what is in hand, and remove what it leaves."""
        if not hand:
            return
        with suppress(self._ray.exceptions.RayError):
            for ref in hand:
                self._ray.cancel(ref, force=True)
            self._ray.wait(list(hand), num_returns=len(hand), timeout=END_S)
        for in_hand in hand.values():
            self._sweep(in_hand.order)
            discard(in_hand.task)


def _tick_last(outcome: Finished, tick: Tick) -> None:
    result = outcome.result
    tick(Working(worker=outcome.worker, task=outcome.task, done=result.frames, stages=result.stages))


def _on_node(order: node.Order, terms: node.Terms, job: Job, board: _Board) -> node.Answer:
    """The task that Ray runs."""
    last = 0.0

    def told(worker: str, done: int, stages: tuple[StageLoad, ...]) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= TELL_S or done == order.chunk.frames:
            last = now
            board.tell.remote(order.name, Said(worker=worker, done=done, stages=stages))

    return node.do(order, terms, job, told)


def _error(answer: node.Answer) -> VsrError:
    assert answer.error is not None
    for note in answer.notes:
        answer.error.add_note(note)
    return answer.error


def _imported(*, is_ours: bool) -> ModuleType:
    """Import ray, which then reports nothing to anybody; a cluster that is to be started here lets nobody else in."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ.setdefault("RAY_DEDUP_LOGS_SKIP_REGEX", ".")  # else it prints what befalls nodes among our own output
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # else it warns of a change to come
    if is_ours and "ray" not in sys.modules:  # Ray listens on every interface, and runs whatever it is sent
        os.environ.setdefault("RAY_AUTH_MODE", "token")
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    try:
        import ray
        import ray.util.scheduling_strategies
    except ImportError as error:
        raise UsageError(f"--cluster ray needs ray ({error})", hint='pip install "vsr[ray]"') from error
    return ray


def _connect(ray: ModuleType, address: str | None, home: str) -> bool:
    """Join the cluster, or start one on this machine, its sockets and logs in `home`. Gives whether it is ours."""
    if ray.is_initialized():
        return False
    if address is not None and "://" in address:
        raise UsageError(f"--address {address} is not HOST:PORT", hint="Run this on a machine of the cluster.")
    if address is not None and address != "auto":
        _reach(address)
    quiet = {"log_to_driver": False, "logging_level": "ERROR", "include_dashboard": False}
    with _signals_kept():
        try:
            if address is None:
                ray.init(address="local", num_cpus=cores(), _temp_dir=home, **quiet)
            else:
                ray.init(address=address, **quiet)
        except (ConnectionError, RuntimeError, ValueError, OSError) as error:
            raise _unreachable(address, error) from error
    return True


def _reach(address: str) -> None:
    """See that somebody takes connections at `HOST:PORT`.

    Raises:
        UsageError: it is no address. JobError: nobody does.
    """
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        raise UsageError(f"--address {address} is not HOST:PORT")
    try:
        socket.create_connection((host, int(port)), REACH_S).close()
    except (OSError, OverflowError) as error:
        raise _unreachable(address, error) from error


def _unreachable(address: str | None, error: Exception) -> JobError:
    said = str(error).strip().partition("\n")[0]
    return JobError(
        f"the Ray cluster {address or 'of this machine'} cannot be reached: {said}",
        hint="Start Ray here with `ray start --address=HOST:PORT` (the first machine: `ray start --head`).",
    )


@contextmanager
def _signals_kept() -> Iterator[None]:
    """Put back the handler of SIGTERM, which Ray takes: ours ends a job so that it can go on."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        with suppress(ValueError):  # not the main thread: Ray did not take it either
            signal.signal(signal.SIGTERM, before)
