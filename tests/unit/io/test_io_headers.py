"""What image files claim, and that it is what they decode to, for every kind of transparency, palette and depth."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vsr.core.errors import DecodeError, NotMedia, UnsupportedInput
from vsr.io.images.files import decode_image
from vsr.io.images.headers import parse_header

H, W = 10, 14
_RNG = np.random.default_rng(4)
RGB = _RNG.integers(0, 256, (H, W, 3), np.uint8)
ALPHA = _RNG.integers(0, 256, (H, W), np.uint8)
DEEP = _RNG.integers(0, 65536, (H, W)).astype(np.uint16)


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)  # type: ignore[arg-type]
    return out.getvalue()


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(rows: list[bytes], *, width: int, depth: int, color: int, extra: bytes = b"", passes: int = 0) -> bytes:
    """Make a PNG of rows that each begin with their filter's number."""
    height = H if passes else len(rows)
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, passes))
    data = chunk(b"IDAT", zlib.compress(b"".join(rows)))
    return b"\x89PNG\r\n\x1a\n" + head + extra + data + chunk(b"IEND", b"")


def decoded(data: bytes) -> np.ndarray:
    """Give (rows, columns) or (rows, columns, R G B (A)), after checking that the header told the truth."""
    header = parse_header(Path("x"), data)
    planes = decode_image(Path("x"), data, max_pixels=1 << 20)
    assert planes[0].shape == (header.height, header.width)
    assert planes[0].dtype == (np.uint16 if header.depth == 16 else np.uint8)
    assert (len(planes) == 4) == header.has_alpha
    assert len(planes) == 1 or header.is_color or header.has_alpha
    return planes[0] if len(planes) == 1 else np.dstack([planes[2], planes[0], planes[1], *planes[3:]])


def _pillow(data: bytes, mode: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)).convert(mode))


PALETTE = Image.fromarray(RGB).quantize(16)
LIKE_PILLOW = {
    "palette": (saved(PALETTE, "PNG"), "RGB"),
    "palette of 1 bit": (saved(Image.fromarray(RGB).quantize(2), "PNG", bits=1), "RGB"),
    "palette with transparency": (saved(PALETTE, "PNG", transparency=3), "RGBA"),
    "one bit": (saved(Image.fromarray(RGB).convert("1"), "PNG"), "L"),
    "grey level that is transparent": (
        saved(Image.fromarray(RGB[..., 0]), "PNG", transparency=int(RGB[3, 3, 0])),
        "RGBA",
    ),
    "colour that is transparent": (
        saved(Image.fromarray(RGB), "PNG", transparency=tuple(int(value) for value in RGB[3, 3])),
        "RGBA",
    ),
    "grey with alpha": (saved(Image.fromarray(RGB[..., 0]).convert("LA"), "PNG"), "RGBA"),
    "gamma": (png([b"\0" + row.tobytes() for row in RGB], width=W, depth=8, color=2, extra=chunk(b"gAMA", b"\0\1\0\0")),
              "RGB"),
    "progressive jpeg": (saved(Image.fromarray(RGB), "JPEG", progressive=True), "RGB"),
    "grey jpeg": (saved(Image.fromarray(RGB[..., 0]), "JPEG"), "L"),
    "lossy webp": (saved(Image.fromarray(RGB), "WEBP"), "RGB"),
    "lossy webp with alpha": (saved(Image.fromarray(np.dstack([RGB, ALPHA])), "WEBP"), "RGBA"),
    "lossless webp with alpha": (
        saved(Image.fromarray(np.dstack([RGB, ALPHA])), "WEBP", lossless=True, exact=True),
        "RGBA",
    ),
    "bmp": (saved(Image.fromarray(RGB), "BMP"), "RGB"),
    "grey bmp": (saved(Image.fromarray(RGB[..., 0]), "BMP"), "L"),
    "bmp of one bit": (saved(Image.fromarray(RGB).convert("1"), "BMP"), "L"),
    "bmp with a palette": (saved(PALETTE, "BMP"), "RGB"),
}  # fmt: skip


@pytest.mark.parametrize("name", LIKE_PILLOW)
def test_every_kind_is_decoded_as_pillow_does(name: str) -> None:
    data, mode = LIKE_PILLOW[name]

    np.testing.assert_array_equal(decoded(data), _pillow(data, mode))


@pytest.mark.parametrize("depth", [1, 2, 4])
def test_levels_of_few_bits_are_spread_over_eight_and_one_may_be_transparent(depth: int) -> None:
    levels = _RNG.integers(0, 1 << depth, (H, W))
    bits = (levels[..., None] >> np.arange(depth)[::-1] & 1).reshape(H, -1).astype(np.uint8)
    rows = [b"\0" + np.packbits(row).tobytes() for row in bits]
    gray = (levels * 255 // ((1 << depth) - 1)).astype(np.uint8)

    plain = decoded(png(rows, width=W, depth=depth, color=0))
    seen = decoded(png(rows, width=W, depth=depth, color=0, extra=chunk(b"tRNS", b"\0\1")))

    np.testing.assert_array_equal(plain, gray)
    np.testing.assert_array_equal(seen, np.dstack([gray, gray, gray, np.where(levels == 1, 0, 255).astype(np.uint8)]))


def test_sixteen_bits_stay_sixteen_with_alpha_with_transparency_and_interlaced() -> None:
    color = np.dstack([DEEP, DEEP[::-1], DEEP[:, ::-1]])
    pair = np.dstack([DEEP, DEEP[::-1]])
    key = chunk(b"tRNS", struct.pack(">H", int(DEEP[2, 2])))

    def rows(array: np.ndarray) -> list[bytes]:
        return [b"\0" + np.ascontiguousarray(row).astype(">u2").tobytes() for row in array]

    # Adam7: the first row and column of each pass, and the steps from there.
    passes = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]
    woven = [row for y, x, down, right in passes for row in rows(color[y::down, x::right])]

    np.testing.assert_array_equal(decoded(png(woven, width=W, depth=16, color=2, passes=1)), color)
    np.testing.assert_array_equal(
        decoded(png(rows(pair), width=W, depth=16, color=4)), np.dstack([DEEP, DEEP, DEEP, DEEP[::-1]])
    )
    np.testing.assert_array_equal(
        decoded(png(rows(DEEP), width=W, depth=16, color=0, extra=key)),
        np.dstack([DEEP, DEEP, DEEP, np.where(DEEP[2, 2] == DEEP, 0, 65535).astype(np.uint16)]),
    )


@pytest.mark.parametrize(("size", "mask", "has_alpha"), [(40, 0, False), (108, 0, False), (108, 0xFF000000, True)])
def test_only_a_mask_makes_alpha_of_a_bitmaps_fourth_byte(size: int, mask: int, has_alpha: bool) -> None:
    masks = struct.pack("<4I", 0xFF0000, 0xFF00, 0xFF, mask) if size > 40 else b""
    info = struct.pack("<IiiHHIIiiII", size, 2, -2, 1, 32, 3 if masks else 0, 0, 0, 0, 0, 0) + masks
    body = np.arange(16, dtype=np.uint8).reshape(2, 2, 4)
    head = b"BM" + struct.pack("<IHHI", 14 + size + 16, 0, 0, 14 + size)

    found = decoded(head + info.ljust(size, b"\0") + body.tobytes())

    np.testing.assert_array_equal(found, body[..., [2, 1, 0, 3] if has_alpha else [2, 1, 0]])


def test_ink_and_deep_jpeg_are_refused_by_name() -> None:
    ink = saved(Image.fromarray(RGB).convert("CMYK"), "JPEG")
    deep = bytearray(saved(Image.fromarray(RGB), "JPEG"))
    deep[deep.index(b"\xff\xc0") + 4] = 12

    with pytest.raises(UnsupportedInput, match="CMYK means ink"):
        parse_header(Path("a.jpg"), ink)
    with pytest.raises(UnsupportedInput, match=r"a\.jpg: a JPEG of 12 bits"):
        parse_header(Path("a.jpg"), bytes(deep))
    with pytest.raises(UnsupportedInput, match="CMYK TIFF"):
        parse_header(Path("a.tiff"), saved(Image.fromarray(RGB).convert("CMYK"), "TIFF"))
    with pytest.raises(UnsupportedInput, match="BigTIFF"):
        parse_header(Path("a.tiff"), b"II+\0\x08\0\0\0" + bytes(16))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "WEBP", "BMP"])
def test_a_file_cut_anywhere_is_an_error_that_names_it(kind: str) -> None:
    """OpenCV paints the missing half of a JPEG grey without a word."""
    whole = saved(Image.fromarray(RGB), kind)
    for length in range(0, len(whole) - 2, max(1, len(whole) // 24)):
        with pytest.raises((DecodeError, NotMedia, UnsupportedInput), match=r"cut\.x"):
            decode_image(Path("cut.x"), whole[:length], max_pixels=1 << 20)


def test_a_chunk_that_claims_gigabytes_is_not_given_them() -> None:
    """OpenCV takes memory for a chunk at its word: 4 GB for a file of 380 bytes."""
    data = saved(Image.fromarray(RGB), "PNG")
    text = struct.pack(">I", 0x7FFF0000) + b"tEXtabc"

    with pytest.raises(DecodeError, match="breaks off before its end"):
        decode_image(Path("a.png"), data[:33] + text + data[33:], max_pixels=1 << 20)


def test_what_stands_behind_a_pictures_end_is_nothing_to_it() -> None:
    for kind in ("PNG", "JPEG"):
        np.testing.assert_array_equal(
            decoded(saved(Image.fromarray(RGB), kind) + b"trailer"), _pillow(saved(Image.fromarray(RGB), kind), "RGB")
        )
