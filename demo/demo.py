"""Upscale the demo clip and lay a before/after picture beside it: what `make demo` runs."""

from __future__ import annotations

import sys
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from vsr.cli import main as vsr
from vsr.color.tables import resolve
from vsr.core.frame import pixel_format
from vsr.filters import BICUBIC, resize
from vsr.io.decoding.decode import open_source
from vsr.io.probe import probe
from vsr.pipeline.pictures import pictures

HERE = Path(__file__).resolve().parent
OUT = HERE.parent / "out"
FRAME = 30
CROP = (150, 360, 430, 480)  # top, height, left, width of the part shown, in pixels of the result


def rgb(path: Path, index: int) -> Tensor:
    """Give one frame of a video as RGB (3, H, W) in [0, 1]."""
    info = probe(path)
    video = info.video
    color = resolve(video.color, pixel_format(video.pixel_format), video.width, video.height)
    stream = pictures(open_source(info), domain="rgb", color=color)
    return next(islice(stream, index, None)).data


def panel(picture: Tensor, caption: str) -> NDArray[np.uint8]:
    """Give the part shown as 8-bit BGR with a caption."""
    top, height, left, width = CROP
    part = picture[:, top : top + height, left : left + width].clamp(0, 1).mul(255).round().byte()
    image = np.ascontiguousarray(part.permute(1, 2, 0).numpy()[..., ::-1])
    cv2.rectangle(image, (0, 0), (14 + 13 * len(caption), 34), (0, 0, 0), cv2.FILLED)
    cv2.putText(image, caption, (8, 24), cv2.FONT_HERSHEY_SIMPLEX, 0.7, (255, 255, 255), 1, cv2.LINE_AA)
    return image


def main() -> int:
    source, result, compared = HERE / "bunny.mp4", OUT / "bunny_x2.mp4", OUT / "before-after.png"
    OUT.mkdir(exist_ok=True)
    code = vsr(["upscale", str(source), "-o", str(result), "--scale", "2", "--overwrite"])
    if code:
        return code
    after = rgb(result, FRAME)
    before = resize(rgb(source, FRAME), after.shape[-2], after.shape[-1], BICUBIC)
    both = np.concatenate([panel(before, "bicubic x2"), panel(after, "vsr x2")], axis=1)
    cv2.imwrite(str(compared), both)
    print(f"\nThe clip before:  {source}\nand after:        {result}\nside by side:     {compared}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
