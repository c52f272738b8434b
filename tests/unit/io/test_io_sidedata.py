"""What frames and headers carry beside the picture is named, and said to be lost where it is."""

from __future__ import annotations

import struct
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av

from tests.media import make_clip
from vsr.core.frame import NO_SIDE_DATA
from vsr.core.media import WHOLE
from vsr.io.decoding.decode import open_source
from vsr.io.metadata.description import read_description
from vsr.io.metadata.sidedata import dropped, words
from vsr.io.muxing.matroska import change_video
from vsr.io.probe import probe

DUMP = """Input #0, mov,mp4,m4a,3gp,3g2,mj2, from '':
  Stream #0:0[0x1](und): Audio: aac (LC), 44100 Hz, stereo, fltp (default)
    Side data:
      Spherical Mapping: equirectangular
  Stream #0:1[0x2](und): Video: hevc (Main 10), 1 reference frame (hvc1), yuv420p10le(tv, bt2020nc, topleft), 64x48
    Metadata:
      handler_name    : Side
    Side data:
      DOVI configuration record: version: 1.0, profile: 8, level: 2, rpu flag: 1
      Display Matrix: rotation of -90.00 degrees
      Stereo 3D: side by side
      Frame Cropping: 4/12/16/8
  Stream #0:10: Video: h264, yuv420p(progressive, left), 64x48
"""


def test_ffmpegs_description_of_one_stream_is_read() -> None:
    said = read_description(DUMP, 1)
    assert said.siting == "topleft"
    assert said.side_data == (
        "Dolby Vision metadata",
        "cropping when shown (left 4, right 12, top 16, bottom 8)",
        "stereoscopic layout",
    )
    assert said.crop == (4, 12, 16, 8) and read_description(DUMP, 10).crop == ()
    assert read_description(DUMP, 10).siting == "left" and read_description(DUMP, 10).side_data == ()
    assert read_description(DUMP, 0) == read_description("", 1)


def test_what_says_nothing_is_not_named() -> None:
    whole = struct.pack("=3i6h", 0, 720 * 16, 576 * 16, 0, 0, 0, 0, 0, 0)
    assert words({"PANSCAN": whole, "STEREO3D": bytes(36), "SEI_UNREGISTERED": b"x264"}, width=720) == ()
    counted = {"GOP_TIMECODE": struct.pack("=q", 1 << 24 | 1 << 12)}  # 00:00:00;00
    assert words(counted, width=720) == ()
    assert words({"GOP_TIMECODE": struct.pack("=q", 1 << 19 | 1 << 12)}, width=720) == (
        "timecodes of groups of pictures",
    )
    part = struct.pack("=3i6h", 0, 540 * 16, 576 * 16, 0, 0, 0, 0, 0, 0)
    assert words({"PANSCAN": part, "STEREO3D": b"\x01" + bytes(35)}, width=720) == (
        "pan and scan window",
        "stereoscopic layout",
    )


def test_each_item_is_named_as_lost(tmp_path: Path) -> None:
    info = probe(make_clip(tmp_path / "in.mp4", frames=2))
    assert info.video.side_data == () == dropped(info, "h264")
    carried = words(
        {"DOVI_METADATA": b"", "DOVI_RPU_BUFFER": b"", "DYNAMIC_HDR_PLUS": b"", "S12M_TIMECODE": b""}, width=1
    )
    assert carried == ("Dolby Vision metadata", "HDR10+ metadata", "timecodes of single frames")
    said = dropped(replace(info, video=replace(info.video, side_data=carried)), "hevc")
    assert len(said) == 3 and all(text.startswith(word) for text, word in zip(said, carried, strict=True))


def test_a_crop_of_the_container_is_named_and_frames_are_whole(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "in.mkv", frames=2, container_options={"metadata_header_padding": "64"})
    with path.open("r+b") as file:  # PixelCropBottom, Top, Left, Right (RFC 9559 sec. 5.1.4.1.28.8 to 11)
        change_video(file, {0x54AA: b"\x08", 0x54BB: b"\x10", 0x54CC: b"\x04", 0x54DD: b"\x0c"}, name=path.name)
    info = probe(path)
    assert info.video.side_data == ("cropping when shown (left 4, right 12, top 16, bottom 8)",)
    assert (info.video.width, info.video.height) == (64, 48)
    for decoder in ("pyav", "ffmpeg"):
        frames = open_source(info, decoder=decoder).frames(WHOLE)
        assert [(frame.width, frame.height) for frame in frames] == [(64, 48)] * 2


def test_a_film_without_captions_carries_nothing(tmp_path: Path) -> None:
    info = probe(make_clip(tmp_path / "in.mp4", frames=3, sar=Fraction(4, 3)))
    assert all(frame.side_data is NO_SIDE_DATA for frame in open_source(info).frames(WHOLE))
    with av.open(str(info.path)) as file:
        assert all(item.type.name != "A53_CC" for frame in file.decode(video=0) for item in frame.side_data)
