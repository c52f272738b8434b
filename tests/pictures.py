"""Folders of generated pictures, and clips of them, for tests of data and training."""

from __future__ import annotations

from pathlib import Path

import av
import cv2
import numpy as np

from tests.textures import textured


def draw_folder(folder: Path, count: int, *, height: int = 96, width: int = 96) -> Path:
    """Write `picture-00.png`, ... into a folder, and give it."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        picture = textured(number, height, width).permute(1, 2, 0).mul(255).byte().numpy()
        cv2.imwrite(str(folder / f"picture-{number:02d}.png"), picture)
    return folder


def draw_clip(path: Path, *, frames: int = 12, height: int = 112, width: int = 144, seed: int = 0) -> Path:
    """Write a video whose frames pan over one textured scene, and give it."""
    scene = textured(seed, height + frames, width + 2 * frames).permute(1, 2, 0).mul(255).byte().numpy()
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=25, options={"crf": "8", "preset": "veryfast"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for number in range(frames):
            part = np.ascontiguousarray(scene[number : number + height, 2 * number : 2 * number + width])
            out.mux(stream.encode(av.VideoFrame.from_ndarray(part, format="rgb24")))
        out.mux(stream.encode(None))
    return path
