"""Text subtitles in other containers: words, lines, emphasis and times (read with PyAV alone)."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import pytest

from tests.joining import joined, write_source
from tests.media import make_clip
from vsr.io.muxing.containers import plan_streams
from vsr.io.muxing.subtitles import Events
from vsr.io.probe import probe

LINES = [
    (Fraction(0), Fraction(1, 2), "plain"),
    (Fraction(1, 2), Fraction(1), "<i>it</i> <b>bold</b>\nsecond line"),
    (Fraction(1), Fraction(6, 5), "žluť 漢字 😀"),
]


def shown(path: Path) -> list[tuple[Fraction, Fraction, str]]:
    """Give (begin, end, words) of every event of a Matroska file."""
    with av.open(str(path)) as file:
        return [
            (
                packet.pts * Fraction(packet.time_base),
                (packet.pts + packet.duration) * Fraction(packet.time_base),
                bytes(packet).decode(),
            )
            for packet in file.demux(file.streams.subtitles[0])
            if packet.size
        ]


def there_and_back(source: Path, folder: Path, between: str) -> list[tuple[Fraction, Fraction, str]]:
    joined(source, folder / f"between{between}", codec="vp9" if between == ".webm" else "h264")
    joined(folder / f"between{between}", folder / "back.mkv")
    return shown(folder / "back.mkv")


@pytest.mark.parametrize("between", [".mp4", ".mov", ".webm"])
def test_words_lines_emphasis_and_times_come_back(between: str, tmp_path: Path) -> None:
    source = write_source(tmp_path / "in.mkv", [40 * k for k in range(40)], Fraction(1, 1000), lines=LINES)
    assert there_and_back(source, tmp_path, between) == LINES


def test_events_that_overlap_are_shown_together_where_there_is_place_for_one(tmp_path: Path) -> None:
    """mov_text holds one text at a time: FFmpeg would move the second behind the first, and all that follow."""
    lines = [
        (Fraction(1, 10), Fraction(5, 10), "one"),
        (Fraction(3, 10), Fraction(7, 10), "two"),
        (Fraction(1), Fraction(6, 5), "three"),
    ]
    source = write_source(tmp_path / "in.mkv", [40 * k for k in range(40)], Fraction(1, 1000), lines=lines)
    assert there_and_back(source, tmp_path, ".mp4") == [
        (Fraction(1, 10), Fraction(3, 10), "one"),
        (Fraction(3, 10), Fraction(5, 10), "one\ntwo"),
        (Fraction(5, 10), Fraction(7, 10), "two"),
        (Fraction(1), Fraction(6, 5), "three"),
    ]
    assert there_and_back(source, tmp_path, ".webm") == lines


def test_every_moment_shows_what_it_showed() -> None:
    """Against a count of every tick."""
    given = [(0, 5, "a"), (2, 9, "b"), (2, 3, "c"), (9, 12, "d"), (20, 21, "e"), (20, 30, "f"), (25, 26, "g")]
    events = Events(is_single=True)
    made = []
    for begin, end, text in given:
        made += events.add(begin, end, b"0,0,Default,,0,0,0,," + text.encode())
    made += events.end()
    assert all(one[1] <= other[0] for one, other in pairwise(made))
    for tick in range(31):
        wanted = [text for begin, end, text in given if begin <= tick < end]
        found = [line.split(b",", 8)[8].decode() for begin, end, line in made if begin <= tick < end]
        assert found == (["\\N".join(wanted)] if wanted else [])


def test_an_event_of_no_length_is_not_lost_where_there_is_place_for_one() -> None:
    events = Events(is_single=True)
    made = [*events.add(5, 5, b"0,0,,,,,,,a"), *events.add(20, 20, b"0,0,,,,,,,b"), *events.end()]
    assert [(begin, end, line[-1:]) for begin, end, line in made] == [(5, 6, b"a"), (20, 21, b"b")]


def test_the_styles_of_ass_are_said_to_be_lost(tmp_path: Path) -> None:
    info = probe(make_clip(tmp_path / "in.mkv", subtitles=["ass", "srt"]))
    plans = [plan for plan in plan_streams(info, "mp4") if plan.codec == "mov_text"]
    assert [(plan.action, plan.is_loss) for plan in plans] == [("convert", True), ("convert", False)]
    assert "styles and positions are lost, use an .mkv output" in plans[0].reason
