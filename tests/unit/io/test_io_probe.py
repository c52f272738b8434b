"""What `probe` says of good files, and how it refuses bad ones."""

from __future__ import annotations

import os
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import pytest

from tests.media import BT709, BT2020_PQ, Tags, damage, make_clip, make_sound, make_wave, times_of, truncate
from vsr.core.errors import DecodeError, InputLimits, InputMissing, NotMedia, UnsupportedInput
from vsr.core.frame import ColorSpec
from vsr.io.probe import probe


def test_a_plain_clip_is_described_completely(tmp_path: Path) -> None:
    clip = make_clip(
        tmp_path / "a.mp4", tags=BT709, sar=Fraction(64, 45), rotation=90, language="fra", metadata={"title": "Tour"}
    )

    info = probe(clip)

    video = info.video
    assert (info.kind, info.container.split(",")[0], video.codec) == ("video", "mov", "h264")
    assert (video.width, video.height, video.pixel_format) == (64, 48, "yuv420p")
    assert (video.time_base, video.rate, video.sar, video.rotation) == (Fraction(1, 25), 25, Fraction(64, 45), 90)
    assert video.color == ColorSpec(matrix="bt709", range="tv", primaries="bt709", transfer="bt709", siting="left")
    assert (video.language, video.header_frames, info.frame_count) == ("fra", 12, 12)
    assert dict(info.metadata)["title"] == "Tour"
    assert info.size_bytes == clip.stat().st_size
    assert not video.is_interlaced
    assert info.warnings == ()


def test_the_packet_scan_finds_the_times_that_are_shown_not_those_of_decoding(tmp_path: Path) -> None:
    times = [0, 10, 25, 26, 100, 103, 120, 160, 161, 162, 200, 222]
    clip = make_clip(tmp_path / "vfr.mp4", pts=times, time_base=Fraction(1, 1000), b_frames=3)

    info = probe(clip)

    assert list(info.packets.pts) == times
    assert [t * info.video.time_base for t in info.packets.pts] == times_of(clip)
    assert info.packets.durations[:-1] == tuple(b - a for a, b in pairwise(times))
    assert info.packets.keyframes == (0,)
    assert info.packets.is_variable and not info.packets.has_decoding_times


def test_guessed_durations_of_matroska_are_replaced_by_the_steps(tmp_path: Path) -> None:
    times = [0, 33, 67, 100, 400]
    clip = make_clip(tmp_path / "vfr.mkv", pts=times, time_base=Fraction(1, 1000), frames=5)

    assert probe(clip).packets.durations[:-1] == (33, 34, 33, 300)


def test_without_a_scan_the_index_is_empty_and_the_rest_is_there(tmp_path: Path) -> None:
    info = probe(make_clip(tmp_path / "a.mp4"), scan=False)

    assert info.packets.pts == ()
    assert (info.video.width, info.video.header_frames) == (64, 12)


def test_avi_whose_times_are_those_of_decoding_is_recognised(tmp_path: Path) -> None:
    info = probe(make_clip(tmp_path / "a.avi", b_frames=2))

    assert info.packets.has_decoding_times
    assert info.packets.keyframes == ()
    assert len(info.packets.pts) == 12


def test_a_raw_stream_without_any_times_gets_them_from_its_rate_and_says_so(tmp_path: Path) -> None:
    info = probe(make_clip(tmp_path / "a.h264", format="h264"))

    steps = {b - a for a, b in pairwise(info.packets.pts)}
    assert [step * info.video.time_base for step in steps] == [Fraction(1, 25)]
    assert any("no timestamps" in warning for warning in info.warnings)


def test_other_streams_chapters_and_attachments_are_listed(tmp_path: Path) -> None:
    clip = make_clip(
        tmp_path / "a.mkv",
        audio=2,
        subtitles=("srt", "ass"),
        attachment=b"a font",
        chapters=[(0, 0.2, "one"), (0.2, 0.48, "two")],
    )

    info = probe(clip)

    kinds = [(stream.kind, stream.codec, stream.language) for stream in info.streams]
    assert kinds == [
        ("audio", "aac", "eng"),
        ("audio", "aac", "fra"),
        ("subtitle", "subrip", "eng"),
        ("subtitle", "ass", "fra"),
        ("attachment", "", None),
    ]
    assert info.streams[0].detail == "stereo 48000 Hz"
    assert info.streams[2].title == "text 0"
    assert info.streams[4].detail == "font.ttf"
    assert [chapter.title for chapter in info.chapters] == ["one", "two"]
    assert info.chapters[1].start * info.chapters[1].time_base == Fraction(1, 5)


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_a_cover_is_listed_as_one_and_never_the_video(name: str, tmp_path: Path) -> None:
    info = probe(make_clip(tmp_path / name, cover="first", audio=1))

    covers = [stream for stream in info.streams if stream.is_cover]
    assert info.video.codec == "h264"
    assert [cover.codec for cover in covers] == ["mjpeg"]
    if name == "a.mp4":
        assert covers[0].index == 0 and info.video.index == 1


def test_of_several_videos_the_first_is_chosen_and_it_is_said(tmp_path: Path) -> None:
    import av

    first, second = make_clip(tmp_path / "1.mp4"), make_clip(tmp_path / "2.mp4", width=32, height=32)
    both = tmp_path / "both.mkv"
    with av.open(str(first)) as a, av.open(str(second)) as b, av.open(str(both), "w") as out:
        pairs = [(source, out.add_stream_from_template(source.streams.video[0])) for source in (a, b)]
        for source, stream in pairs:
            for packet in source.demux(video=0):
                if packet.size:
                    packet.stream = stream
                    out.mux(packet)

    info = probe(both)

    assert (info.video.index, info.video.width) == (0, 64)
    assert any("several video streams" in warning for warning in info.warnings)


def test_full_range_hdr_and_silence_are_told_apart(tmp_path: Path) -> None:
    full = probe(make_clip(tmp_path / "full.mp4", pix_fmt="yuvj420p", tags=Tags(matrix=5, range=2)))
    hdr = probe(make_clip(tmp_path / "hdr.mkv", codec="libx265", pix_fmt="yuv420p10le", tags=BT2020_PQ))
    silent = probe(make_clip(tmp_path / "silent.mp4"))

    assert (full.video.pixel_format, full.video.color.range, full.video.color.matrix) == ("yuv420p", "pc", "bt470bg")
    assert (hdr.video.color.matrix, hdr.video.color.transfer) == ("bt2020nc", "smpte2084")
    assert (hdr.video.pixel_format, hdr.video.color.primaries) == ("yuv420p10le", "bt2020")
    assert (silent.video.color.matrix, silent.video.color.range) == ("unspecified", "unspecified")


def test_chroma_siting_is_read_from_the_stream(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "a.mp4", options={"chroma_sample_location": "topleft"})

    assert probe(clip).video.color.siting == "topleft"


def test_interlaced_video_is_said_to_be(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "a.mp4", height=64, options={"x264-params": "tff=1"}, b_frames=0)

    info = probe(clip)

    assert info.video.is_interlaced


@pytest.mark.parametrize(
    "name",
    ["with space.mp4", 'it\'s "quoted".mp4', "frame%03d.mp4", "emoji 🎬.mp4", "-i.mp4", "concat:a|b.mp4", "ö.mp4"],
)
def test_any_name_is_only_a_name(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_clip(tmp_path / "plain.mp4").rename(tmp_path / name)
    monkeypatch.chdir(tmp_path)

    assert probe(Path(name)).frame_count == 12


def test_a_missing_file_is_missing_and_names_nearby_are_offered(tmp_path: Path) -> None:
    make_clip(tmp_path / "holiday.mp4")

    with pytest.raises(InputMissing, match=r"holidya.mp4 does not exist") as caught:
        probe(tmp_path / "holidya.mp4")

    assert caught.value.hint is not None and "holiday.mp4" in caught.value.hint


def test_zero_bytes_text_archives_and_noise_are_no_media(tmp_path: Path) -> None:
    contents = {
        "empty.mp4": (b"", "0 bytes"),
        "text.mp4": (b"Dear diary,\n" * 40, "it holds text"),
        "zip.mkv": (b"PK\x03\x04" + bytes(400), "ZIP"),
        "noise.mp4": (os.urandom(4000), "no format that is known"),
    }
    for name, (data, words) in contents.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(NotMedia, match=words):
            probe(tmp_path / name)


def test_sound_alone_is_no_video_and_the_message_says_what_is_there(tmp_path: Path) -> None:
    with pytest.raises(NotMedia, match="only: aac audio"):
        probe(make_sound(tmp_path / "a.m4a"))
    with pytest.raises(NotMedia, match="only: pcm_s16le audio"):
        probe(make_wave(tmp_path / "a.wav"))


def test_playlists_are_not_followed(tmp_path: Path) -> None:
    make_clip(tmp_path / "a.ts")
    lists = {
        "list.m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:0.5,\na.ts\n#EXT-X-ENDLIST\n",
        "list.ffconcat": "ffconcat version 1.0\nfile a.ts\n",
    }
    for name, text in lists.items():
        (tmp_path / name).write_text(text)
        with pytest.raises(NotMedia):
            probe(tmp_path / name)


def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")

    with pytest.raises(UnsupportedInput, match="not a regular file"):
        probe(tmp_path / "pipe.mp4")


def test_an_mp4_without_its_index_is_a_broken_recording(tmp_path: Path) -> None:
    cut = truncate(make_clip(tmp_path / "a.mp4"), tmp_path / "cut.mp4", keep=0.5)

    with pytest.raises(DecodeError, match="without its index"):
        probe(cut)


def test_pictures_above_the_limit_are_refused_before_they_are_decoded(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "a.mp4")

    with pytest.raises(InputLimits, match="64x48"):
        probe(clip, max_pixels=64 * 48 - 1)
    assert probe(clip, max_pixels=64 * 48).video.width == 64


def test_a_damaged_first_frame_does_not_stop_the_scan(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "a.mkv", codec="ffv1", pix_fmt="yuv420p")

    info = probe(damage(clip, tmp_path / "bad.mkv", packet=0, flips=2000))

    assert info.frame_count == 12
    assert info.video.width == 64


def test_packets_before_the_first_keyframe_are_not_counted_as_frames(tmp_path: Path) -> None:
    import av

    clip = make_clip(tmp_path / "a.ts", gop=6, b_frames=0)
    with av.open(str(clip)) as source:
        packets = [packet for packet in source.demux(video=0) if packet.size]
        cut = tmp_path / "cut.ts"
        with av.open(str(cut), "w") as out:
            stream = out.add_stream_from_template(source.streams.video[0])
            for packet in packets[3:]:
                packet.stream = stream
                out.mux(packet)

    info = probe(cut)

    assert info.frame_count == 6
    assert any("before any keyframe" in warning for warning in info.warnings)
