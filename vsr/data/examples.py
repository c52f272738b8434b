"""Examples: items of training material brought into the form that crops are cut from.

Pixels stay codes of 8 bits, so that a collection of photographs fits into memory, or onto the device that trains.
"""

from __future__ import annotations

import hashlib
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vsr.core.errors import InputError, NotMedia
from vsr.core.events import Report, Warned, Worked, silent
from vsr.core.frame import Domain
from vsr.data.degrade import Degradation, degrade, shrink
from vsr.data.material import Codes, Item, picture_codes, video_codes
from vsr.data.synthetic_motion import draw_path, move
from vsr.temporal.align import differences


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Example:
    """lr: (C, h, w) and hr: (C, s*h, s*w), codes, uint8. aligned: (N-1, C, s*h, s*w) float16, black 0 and white 1.

    window: (N, C, h, w) codes, uint8, oldest first, where the network reads the frames as they are.
    """

    name: str
    lr: Tensor
    hr: Tensor
    aligned: Tensor | None = None
    window: Tensor | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ExampleSpec:
    """How items become examples. frames: N of a window; the rest as in `training.recipe.DataRecipe`.

    alignment: `grid` gives the aligned neighbours' differences, `none` the LR frames of the window as they are.
    """

    scale: int
    domain: Domain
    degradation: Degradation
    frames: int = 1
    alignment: Literal["none", "grid"] = "grid"
    sizes: tuple[float, ...] = (1.0,)
    draws: int = 1
    motion: int = 1
    reach: float = 8.0
    still: float = 0.2
    clip_windows: int = 12
    smallest: int = 32  # LR pixels a side


def unit(codes: Tensor, domain: Domain) -> Tensor:
    """Give codes as float32, black 0 and white 1: luma in studio range, RGB in full range."""
    return (codes.float() - 16) / 219 if domain == "y" else codes.float() / 255


def build(
    items: Sequence[Item], spec: ExampleSpec, *, seed: int, use: str = "train", report: Report = silent
) -> list[Example]:
    """Give the examples of all items, for a `use` that errors name.

    What is drawn for an item depends on the seed and its name alone.

    An item that cannot be read, or is too small, is reported by name and left out.

    Raises:
        NotMedia: none is left.
    """
    examples: list[Example] = []
    bad = 0
    for number, item in enumerate(items, start=1):
        own = int.from_bytes(hashlib.sha256(os.fsencode(item.name)).digest()[:8], "little")
        rng = np.random.default_rng([seed, own])
        try:
            made = list(_of_item(item, spec, rng))
        except InputError as error:
            bad += 1
            report(Warned(message=f"left out: {error.message}"))
            continue
        if not made:
            bad += 1
            report(Warned(message=f"left out: {item.files[0]} gives no crop of {spec.smallest * spec.scale} pixels"))
        examples += made
        report(Worked(done=number, total=len(items), unit="files"))
    if bad:
        report(Warned(message=f"{bad} of {len(items)} files left out"))
    if not examples:
        raise NotMedia(f"nothing to {use} on is left", hint="Pictures must be readable, and larger than a crop.")
    return examples


def digest_of(examples: Iterable[Example]) -> str:
    """Give a digest of names, sizes and LR of examples that lie on the CPU: it changes where a picture does."""
    digest = hashlib.sha256()
    for example in examples:
        digest.update(os.fsencode(f"{example.name} {tuple(example.lr.shape)} {tuple(example.hr.shape)} "))
        digest.update(example.lr.numpy().tobytes())
        if example.window is not None:
            digest.update(example.window.numpy().tobytes())
    return digest.hexdigest()


def _of_item(item: Item, spec: ExampleSpec, rng: np.random.Generator) -> Iterator[Example]:
    source: Callable[[Item, ExampleSpec, np.random.Generator], Iterator[Example]]
    source = {"picture": _of_picture, "video": _of_video, "window": _of_prepared}[item.kind]
    for example in source(item, spec, rng):
        if min(example.lr.shape[-2:]) >= spec.smallest:
            yield example


def _of_picture(item: Item, spec: ExampleSpec, rng: np.random.Generator) -> Iterator[Example]:
    photo = picture_codes(item.files[0], spec.domain)
    for size in spec.sizes:
        height, width = (max(1, round(side * size)) for side in photo.shape[:2])
        sized = photo if size == 1 else shrink(photo[None], height, width)[0]
        if spec.frames == 1:
            draws = 1 if spec.degradation.kind == "bicubic" else spec.draws
            for _ in range(draws):
                yield from _made(item.name, sized[None], spec, rng)
            continue
        for _ in range(spec.motion):
            path = draw_path(rng, reach=spec.reach, still=spec.still)
            yield from _made(item.name, move(sized, path, frames=spec.frames), spec, rng)


def _of_video(item: Item, spec: ExampleSpec, rng: np.random.Generator) -> Iterator[Example]:
    """Read it twice, so that a long video takes no more memory than one window."""
    ends: list[int] = []  # of windows that lie within one shot
    since_cut = 0
    for number, (_, opens_shot) in enumerate(video_codes(item.files[0], spec.domain)):
        since_cut = 1 if opens_shot else since_cut + 1
        if since_cut >= spec.frames:
            ends.append(number)
    if not ends:
        raise InputError(f"{item.files[0]} has no {spec.frames} frames within one shot")
    chosen = np.linspace(0, len(ends) - 1, min(len(ends), spec.clip_windows)).round().astype(int)
    wanted = {ends[index] for index in chosen}
    window: deque[Codes] = deque(maxlen=spec.frames)
    for number, (codes, _) in enumerate(video_codes(item.files[0], spec.domain)):
        window.append(codes)
        if number in wanted:
            yield from _made(item.name, np.stack(window), spec, rng)


def _of_prepared(item: Item, spec: ExampleSpec, rng: np.random.Generator) -> Iterator[Example]:
    if len(item.files) < spec.frames:
        raise InputError(f"{item.files[0].parent} has {len(item.files)} frames, a window takes {spec.frames}")
    first = (len(item.files) - spec.frames) // 2
    part = slice(first, first + spec.frames)
    hr, lr = (np.stack([picture_codes(file, spec.domain) for file in files[part]]) for files in (item.files, item.lr))
    if hr.shape[1:3] != tuple(side * spec.scale for side in lr.shape[1:3]):
        raise InputError(
            f"{item.files[0]}: HR {hr.shape[2]}x{hr.shape[1]} is not {spec.scale} times LR {lr.shape[2]}x{lr.shape[1]}"
        )
    yield _example(item.name, lr, hr, spec)


def _made(name: str, window: Codes, spec: ExampleSpec, rng: np.random.Generator) -> Iterator[Example]:
    """Degrade a window, unless it is too small for one LR pixel."""
    height, width = (side // spec.scale * spec.scale for side in window.shape[1:3])
    if min(height, width) < spec.scale:
        return
    hr = np.ascontiguousarray(window[:, :height, :width])
    lr, _ = degrade(hr, spec.degradation, scale=spec.scale, rng=rng)
    yield _example(name, lr, hr, spec)


def _example(name: str, lr: Codes, hr: Codes, spec: ExampleSpec) -> Example:
    center = spec.frames // 2
    aligned = window = None
    if spec.frames > 1:
        window = torch.stack([_planes(picture) for picture in lr])
        if spec.alignment == "grid":
            aligned = differences(unit(window, spec.domain), scale=spec.scale).half()
            window = None
    return Example(name=name, lr=_planes(lr[center]), hr=_planes(hr[center]), aligned=aligned, window=window)


def _planes(picture: NDArray[np.uint8]) -> Tensor:
    array = picture[None] if picture.ndim == 2 else picture.transpose(2, 0, 1)
    return torch.from_numpy(np.ascontiguousarray(array))
