"""Sound encoded anew for containers that do not hold it: every sample stays at its place (decoded with PyAV alone)."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from tests.joining import Sound, heard, joined, times_of_video, write_source
from vsr.core.media import Span
from vsr.io.muxing.containers import plan_streams
from vsr.io.probe import probe

RATE = 48000
NOISE = np.random.default_rng(0).integers(-12000, 12000, RATE).astype("<i2").tobytes()
FRAMES = [40 * k for k in range(30)]
TICK = Fraction(1, 1000)


def clicks() -> bytes:
    """Give a second of silence with two clicks."""
    samples = np.zeros(RATE, "<i2")
    samples[12000:12010], samples[30000:30010] = 30000, -25000
    return samples.tobytes()


def onset(sound: tuple[Fraction, int, np.ndarray]) -> float:
    """Give when the first click sounds, in seconds."""
    start, rate, samples = sound
    loud = np.abs(samples)
    return float(start) + int(np.argmax(loud > 0.35 * loud.max())) / rate


@pytest.mark.parametrize("start", [Fraction(0), Fraction(6, 5)])
@pytest.mark.parametrize("missing", [(), (5, 6)])
@pytest.mark.parametrize(
    ("codec", "old", "new", "becomes"),
    [
        ("pcm_f32be", ".mov", ".mkv", "pcm_f32le"),
        ("pcm_mulaw", ".mov", ".mkv", "pcm_s16le"),
        ("pcm_s16be", ".mov", ".avi", "pcm_s16le"),
        ("pcm_s24be", ".mov", ".avi", "pcm_s24le"),
        ("flac", ".mkv", ".mov", "alac"),
        ("wavpack", ".mkv", ".mp4", "flac"),
        ("pcm_u8", ".mkv", ".mp4", "pcm_s16le"),
        ("flac", ".mkv", ".avi", "pcm_s16le"),
    ],
)
def test_lossless_sound_keeps_every_sample_at_its_place(
    codec: str, old: str, new: str, becomes: str, missing: tuple[int, ...], start: Fraction, tmp_path: Path
) -> None:
    """With packets missing in the middle and a late start; AVI, which has no start, begins with silence."""
    sound = Sound(codec=codec, start=start, missing=missing)
    source = write_source(tmp_path / f"in{old}", FRAMES, TICK, sounds=[sound], samples=NOISE)
    (plan,) = plan_streams(probe(source), new.removeprefix("."))
    assert (plan.action, plan.codec, plan.is_loss) == ("convert", becomes, False)
    assert "sample for sample" in plan.reason
    joined(source, tmp_path / f"out{new}", codec="ffv1" if new == ".avi" else "h264")
    begin, rate, before = heard(source)
    found, _, after = heard(tmp_path / f"out{new}")
    lead = round((begin - found) * rate)
    assert lead == (begin * rate if new == ".avi" else 0)
    assert not after[:lead].any()
    assert np.array_equal(before, after[lead:])
    assert len(np.unique(before)) > 64


@pytest.mark.parametrize("rate", [48000, 44100])
@pytest.mark.parametrize("start", [Fraction(0), Fraction(6, 5), Fraction(-21, 1000)])
@pytest.mark.parametrize(("new", "codec", "becomes"), [(".webm", "vp9", "opus"), (".ts", "h264", "aac")])
def test_lossy_sound_is_said_to_be_and_neither_shifts_nor_shrinks(
    new: str, codec: str, becomes: str, start: Fraction, rate: int, tmp_path: Path
) -> None:
    """Onsets to 0.1 ms (0.008 ms measured, Matroska counts whole ones). MPEG-TS cannot trim the last frame."""
    sound = Sound(codec="flac", rate=rate, start=start)
    source = write_source(tmp_path / "in.mkv", FRAMES, TICK, sounds=[sound], samples=clicks())
    (plan,) = plan_streams(probe(source), new.removeprefix("."))
    assert (plan.action, plan.codec, plan.is_loss) == ("convert", becomes, True)
    assert "lossy" in plan.reason and ".mkv" in plan.reason
    joined(source, tmp_path / f"out{new}", codec=codec)
    before, after = heard(source), heard(tmp_path / f"out{new}")
    moved = float(min(times_of_video(tmp_path / f"out{new}")))
    assert abs(onset(after) - moved - onset(before)) < 1e-4
    longer = len(after[2]) / after[1] - len(before[2]) / before[1]
    assert abs(longer) < 1e-4 if new == ".webm" else 0 <= longer < 2048 / rate


def test_a_span_cuts_converted_sound_to_the_sample(tmp_path: Path) -> None:
    source = write_source(tmp_path / "in.mov", FRAMES, TICK, sounds=[Sound(codec="pcm_f32be")], samples=NOISE)
    tick = probe(source).video.time_base
    start, stop = Fraction(6, 25), Fraction(18, 25)
    joined(source, tmp_path / "out.mkv", span=Span(start=int(start / tick), stop=int(stop / tick)))
    _, _, before = heard(source)
    found, rate, after = heard(tmp_path / "out.mkv")
    assert found == 0
    assert np.array_equal(after, before[int(start * rate) : int(stop * rate)])


def test_plain_samples_that_are_copied_keep_their_gaps_where_the_container_counts_samples(tmp_path: Path) -> None:
    """MP4 and AVI know PCM by the number of its samples: what is missing must be there as silence."""
    sound = Sound(codec="pcm_s16le", missing=(5, 6, 7))
    source = write_source(tmp_path / "in.mkv", FRAMES, TICK, sounds=[sound], samples=NOISE)
    for new in (".mp4", ".avi"):
        joined(source, tmp_path / f"out{new}", codec="ffv1" if new == ".avi" else "h264")
        _, _, before = heard(source)
        _, _, after = heard(tmp_path / f"out{new}")
        assert np.array_equal(before, after)
    assert not before[5 * 1024 : 8 * 1024 - 48].any() and before[8 * 1024 :].any()


@pytest.mark.parametrize(("codec", "new"), [("mp3", "webm"), ("aac", "webm"), ("opus", "mov"), ("opus", "avi")])
def test_sound_of_a_lossy_codec_is_never_encoded_again(codec: str, new: str, tmp_path: Path) -> None:
    source = write_source(tmp_path / "in.mkv", FRAMES, TICK, sounds=[Sound(codec=codec, layout="stereo")])
    (plan,) = plan_streams(probe(source), new)
    assert (plan.action, plan.is_loss) == ("drop", True)
    assert f"cannot hold {codec} audio" in plan.reason and ".mkv" in plan.reason
