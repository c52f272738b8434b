"""The codec table against the encoders themselves."""

from __future__ import annotations

from fractions import Fraction

import av
import pytest

from vsr.core.errors import EncodeError, SettingsError
from vsr.core.frame import ColorSpec, pixel_format
from vsr.io.encoding.codecs import (
    CODECS,
    encodable_size,
    encoder_for,
    encoder_options,
    format_losses,
    output_pixel_format,
)


def options(codec: str, *, crf: float | None = None, preset: str | None = None) -> dict[str, str]:
    made = encoder_options(
        codec, crf=crf, preset=preset, threads=2, keyframe_interval=50, color=ColorSpec(), pixel_format="yuv420p"
    )
    return dict(made)


@pytest.mark.parametrize("codec", CODECS)
def test_every_format_of_the_table_is_one_of_the_encoder_and_one_that_travels(codec: str) -> None:
    known = {found.name for found in av.Codec(encoder_for(codec), "w").video_formats or []}
    known |= {"gbrp", "gbrap"} if codec == "ffv1" else set()  # packed by the sink
    for name in CODECS[codec].formats:
        assert pixel_format(name).name == name
        assert name in known


@pytest.mark.parametrize(
    ("source", "codec", "expected"),
    [
        ("yuv420p", "h264", "yuv420p"),
        ("yuv422p10le", "hevc", "yuv422p10le"),
        ("yuv420p12le", "h264", "yuv420p10le"),  # the deepest there is
        ("yuv420p9le", "hevc", "yuv420p10le"),  # the next deeper
        ("yuv411p", "h264", "yuv422p"),  # the next finer
        ("yuv440p", "hevc", "yuv444p"),
        ("yuv440p", "vp9", "yuv440p"),
        ("yuv444p", "av1", "yuv420p"),
        ("yuv420p", "prores", "yuv422p10le"),
        ("yuva444p10le", "prores", "yuva444p10le"),
        ("yuva420p", "h264", "yuv420p"),
        ("gray", "h264", "gray"),
        ("gray16le", "hevc", "gray12le"),
        ("gray", "vp9", "yuv420p"),
        ("gbrp", "h264", "yuv420p"),
        ("gbrp10le", "hevc", "yuv420p10le"),
        ("gbrp", "prores", "yuv444p10le"),
        ("gbrap", "ffv1", "gbrap"),
        ("gbrp16le", "ffv1", "gbrp16le"),
    ],
)
def test_the_closest_format_is_chosen(source: str, codec: str, expected: str) -> None:
    assert output_pixel_format(source, codec) == expected


@pytest.mark.parametrize(
    ("source", "output", "said"),
    [
        ("yuv420p", "yuv420p10le", ()),
        ("gray", "yuv420p", ()),
        ("yuv420p10le", "yuv420p", ("10 bits a sample become 8",)),
        ("yuva444p", "yuv420p", ("chroma is thinned out from 4:4:4 to 4:2:0", "the alpha channel is left out")),
        ("gbrp", "yuv420p", ("chroma is thinned out from RGB to 4:2:0",)),
        ("yuv420p", "gray", ("colour is left out",)),
    ],
)
def test_what_a_format_loses_is_said(source: str, output: str, said: tuple[str, ...]) -> None:
    assert format_losses(source, output) == said


@pytest.mark.parametrize("name", CODECS["ffv1"].formats)
def test_the_archive_codec_changes_no_format(name: str) -> None:
    assert output_pixel_format(name, "ffv1") == name


def test_a_requested_format_is_taken_or_refused_with_a_suggestion() -> None:
    assert output_pixel_format("yuv420p", "h264", "yuv444p10") == "yuv444p10le"
    with pytest.raises(SettingsError, match="yuv42p") as caught:
        output_pixel_format("yuv420p", "h264", "yuv42p")
    assert "yuv420p" in str(caught.value.hint)


def test_unknown_codecs_are_refused_with_a_suggestion() -> None:
    with pytest.raises(SettingsError, match="h265") as caught:
        encoder_for("h265")
    assert "h264" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("codec", "name", "width", "height"),
    [
        ("h264", "yuv420p", 65, 64),
        ("h264", "yuv420p", 64, 65),
        ("h264", "yuv422p", 65, 64),
        ("hevc", "yuv420p", 64, 65),
        ("hevc", "yuv444p", 63, 64),
        ("av1", "yuv420p", 3, 64),
        ("h264", "yuv420p", 16386, 64),
    ],
)
def test_sizes_that_the_encoder_refuses_are_refused_beforehand(codec: str, name: str, width: int, height: int) -> None:
    with pytest.raises(EncodeError, match=f"{width}x{height}") as caught:
        encodable_size(width, height, name, codec)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("codec", "name", "width", "height"),
    [
        ("h264", "yuv420p", 66, 2),
        ("h264", "yuv422p", 66, 65),
        ("h264", "yuv444p", 65, 65),
        ("h264", "gray", 65, 65),
        ("hevc", "yuv420p", 64, 64),
        ("hevc", "yuv444p", 65, 67),
        ("av1", "yuv420p", 65, 65),
        ("vp9", "yuv420p", 1, 1),
        ("vp9", "yuv420p", 161, 121),
        ("prores", "yuv422p10le", 65, 65),
        ("ffv1", "yuv420p", 65, 65),
        ("ffv1", "gbrp10le", 3, 3),
    ],
)
def test_sizes_that_are_allowed_are_really_encoded(codec: str, name: str, width: int, height: int) -> None:
    assert encodable_size(width, height, name, codec) == (width, height)
    context = av.CodecContext.create(encoder_for(codec), "w")
    context.width, context.height, context.pix_fmt = width, height, name
    context.time_base = Fraction(1, 25)
    context.options = options(codec)
    frame = av.VideoFrame(width, height, name)
    frame.pts = 0
    assert len([*context.encode(frame), *context.encode(None)]) == 1


@pytest.mark.parametrize("codec", CODECS)
def test_the_encoder_knows_all_its_default_options(codec: str) -> None:
    context = av.CodecContext.create(encoder_for(codec), "w")
    context.width, context.height, context.pix_fmt = 128, 64, CODECS[codec].formats[0]
    context.time_base = Fraction(1, 25)
    context.options = options(codec)
    context.open()
    assert context.options == {}


@pytest.mark.parametrize(
    ("codec", "preset"), [(rule.name, preset) for rule in CODECS.values() for preset in rule.presets]
)
def test_every_preset_of_the_table_opens(codec: str, preset: str) -> None:
    context = av.CodecContext.create(encoder_for(codec), "w")
    context.width, context.height, context.pix_fmt = 128, 64, "yuv420p"
    context.time_base = Fraction(1, 25)
    context.options = options(codec, preset=preset)
    context.open()
    assert context.is_open


@pytest.mark.parametrize(
    ("codec", "crf"),
    [
        ("h264", 52),
        ("h264", -1),
        ("hevc", 51.5),
        ("av1", 0),
        ("av1", 64),
        ("vp9", 64),
        ("vp9", 20.5),
        ("ffv1", 10),
        ("prores", 10),
    ],
)
def test_a_quality_out_of_the_codecs_bounds_is_refused(codec: str, crf: float) -> None:
    with pytest.raises(SettingsError, match=f"{crf:g}"):
        options(codec, crf=crf)


@pytest.mark.parametrize(("codec", "crf"), [("h264", 0), ("h264", 51), ("hevc", 17.5), ("av1", 63), ("vp9", 0)])
def test_a_quality_within_bounds_reaches_the_encoder(codec: str, crf: float) -> None:
    assert options(codec, crf=crf)["crf"] == f"{crf:g}"


@pytest.mark.parametrize(
    ("codec", "preset"), [("h264", "veryfst"), ("av1", "14"), ("vp9", "veryfast"), ("ffv1", "fast")]
)
def test_an_unknown_preset_is_refused_with_a_hint(codec: str, preset: str) -> None:
    with pytest.raises(SettingsError, match=preset) as caught:
        options(codec, preset=preset)
    assert caught.value.hint
