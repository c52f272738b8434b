"""Text subtitles in another format: the words, their lines and their emphasis, each event at its own time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from av.container import OutputContainer
from av.packet import Packet
from av.stream import Stream
from av.subtitles.codeccontext import SubtitleCodecContext
from av.subtitles.subtitle import AssSubtitle, SubtitleSet

from vsr.io.timeline import ticks


def add_text(result: OutputContainer, source: Stream, codec: str) -> tuple[Stream, SubtitleCodecContext]:
    """Add the stream that `source` is converted to, and give it with its encoder.

    Raises:
        ValueError, av.FFmpegError: the container refuses it.
    """
    reader = source.codec_context
    assert isinstance(reader, SubtitleCodecContext)
    if not reader.is_open:
        reader.open()
    target = result.add_stream(codec)
    writer = target.codec_context
    assert isinstance(writer, SubtitleCodecContext)
    writer.subtitle_header = reader.subtitle_header
    writer.time_base = target.time_base = Fraction(1, 1000)
    return target, writer


@dataclass(slots=True, kw_only=True)
class Events:
    """Text events on their way into a stream that shows one at a time: what overlaps is shown together, as lines.

    Times are ticks of the result. An event is [begin, end) with a dialogue line of ASS, as FFmpeg's decoders give it.
    """

    is_single: bool  # the container holds no two events at a time (mov_text)
    _shown: list[tuple[int, bytes]] = field(default_factory=list, init=False)  # (end, dialogue), in order of beginning
    _since: int = field(default=0, init=False)

    def add(self, begin: int, end: int, dialogue: bytes) -> Iterator[tuple[int, int, bytes]]:
        """Yield what is known to be shown before `begin`, the event itself where it may overlap."""
        if not self.is_single:
            yield begin, end, dialogue
            return
        yield from self._until(begin)
        self._since = begin if not self._shown else max(begin, self._since)
        # An event of no length is shown for a tick: one at a time, it would be gone.
        self._shown.append((max(end, begin + 1), dialogue))

    def end(self) -> Iterator[tuple[int, int, bytes]]:
        """Yield what is still shown."""
        yield from self._until(max((end for end, _ in self._shown), default=0))

    def _until(self, time: int) -> Iterator[tuple[int, int, bytes]]:
        while self._shown and self._since < time:
            until = min(time, *(end for end, _ in self._shown))
            if until > self._since:
                yield self._since, until, _together([line for _, line in self._shown])
            self._since = max(self._since, until)
            self._shown = [(end, line) for end, line in self._shown if end > self._since]


def dialogue_of(packet: Packet[Stream], source: Stream) -> bytes | None:
    """Give the ASS dialogue line of an event; None where it shows nothing (the gaps of mov_text).

    Raises:
        av.FFmpegError: it cannot be read.
    """
    reader = source.codec_context
    assert isinstance(reader, SubtitleCodecContext)
    shown = reader.decode2(packet)
    lines = [rect.ass for rect in shown if isinstance(rect, AssSubtitle)] if shown is not None else []
    return _together(lines) if lines else None


def event_packet(writer: SubtitleCodecContext, begin: int, end: int, dialogue: bytes, tick: Fraction) -> Packet[Stream]:
    """Give an event in the writer's codec, [begin, end) in `tick`.

    Raises:
        av.FFmpegError: it cannot be written.
    """
    milliseconds = max(1, ticks((end - begin) * tick, Fraction(1, 1000)))
    made = writer.encode_subtitle(SubtitleSet.create(dialogue, 0, milliseconds))
    made.time_base = tick
    made.pts = made.dts = begin
    made.duration = end - begin
    return made


def _together(dialogues: Sequence[bytes]) -> bytes:
    """Join dialogue lines to one, each on a line of its own: `ReadOrder,Layer,Style,Name,L,R,V,Effect,Text`."""
    texts = [dialogue.split(b",", 8)[-1] for dialogue in dialogues]
    return b",".join([*dialogues[0].split(b",", 8)[:-1], b"\\N".join(texts)])
