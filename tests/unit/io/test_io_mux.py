"""Segments and the source's other streams joined: frames, times, packets and everything around them.

The results are read with PyAV alone (`tests.media`).
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import pytest

from tests.media import make_clip, numbers_of, packets_of, picture, times_of
from vsr.core.errors import DiskFull, InputMissing, MuxError
from vsr.core.frame import ColorSpec, Frame, pixel_format
from vsr.core.media import WHOLE, MediaInfo, OutputSpec, Span
from vsr.io.encoding.codecs import encoder_for, encoder_options
from vsr.io.encoding.encode import PyavSink
from vsr.io.muxing.containers import default_codec, plan_streams
from vsr.io.muxing.mux import Muxed, join
from vsr.io.probe import probe

MILLISECOND = Fraction(1, 1000)
FAST = {"h264": "superfast", "hevc": "ultrafast", "av1": "12", "vp9": "realtime"}


def make_spec(info: MediaInfo, codec: str, *, name: str | None = None) -> OutputSpec:
    video = info.video
    name = name or ("yuv422p10le" if codec == "prores" else video.pixel_format)
    color = replace(ColorSpec(matrix="bt709", range="tv"), primaries="bt709", transfer="bt709", siting="left")
    options = encoder_options(
        codec, crf=None, preset=FAST.get(codec), threads=1, keyframe_interval=250, color=color, pixel_format=name
    )
    if codec == "h264":
        options = (*options, ("bf", "3"), ("b-pyramid", "normal"))
    return OutputSpec(
        codec=codec,
        encoder=encoder_for(codec),
        options=options,
        width=64,
        height=48,
        pixel_format=name,
        color=color,
        tags=color,
        time_base=video.time_base,
        rate=video.rate,
        sar=video.sar,
        rotation=video.rotation,
        threads=1,
    )


def make_segments(folder: Path, spec: OutputSpec, pts: Sequence[int], lengths: Sequence[int]) -> list[Path]:
    """Encode numbered frames at these times into segments of these lengths."""
    made, number = [], 0
    fmt = pixel_format(spec.pixel_format)
    for index, length in enumerate(lengths):
        path = folder / f"{index:06d}.nut"
        sink = PyavSink(path, spec)
        for _ in range(length):
            planes = picture(number, fmt, spec.width, spec.height)
            sink.write(Frame(index=number, pts=pts[number], duration=1, planes=planes, format=fmt))
            number += 1
        sink.close()
        made.append(path)
    return made


def upscale(
    source: Path,
    target: Path,
    *,
    codec: str | None = None,
    lengths: Sequence[int] | None = None,
    span: Span = WHOLE,
    faststart: bool = True,
) -> Muxed:
    """Do what a job does after restoring: encode as many frames as the source has, join, copy the other streams."""
    info = probe(source)
    container = target.suffix.removeprefix(".")
    spec = make_spec(info, codec or default_codec(container))
    pts = [time for time in info.packets.pts if time in span]
    durations = [b - a for a, b in itertools.pairwise(pts)] + [max(1, info.packets.durations[-1])]
    work = target.parent / f"work-{target.name}"
    work.mkdir()
    segments = make_segments(work, spec, pts, lengths or [len(pts)])
    return join(
        segments,
        target,
        source=info,
        spec=spec,
        container=container,
        streams=plan_streams(info, container),
        pts=pts,
        durations=durations,
        span=span,
        faststart=faststart,
    )


def copied(path: Path, kind: str, stream: int = 0) -> list[tuple[Fraction | None, str]]:
    return [(packet.pts, packet.digest) for packet in packets_of(path, kind, stream=stream)]


def assert_near(got: Sequence[Fraction], wanted: Sequence[Fraction], tick: Fraction) -> None:
    """To half a tick of the container: that is all that its integers can say."""
    assert len(got) == len(wanted)
    assert max(abs(a - b) for a, b in zip(got, wanted, strict=True)) <= tick / 2


@pytest.fixture(scope="module")
def uneven(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 frames in 1/90000 with steps of 1 tick to 0.4 s."""
    steps = [3600, 3600, 1, 9000, 4500, 36000, 3003, 2997, 1800, 5400] * 4
    pts = [sum(steps[:count]) for count in range(40)]
    return make_clip(
        tmp_path_factory.mktemp("uneven") / "a.mp4", frames=40, pts=pts, time_base=Fraction(1, 90000), b_frames=0
    )


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".ts", ".mkv"])
def test_x264_with_b_frames_in_uneven_time_from_four_segments_is_exact(
    uneven: Path, suffix: str, tmp_path: Path
) -> None:
    """Segments of 13, 1, 15 and 11 frames; Matroska counts milliseconds, the others keep every tick of 1/90000."""
    made = upscale(uneven, tmp_path / f"out{suffix}", lengths=[13, 1, 15, 11])
    assert (made.frames, made.warnings) == (40, ())
    if suffix == ".mkv":
        assert_near(times_of(tmp_path / "out.mkv"), times_of(uneven), MILLISECOND)
    else:
        assert times_of(tmp_path / f"out{suffix}") == times_of(uneven)
    assert numbers_of(tmp_path / f"out{suffix}") == list(range(40))


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".ts", ".mkv"])
def test_decoding_times_rise_over_the_join(uneven: Path, suffix: str, tmp_path: Path) -> None:
    upscale(uneven, tmp_path / f"out{suffix}", lengths=[13, 1, 15, 11])
    packets = packets_of(tmp_path / f"out{suffix}", "video")
    assert any(a.pts > b.pts for a, b in itertools.pairwise(packets)), "no B-frames: the test tests nothing"
    dts = [packet.dts for packet in packets if packet.dts is not None]
    assert len(dts) >= len(packets) - 3  # Matroska stores none, its reader leaves the first few out
    assert all(a < b or (a == b and suffix == ".mkv") for a, b in itertools.pairwise(dts))
    assert all(packet.dts is None or packet.dts <= packet.pts for packet in packets)


def test_cutting_into_segments_changes_no_picture(uneven: Path, tmp_path: Path) -> None:
    upscale(uneven, tmp_path / "one.mkv", codec="ffv1")
    upscale(uneven, tmp_path / "many.mkv", codec="ffv1", lengths=[1, 20, 19])
    assert copied(tmp_path / "one.mkv", "video") == copied(tmp_path / "many.mkv", "video")


@pytest.mark.parametrize(
    ("codec", "suffix"),
    [
        ("hevc", ".mp4"),
        ("hevc", ".mkv"),
        ("hevc", ".ts"),
        ("av1", ".mp4"),
        ("av1", ".webm"),
        ("vp9", ".webm"),
        ("vp9", ".mp4"),
        ("prores", ".mov"),
        ("prores", ".mkv"),
        ("ffv1", ".mkv"),
    ],
)
def test_every_codec_goes_into_its_containers(codec: str, suffix: str, uneven: Path, tmp_path: Path) -> None:
    upscale(uneven, tmp_path / f"out{suffix}", codec=codec, lengths=[20, 20])
    tick = MILLISECOND if suffix in (".mkv", ".webm") else Fraction(1, 90000)
    assert_near(times_of(tmp_path / f"out{suffix}"), times_of(uneven), tick)
    with av.open(str(tmp_path / f"out{suffix}")) as file:
        frames = list(file.decode(video=0))
        tag = file.streams.video[0].codec_context.codec_tag
    assert len(frames) == 40
    if codec == "hevc" and suffix == ".mp4":
        assert tag == "hvc1"
    if codec == "prores":
        assert tag == "apch"


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
def test_copied_packets_are_the_same_bytes_at_the_same_times(suffix: str, tmp_path: Path) -> None:
    source = make_clip(
        tmp_path / f"in{suffix}", audio=2, subtitles=["mov_text"] if suffix != ".mkv" else ["srt", "ass"], frames=24
    )
    made = upscale(source, tmp_path / f"out{suffix}", lengths=[10, 14])
    kinds = [("audio", 0), ("audio", 1), ("subtitle", 0)] + ([("subtitle", 1)] if suffix == ".mkv" else [])
    for kind, number in kinds:
        assert copied(source, kind, number) == copied(tmp_path / f"out{suffix}", kind, number)
        assert copied(source, kind, number)
    assert made.warnings == ()
    with av.open(str(source)) as file:
        counted = dict.fromkeys((s.index for s in file.streams if s.type in ("audio", "subtitle")), 0)
        for packet in file.demux():
            if packet.size and packet.stream_index in counted:
                counted[packet.stream_index] += 1
    assert {index: made.packets[index] for index in counted} == counted


def test_sound_that_begins_before_zero_stays_there_in_mp4(tmp_path: Path) -> None:
    """AAC starts with a packet of priming: players skip it, if it keeps its negative time."""
    source = make_clip(tmp_path / "in.mp4", audio=1)
    assert packets_of(source, "audio")[0].pts < 0
    upscale(source, tmp_path / "out.mp4")
    assert packets_of(tmp_path / "out.mp4", "audio")[0].pts == packets_of(source, "audio")[0].pts


def test_a_container_without_negative_times_moves_everything_together_and_says_so(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mp4", audio=1)
    made = upscale(source, tmp_path / "out.ts")
    (warning,) = made.warnings
    assert "everything starts" in warning
    later = -packets_of(source, "audio")[0].pts
    assert_near(times_of(tmp_path / "out.ts"), [time + later for time in times_of(source)], Fraction(1, 90000))
    assert packets_of(tmp_path / "out.ts", "audio")[0].pts == 0


def test_names_languages_flags_and_order_stay(tmp_path: Path) -> None:
    source = make_clip(
        tmp_path / "in.mkv",
        audio=2,
        audio_first=True,
        subtitles=["srt"],
        language="jpn",
        metadata={"title": "A clip", "artist": "Nobody"},
        chapters=[(0.0, 0.2, "one"), (0.2, 0.48, "two")],
        attachment=b"\x00\x01\x00\x00 not really a font",
    )
    upscale(source, tmp_path / "out.mkv")
    with av.open(str(source)) as a, av.open(str(tmp_path / "out.mkv")) as b:
        assert [s.type for s in a.streams] == [s.type for s in b.streams] and a.streams[0].type == "audio"
        for old, new in zip(a.streams, b.streams, strict=True):
            assert (old.language, old.metadata.get("title")) == (new.language, new.metadata.get("title"))
            assert old.disposition == new.disposition
        assert (b.metadata["title"], b.metadata["ARTIST"]) == ("A clip", "Nobody")
        chapters = [
            (c["start"] * c["time_base"], c["end"] * c["time_base"], c["metadata"]["title"]) for c in b.chapters()
        ]
        assert chapters == [(0, Fraction(1, 5), "one"), (Fraction(1, 5), Fraction(12, 25), "two")]
        attachment = b.streams.attachments[0]
        assert (attachment.name, attachment.data) == ("font.ttf", b"\x00\x01\x00\x00 not really a font")


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
def test_shape_and_rotation_and_colour_stay(suffix: str, tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mp4", sar=Fraction(64, 45), rotation=90)
    upscale(source, tmp_path / f"out{suffix}")
    with av.open(str(tmp_path / f"out{suffix}")) as file:
        stream = file.streams.video[0]
        frame = next(file.decode(stream))
        assert stream.sample_aspect_ratio == Fraction(64, 45)
        assert frame.rotation == 90
        assert (frame.colorspace, frame.color_primaries, frame.color_trc, frame.color_range) == (1, 1, 1, 1)


def test_what_the_container_has_no_place_for_is_said(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mp4", sar=Fraction(64, 45), rotation=90, chapters=[(0.0, 0.48, "all")])
    to_ts = " ".join(upscale(source, tmp_path / "out.ts").warnings)
    assert "rotation" in to_ts and "chapters" in to_ts
    to_avi = " ".join(upscale(source, tmp_path / "out.avi").warnings)
    assert "sample aspect ratio 64/45" in to_avi and "rotation" in to_avi
    assert upscale(source, tmp_path / "out.webm").warnings == ()


@pytest.mark.parametrize(("old", "new"), [(".mp4", ".mp4"), (".mp4", ".mkv"), (".mkv", ".mkv"), (".mkv", ".mp4")])
def test_a_cover_stays_a_cover(old: str, new: str, tmp_path: Path) -> None:
    source = make_clip(tmp_path / f"in{old}", cover="last", audio=1)
    upscale(source, tmp_path / f"out{new}")

    def cover(path: Path) -> bytes:
        with av.open(str(path)) as file:
            (stream,) = [s for s in file.streams.video if s.disposition & av.stream.Disposition.attached_pic]
            return next(bytes(packet) for packet in file.demux(stream) if packet.size)

    assert cover(source) == cover(tmp_path / f"out{new}")


ASS = """[Script Info]
ScriptType: v4.00+
[V4+ Styles]
Format: Name, Fontname, Fontsize
Style: Default,Arial,16
[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
Dialogue: 0,0:00:00.00,0:00:00.20,Default,,0,0,0,,first {\\i1}line{\\i0}
Dialogue: 0,0:00:00.24,0:00:00.40,Default,,0,0,0,,second line
"""


def with_ass(folder: Path) -> Path:
    """Give a Matroska file with a picture and an ASS stream, remuxed by PyAV."""
    (folder / "text.ass").write_text(ASS)
    clip = make_clip(folder / "bare.mkv")
    inputs = (av.open(str(clip)), av.open(str(folder / "text.ass")))
    with inputs[0], inputs[1], av.open(str(folder / "in.mkv"), "w") as out:
        streams = (inputs[0].streams.video[0], inputs[1].streams.subtitles[0])
        made = [out.add_stream_from_template(stream, opaque=True) for stream in streams]
        for source, stream, target in zip(inputs, streams, made, strict=True):
            for packet in source.demux(stream):
                if packet.size:
                    packet.stream = target
                    out.mux(packet)
    return folder / "in.mkv"


def texts(path: Path) -> list[tuple[Fraction, str]]:
    """Give time and plain text of every subtitle that shows something."""
    found = []
    with av.open(str(path)) as file:
        for packet in file.demux(file.streams.subtitles[0]):
            for line in packet.decode() if packet.size else ():
                plain = re.sub(r"\{[^}]*\}", "", line.dialogue.decode()).strip()
                found.append((packet.pts * packet.time_base, plain))
    return found


@pytest.mark.parametrize(("codec", "old"), [("srt", ".mkv"), ("ass", ".mkv"), ("mov_text", ".mp4")])
@pytest.mark.parametrize("new", [".mp4", ".mov", ".mkv", ".webm"])
def test_text_subtitles_keep_words_and_times_in_every_container(codec: str, old: str, new: str, tmp_path: Path) -> None:
    source = with_ass(tmp_path) if codec == "ass" else make_clip(tmp_path / f"in{old}", subtitles=[codec])
    made = upscale(source, tmp_path / f"out{new}")
    expected = [(Fraction(0), "first line"), (Fraction(6, 25), "second line")]
    assert texts(source) == expected
    assert texts(tmp_path / f"out{new}") == expected
    assert made.warnings == ()


def test_a_span_starts_at_zero_with_the_sound_that_belongs_to_it(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mp4", frames=50, audio=1, chapters=[(0.0, 1.0, "one"), (1.0, 2.0, "two")])
    info = probe(source)
    tick = info.video.time_base
    start, stop = Fraction(12, 25), Fraction(32, 25)
    made = upscale(source, tmp_path / "out.mp4", span=Span(start=int(start / tick), stop=int(stop / tick)))
    assert made.frames == 20
    assert times_of(tmp_path / "out.mp4") == [Fraction(n, 25) for n in range(20)]
    inside = [(pts - start, digest) for pts, digest in copied(source, "audio") if start <= pts < stop]
    got = copied(tmp_path / "out.mp4", "audio")
    assert [digest for _, digest in got] == [digest for _, digest in inside]
    assert_near([pts for pts, _ in got], [pts for pts, _ in inside], Fraction(1, 48000))
    with av.open(str(tmp_path / "out.mp4")) as file:
        found = [(c["start"] * c["time_base"], c["end"] * c["time_base"]) for c in file.chapters()]
    assert found == [(0, Fraction(13, 25)), (Fraction(13, 25), Fraction(4, 5))]


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts"])
def test_a_video_that_begins_late_still_does(suffix: str, tmp_path: Path) -> None:
    source = make_clip(
        tmp_path / "in.mp4", frames=12, pts=[2507 + 3 * n for n in range(12)], time_base=Fraction(1, 600)
    )
    upscale(source, tmp_path / f"out{suffix}")
    tick = {".mp4": Fraction(1, 10**6), ".mkv": MILLISECOND, ".ts": Fraction(1, 90000)}[suffix]
    assert times_of(source)[0] == Fraction(2507, 600)
    assert_near(times_of(tmp_path / f"out{suffix}"), times_of(source), tick)


def test_frames_with_a_gap_go_into_avi(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mkv", pts=[0, 1, 2, 5, 6], frames=5, codec="ffv1", b_frames=0)
    upscale(source, tmp_path / "out.avi")
    assert times_of(tmp_path / "out.avi") == times_of(source)


def test_avi_counts_by_the_rate_of_the_header_where_the_mean_is_another(tmp_path: Path) -> None:
    """The encoder is told the mean, 3/4 of the rate here: frame 1 would be shown at 0.053 s."""
    source = make_clip(tmp_path / "in.mkv", pts=[0, 1, 2, 4], frames=4, codec="ffv1", b_frames=0)
    info = probe(source)
    assert info.video.rate == 25
    spec = replace(make_spec(info, "ffv1"), rate=Fraction(75, 4))
    segments = make_segments(tmp_path, spec, info.packets.pts, [4])
    join(
        segments,
        tmp_path / "out.avi",
        source=info,
        spec=spec,
        container="avi",
        streams=(),
        pts=info.packets.pts,
        durations=info.packets.durations,
    )
    assert times_of(tmp_path / "out.avi") == times_of(source)


@pytest.mark.parametrize("faststart", [True, False])
def test_the_index_stands_first_where_asked(faststart: bool, uneven: Path, tmp_path: Path) -> None:
    upscale(uneven, tmp_path / "out.mp4", faststart=faststart)
    data = (tmp_path / "out.mp4").read_bytes()
    assert (data.index(b"moov") < data.index(b"mdat")) == faststart


def test_the_same_work_gives_the_same_bytes(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mkv", audio=1, subtitles=["srt"], attachment=b"font")
    for name in ("a.mkv", "b.mkv"):
        upscale(source, tmp_path / name)
    assert (tmp_path / "a.mkv").read_bytes() == (tmp_path / "b.mkv").read_bytes()


def test_images_become_a_video_without_other_streams(tmp_path: Path, uneven: Path) -> None:
    info = replace(probe(uneven), kind="sequence", streams=(), path=tmp_path / "none")
    spec = make_spec(info, "h264")
    segments = make_segments(tmp_path, spec, [0, 40, 80], [3])
    made = join(
        segments, tmp_path / "out.mp4", source=info, spec=spec, container="mp4", streams=(), pts=[0, 40, 80],
        durations=[40, 40, 40],
    )  # fmt: skip
    assert (made.frames, made.packets) == (3, {})


def joined(tmp_path: Path, source: Path, pts: list[int], planned: list[int], **changes: object) -> Muxed:
    info = probe(source)
    spec = make_spec(info, "h264")
    segments = make_segments(tmp_path, spec, pts, [len(pts)])
    info = replace(info, **changes)  # type: ignore[arg-type]
    return join(
        segments, tmp_path / "out.mkv", source=info, spec=spec, container="mkv", streams=plan_streams(info, "mkv"),
        pts=planned, durations=[1] * len(planned),
    )  # fmt: skip


@pytest.mark.parametrize("planned", [[0, 40, 80, 120], [0, 40], [0, 40, 90]])
def test_segments_that_hold_other_frames_are_refused(planned: list[int], uneven: Path, tmp_path: Path) -> None:
    with pytest.raises(MuxError, match=r"segment"):
        joined(tmp_path, uneven, [0, 40, 80], planned)


def test_a_source_that_is_gone_is_an_input_error(uneven: Path, tmp_path: Path) -> None:
    with pytest.raises(InputMissing, match="gone"):
        joined(tmp_path, uneven, [0, 40, 80], [0, 40, 80], path=tmp_path / "gone.mp4")


def test_a_damaged_segment_is_named(uneven: Path, tmp_path: Path) -> None:
    info = probe(uneven)
    (tmp_path / "000000.nut").write_bytes(b"nothing of the kind")
    with pytest.raises(MuxError, match=r"000000\.nut"):
        join(
            [tmp_path / "000000.nut"], tmp_path / "out.mkv", source=info, spec=make_spec(info, "h264"),
            container="mkv", streams=(), pts=[0], durations=[1],
        )  # fmt: skip


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs the device that is always full")
def test_a_full_disk_is_told_apart(uneven: Path, tmp_path: Path) -> None:
    (tmp_path / "out.mkv").symlink_to("/dev/full")
    with pytest.raises(DiskFull, match=r"out\.mkv"):
        joined(tmp_path, uneven, [0, 40, 80], [0, 40, 80])


def _two_segments(folder: Path, codec: str, *changed: tuple[str, str]) -> tuple[MediaInfo, OutputSpec, list[Path]]:
    """Write segments of 5 and 4 frames; the second one's encoder has other options."""
    info = probe(make_clip(folder / "in.mp4", frames=9))
    spec = make_spec(info, codec)
    first = make_segments(folder, spec, info.packets.pts, [5])
    (folder / "b").mkdir()
    other = replace(spec, options=tuple({**dict(spec.options), **dict(changed)}.items()))
    return info, spec, first + make_segments(folder / "b", other, info.packets.pts[5:], [4])


def _joined(info: MediaInfo, spec: OutputSpec, segments: Sequence[Path], pts: Sequence[int]) -> Muxed:
    target = info.path.with_name("out.mkv")
    durations = [1] * len(pts)
    return join(segments, target, source=info, spec=spec, container="mkv", streams=(), pts=pts, durations=durations)


@pytest.mark.parametrize(
    ("codec", "option"),
    [("h264", ("x264-params", "ref=6")), ("hevc", ("x265-params", "log-level=none:bframes=0:ref=1"))],
)
def test_segments_of_encoders_that_disagree_are_not_put_under_one_header(
    codec: str, option: tuple[str, str], tmp_path: Path
) -> None:
    info, spec, segments = _two_segments(tmp_path, codec, option)

    with pytest.raises(MuxError, match=r"b/000000\.nut has another header"):
        _joined(info, spec, segments, info.packets.pts)
    assert not (tmp_path / "out.mkv").exists()


def test_what_an_encoder_says_of_itself_is_no_difference(tmp_path: Path) -> None:
    # x265 writes its settings, and the CPU it runs on, beside the parameter sets.
    info, spec, segments = _two_segments(tmp_path, "hevc", ("crf", "30"))

    assert _joined(info, spec, segments, info.packets.pts).frames == 9


def test_two_segments_of_the_same_frames_are_refused(tmp_path: Path) -> None:
    info, spec, segments = _two_segments(tmp_path, "h264")
    pts = info.packets.pts

    with pytest.raises(MuxError, match="do not rise"):
        _joined(info, spec, [*segments, segments[1]], [*pts, *pts[5:]])


def test_an_empty_segment_holds_no_frames(tmp_path: Path) -> None:
    info, spec, segments = _two_segments(tmp_path, "h264")
    empty = tmp_path / "empty.nut"
    empty.touch()

    assert _joined(info, spec, [empty, segments[0], empty, segments[1], empty], info.packets.pts).frames == 9
    assert numbers_of(tmp_path / "out.mkv") == [0, 1, 2, 3, 4, 0, 1, 2, 3]
    with pytest.raises(MuxError, match="2 segments hold no frame"):
        _joined(info, spec, [empty, empty], ())
    with pytest.raises(MuxError, match=r"gone\.nut cannot be read: No such file"):
        _joined(info, spec, [segments[0], tmp_path / "gone.nut"], info.packets.pts)
