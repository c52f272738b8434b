"""The ffmpeg program: found, run, and its failures told; what Source and Sink share is in tests/contracts."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from tests.media import damage, make_clip, picture, truncate
from vsr.core.errors import DecodeError, EncodeError, UsageError
from vsr.core.frame import ColorSpec, Frame, pixel_format
from vsr.core.media import WHOLE, OutputSpec
from vsr.io import ffmpeg
from vsr.io.base import DecodeTally
from vsr.io.decoding.decode import open_source
from vsr.io.ffmpeg import FfmpegSink, FfmpegSource
from vsr.io.probe import probe

SPEC = OutputSpec(
    codec="h264",
    encoder="libx264",
    options=(("preset", "ultrafast"),),
    width=64,
    height=48,
    pixel_format="yuv420p",
    color=ColorSpec(),
    tags=ColorSpec(),
    time_base=Fraction(1, 25),
    rate=Fraction(25),
    threads=1,
)


def _frame(number: int) -> Frame:
    format = pixel_format("yuv420p")
    return Frame(index=number, pts=number, duration=1, planes=picture(number, format, 64, 48), format=format)


def test_the_environment_comes_before_the_path_and_the_path_before_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine, theirs = tmp_path / "mine", tmp_path / "bin" / "ffmpeg"
    theirs.parent.mkdir()
    for file in (mine, theirs):
        file.write_text("#!/bin/sh\n")
        file.chmod(0o755)
    monkeypatch.delenv("VSR_FFMPEG", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    packaged = ffmpeg.program()
    monkeypatch.setenv("PATH", str(theirs.parent))
    on_path = ffmpeg.program()
    monkeypatch.setenv("VSR_FFMPEG", str(mine))

    assert (ffmpeg.program(), on_path) == (mine, theirs)
    assert packaged is None or "imageio_ffmpeg" in str(packaged)


def test_a_program_that_is_not_there_is_said_with_the_way_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = probe(make_clip(tmp_path / "a.mp4"))
    monkeypatch.setenv("VSR_FFMPEG", str(tmp_path / "no-such-program"))

    with pytest.raises(UsageError, match="no-such-program names no file") as caught:
        list(FfmpegSource(info=info).frames(WHOLE))

    assert caught.value.hint is not None and "vsr[ffmpeg]" in caught.value.hint
    assert ffmpeg.program() is None


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("vfr.mkv", {"pts": [0, 33, 67, 100, 1400, 1401], "time_base": Fraction(1, 1000)}),
        ("deep.mkv", {"pts": [0, 1, 2, 3], "codec": "ffv1", "pix_fmt": "yuv422p10le"}),
        ("late.mp4", {"pts": range(500, 512), "audio": 1}),
        ("start.ts", {"frames": 12, "audio": 1, "audio_first": True}),
        ("odd.webm", {"codec": "libvpx-vp9", "width": 67, "height": 49}),
        ("packed.mkv", {"codec": "ffv1", "pix_fmt": "bgr0"}),
        ("full.mp4", {"pix_fmt": "yuvj420p"}),
        ("turned.mp4", {"rotation": 90}),
        ("order.avi", {"b_frames": 2}),
        ("palette.gif", {"codec": "gif", "pix_fmt": "rgb8"}),
        ("raw.h264", {"format": "h264"}),
        ("it's 100% 🎬 %d.mp4", {}),
    ],
)
def test_both_decoders_agree_to_the_bit(name: str, options: dict[str, object], tmp_path: Path) -> None:
    info = probe(make_clip(tmp_path / name, **options))  # type: ignore[arg-type]

    theirs = list(open_source(info, decoder="ffmpeg").frames(WHOLE))

    for ours, other in zip(open_source(info).frames(WHOLE), theirs, strict=True):
        assert (ours.index, ours.pts, ours.duration) == (other.index, other.pts, other.duration)
        assert ours.format == other.format
        for plane, same in zip(ours.planes, other.planes, strict=True):
            np.testing.assert_array_equal(plane, same)


def test_a_start_before_zero_is_kept(tmp_path: Path) -> None:
    info = probe(make_clip(tmp_path / "a.mp4", pts=range(4)))
    shifted = replace(info, packets=replace(info.packets, pts=(-7, 1, 2, 3)))

    # The shift that carries times through NUT is taken off again: it must not show.
    frames = list(FfmpegSource(info=shifted).frames(WHOLE))

    assert [frame.pts for frame in frames] == [0, 1, 2, 3]


def test_damage_is_counted_as_the_program_reports_it(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "a.mkv", codec="ffv1", pix_fmt="yuv420p", frames=8)
    info = probe(damage(clip, tmp_path / "bad.mkv", packet=3, flips=2000))
    ours, theirs = DecodeTally(), DecodeTally()

    a = [frame.pts for frame in open_source(info).frames(WHOLE, tally=ours)]
    b = [frame.pts for frame in open_source(info, decoder="ffmpeg").frames(WHOLE, tally=theirs)]

    assert a == b
    assert ours.errors == theirs.errors


def test_nothing_decodable_is_an_error_in_the_programs_words(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "a.mp4")
    info = probe(clip)
    truncate(clip, tmp_path / "cut.mp4", keep=0.3).replace(clip)

    with pytest.raises(DecodeError, match=r"by ffmpeg: .*moov"):
        list(open_source(info, decoder="ffmpeg").frames(WHOLE))


def test_leaving_early_ends_the_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[subprocess.Popen[bytes]] = []
    popen = subprocess.Popen

    def watched(*args: object, **options: object) -> subprocess.Popen[bytes]:
        started.append(popen(*args, **options))  # type: ignore[call-overload]
        return started[-1]

    monkeypatch.setattr(ffmpeg.subprocess, "Popen", watched)
    # Far more than a pipe holds, so that the program still waits to write when it is left.
    info = probe(make_clip(tmp_path / "a.mp4", width=640, height=480, frames=40))
    frames = FfmpegSource(info=info).frames(WHOLE)
    next(iter(frames))

    frames.close()  # type: ignore[attr-defined]

    assert [process.poll() is not None for process in started] == [True]


def test_an_encoder_option_that_does_not_exist_is_refused_in_the_programs_words(tmp_path: Path) -> None:
    sink = FfmpegSink(tmp_path / "a.nut", replace(SPEC, options=(("no-such-option", "1"),)))

    with pytest.raises(EncodeError, match="no-such-option"):
        for number in range(50):
            sink.write(_frame(number))
        sink.close()
    sink.abort()
    assert list(tmp_path.iterdir()) == []


def test_a_size_that_the_encoder_refuses_is_told(tmp_path: Path) -> None:
    format = pixel_format("yuv420p")
    sink = FfmpegSink(tmp_path / "a.nut", replace(SPEC, width=65))
    frame = Frame(index=0, pts=0, duration=1, planes=picture(0, format, 65, 48), format=format)

    with pytest.raises(EncodeError, match="width not divisible by 2"):
        sink.write(frame)
        sink.close()
    sink.abort()


def test_times_that_do_not_rise_are_refused(tmp_path: Path) -> None:
    sink = FfmpegSink(tmp_path / "a.nut", SPEC)
    sink.write(_frame(4))

    with pytest.raises(EncodeError, match="not after 4"):
        sink.write(_frame(4))
    sink.abort()


@pytest.mark.parametrize(
    ("encoder", "name", "options"),
    [
        ("ffv1", "gbrp", ()),
        ("ffv1", "yuv444p10le", (("level", "3"),)),
        ("prores_ks", "yuv422p10le", ()),
        ("libx265", "yuv420p", (("preset", "ultrafast"), ("x265-params", "log-level=none"))),
    ],
)
def test_other_encoders_take_the_same_road(
    encoder: str, name: str, options: tuple[tuple[str, str], ...], tmp_path: Path
) -> None:
    spec = replace(SPEC, encoder=encoder, pixel_format=name, options=options)
    sink = FfmpegSink(tmp_path / "a.seg", spec)
    format = pixel_format(name)
    for number in range(5):
        planes = picture(number, format, 64, 48)
        sink.write(Frame(index=number, pts=3 * number, duration=3, planes=planes, format=format))

    written = sink.close()

    assert written.pts == (0, 3, 6, 9, 12)
    frames = list(open_source(probe(written.path)).frames(WHOLE))
    assert len(frames) == 5
    if encoder == "ffv1":
        for frame in frames:
            for plane, same in zip(frame.planes, picture(frame.index, format, 64, 48), strict=True):
                np.testing.assert_array_equal(plane, same)
