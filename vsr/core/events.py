"""What a job tells the screen while it runs. The screen decides how it looks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field


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

    workers: those that have made any in this run, which are not all of `done` where an earlier run made some.
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

    @property
    def efficiency(self) -> float:
        """CPU seconds / (cores x wall)."""
        return self.cpu_s / (self.cores * self.wall_s) if self.wall_s > 0 else 0.0


Event = Planned | Progress | Worked | Noted | Warned | Summary
Report = Callable[[Event], None]


def silent(_: Event) -> None:
    """Report to nobody."""
