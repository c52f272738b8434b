"""Sound that was converted, and chroma whose place the result does not say: held by what they are."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from vsr.commands.verify import command
from vsr.core.errors import UsageError
from vsr.jobs.verify.entry import verify
from vsr.jobs.verify.expected import Verdict

RATE = 44100


def _broken(verdict: Verdict) -> dict[str, str]:
    return {finding.check: finding.detail for finding in verdict.of("broken")}


@pytest.mark.parametrize("change", [0, 1])
def test_every_sample_of_pcm_written_otherwise_is_held(tmp_path: Path, change: int) -> None:
    """AVI holds no big-endian PCM: what it became must hold the same samples, to the last bit of one."""
    source = _clip(tmp_path / "source.mov", "pcm_s16be")
    result = _clip(tmp_path / "result.avi", "pcm_s16le", change=change)

    broken = _broken(verify(source, result))

    assert ("its samples are not the source's" in broken.get("stream 1 (pcm_s16be audio)", "")) == bool(change)
    assert set(broken) <= {"stream 1 (pcm_s16be audio)"}


@pytest.mark.parametrize(("seconds", "found"), [(2, False), (1, True)])
def test_opus_of_another_rate_is_held_by_its_length(tmp_path: Path, seconds: int, found: bool) -> None:
    """Opus is always decoded at 48000 Hz (RFC 7845 sec. 5.1): 44100 samples become 48000."""
    source = _clip(tmp_path / "source.mkv", "flac", seconds=2)
    result = _clip(tmp_path / "result.webm", "libopus", rate=48000, seconds=seconds)

    broken = _broken(verify(source, result))

    assert ("stream 1 (flac audio)" in broken) == found, broken


@pytest.mark.parametrize(("moved", "found"), [(0, False), (1, True)])
def test_chroma_lies_where_the_source_says_if_the_result_says_nothing(tmp_path: Path, moved: int, found: bool) -> None:
    source = _clip(tmp_path / "source.mkv", "flac", siting=2)
    result = _clip(tmp_path / "result.mkv", "flac", moved=moved)

    assert ("colours" in _broken(verify(source, result))) == found


@pytest.mark.parametrize("files", [("s3://x", "y.mp4"), ("x.mp4", "s3://y")])
def test_a_url_is_refused_by_name(files: tuple[str, str]) -> None:
    with pytest.raises(UsageError, match=r"s3://. is a URL"):
        command.main(list(files), standalone_mode=False)


def _clip(
    path: Path,
    codec: str,
    *,
    rate: int = RATE,
    seconds: int = 1,
    change: int = 0,
    siting: int = 0,
    moved: int = 0,
) -> Path:
    """Write a few frames of lossless video and a tone. change: added to one sample; moved: chroma, to the right."""
    with av.open(path, "w") as container:
        name = "libvpx-vp9" if path.suffix == ".webm" else "libx264" if siting or path.suffix == ".mov" else "ffv1"
        video = container.add_stream(name, rate=4)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        video.codec_context.color_range = 1
        if name != "ffv1":
            option = {"qp": "0", "x264-params": f"chromaloc={siting - 1}:bframes=0"} if siting else {"qp": "0"}
            video.options = option if name == "libx264" else {"lossless": "1"}
        sound = container.add_stream(codec, rate=rate, layout="mono")
        for place in range(4 * seconds):
            frame = av.VideoFrame.from_ndarray(_picture(place, moved), format="yuv420p")
            frame.pts, frame.time_base = place, Fraction(1, 4)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        tone = np.round(9000 * np.sin(np.arange(rate * seconds) * 2 * np.pi * 440 / rate)).astype(np.int16)
        tone[700] += change
        for at in range(0, len(tone), 960):
            part = av.AudioFrame.from_ndarray(tone[None, at : at + 960], format="s16", layout="mono")
            part.sample_rate, part.pts, part.time_base = rate, at, Fraction(1, rate)
            container.mux(sound.encode(part))
        container.mux(sound.encode(None))
    return path


def _picture(place: int, moved: int) -> NDArray[np.uint8]:
    luma = np.full((48, 64), 110 + place, np.uint8)
    bars = np.where(np.arange(32) // 6 % 2, 90, 166).astype(np.uint8)
    chroma = np.roll(np.tile(bars, (24, 1)), moved, axis=1)
    return np.concatenate([luma.ravel(), chroma.ravel(), chroma.ravel()]).reshape(72, 64)
