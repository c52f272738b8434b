"""The commands that only show: models, presets, probe, doctor, bench, completion."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner, Result

from tests.unit.commands.conftest import StandIn
from vsr.cli import vsr
from vsr.commands import probe as probe_command
from vsr.core.card import ModelCard, Score
from vsr.core.errors import DeviceError, UnknownModel
from vsr.core.events import Report
from vsr.core.frame import ColorSpec
from vsr.core.media import ChapterInfo, MediaInfo, PacketIndex, StreamInfo, VideoInfo

CARDS = (
    ModelCard(
        id="espcn-x2",
        family="espcn",
        arch="espcn",
        scale=2,
        domain="y",
        parameters=21284,
        halo=4,
        licence="MIT",
        description="Small and quick.",
        scores=(Score(test_set="Set5", metric="psnr_y", value=36.81, bicubic=33.65),),
    ),
    ModelCard(id="espcn-x3", family="espcn", arch="espcn", scale=3, domain="y"),
    ModelCard(id="lanczos", family="lanczos", arch="resample", scale=None, domain="y"),
)

INFO = MediaInfo(
    path=Path("film.mkv"),
    kind="video",
    container="matroska,webm",
    video=VideoInfo(
        index=1,
        codec="h264",
        width=640,
        height=360,
        pixel_format="yuv420p",
        coded_pixel_format="nv12",
        color=ColorSpec(matrix="bt709", range="tv"),
        time_base=Fraction(1, 1000),
        rate=Fraction(30000, 1001),
        header_frames=None,
    ),
    streams=(StreamInfo(index=2, kind="audio", codec="aac", language="deu", detail="stereo 48000 Hz"),),
    chapters=(ChapterInfo(start=0, stop=1500, time_base=Fraction(1, 1000), title="One"),),
    metadata=(("title", "bad \x1b[31m title"),),
    duration_s=83.4,
    size_bytes=4_200_000,
    packets=PacketIndex(pts=(0, 33, 90), durations=(33, 57, 33), keyframes=(0,)),
)


def _vsr(*words: str) -> Result:
    return CliRunner().invoke(vsr, list(words), catch_exceptions=False)


def _json(result: Result) -> list[dict[str, object]]:
    return [json.loads(line) for line in result.stdout.splitlines()]


@pytest.fixture
def registry(stand_in: StandIn) -> None:
    def choose(name: str, scale: float | None, frames: int | None) -> None:
        raise UnknownModel(f"no model is named {name!r}")

    stand_in("vsr.engines.registry", models=lambda: CARDS, choose=choose)


def test_models_are_listed_with_scale_size_and_score_beside_bicubic(registry: None) -> None:
    header, first, *_ = _vsr("models", "list").stdout.splitlines()
    assert header.split()[:3] == ["model", "scale", "input"]
    cells = [cell.strip() for cell in first.split("  ") if cell]
    assert cells == ["espcn-x2", "x2", "luma", "1", "21,284", "36.81 dB (33.65) Set5", "Small and quick."]


def test_models_as_json_are_one_card_a_line(registry: None) -> None:
    cards = _json(_vsr("models", "list", "--json"))
    assert [card["id"] for card in cards] == ["espcn-x2", "espcn-x3", "lanczos"]
    assert cards[2]["scale"] is None


def test_a_model_is_told_by_its_id_and_a_family_by_all_its_cards(registry: None) -> None:
    assert [card["id"] for card in _json(_vsr("models", "info", "espcn-x3", "--json"))] == ["espcn-x3"]
    assert [card["id"] for card in _json(_vsr("models", "info", "espcn", "--json"))] == ["espcn-x2", "espcn-x3"]
    text = _vsr("models", "info", "espcn-x2").stdout
    assert "36.81 dB (33.65) Set5" in text and "exact, halo 4 pixels" in text


def test_an_unknown_model_is_the_registrys_error(registry: None) -> None:
    with pytest.raises(UnknownModel, match="espcm"):
        _vsr("models", "info", "espcm")


def test_a_shown_preset_is_the_file_itself() -> None:
    shown = _vsr("presets", "show", "web").stdout
    assert shown == Path("presets/web.toml").read_text(encoding="utf-8")
    (data,) = _json(_vsr("presets", "show", "web", "--json"))
    assert data["values"] == {
        "container": "mp4",
        "codec": "h264",
        "pix_fmt": "yuv420p",
        "encoder_preset": "medium",
        "crf": 21,
        "faststart": True,
    }


def test_presets_are_listed_with_their_readers() -> None:
    assert [preset["name"] for preset in _json(_vsr("presets", "list", "--json"))] == [
        *("archive", "fast", "quality", "sequence", "web")
    ]
    assert "web       For a web page" in _vsr("presets", "list").stdout


def test_probe_tells_header_from_scan_and_hides_terminal_commands(stand_in: StandIn) -> None:
    stand_in("vsr.io.probe", probe=lambda path: INFO)
    text = _vsr("probe", "film.mkv").stdout
    told = {line.strip().split("  ")[0]: line.strip().split("  ")[-1].strip() for line in text.splitlines()}
    assert told["frames (scan)"] == "3" and "frames (header)" not in told
    assert told["duration (header)"] == "1:23"
    assert told["pixel format"] == "nv12, read as yuv420p"
    assert told["frame rate"] == "variable"
    assert told["rate (header, average)"] == "30000/1001 = 29.970 fps"
    assert told["first, last pts"] == "0, 90 (0 s, 0.09 s)"
    assert told["2 audio"] == "aac, stereo 48000 Hz, deu"
    assert told["0.000 - 1.500 s"] == "One"
    assert told["title"] == r"bad \x1b[31m title"
    assert "\x1b" not in text


def test_probe_as_json_is_one_object_with_exact_ratios(stand_in: StandIn) -> None:
    stand_in("vsr.io.probe", probe=lambda path: INFO)
    result = _vsr("probe", "film.mkv", "--json")
    data = json.loads(result.stdout)
    assert (data["video"]["rate"], data["video"]["time_base"]) == ("30000/1001", "1/1000")
    assert (data["frame_count"], data["packets"]["keyframes"]) == (3, 1)


def test_probe_of_a_sequence_names_first_and_last_image() -> None:
    files = (Path("a/1.png"), Path("a/2.png"))
    info = MediaInfo(path=Path("a"), kind="sequence", container="image2", video=INFO.video, files=files)
    assert ("images", "2: 1.png ... 2.png") in probe_command._file(info)
    assert probe_command._frames(info) == [("frames", "2")]


class _Finding:
    """What `jobs.doctor` hands out, as far as the command looks."""

    def __init__(self, section: str, name: str, value: str, ok: bool | None) -> None:
        self.section, self.name, self.value, self.ok = section, name, value, ok


def test_doctor_shows_sections_and_fails_when_a_check_failed(stand_in: StandIn) -> None:
    good = [_Finding("encoders", "libx264", "ok", True), _Finding("encoders", "h264_nvenc", "no device", None)]
    stand_in("vsr.jobs.doctor", report=lambda: tuple(good))
    text = _vsr("doctor").stdout
    assert [line.split() for line in text.splitlines()] == [
        ["encoders"],
        ["libx264", "ok"],
        ["h264_nvenc", "no", "device"],
    ]
    bad = _Finding("weights", "espcn-x2", "digest differs", False)
    stand_in("vsr.jobs.doctor", report=lambda: (*good, bad))
    with pytest.raises(DeviceError, match="1 of 3 checks failed"):
        _vsr("doctor")


@pytest.mark.parametrize(("shell", "word"), [("bash", "complete -o"), ("zsh", "compdef"), ("fish", "complete --")])
def test_completion_prints_a_script_that_asks_vsr(shell: str, word: str) -> None:
    script = _vsr("completion", shell).stdout
    assert word in script and "_VSR_COMPLETE" in script


def test_bench_shows_each_stage_alone_and_what_limits_the_whole(stand_in: StandIn) -> None:
    asked: list[tuple[object, object]] = []

    def bench(source: Path | None, settings: dict[str, object], report: Report) -> SimpleNamespace:
        asked.append((source, settings))
        stage = SimpleNamespace(name="infer", wall_ms=40.0, cpu_ms=39.5, capacity_fps=50.0)
        whole = SimpleNamespace(fps=48.1, frames_out=96, wall_s=2.0, efficiency=0.93, cores=2)
        return SimpleNamespace(
            description="x2", stages=(stage,), summary=whole, bottleneck="infer", megapixels=0.5, ms_per_megapixel=41.6
        )

    stand_in("vsr.jobs.bench", bench=bench)
    text = _vsr("bench", "--model", "espcn").stdout
    assert asked == [(None, {"model": "espcn"})]
    rows = [line.split() for line in text.splitlines()]
    assert ["infer", "40.00", "39.50", "80.0", "50.0"] in rows
    assert ["cost", "42", "ms", "per", "megapixel", "of", "the", "result"] in rows
    assert ["bottleneck", "infer"] in rows
    assert ["efficiency", "0.93", "on", "2", "cores"] in rows
