"""What of the result is shown, how large and which way round: crop, sample aspect ratio and display matrix.

`mux` joins, and asks here for what the muxers cannot be told, or what must follow the new size.
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

from av.container import InputContainer

from vsr.core.media import OutputSpec, VideoInfo
from vsr.core.turn import UPRIGHT, turn_of
from vsr.io.metadata.description import CROPPING, describe_video
from vsr.io.metadata.orientation import resized
from vsr.io.muxing.layout import Layout
from vsr.io.muxing.matroska import Changes, crop_elements, hdr_elements, set_display
from vsr.io.muxing.muxers import rule_of


def keeps_shape(container: str, codec: str) -> bool:
    """Say whether a result keeps a sample aspect ratio other than 1.

    MP4, MOV, Matroska and WebM hold it in their headers; elsewhere the stream itself must, as H.264 and H.265 do.
    """
    return rule_of(container).muxer in ("mp4", "mov", "matroska", "webm") or codec in ("h264", "hevc")


def write_shape(target: Path, plan: Layout, *, nth: int) -> None:
    """Write the sample aspect ratio of the `nth` video stream into a finished file whose muxer did not.

    Raises:
        MuxError, DiskFull, OutputError: the file cannot be changed.
    """
    spec, muxer = plan.spec, plan.rule.muxer
    if spec.sar != 1 and muxer in ("matroska", "webm"):
        left, right, top, bottom = plan.crop or (0, 0, 0, 0)
        width, height = spec.width - left - right, spec.height - top - bottom
        set_display(target, nth=nth, width=width, height=height, sar=spec.sar, is_webm=muxer == "webm")


def header_changes(plan: Layout) -> Changes:
    """Give what the header of the video stream is to say beside what the stream says itself; {} for nothing."""
    hdr = hdr_elements(plan.spec.hdr) if plan.spec.hdr is not None else {}
    return {**hdr, **crop_elements(plan.crop)}


def resized_crop(original: InputContainer | None, video: VideoInfo, spec: OutputSpec) -> tuple[int, ...]:
    """Give what is not to be shown of the result, at left, right, top and bottom; () where the source hides nothing.

    Players cut it off before they turn the picture: where the result is turned already, so is this.
    """
    is_cropped = any(word.startswith(CROPPING) for word in video.side_data)
    crop = describe_video(original, video.index).crop if original is not None and is_cropped else ()
    if not crop:
        return ()
    left, right, top, bottom = crop
    wide, high = video.width, video.height
    turn = turn_of(video.display_matrix) if not spec.display_matrix and not spec.rotation else UPRIGHT
    if turn is not None and turn.swaps:
        left, right, top, bottom, wide, high = top, bottom, left, right, high, wide
    if turn is not None and turn.flips_x:
        left, right = right, left
    if turn is not None and turn.flips_y:
        top, bottom = bottom, top
    across, down = Fraction(spec.width, wide), Fraction(spec.height, high)
    return round(left * across), round(right * across), round(top * down), round(bottom * down)


def resized_matrix(video: VideoInfo, spec: OutputSpec) -> list[int]:
    """Give the spec's display matrix, which is that of the source `video`, for the result's size."""
    before = video.width * video.sar, Fraction(video.height)
    return resized(spec.display_matrix, before, (spec.width * spec.sar, Fraction(spec.height)))
