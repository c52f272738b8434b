"""A run in chunks gives what a run in one chunk gives: the same frames at the same times, whatever the source."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Mapping
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from tests.engines import MeanEngine
from tests.media import damage, make_clip, make_images, packets_of, picture, planes_of
from tests.sr3_weights import write_sr3
from vsr.core.errors import DecodeError
from vsr.core.events import Noted
from vsr.core.frame import Frame, pixel_format
from vsr.core.job import ChunkResult, Job
from vsr.core.media import Span
from vsr.core.presets import resolve
from vsr.engines.archs.sr3 import Layout
from vsr.engines.base import Engine
from vsr.io.encoding.encode import PyavSink
from vsr.io.ffmpeg import program
from vsr.io.images.files import decode_image
from vsr.io.muxing.mux import join
from vsr.jobs.chunks import chunks, shortened
from vsr.jobs.plan import plan
from vsr.pipeline.chunk import open_engine, run_chunk, segment_name

Shown = list[tuple[int, int, tuple[np.ndarray, ...]]]  # pts, duration, planes

FRAMES = 45
WHOLE = 1000  # more frames than any clip here has
STEPS = [3600, 1500, 9000, 3600, 3001, 2999, 90000, 3600, 1, 3600]
VARIABLE = [sum((STEPS * 5)[:k]) for k in range(FRAMES)]
REPEATED = [0, 40, 40, 41, 80, 120, 120, 120, 121, 160, 200, 200, *range(240, 1000, 40)]
TICK = Fraction(1, 90000)

SOURCES: Mapping[str, Mapping[str, object]] = {
    "b-frames.mp4": {},
    "b-frames.mkv": {},
    "b-frames.ts": {},
    "b-frames.flv": {},
    "decoding-times.avi": {},
    "raw.h264": {},
    "open-gop.mp4": {"options": {"x264-params": "open-gop=1"}},
    "open-gop.ts": {"options": {"x264-params": "open-gop=1"}},
    "mpeg2.mpg": {"codec": "mpeg2video", "b_frames": 2},
    "mpeg2.ts": {"codec": "mpeg2video", "b_frames": 2},
    "open-gop-hevc.mkv": {"codec": "libx265"},
    "variable.mp4": {"pts": VARIABLE, "time_base": TICK},
    "variable.ts": {"pts": VARIABLE, "time_base": TICK},
    "repeated.mkv": {"pts": REPEATED, "time_base": Fraction(1, 1000), "b_frames": 0, "gop": 2},
    "negative.mp4": {"pts": [512 * (k - 5) for k in range(FRAMES)], "time_base": Fraction(1, 12800)},
    "negative.mkv": {"pts": [40 * (k - 5) for k in range(FRAMES)], "time_base": Fraction(1, 1000)},
    "alt-ref.webm": {"codec": "libvpx-vp9", "options": {"auto-alt-ref": "1", "lag-in-frames": "16", "b": "200k"}},
    "av1.mp4": {"codec": "libsvtav1", "gop": 16, "options": {"preset": "12"}},
    "ten-bit.mkv": {"pix_fmt": "yuv420p10le"},
    "intra-refresh.mp4": {"options": {"x264-params": "intra-refresh=1"}},
    "intra-refresh.ts": {"options": {"x264-params": "intra-refresh=1"}},
    "one-keyframe.mp4": {"gop": 1000},
    "animation.gif": {"codec": "gif", "pix_fmt": "rgb8"},
    "unmarked.h261": {"codec": "h261", "width": 176, "height": 144},
}


def source(path: Path, **options: object) -> Path:
    return make_clip(path, **{"frames": FRAMES, "gop": 10, "b_frames": 3, **options})  # type: ignore[arg-type]


def planned(path: Path, length: int, *, out: str = "out.mkv", **settings: object) -> Job:
    words = {"model": "bicubic", "scale": 1.0, "chunk_frames": length, "workers": 1}
    if Path(out).suffix == ".mkv":
        words["codec"] = "ffv1"
    return plan(path, path.with_name(out), resolve({**words, **settings}))


def run(job: Job, folder: Path, engine: Engine | None = None) -> list[ChunkResult]:
    folder.mkdir()
    opened = engine or open_engine(job)
    return [run_chunk(job, chunk, folder / segment_name(job, chunk), opened) for chunk in job.chunks]


def shown(results: list[ChunkResult]) -> Shown:
    """Decode the segments: every frame with the time that it will have in the result."""
    found: Shown = []
    for result in results:
        planes = decoded(result.path) if result.frames else []
        found += zip(result.pts, result.durations, planes, strict=True)
    return found


def decoded(path: Path) -> list[tuple[np.ndarray, ...]]:
    """Give the planes of every frame; FFV1 packs RGB, which unpacks without loss."""
    with av.open(str(path)) as opened:
        name = opened.streams.video[0].codec_context.pix_fmt
        if not name.startswith("bgr"):
            return [planes for _, planes in planes_of(path)]
        return [tuple(frame.to_ndarray(format="rgb24").transpose(2, 0, 1)) for frame in opened.decode(video=0)]


def check_same(ours: Shown, theirs: Shown) -> None:
    assert [frame[:2] for frame in ours] == [frame[:2] for frame in theirs]
    different = [
        index
        for index, (a, b) in enumerate(zip(ours, theirs, strict=True))
        if not all(np.array_equal(x, y) for x, y in zip(a[2], b[2], strict=True))
    ]
    assert different == []


@pytest.mark.parametrize("name", SOURCES)
def test_chunks_show_the_frames_of_one_chunk(name: str, tmp_path: Path) -> None:
    clip = source(tmp_path / name, **SOURCES[name])
    whole = shown(run(planned(clip, WHOLE), tmp_path / "whole"))

    assert len(whole) >= 31
    for length in (13, 7):
        results = run(planned(clip, length), tmp_path / str(length))
        assert len(results) == -(-len(whole) // length)
        check_same(shown(results), whole)


@pytest.mark.parametrize("name", ["b-frames.mp4", "open-gop.ts", "decoding-times.avi", "repeated.mkv"])
def test_chunks_of_one_frame_do_too(name: str, tmp_path: Path) -> None:
    clip = source(tmp_path / name, **SOURCES[name])
    whole = shown(run(planned(clip, WHOLE), tmp_path / "whole"))

    check_same(shown(run(planned(clip, 1), tmp_path / "one")), whole)


def test_a_part_of_a_source_is_the_same_in_chunks(tmp_path: Path) -> None:
    clip = source(tmp_path / "in.ts")
    part = {"start": "0.5", "end": "1.42"}
    whole = shown(run(planned(clip, WHOLE, **part), tmp_path / "whole"))

    assert len(whole) == 23
    check_same(shown(run(planned(clip, 5, **part), tmp_path / "parts")), whole)


@pytest.mark.parametrize("second", ["longer", "the same"])
def test_recordings_put_end_to_end_are_decoded_in_one_go(second: str, tmp_path: Path) -> None:
    # Times begin anew in the middle: a pts names two places, and a seek would find either.
    one = source(tmp_path / "one.ts", frames=20)
    other = source(tmp_path / "two.ts", frames=28, gop=8) if second == "longer" else one
    clip = tmp_path / "both.ts"
    clip.write_bytes(one.read_bytes() + other.read_bytes())
    whole = shown(run(planned(clip, WHOLE), tmp_path / "whole"))
    job = planned(clip, 7)

    assert len(whole) == job.source.frame_count == (48 if second == "longer" else 40)
    assert all(chunk.seek is None for chunk in job.chunks)
    results = run(job, tmp_path / "parts")
    assert [result.frames for result in results] == [chunk.frames for chunk in job.chunks]
    check_same(shown(results), whole)


@pytest.mark.parametrize("size", [3, 5])
@pytest.mark.parametrize("cuts", [(6,), (7,), (8,), (6, 8), (5, 7, 14, 15)])
def test_windows_beyond_a_chunk_and_cuts_around_its_ends_are_seen(
    size: int, cuts: tuple[int, ...], tmp_path: Path
) -> None:
    clip = make_clip(tmp_path / "in.mkv", frames=21, gop=5, cuts=cuts)

    def restored(length: int, *, stride: int, blind: bool = False) -> Shown:
        job, engine = planned(clip, length, stride=stride), MeanEngine(size, domain="y")
        around = {"frames_per_window": 1 if blind else size, "stride": stride, "shots": not blind}
        parts = chunks(job.source, job.span, length=length, seeks=True, **around)  # type: ignore[arg-type]
        job = dataclasses.replace(job, card=dataclasses.replace(engine.card, family="bicubic"), chunks=parts)
        return shown(run(job, tmp_path / f"{length}-{stride}-{blind}", engine))

    for stride in (1, 2):
        whole = restored(WHOLE, stride=stride)
        check_same(restored(7, stride=stride), whole)
    with pytest.raises(AssertionError):  # and it is the context that does it
        check_same(restored(5, stride=2, blind=True), whole)


def test_a_shipped_model_of_several_frames_is_the_same_in_chunks(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "in.mp4", frames=17, gop=6, b_frames=3, cuts=(6, 11))
    words = {"model": "compact-mf", "scale": 2.0, "precision": "fp32"}
    whole = shown(run(planned(clip, WHOLE, **words), tmp_path / "whole"))

    check_same(shown(run(planned(clip, 6, **words), tmp_path / "parts")), whole)


def test_noise_that_moves_with_the_picture_is_the_same_in_chunks(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "in.mp4", frames=9, gop=4, width=48, height=32, cuts=(5,))
    net = write_sr3(tmp_path / "net.safetensors", Layout(width=16, blocks=1, middle=1, frames=3))
    words = {"model": str(net), "scale": 4.0, "precision": "fp32", "steps": 3, "seed": 3}
    job = planned(clip, WHOLE, **words)
    whole = shown(run(job, tmp_path / "whole"))

    assert len({place[1:] for place in job.track}) > 1  # it moves
    parts = planned(clip, 4, **words)
    assert parts.track == job.track
    check_same(shown(run(parts, tmp_path / "parts")), whole)


def test_a_damaged_file_loses_no_frame_to_chunks(tmp_path: Path) -> None:
    """What a decoder shows in place of damage depends on where it began; which frames there are does not."""
    clip = source(tmp_path / "in.mkv", width=128, height=96, codec="libx265")
    bad = damage(clip, tmp_path / "bad.mkv", packet=12, flips=60)
    results = run(planned(bad, WHOLE), tmp_path / "whole")
    whole = shown(results)
    job = planned(bad, 2)
    parts = run(job, tmp_path / "parts")

    assert 20 < len(whole) < FRAMES  # x265's pictures that lack a reference are not shown
    assert [frame[:2] for frame in shown(parts)] == [frame[:2] for frame in whole]
    empty = [result for result in parts if not result.frames]
    assert empty and all("could not be decoded" in result.warnings[-1] for result in empty)
    assert joined(job, parts, tmp_path / "out.mkv") == len(whole)
    strict, left = planned(bad, 2, out="strict.mkv", strict=True), tmp_path / "left.nut"
    with pytest.raises(DecodeError, match="2 of 2 frames that the file announces could not be decoded"):
        run_chunk(strict, strict.chunks[empty[0].index], left, open_engine(strict))
    assert not left.exists()


@pytest.mark.parametrize("packet", [10, 20])
def test_a_damaged_keyframe_is_concealed_with_what_came_before_it(packet: int, tmp_path: Path) -> None:
    clip = source(tmp_path / "in.mkv", width=128, height=96, codec="mpeg4", b_frames=0)
    bad = damage(clip, tmp_path / "bad.mkv", packet=packet, flips=60)
    results = run(planned(bad, WHOLE), tmp_path / "whole")

    assert any("damaged" in warning for warning in results[0].warnings)
    check_same(shown(run(planned(bad, 5), tmp_path / "parts")), shown(results))


def test_a_file_of_which_nothing_can_be_decoded_fails_in_chunks_too(tmp_path: Path) -> None:
    clip = source(tmp_path / "in.webm", frames=12, codec="libvpx-vp9", gop=100)
    job = planned(clip, 4)
    clip.write_bytes(damage(clip, tmp_path / "bad.webm", packet=0, flips=4000).read_bytes())

    with pytest.raises(DecodeError, match="no frame of"):
        run(job, tmp_path / "work")


@pytest.mark.skipif(program() is None, reason="no ffmpeg program")
def test_the_ffmpeg_program_decodes_the_same_in_chunks(tmp_path: Path) -> None:
    clip = source(tmp_path / "in.mp4", options={"x264-params": "open-gop=1"})
    whole = shown(run(planned(clip, WHOLE), tmp_path / "whole"))

    job = planned(clip, 12, decoder="ffmpeg")
    assert all(chunk.seek is None for chunk in job.chunks)  # it always begins at the start
    check_same(shown(run(job, tmp_path / "parts")), whole)


def test_the_command_gives_the_same_file_in_chunks(tmp_path: Path, vsr, leftovers) -> None:
    clip = make_clip(tmp_path / "in.mp4", frames=31, gop=10, b_frames=3, audio=1, rate=Fraction(30000, 1001))
    for length, name in ((9, "parts.mkv"), (WHOLE, "whole.mkv")):
        words = ("-m", "bicubic", "-s", 2, "--codec", "ffv1", "--chunk-frames", length, "-q")
        assert vsr("upscale", clip, "-o", tmp_path / name, *words).code == 0

    parts, whole = tmp_path / "parts.mkv", tmp_path / "whole.mkv"
    assert parts.read_bytes() == whole.read_bytes()  # FFV1 knows no neighbours: not even the packets differ
    assert len(planes_of(parts)) == 31
    assert leftovers("in.mp4", "parts.mkv", "whole.mkv") == []


def test_the_command_writes_images_of_chunks_into_one_folder(tmp_path: Path, vsr, leftovers) -> None:
    make_images(tmp_path / "in", count=9)
    for length, name in ((4, "parts"), (WHOLE, "whole")):
        words = ("-m", "bicubic", "-s", 2, "--chunk-frames", length, "-q")
        assert vsr("upscale", tmp_path / "in", "-o", tmp_path / name / "%03d.png", *words).code == 0

    names = [file.name for file in sorted((tmp_path / "whole").iterdir())]
    assert names == [f"{k:03d}.png" for k in range(1, 10)]
    assert [file.name for file in sorted((tmp_path / "parts").iterdir())] == names
    for name in names:
        assert (tmp_path / "parts" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert leftovers("in", "parts", "whole") == []


@pytest.mark.parametrize("length", [5, 14, WHOLE])
def test_an_estimate_runs_the_first_frames_as_the_job_will(length: int, tmp_path: Path) -> None:
    job = planned(make_clip(tmp_path / "in.mp4", frames=30), length, model="compact-mf", scale=2.0)
    only = shortened(job.source, job.chunks[0], 12)

    assert only.frames == min(12, length, job.chunks[0].frames)
    assert only.span == Span(start=None, stop=only.frames)
    assert only.decode == Span(start=None, stop=only.frames + job.chunks[0].tail)


def test_images_are_the_same_in_chunks(tmp_path: Path) -> None:
    make_images(tmp_path / "in", count=9)
    whole = shown(run(planned(tmp_path / "in", WHOLE), tmp_path / "whole"))
    check_same(shown(run(planned(tmp_path / "in", 4), tmp_path / "parts")), whole)

    folders = run(planned(tmp_path / "in", 4, out="out"), tmp_path / "folders")
    files = sorted(file for result in folders for file in result.path.iterdir())
    assert [file.name for file in files] == [f"{k:05d}.png" for k in range(1, 10)]
    green, blue, red = decode_image(files[4], files[4].read_bytes(), max_pixels=1 << 20)
    for ours, theirs in zip((red, green, blue), whole[4][2], strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize(("name", "seeks"), [("in.mp4", True), ("in.avi", False)])
def test_chunks_that_begin_at_the_start_are_spoken_of(name: str, seeks: bool, tmp_path: Path) -> None:
    events: list[object] = []
    words = {"model": "nearest", "scale": 1.0, "chunk_frames": 20}
    plan(source(tmp_path / name), tmp_path / "out.mkv", resolve(words), report=events.append)

    notes = [event.message for event in events if isinstance(event, Noted)]
    assert any("at its start alone" in note for note in notes) != seeks


def joined(job: Job, results: list[ChunkResult], target: Path) -> int:
    return join(
        [result.path for result in results],
        target,
        source=job.source,
        spec=job.output,
        container=target.suffix[1:],
        streams=job.streams,
        pts=[pts for result in results for pts in result.pts],
        durations=[duration for result in results for duration in result.durations],
        span=job.span,
    ).frames


LOSSY = [
    ("h264", "mp4"), ("h264", "mov"), ("h264", "mkv"), ("h264", "ts"), ("hevc", "mp4"), ("hevc", "mkv"), ("hevc", "ts"),
    ("vp9", "webm"), ("vp9", "mp4"), ("av1", "mp4"), ("av1", "mkv"), ("av1", "webm"), ("prores", "mov"),
    ("ffv1", "avi"),
]  # fmt: skip


@pytest.mark.parametrize(("codec", "container"), LOSSY)
def test_joined_segments_play(codec: str, container: str, tmp_path: Path, encoded: Callable[..., Path]) -> None:
    times = [k * 3600 for k in range(39)] if container == "avi" else VARIABLE[:39]
    lengths = (13, 1, 14, 11)
    path = encoded(tmp_path, codec, container, times, lengths)

    allowed = Fraction(1, 2000) if container in ("mkv", "webm") else Fraction(0)
    packets = packets_of(path, "video")
    start = packets[0].pts if container == "ts" else Fraction(0)
    wanted = [pts * TICK + start for pts in times]
    assert all(abs(p - w) <= allowed for p, w in zip(sorted(p.pts for p in packets), wanted, strict=True))
    if container not in ("mkv", "webm"):  # Matroska stores no decoding times
        assert all(a.dts < b.dts for a, b in itertools.pairwise(packets))
        assert all(p.dts <= p.pts for p in packets)
    heads = [sum(lengths[:k]) for k in range(len(lengths))]
    assert all(
        packets[head].is_keyframe and packets[head].pts == sorted(p.pts for p in packets)[head] for head in heads
    )

    with av.open(str(path)) as result:  # every packet is taken, every frame is shown, in order
        result.streams.video[0].codec_context.options = {"err_detect": "explode"}
        seen = list(result.decode(video=0))
        tick = result.streams.video[0].time_base
    assert not any(frame.is_corrupt for frame in seen)
    assert all(abs(f.pts * tick - w) <= allowed for f, w in zip(seen, wanted, strict=True))


@pytest.mark.parametrize(("codec", "container"), [("h264", "ts"), ("hevc", "mp4"), ("vp9", "webm"), ("av1", "mkv")])
def test_joined_segments_show_what_each_shows_alone(
    codec: str, container: str, tmp_path: Path, encoded: Callable[..., Path]
) -> None:
    path = encoded(tmp_path, codec, container, VARIABLE[:39], (13, 1, 14, 11))

    alone = [planes for part in sorted(tmp_path.glob("*.nut")) for planes in decoded(part)]
    for ours, theirs in zip(decoded(path), alone, strict=True):
        for a, b in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.fixture
def encoded() -> Callable[..., Path]:
    """Write segments of given lengths with the codec's usual settings and join them."""

    def make(folder: Path, codec: str, container: str, times: list[int], lengths: tuple[int, ...]) -> Path:
        clip = make_clip(folder / "in.mov", frames=len(times), pts=times, time_base=TICK, cuts=(20,))
        words = {"model": "nearest", "scale": 2.0, "codec": codec, "container": container, "encoder_threads": 1}
        suffix = folder / f"out.{container}"
        job = plan(clip, suffix, resolve(words))
        frames = _frames(job)
        results = []
        for number, length in enumerate(lengths):
            sink = PyavSink(folder / f"{number:06d}.nut", job.output)
            for frame in frames[:length]:
                sink.write(frame)
            del frames[:length]
            written = sink.close()
            results.append(
                ChunkResult(
                    index=number,
                    path=written.path,
                    frames=written.frames,
                    pts=written.pts,
                    durations=written.durations,
                    digest="",
                    wall_s=0,
                    cpu_s=0,
                )
            )
        assert joined(job, results, suffix) == len(times)
        return suffix

    return make


def _frames(job: Job) -> list[Frame]:
    format = pixel_format(job.output.pixel_format)
    times = [*job.source.packets.pts, job.source.packets.pts[-1] + 3600]
    return [
        Frame(
            index=k,
            pts=times[k],
            duration=times[k + 1] - times[k],
            planes=picture(k, format, job.output.width, job.output.height, shot=int(k >= 20)),
            format=format,
            color=job.output.color,
        )
        for k in range(len(times) - 1)
    ]
