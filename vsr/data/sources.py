"""The videos that inputs stand for, each with a name of its own in the result."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from vsr.core.errors import InputError, NotMedia
from vsr.io.images.sequences import natural_key

# What is taken out of a folder; a file that is named itself may be called anything.
VIDEO_SUFFIXES = (
    *(".mp4", ".m4v", ".mov", ".qt", ".mkv", ".webm", ".avi", ".ts", ".m2ts", ".mts", ".mpg", ".mpeg", ".vob", ".3gp"),
    *(".3g2", ".flv", ".f4v", ".wmv", ".asf", ".ogv", ".mxf", ".gxf", ".nut", ".y4m", ".ivf", ".obu", ".dv", ".gif"),
    *(".apng", ".264", ".h264", ".265", ".h265", ".hevc"),
)
_PATTERN = re.compile(r"[-_. ]*%\d*d")


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipSource:
    """A video (or numbered sequence) to be taken apart. `name`: of its folder in the result; no two share one."""

    path: Path
    name: str

    @property
    def identity(self) -> str:
        """What tells it from every other source, wherever the program is run."""
        return identity_of(self.path)

    @property
    def stamp(self) -> tuple[int, ...]:
        """Size and time of change of the file, to notice that it is another one now; () for a sequence."""
        if not self.path.is_file():
            return ()
        status = self.path.stat()
        return status.st_size, status.st_mtime_ns


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """An input that could not be used, and why."""

    path: Path
    error: InputError


def find_sources(
    inputs: Sequence[Path], named: Mapping[str, str] | None = None
) -> tuple[list[ClipSource], list[Failure]]:
    """Give the sources that inputs stand for, in order, each once, and the inputs that stand for none.

    A folder stands for the videos in it and in the folders below, by `VIDEO_SUFFIXES`, in natural order; hidden ones
    are passed over. named: names given earlier, by identity; they stay. The others are named after their file:
    `clip`, and `clip-2` where that is taken (upper and lower case are not told apart, as on some file systems).
    """
    names = dict(named or {})
    taken = {name.casefold() for name in names.values()}
    found: dict[str, ClipSource] = {}
    failures = []
    for given in inputs:
        try:
            paths = list(_videos(given)) if given.is_dir() else [given]
        except InputError as error:
            failures.append(Failure(path=given, error=error))
            continue
        for path in paths:
            identity = identity_of(path)
            if identity not in names:
                names[identity] = _free(path, taken)
                taken.add(names[identity].casefold())
            found.setdefault(identity, ClipSource(path=path, name=names[identity]))
    return list(found.values()), failures


def identity_of(path: Path) -> str:
    """Give a path without links and detours, as text."""
    return str(path.resolve())


def _videos(folder: Path) -> Iterator[Path]:
    try:
        entries = sorted(folder.rglob("*"), key=lambda entry: natural_key(str(entry.relative_to(folder))))
    except OSError as error:
        raise InputError(f"folder {folder} cannot be read: {error.strerror}") from error
    shown = [e for e in entries if not any(part.startswith(".") for part in e.relative_to(folder).parts)]
    files = [entry for entry in shown if entry.is_file()]
    videos = [file for file in files if file.suffix.lower() in VIDEO_SUFFIXES]
    if not videos:
        there = f"{len(files)} files of other kinds" if files else "no files"
        raise NotMedia(f"folder {folder} holds no videos, only {there}", hint="Name a video, or a folder of videos.")
    return iter(videos)


def _free(path: Path, taken: set[str]) -> str:
    stem = (_PATTERN.sub("", path.stem) or path.parent.name).lstrip(".") or "clip"
    name, number = stem, 2
    while name.casefold() in taken:
        name, number = f"{stem}-{number}", number + 1
    return name
