"""Colour tags: the numbers of ITU-T H.273, as streams carry them, and FFmpeg's names for them."""

from __future__ import annotations

from collections.abc import Mapping

from vsr.core.frame import UNSPECIFIED, ColorSpec

# ITU-T H.273 (07/2021) table 4, names as in FFmpeg's libavutil/pixdesc.c.
MATRICES: Mapping[int, str] = {
    0: "gbr",
    1: "bt709",
    2: UNSPECIFIED,
    4: "fcc",
    5: "bt470bg",
    6: "smpte170m",
    7: "smpte240m",
    8: "ycgco",
    9: "bt2020nc",
    10: "bt2020c",
    11: "smpte2085",
    12: "chroma-derived-nc",
    13: "chroma-derived-c",
    14: "ictcp",
    15: "ipt-c2",
    16: "ycgco-re",
    17: "ycgco-ro",
}
# Table 2.
PRIMARIES: Mapping[int, str] = {
    1: "bt709",
    2: UNSPECIFIED,
    4: "bt470m",
    5: "bt470bg",
    6: "smpte170m",
    7: "smpte240m",
    8: "film",
    9: "bt2020",
    10: "smpte428",
    11: "smpte431",
    12: "smpte432",
    22: "ebu3213",
}
# Table 3.
TRANSFERS: Mapping[int, str] = {
    1: "bt709",
    2: UNSPECIFIED,
    4: "bt470m",
    5: "bt470bg",
    6: "smpte170m",
    7: "smpte240m",
    8: "linear",
    9: "log100",
    10: "log316",
    11: "iec61966-2-4",
    12: "bt1361e",
    13: "iec61966-2-1",
    14: "bt2020-10",
    15: "bt2020-12",
    16: "smpte2084",
    17: "smpte428",
    18: "arib-std-b67",
}
# FFmpeg's AVColorRange: the bit of H.273 with a third value for silence.
RANGES: Mapping[int, str] = {0: UNSPECIFIED, 1: "tv", 2: "pc"}
SITINGS = ("left", "center", "topleft", "top", "bottomleft", "bottom")


def color_spec(*, matrix: int, range: int, primaries: int, transfer: int, siting: str = UNSPECIFIED) -> ColorSpec:
    """Name the numbers of a stream; those that no table knows are `unspecified`."""
    return ColorSpec(
        matrix=MATRICES.get(matrix, UNSPECIFIED),
        range=RANGES.get(range, UNSPECIFIED),
        primaries=PRIMARIES.get(primaries, UNSPECIFIED),
        transfer=TRANSFERS.get(transfer, UNSPECIFIED),
        siting=siting,
    )


def number(table: Mapping[int, str], name: str) -> int:
    """Give the number of a name; that of `unspecified` where the table does not know it."""
    numbers = {known: code for code, known in table.items()}
    return numbers.get(name, numbers[UNSPECIFIED])
