"""Times that break other programs: late and early starts, wrapped clocks, films, ends. Read with PyAV alone."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import pytest

from tests.joining import Sound, joined, times_of_video, write_source
from tests.media import packets_of
from vsr.io.probe import probe

MILLISECOND = Fraction(1, 1000)
WRAP = 2**33  # ticks of 1/90000 after which MPEG-TS begins anew


def sound_times(path: Path, number: int = 0) -> list[Fraction]:
    return [packet.pts for packet in packets_of(path, "audio", stream=number) if packet.pts is not None]


@pytest.mark.parametrize("new", [".mp4", ".mov", ".mkv", ".ts"])
def test_streams_that_begin_apart_stay_apart(new: str, tmp_path: Path) -> None:
    """Picture at 0.5 s, sound at -0.021 s and 1.2 s: their distances are kept to half a tick of the container's."""
    sounds = (Sound(codec="mp3", start=Fraction(-21, 1000)), Sound(codec="mp3", start=Fraction(6, 5)))
    source = write_source(
        tmp_path / "in.mp4", [45000 + 3600 * k for k in range(9)], Fraction(1, 90000), sounds=sounds, b_frames=2
    )
    joined(source, tmp_path / f"out{new}", b_frames=2)
    tick = {".mkv": MILLISECOND, ".ts": Fraction(1, 90000)}.get(new, Fraction(1, 90000))
    first = times_of_video(source)[0]
    made = times_of_video(tmp_path / f"out{new}")[0]
    assert first == Fraction(1, 2)
    for number in (0, 1):
        before = sound_times(source, number)[0] - first
        after = sound_times(tmp_path / f"out{new}", number)[0] - made
        assert abs(after - before) <= tick


@pytest.mark.parametrize("new", [".mp4", ".mov", ".mkv", ".ts"])
def test_a_clock_that_wraps_in_the_middle_goes_on(new: str, tmp_path: Path) -> None:
    pts = [WRAP - 18000 + 3600 * k for k in range(12)]
    source = write_source(
        tmp_path / "in.ts",
        pts,
        Fraction(1, 90000),
        sounds=[Sound(codec="mp2", start=Fraction(WRAP - 18000, 90000), packets=20)],
        b_frames=2,
        options={"mpegts_copyts": "1"},
    )
    made = joined(source, tmp_path / f"out{new}", b_frames=2)
    assert any("everything starts" in warning for warning in made.warnings)  # the reader counts back from the wrap
    times, sound = times_of_video(tmp_path / f"out{new}"), sound_times(tmp_path / f"out{new}")
    tick = MILLISECOND if new == ".mkv" else Fraction(1, 90000)
    assert len(times) == 12 and min(times) >= 0
    for place, time in enumerate(times):
        assert abs(time - times[0] - Fraction(place, 25)) <= tick
    before = sound_times(source)
    assert abs((sound[0] - times[0]) - (before[0] - times_of_video(source)[0])) <= tick
    assert abs((sound[-1] - sound[0]) - (before[-1] - before[0])) <= tick


@pytest.mark.parametrize(("old", "new"), [(".mp4", ".mkv"), (".mkv", ".mp4"), (".mkv", ".mov")])
def test_a_film_does_not_drift(old: str, new: str, tmp_path: Path) -> None:
    """24000/1001 over three hours, every 100th frame of it there; sound to the end. No error grows."""
    count = 2590
    pts = [100 * 1001 * k for k in range(count)]
    last = Fraction(pts[-1], 24000)
    sounds = [Sound(codec="ac3", start=last)]
    source = write_source(tmp_path / f"in{old}", pts, Fraction(1, 24000), sounds=sounds)
    assert last > 3 * 3599
    joined(source, tmp_path / f"out{new}")
    made = times_of_video(tmp_path / f"out{new}")
    tick = MILLISECOND if ".mkv" in (old, new) else Fraction(1, 24000)
    assert max(abs(time - Fraction(at, 24000)) for time, at in zip(made, pts, strict=True)) <= tick / 2
    before = sound_times(source)[0] - times_of_video(source)[-1]
    after = sound_times(tmp_path / f"out{new}")[0] - made[-1]
    assert abs(after - before) <= MILLISECOND


@pytest.mark.parametrize("new", [".mp4", ".mov", ".mkv"])
def test_the_last_frame_is_shown_as_long_as_the_source_says(new: str, tmp_path: Path) -> None:
    """The last of frames 40 ms apart is shown for 40 ms, and not until the sound ends."""
    source = write_source(
        tmp_path / "in.mp4", [3600 * k for k in range(9)], Fraction(1, 90000), sounds=[Sound(packets=40)]
    )
    joined(source, tmp_path / f"out{new}")
    assert probe(source).packets.durations[-1] == probe(source).packets.durations[0]
    packet = max(packets_of(tmp_path / f"out{new}", "video"), key=lambda packet: packet.pts or 0)
    assert abs(packet.duration - Fraction(1, 25)) <= MILLISECOND


@pytest.mark.parametrize("packets", [3, 60])
@pytest.mark.parametrize("new", [".mp4", ".mkv", ".ts"])
def test_sound_that_ends_long_before_or_after_the_picture_is_whole(new: str, packets: int, tmp_path: Path) -> None:
    source = write_source(
        tmp_path / "in.mkv", [40 * k for k in range(9)], MILLISECOND, sounds=[Sound(codec="ac3", packets=packets)]
    )
    made = joined(source, tmp_path / f"out{new}")
    before, after = packets_of(source, "audio"), packets_of(tmp_path / f"out{new}", "audio")
    assert [packet.digest for packet in after] == [packet.digest for packet in before]
    assert made.packets == {1: len(before)}


def test_times_that_repeat_are_told_apart(tmp_path: Path) -> None:
    """Two sound packets of one time, as broken writers leave them: mkv may hold them, MPEG-TS wants them to rise."""
    source = write_source(
        tmp_path / "in.mkv",
        [40 * k for k in range(9)],
        MILLISECOND,
        lines=[(Fraction(1, 10), Fraction(1, 5), "one"), (Fraction(1, 10), Fraction(3, 10), "two")],
    )
    joined(source, tmp_path / "out.mkv")
    with av.open(str(tmp_path / "out.mkv")) as file:
        found = [(packet.pts, bytes(packet)) for packet in file.demux(file.streams.subtitles[0]) if packet.size]
    assert found == [(100, b"one"), (100, b"two")]
