"""Times that break other programs: late and early starts, wrapped clocks, films, ends. Read with PyAV alone."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import pytest
from av.container import InputContainer

from tests.joining import Sound, joined, times_of_video, write_source
from tests.media import make_clip, make_wave, packets_of
from vsr.core.media import Span, StreamPlan
from vsr.io.muxing.copying import add_route, copied_packets
from vsr.io.muxing.cut import Timing
from vsr.io.muxing.mux import Muxed
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


@pytest.mark.parametrize("new", [".mp4", ".mkv"])
def test_a_second_video_is_cut_at_its_first_keyframe_and_that_is_said(new: str, tmp_path: Path) -> None:
    source = tmp_path / "in.mkv"
    clip = make_clip(tmp_path / "clip.mkv", frames=16, gop=8, b_frames=2)  # keyframes at 0 and 0.32 s
    with av.open(str(clip)) as file, av.open(str(source), "w") as out:
        targets = [out.add_stream_from_template(file.streams.video[0]) for _ in range(2)]
        for packet in file.demux(video=0):
            for target in targets if packet.size else ():
                copy = av.Packet(bytes(packet))
                copy.pts, copy.dts, copy.time_base = packet.pts, packet.dts, packet.time_base
                copy.duration, copy.is_keyframe, copy.stream = packet.duration, packet.is_keyframe, target
                out.mux(copy)
    whole = packets_of(source, "video", stream=1)
    key = max(packet.pts for packet in whole if packet.is_keyframe and packet.pts is not None)
    begin = Fraction(2, 25)
    made = cut_to(source, tmp_path / f"out{new}", begin, Fraction(16, 25))
    got = packets_of(tmp_path / f"out{new}", "video", stream=1)
    kept = [packet for packet in whole if packet.pts is not None and packet.pts >= key]
    assert 0 < len(kept) < len(whole)
    assert [(packet.pts, packet.digest) for packet in got] == [(p.pts - begin, p.digest) for p in kept if p.pts]
    left_out = sum(1 for packet in whole if packet.pts is not None and begin <= packet.pts < key)
    assert f"stream 1: {left_out} packets cannot be decoded without the keyframe before" in " ".join(made.warnings)


@pytest.mark.parametrize("new", [".mp4", ".mkv"])
def test_a_subtitle_ends_where_the_span_does(new: str, tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mkv", frames=12, subtitles=["srt"])
    (first, *_) = packets_of(source, "subtitle")
    assert first.pts == 0 and first.duration > Fraction(3, 25)
    cut_to(source, tmp_path / f"out{new}", Fraction(0), Fraction(3, 25))
    (got, *_) = packets_of(tmp_path / f"out{new}", "subtitle")
    assert got.pts == Fraction(0) and got.duration == Fraction(3, 25)


@pytest.mark.parametrize("new", ["mp4", "mov", "avi", "mkv"])
def test_packets_without_times_take_the_place_after_the_one_before(new: str, tmp_path: Path) -> None:
    with (
        av.open(str(make_wave(tmp_path / "in.wav", seconds=2))) as file,
        av.open(str(tmp_path / f"out.{new}"), "w") as out,
    ):
        sound = file.streams.audio[0]
        plan = StreamPlan(index=0, codec="pcm_s16le", action="copy")
        route = add_route(out, sound, plan, timing=Timing(), is_strict=True, counts_samples=new != "mkv")
        out.start_encoding()
        for made in copied_packets(cast(InputContainer, Timeless(file)), {0: route}, Timing()):
            out.mux_one(made)
    given, got = (sound_bytes(path) for path in (tmp_path / "in.wav", tmp_path / f"out.{new}"))
    assert got[0] == given[0] and abs(got[1] - given[1]) <= MILLISECOND


def sound_bytes(path: Path) -> tuple[bytes, Fraction]:
    """Give all bytes of the sound, and when the last packet begins after as many seconds as stand before it."""
    with av.open(str(path)) as file:
        packets = [packet for packet in file.demux(audio=0) if packet.size]
        last = packets[-1]
        before = Fraction(sum(packet.size for packet in packets[:-1]), 2 * file.streams.audio[0].rate)
        return b"".join(bytes(packet) for packet in packets), (last.pts or 0) * last.time_base - before


class Timeless:
    """A file whose packets have neither pts nor dts."""

    def __init__(self, file: InputContainer) -> None:
        self.file = file

    def demux(self, streams: list[av.stream.Stream]) -> Iterator[av.Packet[av.stream.Stream]]:
        for packet in self.file.demux(streams):
            packet.pts = packet.dts = None
            yield packet


def cut_to(source: Path, target: Path, start: Fraction, stop: Fraction) -> Muxed:
    tick = probe(source).video.time_base
    span = Span(start=int(start / tick), stop=int(stop / tick))
    return joined(source, target, span=span)
