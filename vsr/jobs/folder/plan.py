"""What a folder run would do, how long it would take and how large its results would be; nothing is written.

Of each kind of files (model, sizes) one is planned and its first frames run; the others are reckoned from it.
"""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from vsr.core.errors import InputMissing, VsrError
from vsr.core.job import Destination
from vsr.core.settings import Resolved
from vsr.io.atomic import free_bytes
from vsr.jobs.describe import pace
from vsr.jobs.folder.naming import Entry, refuse_clashes
from vsr.jobs.folder.rules import Traits
from vsr.jobs.folder.run import FolderRun
from vsr.jobs.folder.standing import Standing, State, planned
from vsr.jobs.folder.wish import Wish
from vsr.jobs.plan import plan
from vsr.jobs.preflight import forecast_bytes
from vsr.jobs.status import read as read_status
from vsr.jobs.work import work_folder

_NOT_HERE = "not looked at: it is fetched when its turn comes"
TIMED_KINDS = 8  # so many are run; the time of the others goes by their pixels
Action = Literal["make", "go on", "done", "skip", "refuse"]
_SETTLED: Mapping[State, Action] = {"done": "done", "passed": "skip", "waiting": "go on"}


@dataclass(frozen=True, slots=True, kw_only=True)
class FilePlan:
    """One file. seconds, bytes: forecasts of what is to be made, else 0. settings: what rules set, by name.

    is_unknown: it would have to be fetched first, and was not looked at: no rule was tried on it, nothing is forecast.
    """

    source: Path | str
    destination: Path | str
    action: Action
    reason: str = ""
    width: int = 0
    height: int = 0
    frames: int = 0
    seconds: float = 0.0
    bytes: int = 0
    settings: tuple[tuple[str, str], ...] = ()
    is_unknown: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderPlan:
    """All files, and their sums. free_bytes: where the results would be made. unknown: files that nobody looked at."""

    files: tuple[FilePlan, ...]
    others: int
    seconds: float
    bytes: int
    free_bytes: int
    unknown: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rate:
    """What one file of a kind showed."""

    start_s: float
    seconds_a_frame: float
    pixels: int
    bytes_a_byte: float  # of the result, for one of the source


class _Rates:
    """Rates of kinds of files, each measured when it is first met."""

    def __init__(self) -> None:
        self.known: dict[tuple[object, ...], _Rate] = {}

    def of(self, entry: Entry, traits: Traits, resolved: Resolved) -> _Rate:
        """Give the rate of a file's kind.

        Raises:
            VsrError: it cannot be planned, or its first frames cannot be done.
        """
        key = (resolved.settings.engine, resolved.settings.temporal, traits.kind, traits.width, traits.height)
        if key not in self.known:
            if len(self.known) >= TIMED_KINDS:
                return min(self.known.values(), key=lambda rate: abs(rate.pixels - traits.width * traits.height))
            self.known[key] = _measured(entry, resolved)
        return self.known[key]


def plan_folder(wish: Wish, resolved: Resolved) -> FolderPlan:
    """Tell what a folder run would do.

    Raises:
        VsrError: the run itself would not begin.
    """
    with FolderRun(wish, resolved, lambda event: None) as run:
        listing = run.listing()
        made = run.named(listing.files)
        refuse_clashes(made)
        rates = _Rates()
        files = tuple(_plans(run, made, rates))
        start = max((rate.start_s for rate in rates.known.values()), default=0.0)
        return FolderPlan(
            files=files,
            others=listing.others.total(),
            seconds=start + sum(file.seconds for file in files),
            bytes=sum(file.bytes for file in files),
            free_bytes=free_bytes(run.home.folder),
            unknown=sum(file.is_unknown for file in files),
        )


def _plans(run: FolderRun, made: tuple[Entry, ...], rates: _Rates) -> Iterator[FilePlan]:
    for entry in made:
        found = entry.found
        source = found.path if found.origin is None else found.address
        ahead = FilePlan(source=source, destination=entry.url or entry.destination, action="make")
        try:
            yield _plan(run, entry, ahead, rates)
        except VsrError as error:
            yield replace(ahead, action="refuse", reason=error.message)


def _plan(run: FolderRun, entry: Entry, ahead: FilePlan, rates: _Rates) -> FilePlan:
    is_away = entry.found.is_away
    try:
        standing = run.looks.standing(entry, run.results)
    except InputMissing:
        if not is_away:
            raise
        return replace(ahead, reason=_NOT_HERE, is_unknown=True)
    if standing.state in _SETTLED:
        return replace(ahead, action=_SETTLED[standing.state], reason=standing.reason)
    if is_away and (standing.state == "new" or run.is_overwriting):
        return replace(ahead, reason=_NOT_HERE, is_unknown=True)
    if is_away:
        return replace(ahead, action="refuse", reason=f"{entry.address} exists: {standing.reason}")
    return _forecast(run, entry, ahead, rates, standing)


def _forecast(run: FolderRun, entry: Entry, ahead: FilePlan, rates: _Rates, standing: Standing) -> FilePlan:
    """Look at a file that is here, and reckon what it will take."""
    verdict = run.looks.verdict(entry)
    traits = run.looks.traits(entry.found)
    known = replace(ahead, width=traits.width, height=traits.height, frames=traits.frames)
    if verdict.skip:
        return replace(known, action="skip", reason=verdict.skip)
    if standing.state == "other" and not run.is_overwriting:
        return replace(known, action="refuse", reason=f"{entry.address} exists: {standing.reason}")
    rate = rates.of(entry, traits, verdict.resolved)
    share = traits.width * traits.height / rate.pixels
    ruled = _ruled(verdict.resolved)
    done = 0 if verdict.resolved.settings.run.restart else _done(entry)
    return replace(
        known,
        action="go on" if done else "make",
        reason=", ".join(f"{name} {value}" for name, value in ruled.items()),
        seconds=rate.seconds_a_frame * max(0, traits.frames - done) * share,
        bytes=int(rate.bytes_a_byte * entry.found.size),
        settings=tuple(ruled.items()),
    )


def _done(entry: Entry) -> int:
    """Give how many frames an interrupted run has made."""
    folder = work_folder(planned(entry))
    return read_status(folder).frames_done if folder.is_dir() else 0


def _measured(entry: Entry, resolved: Resolved) -> _Rate:
    """Plan a file as if its result went elsewhere, and run its first frames."""
    run = replace(resolved.settings.run, force=True, overwrite=True, trace=None)
    elsewhere = dataclasses.replace(resolved, settings=replace(resolved.settings, run=run))
    with tempfile.TemporaryDirectory(prefix="vsr-plan-") as folder:
        given = entry.given()
        path = Path(folder) / f"result{entry.destination.suffix}"
        where = replace(given, path=path) if isinstance(given, Destination) else path
        job = plan(entry.found.path, where, elsewhere)
        start, each = pace(job)
    video = job.source.video
    return _Rate(
        start_s=max(0.0, start),
        seconds_a_frame=each,
        pixels=video.width * video.height,
        bytes_a_byte=forecast_bytes(job) / max(1, entry.found.size),
    )


def _ruled(resolved: Resolved) -> Mapping[str, str]:
    """Give the settings that rules made, by name."""
    blocks = {item.name: getattr(resolved.settings, item.name) for item in dataclasses.fields(resolved.settings)}
    values = {item.name: getattr(block, item.name) for block in blocks.values() for item in dataclasses.fields(block)}
    return {name: str(values[name]) for name, origin in resolved.origins.items() if origin.startswith("rule ")}
