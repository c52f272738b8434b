"""Who makes which file of a folder run: a claim is held from before the file is planned until its line is written.

The lock of a job's own work folder is not enough: between two of them another process would find the file neither
locked nor noted. What a dead process had claimed is free.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from vsr.core.errors import JobLocked, OutputError
from vsr.io.lock import holder, locked
from vsr.jobs.folder.naming import Entry
from vsr.jobs.folder.standing import planned
from vsr.jobs.journal import LOCK
from vsr.jobs.work import work_folder

FOLDER = ".vsr-claims"


@contextmanager
def claimed(folder: Path, name: str) -> Iterator[None]:
    """Hold the claim on `name`, a result below `folder`, for as long as the block runs.

    Raises:
        JobLocked: another process has it.
        OutputError: `folder` cannot be written, or has no locks.
    """
    claim = _place(folder, name)
    by = holder(claim)
    if by is not None:
        raise JobLocked(f"taken by {by}")
    try:
        with locked(claim):
            try:
                yield
            finally:
                with suppress(OSError):
                    claim.unlink()  # while it is held: whoever waits for it makes a new one
    finally:
        with suppress(OSError):
            claim.parent.rmdir()  # the last one out


def is_any_taken(folder: Path) -> bool:
    """Whether any process makes anything below `folder`, or was killed while it did."""
    return (folder / FOLDER).exists()


def is_taken(folder: Path, entry: Entry) -> bool:
    """Whether a process makes a file now: it has the claim on it, or runs its job. What cannot be told is no."""
    try:
        locks = (_place(folder, entry.name), work_folder(planned(entry)) / LOCK)
        return any(holder(lock) is not None for lock in locks)
    except OutputError:  # told when the file's turn comes
        return False


def _place(folder: Path, name: str) -> Path:
    return folder / FOLDER / hashlib.sha256(os.fsencode(name)).hexdigest()[:32]
