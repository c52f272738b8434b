"""What a media file is, as far as vsr must know it, and what it is to become.

`MediaInfo` describes a source: each number says in its name or its docstring whether the container's header claims
it or a scan of the packets found it. `OutputSpec` describes the video stream to be made.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Literal

from vsr.core.frame import ColorSpec

StreamKind = Literal["video", "audio", "subtitle", "data", "attachment"]
SourceKind = Literal["video", "image", "sequence"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamInfo:
    """A stream beside the video: what it is and what it is called. Times count `time_base`."""

    index: int
    kind: StreamKind
    codec: str
    time_base: Fraction | None = None
    start: int | None = None
    language: str | None = None
    title: str | None = None
    dispositions: tuple[str, ...] = ()
    detail: str = ""  # for people: "stereo 48000 Hz", "PGS", "font.ttf"
    sample_format: str = ""  # of decoded sound, FFmpeg's name: "s16p"; "" where nobody knows
    is_cover: bool = False  # an attached picture, never the video


@dataclass(frozen=True, slots=True, kw_only=True)
class ChapterInfo:
    """A chapter, [start, stop) in `time_base`."""

    start: int
    stop: int
    time_base: Fraction
    title: str = ""


FieldOrder = Literal["tff", "bff", ""]  # which field is shown first; "" where there are no fields, or nobody says
ScanKind = Literal["progressive", "interlaced", "telecined"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Interlacing:
    """How the lines of the frames belong together, and who says so: the frames' flags, or a look at their content."""

    kind: ScanKind = "progressive"
    order: FieldOrder = ""
    evidence: Literal["flags", "content", "none"] = "none"
    detail: str = ""  # for people: "118 of 120 frames combed, top field first"


@dataclass(frozen=True, slots=True, kw_only=True)
class HdrMetadata:
    """Static HDR10 metadata: SMPTE ST 2086 (mastering display) and CTA-861.3 (content light level).

    primaries: x, y of red, green, blue and the white point, CIE 1931; () where there is no mastering display.
    luminance: (smallest, largest) in cd/m2; () where it is not given. max_cll, max_fall: cd/m2, None where not given.
    """

    primaries: tuple[Fraction, ...] = ()
    luminance: tuple[Fraction, ...] = ()
    max_cll: int | None = None
    max_fall: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoInfo:
    """The video stream that is to be upscaled."""

    index: int
    codec: str
    width: int
    height: int
    pixel_format: str  # of the frames as they travel (planar), after the decoder's own format was unpacked
    coded_pixel_format: str  # as the stream has it
    color: ColorSpec
    time_base: Fraction
    rate: Fraction | None  # average, from the header: for the encoder's hints and the screen, never for timing
    sar: Fraction = Fraction(1)
    rotation: int = 0  # degrees counter-clockwise, from the display matrix
    display_matrix: tuple[int, ...] = ()  # the nine numbers of ISO/IEC 14496-12 sec. 8.2.2; () where there is none
    is_interlaced: bool = False  # by the first frame's flags
    field_order: FieldOrder = ""  # by the first frame's flags
    hdr: HdrMetadata | None = None
    side_data: tuple[str, ...] = ()  # what the first frame carries beside all this, in words for people
    has_alpha_layer: bool = False  # alpha is coded as a second picture beside the first (WebM)
    header_frames: int | None = None
    bit_rate: int | None = None
    language: str | None = None
    title: str | None = None
    dispositions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PacketIndex:
    """What a scan of the video packets found, without decoding; empty for images.

    pts: of every packet that shows a frame, sorted, in the stream's time_base (repeated where the file repeats it).
    durations: how long each of them is shown, until the next one; the last as the file says, 0 if it says nothing.
    keyframes: the pts of packets where decoding can begin, sorted; none where a pts does not tell one place.
    has_decoding_times: the file knows only when frames are decoded (AVI, raw streams): the n-th frame shown takes the
    n-th of `pts`; there are no keyframes then. digest: of all that the packets hold.
    """

    pts: tuple[int, ...] = ()
    durations: tuple[int, ...] = ()
    keyframes: tuple[int, ...] = ()
    bytes: int = 0
    corrupt: int = 0
    without_pts: int = 0
    has_decoding_times: bool = False
    digest: str = ""

    def __post_init__(self) -> None:
        if len(self.pts) != len(self.durations):
            raise ValueError(f"{len(self.pts)} pts and {len(self.durations)} durations")

    @property
    def is_variable(self) -> bool:
        """Whether the steps between frames differ by more than one tick (one tick is rounding)."""
        steps = [b - a for a, b in zip(self.pts, self.pts[1:], strict=False)]
        return bool(steps) and max(steps) - min(steps) > 1


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaInfo:
    """A source: a video file, one image, or a sequence of images.

    For a sequence `path` is what the user gave (a folder or a pattern) and `files` lists the images in order.
    """

    path: Path
    kind: SourceKind
    container: str  # FFmpeg's format name, "image2" for images
    video: VideoInfo
    streams: tuple[StreamInfo, ...] = ()
    chapters: tuple[ChapterInfo, ...] = ()
    metadata: tuple[tuple[str, str], ...] = ()
    duration_s: float | None = None  # from the header, for the screen
    size_bytes: int = 0
    packets: PacketIndex = field(default_factory=PacketIndex)
    files: tuple[Path, ...] = ()
    warnings: tuple[str, ...] = ()
    damage: tuple[str, ...] = ()  # what is broken or missing, in words; --strict refuses it

    @property
    def frame_count(self) -> int:
        """How many frames the packet scan says will be shown (images: how many files)."""
        return len(self.files) if self.kind != "video" else len(self.packets.pts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Half-open span [start, stop) of pts in the video stream's time_base; None is unbounded."""

    start: int | None = None
    stop: int | None = None

    def __post_init__(self) -> None:
        if self.start is not None and self.stop is not None and self.stop <= self.start:
            raise ValueError(f"empty span [{self.start}, {self.stop})")

    def __contains__(self, pts: int) -> bool:
        return (self.start is None or pts >= self.start) and (self.stop is None or pts < self.stop)


WHOLE = Span()


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputSpec:
    """The video stream to be made; everything an encoder must know, nothing about where it goes.

    `encoder` is FFmpeg's name (`libx264`); `options` are passed to it word for word; `threads` is part of the plan
    because x264's bytes depend on it. `color` is fully resolved: no `unspecified` matrix or range in it.
    """

    codec: str
    encoder: str
    options: tuple[tuple[str, str], ...]
    width: int
    height: int
    pixel_format: str
    color: ColorSpec
    tags: ColorSpec  # what the stream is tagged with
    time_base: Fraction
    rate: Fraction | None
    sar: Fraction = Fraction(1)
    rotation: int = 0
    display_matrix: tuple[int, ...] = ()
    hdr: HdrMetadata | None = None
    threads: int = 0
    keyframe_interval: int = 250


StreamAction = Literal["copy", "convert", "drop"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamPlan:
    """What happens to one stream beside the video, decided before any work; `reason` is for people."""

    index: int
    action: StreamAction
    codec: str  # of the result
    reason: str = ""
    is_wanted: bool = True  # False: the user asked for a result without it
    is_whole: bool = True  # all that it says is in the result; else `reason` says what is not

    @property
    def is_loss(self) -> bool:
        """Whether the result lacks something that was asked for."""
        return self.is_wanted and not self.is_whole
