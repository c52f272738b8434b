"""The lanes of an extraction: one decodes sources and chooses, some write pictures; what they tell comes as messages.

The messages of a source end with its Done or its Broken; the pictures before it are on the disk by then.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from vsr.core.errors import InputError, InputMissing
from vsr.data.extraction import Extraction
from vsr.data.footage import Footage, Looked, open_footage
from vsr.data.ledger import SourceSummary
from vsr.data.manifest import digest_file
from vsr.data.select import Chosen
from vsr.data.sources import ClipSource
from vsr.engines.device import use_threads
from vsr.io.atomic import translate
from vsr.io.images.files import write_whole
from vsr.pipeline.lanes import Feed

Record = dict[str, object]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Task:
    """A picture to be written. file: below the folder of the result, with `/`."""

    footage: Footage
    source: ClipSource
    chosen: Chosen
    file: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """A picture that is there, and its line in the manifest."""

    record: Record


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """A source has ended."""

    source: ClipSource
    summary: SourceSummary
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """A source cannot be used, or not to its end."""

    source: ClipSource
    error: InputError


Item = Task | Written | Done | Broken


def decode(queue: Feed[ClipSource], out: Path, wish: Extraction, looked: Looked) -> Iterator[Item]:
    """Yield the pictures of one source of the queue after the other, and how each ended.

    Raises:
        DiskFull, OutputError: a folder cannot be made.
    """
    use_threads(1)
    for source in queue:
        try:
            yield from _source(source, out, wish, looked)
        except InputError as error:
            yield Broken(source=source, error=error)


def write(item: Item, out: Path, known: Mapping[str, Record]) -> Item:
    """Write a task's picture and give its record; what is no task is handed on.

    known: records of an earlier run, by file; a picture that is there as it was written is not made again.

    Raises:
        DiskFull, OutputError: it cannot be written.
    """
    if not isinstance(item, Task):
        return item
    target = out / item.file
    earlier = known.get(item.file)
    if earlier is not None and _is_there(target, str(earlier["sha256"])):
        return Written(record=earlier)
    data = item.footage.maker.encode(item.chosen.frame, target)
    write_whole(target, data)
    return Written(record=_record(item, hashlib.sha256(data).hexdigest()))


def weight(item: Item) -> int:
    """Give the bytes that an item holds."""
    return sum(plane.nbytes for plane in item.chosen.frame.planes) if isinstance(item, Task) else 0


def _source(source: ClipSource, out: Path, wish: Extraction, looked: Looked) -> Iterator[Item]:
    try:
        footage = open_footage(source.path, wish, looked)
    finally:
        looked.sources += 1
    made = set()
    pictures = 0
    for chosen in footage.chosen():
        folder = _folder(source, wish, chosen)
        if folder not in made:
            _make(out / folder)
            made.add(folder)
        pictures += 1
        file = f"{folder}/{chosen.frame.index:06d}{wish.suffix}"
        yield Task(footage=footage, source=source, chosen=chosen, file=file)
    summary = SourceSummary(
        path=str(source.path),
        name=source.name,
        frames=footage.decoded,
        pictures=pictures,
        dropped=dict(sorted(footage.dropped.items())),
    )
    yield Done(source=source, summary=summary, warnings=tuple(footage.warnings))


def _folder(source: ClipSource, wish: Extraction, chosen: Chosen) -> str:
    if chosen.window is not None:
        return f"{source.name}/window_{chosen.window:06d}"
    return f"{source.name}/shot_{chosen.shot:04d}" if wish.shots else source.name


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise translate(error, folder) from error


def _is_there(target: Path, digest: str) -> bool:
    try:
        return digest_file(target) == digest
    except InputMissing:
        return False


def _record(task: Task, digest: str) -> Record:
    frame, base = task.chosen.frame, task.footage.info.video.time_base
    record: Record = {
        "file": task.file,
        "source": str(task.source.path),
        "index": frame.index,
        "pts": frame.pts,
        "time_base": str(base),
        "time": round(float(frame.pts * base), 6),
        "shot": task.chosen.shot,
    }
    if task.chosen.window is not None:
        record["window"] = task.chosen.window
    record["sha256"] = digest
    return record
