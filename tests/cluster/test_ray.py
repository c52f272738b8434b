"""Chunks on a real Ray cluster of two nodes on this machine; one of them is killed at the end of the file.

Every test holds the segments against those that the calling process makes itself.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.conftest import access, put
from tests.media import make_clip, numbers_of
from vsr.core.errors import ChangedSinceStart, InputMissing, JobError, ModelError, UsageError
from vsr.core.job import Job
from vsr.core.presets import resolve
from vsr.io import remote
from vsr.jobs.executors import node, ray_cluster
from vsr.jobs.executors.base import Failed, Finished, Outcome, Task, Working
from vsr.jobs.executors.board import Said
from vsr.jobs.executors.here import Here
from vsr.jobs.folder.entry import run_folder
from vsr.jobs.folder.wish import Wish
from vsr.jobs.plan import plan
from vsr.jobs.remote import staged_remote
from vsr.pipeline.chunk import segment_name

if importlib.util.find_spec("ray") is None:
    pytest.skip("ray is not installed", allow_module_level=True)
ray = ray_cluster._imported(is_ours=False)
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::FutureWarning")

STORE = 80 << 20  # bytes of each node's object store, the least that Ray takes


@pytest.fixture(scope="module")
def cluster(s3_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[object]:
    """Start two nodes; both reach the S3 server, and keep what they fetch in a folder that is not this process's."""
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patched.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "nodes"))
        for name, value in access(s3_server).items():
            patched.setenv(name, value)
        yield from _cluster(Cluster)


def _cluster(kind) -> Iterator[object]:
    started = kind(initialize_head=True, head_node_args={"num_cpus": 1, "object_store_memory": STORE})
    started.add_node(num_cpus=1, object_store_memory=STORE)
    ray.init(address=started.address, log_to_driver=False, logging_level="ERROR")
    yield started
    ray.shutdown()
    started.shutdown()


@pytest.fixture
def executor(cluster) -> Iterator[object]:
    made = ray_cluster.RayCluster()
    yield made
    made.close()


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Job:
    return _job(tmp_path_factory.mktemp("job"))


def _job(folder: Path, *, frames: int = 30, out: str = "out.mkv", **settings: object) -> Job:
    clip = make_clip(folder / "in.mkv", frames=frames, audio=1)
    wanted = {"model": "bicubic", "scale": 2.0, "chunk_frames": 6, **settings}
    job = plan(clip, folder / out, resolve(wanted))
    assert len(job.chunks) > 3
    return job


def _tasks(job: Job, folder: Path) -> Iterator[Task]:
    folder.mkdir(exist_ok=True)
    for chunk in job.chunks:
        yield Task(job=job, chunk=chunk, path=folder / segment_name(job, chunk))


def _run(executor, job: Job, folder: Path, told: list[Working] | None = None) -> list[Outcome]:
    seen = told if told is not None else []
    outcomes = list(executor.run(_tasks(job, folder), seen.append))
    return sorted(outcomes, key=lambda outcome: outcome.task.chunk.index)


def _digests(outcomes: list[Outcome]) -> list[str]:
    assert all(isinstance(outcome, Finished) for outcome in outcomes), outcomes
    return [outcome.result.digest for outcome in outcomes]


def _errors(outcomes: list[Outcome]) -> list[Exception]:
    assert all(isinstance(outcome, Failed) for outcome in outcomes), outcomes
    return [outcome.error for outcome in outcomes]


@pytest.mark.parametrize("shared", [True, False])
def test_the_cluster_makes_the_bytes_of_this_process(executor, job, tmp_path, shared):
    executor._shared = shared
    told: list[Working] = []
    far = _run(executor, job, tmp_path / "far", told)
    near = _run(Here(), job, tmp_path / "near")
    assert _digests(far) == _digests(near)
    assert [outcome.result.path for outcome in far] == [outcome.task.path for outcome in far]
    assert [outcome.result.path.read_bytes() for outcome in far] == [o.result.path.read_bytes() for o in near]
    assert [n for outcome in far for n in numbers_of(outcome.task.path)] == list(range(30))
    names = {path.name for path in (tmp_path / "far").iterdir()}
    assert names == {outcome.task.path.name for outcome in far}
    assert {working.task for working in told} <= {outcome.task for outcome in far}


def test_folders_of_images_come_back_too(executor, tmp_path):
    job = _job(tmp_path, out="frames")
    executor._shared = False
    far, near = _run(executor, job, tmp_path / "far"), _run(Here(), job, tmp_path / "near")
    assert _digests(far) == _digests(near)
    assert {p.relative_to(tmp_path / "far") for p in (tmp_path / "far").rglob("*")} == {
        p.relative_to(tmp_path / "near") for p in (tmp_path / "near").rglob("*")
    }


def test_an_error_in_a_chunk_is_its_outcome(executor, job, tmp_path):
    """The planned model is not on the nodes."""
    gone = dataclasses.replace(job, model=str(tmp_path / "gone.safetensors"))
    errors = _errors(_run(executor, gone, tmp_path / "work"))
    assert len(errors) == len(job.chunks)
    assert all(isinstance(error, ModelError) and "gone.safetensors" in error.message for error in errors)
    assert list((tmp_path / "work").iterdir()) == []


def test_a_node_with_another_source_says_so(executor, tmp_path, job):
    """What the job was planned with is not what the node finds."""
    executor._send({}, next(_tasks(job, tmp_path / "work")))
    (sent,) = executor._sent.values()
    other = dataclasses.replace(sent.terms, facts={**sent.terms.facts, "model": "another"})
    order = node.Order(name="x", chunk=job.chunks[0], path=tmp_path / "work" / "000000.nut")
    answer = node.do(order, other, job, lambda *told: None)
    assert isinstance(answer.error, ChangedSinceStart)
    assert "model: bicubic" in answer.error.message
    weights = dataclasses.replace(job, card=dataclasses.replace(job.card, digest="0" * 64))
    answer = node.do(order, sent.terms, weights, lambda *told: None)
    assert "was bicubic with 00000000" in answer.error.message
    older = dataclasses.replace(sent.terms, libraries=(("torch", "1.0"), *sent.terms.libraries[1:]))
    answer = node.do(order, older, job, lambda *told: None)
    assert isinstance(answer.error, JobError)
    assert "torch" in answer.error.message
    assert "not 1.0" in answer.error.message


def test_a_source_that_no_node_sees_is_named(executor, tmp_path):
    job = _job(tmp_path)
    tasks = list(_tasks(job, tmp_path / "work"))
    executor._send({}, tasks[0])
    job.source.path.unlink()
    errors = _errors(sorted(executor.run(iter(tasks), lambda working: None), key=lambda o: o.task.chunk.index))
    assert all(isinstance(error, InputMissing) and "in.mkv" in error.message for error in errors)


def test_a_source_that_no_node_sees_is_fetched_by_its_url(executor, bucket, tmp_path):
    clip = make_clip(tmp_path / "in.mkv", frames=30, audio=1)
    put(bucket, "in.mkv", clip.read_bytes())
    with staged_remote(f"{bucket}/in.mkv", str(tmp_path / "out.mkv")) as staged:
        job = plan(staged.source, staged.destination, resolve({"model": "bicubic", "scale": 2.0, "chunk_frames": 6}))
        near = _run(Here(), job, tmp_path / "near")
        tasks = list(_tasks(job, tmp_path / "far"))
        executor._send({}, tasks[0])
        staged.source.unlink()
        far = sorted(executor.run(iter(tasks), lambda working: None), key=lambda o: o.task.chunk.index)
    assert _digests(far) == _digests(near)


def test_a_folder_run_makes_the_same_files(cluster, bucket, tmp_path):
    """On this machine alone, on the cluster, and on the cluster from S3 to S3."""
    (tmp_path / "src").mkdir()
    for name, frames in (("a.mkv", 12), ("b.mkv", 7)):
        clip = make_clip(tmp_path / "src" / name, frames=frames, audio=1)
        put(bucket, f"in/{name}", clip.read_bytes())
    settings = {"model": "bicubic", "scale": 2.0, "chunk_frames": 6}
    near, far = tmp_path / "near", tmp_path / "far"
    run_folder(Wish(source=tmp_path / "src", destination=near), resolve(settings))
    onto = resolve({**settings, "cluster": "ray"})
    assert run_folder(Wish(source=tmp_path / "src", destination=far), onto).done == 2
    assert run_folder(Wish(source=f"{bucket}/in", destination=f"{bucket}/out"), onto).done == 2
    for name in ("a.mkv", "b.mkv"):
        assert (far / name).read_bytes() == (near / name).read_bytes()
        assert remote.fetch(f"{bucket}/out/{name}", tmp_path / "got").read_bytes() == (near / name).read_bytes()
    assert sorted(path.name for path in far.iterdir()) == ["a.mkv", "b.mkv", "results.jsonl"]


@pytest.mark.slow
def test_a_chunk_that_kills_its_worker_fails_after_three(executor, job, tmp_path, monkeypatch):
    """It takes the whole process with it, as a lack of memory does; the others get done."""

    def deadly(order, terms, job, board):
        if order.chunk.index == 1:
            part = order.path.with_name(f"{order.path.stem}-{order.name}.part{order.path.suffix}")
            part.write_bytes(b"half")
            os.kill(os.getpid(), signal.SIGKILL)
        return ray_cluster._on_node(order, terms, job, board)

    monkeypatch.setattr(executor, "_call", ray.remote(max_retries=0, max_calls=0)(deadly))
    outcomes = _run(executor, job, tmp_path / "work")
    failed = outcomes[1]
    assert isinstance(failed, Failed)
    assert failed.lost == ray_cluster.LIVES == 3
    assert "frames 6 to 11 of" in failed.error.message
    assert "in.mkv" in failed.error.message
    assert all(isinstance(outcome, Finished) for outcome in outcomes if outcome is not failed)
    assert len(list((tmp_path / "work").iterdir())) == len(job.chunks) - 1


def test_tasks_are_taken_when_there_is_room(executor, job, tmp_path):
    taken = 0

    def counted() -> Iterator[Task]:
        nonlocal taken
        for task in _tasks(job, tmp_path / "work"):
            taken += 1
            yield task

    outcomes = executor.run(counted(), lambda working: None)
    next(outcomes)
    assert taken == executor.workers == 3  # two machines, and one that waits
    outcomes.close()
    assert list((tmp_path / "work").glob("*.part*")) == []


@pytest.mark.parametrize(
    ("address", "error"), [("ray://a:1", UsageError), ("nowhere", UsageError), ("127.0.0.1:9", JobError)]
)
def test_an_address_where_no_cluster_is_gets_named_at_once(address, error, monkeypatch):
    """Ray itself goes on trying for many minutes."""
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    began = time.monotonic()
    with pytest.raises(error, match=address):
        ray_cluster.RayCluster(address)
    assert time.monotonic() - began < 6


def test_the_handler_of_sigterm_is_ours_again():
    before = signal.getsignal(signal.SIGTERM)
    with ray_cluster._signals_kept():
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    assert signal.getsignal(signal.SIGTERM) is before


def test_without_ray_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UsageError) as caught:
        ray_cluster._imported(is_ours=True)
    assert caught.value.hint == 'pip install "vsr[ray]"'


def test_zz_a_node_killed_in_the_middle_loses_nothing(cluster, executor, tmp_path, monkeypatch, capsys):
    """Last in the file: the cluster has one node fewer afterwards. What Ray has to say of it stays off the screen."""
    job = _job(tmp_path)
    doomed = next(iter(cluster.worker_nodes))
    raylet = doomed.all_processes["raylet"][0].process.pid
    in_hand = tmp_path / "in hand"
    again: list[int] = []
    told: list[Working] = []
    submit, tell = executor._submit, executor._tell

    def on_node(order, terms, job, board):
        def hold(worker, done, stages):
            """Some frames are done: the doomed node keeps its chunk until it dies, the other says so and goes on."""
            if os.getppid() == raylet:
                in_hand.touch()
                time.sleep(600)
            board.tell.remote(order.name, Said(worker=worker, done=done))
            time.sleep(0.5)

        return node.do(order, terms, job, hold)

    def submitted(hand, task, *, lost=0):
        again.extend([task.chunk.index] * lost)
        return submit(hand, task, lost=lost)

    def killing(hand, tick):
        if in_hand.exists() and doomed in cluster.worker_nodes:
            cluster.remove_node(doomed, allow_graceful=False)
        tell(hand, tick)

    monkeypatch.setattr(executor, "_call", ray.remote(max_retries=0, max_calls=0)(on_node))
    monkeypatch.setattr(executor, "_submit", submitted)
    monkeypatch.setattr(executor, "_tell", killing)
    ray.get(executor._open_board().read.remote([]))  # it is there from the first frame on
    outcomes = _run(executor, job, tmp_path / "far", told)
    assert doomed not in cluster.worker_nodes
    assert len(again) == 1
    assert _digests(outcomes) == _digests(_run(Here(), job, tmp_path / "near"))
    assert sum(outcome.result.frames for outcome in outcomes) == 30
    assert {path.name for path in (tmp_path / "far").iterdir()} == {o.task.path.name for o in outcomes}
    assert {working.worker for working in told} == {outcome.worker for outcome in outcomes}
    assert "raylet" not in capsys.readouterr().out
