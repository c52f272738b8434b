"""The two interfaces of the media trade: a Source of Frames and a Sink for them.

One contract suite (`tests/contracts/test_source.py`, `test_sink.py`) runs over every implementation: PyAV, the
ffmpeg program, images.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from vsr.core.frame import Frame
from vsr.core.media import MediaInfo, Span


@dataclass(slots=True, kw_only=True)
class DecodeTally:
    """What decoding met, filled while it runs; complete when the iterator ends. Owned by the decoding thread."""

    frames: int = 0  # yielded
    corrupt: int = 0  # yielded, but concealed by the decoder
    errors: int = 0  # packets the decoder refused
    first_error: str = ""
    retimed: int = 0  # yielded, with a pts moved to one tick after the frame before, which had the same or a later one
    fell_back: str = ""  # why hardware that was to decode gave way to software; "" where it did not


class Source(Protocol):
    """Frames of one source. The container is opened, used and closed by the thread that iterates."""

    @property
    def info(self) -> MediaInfo:
        """What it reads."""
        ...

    def frames(self, span: Span, *, seek: int | None = None, tally: DecodeTally | None = None) -> Iterator[Frame]:
        """Yield the frames whose pts lie in `span`, in order of presentation, decoder drained at the end.

        Decoding need not start before the keyframe `seek` (pts; None: the start of the stream): the frames from there
        on are those of a full decode; of earlier ones in `span` any may be missing. Damaged packets are counted in
        `tally`, concealed as the decoder does.

        Raises:
            DecodeError: nothing can be decoded at all.
            InputMissing: the file has gone.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What a sink has written when it is closed: in order of presentation."""

    path: Path
    frames: int
    pts: tuple[int, ...]
    durations: tuple[int, ...]
    bytes: int


class Sink(Protocol):
    """Takes Frames in order of presentation and writes one file or folder. Used by one thread."""

    def write(self, frame: Frame) -> None:
        """Encode one frame with its own pts and duration (in the spec's time_base).

        Raises:
            EncodeError: the encoder refuses it.
            DiskFull: no space left.
        """
        ...

    def close(self) -> Written:
        """Drain the encoder, close the file. Afterwards the file is whole and synced to disk.

        Raises:
            EncodeError: fewer frames came out than went in.
            DiskFull: no space left.
        """
        ...

    def abort(self) -> None:
        """Give up: close and remove what was written. Safe to call at any time, twice, and after close."""
        ...
