"""What a job's work folder says of it: for `vsr jobs`, and without touching the job, which may be at work."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from vsr.core.errors import InputMissing
from vsr.io.lock import Holder, holder, locked, remove_locked
from vsr.jobs.journal import JOURNAL, LOCK, SUFFIX, Json, Record, replay


@dataclass(frozen=True, slots=True, kw_only=True)
class JobStatus:
    """One work folder. Where the journal does not say: None, "" and 0.

    began, last: when the job and its last finished chunk were noted, ISO 8601. idle_s: since anything in the folder
    changed. size_bytes: on disk, the segments.
    """

    folder: Path
    source: Path | None = None
    destination: Path | None = None
    model: str = ""
    device: str = ""
    command: str = ""
    frames: int = 0
    frames_done: int = 0
    chunks: int = 0
    chunks_done: int = 0
    began: str = ""
    last: str = ""
    in_use_by: Holder | None = None
    idle_s: float = 0.0
    size_bytes: int = 0


def find(roots: Sequence[Path]) -> Iterator[Path]:
    """Yield the work folders in and under folders, each once, in order of their names.

    Symbolic links are not followed, and folders that cannot be read are passed over.

    Raises:
        InputMissing: one of `roots` is no folder.
    """
    seen: set[Path] = set()
    for root in roots:
        try:
            is_folder = root.is_dir()
        except OSError:
            is_folder = False
        if not is_folder:
            raise InputMissing(f"{root} is no folder, or is closed to you", hint="Name the folder to search in.")
        for place, names, _ in os.walk(root):
            names.sort()
            folder = Path(place)
            if is_work_folder(folder):
                names.clear()
                if folder.resolve() not in seen:
                    seen.add(folder.resolve())
                    yield folder


def is_work_folder(path: Path) -> bool:
    """Whether a folder bears the name and holds the files of a job's work folder."""
    is_named = path.name.startswith(".") and path.name.endswith(SUFFIX)
    try:
        return is_named and not path.is_symlink() and any((path / name).is_file() for name in (JOURNAL, LOCK))
    except OSError:  # somebody else's, closed to us
        return False


def of_destination(path: Path) -> tuple[Path, ...]:
    """Give the work folders whose journals name `path` as their destination: they lie beside it."""
    wanted = os.path.realpath(path)  # unlike Path.resolve, it takes a loop of links as it is
    found = []
    for folder in sorted(Path(wanted).parent.glob(f".*{SUFFIX}")):
        destination = read(folder).destination if is_work_folder(folder) else None
        if destination is not None and os.path.realpath(destination) == wanted:
            found.append(folder)
    return tuple(found)


def read(folder: Path) -> JobStatus:
    """Give what a work folder says.

    Raises:
        JobError: its journal cannot be read.
        OutputError: its lock cannot be looked at.
    """
    records = replay(folder / JOURNAL)
    begun = records[0] if records and records[0].get("kind") == "begun" else {}
    done = {_count(record, "index"): record for record in records if begun and record.get("kind") == "chunk"}
    size, changed = _measure(folder)
    return JobStatus(
        folder=folder,
        source=_path(begun, "source"),
        destination=_path(begun, "destination"),
        model=_text(begun, "model"),
        device=_text(begun, "device"),
        command=_text(begun, "command"),
        frames=_count(begun, "frames"),
        frames_done=sum(_count(record, "frames") for record in done.values()),
        chunks=_count(begun, "chunks"),
        chunks_done=len(done),
        began=_text(begun, "at"),
        last=_text(records[-1], "at") if records else "",
        in_use_by=holder(folder / LOCK),
        idle_s=max(0.0, time.time() - changed),
        size_bytes=size,
    )


def clean(folder: Path) -> None:
    """Remove a work folder and what was finished in it.

    Raises:
        JobLocked: it is in use.
        OutputError: it cannot be removed.
    """
    with locked(folder / LOCK):
        remove_locked(folder / LOCK)


def _measure(folder: Path) -> tuple[int, float]:
    """Give the bytes in a folder and when it last changed, in seconds; what vanishes meanwhile counts nothing."""
    size, changed = 0, 0.0
    for place, _, names in os.walk(folder):
        for path in (Path(place), *(Path(place, name) for name in names)):
            try:
                found = path.lstat()
            except OSError:
                continue
            changed = max(changed, found.st_mtime)
            size += found.st_size if stat.S_ISREG(found.st_mode) else 0
    return size, changed


def _text(record: Record, name: str) -> str:
    value: Json = record.get(name)
    return value if isinstance(value, str) else ""


def _path(record: Record, name: str) -> Path | None:
    text = _text(record, name)
    return Path(text) if text else None


def _count(record: Record, name: str) -> int:
    value: Json = record.get(name)
    return value if isinstance(value, int) else 0
