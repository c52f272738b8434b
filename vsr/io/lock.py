"""One process at a time: a lock file that no dead process leaves locked, and that says who holds it.

flock(2) is the truth; what the file says is for people. Held: until the block ends or the process dies, however it
dies. Children that exec (the ffmpeg program, workers that are spawned) do not hold it; a child that is forked and
lives on does, for as long as it lives.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import platform
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from vsr.core.errors import JobLocked, OutputError
from vsr.io.atomic import translate

PATIENCE_S = 0.3  # `holder` takes the lock for an instant to see whether it is free: that is nobody at work
_PAUSE_S = 0.01
_TAKEN = (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES)
_NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL)
_CONTENT_BYTES = 4096  # no name of a host is longer


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """Who holds a lock, as its file says. pid 0, host and since empty: the file does not say. since: ISO 8601."""

    pid: int
    host: str
    since: str

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}, since {self.since}" if self.pid else "another process"


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock file `path` for as long as the block runs; it and its folder (0700) are made where they are not.

    The file stays when the block ends, unless the block removed it (`remove_locked`).

    Raises:
        JobLocked: another process holds it, or another thread of this one.
        DiskFull: no space left.
        OutputError: the folder around cannot be written, or its file system has no locks.
    """
    file = _take(path)
    try:
        yield
    finally:
        os.close(file)  # and with it the lock
        with suppress(OSError):  # the folder is gone too, or somebody has made a new lock in it
            if not path.exists():
                # NFS keeps a file that is removed while it is open, under another name: its folder can go only now.
                path.parent.rmdir()


def holder(path: Path) -> Holder | None:
    """Tell who holds a lock file now; None if nobody does, whatever the file says.

    Raises:
        OutputError: it cannot be read, or its file system has no locks.
    """
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _unreadable(error, path) from error
    try:
        return None if _flock(file, fcntl.LOCK_SH, path) else _content(file)
    except OSError as error:
        raise _unreadable(error, path) from error
    finally:
        os.close(file)


def remove_locked(path: Path) -> None:
    """Remove the folder of a lock that is held here, and all in it.

    The lock goes last: from then on a new one can be made and taken, and nothing of the old folder is left by then.

    Raises:
        OutputError: something in it cannot be removed; the lock is still there.
    """
    folder = path.parent
    try:
        for entry in folder.iterdir():
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            elif entry.name != path.name:
                entry.unlink()
        path.unlink()
        with suppress(FileNotFoundError):
            folder.rmdir()
    except OSError as error:
        if error.errno == errno.ENOTEMPTY:  # somebody has made a new lock in it by now: it is theirs
            return
        said = os.strerror(error.errno) if error.errno else str(error)
        raise OutputError(f"{folder} cannot be removed: {said}", hint="Remove it by hand.") from error


def _take(path: Path) -> int:
    """Give the open file that holds the lock."""
    until = time.monotonic() + PATIENCE_S
    while True:
        file, is_taken = _open(path), False
        try:
            is_taken = _flock(file, fcntl.LOCK_EX, path)
            # Whoever held it may have removed it with its folder: then this is a lock on a file that nobody can find.
            if is_taken and _is_same(file, path):
                _sign(file)
                return file
            held_by = None if is_taken else _content(file)
        except OSError as error:
            with suppress(OSError):  # a folder that was made for the lock alone goes with it
                if is_taken and not any(entry.name != path.name for entry in path.parent.iterdir()):
                    path.unlink()
                    path.parent.rmdir()
            os.close(file)
            raise translate(error, path) from error
        except BaseException:
            os.close(file)
            raise
        os.close(file)
        if held_by is not None and time.monotonic() >= until:
            hint = "Wait for it, or end it: what it has finished stays, and the same command goes on from there."
            raise JobLocked(f"{path.parent} is in use by {held_by}", hint=hint)
        time.sleep(_PAUSE_S)


def _open(path: Path) -> int:
    until = time.monotonic() + PATIENCE_S
    while True:
        try:
            path.parent.mkdir(mode=0o700, exist_ok=True)
            return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except (FileNotFoundError, FileExistsError) as error:
            # Removed between two calls, or found there and gone again: then once more.
            is_other = os.path.lexists(path.parent) and not path.parent.is_dir()
            if is_other or not path.parent.parent.is_dir() or time.monotonic() >= until:
                raise translate(error, path.parent) from error
        except OSError as error:
            with suppress(OSError):  # if it was made just now; what holds anything stays
                path.parent.rmdir()
            raise translate(error, path) from error


def _flock(file: int, kind: int, path: Path) -> bool:
    """Try to lock; False if somebody else has it."""
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _TAKEN:
            return False
        if error.errno in _NO_LOCKS:
            raise OutputError(
                f"{path} cannot be locked: its file system has no locks ({os.strerror(error.errno)})",
                hint="Name an output on a disk that has locks (a local one, or NFS with its lock service) with -o.",
            ) from error
        raise
    return True


def _is_same(file: int, path: Path) -> bool:
    try:
        there = path.stat(follow_symlinks=False)
    except FileNotFoundError:
        return False
    return os.path.samestat(os.fstat(file), there)


def _sign(file: int) -> None:
    since = datetime.now(UTC).isoformat(timespec="seconds")
    content = json.dumps({"pid": os.getpid(), "host": platform.node(), "since": since}) + "\n"
    os.ftruncate(file, 0)
    os.pwrite(file, content.encode(), 0)


def _content(file: int) -> Holder:
    """Read who holds it; what is no such thing says nothing."""
    try:
        said = json.loads(os.pread(file, _CONTENT_BYTES, 0))
        return Holder(pid=int(said["pid"]), host=str(said["host"]), since=str(said["since"]))
    except (ValueError, TypeError, KeyError, RecursionError):
        return Holder(pid=0, host="", since="")


def _unreadable(error: OSError, path: Path) -> OutputError:
    said = os.strerror(error.errno) if error.errno else str(error)
    return OutputError(f"{path} cannot be read: {said}", hint="Ask whoever owns it, or remove it by hand.")
