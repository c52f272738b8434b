"""Manifests: one JSON object a line, appended while work goes on, read again when it goes on later.

`vsr extract` and `vsr prepare` keep theirs here. A line counts when it ends in a newline: a torn last line, as a kill
or a full disk leaves it, is as if it had never been written.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from vsr.core.errors import InputError, InputMissing
from vsr.io.atomic import staged, translate

NAME = "manifest.jsonl"
_BLOCK = 1 << 20


def append(path: Path, record: Mapping[str, object]) -> None:
    """Add one record at the end, synced to disk; the file is made if it is not there.

    Raises:
        DiskFull, OutputError: it cannot be written.
    """
    append_all(path, (record,))


def append_all(path: Path, records: Iterable[Mapping[str, object]]) -> None:
    """Add records at the end in one write with one sync; a torn last line is cut off first.

    Raises:
        DiskFull, OutputError: it cannot be written.
    """
    data = b"".join(_line(record) for record in records)
    try:
        # Not "ab": that cannot cut, and on a new file there is nothing to cut.
        with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o644), "r+b") as file:
            file.seek(_whole_bytes(file.fileno()))
            file.truncate()
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise translate(error, path) from error


def read(path: Path) -> list[dict[str, object]]:
    """Give every whole record in order; a torn last line is left out.

    Raises:
        InputMissing: there is no such file.
        InputError: it cannot be read, or a whole line is no JSON object.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise InputMissing(f"{path} does not exist") from error
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    *lines, _ = data.split(b"\n")
    return [_record(path, number, line) for number, line in enumerate(lines, 1)]


def write(path: Path, records: Iterable[Mapping[str, object]]) -> None:
    """Put records in place of the file's, all or nothing.

    Raises:
        DiskFull, OutputError: it cannot be written; the old file is as it was.
    """
    with staged(path, overwrite=True) as part, part.open("wb") as file:
        for record in records:
            file.write(_line(record))


def digest_file(path: Path) -> str:
    """Give the sha256 of a file's bytes in hexadecimal.

    Raises:
        InputMissing: there is no such file.
        InputError: it cannot be read.
    """
    digest = hashlib.sha256()
    try:
        with path.open("rb") as content:
            while block := content.read(_BLOCK):
                digest.update(block)
    except FileNotFoundError as error:
        raise InputMissing(f"{path} does not exist") from error
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    return digest.hexdigest()


def _line(record: Mapping[str, object]) -> bytes:
    """Code a record; names that are no UTF-8 (bytes of another time) stay as Python's surrogates, escaped."""
    return json.dumps(dict(record), ensure_ascii=True, allow_nan=False).encode() + b"\n"


def _record(path: Path, number: int, line: bytes) -> dict[str, object]:
    try:
        record = json.loads(line)
    except ValueError as error:
        raise InputError(f"{path} line {number} is damaged: {error}", hint="Make the folder anew.") from error
    if not isinstance(record, dict):
        raise InputError(f"{path} line {number} is no record", hint="Make the folder anew.")
    return record


def _whole_bytes(file: int) -> int:
    """Give the length of an open file up to and with its last newline."""
    stop = os.lseek(file, 0, os.SEEK_END)
    while stop:
        start = max(0, stop - _BLOCK)
        place = os.pread(file, stop - start, start).rfind(b"\n")
        if place >= 0:
            return start + place + 1
        stop = start
    return 0
