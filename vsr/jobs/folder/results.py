"""results.jsonl of a folder run: what was made of which source with which settings, a line a file, for people too.

Plain JSON, only ever appended to, by several processes at a time. A torn last line is passed over. What counts of a
destination is its last line of a kind; a failure takes nothing away from what was made before it.
"""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from vsr.core.errors import InputError, OutputError
from vsr.io.atomic import translate
from vsr.jobs.facts import sampled
from vsr.jobs.folder.listing import Found
from vsr.jobs.journal import Json

NAME = "results.jsonl"
Status = Literal["begun", "done", "passed", "failed", "left"]
_STATUSES = ("begun", "done", "passed", "failed", "left")


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What a source was. digest: of its size, beginning and end; of one by URL, of its store's mark of the version."""

    name: str
    size: int
    mtime_ns: int
    digest: str

    def difference(self, found: Found) -> str | None:
        """Say how a source differs from what it was; None if it does not: same size, and same time or same content.

        Raises:
            InputError: it cannot be read.
        """
        if found.size != self.size:
            return f"the source had {self.size} bytes, now {found.size}"
        is_as_old = found.origin is None and found.mtime_ns == self.mtime_ns
        if is_as_old or source_of(found).digest == self.digest:
            return None
        return "the source's content has changed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What was asked for. folder: a digest of the whole run's wish. settings: this file's that touch a pixel."""

    folder: str
    settings: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One line. destination: its path below the folder. reason: why it was passed over, or failed.

    model, model_scale, model_digest: what the planner chose. bytes: of the result. at: ISO 8601.
    """

    destination: str
    status: Status
    source: Source
    asked: Asked
    at: str = ""
    reason: str = ""
    model: str = ""
    model_scale: int = 0
    model_digest: str = ""
    fingerprint: str = ""
    version: str = ""
    bytes: int = 0
    frames: int = 0
    wall_s: float = 0.0


def source_of(found: Found) -> Source:
    """Give what a source is now.

    Raises:
        InputError: it cannot be read.
    """
    try:
        origin = found.origin
        digest = sampled(found.path) if origin is None else hashlib.sha256(origin.version.encode()).hexdigest()
    except OSError as error:
        raise InputError(f"{found.path} cannot be read: {error.strerror}") from error
    return Source(name=found.name, size=found.size, mtime_ns=found.mtime_ns, digest=digest)


class Results:
    """The file in a folder. made, begun, passed: the last line of that kind, by destination.

    put_down: what was begun last, and then failed or was left by a run that came to its own end.
    """

    def __init__(self, folder: Path, earlier: bytes = b"") -> None:
        """Read what is there. earlier: lines that are not in the file, and older.

        Raises:
            OutputError: it cannot be read.
        """
        self.path = folder / NAME
        self.made: dict[str, Result] = {}
        self.begun: dict[str, Result] = {}
        self.passed: dict[str, Result] = {}
        self.put_down: set[str] = set()
        self._earlier = earlier
        self._forget()
        self.refresh()

    def refresh(self) -> None:
        """Read the lines that came since, whoever wrote them.

        Raises:
            OutputError: the file cannot be read.
        """
        try:
            with self.path.open("rb") as file:
                if file.seek(0, os.SEEK_END) < self._read:  # another file by now
                    self._forget()
                file.seek(self._read)
                data = file.read()
        except FileNotFoundError:
            self._forget()
            return
        except OSError as error:
            raise OutputError(f"{self.path} cannot be read: {error.strerror}", hint="Make it readable.") from error
        whole = data.rfind(b"\n") + 1
        self._read += whole
        self._note_all(data[:whole])

    def append(self, result: Result) -> None:
        """Add a line; when this returns it is on the disk.

        Raises:
            DiskFull: no space left.
            OutputError: it cannot be written.
        """
        said = dataclasses.replace(result, at=datetime.now(UTC).isoformat(timespec="microseconds"))
        line = json.dumps(_plain(said), allow_nan=False).encode("ascii") + b"\n"
        try:
            file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
            try:
                size = os.fstat(file).st_size
                if size and os.pread(file, 1, size - 1) != b"\n":
                    line = b"\n" + line  # somebody was ended in the middle of a line
                _write(file, line, size)
                os.fsync(file)
            finally:
                os.close(file)
        except OSError as error:
            raise translate(error, self.path) from error
        self._note(said)

    def _note_all(self, lines: bytes) -> None:
        for line in lines.splitlines():
            result = _parsed(line)
            if result is not None:
                self._note(result)

    def _note(self, result: Result) -> None:
        match result.status:
            case "done":
                self.made[result.destination] = result
                self.begun.pop(result.destination, None)
                self.passed.pop(result.destination, None)
            case "begun":
                self.begun[result.destination] = result
                self.passed.pop(result.destination, None)
                self.put_down.discard(result.destination)
            case "passed":
                self.passed[result.destination] = result
            case "failed" | "left" if result.fingerprint:  # else it was not begun: nothing of it was made
                self.put_down.add(result.destination)

    def _forget(self) -> None:
        self._read = 0
        for known in (self.made, self.begun, self.passed):
            known.clear()
        self.put_down.clear()
        self._note_all(self._earlier)


def _write(file: int, line: bytes, size: int) -> None:
    """Write a line in one call, so that lines of several processes do not mix; part of one is taken back."""
    written = os.write(file, line)
    if written < len(line):
        with suppress(OSError):
            if os.fstat(file).st_size == size + written:
                os.ftruncate(file, size)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _plain(result: Result) -> dict[str, Json]:
    """Give what a line says: what is known, the destination first."""
    data = dataclasses.asdict(result)
    kept = ("destination", "status", "source", "asked", "at")
    return {name: value for name, value in data.items() if name in kept or value}


def _parsed(line: bytes) -> Result | None:
    """Read a line; None for what is none of ours, or torn."""
    try:
        data = json.loads(line)
        data["source"] = Source(**data["source"])
        data["asked"] = Asked(**data["asked"])
        result = Result(**data)
        is_sound = result.status in _STATUSES and isinstance(result.destination, str) and result.source.size >= 0
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
    return result if is_sound else None
