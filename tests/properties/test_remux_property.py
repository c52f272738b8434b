"""Whatever the times of its streams, a source's packets come out of `join` at their times, whole and in order.

The oracle reads both files with PyAV alone. Sources and segments are made of packets that were encoded once.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.joining import Sound, joined, write_source

TIME_BASES = [Fraction(1, 1000), Fraction(1, 90000), Fraction(1, 600), Fraction(1001, 24000), Fraction(1, 25)]
COUNTS = (1, 2, 5, 9)
LINES = ((Fraction(0), Fraction(1, 5), "one"), (Fraction(3, 10), Fraction(4, 5), "two"))


@dataclass(frozen=True, kw_only=True)
class Case:
    """What a source is made of, and where it goes."""

    old: str
    new: str
    pts: tuple[int, ...]
    time_base: Fraction
    b_frames: int
    sounds: tuple[Sound, ...]
    has_text: bool


@st.composite
def cases(draw: st.DrawFn) -> Case:
    time_base = draw(st.sampled_from(TIME_BASES))
    second = int(1 / time_base) or 1
    count = draw(st.sampled_from(COUNTS))
    frame = max(1, second // 25)
    step = st.sampled_from([frame, frame, frame, frame + 1, max(1, frame // 3), 3 * frame, 3 * second])
    steps = [draw(step) for _ in range(count - 1)]
    first = draw(st.sampled_from([0, 0, second // 2, 7, 400 * second + 1]))
    old = draw(st.sampled_from([".mkv", ".mp4", ".mov", ".ts"]))
    sound = st.builds(
        Sound,
        codec=st.sampled_from(["aac", "mp3", "ac3"]),
        rate=st.sampled_from([48000, 44100]),
        start=st.sampled_from([Fraction(0), Fraction(6, 5), Fraction(1, 3), Fraction(-21, 1000)]),
        missing=st.sampled_from([(), (3,), (2, 3, 4, 5)]),
        packets=st.sampled_from([3, 12]),
    )
    return Case(
        old=old,
        new=draw(st.sampled_from([".mkv", ".mp4", ".mov", ".ts"])),
        pts=tuple(first + sum(steps[:place]) for place in range(count)),
        time_base=time_base,
        b_frames=draw(st.sampled_from([0, 2])),
        sounds=tuple(draw(st.lists(sound, max_size=2))),
        has_text=draw(st.booleans()) and old == ".mkv",
    )


def read(path: Path) -> dict[int, tuple[str, Fraction, list[tuple[Fraction, str]]]]:
    """Give (kind, tick, [(time, hash)]) of every stream; text by its words, AAC without the header of MPEG-TS."""
    found: dict[int, tuple[str, Fraction, list[tuple[Fraction, str]]]] = {}
    with av.open(str(path)) as file:
        for stream in file.streams:
            found[stream.index] = (stream.type, Fraction(stream.time_base), [])
        for packet in file.demux():
            if packet.size and packet.pts is not None:
                data = bytes(packet)
                if packet.stream.type == "subtitle":
                    data = data if path.suffix == ".mkv" else data[2 : 2 + int.from_bytes(data[:2], "big")]
                if not data:
                    continue  # the gaps between the texts of MP4
                if packet.stream.type == "audio" and data[0] == 0xFF and data[1] & 0xF6 == 0xF0:
                    data = data[7:]
                time = packet.pts * Fraction(packet.time_base)
                found[packet.stream_index][2].append((time, hashlib.sha256(data).hexdigest()))
    return found


def held(path: Path) -> list[tuple[str, Fraction, list[tuple[Fraction, str]]]]:
    """Give the streams in order; the picture's packets as they are shown."""
    found = [stream for _, stream in sorted(read(path).items())]
    return [(kind, tick, sorted(packets) if kind == "video" else packets) for kind, tick, packets in found]


def times(packets: Sequence[tuple[Fraction, str]]) -> list[Fraction]:
    return [time for time, _ in packets]


@settings(max_examples=25, deadline=None)
@given(cases())
@example(
    Case(
        old=".mkv", new=".mp4", pts=tuple(500 + 40 * k for k in range(9)), time_base=Fraction(1, 1000), b_frames=2,
        sounds=(Sound(start=Fraction(-21, 1000)), Sound(start=Fraction(6, 5))), has_text=True,
    )
)  # fmt: skip
def test_packets_keep_their_times_their_bytes_and_their_order(case: Case) -> None:
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / f"in{case.old}", Path(folder) / f"out{case.new}"
        write_source(
            source, case.pts, case.time_base, sounds=case.sounds, lines=LINES if case.has_text else (),
            b_frames=case.b_frames,
        )  # fmt: skip
        joined(source, target, b_frames=case.b_frames)
        before, after = held(source), held(target)
    if case.has_text and case.new == ".ts":
        before = [stream for stream in before if stream[0] != "subtitle"]
    assert [kind for kind, _, _ in after] == [kind for kind, _, _ in before]
    lift = Fraction(0)
    if case.new == ".ts":  # MPEG-TS holds nothing before zero: all streams move by the same
        lift = max(Fraction(0), -min(min(times(packets)) for _, _, packets in before if packets))
    for (kind, old_tick, were), (_, new_tick, are) in zip(before, after, strict=True):
        if kind != "video":  # whose packets are the result's own
            assert [digest for _, digest in are] == [digest for _, digest in were]
        for index, (was, now) in enumerate(zip(times(were), times(are), strict=True)):
            # FFmpeg reads AAC before zero from Matroska one tick early; the blocks themselves are right.
            slack = new_tick if was < 0 and case.new == ".mkv" else Fraction(0)
            assert abs(now - was - lift) <= max(old_tick, new_tick) / 2 + slack, (kind, index, was, now)
