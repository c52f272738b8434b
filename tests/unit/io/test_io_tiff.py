"""TIFF files of every layout that tifffile and libtiff write: the samples come out as they went in."""

from __future__ import annotations

import io
import struct
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from vsr.core.errors import DecodeError, UnsupportedInput
from vsr.io.images.files import decode_image
from vsr.io.images.ifd import Directory, Field, pack_directory, read_directory, shorts

H, W = 18, 21  # no multiple of a tile's 16
_RNG = np.random.default_rng(7)
_EXTRA = {"gray": [], "gray+alpha": ["unassalpha"], "rgb": [], "rgb+alpha": ["unassalpha"]}
_CHANNELS = {"gray": 1, "gray+alpha": 2, "rgb": 3, "rgb+alpha": 4}


def _samples(kind: str, depth: int) -> np.ndarray:
    return _RNG.integers(0, 1 << depth, (H, W, _CHANNELS[kind])).astype(np.uint16 if depth > 8 else np.uint8)


def _written(samples: np.ndarray, kind: str, **options: object) -> bytes:
    out = io.BytesIO()
    photometric = options.pop("photometric", "rgb" if "rgb" in kind else "minisblack")
    extra = options.pop("extrasamples", _EXTRA[kind])
    if options.get("planarconfig") == "separate":
        samples = np.moveaxis(samples, -1, 0)
    elif samples.shape[-1] == 1:
        samples = samples[..., 0]
    else:
        options["planarconfig"] = "contig"
    tifffile.imwrite(out, samples, metadata=None, photometric=photometric, extrasamples=extra or None, **options)
    return out.getvalue()


def _decoded(data: bytes) -> np.ndarray:
    """Give (rows, columns, channels), in the order R G B A."""
    planes = decode_image(Path("a.tiff"), data, max_pixels=1 << 20)
    return np.dstack([planes[2], planes[0], planes[1], *planes[3:]] if len(planes) > 1 else planes)


def _as_rgb(samples: np.ndarray) -> np.ndarray:
    return samples[..., [0, 0, 0, 1]] if samples.shape[-1] == 2 else samples


@pytest.mark.parametrize("kind", _CHANNELS)
@pytest.mark.parametrize("depth", [8, 16])
def test_samples_survive_every_layout(kind: str, depth: int) -> None:
    samples = _samples(kind, depth)
    for order, compression, predictor, tile in product("<>", [None, "zlib"], [None, True], [None, (16, 16)]):
        for apart in [False] if kind == "gray" else [False, True]:
            if predictor and not compression:
                continue
            layout = {"planarconfig": "separate"} if apart else {}
            data = _written(
                samples, kind, byteorder=order, compression=compression, predictor=predictor, tile=tile, **layout
            )
            found = _decoded(data)
            np.testing.assert_array_equal(found, _as_rgb(samples), f"{order} {compression} {predictor} {tile} {apart}")


@pytest.mark.parametrize(
    ("mode", "compression"),
    [
        *product(["1", "L", "P", "RGB", "RGBA", "I;16"], ["tiff_lzw", "packbits", "tiff_deflate"]),
        *[("1", "group4"), ("L", "jpeg"), ("RGB", "jpeg")],
    ],
)
def test_what_libtiff_packs_is_unpacked(mode: str, compression: str) -> None:
    color = Image.fromarray(_samples("rgb+alpha", 8))
    image = Image.fromarray(_samples("gray", 16)[..., 0]) if mode == "I;16" else color.convert(mode)
    out = io.BytesIO()
    image.save(out, "TIFF", compression=compression, **({"quality": 100} if compression == "jpeg" else {}))

    found = _decoded(out.getvalue())

    target = mode if mode in ("RGBA", "I;16") else "RGB" if mode in ("RGB", "P") else "L"
    seen = np.atleast_3d(np.asarray(Image.open(out).convert(target) if mode != "I;16" else image))
    assert found.dtype == (np.uint16 if mode == "I;16" else np.uint8)
    np.testing.assert_array_equal(found, seen)


def test_differences_under_lzw_are_summed() -> None:
    samples = _samples("rgb", 8)
    out = io.BytesIO()
    Image.fromarray(samples).save(out, "TIFF", compression="tiff_lzw", tiffinfo={317: 2})

    np.testing.assert_array_equal(_decoded(out.getvalue()), samples)


def test_white_may_be_zero_and_an_extra_channel_need_not_be_alpha() -> None:
    gray, four = _samples("gray", 16), _samples("rgb+alpha", 8)

    np.testing.assert_array_equal(_decoded(_written(gray, "gray", photometric="miniswhite")), 65535 - gray)
    np.testing.assert_array_equal(_decoded(_written(four, "rgb+alpha", extrasamples=["unspecified"])), four[..., :3])


@pytest.mark.parametrize("depth", [8, 16])
def test_colours_that_were_multiplied_with_alpha_are_divided_again(depth: int) -> None:
    four, peak = _samples("rgb+alpha", depth).astype(int), (1 << depth) - 1
    premultiplied = np.dstack([four[..., :3] * four[..., 3:] // peak, four[..., 3:]])

    found = _decoded(_written(premultiplied.astype(f"u{depth // 8}"), "rgb+alpha", extrasamples=["assocalpha"]))

    wanted = np.minimum(np.rint(premultiplied[..., :3] * peak / np.maximum(four[..., 3:], 1)), peak)
    assert abs(found[..., :3] - wanted).max() <= 1
    np.testing.assert_array_equal(found[..., 3], four[..., 3])


@pytest.mark.parametrize("depth", [2, 4, 12])
def test_odd_depths_are_stretched_over_eight_or_sixteen_bits(depth: int) -> None:
    codes = _RNG.integers(0, 1 << depth, (H, W))
    bits = (codes[..., None] >> np.arange(depth)[::-1] & 1).reshape(H, -1).astype(np.uint8)
    strip = b"".join(np.packbits(row).tobytes() for row in bits)
    tags = {256: W, 257: H, 258: depth, 259: 1, 262: 1, 277: 1, 278: H, 273: 8}
    fields = {tag: shorts(value) for tag, value in tags.items()} | {279: shorts(len(strip))}
    place = 8 + len(strip) + len(strip) % 2
    body = (b"II*\0" + struct.pack("<I", place) + strip).ljust(place, b"\0")

    found = _decoded(body + pack_directory(Directory(fields=fields), place))

    peak = 65535 if depth > 8 else 255
    np.testing.assert_array_equal(found[..., 0], np.rint(codes * peak / ((1 << depth) - 1)))


def test_alpha_under_jpeg_is_refused_not_dropped() -> None:
    out = io.BytesIO()
    Image.fromarray(_samples("rgb+alpha", 8)).save(out, "TIFF", compression="jpeg")

    with pytest.raises(UnsupportedInput, match="without alpha only"):
        _decoded(out.getvalue())


def test_a_tile_that_asks_for_all_memory_is_refused() -> None:
    data = _written(_samples("gray", 8), "gray", tile=(16, 16), compression="zlib")
    found = read_directory(data)
    found.fields |= {tag: Field(kind=4, count=1, data=b"\xf0\xff\xff\x7f") for tag in (322, 323)}
    place = len(data) + len(data) % 2
    bomb = data[:4] + struct.pack("<I", place) + data[8:].ljust(place - 8, b"\0") + pack_directory(found, place)

    with pytest.raises(DecodeError, match=r"a\.tiff is damaged"):
        _decoded(bomb)


@pytest.mark.parametrize("order", "<>")
def test_a_directory_is_read_and_written_whole_whatever_its_byte_order(order: str) -> None:
    """Values of every width, in place and out of it, and a directory within."""
    inner = Directory(fields={0x9003: Field(kind=2, count=20, data=b"2026:01:02 03:04:05\0")})
    held = {
        0x010F: Field(kind=2, count=4, data=b"vsr\0"),
        0x011A: Field(kind=5, count=1, data=struct.pack("<II", 72, 1)),
        0x0102: shorts(8, 8, 8),
        0xC6F7: Field(kind=12, count=1, data=struct.pack("<d", 1.5)),
    }
    written = b"II*\0\x08\0\0\0" + pack_directory(Directory(fields=held, children={0x8769: inner}), 8)
    if order == ">":
        out = io.BytesIO()
        tifffile.imwrite(
            out,
            np.zeros((2, 2), np.uint8),
            byteorder=">",
            metadata=None,
            extratags=[(0x010F, 2, 4, "vsr", True), (0xC6F7, 12, 1, 1.5, True)],
        )
        found = read_directory(out.getvalue())
        assert found.fields[0x010F] == held[0x010F]
        assert found.fields[0xC6F7] == held[0xC6F7]
        return

    found = read_directory(written)

    assert {tag: found.fields[tag] for tag in held} == held
    assert found.children[0x8769].fields == inner.fields
