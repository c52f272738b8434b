"""What there is to prepare: videos, folders of frames or single images, each with an id and the video it belongs to."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from vsr.core.errors import InputError, InputMissing, NotMedia, UsageError
from vsr.data.sources import VIDEO_SUFFIXES
from vsr.io.images.sequences import SUFFIXES, is_image, natural_key
from vsr.io.inputs import missing


@dataclass(frozen=True, slots=True, kw_only=True)
class Clip:
    """One thing to prepare. id: its name in the result; video: what must stay in one part of the split."""

    path: Path
    id: str
    video: str
    kind: Literal["video", "frames", "image"]

    @property
    def stamp(self) -> str:
        """A digest of the names, sizes and times of change of its files, to notice that it is another one now.

        Raises:
            InputMissing: one of them has gone.
        """
        try:
            files = sorted(self.path.iterdir()) if self.kind == "frames" else [self.path]
            told = [(file.name, file.stat()) for file in files if self.kind != "frames" or is_image(file)]
        except OSError as error:
            raise InputMissing(f"{self.path} cannot be read: {error.strerror}") from error
        text = "\n".join(f"{status.st_size} {status.st_mtime_ns} {name}" for name, status in told)
        return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:16]


def find_clips(source: Path, out: Path | None = None) -> list[Clip]:
    """Give the clips of a video, or of a folder of videos, of folders of frames, or of images; in natural order.

    Folders are searched to any depth; names that start with a dot are passed over. An id is the path below `source`
    without suffix, `/` written `_`. All that lies below one folder of `source` belongs to one video. out: a folder that
    is passed over, because the result lies there.

    Raises:
        InputMissing: it does not exist.
        NotMedia: nothing in it can be prepared.
        UsageError: images lie beside videos or folders of frames, or two clips have one id.
    """
    if not source.exists():
        raise missing(source)
    if source.is_file():
        kind: Literal["video", "image"] = "image" if source.suffix.lower() in SUFFIXES else "video"
        return [Clip(path=source, id=source.stem, video=source.stem, kind=kind)]
    clips = sorted(_below(source, source, out), key=lambda clip: natural_key(clip.id))
    if not clips:
        raise NotMedia(
            f"folder {source} holds no videos, no images and no folders of them",
            hint=f"Images end in {', '.join(SUFFIXES)}.",
        )
    kinds = {clip.kind for clip in clips}
    if "image" in kinds and len(kinds) > 1:
        raise UsageError(
            f"{source} holds single images beside videos or folders of frames",
            hint="Prepare them one after the other, into folders of their own.",
        )
    seen: dict[str, Clip] = {}
    for clip in clips:
        other = seen.setdefault(clip.id.casefold(), clip)
        if other is not clip:
            raise UsageError(f"{other.path} and {clip.path} would both be named {clip.id}", hint="Rename one of them.")
    return clips


def _below(folder: Path, root: Path, out: Path | None) -> Iterator[Clip]:
    is_out = out is not None and folder != root and out.exists() and folder.samefile(out)
    if is_out:
        return
    try:
        entries = [entry for entry in folder.iterdir() if not entry.name.startswith(".")]
    except OSError as error:
        raise InputError(f"folder {folder} cannot be read: {error.strerror}") from error
    images = [entry for entry in entries if entry.is_file() and entry.suffix.lower() in SUFFIXES]
    if images and folder != root:
        yield _clip(folder, root, "frames")
    elif images:
        for image in images:
            yield _clip(image, root, "image")
    for entry in entries:
        if entry.is_dir():
            yield from _below(entry, root, out)
        elif entry.is_file() and entry.suffix.lower() in VIDEO_SUFFIXES:
            yield _clip(entry, root, "video")


def _clip(path: Path, root: Path, kind: Literal["video", "frames", "image"]) -> Clip:
    below = path.relative_to(root)
    named = below if kind == "frames" else below.with_suffix("")
    return Clip(path=path, id="_".join(named.parts), video=named.parts[0], kind=kind)
