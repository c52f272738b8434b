"""What was asked of a result beside its resolution, and what a verification finds."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal

from vsr.core.errors import VerifyError
from vsr.core.frame import ColorSpec
from vsr.core.media import FieldOrder, StreamPlan

State = Literal["same", "changed as asked", "lost by the container", "broken"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What was asked for. start, stop: seconds from the source's first frame.

    fields: 2 where every frame became two. is_deinterlaced: the lines of one field of each frame were made anew.
    field_order: where the file does not say it. is_turned: turned as players show it. streams: what was planned for
    each stream beside the video; None: what the container's rules say. container: of the result; None: by its name.
    pixel_format: that was asked for; None: the one closest to the source's. tags: the result's; None: the source's.
    lift: how much later everything is; None: by the container's rule.
    """

    start: Fraction | None = None
    stop: Fraction | None = None
    fields: int = 1
    is_deinterlaced: bool = False
    field_order: FieldOrder = ""
    is_turned: bool = False
    has_square_pixels: bool = False
    streams: tuple[StreamPlan, ...] | None = None
    audio: bool = True
    selection: str | None = None
    container: str | None = None
    pixel_format: str | None = None
    tags: ColorSpec | None = None
    lift: Fraction | None = None

    def __post_init__(self) -> None:
        if self.fields not in (1, 2):
            raise ValueError(f"fields must be 1 or 2, got {self.fields}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One check: what was held against what, how it came out, and in words by how much and where."""

    check: str
    state: State
    detail: str = ""


def luma_shift(shift: tuple[float, float, float]) -> float:
    """Give the shift of luma of one of R, G, B (ITU-R BT.709-6 item 3.2)."""
    red, green, blue = shift
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What the picture check saw. shift: result less source, mean of R, G, B over the clip, in 8-bit codes.

    tint: root mean square of the same in blocks, mean over the frames. worst_frame: the source's number of the frame
    with the lowest PSNR (dB, luma, on the source's grid). picture: where it is shown, if that was asked for.
    """

    frames: int
    psnr: float
    worst_psnr: float
    worst_frame: int
    shift: tuple[float, float, float]
    tint: float
    picture: Path | None = None

    @property
    def luma_shift(self) -> float:
        """The shift of luma (ITU-R BT.709-6 item 3.2)."""
        return luma_shift(self.shift)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Everything that was found about a result."""

    source: Path
    result: Path
    findings: tuple[Finding, ...]
    look: Look | None = None

    @property
    def holds(self) -> bool:
        """Whether nothing differs but what was asked for and what the container cannot hold."""
        return not self.of("broken")

    def of(self, state: State) -> tuple[Finding, ...]:
        """Give the findings of one state."""
        return tuple(finding for finding in self.findings if finding.state == state)

    def raise_if_broken(self, *, strict: bool = False) -> None:
        """Do nothing where the result holds.

        Raises:
            VerifyError: it does not; with `strict`, also if the container could not hold something.
        """
        wrong = (*self.of("broken"), *(self.of("lost by the container") if strict else ()))
        if wrong:
            said = "; ".join(f"{finding.check}: {finding.detail}" for finding in wrong[:3])
            more = f"; and {len(wrong) - 3} more" if len(wrong) > 3 else ""
            hint = f"vsr verify {self.source} {self.result} shows everything that was compared."
            raise VerifyError(f"{self.result} does not match {self.source}: {said}{more}", hint=hint)
