"""Fields merged: the first field's lines stay, the second's moment goes, and no frame and no time with it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from itertools import chain, islice
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.media import make_clip
from vsr.core.errors import DecodeError, SettingsError
from vsr.core.frame import SideData
from vsr.core.media import WHOLE, FieldOrder
from vsr.io.decoding import decode
from vsr.io.decoding.decode import open_source
from vsr.io.decoding.deinterlace import deinterlaced, memory
from vsr.io.decoding.fields import fields_of
from vsr.io.decoding.timing import Timing
from vsr.io.probe import probe
from vsr.jobs import chunks

HEIGHT, WIDTH, FRAMES = 48, 64, 10
Plane = NDArray[np.uint8]


def moment(time: int) -> Plane:
    """A pattern that moves by three pixels a field, the same in every line: any line of it tells all others."""
    x = np.arange(WIDTH) - 3 * time
    return np.tile((128 + 80 * np.sin(x / 4)).astype(np.uint8), (HEIGHT, 1))


def woven(number: int, *, first: int) -> Plane:
    """A frame of two moments: lines of parity `first` are of the earlier one."""
    plane = moment(2 * number)
    plane[1 - first :: 2] = moment(2 * number + 1)[1 - first :: 2]
    return plane


def shown(first: int) -> Iterator[tuple[Timing, av.VideoFrame]]:
    grey = np.full((HEIGHT // 2, WIDTH), 128, np.uint8)
    for number in range(FRAMES):
        frame = av.VideoFrame.from_ndarray(np.concatenate([woven(number, first=first), grey]), format="yuv420p")
        frame.pts = 7 * number * number
        yield Timing(index=number, pts=7 * number * number, duration=7), frame


def luma(frame: av.VideoFrame) -> Plane:
    plane = frame.planes[0]
    return np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)[:HEIGHT, :WIDTH]


def test_the_second_moment_goes_and_the_first_fields_lines_stay():
    merged = list(deinterlaced(shown(first=0)))
    assert [timing.pts for timing, _ in merged] == [7 * number * number for number in range(FRAMES)]
    for number, (_, frame) in enumerate(merged):
        combed = abs(woven(number, first=0).astype(int) - moment(2 * number)).mean()
        assert np.array_equal(luma(frame)[::2], moment(2 * number)[::2])
        assert abs(luma(frame).astype(int) - moment(2 * number)).mean() < 0.01 * combed


@pytest.fixture(scope="module")
def interlaced(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """H.264 of the bottom field first, with a keyframe every 5 frames."""
    path = tmp_path_factory.mktemp("fields") / "bff.mkv"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=25, options={"x264-params": "bff=1:keyint=5:qp=1", "crf": "1"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        grey = np.full((HEIGHT // 2, WIDTH), 128, np.uint8)
        for number in range(FRAMES):
            frame = av.VideoFrame.from_ndarray(np.concatenate([woven(number, first=1), grey]), format="yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


def test_field_order_is_the_files(interlaced):
    info = probe(interlaced)
    assert info.video.is_interlaced
    plain = list(open_source(info).frames(WHOLE))
    merged = list(open_source(info, deinterlace="frame").frames(WHOLE))
    assert [(f.index, f.pts, f.duration) for f in merged] == [(f.index, f.pts, f.duration) for f in plain]
    for number, (before, after) in enumerate(zip(plain, merged, strict=True)):
        assert np.array_equal(before.planes[0][1::2], after.planes[0][1::2])
        assert abs(after.planes[0].astype(int) - moment(2 * number)).mean() < 2
        assert abs(before.planes[0].astype(int) - moment(2 * number)).mean() > 8


@pytest.mark.parametrize("merging", ["frame", "field"])
def test_the_ffmpeg_program_does_not_do_it(interlaced, merging):
    with pytest.raises(SettingsError, match="deinterlace"):
        open_source(probe(interlaced), decoder="ffmpeg", deinterlace=merging)


@pytest.mark.parametrize(("first", "order"), [(0, "tff"), (1, "bff")])
def test_a_picture_of_each_field_at_its_own_time(first, order):
    made = list(deinterlaced(shown(first=first), merging="field", order=order))
    assert [timing.index for timing, _ in made] == list(range(2 * FRAMES))
    for place, (timing, frame) in enumerate(made):
        number, is_second = divmod(place, 2)
        half = 7 * (2 * number + 1) if number < FRAMES - 1 else 7  # the frame's own duration ends before the next frame
        half = min(half, 7)
        assert (timing.pts, timing.duration) == (14 * number * number + is_second * half, half)
        kept = first if not is_second else 1 - first
        assert np.array_equal(luma(frame)[kept::2], moment(place)[kept::2])
        if 2 <= place < 2 * FRAMES - 2:
            assert abs(luma(frame).astype(int) - moment(place)).mean() < 1


def test_the_order_that_is_asked_for_beats_the_flags():
    """Frames without flags count as top first; lines of the bottom field stay if it is the first."""
    (_, frame), *_ = deinterlaced(shown(first=1), order="bff")
    assert np.array_equal(luma(frame)[1::2], moment(0)[1::2])


@pytest.mark.parametrize("count", [0, 1, 2, 3])
@pytest.mark.parametrize("merging", ["frame", "field"])
def test_short_clips_lose_nothing(count, merging):
    made = list(deinterlaced(islice(shown(first=0), count), merging=merging, order="tff"))
    assert len(made) == count * (2 if merging == "field" else 1)


def test_a_frame_that_changes_ends_it_and_is_handed_on():
    small = av.VideoFrame.from_ndarray(np.full((24, 16), 128, np.uint8), format="yuv420p")
    changing = chain(islice(shown(first=0), 3), [(Timing(index=3, pts=200, duration=7), small)])
    made = list(deinterlaced(changing, merging="field", order="tff"))
    assert [frame.width for _, frame in made] == [WIDTH] * 6 + [16]


def test_a_format_that_the_filter_would_convert_is_refused():
    frame = av.VideoFrame(WIDTH, HEIGHT, "gray10le")
    with pytest.raises(DecodeError, match="gray10le cannot be deinterlaced"):
        list(deinterlaced(iter([(Timing(index=0, pts=0, duration=1), frame)])))


def fields_in(clip: Path, length: int, order: FieldOrder = "tff", lost: int = 0) -> dict[int, tuple[int, int, bytes]]:
    """Decode a clip's fields chunk by chunk, with the reach of windows of three; check what windows see as well."""
    info = fields_of(probe(clip))
    source = open_source(info, deinterlace="field", order=order)
    planned = chunks.chunks(
        info, WHOLE, frames_per_window=3, stride=1, shots=False, length=length, seeks=True, memory=memory("field")
    )
    seen: dict[int, tuple[int, int, bytes]] = {}
    for chunk in planned:
        frames = list(source.frames(chunk.decode, seek=chunk.seek))
        inside = [place for place, frame in enumerate(frames) if frame.pts in chunk.span]
        assert chunk.frames - lost <= len(inside) <= chunk.frames
        for frame in frames[max(0, inside[0] - 1) : inside[-1] + 2] if inside else ():
            found = (frame.index, frame.duration, b"".join(plane.tobytes() for plane in frame.planes))
            assert seen.setdefault(frame.pts, found) == found
    return seen


def clip_of(path: Path, frames: int = 15, *, options: dict[str, str], codec: str = "libx264") -> Path:
    pts = [40 * number + 3 * (number % 3) for number in range(frames)]
    return make_clip(path, frames=frames, codec=codec, pts=pts, time_base=Fraction(1, 1000), gop=5, options=options)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("closed.mkv", {"x264-params": "tff=1:keyint=5:scenecut=0"}),
        ("open.mkv", {"x264-params": "tff=1:keyint=5:scenecut=0:open-gop=1:bframes=2"}),
        ("stream.ts", {"x264-params": "tff=1:keyint=5:scenecut=0"}),
        ("whole.mp4", {"x264-params": "keyint=5:scenecut=0"}),
    ],
)
def test_all_chunkings_give_the_same_fields(name, options, tmp_path):
    clip = clip_of(tmp_path / name, options=options)
    info = fields_of(probe(clip))
    whole = fields_in(clip, 1000)
    assert tuple(whole) == info.packets.pts
    assert tuple(duration for _, duration, _ in whole.values()) == info.packets.durations
    assert [index for index, _, _ in whole.values()] == list(range(30))
    for length in (1, 3, 7):
        assert fields_in(clip, length) == whole


def test_fields_of_a_file_that_knows_decoding_times_alone(tmp_path):
    clip = make_clip(tmp_path / "a.avi", frames=9, codec="mpeg4", b_frames=0)
    assert list(fields_in(clip, 4)) == list(fields_of(probe(clip)).packets.pts)


def test_a_lost_frame_takes_its_fields_along_and_moves_no_other(tmp_path, monkeypatch):
    """The decoder shows nothing of the frame at 283 ms: the others stay at their times, the same in all chunks."""
    clip = clip_of(tmp_path / "a.mkv", options={"x264-params": "tff=1:keyint=5:scenecut=0"})
    info = fields_of(probe(clip))
    real = decode.PyavSource._decoded

    def losing(*given):
        return (shown for shown in real(*given) if shown[0] != 283)

    monkeypatch.setattr(decode.PyavSource, "_decoded", losing)
    whole = fields_in(clip, 1000, lost=2)
    assert tuple(whole) == tuple(pts for pts in info.packets.pts if not 566 <= pts < 640)
    kept = [duration for at, duration in zip(info.packets.pts, info.packets.durations, strict=True) if at in whole]
    assert [duration for _, duration, _ in whole.values()] == kept
    for length in (1, 3, 7):
        assert fields_in(clip, length, lost=2) == whole


def test_packed_samples_are_unpacked_before_not_converted_by_the_filter(tmp_path):
    packed = make_clip(tmp_path / "a.nut", frames=4, codec="rawvideo", pix_fmt="uyvy422", b_frames=0)
    info = probe(packed)
    merged = list(open_source(info, deinterlace="frame", order="tff").frames(WHOLE))
    plain = list(open_source(info).frames(WHOLE))
    assert len(merged) == 4
    for before, after in zip(plain, merged, strict=True):
        for old, new in zip(before.planes, after.planes, strict=True):
            assert np.array_equal(old[::2], new[::2])


def test_captions_are_shown_once(interlaced, monkeypatch):
    real = decode.to_frame
    monkeypatch.setattr(
        decode, "to_frame", lambda *given: replace(real(*given), side_data=SideData(captions=b"cc"), is_keyframe=True)
    )
    frames = list(open_source(fields_of(probe(interlaced)), deinterlace="field").frames(WHOLE))
    assert [frame.side_data.captions for frame in frames] == [b"cc", b""] * FRAMES


@pytest.mark.parametrize(("merging", "lengths"), [("frame", (4, 5, 100)), ("field", (3, 7, 100))])
def test_in_chunks_as_in_one(merging, lengths, interlaced, tmp_path):
    from vsr.core.presets import resolve
    from vsr.jobs.plan import plan
    from vsr.jobs.run import run

    results = []
    for length in lengths:
        settings = {"model": "nearest", "codec": "ffv1", "deinterlace": merging, "chunk_frames": length}
        out = tmp_path / f"{length}.mkv"
        run(plan(interlaced, out, resolve(settings)))
        with av.open(str(out)) as made:
            results.append([(frame.pts, frame.to_ndarray().tobytes()) for frame in made.decode(video=0)])
        assert not probe(out).video.is_interlaced
    assert results[0] == results[1] == results[2]
    step = 40 if merging == "frame" else 20  # ms
    assert [pts for pts, _ in results[0]] == [step * number for number in range(FRAMES * 40 // step)]
