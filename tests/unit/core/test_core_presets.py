"""Presets: found by name or path, checked key by key, beaten by flags."""

from __future__ import annotations

from pathlib import Path

import pytest

from vsr.core import presets
from vsr.core.errors import SettingsError

SHIPPED = {"archive", "fast", "quality", "sequence", "web"}


def test_the_shipped_presets_are_the_promised_ones() -> None:
    assert {preset.name for preset in presets.shipped()} == SHIPPED


@pytest.mark.parametrize("name", sorted(SHIPPED))
def test_a_shipped_preset_resolves_and_says_for_whom_it_is(name: str) -> None:
    preset = presets.find(name)
    resolved = presets.resolve({}, preset)
    assert preset.path.read_text(encoding="utf-8").startswith("# For ")
    assert preset.description.endswith(".")
    assert preset.values and {resolved.origins[key] for key in preset.values} == {f"preset {name}"}


def test_web_archive_and_sequence_are_what_they_are_called() -> None:
    def encode(name: str) -> tuple[object, ...]:
        block = presets.resolve({}, presets.find(name)).settings.encode
        return block.container, block.codec, block.pix_fmt, block.image_depth, block.faststart

    assert encode("web") == ("mp4", "h264", "yuv420p", None, True)
    assert encode("archive") == ("mkv", "ffv1", None, None, True)
    assert encode("sequence") == ("png", None, None, 16, True)


def test_flags_beat_the_preset_and_the_preset_beats_the_default(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('description = "mine"\nstride = 2\ncrf = 20\n', encoding="utf-8")
    resolved = presets.resolve({"stride": 3, "seed": None}, presets.find(str(path)))
    assert (resolved.settings.temporal.stride, resolved.settings.encode.crf, resolved.settings.run.seed) == (3, 20.0, 0)
    origins = [resolved.origins[name] for name in ("stride", "crf", "seed")]
    assert origins == ["flag", "preset mine", "default"]


@pytest.mark.parametrize(
    ("content", "message", "hint"),
    [
        ('codek = "h264"', "unknown key 'codek'", "Did you mean 'codec'?"),
        ("xyzzy = 1", "unknown key 'xyzzy'", "Known keys: model, scale"),
        ("crf = 64", "crf must be at most 63, got 64", None),
        ('codec = "mpeg2"', "codec must be one of h264, hevc", None),
        ("crf = ", "is not valid TOML", None),
        ("description = 1", "description must be a string", None),
    ],
)
def test_a_wrong_preset_is_refused_with_file_key_and_close_match(
    tmp_path: Path, content: str, message: str, hint: str | None
) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(SettingsError) as caught:
        presets.find(str(path))
    assert str(path) in caught.value.message and message in caught.value.message
    assert hint is None or (caught.value.hint or "").startswith(hint)


def test_a_preset_of_no_name_is_refused_with_the_close_one_and_all_names() -> None:
    with pytest.raises(SettingsError) as caught:
        presets.find("qualty")
    assert caught.value.hint == "Did you mean quality? Presets: archive, fast, quality, sequence, web."


@pytest.mark.parametrize("name", ["../presets/web", "missing.toml", "", "."])
def test_a_name_is_no_way_out_of_the_folder(name: str) -> None:
    with pytest.raises(SettingsError):
        presets.find(name)


def test_binary_and_folder_are_no_presets(tmp_path: Path) -> None:
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "folder.toml").mkdir()
    for name in ("binary.toml", "folder.toml"):
        with pytest.raises(SettingsError, match=name):
            presets.find(str(tmp_path / name))


def test_another_codec_takes_away_what_a_preset_says_to_its_own_encoder() -> None:
    deep = {"codec": "hevc", "encoder": "libx265", "codec_options": "x265-params=aq-mode=3", "keyint": 50}
    made = presets.resolve(
        {"codec": "av1"}, presets.Preset(name="mine", path=Path(), description="", values=deep)
    ).settings.encode
    assert (made.codec, made.encoder, made.codec_options, made.keyint) == ("av1", None, None, 50)
