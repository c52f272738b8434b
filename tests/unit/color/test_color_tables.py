"""The rules for silent files, and the numbers of the standards."""

from __future__ import annotations

import pytest

from vsr.color.tables import LUMA_WEIGHTS, chroma_levels, luma_levels, luma_weights, output_color, resolve, ycc_matrix
from vsr.core.errors import UnsupportedInput
from vsr.core.frame import ColorSpec, pixel_format

SILENT = ColorSpec()


@pytest.mark.parametrize(
    ("width", "height", "matrix"),
    [
        (1920, 1080, "bt709"),
        (1280, 720, "bt709"),
        (1280, 534, "bt709"),
        (960, 577, "bt709"),
        (720, 576, "bt470bg"),
        (1024, 576, "bt470bg"),
        (720, 480, "smpte170m"),
        (320, 180, "smpte170m"),
    ],
)
def test_a_silent_files_matrix_goes_by_its_size(width: int, height: int, matrix: str) -> None:
    assert resolve(SILENT, pixel_format("yuv420p"), width, height).matrix == matrix


def test_bt2020_primaries_decide_matrix_and_siting() -> None:
    found = resolve(ColorSpec(primaries="bt2020", transfer="smpte2084"), pixel_format("yuv420p10le"), 720, 480)
    expected = ColorSpec(matrix="bt2020nc", range="tv", primaries="bt2020", transfer="smpte2084", siting="topleft")
    assert found == expected
    assert resolve(ColorSpec(primaries="bt2020"), pixel_format("yuv422p10le"), 720, 480).siting == "left"


@pytest.mark.parametrize(
    ("name", "matrix", "levels"),
    [("yuv420p", "bt709", "tv"), ("gbrp", "gbr", "pc"), ("gray", "bt709", "pc"), ("yuv444p12le", "bt709", "tv")],
)
def test_a_silent_files_range_goes_by_its_family(name: str, matrix: str, levels: str) -> None:
    found = resolve(SILENT, pixel_format(name), 1920, 1080)
    assert (found.matrix, found.range, found.siting) == (matrix, levels, "left")
    assert (found.primaries, found.transfer) == ("unspecified", "unspecified")


def test_what_a_file_says_is_believed() -> None:
    said = ColorSpec(matrix="fcc", range="pc", primaries="bt470m", transfer="gamma22", siting="center")
    assert resolve(said, pixel_format("yuv420p"), 1920, 1080) == said


def test_an_identity_matrix_on_yuv_planes_is_not_believed() -> None:
    assert resolve(ColorSpec(matrix="gbr"), pixel_format("yuv420p"), 1920, 1080).matrix == "bt709"
    assert resolve(ColorSpec(matrix="bt709"), pixel_format("gbrp"), 1920, 1080).matrix == "gbr"


def test_a_small_source_made_large_keeps_its_matrix_and_says_so() -> None:
    small = resolve(SILENT, pixel_format("yuv420p"), 640, 480)
    assert output_color(small, pixel_format("yuv420p")) == small
    assert output_color(small, pixel_format("yuv420p")).matrix == "smpte170m"


def test_outputs_of_another_family_are_tagged_for_it() -> None:
    hdr = ColorSpec(matrix="bt2020nc", range="tv", primaries="bt2020", transfer="smpte2084", siting="topleft")
    assert output_color(hdr, pixel_format("gbrp16le")) == ColorSpec(
        matrix="gbr", range="pc", primaries="bt2020", transfer="smpte2084", siting="topleft"
    )
    assert output_color(hdr, pixel_format("gray")).range == "pc"
    rgb = ColorSpec(matrix="gbr", range="pc", primaries="bt709", transfer="iec61966-2-1", siting="left")
    assert output_color(rgb, pixel_format("yuv420p")) == ColorSpec(
        matrix="bt709", range="tv", primaries="bt709", transfer="iec61966-2-1", siting="left"
    )
    wide = ColorSpec(matrix="gbr", range="pc", primaries="bt2020", siting="left")
    assert output_color(wide, pixel_format("yuv420p10le")).matrix == "bt2020nc"
    assert output_color(wide, pixel_format("yuv420p10le")).siting == "topleft"


@pytest.mark.parametrize("name", ["yuv420p", "yuv422p10le", "gray", "gbrp"])
def test_an_output_color_is_a_fixed_point(name: str) -> None:
    fmt = pixel_format(name)
    once = output_color(resolve(SILENT, fmt, 320, 180), fmt)
    assert output_color(once, fmt) == once and resolve(once, fmt, 4000, 4000) == once


@pytest.mark.parametrize(
    ("levels", "depth", "luma", "chroma"),
    [  # (black, white) and (neutral, lowest, highest): ITU-R BT.709-6 sec. 5, BT.2020-2 table 5, H.273 for full
        ("tv", 8, (16, 235), (128, 16, 240)),
        ("tv", 10, (64, 940), (512, 64, 960)),
        ("tv", 12, (256, 3760), (2048, 256, 3840)),
        ("tv", 16, (4096, 60160), (32768, 4096, 61440)),
        ("pc", 8, (0, 255), (128, 0.5, 255.5)),
        ("pc", 10, (0, 1023), (512, 0.5, 1023.5)),
    ],
)
def test_levels_are_those_of_the_recommendations(
    levels: str, depth: int, luma: tuple[float, float], chroma: tuple[float, float, float]
) -> None:
    y, c = luma_levels(levels, depth), chroma_levels(levels, depth)
    assert (y.offset, y.offset + y.span) == luma
    assert (c.offset, c.offset - c.span / 2, c.offset + c.span / 2) == chroma


def test_luma_weights_leave_room_for_green() -> None:
    assert luma_weights("bt709") == (0.2126, 0.0722)
    assert all(0 < 1 - kr - kb < 1 for kr, kb in LUMA_WEIGHTS.values())


@pytest.mark.parametrize("matrix", ["bt2020c", "ictcp", "ycgco", "gbr", "nonsense"])
def test_matrices_that_are_no_weighted_sum_are_refused_with_a_way_out(matrix: str) -> None:
    with pytest.raises(UnsupportedInput, match=matrix) as caught:
        luma_weights(matrix)
    assert caught.value.hint is not None and "luma" in caught.value.hint


def test_rgb_takes_the_matrix_of_its_primaries() -> None:
    assert ycc_matrix(ColorSpec(matrix="gbr", primaries="bt2020")) == "bt2020nc"
    assert ycc_matrix(ColorSpec(matrix="gbr")) == "bt709"
    assert ycc_matrix(ColorSpec(matrix="smpte170m")) == "smpte170m"
