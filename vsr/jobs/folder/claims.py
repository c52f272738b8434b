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

from vsr.core.errors import JobLocked
from vsr.io.lock import holder, locked

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


def is_claimed(folder: Path, name: str) -> bool:
    """Whether a process has the claim on `name`.

    Raises:
        OutputError: it cannot be read.
    """
    return holder(_place(folder, name)) is not None


def _place(folder: Path, name: str) -> Path:
    return folder / FOLDER / hashlib.sha256(os.fsencode(name)).hexdigest()[:32]
