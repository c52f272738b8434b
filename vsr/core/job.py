"""Job: one source to one destination, fully decided, serialisable; and its Chunks.

Made by `jobs.plan`; read by `jobs.run`, the executors and `pipeline.chunk`. Nothing in it needs torch or av, so that
a plan can be printed, stored, compared and sent to another process.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from vsr.core.card import ModelCard, Precision
from vsr.core.events import StageLoad
from vsr.core.frame import ColorSpec
from vsr.core.media import FieldOrder, MediaInfo, OutputSpec, Span, StreamPlan
from vsr.core.sampling import Sampling
from vsr.core.settings import Settings
from vsr.core.turn import UPRIGHT, Turn

DestinationKind = Literal["video", "image", "sequence"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """Where the result goes: a video file, one image, or a folder of images with a name pattern (`%06d.png`).

    is_shared: the pattern was the user's own, and other files in the folder are none of its business.
    """

    path: Path
    kind: DestinationKind
    container: str
    pattern: str = ""
    is_shared: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """The unit of work and of resume: the frames whose pts lie in `span`.

    frames: how many that is by the packet scan. decode: `span` widened by `lead` frames before and `tail` after, which
    are decoded for the windows' reach and the shot detector's memory and never written. seek: pts of the keyframe to
    decode from (None: from the start of the stream).
    """

    index: int
    span: Span
    frames: int
    decode: Span
    seek: int | None = None
    lead: int = 0
    tail: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkResult:
    """What came of a chunk: its file (a closed segment, or a folder of images) and the proof of it."""

    index: int
    path: Path
    frames: int
    pts: tuple[int, ...]
    durations: tuple[int, ...]
    digest: str
    wall_s: float
    cpu_s: float
    stages: tuple[StageLoad, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Compute:
    """How the engine runs, decided when the job is planned."""

    device: str  # "cpu" or "cuda:0"; the first of `devices`
    precision: Precision
    batch: int
    tile: int | None
    workers: int
    devices: tuple[str, ...] = ()  # that share the chunks, all of one kind; () or one: this process does them all


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """Which frames have the steps of their restoration written, as pictures, into `folder`.

    frames: numbers counted from the job's first frame, whose index in the source is `first`.
    """

    folder: Path
    first: int
    frames: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One source to one destination: `model_scale` times the source's size, then resampled to `output`'s size.

    color: the source's, resolved: no `unspecified` matrix, range or siting in it. sampling: of a diffusion model, with
    what the planner decided; None for other models. track: (pts, dy, dx) of every frame that is decoded, rising in pts:
    where the noise field lies on the model's output grid; empty where nothing moves it. deinterlace, field_order: what
    becomes of interlaced frames; with `field` every time in `source` and `chunks` is that of a field already. turn: how
    the pictures of the result are turned.
    """

    source: MediaInfo
    color: ColorSpec
    destination: Destination
    settings: Settings
    origins: Mapping[str, str]
    card: ModelCard
    model: str  # what the registry opens: a name with its scale, or a file's path
    model_scale: int
    compute: Compute
    output: OutputSpec
    streams: tuple[StreamPlan, ...]
    span: Span
    seed: int
    fingerprint: str
    chunks: tuple[Chunk, ...]
    sampling: Sampling | None = None
    track: tuple[tuple[int, int, int], ...] = ()
    trace: Trace | None = None
    deinterlace: Literal["off", "frame", "field"] = "off"
    field_order: FieldOrder = ""
    turn: Turn = UPRIGHT
    warnings: tuple[str, ...] = field(default_factory=tuple)
