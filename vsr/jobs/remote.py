"""A source or a destination by URL: brought to this machine before a job, taken away after it.

A job works on files here. Its place on this machine follows from the destination's URL, so that the same command finds
the work folder of an interrupted run again. A result that could not be taken away stays, and is not made again.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from vsr.core.errors import JobLocked, OutputExists, UsageError, VsrError
from vsr.core.events import Noted, Report, silent
from vsr.io import atomic, remote
from vsr.io.lock import holder, locked

MARK, RESULT, KEPT, LOCK = "fingerprint", "result", "kept", "lock"


@dataclass(frozen=True, slots=True, kw_only=True)
class Staged:
    """Where a job finds its source and writes its result on this machine; the paths as given where they are no URLs.

    url: where the result goes in the end; None: it stays. folder: of this destination alone.
    """

    source: Path
    destination: Path | None
    url: str | None = None
    folder: Path | None = None

    def is_to_be_made(self, fingerprint: str) -> bool:
        """Whether the job of this fingerprint has to be run; not if an earlier run's result only could not be stored.

        Call it once the job is planned, before it is run. The result of another job, if one is here, is removed.

        Raises:
            OutputError: the folder cannot be written.
        """
        if self.folder is None or self.destination is None:
            return True
        mark, kept = self.folder / MARK, self.folder / KEPT
        try:
            if (kept / self.destination.name).exists() and mark.read_text(encoding="utf-8") == fingerprint:
                return False
            shutil.rmtree(kept, ignore_errors=True)
            with atomic.staged(mark, overwrite=True) as part:
                part.write_text(fingerprint, encoding="utf-8")
        except OSError as error:
            raise atomic.translate(error, mark) from error
        return True

    def take_away(self, *, overwrite: bool) -> None:
        """Store the result at its URL, and remove what this machine has of it.

        Raises:
            OutputExists, OutputError: see `io.remote.store`; the result is still here, the hint says where.
        """
        result = self._finished()
        if self.url is None or self.folder is None or result is None:
            return
        try:
            remote.store(result, self.url, overwrite=overwrite)
        except VsrError as error:
            said = f"The result is kept in {result}: the same command stores it without making it again."
            raise type(error)(error.message, hint=f"{error.hint} {said}" if error.hint else said) from error
        shutil.rmtree(self.folder, ignore_errors=True)

    def _finished(self) -> Path | None:
        if self.folder is None or self.destination is None:
            return None
        kept = self.folder / KEPT / self.destination.name
        return next((path for path in (self.destination, kept) if path.exists()), None)


@contextmanager
def staged_remote(
    source: str, destination: str | None, *, overwrite: bool = False, report: Report = silent
) -> Iterator[Staged]:
    """Give local paths for a job; at the end of the block its result is stored where `destination` says.

        with staged_remote(source, destination, overwrite=overwrite) as staged:
            job = plan(staged.source, staged.destination, …)
            if staged.is_to_be_made(job.fingerprint):
                run(job)

    On an exception nothing is stored, and all that is here stays for the next time. Paths that are no URLs pass
    through; nothing is done for them.

    Raises:
        InputError: the source cannot be fetched. OutputExists: the destination is there. JobLocked: another process
        makes it. OutputError: it cannot be stored. UsageError: a source by URL without a destination; see `io.remote`.
    """
    if destination is None and remote.is_url(source):
        raise UsageError(f"{source}: where shall the result go?", hint="Name a file or a URL with -o.")
    with ExitStack() as stack:
        here = Path(source)
        if remote.is_url(source):
            report(Noted(message=f"fetching {source}"))
            here = remote.fetch(source, remote.cache_folder())
            stack.enter_context(remote.kept(here))
        if destination is None or not remote.is_url(destination):
            yield Staged(source=here, destination=Path(destination) if destination is not None else None)
            return
        if not overwrite and remote.exists(destination):
            raise OutputExists(f"{destination} exists", hint="Add --overwrite to replace it, or name another with -o.")
        stack.enter_context(_alone(destination))
        staged = _place(here, destination)
        yield staged
        report(Noted(message=f"storing {destination}"))
        staged.take_away(overwrite=overwrite)


@contextmanager
def _alone(url: str) -> Iterator[None]:
    """Keep other processes of this machine off a destination's folder, until its result is stored.

    Raises:
        JobLocked: another process has it.
        OutputError: the folder cannot be made, or has no locks.
    """
    folder = _folder(url)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise atomic.translate(error, folder) from error
    by = holder(folder / LOCK)
    if by is not None:
        raise JobLocked(f"{url} is being made by {by}", hint="Wait for it, or end it: what it has finished stays.")
    with locked(folder / LOCK):
        yield


def _folder(url: str) -> Path:
    return remote.cache_folder().parent / "results" / hashlib.sha256(url.encode()).hexdigest()[:32]


def _place(source: Path, url: str) -> Staged:
    """Give the place for a destination's URL. What an earlier run finished there and could not store moves aside."""
    name = remote.file_name(url.rstrip("/"))
    folder = _folder(url)
    destination = folder / RESULT / name
    try:
        destination.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if destination.exists():
            shutil.rmtree(folder / KEPT, ignore_errors=True)
            (folder / KEPT).mkdir()
            destination.rename(folder / KEPT / name)
    except OSError as error:
        raise atomic.translate(error, folder) from error
    return Staged(source=source, destination=destination, url=url, folder=folder)
