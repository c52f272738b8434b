"""Folders of generated pictures for tests of data and training."""

from __future__ import annotations

from pathlib import Path

import cv2

from tests.textures import textured


def draw_folder(folder: Path, count: int, *, height: int = 96, width: int = 96) -> Path:
    """Write `picture-00.png`, ... into a folder, and give it."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        picture = textured(number, height, width).permute(1, 2, 0).mul(255).byte().numpy()
        cv2.imwrite(str(folder / f"picture-{number:02d}.png"), picture)
    return folder
