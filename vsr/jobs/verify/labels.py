"""Chapters, tags and timecode: what a file says about itself."""

from __future__ import annotations

import re
from collections.abc import Iterator

from vsr.io.witness.reading import ChapterFacts, FileFacts
from vsr.jobs.verify.comparison import Comparison, broken, by, clock, lost, same
from vsr.jobs.verify.expected import Finding
from vsr.jobs.verify.holding import NOISE, holds_key
from vsr.jobs.verify.streams import check_labels

_NUMBER = re.compile(r"[+-]?\d+(?:\.\d+)?")


def check_chapters(held: Comparison) -> Iterator[Finding]:
    """Hold number, titles and times of the chapters."""
    before = [moved for chapter in held.source.chapters if (moved := _moved(held, chapter)) is not None]
    after = held.result.chapters
    if not before and not after:
        return
    if not after and (held.rule is None or not held.rule.has_chapters):
        yield lost("chapters", f"{held.container} holds none: {len(before)} are left out")
        return
    titles = [chapter.title for chapter in after]
    if len(before) != len(after):
        gone = next((chapter for chapter in before if chapter.title not in titles), None)
        named = f"; {gone.title!r} at {clock(gone.start)} is missing" if gone is not None else ""
        yield broken("chapters", f"{len(after)}, not {len(before)}{named}")
        return
    has_ends = held.container not in ("mp4", "mov")  # there a chapter lasts until the next
    for number, (one, other) in enumerate(zip(before, after, strict=True)):
        room = max(one.tick, other.tick) / 2
        if one.title != other.title:
            yield broken("chapters", f"chapter {number} is called {other.title!r}, not {one.title!r}")
        elif abs(delta := other.start - one.start) > room:
            yield broken("chapters", f"chapter {number} ({one.title!r}, {clock(one.start)}) begins {by(delta)}")
        elif abs(delta := other.stop - one.stop) > room:
            told = f"chapter {number} ({one.title!r}) ends {by(delta)}"
            yield broken("chapters", told) if has_ends else lost("chapters", f"{told}: {held.container} stores no ends")
        else:
            continue
        return
    yield same("chapters", f"{len(after)}, at the same times")


def check_metadata(held: Comparison) -> Iterator[Finding]:
    """Hold the tags of the whole file, what muxers say of themselves left out, and those of the video stream."""
    before, after = _tags(held.source.metadata), _tags(held.result.metadata)
    if before.get("location-eng") == before.get("location"):
        before.pop("location-eng", None)  # MOV says it once for all languages and once for one
    gone: list[str] = []
    unheld: list[str] = []
    for key, value in before.items():
        got = after.get(key)
        if key == "timecode" or (got is not None and says_the_same(key, value, got)):
            continue
        said = f"{key} {value[:60]!r}" if got is None else f"{key} is {got[:60]!r}, not {value[:60]!r}"
        (gone if holds_key(held.container, key) or got is not None else unheld).append(said)
    if gone:
        yield broken("tags", "; ".join(gone))
    if unheld:
        yield lost("tags", f"{held.container} holds no {'; '.join(unheld)}")
    if before and not gone and not unheld:
        yield same("tags", ", ".join(before))
    yield from _timecode(held)
    if held.source.images is None and held.result.images is None:
        yield from check_labels(held, held.source.video, held.result.video, "video")


def _moved(held: Comparison, chapter: ChapterFacts) -> ChapterFacts | None:
    """Give a chapter as the result must have it, clipped to what was taken; None where nothing of it is left."""
    start = chapter.start if held.begin is None else max(chapter.start, held.begin)
    stop = chapter.stop if held.stop is None else min(chapter.stop, held.stop)
    if stop < start or (held.stop is not None and start >= held.stop):
        return None
    return ChapterFacts(start=start + held.shift, stop=stop + held.shift, tick=chapter.tick, title=chapter.title)


def _tags(metadata: tuple[tuple[str, str], ...]) -> dict[str, str]:
    return {
        key.lower(): value
        for key, value in metadata
        if key.lower() not in NOISE and not key.upper().startswith(("_STATISTICS", "BPS-")) and value
    }


def says_the_same(key: str, before: str, after: str) -> bool:
    """Whether a tag means what it did: dates and places may be written in other words."""
    if key in ("date", "creation_time"):
        return before.strip() == after.strip() or after[:4] in before
    if key.partition("-")[0] == "location":  # ISO 6709: +40.680-074.500/ is +40.6800-074.5000/
        return [float(n) for n in _NUMBER.findall(before)] == [float(n) for n in _NUMBER.findall(after)]
    return before.strip() == after.strip()


def _timecode(held: Comparison) -> Iterator[Finding]:
    before, after = _first_timecode(held.source), _first_timecode(held.result)
    if before == after:
        if before is not None:
            yield same("timecode", before)
    elif held.begin is not None and after is None:
        yield lost("timecode", f"{before} was the first frame's, which is another now")
    elif after is None and (held.rule is None or not held.rule.has_timecode):
        yield lost("timecode", f"{held.container} holds none ({before})")
    elif held.begin is None or before is None:
        yield broken("timecode", f"{after or 'none'}, not {before or 'none'}")


def _first_timecode(facts: FileFacts) -> str | None:
    """Give the timecode of the first frame: of the video, of a timecode track, or of the file."""
    told = [facts.video.timecode, *(stream.timecode for stream in facts.streams)]
    told += [value for key, value in facts.metadata if key.lower() == "timecode"]
    return next((timecode for timecode in told if timecode), None)
