"""What becomes of interlaced frames: by the setting, by what the video is, and told in words."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.media import make_clip, make_images
from tests.scanlines import HEIGHT, TOP, WIDTH, telecined, whole, woven, write
from vsr.core.errors import UsageError
from vsr.core.media import Interlacing
from vsr.core.settings import Deinterlace, RunSettings
from vsr.io.decoding.fields import fields_of
from vsr.io.probe import probe
from vsr.jobs.interlaced import Decided, decide_deinterlacing, resolve_deinterlace

X = np.arange(WIDTH) + np.zeros((HEIGHT, 1))
PLAIN = Interlacing()
FIELDS = Interlacing(kind="interlaced", order="bff", evidence="content", detail="9 of 9 moving frames combed")
FILM = Interlacing(kind="telecined", order="tff", evidence="content", detail="3:2 pulldown, top field first")
SOFT = Interlacing(kind="telecined", evidence="flags", detail="whole frames, shown for three and two fields in turn")
FALSE = Interlacing(kind="progressive", order="tff", evidence="content", detail="flagged as interlaced, but all whole")
SURE = Interlacing(kind="progressive", evidence="content", detail="10 moving frames whole")


def waves(time: float) -> np.ndarray:
    return 128 + 90 * np.sin((X - 2 * time) / 5)


@pytest.mark.parametrize(
    ("setting", "found", "merging", "order", "said"),
    [
        ("auto", PLAIN, "off", "", ""),
        ("auto", SURE, "off", "", ""),
        ("auto", FIELDS, "frame", "bff", ""),
        ("auto", FILM, "frame", "tff", "the fields of every frame are merged, and every frame is kept"),
        ("auto", SOFT, "off", "", "the frames and their times are kept as they are"),
        ("auto", FALSE, "off", "", "they are taken as they are"),
        ("off", FIELDS, "off", "", "both fields of a frame are taken as one picture; --deinterlace frame merges them"),
        ("off", FILM, "off", "", "both fields of a frame are taken as one picture"),
        ("off", PLAIN, "off", "", ""),
        ("frame", FIELDS, "frame", "bff", ""),
        ("field", FIELDS, "field", "bff", ""),
        ("field", FILM, "field", "tff", "the film's own frames are not restored"),
        ("frame", PLAIN, "frame", "", ""),
        ("frame", SURE, "frame", "", "deinterlacing them costs detail"),
        ("field", FALSE, "field", "tff", "deinterlacing them costs detail"),
        ("frame", SOFT, "frame", "", "deinterlacing them costs detail"),
    ],
)
def test_each_setting_on_each_kind(
    setting: Deinterlace, found: Interlacing, merging: str, order: str, said: str
) -> None:
    made, by, warnings = resolve_deinterlace(setting, found)
    assert (made, by) == (merging, order)
    assert len(warnings) == bool(said)
    assert said in "".join(warnings)


@pytest.mark.parametrize(("setting", "found"), [("auto", FIELDS), ("auto", FILM), ("frame", PLAIN), ("field", FIELDS)])
def test_the_ffmpeg_program_merges_no_fields_and_says_so(setting: Deinterlace, found: Interlacing) -> None:
    with pytest.raises(UsageError, match="--decoder pyav") as caught:
        resolve_deinterlace(setting, found, decoder="ffmpeg")
    assert "--deinterlace off" in (caught.value.hint or "")
    for calm in (PLAIN, SOFT, FALSE):
        assert resolve_deinterlace("auto", calm, decoder="ffmpeg")[0] == "off"


def decided(path: Path, setting: Deinterlace) -> Decided:
    return decide_deinterlacing(probe(path), replace(RunSettings(), deinterlace=setting))


def test_a_video_is_looked_at_only_where_its_content_decides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "a.mkv", woven(waves, 14, first=TOP))
    made = decided(path, "auto")
    assert (made.merging, made.order, made.info, made.warnings) == ("frame", "tff", probe(path), ())
    assert made.notes == (
        "interlaced (12 of 12 moving frames combed, top field first): one picture is made of each frame",
    )
    assert decided(path, "field").info == fields_of(probe(path))
    monkeypatch.setattr("vsr.jobs.interlaced.detect", lambda *given, **named: pytest.fail("looked at"))
    assert decided(path, "off") == Decided(info=probe(path))


def test_film_and_whole_frames(tmp_path: Path) -> None:
    film = decided(write(tmp_path / "film.mkv", telecined(waves, 14, first=TOP)), "auto")
    assert (film.merging, film.order) == ("frame", "tff")
    assert "telecined film (3:2 pulldown, top field first" in film.warnings[0]
    false = decided(write(tmp_path / "false.mkv", whole(waves, 14), flag="tff"), "auto")
    assert false.merging == "off"
    assert "flagged as interlaced, but all 12 moving frames are whole" in false.warnings[0]


def test_images_have_no_fields(tmp_path: Path) -> None:
    folder = make_images(tmp_path / "images", count=2)[0].parent
    assert decided(folder, "auto") == Decided(info=probe(folder))
    asked = decided(folder, "field")
    assert (asked.merging, asked.info) == ("off", probe(folder))
    assert asked.warnings == ("--deinterlace: no effect on images",)


def test_a_plain_video_is_nothing_to_speak_of(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "a.mp4")
    assert replace(decided(clip, "auto"), found=PLAIN) == Decided(info=probe(clip))
