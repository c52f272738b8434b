"""What a job's process and its worker processes say to each other, through one pipe a worker."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from vsr.core.errors import VsrError
from vsr.core.events import StageLoad
from vsr.core.job import Chunk, ChunkResult, Job


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """Parent to worker: do this chunk. job: None where it is that of the order before; it may be megabytes."""

    job: Job | None
    chunk: Chunk
    path: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """Worker to parent: the first order may come."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """Worker to parent: so many frames of the chunk have reached the encoder."""

    done: int
    stages: tuple[StageLoad, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Logged:
    """Worker to parent: something for the log."""

    logger: str
    level: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Over:
    """Worker to parent: the chunk is done, or cannot be."""

    end: ChunkResult | VsrError


Message = Ready | Told | Logged | Over
