"""Pictures of a source: decode, mark shots, convert. The one source of pictures for everybody."""

from __future__ import annotations

from collections.abc import Iterator

from vsr.color.convert import to_picture
from vsr.core.frame import ColorSpec, Domain, Frame, Picture
from vsr.core.media import WHOLE, Span
from vsr.io.base import DecodeTally, Source
from vsr.temporal.shots import mark_shots


def frames(
    source: Source,
    span: Span = WHOLE,
    *,
    seek: int | None = None,
    shots: bool = False,
    tally: DecodeTally | None = None,
) -> Iterator[Frame]:
    """Yield the source's frames in `span`; with `shots`, those that open a shot are marked."""
    decoded = source.frames(span, seek=seek, tally=tally)
    return mark_shots(decoded) if shots else decoded


def pictures(
    source: Source,
    span: Span = WHOLE,
    *,
    domain: Domain,
    color: ColorSpec,
    seek: int | None = None,
    shots: bool = False,
    tally: DecodeTally | None = None,
) -> Iterator[Picture]:
    """Yield Pictures on the CPU, in order. `color` is the source's, resolved.

    Raises:
        DecodeError, InputMissing: from the source.
    """
    for frame in frames(source, span, seek=seek, shots=shots, tally=tally):
        yield to_picture(frame, color, domain)
