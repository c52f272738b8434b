"""What a result depends on has a name; what it does not depend on is no fact."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import pytest

from tests.media import make_clip, make_images
from vsr.core.errors import InputMissing
from vsr.core.job import Job
from vsr.core.presets import resolve
from vsr.jobs.facts import differences, facts, fingerprint
from vsr.jobs.plan import plan

BASE = {"model": "bicubic", "scale": 2.0, "codec": "ffv1"}


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return make_clip(tmp_path / "in.mkv", frames=30)


def planned(clip: Path, name: str = "out.mkv", **settings: object) -> Job:
    return plan(clip, clip.with_name(name), resolve(BASE | settings))


@pytest.mark.parametrize(
    ("setting", "value", "named"),
    [
        ("model", "nearest", "model"),
        ("scale", 3.0, "scale"),
        ("seed", 7, "seed"),
        ("codec", "h264", "output codec"),
        ("pix_fmt", "yuv444p", "output pixel_format"),
        ("encoder_threads", 7, "output threads"),
        ("chunk_frames", 10, "chunk_frames"),
        ("start", "0.2", "span"),
        ("batch", 3, "batch"),
        ("tile", 32, "tile"),
        ("stride", 2, "stride"),
        ("decoder", "ffmpeg", "decoder"),
        ("deinterlace", "field", "deinterlace"),
        ("hwaccel", "auto", "hwaccel"),
    ],
)
def test_what_touches_a_pixel_is_named(clip, setting, value, named):
    before, now = facts(planned(clip)), facts(planned(clip, **{setting: value}))
    said = [text.partition(":")[0].removesuffix(" changed") for text in differences(before, now)]
    assert named in said
    assert fingerprint(before) != fingerprint(now)


def test_an_option_of_the_encoder_is_named(clip):
    before = facts(planned(clip, codec="h264", crf=18.0))
    assert differences(before, facts(planned(clip, codec="h264", crf=20.0))) == ["encoder crf: 20, was 18"]
    capped = differences(before, facts(planned(clip, codec="h264", max_bitrate="1M")))
    assert [text.partition(":")[0] for text in capped] == ["encoder bufsize", "encoder maxrate"]
    tuned = differences(before, facts(planned(clip, codec="h264", codec_options="tune=film")))
    assert tuned == ["encoder tune: film, was nothing"]


def test_a_turn_is_named_as_its_setting_is(tmp_path):
    clip = make_clip(tmp_path / "in.mov", frames=3, rotation=90)
    kept, turned = facts(planned(clip)), facts(planned(clip, autorotate=True))
    (said,) = [text for text in differences(turned, kept) if text.startswith("autorotate")]
    assert said.startswith("autorotate: nothing to turn, was rows and columns swapped")


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("workers", 1),
        ("overwrite", True),
        ("force", True),
        ("max_pixels", 1 << 20),
        ("verify", True),
        ("strict", True),
        ("audio", False),
        ("map", "v"),
        ("faststart", False),
    ],
)
def test_what_touches_no_pixel_is_no_fact(clip, setting, value):
    assert differences(facts(planned(clip)), facts(planned(clip, **{setting: value}))) == []


def test_the_destination_is_no_fact(clip):
    assert facts(planned(clip)) == facts(planned(clip, "elsewhere.mkv"))


def test_a_byte_of_the_source_is_named(clip):
    job = planned(clip)
    before = facts(job)
    data = bytearray(clip.read_bytes())
    data[len(data) // 2] ^= 1
    clip.write_bytes(data)
    said = differences(before, facts(planned(clip)))
    assert "the source's content changed" in said


def test_a_byte_far_from_both_ends_is_named_by_the_packets(tmp_path, monkeypatch):
    """Only the ends of a large file are read again; what stands between is in the packets' digest."""
    monkeypatch.setattr("vsr.jobs.facts.SAMPLED_BYTES", 1000)
    clip = make_clip(tmp_path / "in.mkv", width=320, height=240, frames=30, codec="ffv1")
    size = clip.stat().st_size
    before = facts(planned(clip))
    with clip.open("r+b") as file:
        file.seek(size // 2)
        byte = file.read(1)[0]
        file.seek(size // 2)
        file.write(bytes([byte ^ 1]))
    assert differences(before, facts(planned(clip))) == ["the source's pictures changed"]


def test_a_touched_file_is_the_same(clip):
    before = facts(planned(clip))
    os.utime(clip, (1, 1))
    assert differences(before, facts(planned(clip))) == []


def test_a_source_that_has_gone_is_an_input_error(clip):
    job = planned(clip)
    clip.unlink()
    with pytest.raises(InputMissing, match=r"in\.mkv"):
        facts(job)


def test_the_track_of_the_noise_is_in_the_fingerprint(clip):
    known = facts(planned(clip))
    assert fingerprint(known) == fingerprint(dict(reversed(known.items())))
    assert fingerprint(known) != fingerprint(known, ((0, 0, 1),))


def test_a_fact_that_is_new_or_gone_is_told():
    assert differences({"a": "1"}, {"b": "2"}) == ["a: nothing, was 1", "b: 2, was nothing"]


def test_every_field_of_the_output_is_a_fact(clip):
    job = planned(clip)
    for item in dataclasses.fields(job.output):
        assert item.name == "options" or f"output {item.name}" in facts(job)


def test_images_are_read_once_and_again_when_one_is_another(tmp_path, monkeypatch):
    """There may be a hundred thousand, and a plan and its work look at them one after the other."""
    from vsr.jobs import facts as module

    make_images(tmp_path / "in", count=3)
    job = plan(tmp_path / "in", tmp_path / "out", resolve({"model": "bicubic", "scale": 2.0}))
    before, read = facts(job), []
    monkeypatch.setattr(module, "_digest_of", lambda files, how: read.append(files) or "other")
    assert facts(job) == before
    assert not read
    os.utime(job.source.files[1], (1, 1))
    assert facts(job) != before
    assert read == [job.source.files]
