"""A face, grass, text, sky and animation at x4, side by side: writes docs/sr3.jpg.

    python benchmarks/sr3_pictures.py PHOTOS [--model sr3]

From left to right HR, bicubic, compact, srgan-perceptual, sr3 in 1 step, sr3 in 4 steps; LR by MATLAB's bicubic,
rounded to 8 bits. PHOTOS holds the held-out pictures that are named here: nothing was trained on them. Photographs
from Cloudinary CID22 (CC BY-SA 4.0) and CLIC 2025 (Unsplash licence); Big Buck Bunny, (c) Blender Foundation
(CC BY 3.0).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np

from vsr.data.degrade import Degradation
from vsr.evaluation import contestants, protocol
from vsr.evaluation.testsets import Clip, read

ROOT = Path(__file__).resolve().parent.parent
SCALE, SIDE, ENLARGED, GAP = 4, 112, 2, 4
# file, top and left of the crop in HR pixels
CROPS = (
    ("clic2025_010", 370, 180),
    ("cid22_140", 230, 200),
    ("cid22_150", 0, 150),
    ("cid22_180", 120, 150),
    ("bbb_010", 180, 150),
)


def row(photo: Path, top: int, left: int, names: list[str]) -> np.ndarray:
    """Give HR's crop and each model's, enlarged by repetition, next to each other: (h, w, 3) BGR."""
    clip = Clip(name=photo.stem, path=photo, is_video=False)
    footage = read(clip, scale=SCALE, degradation=Degradation(), seed=0, limit=1)
    shown = [footage.hr[0]]
    for name in names:
        runner = contestants.Runner(contestant=contestants.choose(name, SCALE))
        shown += [protocol.pixels(restored.codes) for restored in runner.restore(footage)]
        runner.close()
    crops = [picture[top : top + SIDE, left : left + SIDE, ::-1] for picture in shown]
    large = [cv2.resize(crop, None, fx=ENLARGED, fy=ENLARGED, interpolation=cv2.INTER_NEAREST) for crop in crops]
    framed = [np.pad(crop, ((0, GAP), (0, GAP), (0, 0)), constant_values=255) for crop in large]
    return np.hstack(framed)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--model", default="sr3")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "sr3.jpg")
    args = parser.parse_args()
    names = ["bicubic", "compact", "srgan-perceptual", f"{args.model}:steps=1", f"{args.model}:steps=4"]
    rows = [row(args.photos / f"{name}.webp", top, left, names) for name, top, left in CROPS]
    cv2.imwrite(str(args.out), np.vstack(rows), [cv2.IMWRITE_JPEG_QUALITY, 90])
    print(f"{args.out}: HR, {', '.join(names)}")


if __name__ == "__main__":
    main()
