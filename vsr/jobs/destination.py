"""Where a result goes: what the user's path means, and the name that is chosen without one."""

from __future__ import annotations

import dataclasses
import errno
import re
from collections.abc import Callable
from pathlib import Path

from vsr.core.errors import OutputError, OutputExists, UsageError
from vsr.core.job import Destination, DestinationKind
from vsr.core.media import MediaInfo
from vsr.io.atomic import refuse_device, translate
from vsr.io.images.sequences import kept_names
from vsr.io.muxing.containers import container_of, default_container, suffix_of

IMAGE_CONTAINERS = {"png": ".png", "jpeg": ".jpg", "tiff": ".tiff", "webp": ".webp"}
_IMAGE_SUFFIXES = {
    ".png": "png",
    ".jpg": "jpeg",
    ".jpeg": "jpeg",
    ".tif": "tiff",
    ".tiff": "tiff",
    ".webp": "webp",
}
_PATTERN = re.compile(r"%(0\d+)?d")
_ALIASES = {"jpg": "jpeg", "tif": "tiff"}
LONGEST_NAME = 255  # bytes, of one name, on the file systems in use


def destination(
    info: MediaInfo,
    path: Path | Destination | None,
    *,
    container: str | None,
    label: str,
    overwrite: bool,
    is_ours: Callable[[Destination], bool] = lambda made: False,
) -> Destination:
    """Decide kind, container and path of the result; `label` (model and scale) names it when `path` is None.

    A path with a picture's suffix is one image (or, with `%06d` in its name, a sequence); with another suffix a
    video; without a suffix, or an existing folder, a folder of images, which keep the names of a sequence's own files
    (pattern `*.png`) or are numbered from 1. A Destination is taken as it is.
    is_ours: whether what is there is this job's own result, of a run that was killed before it had tidied up.

    Raises:
        UsageError: an image asked of a video, or a video and an image container together.
        OutputExists: it is there, and `overwrite` is not set.
        OutputError: it is the source itself, or a device.
    """
    container = _ALIASES.get(container or "", container)
    try:
        if isinstance(path, Destination):
            made, path = _given(info, path), path.path
        else:
            made = _by_default(info, container, label) if path is None else _from_path(info, path, container)
        _refuse_source(info, made)
        refuse_device(made.path)
        refuse_taken(made, overwrite=overwrite, is_ours=is_ours)
    except OSError as error:  # a name too long for the system, a folder that may not be looked into
        wanted = path.path if isinstance(path, Destination) else path
        raise translate(error, wanted or info.path) from error
    return made


def refuse_taken(made: Destination, *, overwrite: bool, is_ours: Callable[[Destination], bool]) -> None:
    """Refuse a destination at which something stands that is not to be replaced, and is not `is_ours`.

    Raises:
        OutputExists: it is there, and `overwrite` is not set.
        OSError: it cannot be looked at.
    """
    taken = not overwrite and _taken(made)
    if taken and not is_ours(made):
        raise OutputExists(f"{taken} exists", hint="Add --overwrite to replace it, or name another with -o.")


def image_container(path: Path) -> str | None:
    """Give the image format that a path's suffix means; None if it means none."""
    return _IMAGE_SUFFIXES.get(path.suffix.lower())


def _given(info: MediaInfo, made: Destination) -> Destination:
    if made.kind == "image" and info.frame_count > 1:
        raise UsageError(
            f"{made.path} is one image, but {info.path} has {info.frame_count} frames", hint="Name a video."
        )
    return made


def _by_default(info: MediaInfo, container: str | None, label: str) -> Destination:
    folder, stem = info.path.parent, _stem(info)
    if info.kind == "image":
        kind = container if container in IMAGE_CONTAINERS else _IMAGE_SUFFIXES.get(info.path.suffix.lower(), "png")
        return Destination(path=folder / _named(stem, label, IMAGE_CONTAINERS[kind]), kind="image", container=kind)
    if container in IMAGE_CONTAINERS or (info.kind == "sequence" and container is None):
        kind = container or _IMAGE_SUFFIXES.get(info.files[0].suffix.lower(), "png")
        return _sequence(folder / _named(stem, label, ""), kind, _pattern(info, kind))
    name = container_of(container or default_container(info))
    return Destination(path=folder / _named(stem, label, suffix_of(name)), kind="video", container=name)


def _stem(info: MediaInfo) -> str:
    """Give the source's name without suffix; a sequence's without its number; a folder's as it is."""
    if info.path.is_dir():
        return info.path.resolve().name
    if info.kind != "sequence":
        return info.path.stem
    return _PATTERN.sub("", info.path.stem).strip("_-. ") or info.path.resolve().parent.name


def _named(stem: str, label: str, suffix: str) -> str:
    """Give `STEM_LABEL.SUFFIX`, the stem cut so that the name's bytes stay within what file systems take."""
    tail = f"_{label}{suffix}"
    whole = stem.encode("utf-8", "surrogateescape")[: LONGEST_NAME - len(tail.encode())]
    return (
        whole.decode("utf-8", "ignore") + tail
        if len(whole) < len(stem.encode("utf-8", "surrogateescape"))
        else stem + tail
    )


def _from_path(info: MediaInfo, path: Path, container: str | None) -> Destination:
    """What the name says beats a container, which a preset may have brought."""
    suffix = path.suffix.lower()
    if suffix in _IMAGE_SUFFIXES:
        kind = _IMAGE_SUFFIXES[suffix]
        numbers = _PATTERN.findall(path.name)
        if len(numbers) > 1:
            raise UsageError(f"{path.name} has {len(numbers)} places for the frame's number", hint="Keep one %d.")
        if numbers:
            before, number, after = _parted(path.name)
            pattern = before.replace("%", "%%") + number + after.replace("%", "%%")
            return dataclasses.replace(_sequence(path.parent, kind, pattern), is_shared=True)
        if info.frame_count > 1:
            raise UsageError(
                f"{path} is one image, but {info.path} has {info.frame_count} frames",
                hint=f"Write {path.with_name('%06d' + suffix)} for a sequence of images.",
            )
        return Destination(path=path, kind="image", container=kind)
    if path.is_dir() or not suffix:
        if container is not None and container not in IMAGE_CONTAINERS and not path.is_dir():
            return Destination(path=path, kind="video", container=container_of(container))
        if path.exists() and not path.is_dir():
            raise OutputError(f"{path} is a file, not a folder", hint="Name a folder, or a file with a suffix.")
        kind = container if container in IMAGE_CONTAINERS else "png"
        return _sequence(path, kind, _pattern(info, kind))
    if info.kind == "image":
        raise UsageError(
            f"{info.path} is one image, {path} would be a video", hint="Give the output a picture's suffix."
        )
    return Destination(path=path, kind="video", container=container_of(str(path)))


def _pattern(info: MediaInfo, container: str) -> str:
    """Give the names of pictures that nobody chose: the source's own (`*`) where they can be, else numbers from 1."""
    return ("*" if kept_names(info) else "%06d") + IMAGE_CONTAINERS[container]


def _parted(name: str) -> tuple[str, str, str]:
    """Give what stands before the number of a pattern, the number, and what follows."""
    match = _PATTERN.search(name)
    assert match is not None
    return name[: match.start()], match[0], name[match.end() :]


def _sequence(folder: Path, container: str | None, pattern: str) -> Destination:
    kind: DestinationKind = "sequence"
    return Destination(path=folder, kind=kind, container=container or "png", pattern=pattern)


def _refuse_source(info: MediaInfo, made: Destination) -> None:
    _refuse_circle(made.path)
    same = made.path.exists() and info.path.exists() and made.path.samefile(info.path) and not made.is_shared
    into = made.path.resolve()
    sources = [file for file in info.files if file.resolve().parent == into] if made.kind == "sequence" else []
    if same or any(not made.is_shared or _matches(made, file.name) for file in sources):
        raise OutputError(f"{made.path} is the source itself", hint="Name another output with -o.")


def _refuse_circle(path: Path) -> None:
    """Refuse links that lead in a circle; `exists` takes them for nothing, and `resolve` for a bug."""
    try:
        path.stat()
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise


def _taken(made: Destination) -> Path | None:
    """Give what stands where the result goes: the file, a folder that holds something, a file of the pattern's."""
    if made.kind != "sequence":
        return made.path if made.path.exists() else None
    if not made.path.is_dir():
        return None
    return next((file for file in made.path.iterdir() if not made.is_shared or _matches(made, file.name)), None)


def _matches(made: Destination, name: str) -> bool:
    before, _, after = _parted(made.pattern)
    plain = (before.replace("%%", "%"), after.replace("%%", "%"))
    number = name[len(plain[0]) : len(name) - len(plain[1])]
    return name.startswith(plain[0]) and name.endswith(plain[1]) and number.isdigit()
