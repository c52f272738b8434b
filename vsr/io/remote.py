"""Files that live in an object store or on another machine, by URL: the only place that speaks to fsspec.

A URL on the command line is the user's asking for the network; nothing else reaches it. What is fetched lies in a
folder of this machine under a name that holds the URL and the version, so that it is fetched once; what is stored
bears its final key only when all of it is there.
"""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import platformdirs

from vsr.core.errors import InputError, InputMissing, JobLocked, OutputError, OutputExists, UsageError
from vsr.io import atomic
from vsr.io.lock import holder, locked

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

log = logging.getLogger(__name__)

EXTRAS = {"s3": "s3", "s3a": "s3", "gs": "gcs", "gcs": "gcs"}
"""Schemes that an extra of vsr brings what is needed for."""
STORES = {*EXTRAS, "az", "abfs", "abfss", "adl"}
"""Object stores: an object is there as a whole or not at all, so nothing is uploaded under a temporary key."""
SCHEMES = {*STORES, "hdfs", "webhdfs", "sftp", "ssh", "smb", "memory"}
"""What a URL may begin with. Not http, ftp and the like: nobody owns what lies there, and it changes meanwhile."""

TAIL_BYTES = 1 << 16  # read back from both ends of what was stored
USED_S = 600.0  # what was asked for within it is not thrown out of the folder of fetched files
SPARE_SHARE = 0.1  # of the disk, left free when there is something older to throw out
_PAUSE_S = 0.2
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_VERSIONS = (
    "ETag",
    "etag",
    "generation",
    "md5Hash",
    "content_md5",
    "mtime",
    "LastModified",
    "last_modified",
    "created",
    "modificationTime",
)
_LOCAL_TROUBLE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.ENAMETOOLONG)


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a fetched file came from. version: the store's own mark of its content (etag, time), as text."""

    url: str
    size: int
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A file below a URL. relative: its path from there, with slashes, never upwards."""

    origin: Origin
    relative: str


def is_url(text: str) -> bool:
    """Whether `text` names something by URL; a file of exactly this name would have to be written `./s3://...`."""
    return _URL.match(text) is not None


def cache_folder() -> Path:
    """Give the folder of this user, on this machine, in which fetched files are kept."""
    return Path(platformdirs.user_cache_dir("vsr", appauthor=False)) / "fetched"


def file_name(url: str) -> str:
    """Give the last part of a URL's path.

    Raises:
        UsageError: there is none, or it is no name for a file.
    """
    name = PurePosixPath(url.partition("://")[2]).name if not url.endswith("/") else ""
    if name in ("", "..") or "/" not in url.partition("://")[2] or "\0" in name:
        raise UsageError(f"{url} names no file", hint="Write SCHEME://BUCKET/FOLDER/NAME.SUFFIX.")
    return name


def plain(url: str) -> str:
    """Give a URL as it is held against others: of a store's several schemes one, no slash at its end."""
    scheme, _, rest = url.partition("://")
    scheme = scheme.lower()
    return f"{EXTRAS.get(scheme, scheme)}://{rest.rstrip('/')}"


def look(url: str) -> Origin:
    """Give size and version of the file at `url`.

    Raises:
        InputMissing: there is none.
        InputError: the store cannot be reached, or refuses.
        UsageError: no scheme that is known, or its extra is not installed.
    """
    system, path = _open(url)
    return _look(system, path, url)


def exists(url: str) -> bool:
    """Whether a file, or a folder with something in it, is at `url`.

    Raises:
        InputError, UsageError: as `look`.
    """
    system, path = _open(url)
    with _asking(url):
        system.invalidate_cache()
        return bool(system.exists(path))


def listing(url: str) -> tuple[Entry, ...]:
    """Give every file below `url`, however deep, sorted by path; () where there is none.

    Raises:
        InputError, UsageError: as `look`.
    """
    system, path = _open(url)
    with _asking(url):
        system.invalidate_cache()
        found: dict[str, dict[str, object]] = system.find(path, detail=True)
    entries = []
    for name, info in sorted(found.items()):
        relative = name.removeprefix(path).lstrip("/")
        if not relative or ".." in relative.split("/") or "\0" in relative:
            log.warning("%s: left out, %r is no path for a file", url, name)
            continue
        origin = _origin(f"{url.rstrip('/')}/{relative}", info)
        entries.append(Entry(origin=origin, relative=relative))
    return tuple(entries)


def fetch(url: str, folder: Path) -> Path:
    """Give a copy of the file at `url`, with its name, somewhere below `folder`.

    One that is there already, of this version and whole, is not fetched again; where several processes ask for one
    file, one fetches it and the others wait. Files that were not asked for in the last minutes are thrown out, oldest
    first, when the disk gets full.

    Raises:
        InputMissing, InputError, UsageError: as `look`; it changed while it was fetched.
        DiskFull, OutputError: it cannot be kept in `folder`.
    """
    system, path = _open(url)
    found = _look(system, path, url)
    entry = folder / _key(found)
    here = place(found, folder)
    if _has(entry, here, found):
        return here
    try:
        entry.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise atomic.translate(error, entry) from error
    with _alone(entry / "lock"):
        if not _has(entry, here, found):
            _make_room(folder, found.size)
            _download(system, path, found, here)
            with atomic.staged(entry / "origin.json", overwrite=True) as part:
                part.write_text(json.dumps(asdict(found)), encoding="utf-8")
    return here


def place(found: Origin, folder: Path) -> Path:
    """Give where `fetch` keeps a file of this version, whether it is there or not.

    Raises:
        UsageError: the URL names no file.
    """
    return folder / _key(found) / "data" / file_name(found.url)


def origin(file: Path) -> Origin | None:
    """Give where a file that `fetch` gave came from; None for any other file."""
    try:
        told = json.loads((file.parent.parent / "origin.json").read_text(encoding="utf-8"))
        return Origin(**told) if file.parent.name == "data" else None
    except (OSError, ValueError, TypeError):
        return None


@contextmanager
def kept(file: Path) -> Iterator[None]:
    """Keep a fetched file from being thrown out for as long as the block runs; nothing happens to any other file."""
    if origin(file) is None:
        yield
        return
    mark = file.parent.parent / "kept" / secrets.token_hex(8)
    with locked(mark):
        try:
            yield
        finally:
            mark.unlink(missing_ok=True)


def release(file: Path) -> None:
    """Say that nobody is about to need a fetched file again: of all that may be thrown out it goes first, at once."""
    if origin(file) is not None:
        with suppress(OSError):  # thrown out meanwhile
            os.utime(file.parent.parent / "origin.json", (0, 0))


def store(path: Path, url: str, *, overwrite: bool = False) -> None:
    """Put a file, or every file of a folder, at `url`; size and both ends are read back and compared.

    A file bears its final key only when all of it is there. A folder's files appear one after the other.

    Raises:
        OutputExists: something is there, and `overwrite` is not set.
        OutputError: the store cannot be reached, refuses, or holds something else afterwards.
        UsageError: as `look`.
    """
    if not overwrite and exists(url):
        raise OutputExists(f"{url} exists", hint="Add --overwrite to replace it, or name another with -o.")
    if not path.is_dir():
        _upload(path, url)
        return
    for file in sorted(path.rglob("*")):
        if file.is_file():
            _upload(file, f"{url.rstrip('/')}/{file.relative_to(path).as_posix()}")


def holds(url: str, path: Path) -> bool:
    """Whether what lies at `url` has the size and both ends of a file.

    Raises:
        InputMissing, InputError, UsageError: as `look`.
    """
    system, final = _open(url)
    with _asking(url):
        return _is_same(system, final, path)


def _open(url: str) -> tuple[AbstractFileSystem, str]:
    """Give the file system of a URL, and the path in it. Chains (`a::b`) and options in a URL are not followed."""
    scheme = url.partition("://")[0].lower()
    if not is_url(url) or scheme not in SCHEMES:
        raise UsageError(
            f"{url}: {scheme}:// is not something vsr reads from or writes to",
            hint=f"Fetch it to a file first; known are {', '.join(sorted(SCHEMES))}.",
        )
    extra = EXTRAS.get(scheme, "remote")
    try:
        import fsspec
        from fsspec.core import strip_protocol

        kind = fsspec.get_filesystem_class(scheme)
    except ImportError as error:
        raise UsageError(
            f"{scheme}:// needs a package that is not installed ({error})", hint=f'pip install "vsr[{extra}]"'
        ) from error
    with _asking(url):
        system: AbstractFileSystem = kind(**kind._get_kwargs_from_urls(url))
        return system, str(strip_protocol(url))


@contextmanager
def _asking(url: str, *, writes: bool = False) -> Iterator[None]:
    """Turn whatever a store's client raises into an error of ours; trouble of this machine's disk passes through."""
    try:
        yield
    except (InputError, OutputError, UsageError):
        raise
    except Exception as error:  # each client has its own tree: botocore, aiohttp, google.auth, paramiko
        if isinstance(error, OSError) and error.errno in _LOCAL_TROUBLE:
            raise
        said = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        if writes:
            hint = "Check the bucket, your rights in it, and the network."
            raise OutputError(f"{url} cannot be written: {said}", hint=hint) from error
        if isinstance(error, FileNotFoundError):
            raise InputMissing(f"{url} does not exist", hint="Check the URL.") from error
        hint = "Check the URL, your rights, and the network."
        raise InputError(f"{url} cannot be read: {said}", hint=hint) from error


def _look(system: AbstractFileSystem, path: str, url: str) -> Origin:
    with _asking(url):
        system.invalidate_cache()
        info: dict[str, object] = system.info(path)
        if info.get("type") != "file":
            raise InputMissing(f"{url} is no file", hint="Name a file; `vsr batch` takes folders.")
        return _origin(url, info)


def _origin(url: str, info: dict[str, object]) -> Origin:
    name = next((name for name in _VERSIONS if info.get(name) is not None), "")
    mark = info.get(name)
    if isinstance(mark, datetime):  # some tell it as a number when they list
        mark = mark.timestamp()
    version = f"{name}={mark}" if name else ""
    return Origin(url=url, size=int(str(info.get("size") or 0)), version=version)


def _key(found: Origin) -> str:
    return hashlib.sha256(repr(found).encode("utf-8", "surrogateescape")).hexdigest()[:32]


def _has(entry: Path, here: Path, found: Origin) -> bool:
    """Whether the file is there, whole; it counts as used from now on."""
    try:
        if origin(here) != found or here.stat().st_size != found.size:
            return False
        os.utime(entry / "origin.json")
    except OSError:
        return False
    return True


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """Hold a lock, after waiting for whoever has it."""
    while True:
        try:
            held = locked(lock)
            held.__enter__()
        except JobLocked:
            time.sleep(_PAUSE_S)
            continue
        break
    try:
        yield
    finally:
        held.__exit__(None, None, None)


def _download(system: AbstractFileSystem, path: str, found: Origin, here: Path) -> None:
    try:
        shutil.rmtree(here.parent, ignore_errors=True)  # what a download that was killed left
        here.parent.mkdir(mode=0o700)
    except OSError as error:
        raise atomic.translate(error, here) from error
    with atomic.staged(here, overwrite=True) as part:
        with _asking(found.url):
            system.get_file(path, str(part))
        now, size = _look(system, path, found.url), part.stat().st_size
        if now != found or size != found.size:
            raise InputError(
                f"{found.url} changed while it was fetched: {size} bytes came, {found.size} were announced",
                hint="Try again when nobody writes to it.",
            )


def _make_room(folder: Path, size: int) -> None:
    """Throw out fetched files, longest unused first, until `size` more bytes leave some of the disk free."""
    spare = int(shutil.disk_usage(folder).total * SPARE_SHARE)
    marks = []
    for mark in folder.glob("*/origin.json"):
        with suppress(OSError):
            marks.append((mark.stat().st_mtime, mark.parent))
    for used, entry in sorted(marks):
        if atomic.free_bytes(folder) >= size + spare:
            return
        if time.time() - used > USED_S and not _is_in_use(entry):
            (entry / "origin.json").unlink(missing_ok=True)  # first: what is half gone is not taken for whole
            shutil.rmtree(entry, ignore_errors=True)
    if atomic.free_bytes(folder) < size:
        raise atomic.translate(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), folder)


def _is_in_use(entry: Path) -> bool:
    return any(holder(lock) is not None for lock in (entry / "lock", *entry.glob("kept/*")))


def _upload(path: Path, url: str) -> None:
    system, final = _open(url)
    is_store = url.partition("://")[0].lower() in STORES
    folder, _, name = final.rpartition("/")
    target = final if is_store else f"{folder}/.{name}.vsr-part-{secrets.token_hex(4)}"
    with _asking(url, writes=True):
        try:
            if not is_store:
                system.makedirs(folder, exist_ok=True)
            system.put_file(str(path), target)
            _compare(system, target, path, url)
            if not is_store:
                system.mv(target, final)
        except BaseException:
            if not is_store:
                _drop(system, target)
            raise


def _drop(system: AbstractFileSystem, target: str) -> None:
    try:
        system.rm_file(target)
    except Exception as error:  # the one that brought us here is the one to tell
        log.warning("%s is left behind: %s", target, error)


def _compare(system: AbstractFileSystem, target: str, path: Path, url: str) -> None:
    """Hold what is stored against the file: its size, its beginning and its end.

    Raises:
        OutputError: it is something else.
    """
    if not _is_same(system, target, path):
        stored = int(system.info(target)["size"])
        raise OutputError(
            f"{url} holds {stored} bytes that are not the {path.stat().st_size} of {path}",
            hint="Somebody else writes to it, or the store is at fault. Run the command again.",
        )


def _is_same(system: AbstractFileSystem, target: str, path: Path) -> bool:
    system.invalidate_cache()
    size = path.stat().st_size
    if int(system.info(target)["size"]) != size:
        return False
    with path.open("rb") as file:
        head = file.read(TAIL_BYTES)
        file.seek(max(0, size - TAIL_BYTES))
        tail = file.read()
    return size == 0 or (
        bytes(system.cat_file(target, start=0, end=len(head))) == head
        and bytes(system.cat_file(target, start=size - len(tail), end=size)) == tail
    )
