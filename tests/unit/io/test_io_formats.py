"""Packed pixel formats unpacked to planar ones, by hand beside; names of colour tags beside FFmpeg's."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from vsr.core.errors import UnsupportedInput
from vsr.core.frame import UNSPECIFIED, pixel_format
from vsr.io.decoding.formats import Unpacker, travel_format
from vsr.io.decoding.frames import plane_views
from vsr.io.ffmpeg import require_program
from vsr.io.tags import MATRICES, PRIMARIES, TRANSFERS, color_spec, number

Rows = list[NDArray[np.uint8]]
WIDTHS = (66, 65)
HEIGHT = 33


def _noise(name: str, width: int) -> tuple[av.VideoFrame, Rows]:
    """Give a frame of random bytes, and its planes as rows of bytes."""
    frame = av.VideoFrame(width, HEIGHT, name)
    random = np.random.default_rng(width)
    rows = []
    for plane in frame.planes:
        data = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)
        data[:] = random.integers(0, 256, data.shape)
        rows.append(data)
    return frame, rows


def _interleaved(order: str, depth: int = 8) -> Callable[[Rows, int], list[NDArray[np.uint16]]]:
    """Unpack samples that lie side by side, named in `order`; planes come as G B R (A) or Y U V (A)."""

    def unpack(rows: Rows, width: int) -> list[NDArray[np.uint16]]:
        samples = rows[0].view(np.uint16 if depth > 8 else np.uint8)[:, : width * len(order)]
        wanted = [letter for letter in "gbrayuv" if letter in order]
        wanted = sorted(wanted, key="gbryuva".index)
        return [samples[:, order.index(letter) :: len(order)].astype(np.uint16) for letter in wanted]

    return unpack


def _half(shift: int, *, is_420: bool, swap: bool = False) -> Callable[[Rows, int], list[NDArray[np.uint16]]]:
    """Unpack luma beside a plane of chroma pairs (NV12 and its deep sisters, whose values lie in the high bits)."""

    def unpack(rows: Rows, width: int) -> list[NDArray[np.uint16]]:
        deep = [row.view(np.uint16) >> shift if shift else row.astype(np.uint16) for row in rows]
        chroma = deep[1][: -(-HEIGHT // 2) if is_420 else HEIGHT, : 2 * -(-width // 2)]
        pair = [chroma[:, 0::2], chroma[:, 1::2]]
        return [deep[0][:, :width], *(reversed(pair) if swap else pair)]

    return unpack


def _yuyv(y: int, u: int, v: int) -> Callable[[Rows, int], list[NDArray[np.uint16]]]:
    def unpack(rows: Rows, width: int) -> list[NDArray[np.uint16]]:
        half = -(-width // 2)
        planes = [rows[0][:, y::2][:, :width], rows[0][:, u::4][:, :half], rows[0][:, v::4][:, :half]]
        return [plane.astype(np.uint16) for plane in planes]

    return unpack


def _bits(green: tuple[int, int], blue: tuple[int, int], red: tuple[int, int], word: type) -> Callable[..., object]:
    """Unpack (first bit, count) fields of a word; fields of fewer than 8 bits are repeated to fill them."""

    def unpack(rows: Rows, width: int) -> list[NDArray[np.uint16]]:
        words = rows[0].view(word)[:, :width].astype(np.int64)
        planes = []
        for first, count in (green, blue, red):
            value = words >> first & (1 << count) - 1
            planes.append((value << 8 - count | value >> 2 * count - 8 if count < 8 else value).astype(np.uint16))
        return planes

    return unpack


BY_HAND = {
    "rgb24": _interleaved("rgb"),
    "bgr24": _interleaved("bgr"),
    "bgra": _interleaved("bgra"),
    "argb": _interleaved("argb"),
    "bgr0": _interleaved("bgr0"),
    "rgb48le": _interleaved("rgb", 16),
    "rgba64le": _interleaved("rgba", 16),
    "ayuv64le": _interleaved("ayuv", 16),
    "vuya": _interleaved("vuya"),
    "vuyx": _interleaved("vuyx"),
    "nv12": _half(0, is_420=True),
    "nv21": _half(0, is_420=True, swap=True),
    "nv16": _half(0, is_420=False),
    "p010le": _half(6, is_420=True),
    "p210le": _half(6, is_420=False),
    "yuyv422": _yuyv(0, 1, 3),
    "uyvy422": _yuyv(1, 0, 2),
    "x2rgb10le": _bits((10, 10), (0, 10), (20, 10), np.uint32),
    "rgb565le": _bits((5, 6), (0, 5), (11, 5), np.uint16),
    "rgb555le": _bits((5, 5), (0, 5), (10, 5), np.uint16),
}


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", BY_HAND)
def test_packed_formats_are_unpacked_to_the_bit(name: str, width: int) -> None:
    frame, rows = _noise(name, width)
    target, lost = travel_format(name)

    planes = plane_views(Unpacker(target)(frame), pixel_format(target))

    assert lost == ""
    for ours, by_hand in zip(planes, BY_HAND[name](rows, width), strict=True):
        np.testing.assert_array_equal(ours, by_hand)


@pytest.mark.parametrize(("name", "of_set", "of_clear"), [("monow", 0, 255), ("monob", 255, 0)])
def test_one_bit_pictures_become_black_and_white(name: str, of_set: int, of_clear: int) -> None:
    frame, rows = _noise(name, 66)

    (plane,) = plane_views(Unpacker("gray")(frame), pixel_format("gray"))

    bits = np.unpackbits(rows[0], axis=1)[:, :66]
    np.testing.assert_array_equal(plane, np.where(bits, of_set, of_clear))


def test_grey_with_alpha_loses_the_alpha_and_says_so() -> None:
    frame, rows = _noise("ya8", 66)

    assert travel_format("ya8") == ("gray", "its alpha channel is left out")
    (plane,) = plane_views(Unpacker("gray")(frame), pixel_format("gray"))
    np.testing.assert_array_equal(plane, rows[0][:, 0:132:2])


def test_a_full_range_format_is_only_another_name() -> None:
    frame, _ = _noise("yuvj420p", 66)

    assert travel_format("yuvj420p") == ("yuv420p", "")
    assert Unpacker("yuv420p")(frame) is frame


def test_planar_formats_travel_as_they_are_and_big_endian_turns_little() -> None:
    names = ["yuv420p", "yuv422p10le", "yuva444p12le", "gbrp", "gbrap16le", "gray12le", "yuv410p", "yuv440p10le"]

    assert [travel_format(name)[0] for name in names] == names
    assert travel_format("yuv420p10be")[0] == "yuv420p10le"
    assert travel_format("pal8")[0] == "gbrp"


@pytest.mark.parametrize("name", ["cuda", "gbrpf32le", "grayf16le", "bayer_rggb8", "xyz12le", "no-such-format"])
def test_what_no_planar_integer_format_holds_is_refused(name: str) -> None:
    with pytest.raises(UnsupportedInput, match=name):
        travel_format(name)


def test_views_follow_pictures_that_lie_bottom_up() -> None:
    from av.filter import Graph

    frame, rows = _noise("gray", 66)
    graph = Graph()
    source = graph.add_buffer(width=66, height=HEIGHT, format="gray", time_base=1)
    flip, sink = graph.add("vflip"), graph.add("buffersink")
    source.link_to(flip)
    flip.link_to(sink)
    graph.configure()
    graph.push(frame)
    flipped = graph.pull()

    assert flipped.planes[0].line_size < 0
    (plane,) = plane_views(flipped, pixel_format("gray"))  # type: ignore[arg-type]
    np.testing.assert_array_equal(plane, rows[0][::-1, :66])


@pytest.mark.parametrize(
    ("option", "table"), [("colorspace", MATRICES), ("color_primaries", PRIMARIES), ("color_trc", TRANSFERS)]
)
def test_names_of_tags_are_ffmpegs(option: str, table: dict[int, str]) -> None:
    told = subprocess.run(
        [str(require_program()), "-hide_banner", "-h", "filter=setparams"], capture_output=True, text=True, check=True
    ).stdout
    section = re.search(rf"\n   {option} .*?(?=\n   \w|\Z)", told, re.DOTALL)
    assert section is not None, told
    theirs = {name: int(code) for name, code in re.findall(r"\n     (\S+)\s+(\d+)", section[0])}

    ours = {name: code for code, name in table.items() if name != UNSPECIFIED}
    assert ours
    assert {name: theirs.get(name) for name in ours} == ours


def test_numbers_without_a_name_are_unspecified_and_names_lead_back() -> None:
    spec = color_spec(matrix=9, range=2, primaries=200, transfer=2)

    assert (spec.matrix, spec.range, spec.primaries, spec.transfer) == ("bt2020nc", "pc", UNSPECIFIED, UNSPECIFIED)
    assert number(MATRICES, "bt2020nc") == 9
    assert number(PRIMARIES, "no such") == 2
