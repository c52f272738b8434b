"""What each file of a folder run is, by its headers, and what is wished of it: settings by rules, weight, standing."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace

from vsr.core.errors import VsrError
from vsr.core.frame import pixel_format
from vsr.core.settings import Resolved
from vsr.io.probe import probe
from vsr.jobs.folder.listing import Found
from vsr.jobs.folder.naming import Entry
from vsr.jobs.folder.results import Results
from vsr.jobs.folder.rules import Rule, Traits, Verdict, judge, traits_of, usual
from vsr.jobs.folder.standing import Judge, Standing

LOOK_S = 10.0  # for looking at headers before the start: what is not looked at by then is guessed by its size


class Looks:
    """Reads headers once a file. scale: of the folder, None with an exact size. is_usual: the usual rules hold."""

    def __init__(self, resolved: Resolved, rules: Sequence[Rule], *, scale: float | None, is_usual: bool) -> None:
        self._resolved = resolved
        self._rules = rules
        self._scale = scale
        self._is_usual = is_usual
        self._judge = Judge(resolved, rules, is_usual=is_usual)
        self._seen: dict[Found, Traits] = {}

    @property
    def digest(self) -> str:
        """Give a digest of what is wished of the folder: settings and rules."""
        return self._judge.folder

    def standing(self, entry: Entry, results: Results) -> Standing:
        """Tell what stands at an entry's destination.

        Raises:
            VsrError: the source, or its model, cannot be read.
        """
        return self._judge.standing(entry, results, lambda: self.verdict(entry).resolved.settings)

    def verdict(self, entry: Entry) -> Verdict:
        """Tell what is wished of a file.

        Raises:
            VsrError: it cannot be read, or its rules make settings that cannot be.
        """
        traits = self.traits(entry.found)
        verdict = judge(traits, self._rules, self._resolved)
        return replace(verdict, resolved=usual(traits, verdict.resolved)) if self._is_usual else verdict

    def traits(self, found: Found) -> Traits:
        """Give what a file is.

        Raises:
            InputError: it cannot be read, or is no media.
        """
        if found not in self._seen:
            info = probe(found.path, max_pixels=self._resolved.settings.run.max_pixels, scan=False)
            self._seen[found] = traits_of(info, found.name, pixel_format(info.video.pixel_format).depth)
        return self._seen[found]

    def weights(self, queue: Sequence[Entry], is_over: Callable[[], bool]) -> dict[str, float]:
        """Give what each file will weigh, by its result's name: frames times output pixels.

        Where there are too many to look at in LOOK_S, or `is_over` says so, the rest is guessed by its size. What would
        have to be fetched is left out.
        """
        until, known, guessed = time.monotonic() + LOOK_S, {}, []
        seen = 0
        for entry in queue:
            if entry.found.is_away:
                continue
            if time.monotonic() > until or is_over():
                guessed.append(entry)
                continue
            known[entry.name] = 0.0  # what cannot be read weighs nothing, and is told when its turn comes
            with suppress(VsrError):
                known[entry.name] = self.weight(self.traits(entry.found))
                seen += entry.found.size
        each = sum(known.values()) / seen if seen else 1.0
        return known | {entry.name: each * entry.found.size for entry in guessed}

    def weight(self, traits: Traits) -> float:
        """Give a file's frames times its output's pixels, as far as headers tell."""
        engine, pixels = self._resolved.settings.engine, traits.width * traits.height
        factor = (self._scale or 1.0) ** 2
        if engine.height is not None:
            factor = (engine.height / traits.height) ** 2
        elif engine.width is not None:
            factor = (engine.width / traits.width) ** 2
        return max(1, traits.frames) * pixels * factor
