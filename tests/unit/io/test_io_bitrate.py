"""The cap of the bit rate: what it is for a source, and that ordinary results stay below it."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from tests.media import make_clip, make_images
from vsr.core.errors import SettingsError
from vsr.core.media import MediaInfo, PacketIndex
from vsr.io.encoding.bitrate import cap, source_rate
from vsr.io.probe import probe


def source(tmp_path: Path, *, bytes: int = 1_000_000, step: int = 1, width: int = 320, height: int = 180) -> MediaInfo:
    """Give a source of 100 frames at 25 / step frames a second."""
    info = probe(make_clip(tmp_path / "a.mp4", frames=2))
    index = PacketIndex(pts=tuple(range(0, 100 * step, step)), durations=(step,) * 100, bytes=bytes)
    video = replace(info.video, time_base=Fraction(1, 25), width=width, height=height, bit_rate=123)
    return replace(info, video=video, packets=index)


def test_the_rate_is_that_of_the_packets(tmp_path: Path) -> None:
    assert source_rate(source(tmp_path)) == 8 * 1_000_000 / Fraction(4)
    path = make_clip(tmp_path / "b.mp4", frames=50, audio=1)
    sizes = probe(path).packets.bytes
    assert source_rate(probe(path)) == Fraction(8 * sizes, 2)
    assert 0 < sizes < path.stat().st_size


@pytest.mark.parametrize(
    ("bytes", "width", "height", "expected"),
    [
        (1_000, 640, 360, 40 * (640 * 360 * 25) ** 0.75),  # a source of a few bits: the floor
        (1_000, 3840, 2160, 40 * (3840 * 2160 * 25) ** 0.75),
        (50_000_000, 640, 360, 100e6 * 4**0.75),  # a rich one: in proportion
        (50_000_000, 1280, 720, 100e6 * 16**0.75),
    ],
)
def test_the_cap_is_the_larger_of_two(bytes: int, width: int, height: int, expected: float, tmp_path: Path) -> None:
    assert cap(source(tmp_path, bytes=bytes), width, height, "auto", encoder="libx264") == pytest.approx(
        expected, abs=500
    )


def test_a_slow_source_has_the_floor_of_film(tmp_path: Path) -> None:
    still = cap(source(tmp_path, bytes=1000, step=25), 640, 360, "auto", encoder="libx264")
    assert still == pytest.approx(40 * (640 * 360 * 24) ** 0.75, abs=500)


def test_a_recording_that_rests_has_the_floor_of_its_motion(tmp_path: Path) -> None:
    info = source(tmp_path, bytes=1000)
    resting = replace(info.packets, durations=(1,) * 99 + (100_000,))
    moving = cap(info, 640, 360, "auto", encoder="libx264")
    assert cap(replace(info, packets=resting), 640, 360, "auto", encoder="libx264") == moving


@pytest.mark.parametrize(
    ("rule", "expected"),
    [("off", None), ("8M", 8_000_000), ("900k", 900_000), ("1200000", 1_200_000), ("1.5m", 1_500_000)],
)
def test_a_rule_of_the_users(rule: str, expected: int | None, tmp_path: Path) -> None:
    assert cap(source(tmp_path), 640, 360, rule, encoder="libx264") == expected


@pytest.mark.parametrize("rule", ["", "fast", "8 apples", "-3M", "0", "12", "8MB", "1e6", "nan"])
def test_nonsense_is_refused(rule: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="bits a second"):
        cap(source(tmp_path), 640, 360, rule, encoder="libx264")


@pytest.mark.parametrize("encoder", ["prores_ks", "ffv1", "h264_qsv"])
def test_an_encoder_without_a_cap_gets_none_and_says_so_where_one_is_asked(encoder: str, tmp_path: Path) -> None:
    assert cap(source(tmp_path), 640, 360, "auto", encoder=encoder) is None
    assert cap(source(tmp_path), 640, 360, "off", encoder=encoder) is None
    with pytest.raises(SettingsError, match=encoder):
        cap(source(tmp_path), 640, 360, "8M", encoder=encoder)


def test_images_have_no_rate_and_no_cap(tmp_path: Path) -> None:
    make_images(tmp_path / "images")
    info = probe(tmp_path / "images")
    assert source_rate(info) == 0
    assert cap(info, 640, 360, "auto", encoder="libx264") is None
