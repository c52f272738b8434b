"""The sink: what goes in comes out, at its own time, as the spec says. Looked at with PyAV alone."""

from __future__ import annotations

import dataclasses
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from tests.media import picture, planes_of, read_number
from vsr.core.errors import DiskFull, EncodeError
from vsr.core.frame import ColorSpec, Frame, pixel_format
from vsr.core.media import OutputSpec
from vsr.io.encoding.codecs import CODECS, encoder_for, encoder_options
from vsr.io.encoding.encode import PyavSink, segment_format

BT709 = ColorSpec(matrix="bt709", range="tv", primaries="bt709", transfer="bt709", siting="left")
UNEVEN = [0, 3600, 5000, 9000, 12600, 20000, 20001, 30000, 33333, 40000, 50000, 60000, 61000]
FAST = {"h264": "superfast", "hevc": "ultrafast", "av1": "12", "vp9": "realtime"}


def make_spec(
    codec: str = "h264",
    *,
    name: str = "yuv420p",
    width: int = 64,
    height: int = 48,
    time_base: Fraction = Fraction(1, 90000),
    color: ColorSpec = BT709,
    sar: Fraction = Fraction(1),
    extra: tuple[tuple[str, str], ...] = (),
) -> OutputSpec:
    options = encoder_options(
        codec, crf=None, preset=FAST.get(codec), threads=1, keyframe_interval=250, color=color, pixel_format=name
    )
    return OutputSpec(
        codec=codec,
        encoder=encoder_for(codec),
        options=(*options, *extra),
        width=width,
        height=height,
        pixel_format=name,
        color=color,
        tags=color,
        time_base=time_base,
        rate=Fraction(25),
        sar=sar,
        threads=1,
    )


def make_frame(spec: OutputSpec, number: int, pts: int, duration: int = 3600) -> Frame:
    fmt = pixel_format(spec.pixel_format)
    planes = picture(number, fmt, spec.width, spec.height)
    return Frame(index=number, pts=pts, duration=duration, planes=planes, format=fmt)


def write(path: Path, spec: OutputSpec, pts: list[int]) -> PyavSink:
    sink = PyavSink(path, spec)
    for number, time in enumerate(pts):
        sink.write(make_frame(spec, number, time, 100 + number))
    return sink


def times(path: Path) -> list[Fraction]:
    with av.open(str(path)) as file:
        return [frame.pts * Fraction(frame.time_base) for frame in file.decode(video=0)]


@pytest.mark.parametrize("codec", CODECS)
def test_frames_and_times_of_every_codec_come_back_exactly(codec: str, tmp_path: Path) -> None:
    spec = make_spec(codec, name=CODECS[codec].formats[0])
    written = write(tmp_path / "a.nut", spec, UNEVEN).close()
    assert (written.frames, list(written.pts)) == (len(UNEVEN), UNEVEN)
    assert list(written.durations) == [100 + number for number in range(len(UNEVEN))]
    assert written.bytes == (tmp_path / "a.nut").stat().st_size
    assert times(tmp_path / "a.nut") == [Fraction(time, 90000) for time in UNEVEN]
    with av.open(str(tmp_path / "a.nut")) as file:
        assert file.format.name.split(",")[0] == segment_format(spec.encoder)
        packets = [packet for packet in file.demux(video=0) if packet.size]
    assert packets[0].is_keyframe
    peak = pixel_format(spec.pixel_format).peak if codec != "prores" else None
    shown = [read_number(planes[0], peak) for _, planes in planes_of(tmp_path / "a.nut")]
    assert shown == list(range(len(UNEVEN)))


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("count", [1, 2, 3, 40])
def test_a_segment_may_have_any_number_of_frames(count: int, codec: str, tmp_path: Path) -> None:
    """x265 gives uninitialised decoding times for one and two frames: the sink must not pass them on."""
    spec = make_spec(codec, name=CODECS[codec].formats[0], time_base=Fraction(1, 25))
    written = write(tmp_path / "a.nut", spec, list(range(count))).close()
    assert written.frames == count
    assert times(tmp_path / "a.nut") == [Fraction(number, 25) for number in range(count)]


@pytest.mark.parametrize("time_base", [Fraction(1, 25), Fraction(1001, 30000), Fraction(1, 10**6), Fraction(1, 15360)])
@pytest.mark.parametrize("codec", ["h264", "prores"])
def test_any_time_base_is_kept(codec: str, time_base: Fraction, tmp_path: Path) -> None:
    pts = [7, 8, 10, 15, 16, 17, 29]
    spec = make_spec(codec, name=CODECS[codec].formats[0], time_base=time_base)
    write(tmp_path / "a.nut", spec, pts).close()
    assert times(tmp_path / "a.nut") == [time * time_base for time in pts]


def test_negative_times_are_reported_as_they_are(tmp_path: Path) -> None:
    """NUT cannot hold them: the file itself begins at zero, in the same steps."""
    written = write(tmp_path / "a.nut", make_spec(), [-5000, -1000, 0, 3600]).close()
    assert written.pts == (-5000, -1000, 0, 3600)
    assert times(tmp_path / "a.nut") == [Fraction(time, 90000) for time in (0, 4000, 5000, 8600)]


@pytest.mark.parametrize(
    "name", ["yuv420p", "yuv422p10le", "gray", "gray16le", "gbrp", "gbrp10le", "gbrap", "yuva420p"]
)
@pytest.mark.parametrize(("width", "height"), [(65, 49), (64, 48)])
def test_lossless_means_every_code_of_every_plane(name: str, width: int, height: int, tmp_path: Path) -> None:
    """8-bit RGB travels planar and is packed for the encoder: the decoder hands it out packed."""
    spec = make_spec("ffv1", name=name, width=width, height=height)
    write(tmp_path / "a.nut", spec, [0, 40]).close()
    with av.open(str(tmp_path / "a.nut")) as file:
        frames = list(file.decode(video=0))
    for number, frame in enumerate(frames):
        expected = make_frame(spec, number, 0).planes
        if frame.format.name in ("bgr0", "bgra"):
            packed = np.frombuffer(frame.planes[0], np.uint8).reshape(-1, frame.planes[0].line_size // 4, 4)
            got = [packed[:height, :width, place] for place in (1, 0, 2, 3)[: len(expected)]]
        else:
            got = planes_of(tmp_path / "a.nut")[number][1]
        for plane, reference in zip(got, expected, strict=True):
            np.testing.assert_array_equal(plane, reference)


def test_planes_with_strides_of_their_own_are_read_right(tmp_path: Path) -> None:
    spec = make_spec("ffv1", name="gray", width=33, height=17)
    wide = np.arange(34 * 80, dtype=np.uint8).reshape(34, 80) % 251
    plane = wide[::2, 5:38]
    sink = PyavSink(tmp_path / "a.nut", spec)
    sink.write(Frame(index=0, pts=0, duration=1, planes=(plane,), format=pixel_format("gray")))
    sink.close()
    np.testing.assert_array_equal(planes_of(tmp_path / "a.nut")[0][1][0], plane)


@pytest.mark.parametrize(
    ("codec", "name"), [("h264", "yuv420p"), ("hevc", "yuv420p10le"), ("av1", "yuv420p10le"), ("prores", "yuv422p10le")]
)
def test_colour_tags_are_written_into_the_stream(codec: str, name: str, tmp_path: Path) -> None:
    """H.273: bt2020 primaries are 9, smpte2084 is 16, bt2020nc is 9; limited range is FFmpeg's 1."""
    color = ColorSpec(matrix="bt2020nc", range="tv", primaries="bt2020", transfer="smpte2084", siting="topleft")
    write(tmp_path / "a.nut", make_spec(codec, name=name, color=color), [0, 40]).close()
    with av.open(str(tmp_path / "a.nut")) as file:
        frame = next(file.decode(video=0))
    assert (frame.colorspace, frame.color_primaries, frame.color_trc) == (9, 9, 16)
    assert frame.color_range == (1 if codec != "prores" else frame.color_range)


@pytest.mark.parametrize("codec", ["h264", "hevc"])
def test_full_range_and_sar_are_written_into_the_stream(codec: str, tmp_path: Path) -> None:
    color = ColorSpec(matrix="smpte170m", range="pc", primaries="smpte170m", transfer="smpte170m", siting="center")
    write(tmp_path / "a.nut", make_spec(codec, color=color, sar=Fraction(64, 45)), [0, 40]).close()
    with av.open(str(tmp_path / "a.nut")) as file:
        frame = next(file.decode(video=0))
        assert file.streams.video[0].sample_aspect_ratio == Fraction(64, 45)
    assert (frame.colorspace, frame.color_range) == (6, 2)


def test_an_option_that_the_encoder_does_not_know_is_an_error(tmp_path: Path) -> None:
    sink = PyavSink(tmp_path / "a.nut", make_spec(extra=(("presset", "fast"),)))
    with pytest.raises(EncodeError, match="presset") as caught:
        sink.write(make_frame(make_spec(), 0, 0))
    assert "preset" in str(caught.value.hint)
    sink.abort()
    assert list(tmp_path.iterdir()) == []


def test_what_the_encoder_refuses_is_said_in_its_own_words(tmp_path: Path) -> None:
    spec = make_spec(width=65)
    with pytest.raises(EncodeError, match="width not divisible by 2"):
        PyavSink(tmp_path / "a.nut", spec).write(make_frame(spec, 0, 0))


def test_a_frame_of_another_size_or_format_is_refused(tmp_path: Path) -> None:
    spec = make_spec()
    sink = PyavSink(tmp_path / "a.nut", spec)
    with pytest.raises(EncodeError, match="66x48 yuv420p"):
        sink.write(make_frame(make_spec(width=66), 0, 0))
    with pytest.raises(EncodeError, match="64x48 yuv444p"):
        sink.write(make_frame(make_spec(name="yuv444p"), 0, 0))


@pytest.mark.parametrize("time", [40, 39])
def test_a_time_that_does_not_rise_is_refused(time: int, tmp_path: Path) -> None:
    spec = make_spec()
    sink = PyavSink(tmp_path / "a.nut", spec)
    sink.write(make_frame(spec, 0, 40))
    with pytest.raises(EncodeError, match=f"pts {time}"):
        sink.write(make_frame(spec, 1, time))
    sink.abort()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs the device that is always full")
def test_a_full_disk_is_told_apart(tmp_path: Path) -> None:
    link = tmp_path / "a.nut"
    link.symlink_to("/dev/full")
    spec = make_spec("ffv1", width=640, height=480)
    sink = PyavSink(link, spec)
    with pytest.raises(DiskFull, match=r"a\.nut"):  # at some write on the way, or at the last flush
        for number in range(8):
            sink.write(make_frame(spec, number, number))
        sink.close()
    sink.abort()
    assert list(tmp_path.iterdir()) == []


def test_a_missing_folder_is_an_output_error(tmp_path: Path) -> None:
    spec = make_spec()
    with pytest.raises(Exception, match="does not exist") as caught:
        PyavSink(tmp_path / "none" / "a.nut", spec).write(make_frame(spec, 0, 0))
    assert getattr(caught.value, "exit_code", None) == 6


def test_closing_without_a_frame_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(EncodeError, match="no frame"):
        PyavSink(tmp_path / "a.nut", make_spec()).close()


def test_abort_removes_the_file_at_any_time_and_twice(tmp_path: Path) -> None:
    other = tmp_path / "other.nut"
    other.write_bytes(b"not ours")
    PyavSink(other, make_spec()).abort()  # never opened
    assert other.exists()
    half = write(tmp_path / "half.nut", make_spec(), [0, 40, 80])
    half.abort()
    half.abort()
    whole = write(tmp_path / "whole.nut", make_spec(), [0, 40, 80])
    whole.close()
    whole.abort()
    assert list(tmp_path.iterdir()) == [other]


def test_the_same_frames_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a.nut", "b.nut"):
        write(tmp_path / name, make_spec(), UNEVEN).close()
    assert (tmp_path / "a.nut").read_bytes() == (tmp_path / "b.nut").read_bytes()


@pytest.mark.parametrize("codec", ["h264", "hevc"])
def test_the_same_frames_give_the_same_bytes_whatever_the_memory_held(codec, tmp_path):
    """x264's AVX-512 code gave up to ten results in thirty runs of this; resume rests on there being one."""
    made = make_spec(codec, width=96, height=64)
    spec = dataclasses.replace(
        made, options=tuple((key, "medium" if key == "preset" else value) for key, value in made.options)
    )
    noise = np.random.default_rng(1)
    scene = noise.integers(16, 235, (3, 128, 192), np.uint8)
    digests = set()
    for _ in range(8):
        junk = [np.full(int(size), int(size) % 251, np.uint8) for size in noise.integers(1000, 400_000, 200)]
        del junk  # its bytes are what the encoder's memory holds
        sink = PyavSink(tmp_path / "a.nut", spec)
        for number in range(60):
            at = number % 50
            planes = (scene[0, at : at + 64, at : at + 96], scene[1, :32, at : at + 48], scene[2, :32, at : at + 48])
            frame = make_frame(spec, number, number * 3600)
            sink.write(dataclasses.replace(frame, planes=tuple(np.ascontiguousarray(plane) for plane in planes)))
        sink.close()
        digests.add((tmp_path / "a.nut").read_bytes())
    assert len(digests) == 1
