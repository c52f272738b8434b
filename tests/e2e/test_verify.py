"""`vsr verify` over results of `vsr upscale`: honest ones hold, one that was tampered with ends with exit code 8."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.enlarged import Fault, enlarged, source_clip
from vsr.cli import main


@pytest.mark.parametrize(("suffix", "model"), [(".mkv", "nearest"), (".mp4", "nearest"), (".mp4", "espcn")])
def test_an_upscaled_clip_holds(tmp_path: Path, suffix: str, model: str, capsys: pytest.CaptureFixture[str]) -> None:
    source, made = source_clip(tmp_path / f"source{suffix}"), tmp_path / f"made{suffix}"
    assert main(["upscale", str(source), "-o", str(made), "--model", model, "--scale", "2", "-q"]) == 0
    capsys.readouterr()

    assert main(["verify", str(source), str(made), "--json", "--strict"]) == 0

    told = json.loads(capsys.readouterr().out)
    assert told["holds"] is True
    assert told["look"]["worst_psnr"] > 30
    assert {finding["check"] for finding in told["findings"]} >= {"frames", "times", "pictures", "order", "colours"}


def test_a_cut_without_sound_holds_when_it_is_told_so(tmp_path: Path) -> None:
    source, made = source_clip(tmp_path / "source.mp4"), tmp_path / "made.mp4"
    asked = ["--start", "0.1", "--end", "0.35", "--no-audio"]
    assert main(["upscale", str(source), "-o", str(made), "--model", "nearest", "--scale", "2", "-q", *asked]) == 0

    assert main(["verify", str(source), str(made), *asked]) == 0
    assert main(["verify", str(source), str(made)]) == 8


def test_a_fault_ends_with_exit_code_8_and_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = source_clip(tmp_path / "source.mp4")
    made = enlarged(source, tmp_path / "made.mp4", Fault(frames=lambda frames: frames[:5] + frames[6:]))

    assert main(["verify", str(source), str(made), "--worst", str(tmp_path / "worst.png")]) == 8

    shown = capsys.readouterr()
    assert "the first is frame 5 (0.200 s)" in shown.out
    assert shown.out.splitlines()[-1] == "verdict: broken (1 of 14 checks: frames)"
    assert "does not match" in shown.err
    assert (tmp_path / "worst.png").stat().st_size > 0


def test_what_is_missing_or_no_media_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "text.mp4").write_text("words")

    assert main(["verify", str(tmp_path / "gone.mp4"), str(tmp_path / "text.mp4")]) == 3
    assert main(["verify", str(tmp_path / "text.mp4"), str(tmp_path / "text.mp4")]) == 3
    assert "gone.mp4 does not exist" in capsys.readouterr().err
