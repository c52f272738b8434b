"""Triplets as an LMDB environment with the keys of the SR3 data set; the only user of `lmdb` (extra `[train]`).

Keys: `hr_{R}_{i:05d}`, `lr_{L}_{i:05d}`, `sr_{L}_{R}_{i:05d}` with i counting pictures from 0, and `length`, their
number in decimal digits. Values are the bytes of PNG files.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

from vsr.core.errors import DiskFull, InputMissing, OutputError, UsageError
from vsr.io.atomic import staged_folder

_PAGE = 4096
_SPARE = 16 << 20  # for the tree itself
_PER_COMMIT = 256


def write_store(path: Path, pictures: Iterable[tuple[Path, Path, Path]], *, low: int, high: int) -> int:
    """Write PNG files (hr, lr, sr) as an environment in the folder `path`, in place of what it was; give their number.

    The folder bears its name only when all is in it and synced.

    Raises:
        UsageError: the package is not installed.
        InputMissing: a picture is gone.
        DiskFull, OutputError: it cannot be written.
    """
    lmdb = _lmdb()
    triplets = list(pictures)
    try:
        room = sum((file.stat().st_size // _PAGE + 2) * _PAGE for triplet in triplets for file in triplet)
    except FileNotFoundError as error:
        raise InputMissing(f"{error.filename} is gone", hint="Run the same command again.") from error
    with staged_folder(path.absolute(), overwrite=True) as part:
        try:
            with lmdb.open(str(part), map_size=2 * room + _SPARE, subdir=True, lock=False) as env:
                for first in range(0, len(triplets), _PER_COMMIT):
                    with env.begin(write=True) as transaction:
                        for index, triplet in enumerate(triplets[first : first + _PER_COMMIT], first):
                            for key, file in zip(_keys(index, low, high), triplet, strict=True):
                                transaction.put(key, file.read_bytes())
                with env.begin(write=True) as transaction:
                    transaction.put(b"length", str(len(triplets)).encode())
                env.sync(True)
        except lmdb.DiskError as error:
            hint = "Free some space, or name a folder on another disk."
            raise DiskFull(f"no space left for {path}: {error}", hint=hint) from error
        except lmdb.Error as error:
            raise OutputError(f"{path} cannot be written: {error}") from error
    return len(triplets)


def require_lmdb() -> None:
    """Refuse early where the package is missing.

    Raises:
        UsageError: it is not installed.
    """
    _lmdb()


def _keys(index: int, low: int, high: int) -> tuple[bytes, bytes, bytes]:
    """Give the keys of hr, lr and sr."""
    return f"hr_{high}_{index:05d}".encode(), f"lr_{low}_{index:05d}".encode(), f"sr_{low}_{high}_{index:05d}".encode()


def _lmdb() -> ModuleType:
    try:
        return importlib.import_module("lmdb")
    except ImportError as error:
        raise UsageError(
            "the package lmdb is not installed: --lmdb needs it", hint="pip install 'vsr[train]', or leave --lmdb out."
        ) from error
