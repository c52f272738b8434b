"""Decoding from any keyframe of any container gives what a full decode gives from there; PyAV alone is the oracle."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from tests.media import damage, make_clip, planes_of, read_number
from vsr.core.media import WHOLE, MediaInfo, Span
from vsr.io.base import DecodeTally
from vsr.io.decoding.decode import PyavSource
from vsr.io.decoding.seeking import decode_from
from vsr.io.inputs import open_input
from vsr.io.probe import probe

CODECS = {
    "mp4": "libx264",
    "mov": "libx264",
    "mkv": "libx264",
    "flv": "libx264",
    "nut": "libx264",
    "ts": "libx264",
    "avi": "libx264",
    "h264": "libx264",
    "webm": "libvpx-vp9",
    "mpg": "mpeg2video",
    "m2v": "mpeg2video",
    "asf": "wmv2",
    "mxf": "mpeg2video",
}


def _check_every_keyframe(info: MediaInfo, *, threads: int = 1) -> None:
    whole = planes_of(info.path)
    times = list(info.packets.pts)
    if not info.packets.has_decoding_times:
        assert times == [pts for pts, _ in whole]
    keyframes = info.packets.keyframes or times[::10]
    assert len(keyframes) >= 4
    for key in keyframes:
        frames = list(PyavSource(info=info, threads=threads).frames(Span(start=key), seek=key))

        first = times.index(key)
        assert [(frame.index, frame.pts) for frame in frames] == list(enumerate(times))[first:]
        for frame, (_, planes) in zip(frames, whole[first:], strict=True):
            for ours, theirs in zip(frame.planes, planes, strict=True):
                np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("b_frames", [0, 3])
@pytest.mark.parametrize("suffix", CODECS)
def test_every_keyframe_is_found_in_every_container(suffix: str, b_frames: int, tmp_path: Path) -> None:
    info = probe(make_clip(tmp_path / f"c.{suffix}", frames=40, gop=10, codec=CODECS[suffix], b_frames=b_frames))

    _check_every_keyframe(info)
    if info.packets.keyframes and suffix != "mpg":  # MPEG-PS is sought by its packs, and this clip has only four
        last = info.packets.keyframes[-1]
        first = next(PyavSource(info=info).frames(WHOLE, seek=last))
        assert first.pts == last  # nothing before it came: it was sought, not decoded from the start


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("mpeg2.ts", {"codec": "mpeg2video"}),
        ("mpeg4.ts", {"codec": "mpeg4"}),
        ("hevc.ts", {"codec": "libx265"}),
        ("sound.ts", {"audio": 2}),
        ("open-gop.ts", {"options": {"x264-params": "open-gop=1"}}),
        ("fragments.mp4", {"container_options": {"movflags": "frag_keyframe+empty_moov"}}),
    ],
)
def test_every_keyframe_is_found_whatever_the_codec(name: str, options: dict[str, object], tmp_path: Path) -> None:
    clip = make_clip(tmp_path / name, frames=40, gop=10, **options)  # type: ignore[arg-type]

    _check_every_keyframe(probe(clip))


def test_decoding_several_frames_at_a_time_finds_them_too(tmp_path: Path) -> None:
    _check_every_keyframe(probe(make_clip(tmp_path / "c.ts", frames=40, gop=10)), threads=3)


def test_times_that_wrap_around_are_found(tmp_path: Path) -> None:
    # MPEG-TS counts 33 bits of 90 kHz (ISO/IEC 13818-1 sec. 2.4.3.7): here the count wraps at frame 35.
    pts = [2**33 - 3600 * (35 - k) for k in range(60)]

    _check_every_keyframe(probe(make_clip(tmp_path / "c.ts", pts=pts, time_base=1 / Fraction(90000), gop=10)))


@pytest.mark.parametrize("suffix", ["mp4", "ts"])
def test_a_gradual_refresh_is_decoded_from_far_enough_back(suffix: str, tmp_path: Path) -> None:
    # Intra refresh has no keyframes, but points from which the picture heals over a GOP; till then nothing is shown.
    clip = make_clip(tmp_path / f"c.{suffix}", frames=60, gop=15, options={"x264-params": "intra-refresh=1"})

    _check_every_keyframe(probe(clip))


def test_from_the_middle_of_a_gop_on_decoding_starts_before_it(tmp_path: Path) -> None:
    info = probe(make_clip(tmp_path / "c.ts", frames=40, gop=10))
    pts = info.packets.pts[27]

    frames = list(PyavSource(info=info).frames(WHOLE, seek=pts))

    assert [read_number(frame.planes[0]) for frame in frames] == list(range(27, 40))


def test_a_damaged_keyframe_is_decoded_over_and_counted_once(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "c.webm", frames=40, gop=10, width=128, height=96, codec="libvpx-vp9")
    bad = damage(clip, tmp_path / "bad.webm", packet=20, flips=200)
    info = probe(bad)
    whole, sought = DecodeTally(), DecodeTally()
    key = info.packets.keyframes[2]
    source = PyavSource(info=info)

    full = [frame.pts for frame in source.frames(Span(start=key), tally=whole)]
    found = [frame.pts for frame in source.frames(Span(start=key), seek=key, tally=sought)]

    assert whole.errors > 0
    assert found == full
    assert (sought.errors, sought.first_error) == (whole.errors, whole.first_error)


def test_an_index_that_is_not_the_files_leads_to_the_start(tmp_path: Path) -> None:
    info = probe(make_clip(tmp_path / "c.mp4", frames=40, gop=10))
    other = replace(info, packets=replace(info.packets, keyframes=(0, 13, 26)))

    with open_input(info.path) as container:
        assert decode_from(container, container.streams.video[0], (0, 13, 26), 26, DecodeTally()) is None
    frames = list(PyavSource(info=other).frames(Span(start=26), seek=26))

    assert [read_number(frame.planes[0]) for frame in frames] == list(range(26, 40))
