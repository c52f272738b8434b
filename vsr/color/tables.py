"""What colour tags mean: matrices, ranges, siting, and the rule for files that are silent about them.

Names are FFmpeg's; numbers are from ITU-T H.273 and the recommendations it cites. Plain numbers only: `codes`,
`chroma` and `convert` apply them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from vsr.core.errors import UnsupportedInput
from vsr.core.frame import UNSPECIFIED, ColorSpec, PixelFormat

# ITU-T H.273 (07/2021) table 4: Kr and Kb of Y' = Kr R' + (1 - Kr - Kb) G' + Kb B'.
LUMA_WEIGHTS = {
    "bt709": (0.2126, 0.0722),
    "fcc": (0.30, 0.11),
    "bt470bg": (0.299, 0.114),
    "smpte170m": (0.299, 0.114),
    "smpte240m": (0.212, 0.087),
    "bt2020nc": (0.2627, 0.0593),
}
IDENTITY = "gbr"  # FFmpeg's name of H.273 matrix 0: the planes are G, B and R
_NAMELESS = (UNSPECIFIED, "unknown", "reserved", "")

# Where the first chroma sample lies, as a share of the way across its block of luma samples: (horizontal, vertical).
# ITU-T H.273 clause 8.7, chroma sample location types 0 to 5.
SITINGS = {
    "left": (0.0, 0.5),
    "center": (0.5, 0.5),
    "topleft": (0.0, 0.0),
    "top": (0.5, 0.0),
    "bottomleft": (0.0, 1.0),
    "bottom": (0.5, 1.0),
}


def resolve(color: ColorSpec, fmt: PixelFormat, width: int, height: int) -> ColorSpec:
    """Give `color` with matrix, range and siting decided; primaries and transfer stay as the file has them.

    What the file says is believed. Where it is silent:
    matrix: `gbr` for RGB planes; else `bt2020nc` if the primaries are bt2020; else by size, as broadcasters and
    players do: `bt709` from 1280 columns or above 576 lines, `bt470bg` at 576 lines, `smpte170m` below (the last two
    are the same numbers). range: `tv` for YUV, `pc` for RGB and grey, as FFmpeg takes them. siting: `left` (what
    H.264 and H.265 infer), but `topleft` for 4:2:0 with bt2020 primaries or matrix (ITU-R BT.2020-2 table 4).
    YUV planes tagged `gbr` are believed to be YUV, RGB planes tagged with a YUV matrix to be RGB.
    """
    matrix = color.matrix
    if fmt.family == "rgb":
        matrix = IDENTITY
    elif matrix in (*_NAMELESS, IDENTITY, "rgb"):
        matrix = _matrix_by_size(color, width, height)
    levels = color.range
    if levels not in ("tv", "pc"):
        levels = "tv" if fmt.family == "yuv" else "pc"
    siting = color.siting
    if siting not in SITINGS:
        is_420 = fmt.chroma_shift_x == 1 and fmt.chroma_shift_y == 1
        siting = "topleft" if is_420 and _is_2020(matrix, color.primaries) else "left"
    return replace(color, matrix=matrix, range=levels, siting=siting)


def _matrix_by_size(color: ColorSpec, width: int, height: int) -> str:
    if color.primaries == "bt2020":
        return "bt2020nc"
    if width >= 1280 or height > 576:
        return "bt709"
    return "bt470bg" if height == 576 else "smpte170m"


def _is_2020(matrix: str, primaries: str) -> bool:
    return matrix in ("bt2020nc", "bt2020c") or primaries == "bt2020"


def output_color(source: ColorSpec, target: PixelFormat) -> ColorSpec:
    """Give what frames of format `target` made from `source` (resolved) mean, and are tagged with.

    The matrix is the source's, also when a small source becomes large: a player that goes by size would guess
    wrong, so it is written out. RGB made YUV takes `ycc_matrix` and range `tv`. RGB and grey targets are full range,
    which is how every reader of images takes them. Primaries and transfer stay: nothing here changes them. The
    siting is the source's where there is one to keep.
    """
    if target.family == "rgb":
        return replace(source, matrix=IDENTITY, range="pc")
    matrix = ycc_matrix(source)
    if target.family == "gray":
        return replace(source, matrix=matrix, range="pc")
    if source.matrix != IDENTITY:
        return replace(source, matrix=matrix)
    is_420 = target.chroma_shift_x == 1 and target.chroma_shift_y == 1
    siting = "topleft" if is_420 and _is_2020(matrix, source.primaries) else "left"
    return replace(source, matrix=matrix, range="tv", siting=siting)


def ycc_matrix(color: ColorSpec) -> str:
    """Give the matrix of the luma and chroma of `color` (resolved): its own, or one for its primaries if it is RGB."""
    if color.matrix != IDENTITY:
        return color.matrix
    return "bt2020nc" if color.primaries == "bt2020" else "bt709"


def luma_weights(matrix: str) -> tuple[float, float]:
    """Give (Kr, Kb) of Y' = Kr R' + (1 - Kr - Kb) G' + Kb B'.

    Raises:
        UnsupportedInput: the matrix is unknown, or of another form (`ycgco`, `bt2020c`, `ictcp`, ...).
    """
    if matrix not in LUMA_WEIGHTS:
        raise UnsupportedInput(
            f"the colour matrix {matrix!r} cannot be converted to RGB",
            hint=f"A model that restores luma alone keeps it as it is; RGB models take {', '.join(LUMA_WEIGHTS)}.",
        )
    return LUMA_WEIGHTS[matrix]


@dataclass(frozen=True, slots=True, kw_only=True)
class Levels:
    """How a plane's codes map to numbers: code = offset + span * number."""

    offset: float
    span: float


def luma_levels(range_: str, depth: int) -> Levels:
    """Give the levels of luma, grey or R, G, B: black is 0 and white 1.

    ITU-T H.273 equations 26 to 31 (ITU-R BT.709-6 sec. 5, BT.2020-2 table 5): limited 16 to 235 at 8 bits, the same
    times 2**(depth - 8) above; full 0 to 2**depth - 1.
    """
    if range_ == "tv":
        return Levels(offset=float(16 << (depth - 8)), span=float(219 << (depth - 8)))
    return Levels(offset=0.0, span=float((1 << depth) - 1))


def chroma_levels(range_: str, depth: int) -> Levels:
    """Give the levels of Cb and Cr: neutral is 0, the legal range [-1/2, 1/2].

    ITU-T H.273 equations 32 to 37: limited 16 to 240 around 128 at 8 bits; full 2**depth - 1 wide around
    2**(depth - 1).
    """
    centre = float(1 << (depth - 1))
    return Levels(offset=centre, span=float(224 << (depth - 8)) if range_ == "tv" else float((1 << depth) - 1))
