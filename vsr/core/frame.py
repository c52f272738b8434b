"""What travels: a Frame is what a codec speaks, a Picture what a network speaks.

Two names keep colour errors out: only `vsr.color` turns one into the other.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from vsr.core.errors import UnsupportedInput

if TYPE_CHECKING:
    from torch import Tensor

Family = Literal["yuv", "gray", "rgb"]
Domain = Literal["rgb", "y"]
UNSPECIFIED = "unspecified"

_CHROMA = {"444": (0, 0), "422": (1, 0), "420": (1, 1), "440": (0, 1), "411": (2, 0), "410": (2, 2)}
_NAME = re.compile(r"(?:(?P<yuv>yuva?)(?P<chroma>\d{3})p|(?P<rgb>gbra?p)|(?P<gray>gray))(?P<depth>\d{1,2})?(?:le)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class PixelFormat:
    """A planar integer pixel format, by FFmpeg's name: how many planes, how large, how deep.

    Planes lie in the order Y Cb Cr (A), G B R (A) or Y; samples are uint8 up to 8 bits, else native uint16 with
    the value in the low bits.
    """

    name: str
    family: Family
    depth: int
    chroma_shift_x: int = 0
    chroma_shift_y: int = 0
    alpha: bool = False

    @property
    def plane_count(self) -> int:
        return (1 if self.family == "gray" else 3) + self.alpha

    @property
    def dtype(self) -> type[np.uint8] | type[np.uint16]:
        return np.uint8 if self.depth <= 8 else np.uint16

    @property
    def peak(self) -> int:
        """The largest code: 2**depth - 1."""
        return (1 << self.depth) - 1

    def plane_shape(self, plane: int, width: int, height: int) -> tuple[int, int]:
        """Give (rows, columns) of a plane for a picture of this size; odd chroma sizes round up."""
        if self.family == "yuv" and plane in (1, 2):
            return -(-height >> self.chroma_shift_y), -(-width >> self.chroma_shift_x)
        return height, width


@lru_cache(maxsize=64)
def pixel_format(name: str) -> PixelFormat:
    """Read a planar format's facts from its FFmpeg name (`yuv420p10le`, `gbrp`, `gray16le`).

    Raises:
        UnsupportedInput: the name is no planar integer format that frames travel in.
    """
    match = _NAME.fullmatch(name)
    depth = int(match["depth"] or 8) if match else 0
    if match is None or not 8 <= depth <= 16 or (match["yuv"] and match["chroma"] not in _CHROMA):
        raise UnsupportedInput(f"pixel format {name!r} is not one that frames travel in")
    if match["gray"]:
        return PixelFormat(name=name, family="gray", depth=depth)
    if match["rgb"]:
        return PixelFormat(name=name, family="rgb", depth=depth, alpha=match["rgb"] == "gbrap")
    x, y = _CHROMA[match["chroma"]]
    return PixelFormat(
        name=name, family="yuv", depth=depth, chroma_shift_x=x, chroma_shift_y=y, alpha=match["yuv"] == "yuva"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ColorSpec:
    """How codes mean colours, in FFmpeg's words (`bt709`, `tv`, `left`); `unspecified` where the file is silent.

    matrix: YCbCr coefficients (ITU-T H.273 table 4). range: `tv` (limited) or `pc` (full). primaries, transfer:
    H.273 tables 2 and 3. siting: where chroma samples lie (`left`, `center`, `topleft`, ...).
    """

    matrix: str = UNSPECIFIED
    range: str = UNSPECIFIED
    primaries: str = UNSPECIFIED
    transfer: str = UNSPECIFIED
    siting: str = UNSPECIFIED


@dataclass(frozen=True, slots=True, kw_only=True)
class SideData:
    """What a frame carries beside its samples and the result can carry on; empty where there is nothing.

    captions: CEA-608/708 triplets (`cc_data` of ATSC A/53 part 4, table 6.8). icc, exif: of an image file, as they
    stand in it; EXIF from its TIFF header on, orientation 1. density: of an image file, for printers: pixels a metre
    across and down; () where it has none.
    """

    captions: bytes = b""
    icc: bytes = b""
    exif: bytes = b""
    density: tuple[int, ...] = ()


NO_SIDE_DATA = SideData()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Frame:
    """One picture as the codec speaks it: integer planes and their time.

    `planes` may be views with strides into the decoder's memory: read, do not write. `pts` and `duration` count
    the source stream's `time_base`; `index` counts decoded frames of the source from 0 in order of presentation.
    """

    index: int
    pts: int
    duration: int
    planes: tuple[NDArray[np.uint8] | NDArray[np.uint16], ...]
    format: PixelFormat
    color: ColorSpec = field(default_factory=ColorSpec)
    is_keyframe: bool = False
    is_corrupt: bool = False
    opens_shot: bool = False
    side_data: SideData = NO_SIDE_DATA

    def __post_init__(self) -> None:
        if len(self.planes) != self.format.plane_count:
            raise ValueError(f"{self.format.name} has {self.format.plane_count} planes, got {len(self.planes)}")
        for number, plane in enumerate(self.planes):
            expected = self.format.plane_shape(number, self.width, self.height)
            if plane.shape != expected or plane.dtype != self.format.dtype:
                raise ValueError(f"plane {number}: got {plane.shape} {plane.dtype}, expected {expected}")

    @property
    def width(self) -> int:
        return int(self.planes[0].shape[1])

    @property
    def height(self) -> int:
        return int(self.planes[0].shape[0])

    def __repr__(self) -> str:
        return f"Frame({self.index}, pts={self.pts}, {self.width}x{self.height} {self.format.name})"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Picture:
    """One picture as a network speaks it.

    data: (C, H, W) float32 on the job's device, black 0 and white 1; C is 3 in the domain `rgb`, 1 in `y`. Codes
    outside the legal range (foot- and headroom) lie outside [0, 1] and are kept.
    chroma: in the domain `y` of a colour source, (2, h, w) float32 Cb and Cr centred on 0, legal range [-.5, .5].
    alpha: (1, H, W) in [0, 1] where the source has it.
    """

    index: int
    pts: int
    duration: int
    data: Tensor
    domain: Domain
    chroma: Tensor | None = None
    alpha: Tensor | None = None
    opens_shot: bool = False

    def __repr__(self) -> str:
        return f"Picture({self.index}, pts={self.pts}, {self.domain} {tuple(self.data.shape)})"
