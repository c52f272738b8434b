"""What a job tells the screen while it runs. The screen decides how it looks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class StageLoad:
    """How busy one stage was: `busy` is the share of wall time its threads worked, summed over them."""

    name: str
    workers: int
    items: int
    busy_s: float
    cpu_s: float
    wall_s: float

    @property
    def busy(self) -> float:
        """Mean share of time that one of its workers was at work, 0..1."""
        return self.busy_s / (self.wall_s * self.workers) if self.wall_s > 0 else 0.0

    @property
    def capacity(self) -> float:
        """Items a second if this stage never had to wait."""
        return self.items * self.workers / self.busy_s if self.busy_s > 0 else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """The job is planned; the model is about to be loaded."""

    source: str
    destination: str
    frames: int
    description: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerLoad:
    """What one worker (a device) has made so far, and how fast it is now."""

    worker: str
    done: int
    fps: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Frames that have been restored and handed to the encoder so far.

    workers: those heard of lately. What they have made is not all of `done` where an earlier run made some.
    """

    done: int
    total: int
    fps: float
    eta_s: float | None
    stages: tuple[StageLoad, ...] = ()
    workers: tuple[WorkerLoad, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Worked:
    """Work that is counted in other things than restored frames: files, crops, updates, pictures.

    total: None where it is not known. note: a few words beside the bar ("loss 0.0012").
    """

    done: int
    total: int | None
    unit: str
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Noted:
    """Something worth knowing, and nothing is wrong: how long a training run will take, where it goes on."""

    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Warned:
    """Something the user should know, that does not stop the job."""

    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """The job is done and the result bears its name."""

    source: str
    destination: str
    frames_in: int
    frames_out: int
    wall_s: float
    cpu_s: float
    cores: int
    fps: float
    bottleneck: str
    stages: tuple[StageLoad, ...]
    width: int
    height: int
    size_bytes: int
    warnings: tuple[str, ...] = field(default_factory=tuple)
    resumed_frames: int = 0  # of frames_out, made by earlier runs
    verified: str = ""  # how the result was held against its source, in words; "" where that was not asked for

    @property
    def efficiency(self) -> float:
        """CPU seconds / (cores x wall)."""
        return self.cpu_s / (self.cores * self.wall_s) if self.wall_s > 0 else 0.0


FileStatus = Literal["done", "earlier", "skipped", "failed", "taken", "left"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderListed:
    """A folder was read. to_do: sources that are left to make. others: files that are no sources, by suffix."""

    source: str
    destination: str
    files: int
    to_do: int
    others: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderProgress:
    """How far a folder run is. file: what is in hand, and how many of its frames are done. share: of all work, 0..1."""

    done: int
    total: int
    share: float
    eta_s: float | None
    fps: float
    file: str = ""
    file_done: int = 0
    file_total: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class FileEnded:
    """What became of one file of a folder run.

    status: `done` now; `earlier`: done by an earlier run, and unchanged; `skipped` by a rule; `failed`; `taken` by
    another process; `left`: not begun, or stopped in the middle. number: how many have ended, this one among them.
    error: its kind.
    """

    source: str
    destination: str
    status: FileStatus
    number: int
    total: int
    reason: str = ""
    error: str = ""
    hint: str = ""
    notes: tuple[str, ...] = ()
    frames: int = 0
    wall_s: float = 0.0
    summary: Summary | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderSummary:
    """A folder run is over.

    files: what became of each, but for those done earlier; without their summaries, at most the last 10 000 of them.
    """

    source: str
    destination: str
    results: str
    done: int
    earlier: int
    skipped: int
    failed: int
    taken: int
    left: int
    others: int
    frames: int
    wall_s: float
    fps: float
    files: tuple[FileEnded, ...] = ()


Event = (
    Planned | Progress | Worked | Noted | Warned | Summary | FolderListed | FolderProgress | FileEnded | FolderSummary
)
Report = Callable[[Event], None]


def silent(_: Event) -> None:
    """Report to nobody."""
