"""Files that arrive in a folder: which of them are complete."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from vsr.core.errors import VsrError
from vsr.core.events import Report, Warned
from vsr.jobs.folder.listing import Found


@dataclass(slots=True)
class _Seen:
    found: Found
    since: float
    is_refused: bool = False  # as it is now: it is asked again when it has changed
    is_taken: bool = False


class Arrivals:
    """Remembers files from one look at the folder to the next.

    settle_s: so long a file must not change. is_whole: raises where a file cannot be read yet.
    """

    def __init__(
        self,
        *,
        settle_s: float,
        is_whole: Callable[[Found], None],
        report: Report,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settle_s = settle_s
        self._is_whole = is_whole
        self._report = report
        self._now = now
        self._seen: dict[str, _Seen] = {}

    def ready(self, files: Sequence[Found]) -> tuple[Found, ...]:
        """Give those that are complete and were not given before as they are; a file that changes is a new one."""
        there = {found.name for found in files}
        self._seen = {name: seen for name, seen in self._seen.items() if name in there}
        return tuple(found for found in files if self._is_ready(found))

    def _is_ready(self, found: Found) -> bool:
        seen = self._seen.get(found.name)
        if seen is None or seen.found != found:
            self._seen[found.name] = seen = _Seen(found, self._now())
        if seen.is_taken or seen.is_refused or self._now() - seen.since < self._settle_s:
            return False
        if not found.size:
            return False  # made a moment ago; there is nothing to say of it
        try:
            self._is_whole(found)
        except VsrError as error:
            seen.is_refused = True
            self._report(Warned(message=f"{found.name} is waited for: {error.message}"))
            return False
        seen.is_taken = True
        return True
