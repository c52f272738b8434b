"""What stands at a destination before a folder run begins with it: nothing, this very result, or something else.

Held against results.jsonl: source, settings, model. Quick where nothing has changed: two stat calls a file.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from vsr import __version__
from vsr.core.job import Destination
from vsr.core.settings import Resolved, Settings, fields
from vsr.engines import registry
from vsr.jobs.folder.naming import Entry
from vsr.jobs.folder.results import Asked, Result, Results, source_of
from vsr.jobs.folder.rules import Rule
from vsr.jobs.journal import Json
from vsr.jobs.work import is_published, work_folder

State = Literal["new", "done", "passed", "waiting", "other"]
_CLOCK_S = 0.05  # file systems tell time in ticks, and a little late
# How the machine does it, not what comes of it.
_NO_TRACE = {
    "device", "batch", "tile", "workers", "chunk_frames", "cluster", "address", "max_pixels", "overwrite", "restart",
    "force", "strict", "verify", "trace", "trace_frames",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """state: `new`: to be made; `done`; `passed`: a rule passes it over; `other`: what stands there is something else.

    `waiting`: it is made, and not stored at its URL yet.

    found: a line that is missing in results.jsonl: the run was ended between the result and its line.
    """

    state: State
    reason: str = ""
    found: Result | None = None


class Judge:
    """Tells what stands at destinations, for one wish: settings and rules of a folder run."""

    def __init__(self, resolved: Resolved, rules: Sequence[Rule], *, is_usual: bool) -> None:
        said = json.dumps([touching(resolved.settings), repr(rules), is_usual], sort_keys=True)
        self.folder = hashlib.sha256(said.encode()).hexdigest()
        self._models: dict[tuple[str | None, float | None, int | None], tuple[str, int, str]] = {}

    def standing(self, entry: Entry, results: Results, settings: Callable[[], Settings]) -> Standing:
        """Tell what stands at an entry's destination; `settings` gives the file's own, and is called if need be.

        Raises:
            InputError: the source cannot be read.
        """
        passed, made, begun = (known.get(entry.name) for known in (results.passed, results.made, results.begun))
        if passed and passed.asked.folder == self.folder and passed.source.difference(entry.found) is None:
            return Standing(state="passed", reason=passed.reason)
        if entry.url is not None:
            return self._by_url(entry, made, begun, settings)
        if entry.destination.is_dir():
            return Standing(state="other", reason="it is a folder")
        try:
            there = entry.destination.stat()
        except OSError:
            return Standing(state="new")
        recovered = None
        if work_folder(planned(entry)).exists():
            if is_published(planned(entry)):
                return Standing(state="new")  # ended before it had tidied up: the run of it does the rest
        elif entry.name not in results.put_down and (recovered := _recovered(begun, there)):
            made = recovered
        return self._held(entry, made, there.st_size, settings, recovered)

    def _by_url(
        self, entry: Entry, made: Result | None, begun: Result | None, settings: Callable[[], Settings]
    ) -> Standing:
        """Tell it of a result that goes to a URL: is it made and waits here, and what lies there?"""
        waiting = None
        if not work_folder(planned(entry)).exists():
            with suppress(OSError):  # nothing is here
                waiting = _recovered(begun, entry.destination.stat())
        if waiting is not None and not self._changed(entry, waiting, waiting.bytes, settings):
            return Standing(state="waiting", reason="it is made, and to be stored", found=waiting)
        if entry.stored is None:
            return Standing(state="new")
        return self._held(entry, made, entry.stored, settings)

    def _held(
        self,
        entry: Entry,
        made: Result | None,
        size: int,
        settings: Callable[[], Settings],
        recovered: Result | None = None,
    ) -> Standing:
        """Hold what stands there, of so many bytes, against what was noted."""
        changed = "nothing is known of what it was made from"
        if made is not None:
            changed = self._changed(entry, made, size, settings)
        if made is None or changed:
            return Standing(state="other", reason=changed)
        reason = "" if made.version == __version__ else f"made by vsr {made.version}"
        return Standing(state="done", reason=reason, found=recovered)

    def _changed(self, entry: Entry, made: Result, size: int, settings: Callable[[], Settings]) -> str:
        """Say in what the source, the wish or the result differs from what was noted; "" if in nothing."""
        if made.bytes != size:
            return f"it has changed since it was made ({size} bytes, was {made.bytes})"
        if difference := made.source.difference(entry.found):
            return f"made from another source: {difference}"
        now = made.asked.settings if made.asked.folder == self.folder else touching(settings())
        reference, scale, digest = self._model(now, made)
        told = differences(_told(made.asked.settings, made.model_scale), _told(now, scale))
        if reference == made.model:  # by whatever name
            told = [text for text in told if not text.startswith("model: ")]
        if told:
            return f"made with other settings: {'; '.join(told)}"
        if (reference, scale) != (made.model, made.model_scale):
            return f"made by another model: {made.model}, now {reference}"
        return "" if digest == made.model_digest else f"made by another {reference}: its weights have changed"

    def _model(self, asked: Mapping[str, Json], made: Result) -> tuple[str, int, str]:
        """Give reference, scale and digest of the model that would be taken; an exact size keeps what it was."""
        model, scale, frames = asked.get("model"), asked.get("scale"), asked.get("frames")
        if _is_exact(asked):
            model, scale = made.model, made.model_scale
        key = (
            model if isinstance(model, str) else None,
            float(scale) if isinstance(scale, int | float) else None,
            frames if isinstance(frames, int) else None,
        )
        if key not in self._models:
            choice = registry.choose(*key)
            self._models[key] = choice.reference, choice.scale, choice.card.digest
        return self._models[key]


def _recovered(begun: Result | None, there: os.stat_result) -> Result | None:
    """Give the line of a result that lacks it, for the run was ended before: one that is newer than its beginning.

    With nothing half-made beside it, that is: only a whole result takes its name.
    """
    if begun is None or there.st_mtime_ns / 1e9 + _CLOCK_S < _seconds(begun.at):
        return None
    return replace(begun, status="done", bytes=there.st_size)


def _told(asked: Mapping[str, Json], scale: int) -> dict[str, Json]:
    """Give what was asked for, with the scale that the model has where none was named."""
    return dict(asked) if _is_exact(asked) else {"scale": float(scale), **asked}


def _is_exact(asked: Mapping[str, Json]) -> bool:
    return "width" in asked or "height" in asked


def touching(settings: Settings) -> dict[str, Json]:
    """Give the settings that touch a pixel and are not left to their defaults."""
    found: dict[str, Json] = {}
    for item in fields():
        value = getattr(getattr(settings, item.block), item.name)
        if item.name not in _NO_TRACE and value != item.default:
            found[item.name] = value
    return found


def differences(before: Mapping[str, Json], now: Mapping[str, Json]) -> list[str]:
    """Name every setting that is not what it was: `scale: 4, was 2`."""
    names = sorted(before.keys() | now.keys())
    return [
        f"{name}: {now.get(name, 'default')}, was {before.get(name, 'default')}"
        for name in names
        if before.get(name) != now.get(name)
    ]


def result_of(entry: Entry, folder: str, settings: Settings) -> Result:
    """Give a line about an entry, as far as it is known before it is planned.

    Raises:
        InputError: the source cannot be read.
    """
    asked = Asked(folder=folder, settings=touching(settings))
    return Result(
        destination=entry.name, status="begun", source=source_of(entry.found), asked=asked, version=__version__
    )


def planned(entry: Entry) -> Destination:
    """Give an entry's destination as far as its work folder depends on it."""
    given = entry.given()
    return given if isinstance(given, Destination) else Destination(path=given, kind="video", container="")


def _seconds(at: str) -> float:
    try:
        return datetime.fromisoformat(at).timestamp()
    except ValueError:
        return float("inf")
