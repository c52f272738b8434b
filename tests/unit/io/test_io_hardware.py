"""Encoders and decoders of hardware: each really tried, and a choice only of one that works."""

from __future__ import annotations

import av
import pytest
from av.codec.codec import UnknownCodecError

from vsr.core.errors import NoDevice, SettingsError
from vsr.core.frame import ColorSpec
from vsr.io.decoding import hwdecode
from vsr.io.encoding import encoders, hardware
from vsr.io.encoding.codecs import CODECS, encoder_options, output_pixel_format
from vsr.io.encoding.hardware import choose_encoder, usable_decoders, usable_encoders


def test_every_software_encoder_is_usable_and_the_others_say_why_not() -> None:
    found = usable_encoders()
    assert {name: found[name] for name in (rule.encoder for rule in CODECS.values())} == {
        rule.encoder: "ok" for rule in CODECS.values()
    }
    assert all(found.values())
    assert {"h264_nvenc", "hevc_nvenc", "av1_nvenc"} <= set(found)


def test_every_kind_of_decoding_hardware_is_tried_and_says_what_it_lacks() -> None:
    found = usable_decoders()
    assert tuple(found) == hwdecode.KINDS
    assert all(found.values())


def test_nothing_asked_is_software() -> None:
    assert [choose_encoder(codec, None) for codec in CODECS] == [rule.encoder for rule in CODECS.values()]
    assert choose_encoder("h264", "libx264") == "libx264"


@pytest.mark.parametrize(("codec", "name"), [("h264", "libx265"), ("h264", "hevc_nvenc"), ("av1", "h264_nvnec")])
def test_an_encoder_of_another_codec_is_refused_with_the_right_ones(codec: str, name: str) -> None:
    with pytest.raises(SettingsError, match=name) as caught:
        choose_encoder(codec, name)
    assert CODECS[codec].encoder in str(caught.value.hint)


def test_hardware_for_a_codec_that_none_writes_is_refused() -> None:
    with pytest.raises(SettingsError, match="ffv1"):
        choose_encoder("ffv1", "hardware")


def test_the_first_that_encodes_a_frame_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = []

    def attempt(encoder: str, codec: str, name: str | None = None) -> str:
        tried.append(encoder)
        return "" if encoder == "h264_amf" else "no such device"

    monkeypatch.setattr(hardware, "_tried", attempt)
    assert choose_encoder("h264", "hardware") == "h264_amf"
    assert tried == ["h264_nvenc", "h264_qsv", "h264_amf"]


def test_where_none_encodes_each_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware, "_tried", lambda encoder, codec, name=None: f"{encoder} is not plugged in")
    with pytest.raises(NoDevice) as caught:
        choose_encoder("hevc", "hardware")
    assert all(f"{name} is not plugged in" in str(caught.value) for name in encoders.HARDWARE["hevc"])
    assert "libx265" in str(caught.value.hint)
    with pytest.raises(NoDevice, match="hevc_qsv is not plugged in"):
        choose_encoder("hevc", "hevc_qsv")


def test_an_encoder_that_is_not_built_in_is_told_from_one_that_fails() -> None:
    with pytest.raises(NoDevice, match="not in this FFmpeg"):
        choose_encoder("h264", "h264_videotoolbox")


@pytest.mark.parametrize(
    ("codec", "name"), [(codec, name) for codec, names in encoders.HARDWARE.items() for name in names]
)
def test_hardware_is_asked_in_words_that_its_encoder_knows(codec: str, name: str) -> None:
    """What comes of them needs the hardware; that FFmpeg has options of these names can be seen without it."""
    crf = None if codec == "prores" else 20
    options = encoder_options(
        codec,
        crf=crf,
        preset=None,
        threads=2,
        keyframe_interval=50,
        color=ColorSpec(),
        pixel_format="yuv420p",
        max_bitrate=8_000_000,
        encoder=name,
    )
    assert encoders.family(name) is not None
    try:
        known = av.CodecContext.create(name, "w").supported_options
    except UnknownCodecError:
        pytest.skip(f"{name} is not in this FFmpeg")
    names = {option.name for option in (*known.private, *known.generic)}
    assert {key for key, _ in options} <= names


@pytest.mark.parametrize(
    ("codec", "encoder", "source", "expected"),
    [
        ("h264", "h264_nvenc", "yuv420p10le", "yuv420p"),
        ("hevc", "hevc_nvenc", "yuv420p10le", "yuv420p10le"),
        ("hevc", "hevc_qsv", "yuv444p12le", "yuv420p10le"),
        ("av1", "av1_amf", "yuva420p", "yuv420p"),
        ("prores", "prores_videotoolbox", "yuv420p", "yuv422p10le"),
    ],
)
def test_hardware_takes_fewer_pixel_formats(codec: str, encoder: str, source: str, expected: str) -> None:
    assert output_pixel_format(source, codec, encoder=encoder) == expected
    with pytest.raises(SettingsError, match=encoder):
        output_pixel_format(source, codec, "yuv444p", encoder=encoder)


def test_presets_of_hardware_are_its_own() -> None:
    with pytest.raises(SettingsError, match="veryfast") as caught:
        encoder_options(
            "h264",
            crf=None,
            preset="veryfast",
            threads=1,
            keyframe_interval=50,
            color=ColorSpec(),
            pixel_format="yuv420p",
            encoder="h264_nvenc",
        )
    assert "p5" in str(caught.value.hint)
