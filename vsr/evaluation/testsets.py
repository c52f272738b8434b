"""Test sets: what the user names -> clips of HR and LR. A picture is a clip of one frame.

A test set is a folder of pictures (each a clip; folders within are searched where there are none at the top), a folder
of videos, one picture, one video, or a numbered sequence (`%05d.png`, one clip). LR is made by degradation in memory,
or read from a folder or file that mirrors HR's.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import torch

from vsr.color.convert import to_picture
from vsr.color.tables import resolve
from vsr.core.errors import InputError, InputLimits, InputMissing, NotMedia, UnsupportedInput
from vsr.core.frame import pixel_format
from vsr.data.degrade import Degradation, degrade
from vsr.evaluation.protocol import Pixels, cropped, luma, pixels, planes, rounded, shrunk
from vsr.io.decoding.decode import open_source
from vsr.io.images.files import decode_image
from vsr.io.images.sequences import SUFFIXES, is_image, is_pattern, natural_key
from vsr.io.limits import MAX_PIXELS
from vsr.io.probe import probe
from vsr.pipeline.pictures import frames as frames_of

VIDEOS = (".mp4", ".mkv", ".mov", ".webm", ".avi", ".ts", ".m4v", ".nut", ".mpg", ".y4m", ".gif", ".wmv", ".flv")
SMALLEST = 32  # pixels a side of HR without its border: what every metric of one scale, and selffeat, can measure
LIMIT_BYTES = 4 * 2**30  # of one clip's HR frames
# `0801x4.png`, `frame_0_lr_16.png` and `img_001_SRF_4_LR.png` are LR of `0801.png`, `frame_0_hr_128.png`, ...
_MARK = re.compile(r"[_-]?(?:(?:hr|lr|sr|gt|lq|srf|x)(?:[_-]?\d+)*)$", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Clip:
    """One thing to restore, not yet read. lr: where its LR is, if it is not made."""

    name: str
    path: Path
    is_video: bool
    lr: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TestSet:
    """A named list of clips; never empty."""

    __test__ = False  # no test class, whatever pytest thinks of the name

    name: str
    clips: tuple[Clip, ...]

    @property
    def has_video(self) -> bool:
        return any(clip.is_video for clip in self.clips)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Footage:
    """A clip that has been read: frames of one size, cropped to a multiple of the scale.

    hr: (H, W, 3) RGB or (H, W) grey. lr: of H / scale. lr_luma: luma codes of LR, as nets of luma are fed.
    """

    name: str
    hr: tuple[Pixels, ...]
    lr: tuple[Pixels, ...]
    lr_luma: tuple[Pixels, ...]
    opens_shot: tuple[bool, ...]
    is_video: bool


def find(path: Path, *, lr: Path | None = None) -> TestSet:
    """Find the clips of a test set, in natural order, and for each its LR where `lr` names a place for it.

    Raises:
        InputMissing: nothing is there, or a clip has no LR.
        NotMedia: a folder without pictures and videos.
    """
    clips = _clips(path)
    if lr is None:
        return TestSet(name=path.stem if path.is_file() else path.name, clips=clips)
    return TestSet(name=path.name, clips=_paired(path, clips, lr))


def read(clip: Clip, *, scale: int, degradation: Degradation, seed: int, limit: int | None) -> Footage:
    """Read a clip's frames (`limit` of them at most) and make or read their LR.

    The degradation's draw depends on `seed` and the clip's name alone.

    Raises:
        InputError: it cannot be read, is too small, or its LR does not fit its HR.
    """
    hr, opens_shot = _frames(clip, clip.path, limit)
    hr = [cropped(picture, scale) for picture in hr]
    _check_size(clip, hr[0], scale)
    if clip.lr is not None:
        lr, _ = _frames(clip, clip.lr, limit)
        _check_pair(clip, hr, lr, scale)
    else:
        lr = _degraded(clip, hr, scale, degradation, seed)
    from_luma = clip.lr is None and degradation.kind == "bicubic"
    lr_luma = [
        pixels((rounded(shrunk(luma(planes(full)), scale)) if from_luma else luma(planes(small)))[None])
        for full, small in zip(hr, lr, strict=True)
    ]
    return Footage(
        name=clip.name,
        hr=tuple(hr),
        lr=tuple(lr),
        lr_luma=tuple(lr_luma),
        opens_shot=tuple(opens_shot),
        is_video=clip.is_video,
    )


def _clips(path: Path) -> tuple[Clip, ...]:
    if not path.exists() and is_pattern(path):
        return (Clip(name=path.name, path=path, is_video=True),)
    if not path.exists():
        raise InputMissing(f"test set {path} does not exist", hint="Name a folder of HR pictures or videos, or a file.")
    if path.is_file():
        return (Clip(name=path.name, path=path, is_video=not is_image(path)),)
    files = [file for file in path.iterdir() if _is_media(file)]
    if not files:
        files = [file for file in path.rglob("*") if _is_media(file)]
    if not files:
        raise NotMedia(
            f"test set {path} holds no pictures and no videos", hint=f"Pictures end in {', '.join(SUFFIXES)}."
        )
    named = sorted((str(file.relative_to(path)), file) for file in files)
    named.sort(key=lambda pair: natural_key(pair[0]))
    return tuple(Clip(name=name, path=file, is_video=file.suffix.lower() in VIDEOS) for name, file in named)


def _is_media(file: Path) -> bool:
    return file.is_file() and not file.name.startswith(".") and file.suffix.lower() in (*SUFFIXES, *VIDEOS)


def _paired(path: Path, clips: tuple[Clip, ...], lr: Path) -> tuple[Clip, ...]:
    """Give each clip the LR file of the same name but for marks such as `x4` or `_lr_16`."""
    others = _clips(lr)
    if path.is_file() and lr.is_file():
        return (Clip(name=clips[0].name, path=path, is_video=clips[0].is_video, lr=lr),)
    by_key: dict[str, Path] = {}
    for other in others:
        key = _key(other.name)
        if key in by_key:
            raise InputError(f"{by_key[key]} and {other.path} are both LR of the same name", hint="Keep one of them.")
        by_key[key] = other.path
    missing = [clip.name for clip in clips if _key(clip.name) not in by_key]
    if missing:
        raise InputMissing(
            f"{len(missing)} of {len(clips)} HR files have no LR in {lr}, first {missing[0]}",
            hint="LR bears the name of its HR, or that name with x4, _lr or _lr_16 at its end.",
        )
    return tuple(
        Clip(name=clip.name, path=clip.path, is_video=clip.is_video, lr=by_key[_key(clip.name)]) for clip in clips
    )


def _key(name: str) -> str:
    stem = str(Path(name).with_suffix(""))
    while (shorter := _MARK.sub("", stem)) not in (stem, ""):
        stem = shorter
    return stem


def _frames(clip: Clip, path: Path, limit: int | None) -> tuple[list[Pixels], list[bool]]:
    if not clip.is_video:
        return [_picture(path)], [True]
    pictures: list[Pixels] = []
    shots: list[bool] = []
    for pixels_of_frame, opens_shot in islice(_video(path), limit):
        pictures.append(pixels_of_frame)
        shots.append(opens_shot)
        if len(pictures) * pixels_of_frame.nbytes > LIMIT_BYTES:
            raise InputLimits(
                f"{path} does not fit in memory: {len(pictures)} frames read so far",
                hint="Measure fewer of its frames with --frames-limit.",
            )
    return pictures, shots


def _picture(path: Path) -> Pixels:
    """Read a picture in 8 bits, transparency left out.

    Raises:
        InputError: it cannot be read, is damaged or too large.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    found = decode_image(path, data, max_pixels=MAX_PIXELS)
    eight = [plane if plane.dtype == np.uint8 else np.round(plane / 257) for plane in found]
    if len(eight) <= 2:
        return np.asarray(eight[0], np.uint8)
    green, blue, red = eight[:3]
    return np.dstack([red, green, blue]).astype(np.uint8)


def _video(path: Path) -> Iterator[tuple[Pixels, bool]]:
    info = probe(path)
    fmt = pixel_format(info.video.pixel_format)
    color = resolve(info.video.color, fmt, info.video.width, info.video.height)
    domain = "y" if fmt.family == "gray" else "rgb"
    for index, frame in enumerate(frames_of(open_source(info), shots=True)):
        numbers = to_picture(frame, color, "rgb" if domain == "rgb" else "y").data
        yield pixels(numbers.double() * 255), frame.opens_shot or index == 0


def _check_size(clip: Clip, hr: Pixels, scale: int) -> None:
    height, width = hr.shape[:2]
    if min(height, width) - 2 * scale < SMALLEST:
        raise UnsupportedInput(
            f"{clip.path} is too small to be measured at x{scale}: {width}x{height}",
            hint=f"HR must have at least {SMALLEST + 2 * scale} pixels a side.",
        )


def _check_pair(clip: Clip, hr: Sequence[Pixels], lr: Sequence[Pixels], scale: int) -> None:
    if len(hr) != len(lr):
        raise InputError(f"{clip.lr} has {len(lr)} frames, its HR {clip.path} has {len(hr)}")
    wanted = tuple(side // scale for side in hr[0].shape[:2])
    if lr[0].shape[:2] != wanted:
        raise UnsupportedInput(
            f"{clip.lr} is {lr[0].shape[1]}x{lr[0].shape[0]}, LR of {clip.path} at x{scale} is {wanted[1]}x{wanted[0]}",
            hint="Name the scale of this LR with --scale.",
        )
    if lr[0].ndim != hr[0].ndim:
        raise UnsupportedInput(f"one of {clip.path} and {clip.lr} is grey, the other is not")


def _degraded(clip: Clip, hr: list[Pixels], scale: int, degradation: Degradation, seed: int) -> list[Pixels]:
    if degradation.kind == "bicubic":
        with torch.inference_mode():
            return [pixels(shrunk(planes(picture), scale)) for picture in hr]
    rng = np.random.default_rng([seed, zlib.crc32(clip.name.encode("utf-8", "surrogateescape"))])
    made, _ = degrade(np.stack(hr), degradation, scale=scale, rng=rng)
    return list(made)
