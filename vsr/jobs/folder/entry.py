"""A folder run: every video and image of a folder, one job each, through one executor; what is done is passed over.

`listing` finds the sources, `naming` names the results, `run` makes them, `arrivals` waits for more of them.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from vsr.core.errors import InputError, UsageError
from vsr.core.events import FolderListed, FolderSummary, Report, Warned, silent
from vsr.core.presets import find, resolve
from vsr.core.settings import Resolved
from vsr.core.stop import Stop
from vsr.jobs.executors.base import Executor
from vsr.jobs.folder.arrivals import Arrivals
from vsr.jobs.folder.listing import Found, Listing
from vsr.jobs.folder.naming import TEMPLATE, Entry, clashes, refuse_clashes
from vsr.jobs.folder.rules import read_rules
from vsr.jobs.folder.run import FolderRun
from vsr.jobs.folder.wish import Wish, where

POLL_S = 1.0
_NAP_S = 0.1  # so soon a wish to stop is heard


def batch(
    source: str | Path,
    destination: str | Path,
    *,
    preset: str | None = None,
    settings: Mapping[str, object] | None = None,
    name: str = TEMPLATE,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    recursive: bool = True,
    rules: str | Path | None = None,
    skip_height: int | None = None,
    usual_rules: bool = True,
    retry: int = 0,
    report: Report = silent,
) -> FolderSummary:
    """Upscale every video and image below `source` into `destination`, folders or URLs; what is done is passed over.

    The arguments are the flags of `vsr batch`; settings: names of `core/settings.py`; rules: a TOML file. A file that
    fails is told in the summary (`failed`, `files`), and raises nothing.

    Raises:
        VsrError: nothing was begun (the folder, a setting, two results of one name), or nothing more can be (the disk
            is full, the device is gone).
    """
    wish = Wish(
        source=where(source),
        destination=where(destination),
        name=name,
        include=tuple(include),
        exclude=tuple(exclude),
        is_recursive=recursive,
        rules=read_rules(Path(rules)) if rules is not None else (),
        skip_height=skip_height,
        is_usual=usual_rules,
        retry=retry,
    )
    return run_folder(wish, resolve(dict(settings or {}), find(preset) if preset else None), report)


def run_folder(
    wish: Wish,
    resolved: Resolved,
    report: Report = silent,
    executor: Executor | None = None,
    *,
    stop: Stop | None = None,
    command: str = "",
) -> FolderSummary:
    """Run a folder to its end, or until `stop` is asked; the sum is reported and given.

    Raises:
        VsrError: as `batch`.
    """
    with FolderRun(wish, resolved, report, executor, stop=stop, command=command) as run:
        listing = run.listing()
        made = run.named(listing.files)
        refuse_clashes(made)
        queue, settled = run.sorted(made)
        _tell_listed(wish, listing, len(queue), report)
        run.tally.others = listing.others.total()
        run.skip(settled)
        run.work(queue)
        return run.over()


def watch_folder(
    wish: Wish,
    resolved: Resolved,
    report: Report = silent,
    executor: Executor | None = None,
    *,
    stop: Stop,
    settle_s: float,
    poll_s: float = POLL_S,
    command: str = "",
) -> FolderSummary:
    """Run a folder, and go on with files that arrive, until `stop` is asked.

    A file is begun when it has been the same for `settle_s` and its headers can be read. A folder that vanishes is
    waited for.

    Raises:
        VsrError: as `batch`, for what is there at the start.
        UsageError: by URL there is nothing to watch.
    """
    if isinstance(wish.source, str) or isinstance(wish.destination, str):
        raise UsageError(
            "--watch is for folders of this machine, not for URLs",
            hint="Run the same command again from time to time: what is done is passed over, and nothing is fetched.",
        )
    with FolderRun(wish, resolved, report, executor, stop=stop, command=command) as run:
        listing = run.listing()
        refuse_clashes(run.named(listing.files))
        _tell_listed(wish, listing, len(listing.files), report)
        arrivals = Arrivals(settle_s=settle_s, is_whole=run.is_readable, report=report)
        every: dict[str, Entry] = {}
        is_gone = False
        while not stop.asked and not run.is_halted:
            try:
                listing, is_gone = run.listing(), False
            except (InputError, UsageError) as error:
                if not is_gone:
                    report(Warned(message=f"{error.message}: it is waited for"))
                is_gone = True
                _nap(poll_s, stop)
                continue
            run.tally.others = listing.others.total()
            ready = (*_named(run, arrivals.ready(listing.files)), *run.freed())
            there = {found.name for found in listing.files}
            every |= {entry.found.name: entry for entry in ready}
            every = {name: entry for name, entry in every.items() if name in there}
            if ready:
                _make(run, ready, list(every.values()))
            else:
                _nap(poll_s, stop)
        return run.over()


def _named(run: FolderRun, files: Sequence[Found]) -> list[Entry]:
    """Name what has arrived; what can have no name fails alone."""
    named: list[Entry] = []
    for found in files:
        try:
            named += run.named([found])
        except UsageError as error:
            run.refuse(Entry(found=found, name=found.name, destination=run.home.folder / found.name), error)
    return named


def _make(run: FolderRun, ready: Sequence[Entry], every: Sequence[Entry]) -> None:
    """Make what has arrived; what has another's name fails alone."""
    said = clashes(every)
    clashing = {id(every[place]): text for place, text in said.items()}
    queue, settled = run.sorted([entry for entry in ready if id(entry) not in clashing])
    for entry in ready:
        if id(entry) in clashing:
            run.refuse(entry, UsageError(f"results would have one name: {clashing[id(entry)]}"))
    run.skip(settled)
    run.work(queue)


def _tell_listed(wish: Wish, listing: Listing, to_do: int, report: Report) -> None:
    report(
        FolderListed(
            source=str(wish.source),
            destination=str(wish.destination),
            files=len(listing.files),
            to_do=to_do,
            others=dict(listing.others),
        )
    )
    for said in listing.closed:
        report(Warned(message=said))


def _nap(seconds: float, stop: Stop) -> None:
    until = time.monotonic() + seconds
    while not stop.asked and (left := until - time.monotonic()) > 0:
        time.sleep(min(left, _NAP_S))
