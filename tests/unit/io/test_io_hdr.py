"""HDR10 metadata: what a frame says, what each encoder writes of it, and which containers hold it for other codecs."""

from __future__ import annotations

import re
import struct
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import pytest

from tests.joins import rejoin
from tests.media import make_clip, packets_of
from vsr.core.errors import EncodeError
from vsr.core.media import HdrMetadata
from vsr.io.ffmpeg import run_program
from vsr.io.metadata.hdr import hdr_params, nearest, read_hdr
from vsr.io.metadata.sidedata import dropped_hdr
from vsr.io.probe import probe

# BT.2020 primaries, D65 (ITU-R BT.2020-2 table 3), as steps of 0.00002; R, G, B, white.
STEPS = (35400, 14600, 8500, 39850, 6550, 2300, 15635, 16450)
HDR = HdrMetadata(
    primaries=tuple(Fraction(step, 50000) for step in STEPS),
    luminance=(Fraction(1, 200), Fraction(1000)),
    max_cll=998,
    max_fall=403,
)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("hdr") / "in.mp4", frames=3)


def test_a_frames_side_data_is_read_exactly() -> None:
    pairs = [number for step in STEPS for number in (step, 50000)]
    mastering = struct.pack("=20i2i", *pairs, 50, 10000, 10000000, 10000, 1, 1)
    found = read_hdr({"MASTERING_DISPLAY_METADATA": mastering, "CONTENT_LIGHT_LEVEL": struct.pack("=2I", 998, 403)})
    assert found == HDR
    without = struct.pack("=20i2i", *([0, 1] * 10), 0, 0)
    assert read_hdr({"MASTERING_DISPLAY_METADATA": without}) is None
    only_light = read_hdr({"MASTERING_DISPLAY_METADATA": without, "CONTENT_LIGHT_LEVEL": struct.pack("=2I", 0, 7)})
    assert only_light == HdrMetadata(max_fall=7)
    assert read_hdr({}) is None


def test_parameters_are_in_the_steps_of_the_standard() -> None:
    assert dict(hdr_params("libx265", HDR)) == {
        "hdr10": "1",
        "master-display": "G(8500,39850)B(6550,2300)R(35400,14600)WP(15635,16450)L(10000000,50)",
        "max-cll": "998,403",
    }
    assert dict(hdr_params("libx264", HdrMetadata(max_cll=5))) == {"cll": "5,0"}
    assert hdr_params("libvpx-vp9", HDR) == ()


def test_what_no_stream_can_say_is_refused() -> None:
    with pytest.raises(EncodeError, match="HDR10"):
        hdr_params("libx265", replace(HDR, luminance=(Fraction(0), Fraction(10**9))))


@pytest.mark.parametrize("codec", ["h264", "hevc", "av1"])
@pytest.mark.parametrize(
    "wanted", [HDR, HdrMetadata(max_cll=998, max_fall=403), replace(HDR, max_cll=None, max_fall=None)]
)
def test_streams_carry_it_by_themselves(codec: str, wanted: HdrMetadata, clip: Path, tmp_path: Path) -> None:
    rejoin(clip, tmp_path / "out.nut", codec, hdr=wanted)  # NUT holds none: what is read comes from the stream
    found = probe(tmp_path / "out.nut").video.hdr
    assert found == nearest(wanted, codec)
    if codec != "av1":
        assert found == wanted
    assert found is not None and nearest(found, codec) == found


@pytest.mark.parametrize(
    ("codec", "container"),
    [("vp9", "mp4"), ("vp9", "mkv"), ("vp9", "webm"), ("prores", "mov"), ("prores", "mkv"), ("ffv1", "mkv")],
)
def test_containers_carry_it_for_streams_that_cannot(codec: str, container: str, clip: Path, tmp_path: Path) -> None:
    target = tmp_path / f"out.{container}"
    rejoin(clip, target, codec, hdr=HDR)
    info = probe(target)
    assert info.video.hdr == HDR
    assert dropped_hdr(info, codec, container) == ""
    plain = tmp_path / f"plain.{container}"
    rejoin(clip, plain, codec)
    assert probe(plain).video.hdr is None
    with av.open(str(target)) as a, av.open(str(plain)) as b:
        packets = [[bytes(packet) for packet in file.demux(video=0)] for file in (a, b)]
    assert packets[0] == packets[1]


@pytest.mark.parametrize(("codec", "suffix"), [("hevc", "mp4"), ("av1", "mkv")])
def test_the_header_of_the_file_says_it_too(codec: str, suffix: str, clip: Path, tmp_path: Path) -> None:
    rejoin(clip, tmp_path / f"out.{suffix}", codec, hdr=HDR)
    _, said = run_program(["-i", f"out.{suffix}"], folder=tmp_path)
    assert "MaxCLL=998, MaxFALL=403" in said
    shown = re.search(
        r"r\((.*?)\).*g\((.*?)\).*b\((.*?)\).*wp\((.*?)\).*min_luminance=(\S+), max_luminance=(\S+)", said
    )
    assert shown is not None
    numbers = [float(word) for group in shown.groups() for word in re.findall(r"[\d.]+", group)]
    assert numbers == pytest.approx([*(step / 50000 for step in STEPS), 0.005, 1000], abs=1e-4)


@pytest.mark.parametrize(("codec", "container"), [("ffv1", "avi"), ("vp9", "nut")])
def test_where_nothing_holds_it_the_loss_is_named(codec: str, container: str, clip: Path) -> None:
    info = probe(clip)
    info = replace(info, video=replace(info.video, hdr=HDR))
    said = dropped_hdr(info, codec, container)
    assert said.startswith("HDR10 metadata") and ".mkv" in said
    half = replace(info, video=replace(info.video, hdr=HdrMetadata(max_cll=9)))
    assert "only together" in dropped_hdr(half, "vp9", "webm") and dropped_hdr(half, "hevc", "mkv") == ""
    assert "software encoder" in dropped_hdr(info, "hevc", "ts", encoder="hevc_nvenc")
    assert dropped_hdr(info, "hevc", "mp4", encoder="hevc_nvenc") == dropped_hdr(info, "hevc", "ts", encoder="libx265")
    assert dropped_hdr(info, "hevc", container) == dropped_hdr(probe(clip), codec, container) == ""


@pytest.mark.parametrize(("codec", "container"), [("h264", "mp4"), ("prores", "mov"), ("ffv1", "mkv")])
def test_a_header_that_says_it_changes_nothing_else(codec: str, container: str, clip: Path, tmp_path: Path) -> None:
    """The template that brings it is another file's stream: its edit list, times and packets must be as without."""
    told, plain = tmp_path / f"told.{container}", tmp_path / f"plain.{container}"
    for target, hdr in ((told, HDR), (plain, None)):
        rejoin(clip, target, codec, hdr=hdr)
    times = [[(p.pts, p.dts, p.duration, p.is_keyframe) for p in packets_of(path, "video")] for path in (told, plain)]
    assert times[0] == times[1]
    if container != "mkv":
        boxes = len(HDR.primaries) * 2 + 8 + 8, 4 + 8  # mdcv, clli: content and header of the box
        grown = len(headers(told)) - len(headers(plain))
        assert grown == sum(boxes)


def headers(path: Path) -> bytes:
    """Give the moov box, the movie's header, of a file whose boxes tell their sizes in 32 bits."""
    data, at = path.read_bytes(), 0
    while data[at + 4 : at + 8] != b"moov":
        at += int.from_bytes(data[at : at + 4], "big")
    return data[at : at + int.from_bytes(data[at : at + 4], "big")]
