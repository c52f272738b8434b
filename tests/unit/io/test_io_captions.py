"""Closed captions: into packets, through every container, and out again with the frame that they belong to."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import av
import pytest

from tests.joins import rejoin
from tests.media import make_clip
from vsr.core.errors import EncodeError
from vsr.core.media import WHOLE
from vsr.io.decoding.decode import open_source
from vsr.io.ffmpeg import run_program
from vsr.io.metadata.captions import holds_captions, with_captions
from vsr.io.metadata.sidedata import dropped
from vsr.io.probe import probe

FRAMES = 14
# Zeros that look like start codes, one triplet and none, and more than one message holds (31).
CAPTIONS = [
    b"\xfc\x00\x00\x00\x00\x01\xfc\x00\x00\x00\x00\x00" if index % 5 == 1
    else b"".join(bytes([0xFC, 0x20 + index, 0x41 + k % 26]) for k in range(40)) if index % 5 == 2
    else b"" if index % 5 == 3
    else bytes([0xFD, index, 0x80])
    for index in range(FRAMES)
]  # fmt: skip


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("captions") / "in.mp4", frames=FRAMES)


def seen(path: Path) -> list[bytes]:
    """Read captions with PyAV alone."""
    with av.open(str(path)) as file:
        return [
            b"".join(bytes(item) for item in frame.side_data if item.type.name == "A53_CC")
            for frame in file.decode(video=0)
        ]


@pytest.mark.parametrize(
    ("codec", "suffix"),
    [
        ("h264", "mp4"),
        ("h264", "mkv"),
        ("h264", "ts"),
        ("hevc", "mov"),
        ("hevc", "mkv"),
        ("av1", "mp4"),
        ("av1", "webm"),
    ],
)
def test_every_frame_gets_back_its_own(codec: str, suffix: str, clip: Path, tmp_path: Path) -> None:
    target = tmp_path / f"out.{suffix}"
    # FFmpeg hands on only the last of several messages of an AV1 frame; no broadcast has more than one.
    wanted = [given[:93] for given in CAPTIONS] if codec == "av1" else CAPTIONS
    rejoin(clip, target, codec, captions=wanted, cut=6)
    assert seen(target) == wanted
    info = probe(target)
    assert info.video.side_data == ("closed captions",)
    assert [frame.side_data.captions for frame in open_source(info).frames(WHOLE)] == wanted


@pytest.mark.parametrize("codec", ["h264", "hevc", "av1"])
def test_the_picture_is_the_same_with_them_and_without(codec: str, clip: Path, tmp_path: Path) -> None:
    for name, captions in (("with", CAPTIONS), ("without", [])):
        rejoin(clip, tmp_path / f"{name}.mkv", codec, captions=captions)
    frames = []
    for name in ("with", "without"):
        with av.open(str(tmp_path / f"{name}.mkv")) as file:
            frames.append([(frame.pts, frame.to_ndarray().tobytes()) for frame in file.decode(video=0)])
    assert frames[0] == frames[1]


def parity(byte: int) -> int:
    """Give seven bits with the odd parity of CEA-608 (47 CFR 15.119)."""
    return byte | (0x80 if byte.bit_count() % 2 == 0 else 0)


def test_another_reader_reads_the_words(clip: Path, tmp_path: Path) -> None:
    """Paint-on captions (47 CFR 15.119 (f)): a command, the address of row 15, the letters, and the end of them."""
    pairs = [(0x14, 0x29), (0x14, 0x29), (0x14, 0x70), (0x14, 0x70), (0x48, 0x45), (0x4C, 0x4C), (0x4F, 0x00)]
    pairs += [(0, 0)] * (FRAMES - 2 - len(pairs)) + [(0x14, 0x2C)] * 2
    captions = [bytes([0xFC, parity(a), parity(b)]) for a, b in pairs]
    for codec, suffix in (("h264", "mp4"), ("hevc", "mkv"), ("av1", "mp4")):
        target = tmp_path / f"{codec}.{suffix}"
        rejoin(clip, target, codec, captions=captions, cut=5)
        _, said = run_program(
            ["-f", "lavfi", "-i", f"movie={target.name}[out+subcc]", "-map", "0:s", "-f", "srt", "-"], folder=tmp_path
        )
        assert "HELLO" in said, codec


def test_a_codec_that_holds_none_says_so(clip: Path, tmp_path: Path) -> None:
    rejoin(clip, tmp_path / "in.mkv", "h264", captions=CAPTIONS)
    info = probe(tmp_path / "in.mkv")
    (said,) = dropped(info, "vp9")
    assert "closed captions" in said and "--codec h264" in said
    assert not holds_captions("vp9") and dropped(info, "h264") == dropped(info, "av1") == ()
    assert "--decoder pyav" in dropped(info, "h264", decoder="ffmpeg")[0]
    rejoin(clip, tmp_path / "out.webm", "vp9", captions=CAPTIONS)
    assert not any(seen(tmp_path / "out.webm"))


@pytest.mark.parametrize("codec", ["h264", "hevc", "av1"])
def test_a_packet_without_a_picture_is_refused(codec: str) -> None:
    delimiter = {"h264": b"\x00\x00\x00\x01\x09\xf0\x00", "hevc": b"\x00\x00\x01\x46\x01\x50", "av1": b"\x12\x00"}[
        codec
    ]
    with pytest.raises(EncodeError, match="captions"):
        with_captions(cast("av.packet.Packet[av.VideoStream]", av.Packet(delimiter)), b"\xfc\x80\x80", codec)
