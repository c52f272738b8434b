"""The destination folder of a folder run: made at the start, and held to be the same one from then on.

Where results go to a URL, it is a folder of this machine, that URL's own: results are made in it, stored, and removed,
its notes and what is half-made stay. `results.jsonl` lies beside the stored results too, for other machines.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from vsr.core.errors import InputMissing, OutputError, OutputExists, VsrError
from vsr.io import atomic, remote
from vsr.jobs.folder import results
from vsr.jobs.folder.naming import Entry
from vsr.jobs.folder.standing import planned
from vsr.jobs.folder.wish import Where
from vsr.jobs.work import is_published


class Home:
    """Where results go. It is made once: a disk that is gone is not to be written beside.

    folder: where they are made. url: where they are stored then, if anywhere.
    """

    url: str | None = None

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._was: tuple[int, int] | None = None

    def prepare(self) -> None:
        """Make the folder, and try it: what fails for every file is told once.

        Raises:
            OutputError: it cannot be made or written.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise atomic.translate(error, self.folder) from error
        _keep(self.folder, self.folder)
        atomic.check_writable(self.folder / "any")
        self._was = _identity(self.folder)

    def check(self) -> None:
        """Hold the folder against what it was.

        Raises:
            OutputError: it is gone, or is another one.
        """
        if _identity(self.folder) != self._was:
            raise OutputError(
                f"{self.folder} is gone, or is another folder now",
                hint="Is its disk still there? The same command goes on.",
            )

    def make_room(self, result: Path) -> None:
        """Make the folders around a result.

        Raises:
            OutputError: they cannot be made.
        """
        try:
            result.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise atomic.translate(error, result) from error
        _keep(result.parent, self.folder)

    def prune(self, folders: Collection[Path]) -> None:
        """Remove folders around results that did not come, as far as they hold nothing."""
        below = {up for folder in folders for up in (folder, *folder.parents) if self.folder in up.parents}
        for folder in sorted(below, key=lambda up: len(up.parts), reverse=True):
            with suppress(OSError):
                folder.rmdir()

    def is_also(self, source: Where) -> bool:
        """Whether a source folder is this one."""
        if isinstance(source, str):
            return False
        return self.folder.exists() and source.exists() and self.folder.samefile(source)

    def address(self, name: str) -> str:
        """Give path or URL of what has this name below it, as the user knows it."""
        return str(self.folder / name)

    def earlier(self) -> bytes:
        """Give lines of results that this machine's file may lack.

        Raises:
            InputError: they cannot be read.
        """
        return b""

    def stored(self) -> Mapping[str, int]:
        """Give name and size of all that is stored.

        Raises:
            InputError: the store cannot be reached.
        """
        return {}

    def as_it_is(self, entry: Entry) -> Entry:
        """Give an entry with what is stored of it now.

        Raises:
            InputError: the store cannot be reached.
        """
        return entry

    def make_way(self, entry: Entry) -> None:
        """Remove an earlier result that was not stored and is to be made anew.

        Raises:
            OutputError: it cannot be removed.
        """

    def take_away(self, entry: Entry, *, overwrite: bool) -> None:
        """Store a result that is made.

        Raises:
            OutputExists, OutputError: see `io.remote.store`; it is still here, the hint says where.
        """

    def tidy(self, entry: Entry) -> None:
        """Remove what is left here of a result that is stored and noted."""

    def share(self) -> None:
        """Store what is noted here.

        Raises:
            InputError, OutputError: it cannot be stored.
        """


class UrlHome(Home):
    """A URL where results go, and the folder of this machine in which they are made."""

    def __init__(self, url: str) -> None:
        self.url: str = url.rstrip("/")
        mark = hashlib.sha256(remote.plain(url).encode()).hexdigest()[:32]
        super().__init__(remote.cache_folder().parent / "folders" / mark)

    def prepare(self) -> None:
        """Make the folder, and try it and the URL, by storing the notes."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise atomic.translate(error, self.folder) from error
        super().prepare()
        self._store(self._lines(self.earlier()))

    def is_also(self, source: Where) -> bool:
        return isinstance(source, str) and remote.plain(source) == remote.plain(self.url)

    def address(self, name: str) -> str:
        return f"{self.url}/{name}"

    def earlier(self) -> bytes:
        try:
            return remote.fetch(self.address(results.NAME), remote.cache_folder()).read_bytes()
        except InputMissing:
            return b""

    def stored(self) -> Mapping[str, int]:
        return {entry.relative: entry.origin.size for entry in remote.listing(self.url)}

    def as_it_is(self, entry: Entry) -> Entry:
        try:
            return replace(entry, stored=remote.look(entry.address).size)
        except InputMissing:
            return replace(entry, stored=None)

    def make_way(self, entry: Entry) -> None:
        try:
            if not is_published(planned(entry)):
                entry.destination.unlink(missing_ok=True)
        except OSError as error:
            raise atomic.translate(error, entry.destination) from error

    def take_away(self, entry: Entry, *, overwrite: bool) -> None:
        try:
            try:
                remote.store(entry.destination, entry.address, overwrite=overwrite)
            except OutputExists:
                # A run that was ended between storing and noting has left it here and there.
                if not remote.holds(entry.address, entry.destination):
                    raise
        except VsrError as error:
            said = f"The result is kept in {entry.destination}: the same command stores it without making it again."
            raise type(error)(error.message, hint=f"{error.hint} {said}" if error.hint else said) from error
        except OSError as error:
            raise atomic.translate(error, entry.destination) from error

    def tidy(self, entry: Entry) -> None:
        with suppress(OSError):
            entry.destination.unlink()  # its folder stays: another process may be about to make something in it

    def share(self) -> None:
        there = self.earlier()
        whole = self._lines(there)
        if whole != there:
            self._store(whole)

    def _lines(self, there: bytes) -> bytes:
        """Give the lines that are stored, and after them those of this machine that are not."""
        try:
            ours = (self.folder / results.NAME).read_bytes()
        except OSError:
            ours = b""
        lines = dict.fromkeys([*there.splitlines(), *ours[: ours.rfind(b"\n") + 1].splitlines()])
        return b"".join(line + b"\n" for line in lines)

    def _store(self, lines: bytes) -> None:
        try:
            with tempfile.NamedTemporaryFile(dir=self.folder, prefix=".vsr-part-") as file:
                file.write(lines)
                file.flush()
                remote.store(Path(file.name), self.address(results.NAME), overwrite=True)
        except OSError as error:
            raise atomic.translate(error, self.folder) from error


def home_of(destination: Where) -> Home:
    """Give the home of results that go to a folder, or to a URL."""
    return UrlHome(destination) if isinstance(destination, str) else Home(destination)


def _keep(folder: Path, top: Path) -> None:
    """Bring the names of folders to the disk, up to that of `top`: the power may go, and what they hold with them."""
    with suppress(OSError):  # a folder around that may not be read; results are synced by those who write them
        atomic.sync(folder.parent)
        while folder != top and top in folder.parents:
            folder = folder.parent
            atomic.sync(folder.parent)


def _identity(folder: Path) -> tuple[int, int] | None:
    try:
        seen = folder.stat()
    except OSError:
        return None
    return seen.st_dev, seen.st_ino
