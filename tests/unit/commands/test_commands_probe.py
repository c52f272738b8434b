"""`vsr probe` shows what a file is and, beside it, what upscale will do; for programs and for people."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.media import make_clip
from tests.unit.commands.conftest import StandIn
from tests.unit.commands.test_commands_facts import INFO
from vsr.cli import vsr
from vsr.commands.probe import _hdr, _video
from vsr.core.errors import SettingsError
from vsr.core.media import HdrMetadata, Interlacing

HDR = HdrMetadata(
    primaries=tuple(Fraction(n, 50000) for n in (35400, 14600, 8500, 39850, 6550, 2300, 15635, 16450)),
    luminance=(Fraction(1, 10000), Fraction(1000)),
    max_cll=1100,
    max_fall=180,
)


def _vsr(*words: str) -> Result:
    return CliRunner().invoke(vsr, list(words), catch_exceptions=False)


def _will(text: str) -> list[str]:
    """Give the lines of the section `upscale will`, single-spaced."""
    lines = text.splitlines()
    return [" ".join(line.split()) for line in lines[lines.index("upscale will") + 1 :]]


def test_the_outlook_follows_the_facts(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "in.mkv", frames=3, audio=1, subtitles=("ass",), attachment=b"font")
    own = _will(_vsr("probe", str(clip)).stdout)
    assert "keep container: mkv" in own and not [line for line in own if line.startswith("drop")]
    there = _will(_vsr("probe", str(clip), "-o", str(tmp_path / "x.mp4"), "--codec", "hevc").stdout)
    assert "change container: matroska,webm becomes mp4" in there
    assert any("h264 becomes hevc by libx265" in line for line in there)
    dropped = [line for line in there if line.startswith("drop")]
    assert len(dropped) == 1 and "(attachment)" in dropped[0] and ".mkv" in dropped[0]
    assert _will(_vsr("probe", str(clip), "--container", "mov").stdout)[0].endswith("becomes mov")


def test_the_json_keeps_its_keys_and_gains_two(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "in.mp4", frames=3)
    result = _vsr("probe", str(clip), "--json")
    (line,) = result.stdout.splitlines()
    data = json.loads(line)
    before = {"path", "kind", "container", "video", "streams", "chapters", "metadata", "duration_s", "size_bytes"}
    assert before | {"packets", "files", "warnings", "damage", "frame_count", "interlacing", "outlook"} == set(data)
    assert data["interlacing"]["kind"] == "progressive"
    assert {"action": "keep", "subject": "container", "detail": "mp4"} in data["outlook"]


def test_a_target_that_cannot_be_is_refused(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "in.mp4", frames=1)
    with pytest.raises(SettingsError, match="webm does not hold h264"):
        _vsr("probe", str(clip), "--container", "webm", "--codec", "h264")


def test_what_was_seen_in_the_frames_is_told(stand_in: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    found = Interlacing(kind="interlaced", order="tff", evidence="content", detail="9 of 10 moving frames combed")
    monkeypatch.setattr("vsr.jobs.outlook.detect", lambda info, max_pixels: found)
    stand_in("vsr.io.probe", probe=lambda path: INFO)
    (line,) = [line for line in _will(_vsr("probe", "film.mkv").stdout) if " scan: " in line]
    assert line.startswith("change scan: interlaced") and "9 of 10" in line and "one picture a frame" in line
    assert json.loads(_vsr("probe", "film.mkv", "--json").stdout)["interlacing"]["order"] == "tff"


def test_frames_that_cannot_be_looked_at_leave_the_facts(stand_in: StandIn) -> None:
    stand_in("vsr.io.probe", probe=lambda path: INFO)  # there is no film.mkv
    data = json.loads(_vsr("probe", "film.mkv", "--json").stdout)
    assert data["video"]["codec"] == "h264" and data["outlook"]


def test_hdr_and_geometry_stand_among_the_facts() -> None:
    assert _hdr(HDR) == (
        "R G B white (0.708, 0.292) (0.17, 0.797) (0.131, 0.046) (0.3127, 0.329), 0.0001 to 1000 cd/m2, "
        "MaxCLL 1100, MaxFALL 180"
    )
    video = replace(
        INFO.video,
        hdr=HDR,
        field_order="tff",
        side_data=("closed captions",),
        display_matrix=(0, 1, 0, -1, 0, 0, 0, 0, 1),
    )
    facts = dict(_video(replace(INFO, video=video)))
    assert facts["field order"] == "top first" and facts["side data"] == "closed captions"
    assert facts["display matrix"] == "0 1 0 -1 0 0 0 0 1"
    assert not {"HDR10", "field order", "side data", "display matrix"} & set(dict(_video(INFO)))
