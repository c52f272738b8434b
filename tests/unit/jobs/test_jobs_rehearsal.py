"""The dry tail: what the container refuses is known before a single frame is restored."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest

from tests.media import BT709, make_clip, make_images
from vsr.core.errors import DiskFull, EncodeError, MuxError
from vsr.core.job import Job
from vsr.core.presets import resolve
from vsr.engines.net import NetEngine
from vsr.io.muxing import mux
from vsr.jobs import rehearsal
from vsr.jobs.plan import plan
from vsr.jobs.rehearsal import GAP_S, HEAD_FRAMES, TAIL_FRAMES, forecast_seconds, rehearse

CODECS = {"h264": "mp4", "hevc": "mkv", "av1": "mp4", "vp9": "webm", "prores": "mov", "ffv1": "mkv"}


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(
        tmp_path_factory.mktemp("rich") / "in.mkv",
        frames=60,
        audio=2,
        subtitles=["srt"],
        chapters=[(0, 1, "one"), (1, 2.4, "two")],
        metadata={"title": "a title"},
        attachment=b"a font",
    )


def planned(source: Path, destination: Path, **settings: object) -> Job:
    return plan(source, destination, resolve({"model": "nearest", "scale": 2, "chunk_frames": 20, **settings}, None))


def lasting(job: Job, *, frames: int, step: int, time_base: Fraction) -> Job:
    """Give the job as if its source had other times, by its packets."""
    times = tuple(range(0, frames * step, step))
    packets = dataclasses.replace(job.source.packets, pts=times, durations=(step,) * frames)
    video = dataclasses.replace(job.source.video, time_base=time_base)
    source = dataclasses.replace(job.source, packets=packets, video=video)
    return dataclasses.replace(job, source=source, output=dataclasses.replace(job.output, time_base=time_base))


@pytest.fixture
def work(tmp_path: Path) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    return folder


@pytest.fixture
def joins(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, object]]:
    """Record what every join is given."""
    seen: list[dict[str, object]] = []
    join = mux.join

    def recorded(*words: object, **named: object) -> mux.Muxed:
        seen.append(named)
        return join(*words, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(mux, "join", recorded)
    return seen


def refusing(error: Exception, *, kind: str, after: int) -> Callable[..., None]:
    """Give what stands in for the writing of packets: it refuses the `after`-th of a kind of stream."""
    write, seen = mux._write, [0]

    def refuse(result, packet, plan, target) -> None:
        seen[0] += packet.stream.type == kind
        if packet.stream.type == kind and seen[0] > after:
            raise error
        write(result, packet, plan, target)

    return refuse


@pytest.mark.parametrize("codec", CODECS)
def test_every_codec_is_rehearsed_and_nothing_is_left(codec: str, clip: Path, tmp_path: Path, work: Path) -> None:
    job = planned(clip, tmp_path / f"out.{CODECS[codec]}", codec=codec)
    rehearse(job, work)
    assert list(work.iterdir()) == []
    assert not job.destination.path.exists()


def test_first_frames_and_last_second_are_rehearsed_at_their_true_times_with_every_other_packet(
    tmp_path: Path, work: Path, joins: list[dict[str, object]]
) -> None:
    uneven = [1000 + 37 * k + k % 3 for k in range(400)]
    source = make_clip(tmp_path / "in.mkv", frames=400, pts=uneven, time_base=Fraction(1, 1000), audio=1)
    job = planned(source, tmp_path / "out.mkv")
    assert rehearse(job, work) == ()
    (given,) = joins
    shown = given["pts"]
    assert isinstance(shown, list)
    assert shown == [*uneven[:3], *uneven[-10:]]  # a fortieth of 400
    assert given["durations"][:3] == [38, 38, 35]
    assert (given["span"], given["streams"], given["source"]) == (job.span, job.streams, job.source)


@pytest.mark.parametrize(
    ("frames", "step", "time_base"),
    [
        (180_000, 3600, Fraction(1, 90_000)),  # 2 h
        (1_000_000, 40, Fraction(1, 1000)),  # 11 h
        (100_000, 1, Fraction(1, 25)),
        (100_000, 40_000_000, Fraction(1, 10**9)),
        (300, 90_000 * 60, Fraction(1, 90_000)),  # a frame a minute
    ],
)
@pytest.mark.parametrize("container", ["mp4", "mkv", "ts"])
def test_a_long_film_costs_few_frames(
    frames: int, step: int, time_base: Fraction, container: str, clip: Path, tmp_path: Path, work: Path,
    joins: list[dict[str, object]],
) -> None:  # fmt: skip
    job = lasting(planned(clip, tmp_path / f"out.{container}"), frames=frames, step=step, time_base=time_base)
    rehearse(job, work)
    shown = joins[0]["pts"]
    assert isinstance(shown, list)
    assert shown[-1] == (frames - 1) * step
    assert len(shown) <= 100
    assert len(shown) >= 2 * HEAD_FRAMES or time_base < Fraction(1, 10**6) or step * time_base > 1
    gap = max(b - a for a, b in pairwise(shown)) * time_base
    assert gap <= GAP_S + step * time_base
    assert HEAD_FRAMES <= sum(time > shown[-1] - 1 / time_base or time in shown[-3:] for time in shown) <= TAIL_FRAMES


def test_a_part_of_a_film_is_rehearsed_as_that_part(
    clip: Path, tmp_path: Path, work: Path, joins: list[dict[str, object]]
) -> None:
    job = planned(clip, tmp_path / "out.mp4", start="0.4", end="2.0", chunk_frames=10)
    rehearse(job, work)
    shown = joins[0]["pts"]
    assert isinstance(shown, list)
    assert (shown[0], shown[-1]) == (400, 1960)  # 1/1000


def test_a_packet_that_the_container_refuses_is_known_at_once(
    clip: Path, tmp_path: Path, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever it lies: this one is in the middle of the second sound track."""
    refusal = MuxError(f"mkv refuses a packet of audio stream 2 for {work / 'rehearsal.mkv'}", hint="Use another.")
    monkeypatch.setattr(mux, "_write", refusing(refusal, kind="audio", after=120))
    job = planned(clip, tmp_path / "out.mkv")
    with pytest.raises(MuxError, match=r"tried before the start.*audio stream 2.*out\.mkv") as caught:
        rehearse(job, work)
    assert "rehearsal.mkv" not in caught.value.message
    assert caught.value.hint == "Use another."
    assert list(work.iterdir()) == []


def test_times_that_the_container_does_not_hold_are_known_at_once(
    tmp_path: Path, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """AVI counts frames, at the rate that it is told: here a wrong one."""
    job = planned(make_clip(tmp_path / "in.mp4", frames=60), tmp_path / "out.avi")
    monkeypatch.setattr(mux, "video_time_base", lambda plan: Fraction(1, 15))
    with pytest.raises(MuxError, match=r"out\.avi shows frame \d+ at \d\.\d+ s instead of") as caught:
        rehearse(job, work)
    assert ".mkv" in str(caught.value.hint)
    assert list(work.iterdir()) == []


def test_sound_before_the_first_frame_is_known_to_be_lost_where_nothing_can_move(tmp_path: Path, work: Path) -> None:
    source = make_clip(tmp_path / "in.mp4", frames=60, audio=1)
    said = " ".join(rehearse(planned(source, tmp_path / "out.avi"), work))
    assert "stream 1: 1 packets before the first frame are left out" in said


def test_a_stream_that_the_container_refuses_is_known_at_once(clip: Path, tmp_path: Path, work: Path) -> None:
    job = planned(clip, tmp_path / "out.mp4")
    wrong = tuple(dataclasses.replace(plan, action="copy", codec="subrip") for plan in job.streams)
    with pytest.raises(MuxError, match=r"refuses|cannot be written"):
        rehearse(dataclasses.replace(job, streams=wrong), work)
    assert list(work.iterdir()) == []


def test_an_encoder_that_refuses_is_known_at_once(clip: Path, tmp_path: Path, work: Path) -> None:
    job = planned(clip, tmp_path / "out.mkv")
    output = dataclasses.replace(job.output, options=(*job.output.options, ("profile", "no such profile")))
    with pytest.raises(EncodeError, match="tried before the start"):
        rehearse(dataclasses.replace(job, output=output), work)
    assert list(work.iterdir()) == []


def test_a_full_disk_is_a_full_disk(clip: Path, tmp_path: Path, work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    full = DiskFull(f"no space left for {work / 'rehearsal.mkv'}")
    monkeypatch.setattr(mux, "_write", refusing(full, kind="video", after=2))
    with pytest.raises(DiskFull, match=r"no space left for .*out\.mkv"):
        rehearse(planned(clip, tmp_path / "out.mkv", force=True), work)
    assert list(work.iterdir()) == []


def test_a_loss_is_told_before_the_start_and_strict_refuses_it_there(clip: Path, tmp_path: Path, work: Path) -> None:
    source = make_clip(tmp_path / "in.mp4", frames=60, tags=BT709)
    (said,) = rehearse(planned(source, tmp_path / "out.avi"), work)
    assert "does not keep the colour" in said
    with pytest.raises(MuxError, match="does not keep the colour") as caught:
        rehearse(planned(source, tmp_path / "out.avi", strict=True), work)
    assert "--strict" in str(caught.value.hint)


def test_force_begins_all_the_same(clip: Path, tmp_path: Path, work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mux, "_write", refusing(MuxError("refused"), kind="subtitle", after=0))
    (said,) = rehearse(planned(clip, tmp_path / "out.mkv", force=True), work)
    assert said.startswith("tried before the start") and said.endswith("refused")


def test_short_jobs_and_images_are_not_rehearsed(
    clip: Path, tmp_path: Path, work: Path, joins: list[dict[str, object]]
) -> None:
    (tmp_path / "images").mkdir()
    assert rehearse(planned(clip, tmp_path / "out.mkv", chunk_frames=60), work) == ()
    assert rehearse(planned(clip, tmp_path / "images" / "%03d.png"), work) == ()
    assert joins == []


def test_images_become_a_video_that_is_rehearsed(tmp_path: Path, work: Path, joins: list[dict[str, object]]) -> None:
    make_images(tmp_path / "in", count=12)
    rehearse(planned(tmp_path / "in", tmp_path / "out.mp4", chunk_frames=5), work)
    assert joins[0]["pts"] == [0, 1, 2, 9, 10, 11]


@pytest.mark.parametrize(
    ("codec", "name"),
    [("ffv1", "yuv420p"), ("ffv1", "yuv444p16le"), ("ffv1", "gbrp"), ("ffv1", "gbrap16le"), ("ffv1", "gray10le")],
)
@pytest.mark.parametrize("range_", ["tv", "pc"])
def test_the_frames_are_black(codec: str, name: str, range_: str, clip: Path, tmp_path: Path) -> None:
    """swscale says so."""
    job = planned(clip, tmp_path / "out.mkv", codec=codec, pix_fmt=name)
    color = dataclasses.replace(job.output.color, range=range_)
    spec = dataclasses.replace(job.output, color=color, tags=color)
    rehearsal._encode(tmp_path / "black", spec, [0], [1])
    with av.open(str(tmp_path / "black")) as container:
        frame = next(container.decode(video=0))
    seen = frame.to_ndarray(format="rgb24", src_color_range=1 if range_ == "tv" else 2, dst_color_range=2)
    # It takes RGB and grey for full range, whatever their tag says.
    limit = 16 if name.startswith("g") and range_ == "tv" else 0
    assert np.abs(seen.astype(int) - limit).max() <= 1


def test_a_short_job_is_not_sampled(clip: Path, tmp_path: Path, work: Path) -> None:
    assert forecast_seconds(planned(clip, tmp_path / "out.mkv"), work) is None


@pytest.mark.parametrize("delay_s", [0.01, 0.3])
def test_the_time_of_a_long_job_is_forecast_from_its_first_frames(
    delay_s: float, tmp_path: Path, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = make_clip(tmp_path / "in.mp4", frames=1000)
    job = planned(source, tmp_path / "out.mkv", chunk_frames=100, workers=2, batch=1)
    restore, calls = NetEngine.restore, []

    def slow(self: NetEngine, batch: object) -> object:
        calls.append(batch)
        return restore(self, batch)  # type: ignore[arg-type]

    monkeypatch.setattr(NetEngine, "restore", slow)
    # A clock that two workers' calls alone move: the machine's own may have others to serve.
    monkeypatch.setattr(rehearsal, "time", SimpleNamespace(perf_counter=lambda: len(calls) * delay_s / 2))
    monkeypatch.setattr(rehearsal, "QUICK_S", 0.25)
    seconds = forecast_seconds(job, work)
    assert seconds == pytest.approx(1000 * delay_s / 2, rel=1e-6)
    assert len(calls) <= 50
    assert list(work.iterdir()) == []
    halved = forecast_seconds(job, work, workers=2)
    assert seconds is not None
    assert halved == pytest.approx(seconds / 2, rel=0.01)
