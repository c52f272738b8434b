"""Which files of a folder are sources: images and videos by their suffixes, never what is hidden or half-made.

A folder of this machine, or what lies below a URL: there the store tells names and sizes, nothing is fetched for it.
"""

from __future__ import annotations

import fnmatch
import os
import stat
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePath

from vsr.core.errors import InputError, InputMissing, UsageError
from vsr.io import remote
from vsr.io.images.sequences import SUFFIXES as IMAGE_SUFFIXES
from vsr.io.images.sequences import natural_key
from vsr.io.muxing.containers import CONTAINERS

_MORE = (
    "3g2 3gp asf divx dv flv f4v gif m1v m2v m2t mj2 mjpeg mjpg mpe mpeg mpg mpv mxf nsv ogm ogv rm rmvb tod trp vob "
    "wmv wtv y4m apng ivf obu h264 264 h265 265 hevc avc"
)
VIDEO_SUFFIXES = frozenset(
    [*(suffix for rule in CONTAINERS.values() for suffix in rule.suffixes), *(f".{word}" for word in _MORE.split())]
)
_WILD = frozenset("*?[]")
_Identity = tuple[int, int]  # device and inode


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A source, as it was when its folder was read. name: its path below the folder, parts joined by `/`.

    origin: of one by URL; its path is then the place where it lies once it is fetched, its time is 0.
    """

    path: Path
    name: str
    size: int
    mtime_ns: int
    origin: remote.Origin | None = None

    @property
    def address(self) -> str:
        """Give path or URL, as the user knows it."""
        return self.origin.url if self.origin is not None else str(self.path)

    @property
    def is_away(self) -> bool:
        """Whether it has to be fetched before it can be looked at."""
        return self.origin is not None and not self.path.exists()


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """What lies in a folder.

    files: the sources, in natural order. others: how many files are no sources, by suffix. closed: what could not be
    read, in words.
    """

    files: tuple[Found, ...]
    others: Counter[str] = field(default_factory=Counter)
    closed: tuple[str, ...] = ()


def read_folder(
    folder: Path,
    *,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    is_recursive: bool = True,
    never: Collection[Path] = (),
) -> Listing:
    """Find the sources in a folder.

    include, exclude: globs; one without a slash is held against names, one with a slash against paths below `folder`,
    where `*` matches slashes too. A glob of `include` that ends in a plain suffix (`*.dat`) has files of it taken for
    media. never: files and folders that are no sources, whatever they hold.

    Hidden files and folders are passed over, and so our own work folders and unfinished files are. Links are followed;
    what several names lead to is taken once, by its own name where that is in the folder.

    Raises:
        InputMissing: there is no such folder.
        UsageError: it is a file.
        InputError: it cannot be read.
    """
    _check(folder)
    walk = _Walk(folder, is_recursive=is_recursive, exclude=exclude, never=_identities(never))
    walk.run()
    return _chosen(walk.found, include, walk.closed)


def read_url(
    url: str,
    *,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    is_recursive: bool = True,
    never: str | None = None,
) -> Listing:
    """Find the sources below a URL, as `read_folder` does in a folder. never: a URL below which none is.

    Raises:
        InputMissing: nothing lies there.
        InputError, UsageError: see `io.remote.listing`.
    """
    entries = remote.listing(url)
    if not entries:
        raise InputMissing(
            f"nothing lies below {url}", hint="Name a folder of videos or images; for one file: vsr upscale."
        )
    found = []
    for entry in entries:
        parts = entry.relative.split("/")
        is_hidden = any(part.startswith(".") for part in parts) or not parts[-1]
        is_deeper = len(parts) > 1 and not is_recursive
        is_never = never is not None and f"{remote.plain(entry.origin.url)}/".startswith(f"{remote.plain(never)}/")
        upwards = ("/".join(parts[:count]) for count in range(1, len(parts) + 1))
        if not (is_hidden or is_deeper or is_never or any(_matches(name, exclude) for name in upwards)):
            found.append(_of_url(entry.origin, entry.relative))
    return _chosen(found, include, ())


def as_it_is(found: Found) -> Found:
    """Give a source as it is now: it may have waited for hours.

    Raises:
        InputMissing: it has gone.
        InputError: its store cannot be reached.
    """
    if found.origin is not None:
        return _of_url(remote.look(found.origin.url), found.name)
    try:
        seen = found.path.stat()
    except OSError as error:
        raise InputMissing(f"{found.path} has gone: {error.strerror}") from error
    return replace(found, size=seen.st_size, mtime_ns=seen.st_mtime_ns)


def fetched(found: Found) -> Found:
    """Give a source by URL that lies at its path now; another version, if there is one meanwhile.

    Raises:
        InputError, DiskFull, OutputError: see `io.remote.fetch`.
    """
    if found.origin is None:
        return found
    here = remote.fetch(found.origin.url, remote.cache_folder())
    return _of_url(remote.origin(here) or found.origin, found.name)


def _of_url(origin: remote.Origin, name: str) -> Found:
    path = remote.place(origin, remote.cache_folder())
    return Found(path=path, name=name, size=origin.size, mtime_ns=0, origin=origin)


def _chosen(every: Sequence[Found], include: Sequence[str], closed: Sequence[str]) -> Listing:
    asked = {suffix for glob in include if (suffix := _suffix_of(glob))}
    files, others = [], Counter[str]()
    for found in every:
        suffix = found.path.suffix.lower()
        if suffix not in IMAGE_SUFFIXES and suffix not in VIDEO_SUFFIXES and suffix not in asked:
            others[suffix] += 1
        elif not include or _matches(found.name, include):
            files.append(found)
    files.sort(key=lambda found: [natural_key(part) for part in found.name.split("/")] + [((0, found.name),)])
    return Listing(files=tuple(files), others=others, closed=tuple(closed))


def _check(folder: Path) -> None:
    try:
        if not folder.exists():
            raise InputMissing(f"{folder} does not exist", hint="Name a folder of videos or images.")
        if not folder.is_dir():
            raise UsageError(f"{folder} is no folder", hint=f"For one file: vsr upscale {folder}")
        next(os.scandir(folder), None)
    except OSError as error:
        raise InputError(f"folder {folder} cannot be read: {error.strerror}") from error


def _identities(paths: Collection[Path]) -> set[_Identity]:
    found = set()
    for path in paths:
        try:
            found.add(_identity(path.stat()))
        except OSError:
            continue  # what is not there cannot be met
    return found


def _identity(seen: os.stat_result) -> _Identity:
    return seen.st_dev, seen.st_ino


class _Walk:
    """Goes through a tree: what is really there first, then what links lead to and was not met yet."""

    def __init__(self, root: Path, *, is_recursive: bool, exclude: Sequence[str], never: set[_Identity]) -> None:
        self.found: list[Found] = []
        self.closed: list[str] = []
        self._is_recursive = is_recursive
        self._exclude = exclude
        self._seen = set(never)
        self._folders: list[tuple[Path, str]] = [(root, "")]
        self._links: list[tuple[Path, str]] = []

    def run(self) -> None:
        while self._folders or self._links:
            if self._folders:
                self._read(*self._folders.pop())
            else:
                self._links.sort(key=lambda link: link[1], reverse=True)
                self._follow(*self._links.pop())

    def _read(self, folder: Path, name: str) -> None:
        try:
            here = _identity(folder.stat())
            entries = [] if here in self._seen else list(os.scandir(folder))
        except OSError as error:
            self.closed.append(f"{folder} cannot be read: {error.strerror}")
            return
        self._seen.add(here)
        for entry in entries:
            below = f"{name}/{entry.name}" if name else entry.name
            if entry.name.startswith(".") or _matches(below, self._exclude):
                continue
            path = folder / entry.name
            if entry.is_symlink():
                self._links.append((path, below))
            elif entry.is_dir(follow_symlinks=False):
                if self._is_recursive:
                    self._folders.append((path, below))
            else:
                self._take(path, below)

    def _follow(self, path: Path, name: str) -> None:
        try:
            is_folder = stat.S_ISDIR(path.stat().st_mode)
        except OSError as error:  # it leads nowhere, or in a circle
            self.closed.append(f"{path} leads nowhere: {error.strerror}")
            return
        if not is_folder:
            self._take(path, name)
        elif self._is_recursive:
            self._folders.append((path, name))

    def _take(self, path: Path, name: str) -> None:
        try:
            seen = path.stat()
        except OSError:
            return  # it has gone meanwhile
        # A file with two hard links has two names of its own; a symbolic link has only what it leads to.
        if not stat.S_ISREG(seen.st_mode) or (_identity(seen) in self._seen and path.is_symlink()):
            return
        self._seen.add(_identity(seen))
        self.found.append(Found(path=path, name=name, size=seen.st_size, mtime_ns=seen.st_mtime_ns))


def _matches(name: str, globs: Sequence[str]) -> bool:
    last = name.rpartition("/")[2]
    return any(fnmatch.fnmatchcase(name if "/" in glob else last, glob) for glob in globs)


def _suffix_of(glob: str) -> str:
    suffix = PurePath(glob).suffix.lower()
    return "" if _WILD & set(suffix) else suffix
