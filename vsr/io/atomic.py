"""Nothing half-written ever bears its final name: temporary name, fsync, rename; and what a disk says when it cannot.

Used by whatever publishes a result. The other writers translate their `OSError` here.
"""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from vsr.core.errors import DiskFull, OutputError, OutputExists

NAME_BYTES = 255  # NAME_MAX of the common file systems
_FULL = (errno.ENOSPC, errno.EDQUOT)
# No links at all, no more to one file, or none from one folder into another (file systems made of several).
NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EXDEV)


@contextmanager
def staged(destination: Path, *, overwrite: bool, parts: Path | None = None) -> Iterator[Path]:
    """Give a temporary path beside `destination`, with its suffix; at the end of the block it bears the final name.

    The block writes the file. On success it is synced, renamed, and the folder synced; on any exception it is
    removed and `destination` is as it was. A symbolic link is written through. Without `overwrite` a file that
    appeared meanwhile is not replaced. parts: the folder for the temporary file, on the same device (default: beside).

    Raises:
        OutputExists: it is there, and `overwrite` is not set.
        DiskFull: no space left.
        OutputError: the folder is missing or read-only, the name is a folder's or a device's, or the block met an
            OSError.
    """
    final = _resolved(destination)
    check_writable(final)
    refuse_device(final)
    if final.is_dir():
        raise OutputError(f"{destination} is a folder", hint="Name a file with -o.")
    if not overwrite and final.exists():
        raise _exists(destination)
    part = _part(final, parts)
    try:
        yield part
        sync(part)
        _publish(part, final, overwrite=overwrite)
        sync(final.parent)
    except OSError as error:
        raise translate(error, destination) from error
    finally:
        with suppress(OSError):  # after a failure the error is on its way; after a success it has another name
            part.unlink(missing_ok=True)


@contextmanager
def staged_folder(
    destination: Path, *, overwrite: bool, is_shared: bool = False, parts: Path | None = None
) -> Iterator[Path]:
    """Give a temporary folder beside `destination`; at the end of the block its files stand in `destination`.

    A folder that is absent or empty is replaced in one step. Into one that is not, files move one by one: with
    `overwrite` same names are replaced, with `is_shared` they are refused, but for second names of the files
    themselves; all else in it stays. The block syncs the files it writes. On an exception in the block nothing has
    changed. parts: as in `staged`.

    Raises:
        OutputExists: it holds something, and `overwrite` is not set.
        DiskFull: no space left.
        OutputError: the folder around it is missing or read-only, or the name is a file's.
    """
    final = _resolved(destination)
    check_writable(final)
    if final.exists() and not final.is_dir():
        raise OutputError(f"{destination} is a file, not a folder", hint="Name a folder with -o.")
    if not overwrite and not is_shared and _holds_something(final):
        raise _exists(destination)
    part = _part(final, parts)
    try:
        part.mkdir()
        yield part
        sync(part)
        if not _holds_something(final) or not (overwrite or is_shared):
            part.rename(final)  # rename(2) replaces an empty folder, and refuses one that is not
        else:
            taken = [path.name for path in part.iterdir() if _is_taken(final / path.name, path)]
            if taken and not overwrite:
                raise _exists(final / min(taken))
            for path in sorted(part.iterdir()):
                path.replace(final / path.name)
            sync(final)
        sync(final.parent)
    except OSError as error:
        raise translate(error, destination) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _is_taken(target: Path, part: Path) -> bool:
    """Whether another file stands at `target`. A second name of `part` itself comes of a run that was killed."""
    return target.exists() and not target.samefile(part)


def check_writable(destination: Path) -> None:
    """Refuse a destination whose folder cannot take a file: one is really made there, nameless, and is gone.

    Raises:
        DiskFull: no space left.
        OutputError: the folder is missing, is no folder, or is read-only.
    """
    folder = _resolved(destination).parent
    if not folder.exists():
        raise _missing(folder, destination)
    if not folder.is_dir():
        raise OutputError(f"{folder} is not a folder: {destination} cannot be written")
    try:
        with tempfile.TemporaryFile(dir=folder, prefix=".vsr-part-"):
            pass
    except OSError as error:
        raise translate(error, destination) from error


def refuse_device(destination: Path) -> None:
    """Refuse the name of a device, a pipe or a socket: a file that takes its name takes it away from all who use it.

    Raises:
        OutputError: it is one.
    """
    if destination.exists() and not (destination.is_file() or destination.is_dir()):
        raise OutputError(
            f"{destination} is no file but a device or a pipe", hint="Results are whole files: name one with -o."
        )


def free_bytes(path: Path) -> int:
    """Give the bytes that are free for this user on the device where `path` lies or would lie.

    Raises:
        OutputError: the device does not say.
    """
    folder = _resolved(path)
    while not folder.exists() and folder.parent != folder:
        folder = folder.parent
    try:
        return shutil.disk_usage(folder).free
    except OSError as error:
        raise translate(error, path) from error


def translate(error: OSError, path: Path) -> OutputError:
    """Give the error of ours that an OSError met while writing `path` stands for."""
    said = os.strerror(error.errno) if error.errno else str(error)
    if error.errno in _FULL:
        return DiskFull(
            f"no space left for {path}: {said}", hint="Free some space, or name an output on another disk with -o."
        )
    if error.errno == errno.EEXIST:
        return _exists(path)
    if error.errno == errno.ENOENT and not _resolved(path).parent.exists():
        return _missing(_resolved(path).parent, path)
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return OutputError(f"{path} cannot be written: {said}", hint="Name a folder you may write to with -o.")
    if error.errno == errno.ENAMETOOLONG:
        return OutputError(f"{path.name} is too long a name: {said}", hint="Name a shorter one with -o.")
    return OutputError(f"{path} cannot be written: {said}")


def _resolved(path: Path) -> Path:
    return path.resolve() if path.is_symlink() else path.absolute()


def _exists(path: Path) -> OutputExists:
    return OutputExists(f"{path} exists", hint="Add --overwrite to replace it, or name another with -o.")


def _missing(folder: Path, path: Path) -> OutputError:
    return OutputError(f"{folder} does not exist: {path.name} cannot be written there", hint="Make the folder first.")


def _holds_something(folder: Path) -> bool:
    return folder.is_dir() and any(folder.iterdir())


def _part(final: Path, folder: Path | None) -> Path:
    """Give a name that says whose it is: `.NAME.vsr-part-1f2e3d4c.mp4`, cut to what a folder entry holds."""
    mark = f".vsr-part-{secrets.token_hex(4)}"
    suffix = final.suffix if len(os.fsencode(final.suffix)) <= NAME_BYTES // 2 else ""
    room = NAME_BYTES - len(os.fsencode(f".{mark}{suffix}"))
    stem = final.stem
    while len(os.fsencode(stem)) > room:
        stem = stem[:-1]
    return (folder or final.parent) / f".{stem}{mark}{suffix}"


def _publish(part: Path, final: Path, *, overwrite: bool) -> None:
    if overwrite:
        part.replace(final)
        return
    try:
        os.link(part, final)  # unlike rename, it fails when the name is taken
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        if final.exists():  # a file system without links: the best that is left
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(final)) from error
        part.rename(final)


def sync(path: Path) -> None:
    """Bring a file's data, or a folder's names, to the disk.

    Raises:
        OSError: the disk cannot take it.
    """
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    except OSError as error:
        # Some file systems (network, FUSE) cannot sync a folder; a file's data must reach the disk.
        if not (path.is_dir() and error.errno in (errno.EINVAL, errno.EBADF, errno.ENOTSUP)):
            raise
    finally:
        os.close(file)
