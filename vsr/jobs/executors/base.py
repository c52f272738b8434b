"""The Executor interface: chunks in, results out, in whatever order they get done."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

from vsr.core.events import Report
from vsr.core.job import Chunk, ChunkResult, Job


class Executor(Protocol):
    """Runs chunks of a job. `tests/contracts/test_executor.py` holds every implementation to it."""

    def run(self, job: Job, chunks: Sequence[Chunk], work: Path, report: Report) -> Iterator[ChunkResult]:
        """Yield a result for every chunk as it gets done; segments are written into the folder `work`.

        Raises:
            VsrError: what made a chunk fail; nothing of that chunk is left in `work`.
        """
        ...

    def close(self) -> None:
        """End workers, give devices back."""
        ...
