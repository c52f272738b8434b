"""Every choice that a user has of an encoder, held against the stream that comes of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from vsr.core.errors import SettingsError
from vsr.core.frame import ColorSpec, Frame, pixel_format
from vsr.core.media import HdrMetadata, OutputSpec
from vsr.io.encoding.capping import video_sink
from vsr.io.encoding.codecs import CODECS, encoder_options, keyframe_interval, output_pixel_format
from vsr.io.encoding.hardware import try_options
from vsr.io.encoding.options import Options

BT709 = ColorSpec(matrix="bt709", range="tv", primaries="bt709", transfer="bt709", siting="left")
FAST = {"h264": "ultrafast", "hevc": "ultrafast", "av1": "12", "vp9": "realtime"}
LOSSY = ("h264", "hevc", "av1", "vp9")
WIDTH, HEIGHT = 96, 64


def make_spec(
    codec: str,
    *,
    crf: float | None = None,
    preset: str | None = None,
    name: str | None = None,
    keyint: int = 250,
    threads: int = 2,
    extra: Options = (),
    max_bitrate: int | None = None,
    hdr: HdrMetadata | None = None,
) -> OutputSpec:
    name = name or CODECS[codec].formats[0]
    options = encoder_options(
        codec,
        crf=crf,
        preset=preset or FAST.get(codec),
        threads=threads,
        keyframe_interval=keyint,
        color=BT709,
        pixel_format=name,
        extra=extra,
        max_bitrate=max_bitrate,
        hdr=hdr,
    )
    return OutputSpec(
        codec=codec,
        encoder=CODECS[codec].encoder,
        options=options,
        width=WIDTH,
        height=HEIGHT,
        pixel_format=name,
        color=BT709,
        tags=BT709,
        time_base=Fraction(1, 25),
        rate=Fraction(25),
        threads=threads,
        keyframe_interval=keyint,
    )


def write(path: Path, spec: OutputSpec, *, frames: int = 8, noise: float = 0.05) -> Path:
    """Write a still gradient under noise that changes, so that quality costs bits and no scene is cut."""
    format = pixel_format(spec.pixel_format)
    random = np.random.default_rng(3)
    sink = video_sink(path, spec)
    for number in range(frames):
        planes = []
        for plane in range(format.plane_count):
            rows, columns = format.plane_shape(plane, spec.width, spec.height)
            smooth = 0.3 + 0.4 * np.add.outer(np.arange(rows) / rows, np.arange(columns) / columns) / 2
            codes = np.clip(smooth + random.normal(0, noise, smooth.shape), 0, 1) * format.peak
            planes.append(codes.round().astype(format.dtype))
        sink.write(Frame(index=number, pts=number, duration=1, planes=tuple(planes), format=format))
    sink.close()
    return path


def keyframes(path: Path) -> list[int]:
    with av.open(str(path)) as file:
        stream = file.streams.video[0]
        packets = sorted((packet.pts or 0, packet.is_keyframe) for packet in file.demux(stream) if packet.size)
    return [place for place, (_, is_key) in enumerate(packets) if is_key]


@pytest.mark.parametrize("codec", LOSSY)
def test_a_coarser_quality_makes_a_smaller_stream(codec: str, tmp_path: Path) -> None:
    sizes = [write(tmp_path / f"{crf}", make_spec(codec, crf=crf)).stat().st_size for crf in (10, 30, 50)]
    assert sizes[0] > 1.5 * sizes[1] > 1.5 * 1.2 * sizes[2]


@pytest.mark.parametrize("codec", LOSSY)
def test_a_preset_changes_the_stream(codec: str, tmp_path: Path) -> None:
    slower = {"h264": "medium", "hevc": "medium", "av1": "7", "vp9": "medium"}[codec]
    quick = write(tmp_path / "a", make_spec(codec), frames=4).read_bytes()
    assert write(tmp_path / "b", make_spec(codec, preset=slower), frames=4).read_bytes() != quick


@pytest.mark.parametrize("codec", LOSSY)
def test_keyframes_stand_as_far_apart_as_asked(codec: str, tmp_path: Path) -> None:
    assert keyframes(write(tmp_path / "a", make_spec(codec, keyint=5), frames=16)) == [0, 5, 10, 15]
    assert keyframes(write(tmp_path / "b", make_spec(codec, keyint=250), frames=16)) == [0]


@pytest.mark.parametrize("codec", ["prores", "ffv1"])
def test_codecs_of_keyframes_alone_say_so(codec: str, tmp_path: Path) -> None:
    assert keyframe_interval(codec, None, 250) == keyframe_interval(codec, 1, 250) == 1
    assert keyframes(write(tmp_path / "a", make_spec(codec, keyint=250), frames=4)) == [0, 1, 2, 3]
    with pytest.raises(SettingsError, match="every frame"):
        keyframe_interval(codec, 12, 250)


def test_the_interval_is_the_users_or_the_usual_one() -> None:
    assert (keyframe_interval("h264", None, 250), keyframe_interval("h264", 12, 250)) == (250, 12)


@pytest.mark.parametrize(
    ("codec", "name"),
    [
        ("h264", "yuv422p10le"),
        ("hevc", "yuv444p12le"),
        ("av1", "yuv420p10le"),
        ("vp9", "yuv440p"),
        ("prores", "yuv444p10le"),
        ("ffv1", "yuv422p16le"),
        ("ffv1", "gray12le"),
    ],
)
def test_the_stream_has_the_pixel_format_asked_for(codec: str, name: str, tmp_path: Path) -> None:
    path = write(tmp_path / "a", make_spec(codec, name=output_pixel_format("yuv420p", codec, name)), frames=1)
    with av.open(str(path)) as file:
        found = next(file.decode(video=0)).format.name
    assert found == (name.replace("10le", "12le") if codec == "prores" else name)


@pytest.mark.parametrize(
    ("codec", "extra", "other"),
    [
        ("h264", {"x264-params": "aq-mode=3:deblock=1"}, {}),
        ("hevc", {"x265-params": "no-sao=1:no-deblock=1"}, {}),
        ("av1", {"svtav1-params": "tune=0:sharpness=3"}, {}),
        ("vp9", {"tune-content": "screen"}, {}),
        ("prores", {"profile": "lt"}, {"profile": "standard"}),
        ("ffv1", {"slices": "4"}, {"slices": "9"}),
        ("h264", {"tune": "film"}, {}),
        ("h264", {"b": "40k"}, {}),
    ],
)
def test_the_users_options_reach_the_encoder(
    codec: str, extra: Mapping[str, str], other: Mapping[str, str], tmp_path: Path
) -> None:
    spec = make_spec(codec, extra=tuple(extra.items()))
    try_options(spec)
    made = write(tmp_path / "a", spec, frames=4).read_bytes()
    assert made != write(tmp_path / "b", make_spec(codec, extra=tuple(other.items())), frames=4).read_bytes()


@pytest.mark.parametrize(
    ("codec", "extra"),
    [
        ("h264", ("tune", "flim")),
        ("h264", ("x264-params", "nonsense=1")),
        ("hevc", ("x265-params", "me=nonsense")),
        ("hevc", ("x265-params", "nonsense=1")),
        ("av1", ("svtav1-params", "nonsense=1")),
        ("av1", ("svtav1-params", "tune=99")),
        ("vp9", ("tune-content", "nonsense")),
        ("vp9", ("x264-params", "aq-mode=1")),
        ("prores", ("profile", "99")),
        ("ffv1", ("tune", "film")),
    ],
)
def test_options_that_the_encoder_does_not_take_are_found_beforehand(codec: str, extra: tuple[str, str]) -> None:
    """x264, x265 and SVT-AV1 only warn of a parameter that they do not know, and encode without it."""
    with pytest.raises(SettingsError, match="does not take"):
        try_options(make_spec(codec, extra=(extra,)))


@pytest.mark.parametrize("codec", CODECS)
def test_the_default_options_are_taken_without_a_word(codec: str) -> None:
    try_options(make_spec(codec, max_bitrate=900_000))


@pytest.mark.parametrize("max_bitrate", [None, 60_000])
@pytest.mark.parametrize("codec", LOSSY)
def test_one_plan_gives_one_stream(codec: str, max_bitrate: int | None, tmp_path: Path) -> None:
    """With more threads than one, and with a cap that is met: by default none but libvpx is repeatable there."""
    spec = make_spec(codec, threads=3, crf=20, max_bitrate=max_bitrate)
    spec = replace(spec, width=256, height=192)
    made = {write(tmp_path / f"{run}", spec, frames=12, noise=0.2).read_bytes() for run in range(3)}
    assert len(made) == 1


@pytest.mark.parametrize(
    ("codec", "extra"),
    [
        ("h264", ("b", "80k")),
        ("hevc", ("b", "80k")),
        ("av1", ("b", "80k")),
        ("av1", ("svtav1-params", "rc=1:tbr=80")),
        ("vp9", ("b", "80k")),
    ],
)
def test_a_rate_that_the_user_aims_at_gives_one_stream_too(codec: str, extra: tuple[str, str], tmp_path: Path) -> None:
    spec = replace(make_spec(codec, threads=3, extra=(extra,), max_bitrate=60_000), width=256, height=192)
    made = {write(tmp_path / f"{run}", spec, frames=20, noise=0.2).read_bytes() for run in range(3)}
    assert len(made) == 1


@pytest.mark.parametrize("codec", LOSSY)
def test_a_cap_bounds_what_constant_quality_would_spend(codec: str, tmp_path: Path) -> None:
    """Half the rate over four seconds, and 1.8 seconds of it in advance: 5.8 of the 8 that it would be."""
    free = write(tmp_path / "a", make_spec(codec, crf=20), frames=100, noise=0.2).stat().st_size
    held = write(tmp_path / "b", make_spec(codec, crf=20, max_bitrate=free), frames=100, noise=0.2).stat().st_size
    assert held < 0.8 * free


@pytest.mark.parametrize("codec", ["h264", "hevc"])
def test_a_cap_that_is_not_met_changes_no_picture(codec: str, tmp_path: Path) -> None:
    """One slice, one thread: the encoder's choices are those without a cap. x265's lookahead differs a little."""
    shown = []
    for rate in (None, 50_000_000):
        path = write(tmp_path / f"{rate}", make_spec(codec, preset="veryfast", threads=1, max_bitrate=rate), frames=10)
        with av.open(str(path)) as file:
            shown.append(np.stack([frame.to_ndarray() for frame in file.decode(video=0)]).astype(int))
    assert np.abs(shown[0] - shown[1]).mean() < (0.001 if codec == "h264" else 0.2)


def test_hdr_and_the_users_parameters_stand_together() -> None:
    hdr = HdrMetadata(
        primaries=tuple(Fraction(number, 1000) for number in (708, 292, 170, 797, 131, 46, 313, 329)),
        luminance=(Fraction(1, 10000), Fraction(1000)),
        max_cll=1000,
        max_fall=400,
    )
    spec = make_spec("hevc", name="yuv420p10le", hdr=hdr, extra=(("x265-params", "no-sao=1"),))
    own = dict(spec.options)["x265-params"].split(":")
    assert {"no-sao=1", "max-cll=1000,400", "open-gop=0"} <= set(own)
    try_options(spec)


@pytest.mark.parametrize(("codec", "word"), [("prores", "profile"), ("ffv1", "lossless")])
def test_a_codec_without_a_quality_says_what_there_is(codec: str, word: str) -> None:
    with pytest.raises(SettingsError) as caught:
        make_spec(codec, crf=20)
    assert word in f"{caught.value} {caught.value.hint}"
