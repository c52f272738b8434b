"""What a job's journal says of it: how it began, and each chunk that is done."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from vsr.core.card import Precision
from vsr.core.events import StageLoad
from vsr.core.job import ChunkResult, Job
from vsr.io.versions import libraries
from vsr.jobs.facts import Facts
from vsr.jobs.journal import Record
from vsr.pipeline.chunk import segment_name


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """What the machine chose for a job when it was begun; all None where nothing was."""

    precision: Precision | None = None
    batch: int | None = None
    tile: int | None = None
    threads: int | None = None

    @property
    def is_known(self) -> bool:
        return self.precision is not None


def device_kind(job: Job) -> str:
    """Give `cpu` or `cuda`: bytes are promised to be the same on one kind."""
    return job.compute.device.partition(":")[0]


def versions_here() -> dict[str, str]:
    """Give the versions of the libraries that pixels go through: another one may round or encode otherwise."""
    return {name: version for name, version in libraries() if name not in ("spandrel", "safetensors")}


def begun_record(job: Job, known: Facts, command: str) -> Record:
    """Give the first record of a journal: everything that a later run is held against, and what people are shown."""
    return {
        "kind": "begun",
        "facts": dict(known),
        "device": device_kind(job),
        "chosen": {
            "precision": job.compute.precision,
            "batch": job.compute.batch,
            "tile": job.compute.tile,
            "threads": job.output.threads,
        },
        "libraries": versions_here(),
        "track": [list(place) for place in job.track],
        "source": str(job.source.path.absolute()),
        "destination": str(job.destination.path.absolute()),
        "frames": sum(chunk.frames for chunk in job.chunks),
        "chunks": len(job.chunks),
        "model": job.card.id,
        "command": " ".join(word for word in command.split(" ") if word != "--restart"),  # what goes on with it
        "at": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    }


def chunk_record(result: ChunkResult) -> Record:
    """Give the record of a finished chunk."""
    return {
        "kind": "chunk",
        "index": result.index,
        "frames": result.frames,
        "pts": list(result.pts),
        "durations": list(result.durations),
        "digest": result.digest,
        "wall_s": result.wall_s,
        "cpu_s": result.cpu_s,
        "stages": [dataclasses.asdict(stage) for stage in result.stages],
        "warnings": list(result.warnings),
        "at": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    }


def chunk_result(record: Record, folder: Path, job: Job) -> ChunkResult | None:
    """Give what a record says, None where it says nothing that can be used."""
    said = cast("dict[str, Any]", record)
    try:
        index = int(said["index"])
        chunk = job.chunks[index]  # there may be thousands
        if chunk.index != index:
            return None
        return ChunkResult(
            index=index,
            path=folder / segment_name(job, chunk),
            frames=int(said["frames"]),
            pts=tuple(said["pts"]),
            durations=tuple(said["durations"]),
            digest=str(said["digest"]),
            wall_s=float(said["wall_s"]),
            cpu_s=float(said["cpu_s"]),
            stages=tuple(StageLoad(**stage) for stage in said["stages"]),
            warnings=tuple(said["warnings"]),
        )
    except (KeyError, IndexError, TypeError, ValueError):
        return None


def recorded_track(record: Record) -> tuple[tuple[int, int, int], ...]:
    """Give the track that a journal began with."""
    places = cast("Sequence[Sequence[int]]", record.get("track", ()))
    return tuple((pts, dy, dx) for pts, dy, dx in places)


def recorded_facts(record: Record) -> Facts:
    """Give the facts that a journal began with."""
    return cast("Facts", record.get("facts", {}))


def recorded_libraries(record: Record) -> Facts:
    """Give the versions of libraries that a journal began with; none where it does not say."""
    return cast("Facts", record.get("libraries", {}))


def chosen_before(record: Record | None, *, on: str | None = None) -> Chosen:
    """Give what the machine chose when the job was begun; nothing if that was on another kind of device than `on`."""
    if record is None or (on is not None and record.get("device") != on.partition(":")[0]):
        return Chosen()
    try:
        return Chosen(**cast("dict[str, Any]", record["chosen"]))
    except (KeyError, TypeError):
        return Chosen()
