"""The books of a preparation: its folder's lock, the manifest's first line, and what an earlier run has finished.

The manifest's first record tells the settings; each further one is a window, written when all its pictures are there.
"""

from __future__ import annotations

import dataclasses
import fcntl
import hashlib
import json
import os
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from vsr.core.errors import ChangedSinceStart, JobLocked, OutputError, OutputExists
from vsr.data import manifest
from vsr.data.clips import Clip
from vsr.data.preparation import Preparation
from vsr.data.triplets import by_scale, by_sizes
from vsr.io.atomic import translate

PART = ".vsr-part-"
_KIND = "prepare"
_VERSION = 2

Record = dict[str, object]


def header(wish: Preparation, clips: Sequence[Clip]) -> Record:
    """Give the manifest's first record: every setting that touches a pixel or a name, and which clips there are."""
    settings = json.loads(json.dumps(dataclasses.asdict(wish)))
    named = "\n".join(f"{clip.kind} {clip.id}" for clip in clips)
    return {
        "manifest": _KIND,
        "version": _VERSION,
        **settings,
        "clips": len(clips),
        "clips_sha256": hashlib.sha256(named.encode("utf-8", "surrogateescape")).hexdigest(),
    }


@contextmanager
def locked(out: Path) -> Iterator[None]:
    """Make the folder if it is not there and keep others out of it; an empty one made here goes again on an error.

    Raises:
        JobLocked: another process works in it.
        DiskFull, OutputError: it cannot be made.
    """
    is_new = not out.exists()
    try:
        out.mkdir(parents=True, exist_ok=True)
        handle = os.open(out, os.O_RDONLY)
    except FileExistsError as error:
        raise OutputError(f"{out} is a file, not a folder", hint="Name a folder.") from error
    except OSError as error:
        raise translate(error, out) from error
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise JobLocked(f"another vsr prepare works in {out}", hint="Wait, or name another folder.") from error
        yield
    finally:
        os.close(handle)
        if is_new and not any(out.iterdir()):
            out.rmdir()


def resume(out: Path, first: Record, clips: Sequence[Clip], *, overwrite: bool) -> list[Record]:
    """Give the windows that an earlier run has finished; begin the manifest where there is none.

    Leftovers of a run that was killed are removed. A clip of which a picture is gone is not counted as finished.
    overwrite: what was prepared otherwise is removed: all pictures in its trees, and its LMDB environments.

    Raises:
        OutputExists: the folder holds other things than a preparation.
        ChangedSinceStart: it was begun with other settings or clips, or of other files; the difference is named.
        DiskFull, OutputError: it cannot be written.
    """
    book = out / manifest.NAME
    if not book.exists() or book.stat().st_size == 0:
        if any(not entry.name.startswith(PART) for entry in out.iterdir() if entry != book):
            raise OutputExists(f"{out} is not empty", hint="Name a new folder.")
        _begin(out, book, first)
        return []
    lines = manifest.read(book)
    if lines and lines[0].get("manifest") != _KIND:
        raise OutputExists(f"{out} was not made by vsr prepare", hint="Name a new folder.")
    changed = _difference(out, lines, first, clips) if lines else None
    if lines and changed is None:
        _sweep(out)
        kept = _whole_clips(out, lines[1:])
        if len(kept) < len(lines) - 1:
            manifest.write(book, [first, *kept])
        return kept
    if changed is not None and not overwrite:
        raise ChangedSinceStart(changed, hint="Add --overwrite to make it anew, or name another folder.")
    discard(out, lines[1:])
    if lines:
        _discard_unnoted(out, lines[0])
    _begin(out, book, first)
    return []


def _difference(out: Path, lines: Sequence[Record], first: Record, clips: Sequence[Clip]) -> str | None:
    """Say what is different now from when the folder was begun; None: nothing."""
    differing = [key for key in {**lines[0], **first} if lines[0].get(key) != first.get(key)]
    if differing:
        return f"{out} was prepared otherwise: {', '.join(differing)} differ"
    stamps = {str(record["clip"]): record["stamp"] for record in lines[1:]}
    changed = next((clip for clip in clips if clip.id in stamps and stamps[clip.id] != clip.stamp), None)
    return None if changed is None else f"{changed.path} is not the file any more that {out} was made of"


def files_of(record: Mapping[str, object]) -> dict[str, str]:
    """Give the sha256 of each picture of a window, by its path below the folder."""
    files = record["files"]
    assert isinstance(files, dict)
    return files


def _begin(out: Path, book: Path, first: Record) -> None:
    _sweep(out)
    manifest.write(book, [first])


def _whole_clips(out: Path, records: Sequence[Record]) -> list[Record]:
    there = Counter(
        str(record["clip"]) for record in records if all((out / file).is_file() for file in files_of(record))
    )
    return [record for record in records if there[str(record["clip"])] == record["windows"]]


def _discard_unnoted(out: Path, header: Mapping[str, object]) -> None:
    """Remove what a run that was stopped made and did not note: pictures in the trees that its header names."""
    size, scale, split = header.get("size"), header.get("scale"), header.get("split")
    geometry = by_sizes(*size) if isinstance(size, list) else by_scale(int(str(scale)))
    names = split["names"] if isinstance(split, dict) else [""]
    try:
        for part in (out / str(name) for name in names):
            for tree, mark in zip(geometry.trees, geometry.marks, strict=True):
                for picture in [*(part / tree).glob("*.png"), *(part / tree).glob(f"*/frame_*_{mark}.png")]:
                    picture.unlink()
                _remove_empty([*(part / tree).glob("*/"), part / tree])
            (part / "lmdb" / "data.mdb").unlink(missing_ok=True)
            _remove_empty([part / "lmdb"] + [part] * (part != out))
    except OSError as error:
        raise translate(error, out) from error


def _remove_empty(folders: Sequence[Path]) -> None:
    for folder in folders:
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()


def _sweep(out: Path) -> None:
    try:
        for entry in list(out.rglob(f"{PART}*")):
            if entry.is_dir():
                shutil.rmtree(entry)
            else:
                entry.unlink(missing_ok=True)
    except OSError as error:
        raise translate(error, out) from error


def discard(out: Path, records: Sequence[Record]) -> None:
    """Remove the pictures of windows, and the folders that are empty then; nothing else.

    Raises:
        OutputError: they cannot be removed.
    """
    try:
        folders: set[Path] = set()
        for record in records:
            for name in files_of(record):
                (out / name).unlink(missing_ok=True)
                folders.update(
                    parent for parent in (out / name).parents if parent.is_relative_to(out) and parent != out
                )
        _remove_empty(sorted(folders, key=lambda path: len(path.parts), reverse=True))
    except OSError as error:
        raise translate(error, out) from error
