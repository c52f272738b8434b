"""What is lost, broken or moved is said; --strict refuses it; what the user names is taken as meant."""

from __future__ import annotations

import dataclasses
import tomllib
from fractions import Fraction

import pytest

import vsr as face
from tests.media import make_clip, make_images, numbers_of, planes_of, truncate
from vsr.core.errors import ChunkFailed, SettingsError
from vsr.core.presets import Preset, resolve
from vsr.engines import registry
from vsr.jobs.plan import plan
from vsr.pipeline import chunk as stages


def test_truncated_matroska_is_told_and_refused_when_strict(tmp_path, vsr):
    cut = truncate(make_clip(tmp_path / "in.mkv", frames=50), tmp_path / "cut.mkv", keep=0.55)
    ended = vsr("upscale", cut, "-m", "nearest", "--json")
    assert ended.code == 0
    assert any("breaks off" in warning for warning in ended.events[-1]["warnings"])
    ended = vsr("upscale", cut, "-m", "nearest", "--strict", "--overwrite", "-q")
    assert ended.code == 3
    assert "cut.mkv" in ended.err


def test_strict_refuses_losses_before_any_work(tmp_path, vsr, leftovers):
    clip = make_clip(tmp_path / "in.mkv", frames=4, audio=1, subtitles=("ass",))
    ended = vsr("upscale", clip, "-o", tmp_path / "out.webm", "-m", "nearest", "--strict", "-q")
    assert ended.code == 6
    assert "left out" in ended.err
    assert leftovers("in.mkv") == []
    assert vsr("upscale", clip, "-o", tmp_path / "out.mkv", "-m", "nearest", "--strict", "-q").code == 0


def test_frame_lost_inside_is_an_error_not_a_warning(tmp_path, monkeypatch):
    clip = make_clip(tmp_path / "in.mkv", frames=10)
    job = plan(clip, tmp_path / "out.mkv", resolve({"model": "nearest"}))
    every = stages.chunk_windows
    monkeypatch.setattr(stages, "chunk_windows", lambda *a: (w for k, w in enumerate(every(*a)) if k != 5))
    with pytest.raises(ChunkFailed, match="10 frames were decoded, 9"):
        stages.run_chunk(job, job.chunks[0], tmp_path / "seg.nut", stages.open_engine(job))
    assert not (tmp_path / "seg.nut").exists()


def test_repeated_times_are_moved_and_told(tmp_path, vsr, monkeypatch):
    clip = make_clip(tmp_path / "in.mkv", frames=6, b_frames=0, codec="ffv1")
    from vsr.io.decoding.decode import PyavSource

    frames = PyavSource.frames

    def twice(self, span, *, seek=None, tally=None):
        yield from frames(self, span, seek=seek, tally=tally)
        tally.retimed += 1

    monkeypatch.setattr(PyavSource, "frames", twice)
    ended = vsr("upscale", clip, "-m", "nearest", "--json")
    assert any("one tick after" in warning for warning in ended.events[-1]["warnings"])
    assert vsr("upscale", clip, "-m", "nearest", "--strict", "--overwrite", "-q").code == 3


@pytest.mark.parametrize("name", ["100%_%04d.png", "a b_%d.png", "x%%_%03d.png"])
def test_patterns_with_other_percent_signs(name, tmp_path, vsr):
    clip = make_clip(tmp_path / "in.mkv", frames=3)
    ended = vsr("upscale", clip, "-o", tmp_path / name, "-m", "nearest", "-q")
    assert ended.code == 0, ended.err
    made = [p.name for p in tmp_path.iterdir() if p.suffix == ".png"]
    assert len(made) == 3
    assert all(p.startswith(name.split("%0")[0].split("%d")[0]) for p in made)


def test_pattern_shares_its_folder_and_refuses_only_its_own_names(tmp_path, vsr):
    clip = make_clip(tmp_path / "in.mkv", frames=3)
    (tmp_path / "notes.txt").write_text("keep me")
    assert vsr("upscale", clip, "-o", tmp_path / "s_%03d.png", "-m", "nearest", "-q").code == 0
    ended = vsr("upscale", clip, "-o", tmp_path / "s_%03d.png", "-m", "nearest", "-q")
    assert ended.code == 6 and "s_00" in ended.err
    assert (tmp_path / "notes.txt").read_text() == "keep me"


def test_two_numbers_in_a_pattern_and_a_file_for_a_folder_are_refused_before_work(tmp_path, vsr):
    clip = make_clip(tmp_path / "in.mkv", frames=2)
    assert vsr("upscale", clip, "-o", tmp_path / "a%d_%d.png", "-m", "nearest", "-q").code == 2
    (tmp_path / "file").write_text("")
    assert vsr("upscale", clip, "-o", tmp_path / "file", "-m", "nearest", "-q").code == 6


def test_longest_names(tmp_path, vsr, leftovers):
    clip = make_clip(tmp_path / "in.mkv", frames=2)
    source = tmp_path / ("n" * 251 + ".mkv")
    clip.rename(source)
    ended = vsr("upscale", source, "-m", "nearest", "-q")
    assert ended.code == 0, ended.err
    (made,) = leftovers(source.name)
    assert len(made.encode()) <= 255 and made.endswith("_nearest_x2.mkv")
    assert vsr("upscale", source, "-o", tmp_path / ("m" * 300 + ".mkv"), "-m", "nearest", "-q").code == 6


def test_fractional_scale_is_named_as_written(tmp_path, vsr):
    clip = make_clip(tmp_path / "in.mkv", frames=2)
    assert vsr("upscale", clip, "-m", "nearest", "-s", "1.5", "-q").code == 0
    assert (tmp_path / "in_nearest_x1.5.mkv").exists()


def test_flag_beats_what_a_preset_said_of_its_rival(tmp_path):
    preset = Preset(
        name="mine", path=tmp_path / "mine.toml", description="", values={"scale": 3, "crf": 20, "codec": "h264"}
    )
    resolved = resolve({"height": 100, "codec": "ffv1"}, preset)
    assert resolved.settings.engine.scale is None
    assert resolved.settings.encode.crf is None
    assert resolved.settings.encode.codec == "ffv1"


def test_python_face_takes_strings_and_names_unknown_settings(tmp_path):
    clip = make_clip(tmp_path / "in.mkv", frames=2)
    assert face.probe(str(clip)).frame_count == 2
    with pytest.raises(SettingsError, match="modell"):
        face.upscale(str(clip), settings={"modell": "nearest"})


def test_height_is_the_shown_one_of_a_turned_picture(tmp_path, vsr):
    clip = make_clip(tmp_path / "in.mp4", frames=2, width=64, height=48, rotation=90)
    out = tmp_path / "out.mp4"
    assert vsr("upscale", clip, "-o", out, "-m", "nearest", "--height", 128, "-q").code == 0
    assert planes_of(out)[0][1][0].shape == (96, 128)  # stored lying: shown 96 wide and 128 high


def test_turned_and_anamorphic_sources_warn_when_written_as_images(tmp_path, vsr):
    clip = make_clip(tmp_path / "in.mp4", frames=2, rotation=90, sar=Fraction(4, 3))
    ended = vsr("upscale", clip, "-o", tmp_path / "seq", "-m", "nearest", "--json")
    said = " ".join(str(event.get("message")) for event in ended.events if event["event"] == "warning")
    assert "rotation" in said and "aspect" in said


def test_dry_run_is_toml_for_any_name(tmp_path, vsr):
    clip = make_clip(tmp_path / "in.mkv", frames=2)
    odd = tmp_path / 'a "b" \\ 🎬.mkv'
    clip.rename(odd)
    ended = vsr("upscale", odd, "-m", "nearest", "--dry-run")
    assert tomllib.loads(ended.out)["job"]["source"] == str(odd)


@pytest.mark.parametrize("batch", [2, 5])
def test_batches_on_a_cpu_give_the_same_frames(batch, tmp_path, vsr):
    clip = make_clip(tmp_path / "in.mkv", frames=7)
    words = ("-m", "espcn", "--precision", "fp32", "--codec", "ffv1", "-q")
    assert vsr("upscale", clip, "-o", tmp_path / "one.mkv", *words).code == 0
    assert vsr("upscale", clip, "-o", tmp_path / "many.mkv", "--batch", batch, *words).code == 0
    for (_, a), (_, b) in zip(planes_of(tmp_path / "one.mkv"), planes_of(tmp_path / "many.mkv"), strict=True):
        assert abs(a[0].astype(int) - b[0].astype(int)).max() <= 1
    assert numbers_of(tmp_path / "many.mkv") == list(range(7))


def test_tile_is_refused_for_a_model_that_cannot_be_tiled(tmp_path, vsr, monkeypatch):
    clip = make_clip(tmp_path / "in.mkv", frames=2)
    choose = registry.choose

    def untiled(*words):
        choice = choose(*words)
        return dataclasses.replace(choice, card=dataclasses.replace(choice.card, tiling="never"))

    monkeypatch.setattr(registry, "choose", untiled)
    ended = vsr("upscale", clip, "-m", "nearest", "--tile", 32, "-q")
    assert ended.code == 4 and "tiled" in ended.err


def test_what_has_no_effect_and_what_stays_is_said(tmp_path, vsr):
    clip = make_clip(tmp_path / "in.mkv", frames=3)
    words = ("upscale", clip, "-o", tmp_path / "seq", "-m", "nearest", "--json", "--overwrite")
    assert vsr(*words).code == 0
    ended = vsr(*words, "--end", "0.04", "--crf", 20)
    assert ended.code == 0, ended.err
    said = " ".join(ended.events[-1]["warnings"])
    assert "crf: no effect" in said and "3 files already" in said


def test_one_image_of_a_folder_with_one(tmp_path, vsr):
    make_images(tmp_path / "one", "f_%d.png", count=1)
    assert vsr("upscale", tmp_path / "one", "-o", tmp_path / "out.png", "-m", "nearest", "-q").code == 0
    assert (tmp_path / "out.png").is_file()
