"""Pixel formats: which planar one the frames of a stream travel in, and how packed ones get there without loss."""

from __future__ import annotations

from functools import lru_cache

import av
from av.video.reformatter import Interpolation, VideoReformatter

from vsr.core.errors import UnsupportedInput
from vsr.core.frame import pixel_format

_CHROMA = {(0, 0): "444", (1, 0): "422", (1, 1): "420", (0, 1): "440", (2, 0): "411", (2, 2): "410"}
_DEPTHS = (8, 9, 10, 12, 14, 16)
# Formats whose components look like integers of pictures and are not (half floats, raw sensors, XYZ), or that swscale
# does not unpack exactly (msb, 444 in 16 bits).
_STRANGE = ("f16", "f32", "bayer_", "xyz", "vaapi", "msb", "rgb444", "bgr444")
# swscale turns these into planar RGB through YUV, which loses codes; to packed RGB it has exact converters.
_THROUGH_RGB24 = ("pal8", "rgb565", "rgb555", "bgr565", "bgr555", "rgb8", "bgr8", "rgb4_byte", "bgr4_byte")


@lru_cache(maxsize=256)
def travel_format(coded: str) -> tuple[str, str]:
    """Give the planar format that frames of `coded` travel in, and what is lost on the way ("" if nothing).

    Raises:
        UnsupportedInput: no planar integer format holds it.
    """
    facts = _facts(coded)
    depth = max((part.bits for part in facts.components), default=0)
    has_alpha = any(part.is_alpha for part in facts.components)
    if not facts.components or depth > 16 or any(name in coded for name in _STRANGE):
        raise UnsupportedInput(f"pixel format {coded!r} is of a kind that vsr does not process")
    if facts.has_palette or facts.is_rgb:
        return _first_known("gbrap" if has_alpha else "gbrp", depth, coded), ""
    if len(facts.components) - has_alpha == 1:
        return _first_known("gray", depth, coded), "its alpha channel is left out" if has_alpha else ""
    shifts = (_shift(facts.chroma_width(64)), _shift(facts.chroma_height(64)))
    chroma = _CHROMA.get(shifts)
    if chroma is None:
        raise UnsupportedInput(f"pixel format {coded!r} has a chroma grid that vsr does not process")
    return _first_known(f"yuva{chroma}p" if has_alpha else f"yuv{chroma}p", depth, coded), ""


class Unpacker:
    """Brings decoded frames into one planar format; keeps swscale's context from frame to frame. One thread."""

    def __init__(self, target: str) -> None:
        self._target = target
        self._to_rgb24 = VideoReformatter()
        self._to_target = VideoReformatter()

    def __call__(self, frame: av.VideoFrame) -> av.VideoFrame:
        """Give the frame itself where its planes already lie as wanted, else a new one."""
        name = frame.format.name
        if same_layout(name, self._target):
            return frame
        if name.removesuffix("le").removesuffix("be") in _THROUGH_RGB24:
            frame = _reformat(self._to_rgb24, frame, "rgb24")
        return _reformat(self._to_target, frame, self._target)


def same_layout(name: str, target: str) -> bool:
    """Whether planes of format `name` can be read as `target` (`yuvj420p` as `yuv420p`)."""
    return name.replace("yuvj", "yuv") == target


def _reformat(reformatter: VideoReformatter, frame: av.VideoFrame, name: str) -> av.VideoFrame:
    # Equal ranges on both sides: with one left open swscale would stretch full-range codes.
    return reformatter.reformat(
        frame,
        format=name,
        interpolation=Interpolation.POINT | Interpolation.ACCURATE_RND | Interpolation.BITEXACT,
        src_color_range=2,
        dst_color_range=2,
    )


def _facts(coded: str) -> av.VideoFormat:
    try:
        return av.VideoFormat(coded, 64, 64)
    except ValueError as error:
        raise UnsupportedInput(f"pixel format {coded!r} is not known to FFmpeg") from error


def _shift(subsampled: int) -> int:
    return (64 // subsampled).bit_length() - 1


def _first_known(stem: str, depth: int, coded: str) -> str:
    """Give the shallowest format of the family that holds `depth` bits and that FFmpeg has."""
    for bits in _DEPTHS:
        name = stem if bits == 8 else f"{stem}{bits}le"
        if bits >= depth and _is_known(name):
            return pixel_format(name).name
    raise UnsupportedInput(f"pixel format {coded!r} has no planar counterpart")


def _is_known(name: str) -> bool:
    try:
        av.VideoFormat(name, 64, 64)
    except ValueError:
        return False
    return True
