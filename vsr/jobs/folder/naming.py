"""What results of a folder run are called: the tree mirrored, names by a template, and no two of them one."""

from __future__ import annotations

import difflib
import os
import string
import unicodedata
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from types import MappingProxyType

from vsr.core.errors import UsageError, VsrError
from vsr.core.job import Destination
from vsr.io import remote
from vsr.io.images.sequences import SUFFIXES, is_animation
from vsr.io.muxing.containers import CONTAINERS, container_of, suffix_of
from vsr.jobs.destination import IMAGE_CONTAINERS, LONGEST_NAME, image_container
from vsr.jobs.folder.listing import Found

TEMPLATE = "{stem}{suffix}"
FIELDS: Mapping[str, str] = {
    "stem": "the source's name without its suffix",
    "suffix": "the result's suffix with its dot",
    "ext": "the source's suffix without its dot",
    "model": "the model's name",
    "scale": "the scale, 2 or 1.5",
}
_BECOMES_MP4 = (".gif", ".apng")
_SHOWN = 100


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Entry:
    """A source and where its result goes. name: the result's path below the destination folder, `/` between parts.

    destination: where it is made. url: where it is stored then, if anywhere. stored: bytes of what lies there already.
    """

    found: Found
    name: str
    destination: Path
    url: str | None = None
    stored: int | None = None

    @property
    def address(self) -> str:
        """Give the result's path or URL, as the user knows it."""
        return self.url if self.url is not None else str(self.destination)

    def told(self, message: str) -> str:
        """Give a message with URLs for the places of this machine that stand for them."""
        pairs = ((self.found.path, self.found.address), (self.destination, self.address))
        for path, address in pairs:
            message = message.replace(str(path), address) if remote.is_url(address) else message
        return message

    def given(self) -> Path | Destination:
        """Give the destination as the planner takes it: a `%d` in an image's name is no number's place here."""
        kind = image_container(self.destination)
        if kind is None:
            return self.destination
        return Destination(path=self.destination, kind="image", container=kind)


def _is_moving(found: Found) -> bool:
    """Whether a source by an image's name is a video: an animated WebP. Of one that is away nobody can tell yet."""
    if found.is_away or found.path.suffix.lower() != ".webp":
        return False
    try:
        return is_animation(found.path)
    except OSError:
        return False  # whoever reads it will say why it cannot be read


@dataclass(frozen=True, slots=True, kw_only=True)
class Naming:
    """A template with what it is filled with. scale: None where it differs from file to file. container: asked for."""

    template: str
    model: str
    scale: float | None
    container: str | None

    def __post_init__(self) -> None:
        for field in _fields(self.template):
            if field not in FIELDS:
                close = difflib.get_close_matches(field, FIELDS, n=1)
                told = "; ".join(f"{{{name}}}: {meaning}" for name, meaning in FIELDS.items())
                meant = f"Did you mean {{{close[0]}}}? " if close else ""
                raise UsageError(f"--name {self.template!r}: there is no field {{{field}}}", hint=f"{meant}{told}.")
            if field == "scale" and self.scale is None:
                raise UsageError(
                    f"--name {self.template!r}: with --width or --height the scale differs from file to file",
                    hint="Leave out {scale}.",
                )

    def name(self, found: Found) -> str:
        """Give the result's path below the destination folder; a stem that makes a name too long is cut.

        Raises:
            UsageError: it would lie outside, or says no kind of result.
        """
        suffix = found.path.suffix
        stem = found.path.name.removesuffix(suffix)
        values = {
            "suffix": self._suffix(".gif" if _is_moving(found) else suffix.lower()),
            "ext": suffix.removeprefix("."),
            "model": self.model.replace("/", "-"),
            "scale": f"{self.scale:g}" if self.scale is not None else "",
        }
        made = self._filled(stem, values)
        while stem and len(os.fsencode(PurePosixPath(made).name)) > LONGEST_NAME:
            stem = stem[:-1]
            made = self._filled(stem, values)
        path = PurePosixPath(made)
        if path.is_absolute() or ".." in path.parts or not path.parts:
            raise UsageError(f"--name {self.template!r} leads out of the destination folder: {made}")
        self._check_kind(found, path)
        return str(PurePosixPath(found.name).parent / path)

    def _filled(self, stem: str, values: Mapping[str, str]) -> str:
        parts = string.Formatter().parse(self.template)
        return "".join(text + ({"stem": stem, **values}[field] if field else "") for text, field, _, _ in parts)

    def _suffix(self, source: str) -> str:
        if source in SUFFIXES:
            asked = IMAGE_CONTAINERS.get(self.container or "")
            return asked or (source if source != ".bmp" else ".png")
        if self.container is not None and self.container not in IMAGE_CONTAINERS:
            return suffix_of(container_of(self.container))
        if source in _BECOMES_MP4:
            return ".mp4"
        kept = any(source in rule.suffixes for rule in CONTAINERS.values() if rule.name not in ("avi", "nut"))
        return source if kept else {".3gp": ".mp4", ".3g2": ".mp4", ".mj2": ".mp4", ".f4v": ".mp4"}.get(source, ".mkv")

    def _check_kind(self, found: Found, made: PurePosixPath) -> None:
        is_image = found.path.suffix.lower() in SUFFIXES and not _is_moving(found)
        if image_container(Path(made.name)) is not None:
            if is_image:
                return
            raise UsageError(f"--name {self.template!r} makes an image of {found.name}", hint="End it in {suffix}.")
        if is_image:
            raise UsageError(f"--name {self.template!r} makes no image of {found.name}", hint="End it in {suffix}.")
        try:
            container_of(made.name)
        except VsrError as error:
            raise UsageError(f"--name {self.template!r}: {error.message}", hint="End it in {suffix}.") from error


def entries(
    files: Sequence[Found],
    folder: Path,
    naming: Naming,
    *,
    url: str | None = None,
    stored: Mapping[str, int] = MappingProxyType({}),
) -> tuple[Entry, ...]:
    """Give each source its destination below `folder`. url: below which results are stored, where `stored` lie by now.

    Raises:
        UsageError: as `Naming.name`.
    """
    made = []
    for found in files:
        name = naming.name(found)
        final = f"{url}/{name}" if url is not None else None
        made.append(Entry(found=found, name=name, destination=folder / name, url=final, stored=stored.get(name)))
    return tuple(made)


def clashes(entries: Sequence[Entry]) -> dict[int, str]:
    """Say what cannot be, by the place of the entry: names that are one, or would replace a source.

    Names that differ in case alone, or in how Unicode writes an accent, count as one: on other disks they are.
    """
    same: dict[str, list[int]] = defaultdict(list)
    for place, entry in enumerate(entries):
        same[_folded(entry.name)].append(place)
    said: dict[int, str] = {}
    for places in same.values():
        if len(places) > 1:
            sources = " and ".join(entries[place].found.name for place in places)
            names = " and ".join(dict.fromkeys(entries[place].name for place in places))
            said.update(dict.fromkeys(places, f"{sources} -> {names}"))
    real = {_real(entry.found.address) for entry in entries}
    for place, entry in enumerate(entries):
        if _real(entry.address) in real:
            said[place] = f"{entry.found.name} -> {entry.address}, which is a source"
        inside = next((str(up) for up in PurePosixPath(entry.name).parents if _folded(str(up)) in same), None)
        if inside is not None:
            said[place] = f"{entry.found.name} -> {entry.name}, and {inside} is a file"
    return said


def refuse_clashes(entries: Sequence[Entry]) -> None:
    """Raise before any work where two sources would have one name.

    Raises:
        UsageError: with every clash.
    """
    said = list(dict.fromkeys(clashes(entries).values()))
    if not said:
        return
    shown = "\n".join(f"  {text}" for text in said[:_SHOWN])
    more = f"\n  and {len(said) - _SHOWN} more" if len(said) > _SHOWN else ""
    raise UsageError(
        f"results would have the names of others:\n{shown}{more}",
        hint='Tell them apart (--name "{stem}_{ext}{suffix}"), leave some out (--exclude), or name another '
        "destination.",
    )


def _real(address: str) -> str:
    return remote.plain(address) if remote.is_url(address) else os.path.realpath(address)


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def _fields(template: str) -> list[str]:
    try:
        parts = list(string.Formatter().parse(template))
    except ValueError as error:
        raise UsageError(
            f"--name {template!r} cannot be read: {error}", hint="A brace itself is written {{."
        ) from error
    for _, field, form, conversion in parts:
        if field is not None and (form or conversion):
            raise UsageError(f"--name {template!r}: {{{field}}} takes no format", hint=f"Write {{{field}}} alone.")
    return [field for _, field, _, _ in parts if field is not None]
