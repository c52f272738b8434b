"""One frame to one image file's bytes: colours, cut, size, format. And its luma, for `quality`."""

from __future__ import annotations

import dataclasses
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vsr.color.convert import to_frame, to_picture
from vsr.color.tables import luma_weights, output_color, resolve
from vsr.core.errors import UnsupportedInput
from vsr.core.frame import ColorSpec, Frame, Picture, pixel_format
from vsr.core.media import MediaInfo
from vsr.core.turn import UPRIGHT, turn_of
from vsr.data.extraction import Box, Extraction
from vsr.filters import BICUBIC, resize
from vsr.io.decoding.interlacing import detect
from vsr.io.images.animations import CONTAINER as ANIMATION
from vsr.io.images.files import encode_image

_SAR_SEEN = Fraction(1, 100)  # encoders round sizes, and write ratios such as 1281/1280 for it


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class StillMaker:
    """How the frames of one source become images. Used by several threads at once.

    color: the source's, resolved. box: what is kept of each frame.
    """

    wish: Extraction
    color: ColorSpec
    box: Box

    def luma(self, frame: Frame) -> NDArray[np.float32]:
        """Give the luma (H, W) float32 of what is kept of a frame, black 0 and white 1."""
        return np.asarray(self._cut(to_picture(frame, self.color, "y")).data[0].numpy(), np.float32)

    def encode(self, frame: Frame, target: Path) -> bytes:
        """Give the bytes of a frame's image file `target`: RGB, rounded to nearest; JPEG without chroma subsampling.

        A new size is made with the bicubic kernel of Keys 1981 (a = -1/2), widened where the picture shrinks.

        Raises:
            EncodeError: the format cannot hold it (WebP: more than 16383 pixels a side).
        """
        picture = self._cut(to_picture(frame, self.color, "rgb"))
        if self.wish.size is not None:
            width, height = self.wish.size
            picture = dataclasses.replace(picture, data=resize(picture.data, height, width, BICUBIC))
        format = pixel_format("gbrp" if self.wish.depth == 8 else "gbrp16le")
        still = to_frame(
            dataclasses.replace(picture, alpha=None),
            format,
            output_color(self.color, format),
            source_format=frame.format,
            source_color=self.color,
        )
        return encode_image(still.planes, still.format, target, quality=self.wish.quality, full_chroma=True)

    def _cut(self, picture: Picture) -> Picture:
        box = self.box
        cut = picture.data[:, box.y : box.y + box.height, box.x : box.x + box.width]
        return dataclasses.replace(picture, data=cut)


def still_maker(info: MediaInfo, wish: Extraction) -> StillMaker:
    """Give the maker for a source.

    Raises:
        UnsupportedInput: the crop does not lie in its frames, or its colours cannot be turned into RGB.
    """
    video = info.video
    format = pixel_format(video.pixel_format)
    color = resolve(video.color, format, video.width, video.height)
    if format.family == "yuv":
        luma_weights(color.matrix)
    box = wish.crop or Box(width=video.width, height=video.height)
    if wish.square:
        side = min(video.width, video.height)
        box = Box(width=side, height=side, x=(video.width - side) // 2, y=(video.height - side) // 2)
    if box.x + box.width > video.width or box.y + box.height > video.height:
        raise UnsupportedInput(
            f"{info.path} is {video.width}x{video.height}: the box {box} does not lie in it",
            hint="Name a box inside of every source, or use --square.",
        )
    return StillMaker(wish=wish, color=color, box=box)


def weaving(info: MediaInfo) -> list[str]:
    """Say so where a frame holds two moments, which a picture of it shows as combs; a few frames are decoded for it.

    Raises:
        InputMissing, NotMedia: the file has gone or become another.
    """
    if info.kind != "video" or info.container == ANIMATION:
        return []
    found = detect(info)
    if found.kind == "progressive" or (found.kind == "telecined" and found.evidence == "flags"):
        return []
    return [
        f"{found.kind} ({found.detail}): a picture shows both fields of a frame; to merge them first: vsr upscale "
        f"{info.path.name} -o merged.mkv -m nearest -s 1 --codec ffv1"
    ]


def losses(info: MediaInfo, maker: StillMaker) -> list[str]:
    """Say what of a source images cannot hold, or are not asked to."""
    video, wish = info.video, maker.wish
    said = []
    format = pixel_format(video.pixel_format)
    if format.depth > wish.depth:
        keep = "; --depth 16 keeps them" if wish.format == "png" else ""
        said.append(f"{format.depth} bits a sample are rounded to {wish.depth}{keep}")
    if format.alpha:
        said.append("its alpha channel is left out")
    if video.rotation or turn_of(video.display_matrix) != UPRIGHT:
        moved = f"{video.rotation} degrees" if video.rotation else "mirrored"
        said.append(f"images hold no rotation: they are written unturned ({moved})")
    profiles = (word for word in video.side_data if word.startswith("ICC profile") and "srgb" not in word.lower())
    said += [f"{word} is left out: colours may look different" for word in profiles]
    if abs(video.sar - 1) > _SAR_SEEN:
        said.append(f"images hold no sample aspect ratio ({video.sar}): they are written with square pixels")
    if wish.size is not None:
        (width, height), box = wish.size, maker.box
        # More than a pixel off the nearest size of the same shape.
        if abs(box.width * height - box.height * width) > max(box.width, box.height):
            said.append(f"{box.width}x{box.height} becomes {width}x{height}: the shape of things changes")
    return said
