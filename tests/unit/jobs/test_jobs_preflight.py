"""Forecasts are held against what is really written, and refusals against a machine that is made too small."""

from __future__ import annotations

import dataclasses
import os
import resource
from pathlib import Path

import pytest

from tests.media import make_clip, make_images
from tests.pictures import draw_clip
from vsr.core.errors import DiskFull, JobError, OutOfMemory, OutputError
from vsr.core.job import Job
from vsr.core.presets import resolve
from vsr.io import atomic
from vsr.jobs import preflight
from vsr.jobs.plan import plan
from vsr.jobs.preflight import forecast, forecast_bytes, in_words, refuse_endless, refuse_impossible
from vsr.jobs.run import run
from vsr.jobs.work import work_folder


@pytest.fixture(scope="module")
def textured_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_clip(tmp_path_factory.mktemp("textured") / "in.mp4", frames=8)


@pytest.fixture(scope="module")
def numbered_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("numbered") / "in.mkv", width=128, height=96, audio=2)


@pytest.fixture
def job(numbered_clip: Path, tmp_path: Path) -> Job:
    return planned(numbered_clip, tmp_path / "out.mkv")


def planned(source: Path, destination: Path, **settings: object) -> Job:
    return plan(source, destination, resolve({"model": "bicubic", "scale": 2, **settings}, None))


def forced(job: Job) -> Job:
    settings = dataclasses.replace(job.settings, run=dataclasses.replace(job.settings.run, force=True))
    return dataclasses.replace(job, settings=settings)


def size_of(path: Path) -> int:
    return sum(file.stat().st_size for file in path.iterdir()) if path.is_dir() else path.stat().st_size


CHOICES = {
    "h264": ("out.mkv", {"codec": "h264"}),
    "h264, fine": ("out.mp4", {"codec": "h264", "crf": 8.0, "encoder_preset": "ultrafast"}),
    "h264, coarse": ("out.mp4", {"codec": "h264", "crf": 32.0, "encoder_preset": "medium"}),
    "hevc": ("out.mkv", {"codec": "hevc", "encoder_preset": "ultrafast"}),
    "hevc, deep": ("out.mkv", {"codec": "hevc", "encoder_preset": "ultrafast", "pix_fmt": "yuv420p10le"}),
    "av1": ("out.mp4", {"codec": "av1"}),
    "vp9": ("out.webm", {"codec": "vp9", "encoder_preset": "realtime"}),
    "prores": ("out.mov", {"codec": "prores"}),
    "ffv1": ("out.mkv", {"codec": "ffv1"}),
    "ffv1, deep": ("out.mkv", {"codec": "ffv1", "pix_fmt": "yuv444p16le"}),
    "png": ("out/%03d.png", {}),
    "png, deep": ("out/%03d.png", {"image_depth": 16}),
    "tiff": ("out/%03d.tiff", {}),
    "jpeg": ("out/%03d.jpg", {}),
    "webp": ("out/%03d.webp", {}),
}


@pytest.mark.parametrize("choice", CHOICES)
@pytest.mark.parametrize("kind", ["textured_clip", "numbered_clip"])
def test_what_is_written_lies_within_the_forecast(
    choice: str, kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    name, settings = CHOICES[choice]
    (tmp_path / "out").mkdir()
    job = planned(request.getfixturevalue(kind), tmp_path / name, **settings)
    ahead = forecast(job).result
    run(job)
    assert ahead.low <= size_of(job.destination.path) <= ahead.high
    assert ahead.low <= forecast_bytes(job) == ahead.likely <= ahead.high


def test_images_have_no_rate_to_tell_by_and_are_forecast_all_the_same(tmp_path: Path) -> None:
    make_images(tmp_path / "in", count=6)
    job = planned(tmp_path / "in", tmp_path / "out.mkv")
    ahead = forecast(job).result
    run(job)
    assert ahead.low <= size_of(tmp_path / "out.mkv") <= ahead.high


def test_chunks_and_the_joined_file_lie_on_the_disk_together(job: Job) -> None:
    ahead = forecast(job)
    others = job.source.size_bytes - job.source.packets.bytes
    assert 0 < others < ahead.result.likely
    assert ahead.disk.likely == 2 * (ahead.result.likely - others) + others
    assert "same time" in ahead.disk.reason and "2 other streams" in ahead.disk.reason


def test_a_part_of_the_source_needs_a_part_of_the_disk(numbered_clip: Path, tmp_path: Path) -> None:
    whole, half = (forecast(planned(numbered_clip, tmp_path / f"{end}.mkv", end=end)) for end in (None, "0.24"))
    assert half.disk.likely == pytest.approx(whole.disk.likely / 2, rel=0.01)


def test_a_restless_source_is_forecast_larger_than_a_quiet_one(job: Job) -> None:
    def of(rate: int) -> int:
        packets = dataclasses.replace(job.source.packets, bytes=rate * 12)
        source = dataclasses.replace(job.source, packets=packets, size_bytes=rate * 12)
        return forecast_bytes(dataclasses.replace(job, source=source))

    assert of(200) == pytest.approx(2 * of(100), rel=0.001)
    assert of(10**6) == of(10**7) < 12 * 256 * 192 * 0.05  # what is spent on every frame alike tells no more


def free(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    monkeypatch.setattr(atomic, "free_bytes", lambda _: count)


def test_a_disk_on_which_not_even_the_least_fits_is_refused(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    free(monkeypatch, forecast(job).disk.low - 1)
    with pytest.raises(DiskFull, match=r"out\.mkv needs .* kB at the very least .*are free") as caught:
        refuse_impossible(job)
    assert "--force" in str(caught.value.hint) and "-o" in str(caught.value.hint)


def test_a_disk_on_which_it_may_not_fit_is_warned_of(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    ahead = forecast(job).disk
    for room in (ahead.low, ahead.high - 1):
        free(monkeypatch, room)
        (said,) = refuse_impossible(job)
        assert "may need" in said and "are free" in said
    free(monkeypatch, ahead.high)
    assert refuse_impossible(job) == ()


def test_force_turns_a_forecast_into_a_warning(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    free(monkeypatch, 0)
    (said,) = refuse_impossible(forced(job))
    assert "at the very least" in said


def test_force_makes_no_folder(job: Job, tmp_path: Path) -> None:
    there = dataclasses.replace(job.destination, path=tmp_path / "nowhere" / "out.mkv")
    with pytest.raises(OutputError, match="does not exist"):
        refuse_impossible(forced(dataclasses.replace(job, destination=there)))


def test_what_an_earlier_run_has_left_is_not_needed_again(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    need = forecast(job).disk.high
    folder = work_folder(job.destination)
    folder.mkdir()
    (folder / "000000.nut").write_bytes(bytes(need))
    free(monkeypatch, 0)
    assert refuse_impossible(job) == ()


def test_a_limit_on_the_size_of_files_is_seen(job: Job) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (forecast(job).result.low - 1, hard))
    try:
        with pytest.raises(DiskFull, match="ulimit"):
            refuse_impossible(job)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_file_system_with_small_files_is_seen(job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    where = str(tmp_path).replace(" ", "\\040")
    mounts = tmp_path / "mountinfo"
    mounts.write_text(
        "20 1 8:1 / / rw shared:1 - ext4 /dev/sda1 rw\n"
        f"21 20 8:2 / {where} rw,nosuid shared:2 - vfat /dev/sdb1 rw\n"
        "22 20 0:5 / /elsewhere rw - tmpfs tmpfs rw\n"
    )
    monkeypatch.setattr(preflight, "_MOUNTS", mounts)
    free(monkeypatch, 1 << 60)
    assert refuse_impossible(job) == ()
    whole = dataclasses.replace(job.output, width=16384, height=16384)
    monkeypatch.setattr(preflight, "free_bytes", lambda _: 1 << 50)
    chunk = dataclasses.replace(job.chunks[0], frames=100_000)
    with pytest.raises(DiskFull, match=r"largest file on vfat is 4\.3 GB"):
        refuse_impossible(dataclasses.replace(job, output=whole, chunks=(chunk,)))


def test_a_file_system_without_room_for_names_is_seen(
    numbered_clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "out").mkdir()
    job = planned(numbered_clip, tmp_path / "out" / "%03d.png")
    told = os.statvfs(tmp_path)
    few = os.statvfs_result((*told[:5], 1000, 5, 5, *told[8:]))
    monkeypatch.setattr(preflight.os, "statvfs", lambda _: few)
    with pytest.raises(DiskFull, match="needs 12 files, the file system has room for 5"):
        refuse_impossible(job)


def test_16k_does_not_fit_into_a_gigabyte(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    huge = dataclasses.replace(job, output=dataclasses.replace(job.output, width=15360, height=8640))
    monkeypatch.setattr(preflight, "free_bytes", lambda _: 1 << 30)
    free(monkeypatch, 1 << 50)
    with pytest.raises(OutOfMemory, match=r"15360x8640: decoder .* encoder .* 1\.1 GB of memory are free"):
        refuse_impossible(huge)
    (said,) = refuse_impossible(forced(huge))
    assert "memory" in said
    assert refuse_impossible(job) == ()


@pytest.mark.parametrize("codec", ["h264", "hevc"])
def test_slower_encoders_look_further_ahead_and_hold_more(codec: str, numbered_clip: Path, tmp_path: Path) -> None:
    held = [
        forecast(planned(numbered_clip, tmp_path / f"{name}.mkv", codec=codec, encoder_preset=name)).memory.likely
        for name in ("veryfast", "slow", "veryslow")
    ]
    assert held == sorted(held) and len(set(held)) == 3


def test_every_device_has_a_decoder_and_an_encoder(job: Job) -> None:
    two = dataclasses.replace(job, compute=dataclasses.replace(job.compute, devices=("cuda:0", "cuda:1")))
    assert forecast(two).memory.likely == 2 * forecast(job).memory.likely


def test_more_than_thirty_days_are_refused(job: Job) -> None:
    assert refuse_endless(job, 30 * 86400) == ()
    with pytest.raises(JobError, match=r"out\.mkv will take about 41 d 16 h") as caught:
        refuse_endless(job, 3.6e6)
    assert "--force" in str(caught.value.hint)
    assert refuse_endless(forced(job), 3.6e6) == (f"{job.destination.path} will take about 41 d 16 h",)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (1, "about 1 min"),
        (59 * 60, "about 59 min"),
        (12_000, "about 3 h 20 min"),
        (3600, "about 1 h"),
        (86_400 + 7200, "about 1 d 2 h"),
        (86_400 + 60, "about 1 d 1 min"),
    ],
)
def test_a_length_of_time_in_words(seconds: float, said: str) -> None:
    assert in_words(seconds) == said


@pytest.mark.parametrize("name", ["disk", "disk/%06d.png"])
def test_a_folder_where_a_disk_begins_is_refused_before_the_work(
    numbered_clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """The result is made beside it, on another disk, from where no rename leads into it."""
    (tmp_path / "disk").mkdir()
    mounts = tmp_path / "mountinfo"
    mounts.write_text(f"21 20 8:2 / {tmp_path}/disk rw,nosuid shared:2 - ext4 /dev/sdb1 rw\n")
    planned(numbered_clip, tmp_path / name)
    monkeypatch.setattr(preflight, "_MOUNTS", mounts)
    with pytest.raises(OutputError, match="another disk begins") as caught:
        planned(numbered_clip, tmp_path / name)
    assert caught.value.hint is not None and "disk/result" in caught.value.hint
    planned(numbered_clip, tmp_path / "disk" / "result")
