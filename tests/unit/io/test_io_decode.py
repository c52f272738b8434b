"""What PyavSource does where files are odd or damaged; the rules for good ones are in tests/contracts."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from tests.media import damage, make_clip, numbers_of, planes_of, read_number
from vsr.core.errors import DecodeError, SettingsError
from vsr.core.frame import Frame
from vsr.core.media import WHOLE, MediaInfo, Span
from vsr.io.base import DecodeTally
from vsr.io.decoding.decode import PyavSource, open_source
from vsr.io.probe import probe


def _numbers(frames: list[Frame]) -> list[int]:
    return [read_number(frame.planes[0], frame.format.peak) for frame in frames]


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("gray.mkv", {"codec": "ffv1", "pix_fmt": "gray"}),
        ("10bit.mkv", {"codec": "ffv1", "pix_fmt": "yuv420p10le"}),
        ("12bit.mkv", {"codec": "ffv1", "pix_fmt": "yuv444p12le"}),
        ("odd.webm", {"codec": "libvpx-vp9", "width": 67, "height": 49}),
        ("411.mkv", {"codec": "ffv1", "pix_fmt": "yuv411p", "width": 70}),
        ("alpha.mkv", {"codec": "ffv1", "pix_fmt": "yuva422p10le"}),
        ("rgb.mkv", {"codec": "ffv1", "pix_fmt": "gbrp10le"}),
    ],
)
def test_planar_formats_travel_as_they_are(name: str, options: dict[str, object], tmp_path: Path) -> None:
    clip = make_clip(tmp_path / name, frames=4, **options)  # type: ignore[arg-type]

    frames = list(open_source(probe(clip)).frames(WHOLE))

    for frame, (pts, planes) in zip(frames, planes_of(clip), strict=True):
        assert frame.pts == pts
        assert len(frame.planes) == len(planes)
        for ours, theirs in zip(frame.planes, planes, strict=True):
            np.testing.assert_array_equal(ours, theirs)
    assert _numbers(frames) == list(range(4))


def test_packed_rgb_is_unpacked_without_loss(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "a.mkv", codec="ffv1", pix_fmt="bgr0", frames=3)

    info = probe(clip)
    frames = list(open_source(info).frames(WHOLE))

    assert (info.video.coded_pixel_format, info.video.pixel_format) == ("bgr0", "gbrp")
    with av.open(str(clip)) as source:
        for ours, theirs in zip(frames, source.decode(video=0), strict=True):
            packed = np.frombuffer(theirs.planes[0], np.uint8).reshape(48, -1, 4)[:, :64]
            for plane, channel in zip(ours.planes, (1, 0, 2), strict=True):
                np.testing.assert_array_equal(plane, packed[..., channel])


def test_a_variable_clip_in_avi_order_keeps_every_frame_in_its_place(tmp_path: Path) -> None:
    info = probe(make_clip(tmp_path / "a.avi", b_frames=2, frames=20))

    frames = list(open_source(info).frames(WHOLE))

    assert _numbers(frames) == list(range(20))
    assert [frame.pts for frame in frames] == list(info.packets.pts)
    assert _numbers(list(open_source(info).frames(Span(start=frames[7].pts), seek=frames[7].pts)))[0] == 7


def test_a_raw_stream_is_decoded_whole_and_evenly_timed(tmp_path: Path) -> None:
    info = probe(make_clip(tmp_path / "a.h264", format="h264"))

    frames = list(open_source(info).frames(WHOLE))

    assert _numbers(frames) == list(range(12))
    assert {frame.duration * info.video.time_base for frame in frames} == {Fraction(1, 25)}


def test_frames_that_the_decoder_holds_back_come_out_at_the_end(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "a.mp4", frames=3, b_frames=2)

    assert _numbers(list(open_source(probe(clip)).frames(WHOLE))) == [0, 1, 2]


def test_damage_is_counted_and_decoding_goes_on(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "a.mkv", gop=6, b_frames=0, frames=18, width=128, height=96, options={"crf": "4"})
    bad = damage(clip, tmp_path / "bad.mkv", packet=8, flips=200)
    tally = DecodeTally()

    frames = list(open_source(probe(bad)).frames(WHOLE, tally=tally))

    assert tally.corrupt + tally.errors > 0
    assert tally.frames == len(frames) >= 17
    sound = [frame for frame in frames if not 6 <= frame.index < 12]
    assert _numbers(sound) == [frame.index for frame in sound] == [*range(6), *range(12, 18)]


def test_a_refused_packet_leaves_a_gap_in_the_indices_and_no_shift(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "a.mkv", codec="ffv1", pix_fmt="yuv420p", frames=8)
    bad = damage(clip, tmp_path / "bad.mkv", packet=3, flips=2000)
    tally = DecodeTally()

    frames = list(open_source(probe(bad)).frames(WHOLE, tally=tally))

    for frame in frames:
        assert frame.pts == 40 * frame.index
    assert [n for n in (f.index for f in frames) if n != 3] == [0, 1, 2, 4, 5, 6, 7]
    assert tally.frames + tally.errors >= 8


def test_nothing_decodable_is_an_error(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "a.mkv", codec="libvpx-vp9", frames=4, gop=30)
    info = probe(clip)
    spoiled = tmp_path / "bad.mkv"
    data = bytearray(clip.read_bytes())
    with av.open(str(clip)) as source:
        spans = [(packet.pos, packet.size) for packet in source.demux(video=0) if packet.size]
    for begin, size in spans:
        data[begin + 8 : begin + size] = bytes(size - 8)
        data[begin + 4 : begin + 8] = b"\0\0\0\0"
    spoiled.write_bytes(data)
    tally = DecodeTally()

    with pytest.raises(DecodeError, match="no frame of"):
        list(open_source(replace(info, path=spoiled)).frames(WHOLE, tally=tally))
    assert tally.errors > 0 and tally.first_error


@pytest.mark.parametrize("decoder", ["pyav", "ffmpeg"])
def test_a_change_of_size_in_mid_stream_is_an_error_that_names_the_pts(decoder: str, tmp_path: Path) -> None:
    narrow = make_clip(tmp_path / "0.ts", width=64, pts=range(6))
    wide = make_clip(tmp_path / "1.ts", width=96, pts=range(6, 12))
    joined = tmp_path / "joined.ts"
    joined.write_bytes(narrow.read_bytes() + wide.read_bytes())
    frames = []

    with pytest.raises(DecodeError, match=r"become.* at pts \d+, after 64x48"):
        for frame in open_source(probe(joined), decoder=decoder).frames(WHOLE):
            frames.append(frame)

    assert len(frames) == 6


def test_an_edit_list_hides_frames_that_are_decoded_but_not_shown(tmp_path: Path) -> None:
    # Times before zero become an edit list in MP4: its first frames lie before the edit.
    clip = make_clip(tmp_path / "a.mp4", pts=range(-3, 9), b_frames=0)

    info = probe(clip)
    frames = list(open_source(info).frames(WHOLE))

    assert _numbers(frames) == numbers_of(clip)
    assert [frame.index for frame in frames] == list(range(len(frames)))
    assert [frame.pts for frame in frames] == list(info.packets.pts)


def test_an_unknown_decoder_is_refused(tmp_path: Path) -> None:
    info = probe(make_clip(tmp_path / "a.mp4"))

    with pytest.raises(SettingsError, match="'gstreamer'"):
        open_source(info, decoder="gstreamer")


def test_a_file_that_lost_its_video_since_it_was_probed_is_an_error(tmp_path: Path) -> None:
    info = probe(make_clip(tmp_path / "a.mp4", audio=1, audio_first=True))
    other: MediaInfo = replace(info, path=make_clip(tmp_path / "b.mp4"))

    with pytest.raises(DecodeError, match="no video stream 1"):
        list(PyavSource(info=other).frames(WHOLE))


def test_reading_needs_memory_for_a_frame_not_for_a_file(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "a.mp4", frames=60)
    source = open_source(probe(clip))

    # Views into pooled memory: frames let go of are used again, so few addresses serve many frames.
    addresses = {frame.planes[0].ctypes.data for frame in source.frames(WHOLE)}

    assert len(addresses) < 30
