"""Where a result goes: what the user's path means, and the name that is chosen without one."""

from __future__ import annotations

import re
from pathlib import Path

from vsr.core.errors import OutputError, OutputExists, UsageError
from vsr.core.job import Destination, DestinationKind
from vsr.core.media import MediaInfo
from vsr.io.containers import container_of, default_container, suffix_of

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


def destination(
    info: MediaInfo, path: Path | None, *, container: str | None, label: str, overwrite: bool
) -> Destination:
    """Decide kind, container and path of the result; `label` (model and scale) names it when `path` is None.

    A path with a picture's suffix is one image (or, with `%06d` in its name, a sequence); with another suffix a
    video; without a suffix, or an existing folder, a folder of images.

    Raises:
        UsageError: an image asked of a video, or a video and an image container together.
        OutputExists: it is there, and `overwrite` is not set.
        OutputError: it is the source itself.
    """
    made = _by_default(info, container, label) if path is None else _from_path(info, path, container)
    _refuse_source(info, made)
    if not overwrite and _exists(made):
        raise OutputExists(f"{made.path} exists", hint="Add --overwrite to replace it, or name another with -o.")
    return made


def _by_default(info: MediaInfo, container: str | None, label: str) -> Destination:
    source = info.path
    if container in IMAGE_CONTAINERS and info.kind != "image":
        stem = _stem(source)
        return _sequence(source.parent / f"{stem}_{label}", container, "%06d" + IMAGE_CONTAINERS[container])
    if info.kind == "image":
        kind = container or _IMAGE_SUFFIXES.get(source.suffix.lower(), "png")
        path = source.with_name(f"{source.stem}_{label}{IMAGE_CONTAINERS.get(kind, '.png')}")
        return Destination(path=path, kind="image", container=kind)
    if info.kind == "sequence" and container is None:
        suffix = info.files[0].suffix.lower()
        kind = _IMAGE_SUFFIXES.get(suffix, "png")
        return _sequence(source.parent / f"{_stem(source)}_{label}", kind, "%06d" + IMAGE_CONTAINERS[kind])
    name = container or default_container(info)
    name = container_of(name)
    return Destination(path=source.parent / f"{_stem(source)}_{label}{suffix_of(name)}", kind="video", container=name)


def _stem(source: Path) -> str:
    """Give the source's name without suffix; a pattern's name without its number."""
    if source.is_dir():
        return source.resolve().name
    return _PATTERN.sub("", source.stem).strip("_-. ") or source.resolve().parent.name


def _from_path(info: MediaInfo, path: Path, container: str | None) -> Destination:
    suffix = path.suffix.lower()
    if suffix in _IMAGE_SUFFIXES:
        kind = container if container in IMAGE_CONTAINERS else _IMAGE_SUFFIXES[suffix]
        numbers = _PATTERN.findall(path.name)
        if len(numbers) > 1:
            raise UsageError(f"{path.name} has {len(numbers)} places for the frame's number", hint="Keep one %d.")
        if numbers:
            before, number, after = _parted(path.name)
            return _sequence(path.parent, kind, before.replace("%", "%%") + number + after.replace("%", "%%"))
        if info.kind != "image":
            raise UsageError(
                f"{path} is one image, but {info.path} has {info.frame_count} frames",
                hint=f"Write {path.with_name('%06d' + suffix)} for a sequence of images.",
            )
        return Destination(path=path, kind="image", container=kind)
    if path.is_dir() or not suffix:
        kind = container if container in IMAGE_CONTAINERS else "png"
        return _sequence(path, kind, "%06d" + IMAGE_CONTAINERS[kind])
    if container in IMAGE_CONTAINERS:
        raise UsageError(f"{path} is a video, but container {container!r} means images", hint="Name a folder with -o.")
    if info.kind == "image":
        raise UsageError(
            f"{info.path} is one image, {path} would be a video", hint="Give the output a picture's suffix."
        )
    # The name is what the user wrote; a container, from a preset maybe, only speaks where the name says nothing.
    return Destination(path=path, kind="video", container=container_of(str(path)))


def _parted(name: str) -> tuple[str, str, str]:
    """Give what stands before the number of a pattern, the number, and what follows."""
    match = _PATTERN.search(name)
    assert match is not None
    return name[: match.start()], match[0], name[match.end() :]


def _sequence(folder: Path, container: str | None, pattern: str) -> Destination:
    kind: DestinationKind = "sequence"
    return Destination(path=folder, kind=kind, container=container or "png", pattern=pattern)


def _refuse_source(info: MediaInfo, made: Destination) -> None:
    same = made.path.exists() and info.path.exists() and made.path.samefile(info.path)
    inside = made.kind == "sequence" and any(made.path.resolve() == file.resolve().parent for file in info.files[:1])
    if same or inside:
        raise OutputError(f"{made.path} is the source itself", hint="Name another output with -o.")


def _exists(made: Destination) -> bool:
    if made.kind == "sequence":
        return made.path.is_dir() and any(made.path.iterdir())
    return made.path.exists()
