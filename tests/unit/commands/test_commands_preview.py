"""`vsr preview` calls one function and says what it wrote. What that does is tested where it lives."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from types import ModuleType

import pytest
from click.testing import CliRunner, Result

from tests.unit.commands.conftest import StandIn
from vsr.cli import vsr
from vsr.core.errors import SettingsError, UsageError
from vsr.core.events import Warned
from vsr.jobs.preview import Still
from vsr.jobs.sidebyside import Crop

STILL = Still(
    frame=300,
    pts=12012,
    time_base=Fraction(1, 1000),
    time_s=12.012,
    width=1280,
    height=720,
    pixel_format="yuv420p",
    model="espcn-x2",
    path=Path("film_frame000300.png"),
    compare=Path("film_frame000300_compare.png"),
    crop=Crop(x=100, y=50, width=320, height=240),
)


def _vsr(*words: str) -> Result:
    return CliRunner().invoke(vsr, ["preview", *words], catch_exceptions=False)


@pytest.fixture
def calls(stand_in: StandIn) -> ModuleType:
    """Note what the command asks for, as `seen`."""
    module = stand_in("vsr.jobs.preview", seen=[])

    def preview(source, resolved, *, report, **asked):
        module.seen.append((source, resolved, asked))
        report(Warned(message="look out"))
        return (STILL,)

    module.preview = preview
    return module


def test_flags_become_arguments_and_settings(calls: ModuleType) -> None:
    words = ("film.mkv", "--at", "1:30", "--at", "4", "--frame", "300", "--crop", "100,50,320,240", "-o", "x.png")
    result = _vsr(*words, "--preset", "archive", "--scale", "3", "--frames", "3", "--no-compare")
    assert result.exit_code == 0
    ((source, resolved, asked),) = calls.seen
    assert source == Path("film.mkv")
    assert asked == {
        "at": ("1:30", "4"),
        "frames": (300,),
        "output": Path("x.png"),
        "compare": False,
        "crop": STILL.crop,
    }
    assert (resolved.settings.engine.scale, resolved.settings.temporal.frames) == (3.0, 3)
    assert resolved.settings.encode.container == "mkv"  # the preset's


def test_people_read_frame_time_and_paths(calls: ModuleType) -> None:
    result = _vsr("film.mkv", "--frame", "300")
    assert result.stdout.splitlines() == [
        "frame 300, pts 12012, 12.012 s, 1280x720 yuv420p by espcn-x2: film_frame000300.png",
        "  beside bicubic: film_frame000300_compare.png",
    ]
    assert "warning: look out" in result.stderr
    assert _vsr("film.mkv", "--frame", "300", "-q").output == ""


def test_programs_read_one_object_a_frame(calls: ModuleType) -> None:
    warning, still = (json.loads(line) for line in _vsr("film.mkv", "--frame", "300", "--json").stdout.splitlines())
    assert warning == {"event": "warning", "message": "look out"}
    assert still == {
        "event": "preview",
        "frame": 300,
        "pts": 12012,
        "time_base": "1/1000",
        "time_s": 12.012,
        "width": 1280,
        "height": 720,
        "pixel_format": "yuv420p",
        "model": "espcn-x2",
        "path": "film_frame000300.png",
        "compare": "film_frame000300_compare.png",
        "crop": {"x": 100, "y": 50, "width": 320, "height": 240},
    }


def test_what_cannot_be_is_refused_before_the_source_is_opened(calls: ModuleType) -> None:
    with pytest.raises(UsageError, match="no part of a picture"):
        _vsr("film.mkv", "--crop", "1,2")
    with pytest.raises(SettingsError, match="no preset"):
        _vsr("film.mkv", "--preset", "nope")
    assert calls.seen == []


def test_every_setting_of_upscale_is_one_of_preview() -> None:
    from vsr.commands.preview import command as preview
    from vsr.commands.upscale import command as upscale

    own = {"dry_run"}
    assert {param.name for param in upscale.params} - own <= {param.name for param in preview.params}


def test_a_url_is_refused_by_its_name(calls: ModuleType) -> None:
    with pytest.raises(UsageError, match=r"s3://bucket/film\.mkv is a URL") as error:
        _vsr("s3://bucket/film.mkv", "--frame", "300")
    assert (error.value.exit_code, calls.seen) == (2, [])
