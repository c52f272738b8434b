"""The journal of a job: one record a line, each with its checksum, only ever appended to.

`CRC32 JSON\\n`: eight hexadecimal digits over the JSON's bytes. What counts is the longest run of whole lines from the
beginning; a torn or wrong one ends it, and the next writer cuts the file back to there. `io/lock` keeps writers apart.
"""

from __future__ import annotations

import errno
import json
import os
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeAlias, cast

from vsr.core.errors import JobError
from vsr.io.atomic import sync, translate

Json: TypeAlias = "bool | int | float | str | Sequence[Json] | Mapping[str, Json] | None"
Record: TypeAlias = Mapping[str, Json]  # "kind" names it

# What a job's work folder is called, and the two files in it that are no segments.
SUFFIX, JOURNAL, LOCK = ".vsr-work", "journal.jsonl", "lock"

_CRC = slice(0, 8)
_BODY = slice(9, -1)


def replay(path: Path) -> tuple[Record, ...]:
    """Give the records of a journal, in order, up to the first line that is torn or wrong; () if there is no file.

    Raises:
        JobError: the file cannot be read. What stands in it never raises.
    """
    try:
        return tuple(record for record, _ in _valid(path.read_bytes()))
    except FileNotFoundError:
        return ()
    except OSError as error:
        said = os.strerror(error.errno) if error.errno else str(error)
        raise JobError(
            f"{path} cannot be read: {said}", hint="Make it readable, or begin anew with --restart."
        ) from error


class Journal:
    """Writes a journal, new or begun earlier. The caller holds the lock, uses it in one thread, and closes it.

    records: what was there. Whatever is wrong at the end of the file is cut off before anything is appended.
    """

    def __init__(self, path: Path) -> None:
        """Open `path` (0600), made where it is not.

        Raises:
            DiskFull: no space left.
            OutputError: it cannot be read or written.
        """
        self._path = path
        self._is_whole = False  # whether the file ends where `_size` says
        file = -1
        try:
            file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            lines = list(_valid(path.read_bytes()))
            self._file, self._size = file, sum(size for _, size in lines)
            self.records: tuple[Record, ...] = tuple(record for record, _ in lines)
            self._cut()
            os.fsync(file)
            sync(path.parent)
        except OSError as error:
            if file >= 0:
                os.close(file)
            raise translate(error, path) from error

    def append(self, record: Record) -> None:
        """Add a record; when this returns it is on the disk, when it raises it does not count.

        Raises:
            DiskFull: no space left.
            OutputError: it cannot be written, or is no longer there.
        """
        line = _line(record)
        try:
            self._path.stat()  # a file that was removed would take the record, and be gone when it is closed
            self._cut()
            self._is_whole = False
            _write(self._file, line)
            os.fsync(self._file)
        except OSError as error:
            with suppress(OSError):  # else the next append does it, or the next to open the file
                self._cut()
            raise translate(error, self._path) from error
        self._size += len(line)
        self._is_whole = True

    def close(self) -> None:
        """Close the file; all that counts is on the disk already. A second time does nothing."""
        if self._file >= 0:
            file, self._file = self._file, -1
            with suppress(OSError):
                os.close(file)

    def _cut(self) -> None:
        """Take away what a failed append left, or what was wrong from the start."""
        if not self._is_whole:
            if os.fstat(self._file).st_size != self._size:
                os.ftruncate(self._file, self._size)
            self._is_whole = True


def _valid(data: bytes) -> Iterator[tuple[Record, int]]:
    """Yield records and the bytes of their lines, up to the first line that is torn or wrong."""
    start = 0
    while (stop := data.find(b"\n", start) + 1) > 0:
        line = data[start:stop]
        record = _parsed(line)
        if record is None:
            return
        yield record, len(line)
        start = stop


def _parsed(line: bytes) -> Record | None:
    body = line[_BODY]
    if line[_CRC] != _crc(body) or line[8:9] != b" ":
        return None
    try:
        record = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return cast("Record", record) if isinstance(record, dict) else None


def _line(record: Record) -> bytes:
    # ASCII, so that a name that is valid in no encoding, or holds a line's end, travels too.
    body = json.dumps(dict(record), allow_nan=False, separators=(",", ":")).encode("ascii")
    return _crc(body) + b" " + body + b"\n"


def _crc(body: bytes) -> bytes:
    return b"%08x" % zlib.crc32(body)


def _write(file: int, data: bytes) -> None:
    """Write all of it, in one call where the system takes it in one."""
    while data:
        written = os.write(file, data)
        if written == 0:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        data = data[written:]
