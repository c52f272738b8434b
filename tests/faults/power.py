"""What a disk holds after the power is lost: only what was synced, names in folders and bytes in files alike.

A file system may keep more than that, and mostly does; it promises no more.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path


class Disk:
    """Remembers what has been synced below `folder`; what is there at the start has. `lose` takes the rest away."""

    def __init__(self, folder: Path, fsync: Callable[[int], None]) -> None:
        self._folder = folder
        self._fsync = fsync
        self._sizes: dict[tuple[int, int], int] = {}
        self._names: dict[tuple[int, int], set[str]] = {}
        for root, _, files in os.walk(folder):
            self._names[_identity(root)] = {entry.name for entry in Path(root).iterdir()}
            for name in files:
                self._sizes[_identity(f"{root}/{name}")] = Path(root, name).stat().st_size

    def fsync(self, file: int) -> None:
        """Do what `os.fsync` does, and remember it."""
        self._fsync(file)
        found = os.fstat(file)
        if stat.S_ISDIR(found.st_mode):
            self._names[found.st_dev, found.st_ino] = {entry.name for entry in os.scandir(file)}
        else:
            self._sizes[found.st_dev, found.st_ino] = found.st_size

    def lose(self) -> None:
        self._lose(self._folder)

    def _lose(self, folder: Path) -> None:
        kept = self._names.get(_identity(folder), set())
        for entry in list(folder.iterdir()):
            if entry.is_dir() and not entry.is_symlink():
                if entry.name in kept:
                    self._lose(entry)
                else:
                    shutil.rmtree(entry)
            elif entry.name not in kept:
                entry.unlink()
            elif entry.stat().st_size > self._sizes.get(_identity(entry), 0):
                os.truncate(entry, self._sizes.get(_identity(entry), 0))


def _identity(path: str | Path) -> tuple[int, int]:
    found = Path(path).stat()
    return found.st_dev, found.st_ino
