"""VMAF, measured by the ffmpeg program where it was built with libvmaf.

Its default model looks at luma only, so luma is all that is handed over: raw 4:2:0 files with neutral chroma.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vsr.core.errors import EncodeError
from vsr.io.atomic import translate
from vsr.io.ffmpeg import program, run_program

log = logging.getLogger(__name__)

_LOG = "vmaf.json"
SMALLEST = 32  # pixels a side; libvmaf's wavelets need as much


@lru_cache(maxsize=1)
def has_vmaf() -> bool:
    """Whether there is an ffmpeg program and it knows libvmaf."""
    if program() is None:
        return False
    code, said = run_program(["-loglevel", "error", "-filters"], folder=Path.cwd())
    return code == 0 and " libvmaf " in said


@contextmanager
def raw_luma(path: Path) -> Iterator[RawLuma]:
    """Give a writer of raw 4:2:0 frames; the file is whole at the end of the block.

    Raises:
        DiskFull, OutputError: it cannot be written.
    """
    writer = RawLuma(path)
    try:
        yield writer
    finally:
        writer.close()


class RawLuma:
    """Appends luma planes (H, W) uint8, limited range, to a raw yuv420p file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._file = path.open("wb")
        except OSError as error:
            raise translate(error, path) from error

    def write(self, plane: NDArray[np.uint8]) -> None:
        """Append one frame.

        Raises:
            DiskFull, OutputError: it cannot be written.
        """
        height, width = plane.shape
        neutral = bytes([128]) * (2 * (-(-height // 2)) * (-(-width // 2)))
        try:
            self._file.write(np.ascontiguousarray(plane).tobytes() + neutral)
        except OSError as error:
            raise translate(error, self._path) from error

    def close(self) -> None:
        """Close the file."""
        try:
            self._file.close()
        except OSError as error:
            raise translate(error, self._path) from error


def vmaf(restored: Path, reference: Path, *, width: int, height: int, threads: int = 2) -> tuple[float, ...]:
    """Give the VMAF of each frame of two files that `RawLuma` wrote, 0..100. Works in the files' folder.

    Raises:
        EncodeError: the program fails.
        UsageError: there is none.
    """
    folder = restored.absolute().parent
    arguments = ["-loglevel", "error"]
    for path in (restored, reference):
        arguments += ["-f", "rawvideo", "-pix_fmt", "yuv420p", "-video_size", f"{width}x{height}", "-framerate", "25"]
        arguments += ["-i", f"file:{path.absolute()}"]
    measure = f"[0:v][1:v]libvmaf=log_fmt=json:log_path={_LOG}:n_threads={threads}"
    code, said = run_program([*arguments, "-lavfi", measure, "-f", "null", "-"], folder=folder)
    if code != 0:
        raise EncodeError(f"ffmpeg's libvmaf failed on {width}x{height}: {said.strip().splitlines()[:1]}")
    frames = json.loads((folder / _LOG).read_text(encoding="utf-8"))["frames"]
    return tuple(float(frame["metrics"]["vmaf"]) for frame in frames)
