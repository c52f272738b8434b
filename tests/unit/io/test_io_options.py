"""What a user writes for an encoder, and what becomes of it beside vsr's own."""

from __future__ import annotations

import pytest

from vsr.core.errors import SettingsError
from vsr.io.encoding.options import joined_options, parse_codec_options, with_parameters


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ()),
        ("tune=film", (("tune", "film"),)),
        (" tune=film , aq-mode=3 ", (("tune", "film"), ("aq-mode", "3"))),
        (r"x264-params=zones=0\,10\,q=20", (("x264-params", "zones=0,10,q=20"),)),
        ("x265-params=aq-mode=3:no-sao=1", (("x265-params", "aq-mode=3:no-sao=1"),)),
        ("profile=lt", (("profile", "lt"),)),
    ],
)
def test_options_are_read_as_they_are_written(text: str, expected: tuple[tuple[str, str], ...]) -> None:
    assert parse_codec_options(text) == expected


@pytest.mark.parametrize("text", ["film", "=film", "tune=", "tune=film,,a=b", "tune=a,tune=b", "ä=1", ","])
def test_nonsense_is_refused(text: str) -> None:
    with pytest.raises(SettingsError):
        parse_codec_options(text)


@pytest.mark.parametrize(
    ("text", "flag"),
    [
        ("crf=20", "--crf"),
        ("preset=slow", "--encoder-preset"),
        ("g=50", "--keyint"),
        ("x264-params=keyint=50", "--keyint"),
        ("threads=3", "--encoder-threads"),
        ("x265-params=pools=4", "--encoder-threads"),
        ("svtav1-params=lp=4", "--encoder-threads"),
        ("pix_fmt=yuv444p", "--pix-fmt"),
        ("maxrate=5M", "--max-bitrate"),
        ("x264-params=vbv-maxrate=5000", "--max-bitrate"),
    ],
)
def test_what_has_a_flag_of_its_own_is_sent_there(text: str, flag: str) -> None:
    with pytest.raises(SettingsError, match=r"flag of its own") as caught:
        parse_codec_options(text)
    assert flag in str(caught.value.hint)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("x265-params=open-gop=1", "closed"),
        ("x264-params=open_gop=1", "closed"),
        ("x265-params=no-open-gop=1", "closed"),
        ("svtav1-params=irefresh-type=1", "closed"),
        ("forced-idr=0", "closed"),
        ("x264-params=asm=avx512", "same bytes"),
        ("x264-params=no-sliced-threads=1", "same bytes"),
        ("x265-params=log-level=full", "log"),
        ("x264-params=pass=1", "one pass"),
        ("x265-params=csv=/tmp/a.csv", "log"),
        ("color_range=pc", "source"),
        ("intra-refresh=1", "closed"),
        ("x264-params=colormatrix=bt470bg", "source"),
        ("x265-params=range=full", "source"),
        ("svtav1-params=matrix-coefficients=5", "source"),
        ("svtav1-params=resize-mode=1", "source"),
        ("x264-params=interlaced=1", "whole pictures"),
        ("x265-params=interlace=1", "whole pictures"),
        ("drop-threshold=60", "whole pictures"),
        ("x264-params=opencl=1", "same bytes"),
        ("x264opts=open-gop=1", "another name"),
    ],
)
def test_what_correctness_rests_on_is_refused_in_words(text: str, why: str) -> None:
    with pytest.raises(SettingsError, match=why):
        parse_codec_options(text)


def test_the_users_word_is_the_last() -> None:
    ours = (("crf", "18"), ("x264-params", "asm=avx2,fma3:aq-mode=1"), ("flags", "+cgop"))
    asked = parse_codec_options("tune=film,x264-params=aq_mode=3:no-mbtree,flags=+gray")
    assert dict(joined_options(ours, asked)) == {
        "crf": "18",
        "x264-params": "asm=avx2,fma3:aq-mode=3:no-mbtree=1",
        "flags": "+gray+cgop",
        "tune": "film",
    }


@pytest.mark.parametrize("flags", ["-cgop", "+pass1", "+gray-cgop", "+ilme+ildct"])
def test_flags_that_would_open_groups_take_two_passes_or_make_fields_are_refused(flags: str) -> None:
    with pytest.raises(SettingsError):
        joined_options((("flags", "+cgop"),), (("flags", flags),))


def test_another_steering_of_the_rate_takes_the_place_of_constant_quality() -> None:
    ours = (("crf", "18"), ("maxrate", "1000"), ("bufsize", "2000"), ("preset", "fast"))
    assert dict(joined_options(ours, (("b", "5M"),))) == {"preset": "fast", "b": "5M"}


def test_parameters_join_those_that_are_there() -> None:
    hdr = (("hdr10", "1"), ("max-cll", "1000,400"))
    joined = with_parameters((("crf", "20"), ("x265-params", "open-gop=0")), "libx265", hdr)
    assert dict(joined)["x265-params"] == "open-gop=0:hdr10=1:max-cll=1000,400"
    assert dict(with_parameters((("crf", "20"),), "libsvtav1", (("content-light", "1,2"),))) == {
        "crf": "20",
        "svtav1-params": "content-light=1,2",
    }
    assert with_parameters((("crf", "20"),), "libvpx-vp9", hdr) == (("crf", "20"),)
