"""The table of containers against FFmpeg itself: real packets written, and read back as what they were."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import pytest

from tests.joining import Sound, sound_packets, video_packets, write_sound
from vsr.core.media import StreamInfo
from vsr.io.muxing.carriage import holds
from vsr.io.muxing.muxers import CONTAINERS, ContainerRule

PCM = [f"pcm_{kind}{order}" for kind in ("s16", "s24", "s32", "f32", "f64") for order in ("le", "be")]
PACKED = ["aac", "ac3", "eac3", "mp2", "mp3", "alac", "flac", "opus", "wavpack"]
ENCODED = [*PACKED, *PCM, "pcm_u8", "pcm_s8", "pcm_alaw", "pcm_mulaw", "adpcm_ms", "adpcm_ima_wav", "adpcm_ima_qt"]
# What FFmpeg's muxer takes but other programs do not expect there, or nobody has held against them.
BEYOND = {
    "avi": {"flac", "eac3"},
    "nut": {"wavpack", "adpcm_ms", "adpcm_ima_wav"},
}
# FFmpeg reads these back by the name of a codec of the same family: the bytes are the same.
RENAMED = {("mp4", "mp2"): "mp3", ("ts", "mp2"): "mp3", ("nut", "eac3"): "ac3"}


def read_back(path: Path, rule: ContainerRule, codec: str) -> tuple[str, bool]:
    """Write a few packets of sound alone, and give the codec that they are read back as, and whether they are whole."""
    try:
        write_sound(path, Sound(codec=codec, packets=4, layout="stereo"), format=rule.muxer)
    except (ValueError, av.FFmpegError):
        return "", False
    given = b"".join(data for _, _, data, _ in sound_packets(Sound(codec=codec, packets=4, layout="stereo")).packets)
    try:
        with av.open(str(path)) as file:
            stream = next((stream for stream in file.streams.audio if stream.codec_context is not None), None)
            if stream is None:
                return "", False
            made = b"".join(bytes(packet) for packet in file.demux(stream) if packet.size)
            return stream.codec_context.codec.canonical_name, made == given
    except av.FFmpegError:  # a file of streams that nobody knows
        return "", False


@pytest.mark.parametrize("name", CONTAINERS)
def test_sound_is_held_by_a_container_exactly_where_its_muxer_keeps_it(name: str, tmp_path: Path) -> None:
    rule = CONTAINERS[name]
    wrong = []
    for codec in ENCODED:
        found, is_whole = read_back(tmp_path / f"x{rule.suffixes[0]}", rule, codec)
        # MPEG-TS puts a header before each AAC packet, Matroska takes one away from WavPack and gives it back.
        is_kept = found == RENAMED.get((name, codec), codec) and (is_whole or codec in ("aac", "wavpack"))
        if is_kept != (codec in rule.audio) and codec not in BEYOND.get(name, set()):
            wrong.append((codec, found, is_whole))
    assert wrong == []


@pytest.mark.parametrize("name", CONTAINERS)
def test_every_codec_that_is_written_is_read_back(name: str, tmp_path: Path) -> None:
    rule = CONTAINERS[name]
    for codec in set(rule.video) & {"h264", "vp9", "ffv1"}:
        found = video_packets(codec, 3, 0)
        path = tmp_path / f"{codec}{rule.suffixes[0]}"
        path.write_bytes(found.template)
        with av.open(str(path)) as source, av.open(str(tmp_path / "out"), "w", format=rule.muxer) as out:
            stream = out.add_stream_from_template(source.streams.video[0], opaque=True)
            for packet in source.demux(source.streams.video[0]):
                if packet.size:
                    packet.stream = stream
                    out.mux(packet)
        with av.open(str(tmp_path / "out")) as file:
            assert file.streams.video[0].codec_context.codec.canonical_name == codec


@pytest.mark.parametrize("codec", ["av1", "vp9", "flac", "opus"])
def test_mov_is_not_said_to_hold_what_ffmpeg_writes_to_mp4_alone(codec: str) -> None:
    rule = CONTAINERS["mov"]
    assert codec not in {*rule.video, *rule.copies, *rule.audio}


@pytest.mark.parametrize("codec", sorted(CONTAINERS["ts"].data))
def test_data_of_mpegts_comes_back_as_what_it_was(codec: str, tmp_path: Path) -> None:
    path = tmp_path / "x.ts"
    given = [bytes([6, 14, 43, 52, *range(20 + number)]) for number in range(4)]
    with av.open(str(path), "w") as out:
        video = out.add_stream("mpeg2video", rate=25)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        stream = out.add_data_stream(codec)
        stream.time_base = video.time_base = Fraction(1, 90000)
        packets = []
        for number in range(4):
            frame = av.VideoFrame(64, 48, "yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            packets += video.encode(frame)
        packets += video.encode(None)
        for number, (packet, data) in enumerate(zip(packets, given, strict=True)):
            out.mux(packet)
            other = av.Packet(data)
            other.time_base = stream.time_base
            other.pts = other.dts = 3600 * number
            other.stream = stream
            out.mux(other)
    with av.open(str(path)) as file:
        found = next(stream for stream in file.streams if stream.type == "data")
        assert found.name == codec
        assert [bytes(packet) for packet in file.demux(found) if packet.size] == given
    assert holds(CONTAINERS["ts"], StreamInfo(index=1, kind="data", codec=codec))
