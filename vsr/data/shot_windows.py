"""Windows of consecutive frames of one clip, none across a shot cut: found in one pass, read in a second."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from vsr.color.convert import to_picture
from vsr.color.tables import resolve
from vsr.core.errors import DecodeError, InputError
from vsr.core.frame import ColorSpec, Frame, pixel_format
from vsr.core.media import WHOLE, MediaInfo, Span
from vsr.data.clips import Clip
from vsr.io.base import DecodeTally
from vsr.io.decoding.decode import open_source
from vsr.io.probe import probe
from vsr.pipeline.pictures import frames as decoded_frames

Window = NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """A window as it was read: (N, H, W, 3) RGB, and where it comes from."""

    data: Window
    indices: tuple[int, ...]
    pts: tuple[int, ...]
    time_base: Fraction


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What the first pass saw: the starts of the chosen windows, how many frames were damaged or could not be decoded.

    frames: the places of the clip, decoded or not, up to the last frame that was.
    """

    starts: tuple[int, ...]
    frames: int
    damaged: int


def _undisturbed() -> None:
    """Go on."""


def look(
    clip: Clip, *, size: int, stride: int, count: int, heed: Callable[[], None] = _undisturbed
) -> tuple[MediaInfo, Seen]:
    """Choose `count` windows of `size` frames `stride` apart, spread evenly over the clip; fewer where fewer fit.

    Windows do not overlap, cross no shot cut, and hold no damaged frame and no gap where one could not be decoded.
    heed: called at each frame; it raises to end the work early.

    Raises:
        InputError: the clip cannot be read, or no window fits.
    """
    info = probe(clip.path)
    shots: list[int] = []
    shot, damaged = 0, 0
    tally = DecodeTally()
    for frame in decoded_frames(open_source(info), WHOLE, shots=True, tally=tally):
        heed()
        shot += frame.opens_shot
        damaged += frame.is_corrupt
        shots += [-1] * (frame.index - len(shots))  # what could not be decoded leaves its place empty
        shots.append(-1 if frame.is_corrupt else shot)
    if not shots:
        raise DecodeError(f"{clip.path}: no frame could be decoded")
    starts = _starts(shots, (size - 1) * stride)
    if not starts:
        needed = (size - 1) * stride + 1
        longest = max(shots.count(number) for number in {*shots} - {-1}) if {*shots} - {-1} else 0
        raise InputError(
            f"{clip.path}: no window of {size} frames at stride {stride} fits: it takes {needed} frames within one "
            f"shot, the longest of {len(shots)} frames has {longest}",
            hint="Use fewer --frames or a smaller --stride, or leave it out.",
        )
    chosen = _spread(starts, count, (size - 1) * stride + 1)
    return info, Seen(starts=chosen, frames=len(shots), damaged=damaged + tally.errors)


def cut(
    info: MediaInfo, starts: Sequence[int], *, size: int, stride: int, heed: Callable[[], None] = _undisturbed
) -> Iterator[Cut]:
    """Yield the windows that begin at the frames `starts`, in order; holds one at a time. heed: as in `look`.

    Raises:
        DecodeError: the clip ends before them: it has changed.
    """
    color = resolve(info.video.color, pixel_format(info.video.pixel_format), info.video.width, info.video.height)
    stream = decoded_frames(open_source(info), Span())
    held: list[tuple[Frame, Window]] = []
    waiting = list(starts)
    for frame in stream:
        heed()
        if not waiting:
            return
        offset = frame.index - waiting[0]
        if offset >= 0 and offset % stride == 0:
            held.append((frame, _rgb(frame, color)))
        if len(held) == size:
            yield Cut(
                data=np.stack([data for _, data in held]),
                indices=tuple(kept.index for kept, _ in held),
                pts=tuple(kept.pts for kept, _ in held),
                time_base=info.video.time_base,
            )
            held.clear()
            waiting.pop(0)
    if waiting:
        raise DecodeError(f"{info.path}: frame {waiting[0]} is gone", hint="It has changed while it was read.")


def _starts(shots: Sequence[int], span: int) -> list[int]:
    """Give where a window of `span` + 1 frames lies within one shot; shot -1 is damage."""
    return [
        start
        for start in range(len(shots) - span)
        if shots[start] != -1 and all(shots[start + k] == shots[start] for k in range(span + 1))
    ]


def _spread(starts: Sequence[int], count: int, length: int) -> tuple[int, ...]:
    """Choose `count` starts evenly among as many as fit without overlap."""
    packed: list[int] = []
    for start in starts:
        if not packed or start >= packed[-1] + length:
            packed.append(start)
    if count == 1:
        return (starts[len(starts) // 2],)
    if len(packed) <= count:
        return tuple(packed)
    return tuple(packed[int((part + 0.5) * len(packed) / count)] for part in range(count))


def _rgb(frame: Frame, color: ColorSpec) -> Window:
    """Give a frame as 8-bit RGB (H, W, 3), rounded to nearest; alpha is left out."""
    data = to_picture(frame, color, "rgb").data.permute(1, 2, 0).numpy()
    return np.clip(np.floor(data * 255 + np.float32(0.5)), 0, 255).astype(np.uint8)
