"""The destination folder of a folder run: made at the start, and held to be the same one from then on."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from vsr.core.errors import OutputError
from vsr.io import atomic


class Home:
    """Where results go. It is made once: a disk that is gone is not to be written beside."""

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

    def prune(self, result: Path) -> None:
        """Remove the folders around a result that did not come, as far as they hold nothing."""
        folder = result.parent
        with suppress(OSError):
            while folder != self.folder and self.folder in folder.parents:
                folder.rmdir()
                folder = folder.parent

    def is_also(self, folder: Path) -> bool:
        """Whether another path leads to this folder."""
        return self.folder.exists() and folder.exists() and self.folder.samefile(folder)


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
