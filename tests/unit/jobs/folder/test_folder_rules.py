"""Rules for single files of a folder run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.media import BT2020_PQ, make_clip
from vsr.core.errors import SettingsError
from vsr.core.presets import Preset, resolve
from vsr.io.probe import probe
from vsr.jobs.folder.rules import (
    Rule,
    Traits,
    judge,
    kept_deep,
    large_rule,
    read_rules,
    traits_of,
    usual,
)

FILM = Traits(
    path="films/a.mkv",
    kind="video",
    container="mkv",
    codec="h264",
    width=1280,
    height=720,
    frames=240,
    duration=10.0,
    depth=8,
    transfer="bt709",
    is_interlaced=False,
)
HDR = replace(FILM, transfer="smpte2084", depth=10, codec="hevc")
PLAIN = resolve({})


def rules(folder: Path, text: str) -> tuple[Rule, ...]:
    path = folder / "rules.toml"
    path.write_text(text, encoding="utf-8")
    return read_rules(path)


@pytest.mark.parametrize(
    ("when", "fits"),
    [
        ("height = 720", True),
        ('height = ">= 720"', True),
        ('height = "> 720"', False),
        ('height = ["< 100", ">= 700"]', True),
        ('height = "!= 720"', False),
        ('duration = "<= 10.0"', True),
        ('frames = "< 240"', False),
        ("is_interlaced = false", True),
        ("is_interlaced = true", False),
        ('codec = ["mpeg2video", "h264"]', True),
        ('path = "films/*"', True),
        ('path = "*.mp4"', False),
        ('kind = "video"\nheight = ">= 720"', True),
        ('kind = "image"\nheight = ">= 720"', False),
        ('transfer = "bt*"', True),
    ],
)
def test_conditions(when: str, fits: bool, tmp_path: Path) -> None:
    (rule,) = rules(tmp_path, f'[[rule]]\nskip = "no"\n[rule.when]\n{when}\n')
    assert rule.fits(FILM) is fits
    assert judge(FILM, [rule], PLAIN).skip == ("no" if fits else "")


def test_a_rule_without_conditions_fits_everything(tmp_path: Path) -> None:
    (rule,) = rules(tmp_path, '[[rule]]\nskip = "never mind"')
    assert rule.fits(FILM)


def test_later_rules_lie_over_earlier_ones_and_over_flags(tmp_path: Path) -> None:
    made = rules(
        tmp_path,
        """
        [[rule]]
        name = "all"
        set = { crf = 14, encoder_preset = "slow" }
        [[rule]]
        name = "small"
        when = { width = "< 1920" }
        set = { scale = 4, crf = 12 }
        """,
    )
    verdict = judge(FILM, made, resolve({"crf": 20.0, "height": 1080, "model": "espcn"}))
    engine, encode = verdict.resolved.settings.engine, verdict.resolved.settings.encode
    assert (encode.crf, encode.encoder_preset, engine.scale, engine.height) == (12.0, "slow", 4.0, None)
    assert verdict.names == ("all", "small")
    origins = verdict.resolved.origins
    assert (origins["crf"], origins["encoder_preset"], origins["model"]) == ("rule small", "rule all", "flag")


def test_presets_keep_their_origin_under_a_rule(tmp_path: Path) -> None:
    (rule,) = rules(tmp_path, "[[rule]]\nset = { crf = 14 }")
    web = Preset(name="web", path=Path(), description="", values={"codec": "h264", "crf": 23.0})
    resolved = judge(FILM, [rule], resolve({}, web)).resolved
    assert (resolved.origins["codec"], resolved.origins["crf"]) == ("preset web", "rule rule 1")


def test_the_first_that_skips_ends_it(tmp_path: Path) -> None:
    made = rules(tmp_path, '[[rule]]\nskip = "one"\n[[rule]]\nskip = "two"')
    assert judge(FILM, made, PLAIN).skip == "one"


@pytest.mark.parametrize(
    ("text", "said", "hint"),
    [
        ("[[rule", "not valid TOML", ""),
        ("[[rules]]", "there is no 'rules'", "'rule'"),
        ("rule = 3", r"every rule begins with \[\[rule\]\]", ""),
        ("[[rule]]", "either `set` or `skip`", ""),
        ('[[rule]]\nskip = "x"\nset = { crf = 1 }', "either `set` or `skip`", ""),
        ('[[rule]]\nskip = "x"\nwhen = { hight = 1 }', "there is no 'hight'", "'height'"),
        ('[[rule]]\nskip = "x"\nwhen = { height = "tall" }', "height = 'tall' is no condition", "720"),
        ('[[rule]]\nskip = "x"\nwhen = { is_interlaced = 1 }', "is no condition", "true or false"),
        ('[[rule]]\nskip = "x"\nwhen = { codec = 264 }', "is no condition", "text"),
        ("[[rule]]\nset = { scal = 2 }", "there is no 'scal'", "'scale'"),
        ("[[rule]]\nset = { scale = -1 }", "scale must be at least", ""),
        ('[[rule]]\nset = { container = "mkv" }', "container holds for the whole folder", "flag"),
        ('[[rule]]\nset = { device = "cpu" }', "device holds for the whole folder", "flag"),
        ("[[rule]]\nskip = 3", "reason in words", ""),
    ],
)
def test_what_is_wrong_is_told(text: str, said: str, hint: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=said) as caught:
        rules(tmp_path, text)
    assert "rules.toml" in caught.value.message
    assert hint in (caught.value.hint or "")


def test_a_rule_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot read rules"):
        read_rules(tmp_path / "absent.toml")


def test_the_usual_rules() -> None:
    for film in (FILM, replace(FILM, is_interlaced=True)):  # of interlaced frames every run thinks by itself
        assert usual(film, PLAIN) == PLAIN
        assert usual(film, resolve({"deinterlace": "off"})).settings.run.deinterlace == "off"
    assert judge(FILM, large_rule(720), PLAIN).skip == "already 720 lines high or more"
    assert judge(FILM, large_rule(721), PLAIN).skip == ""


@pytest.mark.parametrize(
    ("traits", "flags", "codec", "pix_fmt"),
    [
        (HDR, {}, "hevc", None),
        (replace(HDR, transfer="arib-std-b67"), {}, "hevc", None),
        (HDR, {"codec": "h264"}, "h264", None),
        (HDR, {"codec": "h264", "pix_fmt": "yuv420p"}, "h264", "yuv420p"),
        (replace(HDR, container="webm"), {}, "av1", "yuv420p10le"),
        (replace(HDR, depth=8), {}, "hevc", "yuv420p10le"),
        (HDR, {"container": "webm"}, "av1", "yuv420p10le"),
        (HDR, {"encoder": "h264_nvenc"}, None, None),
        (HDR, {"encoder": "hardware"}, "hevc", None),
        (HDR, {"codec_options": "tune=film"}, None, None),
        (FILM, {}, None, None),
        (replace(HDR, kind="image"), {}, None, None),
    ],
)
def test_hdr_keeps_ten_bits(traits: Traits, flags: dict[str, object], codec: str | None, pix_fmt: str | None) -> None:
    encode = kept_deep(traits, resolve(flags)).settings.encode
    assert (encode.codec, encode.pix_fmt) == (codec, pix_fmt)


def test_hdr_keeps_the_quality_that_was_typed() -> None:
    made = kept_deep(HDR, resolve({"crf": 14.0, "encoder_preset": "slow"}))
    assert (made.settings.encode.codec, made.settings.encode.crf, made.origins["crf"]) == ("hevc", 14.0, "flag")
    assert made.settings.encode.encoder_preset == "slow"
    assert kept_deep(replace(HDR, container="webm"), resolve({"crf": 14.0})).settings.encode.crf is None


def test_hdr_takes_back_what_a_preset_makes_shallow() -> None:
    web = Preset(name="web", path=Path(), description="", values={"codec": "h264", "pix_fmt": "yuv420p", "crf": 23.0})
    encode = kept_deep(HDR, resolve({}, web)).settings.encode
    assert (encode.codec, encode.pix_fmt, encode.crf) == ("hevc", "yuv420p10le", None)


def test_traits_are_read_from_headers(tmp_path: Path) -> None:
    clip = make_clip(
        tmp_path / "hdr.mkv", frames=12, width=64, height=48, pix_fmt="yuv420p10le", codec="ffv1", tags=BT2020_PQ
    )
    traits = traits_of(probe(clip, scan=False), "hdr.mkv", 10)
    assert (traits.kind, traits.container, traits.codec) == ("video", "mkv", "ffv1")
    assert (traits.width, traits.height, traits.frames) == (64, 48, 12)
    assert (traits.transfer, traits.is_interlaced, traits.depth) == ("smpte2084", False, 10)


def test_the_rules_of_the_documentation_are_rules(tmp_path: Path) -> None:
    page = (Path(__file__).parents[4] / "docs" / "folders.md").read_text(encoding="utf-8")
    first, second = rules(tmp_path, page.partition("```toml\n")[2].partition("```")[0])
    assert first.fits(replace(FILM, height=320, path="scans/1.mkv", codec="dvvideo"))
    assert not first.fits(FILM)
    assert judge(replace(FILM, duration=0.5), [second], PLAIN).skip == "shorter than a second"
    for name in Traits.__dataclass_fields__:
        assert f"`{name}`" in page
