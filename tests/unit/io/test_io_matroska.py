"""The header of a finished Matroska file, changed in its place: what it says, and that all else is as it was.

The file is read by PyAV, by the ffmpeg program, and here by a parser of twenty lines.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import pytest

from tests.joins import rejoin
from tests.media import make_clip, numbers_of, packets_of
from vsr.core.errors import MuxError
from vsr.core.media import HdrMetadata
from vsr.io.ffmpeg import run_program
from vsr.io.muxing.matroska import change_video, children, display_size, element, hdr_elements, set_display
from vsr.io.probe import probe

SHAPE = Fraction(64, 45)
PADDED = {"metadata_header_padding": "256"}
MASTERS = {0x18538067, 0x114D9B74, 0x4DBB, 0x1654AE6B, 0xAE, 0xE0, 0x1C53BB6B, 0xBB, 0xB7}


def walk(data: bytes, at: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """Yield identifier, where it begins, where its body begins and ends (RFC 8794 sec. 4 to 6), outermost first."""
    while at < end:
        begin = at
        width = 1
        while not data[at] >> (8 - width):
            width += 1
        name, at = int.from_bytes(data[at : at + width], "big"), at + width
        width = 1
        while not data[at] >> (8 - width):
            width += 1
        size = int.from_bytes(data[at : at + width], "big") & ((1 << 7 * width) - 1)
        at += width
        yield name, begin, at, at + size
        if name in MASTERS:
            yield from walk(data, at, at + size)
        at += size


def with_everything(path: Path, codec: str = "libvpx-vp9") -> Path:
    """Write two seconds and a half with sound, chapters and metadata: several clusters, cues for each keyframe."""
    options = PADDED | {"cluster_time_limit": "400"}
    chapters = [(0.0, 1.0, "one"), (1.0, 2.4, "two")]
    return make_clip(
        path, frames=60, codec=codec, gop=10, audio=1, chapters=chapters, metadata={"title": "A clip"},
        attachment=b"a font" * 50 if path.suffix == ".mkv" else None, container_options=options,
        options={"deadline": "realtime", "cpu-used": "8"} if codec == "libvpx-vp9" else None,
    )  # fmt: skip


@pytest.mark.parametrize("suffix", [".mkv", ".webm"])
def test_the_shape_is_said_and_all_else_is_as_it_was(suffix: str, tmp_path: Path) -> None:
    path = with_everything(tmp_path / f"clip{suffix}")
    before = path.read_bytes()
    packets = packets_of(path, "video"), packets_of(path, "audio")
    set_display(path, nth=0, width=64, height=48, sar=SHAPE, is_webm=suffix == ".webm")
    after = path.read_bytes()
    assert len(after) == len(before)
    cluster = next(begin for name, begin, _, _ in walk(before, 0, len(before)) if name == 0x1F43B675)
    assert after[cluster:] == before[cluster:]
    assert (packets_of(path, "video"), packets_of(path, "audio")) == packets
    with av.open(str(path)) as file:
        assert file.streams.video[0].sample_aspect_ratio == SHAPE
        assert [chapter["metadata"]["title"] for chapter in file.chapters()] == ["one", "two"]
        assert file.metadata["title"] == "A clip"
        assert [s.data for s in file.streams.attachments] == ([b"a font" * 50] if suffix == ".mkv" else [])
    code, said = run_program(["-v", "verbose", "-xerror", "-i", path.name, "-f", "null", "-"], folder=tmp_path)
    assert code == 0 and "SAR 64:45" in said and "0 decode errors" in said and "CRC" not in said


@pytest.mark.parametrize("suffix", [".mkv", ".webm"])
def test_the_index_still_points_where_it_says(suffix: str, tmp_path: Path) -> None:
    path = with_everything(tmp_path / f"clip{suffix}")
    set_display(path, nth=0, width=64, height=48, sar=SHAPE, is_webm=suffix == ".webm")
    data = path.read_bytes()
    found = list(walk(data, 0, len(data)))
    (segment,) = [body for name, _, body, _ in found if name == 0x18538067]
    places = {begin - segment: name for name, begin, _, _ in found}
    named = [int.from_bytes(data[body:end], "big") for name, _, body, end in found if name == 0x53AB]
    sought = [int.from_bytes(data[body:end], "big") for name, _, body, end in found if name == 0x53AC]
    assert len(named) >= 4 and [places[position] for position in sought] == named
    cued = [int.from_bytes(data[body:end], "big") for name, _, body, end in found if name == 0xF1]
    assert len(cued) >= 6 and {places[position] for position in cued} == {0x1F43B675}
    for name, _, body, end in found:
        if name in (0x114D9B74, 0x1654AE6B) and suffix == ".mkv":
            assert data[body] == 0xBF and data[body + 2 : body + 6] == zlib.crc32(data[body + 6 : end]).to_bytes(
                4, "little"
            )
    with av.open(str(path)) as file:
        stream = file.streams.video[0]
        file.seek(1700, stream=stream)
        first = next(packet for packet in file.demux(stream))
        assert first.is_keyframe and first.pts == 1600


def test_only_the_track_that_was_meant_is_changed(tmp_path: Path) -> None:
    one, two = (make_clip(tmp_path / f"{k}.mkv", codec="ffv1", frames=2) for k in range(2))
    with (
        av.open(str(one)) as a,
        av.open(str(two)) as b,
        av.open(str(tmp_path / "both.mkv"), "w", options=PADDED) as out,
    ):
        for file in (a, b):
            file_stream = file.streams.video[0]
            out.add_stream_from_template(file_stream, opaque=True)
        for index, file in enumerate((a, b)):
            for packet in file.demux(video=0):
                if packet.size:
                    packet.stream = out.streams[index]
                    out.mux(packet)
    set_display(tmp_path / "both.mkv", nth=1, width=64, height=48, sar=SHAPE, is_webm=False)
    with av.open(str(tmp_path / "both.mkv")) as file:
        assert [stream.sample_aspect_ratio for stream in file.streams.video] == [None, SHAPE]
    with pytest.raises(MuxError, match="2 video tracks"):
        set_display(tmp_path / "both.mkv", nth=2, width=64, height=48, sar=SHAPE, is_webm=False)


@pytest.mark.parametrize(
    ("codec", "suffix"),
    [
        ("vp9", "webm"),
        ("vp9", "mkv"),
        ("av1", "webm"),
        ("av1", "mkv"),
        ("prores", "mkv"),
        ("ffv1", "mkv"),
        ("h264", "mkv"),
    ],
)
def test_a_join_keeps_the_shape(codec: str, suffix: str, tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mp4", frames=6, sar=SHAPE)
    target = tmp_path / f"out.{suffix}"
    assert rejoin(source, target, codec, cut=4).warnings == ()
    assert probe(target).video.sar == SHAPE
    assert numbers_of(target) == list(range(6))


@pytest.mark.parametrize("sar", [Fraction(64, 45), Fraction(1280, 1281), Fraction(1137, 800), Fraction(9999, 10000)])
@pytest.mark.parametrize("size", [(128, 96), (1440, 1080), (161, 121), (7680, 4320)])
@pytest.mark.parametrize("is_webm", [False, True])
def test_display_sizes_stand_for_the_shape_exactly(sar: Fraction, size: tuple[int, int], is_webm: bool) -> None:
    wide, high, unit = display_size(*size, sar, is_webm=is_webm)
    assert Fraction(wide * size[1], high * size[0]) == sar
    assert unit == 3 or (is_webm and max(wide, high) <= 16384)


def test_pixels_of_webm_are_near_its_own() -> None:
    assert display_size(1440, 1080, Fraction(4, 3), is_webm=True) == (1920, 1080, 0)
    assert display_size(854, 480, Fraction(1280, 1281), is_webm=True) == (848, 477, 0)


def test_hdr_is_set_beside_what_the_colour_element_says(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "clip.mkv", codec="ffv1", frames=2, container_options=PADDED)
    hdr = HdrMetadata(
        primaries=(Fraction(1, 4),) * 8, luminance=(Fraction(1, 10000), Fraction(4000)), max_cll=9, max_fall=8
    )
    for wanted in (hdr, replace(hdr, max_cll=300, luminance=(Fraction(0), Fraction(600)))):
        with path.open("r+b") as file:
            change_video(file, hdr_elements(wanted), name=path.name)
        assert probe(path).video.hdr == wanted


def test_elements_are_read_as_they_are_written() -> None:
    sizes = (0, 1, 126, 127, 128, 16382, 16383, 16384)
    data = b"".join(element(0x53AC, bytes(size)) for size in sizes)
    assert [(name, len(body)) for name, body in children(data)] == [(0x53AC, size) for size in sizes]
    assert element(0xEC, b"", length=8) == b"\xec\x01" + bytes(7)
    with pytest.raises(ValueError, match="cut off"):
        list(children(data[:-1]))


def test_a_header_without_room_or_no_header_is_refused_and_untouched(tmp_path: Path) -> None:
    bare = make_clip(tmp_path / "bare.mkv", codec="ffv1", frames=2)
    other = make_clip(tmp_path / "other.mp4", frames=2)
    for path, reason in ((bare, "bytes are left"), (other, "cannot be changed")):
        before = path.read_bytes()
        hdr = HdrMetadata(primaries=(Fraction(1, 4),) * 8, luminance=(Fraction(1), Fraction(2)))
        with path.open("r+b") as file, pytest.raises(MuxError, match=reason):
            change_video(file, hdr_elements(hdr), name=path.name)
        assert path.read_bytes() == before
