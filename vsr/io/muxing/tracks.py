"""The streams of a finished file beside what was written to them: times of sound, names, languages, flags."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream

from vsr.io.muxing.copying import Route
from vsr.io.muxing.labels import Label, is_same_language, label_of

_MILLISECOND = Fraction(1, 1000)
_WITHOUT_EMPTY = ("mp4", "mov")
_WITHOUT_DEFAULT = ("ts", "avi", "nut")  # no stream of theirs is the default one


@dataclass(slots=True)
class Seen:
    """When the first packet of a stream begins and when the last one does, in seconds; the bytes of all."""

    first: Fraction | None = None
    latest: Fraction | None = None
    bytes: int = 0

    def note(self, packet: Packet[Stream]) -> None:
        """Add a packet."""
        self.bytes += packet.size
        if packet.pts is None:
            return
        begin = packet.pts * Fraction(packet.time_base)
        self.first = begin if self.first is None else min(self.first, begin)
        self.latest = begin if self.latest is None else max(self.latest, begin)


def written_tracks(result: InputContainer, video: int, routes: Mapping[int, Route], name: str) -> dict[int, Stream]:
    """Give the stream of a finished file for each stream of the source, by its index there; `video` is the picture's.

    Containers keep the order of their tracks; attachments and covers, which some list elsewhere, are left out. mp4 and
    mov have no track without packets.
    """
    is_full = name in _WITHOUT_EMPTY
    kept = [i for i, route in routes.items() if not route.label.is_apart and (route.delivered or not is_full)]
    found = [stream for stream in result.streams if not label_of(stream).is_apart]
    return dict(zip(sorted([video, *kept]), found, strict=False))


def track_losses(
    name: str, routes: Mapping[int, Route], found: Mapping[int, Stream], seen: Mapping[int, Seen]
) -> Iterator[str]:
    """Say which streams do not tell, read back, what they were given."""
    for index, route in routes.items():
        if index not in found:
            if not route.label.is_apart:
                yield f"stream {index} has nothing in what is kept, and {name} no place for a stream of nothing"
            continue
        made = label_of(found[index])
        yield from _labels(name, index, route.label, made)
        if route.label.kind == made.kind == "audio":
            yield from _times(name, index, route, seen[index], Fraction(found[index].time_base or 1))


def _labels(name: str, index: int, given: Label, made: Label) -> Iterator[str]:
    lost = []
    if given.language is not None and not is_same_language(given.language, made.language):
        lost.append(f"its language ({given.language})")
    if given.title is not None and made.title != given.title:
        lost.append(f"its title ({given.title})")
    flags = given.flags - made.flags - ({"default"} if name in _WITHOUT_DEFAULT else set())
    lost += [f"that it is {' and '.join(sorted(flags))}"] if flags else []
    if lost:
        yield f"{name} does not hold of stream {index}: {', '.join(lost)}"


def _times(name: str, index: int, route: Route, seen: Seen, tick: Fraction) -> Iterator[str]:
    if route.first is None or route.latest is None or seen.first is None or seen.latest is None:
        return
    slack = max(tick, _MILLISECOND)
    begins = seen.first - route.first
    # Readers put plain samples into packets of their own: there it is the bytes that must all be there.
    ends = Fraction(0) if route.label.is_pcm else seen.latest - route.latest
    # FFmpeg reads AAC that stands before zero in Matroska some ticks early; its later packets are where they were.
    is_misread = name in ("mkv", "webm") and route.first < 0 <= route.latest
    if abs(begins) > slack and not is_misread:
        way = "" if name == "mkv" else "; use an .mkv output to keep it"
        yield f"{name} moves the sound of stream {index} by {float(begins):+.3f} s{way}"
    elif route.label.is_pcm and seen.bytes != route.bytes:
        yield f"{name} holds {seen.bytes} of the {route.bytes} bytes of sound of stream {index}"
    elif abs(ends) > 2 * slack:
        yield f"{name} closes gaps in the sound of stream {index}: its end moves by {float(ends):+.3f} s"


def watched(found: Mapping[int, Stream], video: int) -> Sequence[Stream]:
    """Give the streams whose packets must be looked at: the picture and the sound."""
    return [stream for index, stream in found.items() if index == video or stream.type == "audio"]
