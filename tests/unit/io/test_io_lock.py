"""One at a time, by name; never locked by the dead."""

from __future__ import annotations

import errno
import fcntl
import json
import multiprocessing
import os
import platform
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import pytest

from vsr.core.errors import DiskFull, JobLocked, OutputError
from vsr.io import lock
from vsr.io.lock import Holder, holder, locked, remove_locked

HOLD = """
import sys, time
from pathlib import Path
from vsr.io.lock import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / ".clip.mp4.vsr-work" / "lock"


@contextmanager
def other_process(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Let another process hold the lock until its stdin is closed."""
    words = [sys.executable, "-c", HOLD, str(path)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process


def test_one_process_keeps_another_out_and_says_who_it_is(path: Path) -> None:
    began = datetime.now(UTC)
    with other_process(path) as process:
        with pytest.raises(JobLocked) as caught, locked(path):
            pytest.fail("two hold it")
        holds = holder(path)
        assert holds is not None
        assert (holds.pid, holds.host) == (process.pid, platform.node())
        assert abs((datetime.fromisoformat(holds.since) - began).total_seconds()) < 60
        assert str(caught.value) == (
            f"{path.parent} is in use by process {process.pid} on {platform.node()}, since {holds.since}"
        )
        assert "the same command goes on" in str(caught.value.hint)
    assert holder(path) is None
    with locked(path):
        pass


def test_killed_it_holds_nothing(path: Path) -> None:
    with other_process(path) as process:
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert json.loads(path.read_text())["pid"] == process.pid  # the file still says so
        assert holder(path) is None
        began = time.monotonic()
        with locked(path):
            assert time.monotonic() - began < lock.PATIENCE_S
            assert json.loads(path.read_text())["pid"] == os.getpid()


def test_the_same_process_is_kept_out_too(path: Path) -> None:
    with locked(path), pytest.raises(JobLocked, match=str(os.getpid())), locked(path):
        pytest.fail("held twice")


def test_an_exception_in_the_block_passes_through_and_frees_it(path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), locked(path):
        raise KeyboardInterrupt
    assert holder(path) is None


def test_nobody_else_can_look_into_what_was_made(path: Path) -> None:
    old = os.umask(0)
    try:
        with locked(path):
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
            assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    finally:
        os.umask(old)


@pytest.mark.parametrize("rubbish", [b"", b"\xff\0rubbish", b"[1, 2]", b'{"pid": "x"}', b"7", b"{" * 9000, b"[" * 9000])
def test_rubbish_in_the_file_is_nobody_and_hides_nobody(path: Path, rubbish: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(rubbish)
    assert holder(path) is None
    with locked(path):
        said = holder(path)
        assert said is not None
        assert said.pid == os.getpid()
        assert path.read_bytes().endswith(b'"}\n')  # nothing of a longer text is left
        path.write_bytes(rubbish)
        assert holder(path) == Holder(pid=0, host="", since="")
        with pytest.raises(JobLocked, match=r"in use by another process$"), locked(path):
            pytest.fail("two hold it")


def test_no_file_is_nobody(tmp_path: Path) -> None:
    assert holder(tmp_path / "lock") is None
    assert holder(tmp_path / "nowhere" / "lock") is None


def test_looking_keeps_nobody_out(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody looks at the very moment of the first try."""
    path.parent.mkdir()
    path.touch()
    tries = count()

    with ExitStack() as glance:
        glance.callback(os.close, file := os.open(path, os.O_RDONLY))
        fcntl.flock(file, fcntl.LOCK_SH)
        real = time.sleep

        def rested(seconds: float) -> None:
            if next(tries) == 2:
                glance.close()
            real(seconds)

        monkeypatch.setattr(time, "sleep", rested)
        with locked(path):
            assert next(tries) == 3


def test_a_folder_removed_between_open_and_lock_is_made_anew(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As when the process before publishes its result: the lock would be on a file that nobody finds."""
    real, removals = fcntl.flock, count()

    def flock(file: int, kind: int) -> None:
        number = next(removals)
        if number < 3:
            path.unlink()
            path.parent.rmdir()
        if number == 1:  # and another has made it anew by then
            path.parent.mkdir()
            path.touch()
        real(file, kind)

    monkeypatch.setattr(fcntl, "flock", flock)
    with locked(path):
        monkeypatch.undo()
        assert holder(path) is not None
        with pytest.raises(JobLocked), locked(path):
            pytest.fail("two hold it")
    assert next(removals) == 4


def test_two_that_take_and_remove_in_turn_never_meet(path: Path) -> None:
    """Real processes, a folder that comes and goes: the one inside is alone, and finds nothing of the one before."""
    turns = f"""
import sys
from pathlib import Path
from vsr.core.errors import JobLocked
from vsr.io.lock import locked, remove_locked
path, done = Path({str(path)!r}), 0
while done < 40:
    try:
        with locked(path):
            assert [entry.name for entry in path.parent.iterdir()] == ["lock"]
            (path.parent / "000000").mkdir()
            (path.parent / "000000" / "1.png").touch()
            (path.parent / "journal.jsonl").open("x").close()
            remove_locked(path)
            done += 1
    except JobLocked:
        pass
"""
    both = [subprocess.Popen([sys.executable, "-c", turns], stderr=subprocess.PIPE) for _ in range(2)]
    assert [(process.communicate(timeout=60)[1], process.returncode) for process in both] == [(b"", 0), (b"", 0)]
    assert not path.parent.exists()


def test_the_lock_goes_last(path: Path) -> None:
    with locked(path):
        (path.parent / "images").mkdir()
        (path.parent / "images" / "a.png").touch()
        (path.parent / "link").symlink_to(path.parent.parent)
        remove_locked(path)
        assert list(path.parent.parent.iterdir()) == []


def test_what_cannot_be_removed_leaves_the_lock(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path, missing_ok: bool = False) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(self))

    with locked(path):
        (path.parent / "journal.jsonl").touch()
        with monkeypatch.context() as patch:
            patch.setattr(Path, "unlink", refuse)
            with pytest.raises(OutputError, match="cannot be removed: Permission denied"):
                remove_locked(path)
        assert path.exists()


def test_a_child_that_execs_does_not_keep_it(path: Path) -> None:
    words = [sys.executable, "-c", "import sys; print(flush=True); sys.stdin.read()"]
    with ExitStack() as children:
        with locked(path):
            child = children.enter_context(
                subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, close_fds=False)
            )
            assert child.stdout is not None
            child.stdout.readline()
        assert child.poll() is None
        assert holder(path) is None


def test_a_worker_that_is_spawned_does_not_keep_it(path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    ready, go_on = context.Event(), context.Event()
    with locked(path):
        worker = context.Process(target=_work, args=(ready, go_on))
        worker.start()
        assert ready.wait(30)
    try:
        assert worker.is_alive()
        assert holder(path) is None
    finally:
        go_on.set()
        worker.join()


def _work(ready: object, go_on: object) -> None:
    ready.set()  # type: ignore[attr-defined]
    go_on.wait(30)  # type: ignore[attr-defined]


def test_a_forked_child_that_lives_on_keeps_it(path: Path) -> None:
    """Not wished for, but so: workers must be spawned."""
    read, write = os.pipe()
    with locked(path):
        child = os.fork()
        if not child:
            os.close(write)
            os.read(read, 1)
            os._exit(0)
    try:
        assert holder(path) is not None
    finally:
        os.close(write)
        os.waitpid(child, 0)
        os.close(read)
    assert holder(path) is None


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS])
def test_a_file_system_without_locks_is_named(path: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    def flock(file: int, kind: int) -> None:
        raise OSError(code, os.strerror(code))

    path.parent.mkdir()
    path.touch()
    monkeypatch.setattr(fcntl, "flock", flock)
    handles = len(list(Path("/proc/self/fd").iterdir()))
    with pytest.raises(OutputError, match="its file system has no locks") as caught, locked(path):
        pytest.fail("not locked")
    assert str(path) in str(caught.value)
    assert "-o" in str(caught.value.hint)
    with pytest.raises(OutputError, match="its file system has no locks"):
        holder(path)
    assert len(list(Path("/proc/self/fd").iterdir())) == handles


@pytest.mark.parametrize("name", ["open", "ftruncate", "pwrite", "mkdir"])
def test_a_full_disk_is_told_and_leaves_it_free(path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    def full(*args: object, **kwargs: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, name, full)
        with pytest.raises(DiskFull, match="no space left"), locked(path):
            pytest.fail("not locked")
    with locked(path):
        pass


def test_a_missing_folder_around_is_named(tmp_path: Path) -> None:
    with (
        pytest.raises(OutputError, match=f"{tmp_path / 'gone'} does not exist"),
        locked(tmp_path / "gone" / "work" / "lock"),
    ):
        pytest.fail("not locked")


def test_what_is_no_plain_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "precious")
    with pytest.raises(OutputError), locked(tmp_path / "link"):
        pytest.fail("not locked")
    assert (tmp_path / "precious").read_text() == "mine"
    (tmp_path / "folder").mkdir()
    with pytest.raises(OutputError), locked(tmp_path / "folder"):
        pytest.fail("not locked")
    with pytest.raises(OutputError, match="cannot be read"):
        holder(tmp_path / "link")


def test_a_folder_that_can_go_only_when_its_lock_is_closed_goes_then(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NFS renames a file that is removed while it is open, and the folder is not empty before it is closed."""
    kept = path.with_name(".nfs0001")
    unlink, close = Path.unlink, os.close

    def rename(self: Path, missing_ok: bool = False) -> None:
        if self == path:
            self.rename(kept)
        else:
            unlink(self, missing_ok=missing_ok)

    def closing(file: int) -> None:
        close(file)
        if kept.exists():
            unlink(kept)

    with monkeypatch.context() as nfs:
        nfs.setattr(Path, "unlink", rename)
        nfs.setattr(os, "close", closing)
        with locked(path):
            remove_locked(path)
            assert kept.exists()
    assert not path.parent.exists()


def test_a_folder_that_goes_while_it_is_found_is_made_again(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`mkdir(exist_ok=True)` raises where the folder was there, and is not any more when it looks."""
    real, calls = os.mkdir, []

    def mkdir(folder: Path, mode: int = 0o777) -> None:
        calls.append(folder)
        if len(calls) == 1:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(folder))
        real(folder, mode)

    monkeypatch.setattr(os, "mkdir", mkdir)
    with locked(path):
        assert path.is_file()
    assert len(calls) >= 2
