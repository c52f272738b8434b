"""The samples of TIFF files, as they are: what OpenCV loses (grey with alpha, planes apart, 16 bits, straight alpha).

TIFF 6.0: sections 3 to 8 (baseline), 14 (differences), 15 (tiles), 18 (alpha). Strips are unpacked one by one, LZW and
PackBits by libtiff through OpenCV, the rest is done here. Other compressions (JPEG, fax) are left to OpenCV as a whole.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray

from vsr.io.images.ifd import Directory, byte_order, longs, pack_directory, read_directory, shorts

Samples = NDArray[np.uint8] | NDArray[np.uint16]
Unpack = Callable[[bytes, int, int], bytes | None]
"""(a little TIFF file, rows, bytes a row) -> its 8-bit samples, or None where the data are damaged."""

WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, FILL = 256, 257, 258, 259, 262, 266
OFFSETS, SAMPLES, ROWS, COUNTS, PLANAR, PREDICTOR = 273, 277, 278, 279, 284, 317
COLORS, TILE_WIDTH, TILE_HEIGHT, TILE_OFFSETS, TILE_COUNTS, EXTRA, FORMAT = 320, 322, 323, 324, 325, 338, 339
WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, CMYK, YCBCR = 0, 1, 2, 3, 5, 6

_MOST_SAMPLES = 8  # of a pixel
_LARGEST_TILE = 1 << 24  # pixels, of a tile that is larger than its picture
_NONE, _LZW, _DEFLATE, _OLD_DEFLATE, _PACKBITS = 1, 5, 8, 32946, 32773
_COLORS = {WHITE_IS_ZERO: 1, BLACK_IS_ZERO: 1, RGB: 3, PALETTE: 1}  # samples a pixel that are no extra ones


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """How the samples lie. A block is a strip or a tile; `planes` counts those that lie apart (1: none do)."""

    width: int
    height: int
    samples: int
    depth: int
    compression: int
    photometric: int
    planes: int
    predictor: int
    block_width: int
    block_height: int
    offsets: tuple[int, ...]
    counts: tuple[int, ...]
    alpha: int  # of the sample behind the colours: 0 none, 1 multiplied into the colours, 2 straight
    order: str


def alpha_of(found: Directory) -> int:
    """Say what the first extra sample is: 0 no alpha, 1 alpha that colours are multiplied with, 2 straight alpha.

    A file of four RGB samples that does not say is taken to mean straight alpha, as OpenCV and FFmpeg write it.
    """
    photometric = found.numbers(PHOTOMETRIC, (BLACK_IS_ZERO,))[0]
    extra = found.numbers(SAMPLES, (1,))[0] - _COLORS.get(photometric, 99)
    if extra < 1:
        return 0
    says = found.numbers(EXTRA)
    if not says:
        return 2 if photometric == RGB and extra == 1 else 0
    return says[0] if says[0] in (1, 2) else 0


def layout_of(data: bytes) -> Layout | None:
    """Read the layout of the first picture; None where it is one that `read_samples` does not do.

    Raises:
        struct.error, IndexError: the directory is broken off, or lacks a field that there must be.
    """
    found = read_directory(data)
    compression, photometric = found.numbers(COMPRESSION, (1,))[0], found.numbers(PHOTOMETRIC, (BLACK_IS_ZERO,))[0]
    depths, samples = set(found.numbers(BITS, (1,))), found.numbers(SAMPLES, (1,))[0]
    predictor = found.numbers(PREDICTOR, (1,))[0]
    is_known = compression in (_NONE, _LZW, _DEFLATE, _OLD_DEFLATE, _PACKBITS) and photometric in _COLORS
    depth = max(depths)
    if not is_known or len(depths) != 1 or predictor not in (1, 2) or (predictor == 2 and depth not in (8, 16)):
        return None
    if samples < _COLORS[photometric] or found.numbers(FILL, (1,))[0] != 1:
        return None
    width, height = found.numbers(WIDTH)[0], found.numbers(HEIGHT)[0]
    is_tiled = TILE_OFFSETS in found.fields
    rows = min(found.numbers(ROWS, (height,))[0], height)
    block = (found.numbers(TILE_WIDTH)[0], found.numbers(TILE_HEIGHT)[0]) if is_tiled else (width, rows)
    if min(width, height, depth, *block) < 1:
        return None
    return Layout(
        width=width,
        height=height,
        samples=samples,
        depth=depth,
        compression=compression,
        photometric=photometric,
        planes=samples if found.numbers(PLANAR, (1,))[0] == 2 else 1,
        predictor=predictor,
        block_width=block[0],
        block_height=block[1],
        offsets=found.numbers(TILE_OFFSETS if is_tiled else OFFSETS),
        counts=found.numbers(TILE_COUNTS if is_tiled else COUNTS),
        alpha=alpha_of(found),
        order=byte_order(data),
    )


def read_samples(data: bytes, layout: Layout, unpack: Unpack) -> Samples | None:
    """Give (rows, columns, channels): grey or RGB, straight alpha behind it if there is any; None: it is damaged.

    Depths up to 8 bits are stretched to 8, up to 16 to 16. Needs memory for a layout that has been held against limits.
    """
    if layout.samples > _MOST_SAMPLES:
        return None
    shape = (layout.height, layout.width, layout.samples)
    whole: Samples = np.empty(shape, np.uint8) if layout.depth <= 8 else np.empty(shape, np.uint16)
    across, down = -(-layout.width // layout.block_width), -(-layout.height // layout.block_height)
    each = layout.samples // layout.planes
    if min(len(layout.offsets), len(layout.counts)) < across * down * layout.planes:
        return None
    if layout.block_width * layout.block_height > max(_LARGEST_TILE, layout.width * layout.height):
        return None  # packed, a few bytes could ask for all of the memory
    for number in range(across * down * layout.planes):
        plane, place = divmod(number, across * down)
        top, left = place // across * layout.block_height, place % across * layout.block_width
        is_strip = across == 1 and layout.block_width == layout.width
        rows = min(layout.block_height, layout.height - top) if is_strip else layout.block_height
        block = _block(data, layout, number, rows, each, unpack)
        if block is None:
            return None
        part = whole[top : top + rows, left : left + layout.block_width, plane : plane + each]
        part[...] = block[: part.shape[0], : part.shape[1]]
    return _meaning(whole, layout, read_directory(data))


def _block(data: bytes, layout: Layout, number: int, rows: int, each: int, unpack: Unpack) -> Samples | None:
    """Give the (rows, columns, samples) of one strip or tile, differences undone; None: it is damaged."""
    wide = layout.block_width * each
    row_bytes = -(-wide * layout.depth // 8)
    at, count = layout.offsets[number], layout.counts[number]
    packed = data[at : at + count]
    bytes_ = packed if len(packed) == count else None
    if bytes_ is not None and layout.compression in (_DEFLATE, _OLD_DEFLATE):
        try:
            bytes_ = zlib.decompressobj().decompress(packed, rows * row_bytes)
        except zlib.error:
            return None
    elif bytes_ is not None and layout.compression != _NONE:
        bytes_ = unpack(_wrapped(packed, layout.compression, row_bytes, rows), rows, row_bytes)
    if bytes_ is None or len(bytes_) < rows * row_bytes:
        return None
    flat = np.frombuffer(bytes_, np.uint8, rows * row_bytes).reshape(rows, row_bytes)
    block = cast("Samples", _codes(flat, wide, layout).reshape(rows, layout.block_width, each))
    if layout.predictor == 1:
        return block
    return cast("Samples", np.cumsum(block, axis=1, dtype=block.dtype))  # modulo 2**depth, as the differences are


def _codes(flat: NDArray[np.uint8], wide: int, layout: Layout) -> Samples:
    if layout.depth == 8:
        return flat
    if layout.depth == 16:
        return flat.view(np.dtype(f"{layout.order}u2")).astype(np.uint16)
    bits = np.unpackbits(flat, axis=1)[:, : wide * layout.depth].reshape(flat.shape[0], wide, layout.depth)
    weights = (1 << np.arange(layout.depth)[::-1]).astype(np.uint16)
    codes: Samples = (bits * weights).sum(axis=2, dtype=np.uint16)
    return codes.astype(np.uint8) if layout.depth < 8 else codes


def _wrapped(packed: bytes, compression: int, row_bytes: int, rows: int) -> bytes:
    """Make a file whose one strip is `packed`, and whose grey levels are the bytes that are packed in it."""
    place = 8 + len(packed) + len(packed) % 2
    fields = {
        WIDTH: longs(row_bytes),
        HEIGHT: longs(rows),
        BITS: shorts(8),
        COMPRESSION: shorts(compression),
        PHOTOMETRIC: shorts(BLACK_IS_ZERO),
        OFFSETS: longs(8),
        SAMPLES: shorts(1),
        ROWS: longs(rows),
        COUNTS: longs(len(packed)),
    }
    head = b"II*\0" + struct.pack("<I", place)
    return (head + packed).ljust(place, b"\0") + pack_directory(Directory(fields=fields), place)


def _meaning(whole: Samples, layout: Layout, found: Directory) -> Samples | None:
    """Turn samples into grey or RGB, black zero, the full range of 8 or 16 bits."""
    colors = _COLORS[layout.photometric]
    alpha = whole[..., colors : colors + 1] if layout.alpha else None
    picture: Samples = whole[..., :colors]
    if layout.photometric == PALETTE:
        table = found.numbers(COLORS)
        if len(table) != 3 << layout.depth or layout.depth > 8:
            return None
        picture = (np.array(table, np.uint16).reshape(3, -1).T >> 8).astype(np.uint8)[picture[..., 0]]
    else:
        picture = _stretched(picture, layout.depth)
        if layout.photometric == WHITE_IS_ZERO:
            picture = np.iinfo(picture.dtype).max - picture
    if alpha is None:
        return picture
    alpha = _stretched(alpha, layout.depth)
    return cast("Samples", np.dstack([_straight(picture, alpha) if layout.alpha == 1 else picture, alpha]))


def _stretched(codes: Samples, depth: int) -> Samples:
    """Spread the codes of `depth` bits over all of 8 or 16."""
    peak, top = int(np.iinfo(codes.dtype).max), (1 << depth) - 1
    if top == peak:
        return codes
    return cast("Samples", ((codes.astype(np.uint32) * peak * 2 + top) // (2 * top)).astype(codes.dtype))


def _straight(picture: Samples, alpha: Samples) -> Samples:
    """Divide colours by the alpha that they were multiplied with, rounded; where that is 0 they stay black."""
    peak = int(np.iinfo(picture.dtype).max)
    divisor = np.maximum(alpha, 1).astype(np.uint64)
    divided = (picture.astype(np.uint64) * peak * 2 + divisor) // (2 * divisor)
    return cast("Samples", np.minimum(divided, peak).astype(picture.dtype))
