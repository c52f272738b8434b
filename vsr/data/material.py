"""Training material: what lies in the folders a user names, and its pixels as codes of 8 bits.

A folder may hold pictures, videos, windows as `vsr prepare` writes them (`hr_128/ID/frame_0_hr_128.png` beside
`lr_16/...`), or any of them in `train` and `val` parts.
"""

from __future__ import annotations

import fnmatch
import hashlib
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from vsr.color.tables import resolve
from vsr.core.errors import InputError, InputMissing, NotMedia
from vsr.core.frame import Domain, pixel_format
from vsr.core.media import WHOLE
from vsr.io.decoding.decode import open_source
from vsr.io.images.files import decode_image
from vsr.io.images.sequences import SUFFIXES, is_image, natural_key
from vsr.io.limits import MAX_PIXELS
from vsr.io.probe import probe
from vsr.pipeline.pictures import pictures

Codes = NDArray[np.uint8]

VIDEOS = (".mp4", ".mkv", ".mov", ".webm", ".avi", ".ts", ".m4v", ".nut", ".mpg")
_HR = re.compile(r"hr(_\d+)?")
_TAKEN = "It takes pictures, videos, or what vsr prepare made."
_HELD_OUT = 10  # one of so many, where the user names none


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One source of examples. files: the pictures of a prepared window in order, else the one file; lr: beside them."""

    name: str
    kind: Literal["picture", "video", "window"]
    files: tuple[Path, ...]
    lr: tuple[Path, ...] = ()


def find(
    folders: Sequence[Path], *, only: Sequence[str] = (), holdout: Sequence[str] | None = ()
) -> tuple[list[Item], list[Item]]:
    """Give the items for training and those for validation, in natural order. A file is a folder of one item.

    only, holdout: patterns (`cid22*`) of names without suffix; see `training.recipe.DataRecipe`. holdout None:
    all but what lies in `val` parts is for training. Where nothing is for validation, the last for training is; where
    everything would be, all of it is for both.

    Raises:
        InputMissing: a folder does not exist.
        NotMedia: there are no pictures and videos, or none that `only` lets through.
    """
    train: list[Item] = []
    val: list[Item] = []
    for folder in folders:
        if not folder.exists():
            raise InputMissing(f"{folder} does not exist", hint="Name folders of pictures or videos with --data.")
        if (folder / "train").is_dir():
            train += _items(folder / "train", only)
            val += _items(folder / "val", only) if (folder / "val").is_dir() else []
            continue
        for item in _items(folder, only):
            (val if holdout is not None and _is_held_out(item.name, holdout) else train).append(item)
    if not (train or val):
        named = ", ".join(str(folder) for folder in folders)
        hint = f"The recipe takes what data.only names: {', '.join(only)}." if only else _TAKEN
        raise NotMedia(f"{named}: nothing to train on", hint=hint)
    return train or val, val or train[-1:]


def picture_codes(path: Path, domain: Domain) -> Codes:
    """Give a picture: RGB (H, W, 3), or BT.601 studio luma (H, W) as the protocol of the papers has it.

    Raises:
        InputMissing, NotMedia, UnsupportedInput, InputLimits, DecodeError: it cannot be read.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise InputMissing(f"{path} does not exist") from error
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    planes = decode_image(path, data, max_pixels=MAX_PIXELS)
    if planes[0].dtype == np.uint16:
        planes = tuple((plane / 257).round().astype(np.uint8) for plane in planes)
    green, blue, red = planes[:3] if len(planes) > 2 else (planes[0],) * 3
    if domain == "rgb":
        return np.dstack([red, green, blue]).astype(np.uint8)
    luma = 16 + np.dstack([red, green, blue]) @ np.array((65.481, 128.553, 24.966)) / 255
    return np.asarray(np.rint(luma), np.uint8)


def video_codes(path: Path, domain: Domain) -> Iterator[tuple[Codes, bool]]:
    """Yield a video's frames as `picture_codes` gives pictures, and whether each opens a shot.

    Raises:
        InputError: it cannot be read; see `core/errors.py`.
    """
    info = probe(path, scan=False)
    color = resolve(info.video.color, pixel_format(info.video.pixel_format), info.video.width, info.video.height)
    for picture in pictures(open_source(info), WHOLE, domain=domain, color=color, shots=True):
        data = picture.data.numpy()
        codes = data[0] * 219 + 16 if domain == "y" else data.transpose(1, 2, 0) * 255
        yield np.clip(np.rint(codes), 0, 255).astype(np.uint8), picture.opens_shot


def _items(folder: Path, only: Sequence[str]) -> list[Item]:
    return [item for item in _every_item(folder) if not only or _matches(item.name, only)]


def _every_item(folder: Path) -> list[Item]:
    if folder.is_file():
        return _media([folder], folder.parent)
    for tree in sorted(path for path in folder.iterdir() if path.is_dir() and _HR.fullmatch(path.name)):
        return _prepared(tree)
    files = (path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    return _media(sorted(files, key=lambda path: natural_key(str(path))), folder)


def _media(files: Sequence[Path], folder: Path) -> list[Item]:
    items = []
    for path in files:
        name = str(path.relative_to(folder).with_suffix(""))
        if path.suffix.lower() in SUFFIXES:
            items.append(Item(name=name, kind="picture", files=(path,)))
        elif path.suffix.lower() in VIDEOS:
            items.append(Item(name=name, kind="video", files=(path,)))
    return items


def _prepared(hr: Path) -> list[Item]:
    """Give the windows of a tree that `vsr prepare` wrote; a picture in the tree itself is a window of one."""
    lr = next((path for path in sorted(hr.parent.iterdir()) if path.is_dir() and path.name.startswith("lr_")), None)
    if lr is None:
        raise InputMissing(f"{hr.parent} has {hr.name} but no lr_... beside it", hint="Make it again: vsr prepare.")
    windows = [path for path in hr.iterdir() if path.is_dir()]
    groups = [(path.name, _pictures(path), _pictures(lr / path.name)) for path in windows]
    if not windows:
        whole, small = _pictures(hr), _pictures(lr)
        if len(whole) != len(small):
            raise InputError(f"{hr}: {len(whole)} pictures, {len(small)} in {lr.name}", hint="Prepare it again.")
        groups = [(first.stem, (first,), (second,)) for first, second in zip(whole, small, strict=True)]
    items = []
    for name, high, low in sorted(groups, key=lambda group: natural_key(group[0])):
        if len(high) != len(low) or not high:
            raise InputError(f"{hr / name}: {len(high)} pictures, {len(low)} in {lr.name}", hint="Prepare it again.")
        items.append(Item(name=name, kind="window", files=high, lr=low))
    return items


def _pictures(folder: Path) -> tuple[Path, ...]:
    if not folder.is_dir():
        return ()
    found = (path for path in folder.iterdir() if path.is_file() and is_image(path))
    return tuple(sorted(found, key=lambda path: natural_key(path.name)))


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def _is_held_out(name: str, holdout: Sequence[str]) -> bool:
    if holdout:
        return _matches(name, holdout)
    return int(hashlib.sha256(os.fsencode(name)).hexdigest(), 16) % _HELD_OUT == 0
