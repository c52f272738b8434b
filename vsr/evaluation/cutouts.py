"""Crops for people to look at: where HR has the most detail, the same place of every model's result."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np

from vsr.core.frame import pixel_format
from vsr.evaluation.protocol import Pixels
from vsr.evaluation.results import Cutout
from vsr.io.images.files import encode_image

SIDE = 160  # pixels


def spread(count: int, wanted: int) -> frozenset[int]:
    """Give `wanted` of the numbers below `count`, evenly spread."""
    taken = min(count, wanted)
    return frozenset((2 * place + 1) * count // (2 * taken) for place in range(taken))


def cut(clip: str, frame: int, pictures: Mapping[str, Pixels]) -> Cutout:
    """Cut the same square out of pictures (H, W[, 3]) of one size; the first one, HR, says where."""
    hr = next(iter(pictures.values()))
    side = min(SIDE, *hr.shape[:2])
    top, left = _busiest(hr, side)
    return Cutout(
        clip=clip,
        frame=frame,
        left=left,
        top=top,
        side=side,
        pictures={name: _png(picture[top : top + side, left : left + side]) for name, picture in pictures.items()},
    )


def _busiest(picture: Pixels, side: int) -> tuple[int, int]:
    """Give (top, left) of the square with the most detail; roots are summed, so that no one hard edge decides."""
    grey = picture if picture.ndim == 2 else picture.mean(axis=2)
    edges = np.sqrt(np.abs(cv2.Laplacian(grey.astype(np.float64), cv2.CV_64F)))
    total = np.pad(edges.cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))
    sums = total[side:, side:] - total[:-side, side:] - total[side:, :-side] + total[:-side, :-side]
    top, left = np.unravel_index(int(sums.argmax()), sums.shape)
    return int(top), int(left)


def _png(picture: Pixels) -> bytes:
    if picture.ndim == 2:
        return encode_image((picture,), pixel_format("gray"), Path("crop.png"))
    red, green, blue = (np.ascontiguousarray(picture[..., channel]) for channel in range(3))
    return encode_image((green, blue, red), pixel_format("gbrp"), Path("crop.png"))
