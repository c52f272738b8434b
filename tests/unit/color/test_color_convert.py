"""Colour both ways against the standards' own numbers, float64 formulas, swscale and OpenCV."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import av
import cv2
import numpy as np
import pytest
import torch
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter
from numpy.typing import NDArray

from vsr.color.convert import decode_planes, encode_planes, to_frame, to_picture
from vsr.color.tables import LUMA_WEIGHTS, output_color
from vsr.core.errors import UnsupportedInput
from vsr.core.frame import ColorSpec, Domain, Frame, Picture, pixel_format

SD = ColorSpec(matrix="smpte170m", range="tv", siting="left")
HD = ColorSpec(matrix="bt709", range="tv", siting="left")
UHD = ColorSpec(matrix="bt2020nc", range="tv", siting="topleft")
JPEG = ColorSpec(matrix="bt470bg", range="pc", siting="center")
GREY = ColorSpec(matrix="bt709", range="pc", siting="left")
RGB = ColorSpec(matrix="gbr", range="pc", siting="left")
Array = NDArray[np.uint8] | NDArray[np.uint16]

# 75 % bars, 8 bits limited, Y Cb Cr, as printed for ITU-R BT.601 and BT.709 test signals.
BARS_RGB = [(1, 1, 1), (1, 1, 0), (0, 1, 1), (0, 1, 0), (1, 0, 1), (1, 0, 0), (0, 0, 1), (0, 0, 0)]
BARS = {
    "smpte170m": [
        (180, 128, 128),
        (162, 44, 142),
        (131, 156, 44),
        (112, 72, 58),
        (84, 184, 198),
        (65, 100, 212),
        (35, 212, 114),
        (16, 128, 128),
    ],
    "bt709": [
        (180, 128, 128),
        (168, 44, 136),
        (145, 147, 44),
        (133, 63, 52),
        (63, 193, 204),
        (51, 109, 212),
        (28, 212, 120),
        (16, 128, 128),
    ],
}


def frame(name: str, planes: Sequence[Array], color: ColorSpec = HD) -> Frame:
    return Frame(index=3, pts=70, duration=5, planes=tuple(planes), format=pixel_format(name), color=color)


def noisy(name: str, width: int, height: int, *, seed: int = 0) -> list[Array]:
    """Give planes of codes from the whole of the limited range."""
    fmt = pixel_format(name)
    rng = np.random.default_rng(seed)
    low, high = 16 << (fmt.depth - 8), 235 << (fmt.depth - 8)
    shapes = [fmt.plane_shape(number, width, height) for number in range(fmt.plane_count)]
    return [rng.integers(low, high, shape, endpoint=True).astype(fmt.dtype) for shape in shapes]


def photograph(name: str, width: int, height: int) -> list[Array]:
    """Give planes of slopes, edges and texture whose colours all lie inside RGB."""
    fmt = pixel_format(name)
    rng = np.random.default_rng(4)
    planes = []
    for number in range(3):
        rows, columns = fmt.plane_shape(number, width, height)
        y, x = np.mgrid[0:rows, 0:columns] / rows
        if number == 0:
            value = 126 + 45 * np.sin(7 * x + 3 * y) + 20 * np.sign(np.sin(30 * x * y)) + rng.normal(0, 6, x.shape)
        else:
            value = 128 + 18 * np.sin(9 * x - 4 * number * y) + rng.normal(0, 1, x.shape)
        planes.append(np.clip(np.rint(value * (1 << (fmt.depth - 8))), 0, fmt.peak).astype(fmt.dtype))
    return planes


def back(picture: Picture, made_from: Frame, color: ColorSpec, name: str | None = None) -> Frame:
    fmt = pixel_format(name) if name else made_from.format
    size = (made_from.height, made_from.width)
    return to_frame(
        picture,
        fmt,
        output_color(color, fmt),
        source_format=made_from.format,
        source_color=color,
        source_size=size,
    )


def formula(planes: Sequence[Array], depth: int, color: ColorSpec) -> NDArray[np.float64]:
    """Give R, G, B of 4:4:4 codes: ITU-T H.273 equations 26 to 40 turned round, in float64."""
    unit = 1 << (depth - 8)
    y, cb, cr = (plane.astype(np.float64) for plane in planes)
    if color.range == "tv":
        y, cb, cr = (y - 16 * unit) / (219 * unit), (cb - 128 * unit) / (224 * unit), (cr - 128 * unit) / (224 * unit)
    else:
        peak, centre = 2**depth - 1, 2 ** (depth - 1)
        y, cb, cr = y / peak, (cb - centre) / peak, (cr - centre) / peak
    kr, kb = LUMA_WEIGHTS[color.matrix]
    red, blue = y + 2 * (1 - kr) * cr, y + 2 * (1 - kb) * cb
    return np.stack([red, (y - kr * red - kb * blue) / (1 - kr - kb), blue])


def psnr(a: Array, b: Array, peak: int) -> float:
    power = float(np.mean((a.astype(float) - b.astype(float)) ** 2))
    return float("inf") if power == 0 else 10 * np.log10(peak**2 / power)


# --- what codes mean


@pytest.mark.parametrize("matrix", sorted(BARS))
def test_the_printed_bars_are_the_colours_they_name_and_back(matrix: str) -> None:
    color = replace(HD, matrix=matrix)
    codes = np.array(BARS[matrix], np.uint8).T.reshape(3, 1, 8)
    source = frame("yuv444p", list(codes), color)
    picture = to_picture(source, color, "rgb")
    expected = 0.75 * np.array(BARS_RGB).T.reshape(3, 1, 8)
    # The printed codes are rounded: half a code of chroma is up to 2 * (1 - Kb) / 448 of blue, beside luma's.
    np.testing.assert_allclose(picture.data.numpy(), expected, atol=0.0065)
    exact = replace(picture, data=torch.from_numpy(expected).float())
    assert [plane.tolist() for plane in back(exact, source, color).planes] == codes.tolist()


@pytest.mark.parametrize("levels", ["tv", "pc"])
@pytest.mark.parametrize("matrix", sorted(LUMA_WEIGHTS))
@pytest.mark.parametrize("name", ["yuv444p", "yuv444p10le", "yuv444p12le", "yuv444p16le"])
def test_rgb_is_the_formula_of_the_standard(name: str, matrix: str, levels: str) -> None:
    color = replace(HD, matrix=matrix, range=levels)
    planes = noisy(name, 17, 9)
    picture = to_picture(frame(name, planes), color, "rgb")
    assert picture.data.dtype == torch.float32 and picture.chroma is None
    # float32 of numbers up to about 2: 1e-6 is a few of its steps, a hundredth of a 16-bit code.
    np.testing.assert_allclose(picture.data.numpy(), formula(planes, pixel_format(name).depth, color), atol=1e-6)


@pytest.mark.parametrize("matrix", [Colorspace.ITU709, Colorspace.ITU601])
@pytest.mark.parametrize("levels", [ColorRange.MPEG, ColorRange.JPEG])
def test_rgb_agrees_with_swscale(matrix: Colorspace, levels: ColorRange) -> None:
    """4:2:0, photograph-like. swscale lays unspecified chroma in the centre and sharpens bicubic a little more."""
    color = ColorSpec(
        matrix="bt709" if matrix is Colorspace.ITU709 else "smpte170m",
        range="tv" if levels is ColorRange.MPEG else "pc",
        siting="center",
    )
    planes = photograph("yuv420p", 96, 64)
    stacked = np.concatenate([plane.reshape(-1) for plane in planes]).reshape(-1, 96)
    reformatted = VideoReformatter().reformat(
        av.VideoFrame.from_ndarray(stacked, format="yuv420p"),
        format="gbrpf32le",
        src_colorspace=matrix,
        dst_colorspace=matrix,
        src_color_range=levels,
        dst_color_range=ColorRange.JPEG,
        interpolation=Interpolation.BICUBIC | Interpolation.ACCURATE_RND,
        threads=1,
    )
    theirs = np.moveaxis(reformatted.to_ndarray(), -1, 0)
    ours = to_picture(frame("yuv420p", planes), color, "rgb").data.numpy()
    error = (ours - theirs)[:, 4:-4, 4:-4]
    assert abs(error.mean()) < 0.55 / 255  # swscale's floats lie 0.50 codes below the formula (measured at 4:4:4)
    assert np.abs(error).max() < 2 / 255
    other = replace(color, matrix="smpte170m" if color.matrix == "bt709" else "bt709")
    wrong = to_picture(frame("yuv420p", planes), other, "rgb").data.numpy()
    assert np.abs(wrong - theirs).max() > 4 / 255  # the comparison can tell matrices apart


def test_full_range_601_agrees_with_opencv() -> None:
    """OpenCV's YCrCb of floats is JPEG's, with constants of three digits: 0.713 and 0.564."""
    rgb = np.random.default_rng(2).random((12, 14, 3), dtype=np.float32)
    theirs = cv2.cvtColor(rgb, cv2.COLOR_RGB2YCrCb)
    source = frame("gbrp", [np.zeros((12, 14), np.uint8)] * 3, RGB)
    planes = encode_planes(
        torch.from_numpy(np.moveaxis(rgb, -1, 0).copy()),
        None,
        None,
        pixel_format("yuv444p12le"),
        replace(JPEG, siting="left"),
        source_format=source.format,
        source_color=RGB,
    )
    for ours, channel in zip(planes, (0, 2, 1), strict=True):
        offset = 0.0 if channel == 0 else 2048 - 0.5 * 4095
        np.testing.assert_allclose((ours.numpy() - offset) / 4095, theirs[..., channel], atol=1e-3)


def test_foot_and_headroom_lie_outside_the_unit_range_and_come_back() -> None:
    codes = np.arange(256, dtype=np.uint8).reshape(16, 16)
    neutral = np.full((16, 16), 128, np.uint8)
    source = frame("yuv444p", [codes, neutral, neutral])
    for domain in ("y", "rgb"):
        picture = to_picture(source, HD, domain)
        assert float(picture.data.min()) < -0.07 and float(picture.data.max()) > 1.09
        assert np.array_equal(back(picture, source, HD).planes[0], codes)


# --- round trips


@pytest.mark.parametrize("color", [SD, HD, UHD, JPEG], ids=["601", "709", "2020", "jpeg"])
@pytest.mark.parametrize("name", ["yuv444p", "yuv422p", "yuv420p", "yuv420p10le", "yuv444p12le", "yuv411p", "yuv440p"])
def test_luma_models_leave_an_unscaled_frame_bit_for_bit(name: str, color: ColorSpec) -> None:
    source = frame(name, noisy(name, 35, 21), color)
    picture = to_picture(source, color, "y")
    assert picture.data.shape == (1, 21, 35)
    result = back(picture, source, color)
    assert all(np.array_equal(a, b) for a, b in zip(result.planes, source.planes, strict=True))


@pytest.mark.parametrize("color", [SD, HD, UHD, JPEG], ids=["601", "709", "2020", "jpeg"])
@pytest.mark.parametrize("name", ["yuv444p", "yuv444p10le", "yuv444p12le"])
def test_rgb_and_back_is_exact_without_subsampling(name: str, color: ColorSpec) -> None:
    source = frame(name, noisy(name, 64, 48), color)
    result = back(to_picture(source, color, "rgb"), source, color)
    assert all(np.array_equal(a, b) for a, b in zip(result.planes, source.planes, strict=True))


@pytest.mark.parametrize("color", [SD, HD, UHD, JPEG], ids=["601", "709", "2020", "jpeg"])
@pytest.mark.parametrize("name", ["yuv420p", "yuv422p", "yuv420p10le", "yuv422p12le"])
def test_rgb_and_back_keeps_subsampled_luma_exactly_and_chroma_closely(name: str, color: ColorSpec) -> None:
    source = frame(name, photograph(name, 160, 90), color)
    result = back(to_picture(source, color, "rgb"), source, color)
    peak = source.format.peak
    assert np.array_equal(result.planes[0], source.planes[0])
    for number in (1, 2):
        # Up and down again is a mild low-pass; what it must not do is shift or tint.
        assert psnr(result.planes[number], source.planes[number], peak) > 46
        error = result.planes[number].astype(float) - source.planes[number].astype(float)
        assert abs(error.mean()) < 0.05 * (peak / 255)


@pytest.mark.parametrize("domain", ["rgb", "y"])
@pytest.mark.parametrize("name", ["yuv420p10le", "yuv444p10le"])
def test_all_877_codes_of_a_10_bit_ramp_survive(name: str, domain: Domain) -> None:
    ramp = np.resize(np.arange(64, 941), (30, 30)).astype(np.uint16)
    shape = pixel_format(name).plane_shape(1, 30, 30)
    source = frame(name, [ramp, *(np.full(shape, 512, np.uint16) for _ in range(2))])
    result = back(to_picture(source, HD, domain), source, HD)
    assert len(np.unique(result.planes[0])) == 877
    assert all(np.array_equal(a, b) for a, b in zip(result.planes, source.planes, strict=True))


def test_rgb_sources_come_back_exactly_from_either_domain() -> None:
    rng = np.random.default_rng(6)
    for name, peak in (("gbrp", 255), ("gbrp10le", 1023), ("gbrp16le", 65535)):
        fmt = pixel_format(name)
        source = frame(name, [rng.integers(0, peak, (9, 13), endpoint=True).astype(fmt.dtype) for _ in range(3)], RGB)
        rgb = to_picture(source, RGB, "rgb")
        np.testing.assert_allclose(rgb.data[0].numpy(), source.planes[2] / peak, atol=1e-6)  # planes are G, B, R
        luma = to_picture(source, RGB, "y")
        assert luma.chroma is not None and luma.chroma.shape == (2, 9, 13)
        for picture in (rgb, luma):
            result = back(picture, source, RGB)
            assert all(np.array_equal(a, b) for a, b in zip(result.planes, source.planes, strict=True))


@pytest.mark.parametrize("name", ["gray", "gray10le", "gray16le"])
@pytest.mark.parametrize("domain", ["rgb", "y"])
def test_grey_comes_back_exactly_and_grey(name: str, domain: Domain) -> None:
    fmt = pixel_format(name)
    codes = np.random.default_rng(7).integers(0, fmt.peak, (11, 8), endpoint=True).astype(fmt.dtype)
    source = frame(name, [codes], GREY)
    picture = to_picture(source, GREY, domain)
    assert picture.data.shape == ((3 if domain == "rgb" else 1), 11, 8) and picture.chroma is None
    assert np.array_equal(back(picture, source, GREY).planes[0], codes)
    colour = back(picture, source, GREY, "yuv420p")
    assert all((plane == 128).all() for plane in colour.planes[1:])
    assert all(np.array_equal(plane, codes) for plane in back(picture, source, GREY, f"gbrp{name[4:]}").planes)


def test_alpha_travels_beside_the_picture() -> None:
    fmt = pixel_format("yuva420p")
    planes = noisy("yuva420p", 10, 6)
    planes[3] = np.arange(60, dtype=np.uint8).reshape(6, 10) * 4
    source = frame("yuva420p", planes)
    for domain in ("rgb", "y"):
        picture = to_picture(source, HD, domain)
        assert picture.alpha is not None and picture.alpha.shape == (1, 6, 10)
        assert np.array_equal(back(picture, source, HD).planes[3], planes[3])
        opaque = back(replace(picture, alpha=None), source, HD)
        assert (opaque.planes[3] == fmt.peak).all()
        assert len(back(picture, source, HD, "yuv420p").planes) == 3


# --- from one format or size to another


@pytest.mark.parametrize("domain", ["rgb", "y"])
def test_depth_changes_by_rounding_not_cutting(domain: Domain) -> None:
    planes = noisy("yuv444p10le", 32, 20)
    source = frame("yuv444p10le", planes)
    result = back(to_picture(source, HD, domain), source, HD, "yuv444p")
    for plane, deep in zip(result.planes, planes, strict=True):
        error = plane - deep / 4
        assert np.abs(error).max() <= 0.5 + 1e-4  # the float error of a tie
        assert abs(error.mean()) < 0.15  # cutting would give -0.375


def test_8_bits_to_10_are_exactly_four_times_the_code() -> None:
    planes = noisy("yuv420p", 20, 14)
    source = frame("yuv420p", planes)
    result = back(to_picture(source, HD, "y"), source, HD, "yuv420p10le")
    assert all(np.array_equal(a, 4 * b.astype(np.uint16)) for a, b in zip(result.planes, planes, strict=True))


def test_luma_models_write_rgb_as_rgb_models_do() -> None:
    """A picture for a PNG: chroma comes to luma's grid and the matrix is applied, in either domain."""
    source = frame("yuv420p", photograph("yuv420p", 48, 32))
    from_luma = back(to_picture(source, HD, "y"), source, HD, "gbrp")
    from_rgb = back(to_picture(source, HD, "rgb"), source, HD, "gbrp")
    for a, b in zip(from_luma.planes, from_rgb.planes, strict=True):
        assert np.abs(a.astype(int) - b.astype(int)).max() <= 1  # a tie may fall either way
        assert (a == b).mean() > 0.999
    assert from_luma.color.matrix == "gbr" and from_luma.color.range == "pc"


def test_luma_models_can_change_the_matrix() -> None:
    source = frame("yuv444p12le", photograph("yuv444p12le", 40, 30), SD)
    picture = to_picture(source, SD, "y")
    changed = to_frame(picture, source.format, HD, source_format=source.format, source_color=SD)
    expected = formula(source.planes, 12, SD)
    # Two roundings of half a 12-bit code, through the matrix: under 2 codes.
    np.testing.assert_allclose(formula(changed.planes, 12, HD), expected, atol=2 / 4095)


@pytest.mark.parametrize("scale", [1, 2, 3, 4])
@pytest.mark.parametrize(("width", "height"), [(24, 18), (35, 21)])
def test_chroma_follows_luma_at_every_scale_without_being_told_the_size(width: int, height: int, scale: int) -> None:
    """Chroma ramps of known places; odd sizes lose a bit in the rounding up of chroma, found again from the target."""
    fmt = pixel_format("yuv420p16le")
    rows, columns = fmt.plane_shape(1, width, height)
    place = 2.0 * np.arange(columns)
    ramp = np.rint(20000 + 400 * place).astype(np.uint16) + np.zeros((rows, 1), np.uint16)
    luma = np.full((height, width), 30000, np.uint16)
    source = frame("yuv420p16le", [luma, ramp, ramp])
    picture = to_picture(source, HD, "y")
    grown = replace(picture, data=picture.data.repeat_interleave(scale, 1).repeat_interleave(scale, 2))
    result = to_frame(grown, fmt, HD, source_format=fmt, source_color=HD)
    assert (result.width, result.height) == (scale * width, scale * height)
    where = (2.0 * np.arange(result.planes[1].shape[1]) + 0.5) / scale - 0.5
    inside = (where > place[2]) & (where < place[-3])
    expected = 20000 + 400 * where[inside]
    assert inside.sum() >= columns // 2
    np.testing.assert_allclose(result.planes[1][rows // 2][inside], expected, atol=1.0)


def test_a_size_that_is_no_multiple_takes_the_size_it_is_told() -> None:
    fmt = pixel_format("yuv420p")
    source = frame("yuv420p", photograph("yuv420p", 35, 21))
    picture = to_picture(source, HD, "y")
    grown = replace(picture, data=torch.full((1, 32, 52), 0.5))
    told = to_frame(grown, fmt, HD, source_format=fmt, source_color=HD, source_size=(21, 35))
    guessed = to_frame(grown, fmt, HD, source_format=fmt, source_color=HD, source_size=(22, 36))
    assert not np.array_equal(told.planes[1], guessed.planes[1])
    assert told.planes[1].shape == (16, 26)


def test_a_frame_keeps_its_place_in_time_and_gets_its_tags() -> None:
    source = replace(frame("yuv420p", noisy("yuv420p", 8, 6)), opens_shot=True)
    picture = to_picture(source, HD, "rgb")
    result = back(picture, source, HD, "yuv444p")
    for made in (picture, result):
        assert (made.index, made.pts, made.duration, made.opens_shot) == (3, 70, 5, True)
    assert result.color == HD and result.format.name == "yuv444p"


# --- what cannot be, and what must not be touched


def test_a_matrix_without_weights_works_for_luma_and_is_refused_for_rgb() -> None:
    color = replace(HD, matrix="ictcp")
    source = frame("yuv420p10le", noisy("yuv420p10le", 8, 8))
    result = back(to_picture(source, color, "y"), source, color)
    assert all(np.array_equal(a, b) for a, b in zip(result.planes, source.planes, strict=True))
    with pytest.raises(UnsupportedInput, match="ictcp"):
        to_picture(source, color, "rgb")


@pytest.mark.parametrize("domain", ["rgb", "y"])
@pytest.mark.parametrize("name", ["yuv420p", "yuv420p10le", "gbrp", "gray"])
def test_decoders_memory_and_the_networks_result_are_left_alone(name: str, domain: Domain) -> None:
    color = {"gbrp": RGB, "gray": GREY}.get(name, HD)
    planes = noisy(name, 12, 10)
    padded = [np.pad(plane, ((0, 0), (0, 20))) for plane in planes]
    views = [wide[:, : plane.shape[1]] for wide, plane in zip(padded, planes, strict=True)]
    for view in views:
        view.flags.writeable = False
    source = frame(name, views, color)
    picture = to_picture(source, color, domain)
    kept = picture.data.clone(), None if picture.chroma is None else picture.chroma.clone()
    back(picture, source, color)
    back(picture, source, color, "yuv444p")
    assert all(np.array_equal(view, plane) for view, plane in zip(views, planes, strict=True))
    assert torch.equal(picture.data, kept[0])
    assert picture.chroma is None or (kept[1] is not None and torch.equal(picture.chroma, kept[1]))


def test_pictures_can_take_part_in_training() -> None:
    source = frame("yuv420p", noisy("yuv420p", 16, 12))
    data = to_picture(source, HD, "rgb").data
    assert not data.is_inference()
    weight = torch.ones(3, requires_grad=True)
    (data * weight[:, None, None]).sum().backward()
    assert weight.grad is not None


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("name", ["yuv420p", "yuv420p10le", "yuv444p16le", "gbrp", "gray"])
@pytest.mark.parametrize("domain", ["rgb", "y"])
def test_cuda_gives_the_cpus_codes(name: str, domain: Domain) -> None:
    fmt = pixel_format(name)
    color = {"gbrp": RGB, "gray": GREY}.get(name, HD)
    planes = [torch.from_numpy(p if p.dtype == np.uint8 else p.view(np.int16)) for p in noisy(name, 64, 36)]
    results = []
    for device in ("cpu", "cuda"):
        decoded = decode_planes([plane.to(device) for plane in planes], fmt, color, domain)
        made = encode_planes(decoded.data, decoded.chroma, None, fmt, color, source_format=fmt, source_color=color)
        results.append([plane.cpu().numpy().astype(int) for plane in made])
    for cpu, cuda in zip(*results, strict=True):
        assert np.abs(cpu - cuda).max() <= 1  # sums in another order: a tie may fall either way
