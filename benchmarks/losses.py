"""The three losses of SRGAN on one frame of the demo clip, side by side: writes docs/losses.jpg.

    python benchmarks/losses.py

From left to right HR, bicubic, srresnet (mse), srgan-perceptual, srgan-per-pix; x4, LR by MATLAB's bicubic. Big Buck
Bunny, (c) Blender Foundation, CC BY 3.0. The figures come from `vsr evaluate` (see docs/models.md).
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from torch import Tensor

from vsr.color.tables import resolve
from vsr.core.frame import pixel_format
from vsr.core.media import WHOLE
from vsr.engines import registry
from vsr.engines.base import Batch, Key
from vsr.evaluation import protocol
from vsr.filters import BICUBIC, resize
from vsr.io.decoding.decode import open_source
from vsr.io.probe import probe
from vsr.pipeline.pictures import pictures

ROOT = Path(__file__).resolve().parent.parent
MODELS = ("srresnet-x4", "srgan-perceptual-x4", "srgan-per-pix-x4")
FRAME, SCALE, ENLARGED = 20, 4, 2
BOX = (slice(100, 260), slice(250, 410))  # of HR: fur and leaves


def frame() -> Tensor:
    """Give one frame as RGB codes (3, H, W)."""
    info = probe(ROOT / "demo" / "bunny.mp4")
    video = info.video
    color = resolve(video.color, pixel_format(video.pixel_format), video.width, video.height)
    for number, picture in enumerate(pictures(open_source(info), WHOLE, domain="rgb", color=color)):
        if number == FRAME:
            return protocol.rounded(picture.data.double() * 255)
    raise SystemExit("the clip is shorter than that")


def main() -> None:
    hr = frame()
    height, width = hr.shape[-2:]
    lr = protocol.rounded(protocol.shrunk(hr, SCALE))
    shown = [hr, resize(lr, height, width, BICUBIC)]
    for name in MODELS:
        engine = registry.open_engine(name, scale=SCALE)
        batch = Batch(frames=(lr / 255).float()[None, None], keys=(Key(frame=0, seed=0),))
        shown.append(engine.restore(batch)[0].double() * 255)
        engine.close()
    crops = [protocol.pixels(picture)[BOX][..., ::-1] for picture in shown]
    large = [cv2.resize(crop, None, fx=ENLARGED, fy=ENLARGED, interpolation=cv2.INTER_NEAREST) for crop in crops]
    row = np.hstack(large)
    cv2.imwrite(str(ROOT / "docs" / "losses.jpg"), row)


if __name__ == "__main__":
    main()
