"""What stands in an extraction's folder, and what of it is finished: how a broken run goes on.

`extract.jsonl`: the settings, then a line for each source when it is named and when it is finished. `manifest.jsonl`:
a line for each picture. Both only grow while work goes on; a picture counts when its line is whole.
"""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from vsr.core.errors import ChangedSinceStart, InputError, JobLocked, OutputError, OutputExists
from vsr.data import manifest
from vsr.data.extraction import Extraction
from vsr.data.sources import ClipSource
from vsr.io.atomic import translate
from vsr.io.images.files import sync_folder

NAME = "extract.jsonl"
_PICTURE = re.compile(r"\d{6,}\.(png|jpg|webp)|\.vsr-part-.*")
_FOLDER = re.compile(r"(shot|window)_\d+")


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceSummary:
    """What became of one source. frames: decoded. dropped: left out, by why."""

    path: str
    name: str
    frames: int
    pictures: int
    dropped: Mapping[str, int]


@dataclass(slots=True, kw_only=True)
class Ledger:
    """The two files of one folder. Used by one thread."""

    out: Path
    names: dict[str, str] = field(default_factory=dict)  # of every source ever seen, by identity, in order
    stamps: dict[str, tuple[int, ...]] = field(default_factory=dict)  # of their files when work on them began
    finished: dict[str, SourceSummary] = field(default_factory=dict)  # by identity
    pictures: dict[str, dict[str, object]] = field(default_factory=dict)  # records by file

    def name(self, source: ClipSource) -> None:
        """Note that a source has its name, before anything bears it. One that changed half-way is begun anew."""
        identity, stamp = source.identity, source.stamp
        if identity in self.names and self.stamps[identity] == stamp:
            return
        if identity in self.names:
            self.forget(source)
        self.names[identity], self.stamps[identity] = source.name, stamp
        self._note({"kind": "source", "source": identity, "name": source.name, "stamp": stamp})

    def add(self, records: Sequence[dict[str, object]]) -> None:
        """Note pictures that are there."""
        fresh = [record for record in records if self.pictures.get(str(record["file"])) != record]
        self.pictures.update({str(record["file"]): record for record in records})
        if fresh:
            manifest.append_all(self.out / manifest.NAME, fresh)

    def finish(self, source: ClipSource, summary: SourceSummary) -> None:
        """Note that a source is done; its pictures have been noted."""
        folder = self.out / source.name
        for place in [folder, *_inner(folder)]:
            if place.is_dir():
                sync_folder(place)
        self.finished[source.identity] = summary
        done = {"frames": summary.frames, "pictures": summary.pictures, "dropped": dict(summary.dropped)}
        self._note({"kind": "done", "source": source.identity, "path": summary.path, **done})

    def forget(self, source: ClipSource) -> None:
        """Remove what was made of a source that failed."""
        remove_pictures(self.out / source.name)
        for file in [file for file in self.pictures if file.startswith(f"{source.name}/")]:
            del self.pictures[file]

    def close(self) -> None:
        """Put the manifest in order: sources as they were named, pictures as they are shown; nothing of failed ones."""
        place = {name: number for number, name in enumerate(self.names.values())}
        done = {self.names[identity] for identity in self.finished}
        folders = {file: file.split("/", 1)[0] for file in self.pictures}
        kept = [file for file in self.pictures if folders[file] in done]
        kept.sort(key=lambda file: (place[folders[file]], int(str(self.pictures[file]["index"]))))
        manifest.write(self.out / manifest.NAME, [self.pictures[file] for file in kept])
        if not self.finished:
            self._remove()

    def _remove(self) -> None:
        """Leave nothing behind of a run that made nothing."""
        try:
            for name in (manifest.NAME, NAME):
                (self.out / name).unlink(missing_ok=True)
            if not any(self.out.iterdir()):
                self.out.rmdir()
        except OSError as error:
            raise translate(error, self.out) from error

    def _note(self, record: Mapping[str, object]) -> None:
        manifest.append(self.out / NAME, record)


@contextmanager
def open_ledger(out: Path, wish: Extraction, *, overwrite: bool) -> Iterator[Ledger]:
    """Open the folder of an extraction, new or begun earlier with the same settings; nobody else may meanwhile.

    overwrite: what another extraction made there is removed (its pictures alone).

    Raises:
        OutputExists: it holds other things, or was made with other settings.
        JobLocked: another process works in it.
        DiskFull, OutputError: it cannot be written.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise OutputError(f"{out} is a file, not a folder", hint="Name a folder.") from error
    except OSError as error:
        raise translate(error, out) from error
    handle = os.open(out, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise JobLocked(
                f"another vsr extract works in {out}", hint="Wait for it, or name another folder."
            ) from error
        yield _read(out, wish, overwrite=overwrite)
    finally:
        os.close(handle)


def check_unchanged(ledger: Ledger, source: ClipSource) -> None:
    """Refuse a finished source that is another file now.

    Raises:
        ChangedSinceStart: size or time of change differ.
    """
    if source.identity in ledger.finished and ledger.stamps[source.identity] != source.stamp:
        raise ChangedSinceStart(
            f"{source.path} has changed since its pictures were extracted to {ledger.out}",
            hint="Add --overwrite to make all of them anew, or name another folder.",
        )


def remove_pictures(folder: Path) -> None:
    """Remove pictures (and half-written ones) that bear our names, and the folders that are empty then."""
    try:
        for place in [*_inner(folder), folder]:
            for file in place.iterdir() if place.is_dir() else ():
                if _PICTURE.fullmatch(file.name) and file.is_file():
                    file.unlink()
            if place.is_dir() and not any(place.iterdir()):
                place.rmdir()
    except OSError as error:
        raise translate(error, folder) from error


def remove_parts(folder: Path) -> None:
    """Remove what a killed run left half-written."""
    for place in [*_inner(folder), folder]:
        for file in place.glob(".vsr-part-*"):
            file.unlink(missing_ok=True)


def _inner(folder: Path) -> list[Path]:
    return [place for place in folder.iterdir() if _FOLDER.fullmatch(place.name)] if folder.is_dir() else []


def _read(out: Path, wish: Extraction, *, overwrite: bool) -> Ledger:
    journal = out / NAME
    lines = manifest.read(journal) if journal.exists() else []
    if lines and lines[0].get("fingerprint") == wish.fingerprint and not overwrite:
        return _replay(out, lines)
    if not lines and (out / manifest.NAME).exists() and (out / manifest.NAME).stat().st_size > 0:
        raise OutputExists(f"{out} holds a manifest that vsr extract did not write", hint="Name another folder.")
    if not _is_free(out) and not overwrite:
        if lines:
            hint = f"Add --overwrite to make all of them anew, or name another folder. {_differences(lines[0], wish)}"
            raise OutputExists(f"{out} was made with other settings", hint=hint.strip())
        raise OutputExists(
            f"{out} holds other things", hint="Name a new folder, or add --overwrite to write beside them."
        )
    if lines:  # from now on nobody can go on with what is taken away here
        manifest.write(journal, [{**lines[0], "fingerprint": ""}, *lines[1:]])
    for name in {str(line.get("name")) for line in lines if line.get("kind") == "source"}:
        if Path(name).name == name:  # never outside of the folder, whatever the journal says
            remove_pictures(out / name)
    manifest.write(out / manifest.NAME, [])
    first = {"kind": "settings", "fingerprint": wish.fingerprint, "settings": wish.as_record()}
    manifest.write(journal, [first])
    return Ledger(out=out)


def _is_free(out: Path) -> bool:
    """Whether a folder holds nothing but what a run leaves that was killed before it began."""
    entries = list(out.iterdir())
    return all(
        ".vsr-part-" in entry.name or (entry.name == manifest.NAME and entry.stat().st_size == 0) for entry in entries
    )


def _differences(first: Mapping[str, object], wish: Extraction) -> str:
    before, now = first.get("settings"), wish.as_record()
    if not isinstance(before, dict):
        return ""
    names = sorted(name for name in {*before, *now} if before.get(name) != now.get(name))
    said = [f"{name} was {before.get(name, 'default')}, is {now.get(name, 'default')}" for name in names]
    return f"Different: {'; '.join(said)}." if said else ""


def _replay(out: Path, lines: Sequence[Mapping[str, object]]) -> Ledger:
    ledger = Ledger(out=out)
    try:
        for line in lines[1:]:
            _apply(ledger, line)
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{out / NAME} is damaged: {error}", hint="Add --overwrite to make the folder anew."
        ) from error
    path = out / manifest.NAME
    ledger.pictures = {str(record["file"]): record for record in manifest.read(path)} if path.exists() else {}
    return ledger


def _apply(ledger: Ledger, line: Mapping[str, object]) -> None:
    """Enter one line of the journal.

    Raises:
        KeyError, TypeError, ValueError: it is none of ours.
    """
    identity = str(line["source"])
    if line["kind"] == "source":
        stamp = line["stamp"]
        if not isinstance(stamp, list):
            raise TypeError(f"stamp {stamp!r}")
        ledger.names[identity], ledger.stamps[identity] = str(line["name"]), tuple(stamp)
    elif line["kind"] == "done":
        dropped = line["dropped"]
        if not isinstance(dropped, dict):
            raise TypeError(f"dropped {dropped!r}")
        ledger.finished[identity] = SourceSummary(
            path=str(line["path"]),
            name=ledger.names[identity],
            frames=int(str(line["frames"])),
            pictures=int(str(line["pictures"])),
            dropped=dropped,
        )
    else:
        raise ValueError(f"kind {line['kind']!r}")
