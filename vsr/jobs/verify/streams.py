"""The streams beside the video: each one's counterpart in the result, its packets, its name, its flags."""

from __future__ import annotations

import dataclasses
from collections.abc import Generator, Iterator, Sequence
from fractions import Fraction

from vsr.core.media import StreamPlan
from vsr.io.muxing.labels import is_same_language
from vsr.io.witness import content
from vsr.io.witness.reading import StreamFacts
from vsr.jobs.verify.comparison import Comparison, asked, broken, by, clock, lost, same
from vsr.jobs.verify.expected import Finding
from vsr.jobs.verify.holding import holds_flag, holds_language, holds_title
from vsr.jobs.verify.packets import differences

_LOSSLESS = ("pcm_", "flac", "alac", "wavpack", "tta", "truehd", "mlp")
_OPUS_RATE = 48000  # whatever was put in, it is decoded at this rate (RFC 7845 sec. 5.1)


def check_streams(held: Comparison) -> Iterator[Finding]:
    """Hold every stream of the source, but its video, against the result's."""
    by_index = {stream.index: stream for stream in held.source.streams}
    free = list(held.result.streams)
    for plan in held.plans:
        stream = by_index.get(plan.index)
        if stream is None:
            yield broken(f"stream {plan.index}", "it was planned for, but is not in the source")
        elif plan.action == "drop":
            yield _dropped(plan, stream)
        else:
            yield from _kept(held, plan, stream, free)
    planned = {plan.index for plan in held.plans}
    for stream in held.source.streams:
        if stream.index not in planned and stream.trail.times:
            yield broken(_name(stream), "nothing was planned for it")
    for stream in free:
        if stream.kind != "data" and not _is_chapter_track(held, stream):
            yield broken(f"result's stream {stream.index}", f"a {stream.codec} {stream.kind} that the source has not")


def _dropped(plan: StreamPlan, stream: StreamFacts) -> Finding:
    if not plan.is_wanted:
        return asked(_name(stream), plan.reason)
    return (same if plan.is_whole else lost)(_name(stream), plan.reason or "left out")


def _kept(held: Comparison, plan: StreamPlan, stream: StreamFacts, free: list[StreamFacts]) -> Iterator[Finding]:
    made = _counterpart(held, plan, stream, free)
    name = _name(stream)
    if made is None:
        if plan.action == "copy" and stream.kind in ("audio", "subtitle") and not stream.trail.times:
            yield same(name, "it holds nothing, and was left out")
        else:
            yield broken(name, "it is missing")
        return
    free.remove(made)
    if stream.is_cover or stream.kind == "attachment":
        yield _attached(name, stream, made)
        return
    held = yield from _from_zero(held, stream, made, name)
    if plan.action == "convert":
        yield _converted(held, plan, stream, made)
    elif said := differences(held, stream, made):
        yield broken(name, "; ".join(said))
    else:
        yield same(name, f"{len(made.trail.times)} packets, bit for bit, at the same times")
    yield from _labels(held, stream, made)


def _from_zero(
    held: Comparison, stream: StreamFacts, made: StreamFacts, name: str
) -> Generator[Finding, None, Comparison]:
    """Tell what moves because AVI begins all sound with the picture; give the comparison with that shift."""
    if held.rule is None or not held.rule.counts_frames or stream.kind != "audio":
        return held
    trail, head = stream.trail, made.trail.digests[:1]
    taken = [(place, time) for place in range(len(trail.times))
             if (time := trail.seconds(place)) is not None and held.takes(time)]  # fmt: skip
    first = next((time for place, time in taken if trail.digests[place : place + 1] == head), None)
    if first is None:  # of sound that was converted, or cut into other packets
        first = min((time for _, time in taken), default=None)
    if first is None or abs(first + held.shift) <= trail.time_base:
        return held
    yield lost(f"{name}, start", f"{held.container} begins all sound with the picture: it is {by(-first - held.shift)}")
    return dataclasses.replace(held, shift=-first)


def _counterpart(
    held: Comparison, plan: StreamPlan, stream: StreamFacts, free: Sequence[StreamFacts]
) -> StreamFacts | None:
    """Give the stream of the result: of the kind and codec planned; of several one with the same content, or the next.

    A cover is an attached picture in one container and an attachment in another.
    """
    if stream.is_cover or stream.kind == "attachment":
        wanted = _content(stream)
        every = [other for other in free if other.is_cover or other.kind == "attachment"]
        return next((other for other in every if _content(other) == wanted), None) or next(
            (other for other in every if other.is_cover == stream.is_cover), None
        )
    alike = [other for other in free if other.kind == stream.kind and not other.is_cover]
    # MP2 in MP4 is read back as MP3: what a stream holds tells more than its name.
    every = [other for other in alike if other.codec in (plan.codec, stream.codec)] or alike
    known = set(stream.trail.digests)
    return next((other for other in every if known & set(other.trail.digests)), every[0] if every else None)


def _content(stream: StreamFacts) -> str:
    return stream.digest or (stream.trail.digests[0].hex() if stream.trail.digests else "")


def _attached(name: str, source: StreamFacts, result: StreamFacts) -> Finding:
    if _content(source) != _content(result):
        return broken(name, "its content is not the source's")
    if source.kind == result.kind == "attachment" and (source.name, source.mime) != (result.name, result.mime):
        return broken(name, f"it is called {result.name} ({result.mime}), not {source.name} ({source.mime})")
    return same(name, "bit for bit")


def _converted(held: Comparison, plan: StreamPlan, source: StreamFacts, result: StreamFacts) -> Finding:
    into, is_text = f"{source.codec} became {result.codec}", source.kind == "subtitle"
    if said := _texts(held, source, result) if is_text else _sound(held, source, result):
        return broken(_name(source), f"{into}: {said}")
    if plan.is_loss:
        return lost(_name(source), plan.reason)
    return asked(_name(source), f"{into}: the same {'texts' if is_text else 'sound'} at the same times")


def _texts(held: Comparison, source: StreamFacts, result: StreamFacts) -> str:
    """Say how converted texts differ: their number, their words, their times."""
    before = [text for text in content.texts(held.source.path, source.index) if _is_taken(held, text)]
    after = content.texts(held.result.path, result.index)
    tick = max(source.trail.time_base, result.trail.time_base)
    if len(before) != len(after):
        return f"{len(after)} texts are shown, not {len(before)}"
    for place, (one, other) in enumerate(zip(before, after, strict=True)):
        start = max(one.start, held.begin) if held.begin is not None else one.start
        if one.words != other.words:
            return f"text {place} at {clock(one.start)} says {other.words!r}, not {one.words!r}"
        if abs(delta := other.start - start - held.shift) > tick / 2:
            return f"text {place} at {clock(one.start)} comes {by(delta)}"
        is_cut = held.stop is not None and one.stop > held.stop
        if one.stop > one.start and not is_cut and abs(delta := other.stop - one.stop - held.shift) > tick:
            return f"text {place} at {clock(one.start)} ends {by(delta)}"
    return ""


def _is_taken(held: Comparison, text: content.Text) -> bool:
    begins = held.takes(text.start)
    return begins or (held.begin is not None and text.start < held.begin < text.stop)


def _sound(held: Comparison, source: StreamFacts, result: StreamFacts) -> str:
    """Say how converted sound differs: its samples where both codecs keep them, else its length."""
    if held.begin is not None or held.stop is not None:
        return _ends(held, source, result, Fraction(4096, source.sample_rate or 48000))
    before = content.sound(held.source.path, source.index)
    after = content.sound(held.result.path, result.index)
    rate = _OPUS_RATE if result.codec == "opus" else before.rate
    if (rate, before.channels) != (after.rate, after.channels):
        return f"{after.rate} Hz in {after.channels} channels, not {rate} Hz in {before.channels}"
    is_lossless = result.codec.startswith(_LOSSLESS)
    room = 0 if is_lossless else 4096  # two frames of a coder that writes whole frames and primes itself
    wanted = Fraction(before.samples * rate, before.rate)
    if abs(after.samples - wanted) > room:
        return f"{after.samples} samples, not {round(wanted)}"
    if is_lossless and before.digest != after.digest:
        return "its samples are not the source's"
    return _ends(held, source, result, Fraction(room, rate))


def _ends(held: Comparison, source: StreamFacts, result: StreamFacts, room: Fraction) -> str:
    before, after = source.trail.first, result.trail.first
    tolerance = max(source.trail.time_base, result.trail.time_base) / 2
    if before is None or after is None:
        return ""
    begin = before if held.begin is None else max(before, held.begin)
    delta = after - begin - held.shift
    return f"it begins {by(delta)}" if abs(delta) > tolerance + room else ""


def _labels(held: Comparison, source: StreamFacts, result: StreamFacts) -> Iterator[Finding]:
    yield from check_labels(held, source, result, _name(source))


def check_labels(held: Comparison, source: StreamFacts, result: StreamFacts, name: str) -> Iterator[Finding]:
    """Hold language, title and dispositions; nothing is said of those that are the same."""
    if not is_same_language(source.language, result.language):
        said = f"{result.language or 'none'}, not {source.language or 'none'}"
        can = source.language is None or holds_language(held.container, source.language, source.kind)
        yield (broken if can else lost)(f"{name}, language", said)
    if (source.title or None) != (result.title or None):
        said = f"{result.title or 'none'!r}, not {source.title or 'none'!r}"
        yield (broken if holds_title(held.container) else lost)(f"{name}, title", said)
    gone = [flag for flag in source.dispositions if flag not in result.dispositions]
    new = [flag for flag in result.dispositions if flag not in source.dispositions]
    held_here = [flag for flag in (*gone, *new) if holds_flag(held.rule, flag)]
    if gone or new:
        words = [*(f"{flag} is lost" for flag in gone), *(f"{flag} is new" for flag in new)]
        yield (broken if held_here else lost)(f"{name}, dispositions", ", ".join(words))


def _name(stream: StreamFacts) -> str:
    kind = "cover" if stream.is_cover else stream.kind
    return f"stream {stream.index} ({' '.join(word for word in (stream.codec, kind, stream.name) if word)})"


def _is_chapter_track(held: Comparison, stream: StreamFacts) -> bool:
    """MP4 and MOV tell chapters by a track of texts, too."""
    return held.container in ("mp4", "mov") and bool(held.source.chapters) and stream.codec in ("text", "bin_data")
