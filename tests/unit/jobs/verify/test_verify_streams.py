"""What a container cannot hold is told and accepted; what is converted says the same; cuts are held as asked."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from tests.enlarged import Fault, Frames, enlarged, moving_clip, source_clip
from tests.media import make_clip, make_images
from vsr.core.errors import DecodeError, InputMissing, NotMedia, OutputExists, UsageError, VerifyError
from vsr.core.media import StreamPlan
from vsr.jobs.verify.entry import verify
from vsr.jobs.verify.expected import Expected, Verdict
from vsr.jobs.verify.packets import paired, rhythm


def _states(verdict: Verdict) -> dict[str, str]:
    return {finding.check: finding.state for finding in verdict.findings if finding.state != "same"}


def test_converted_subtitles_say_the_same_texts_at_the_same_times(tmp_path: Path) -> None:
    source = source_clip(tmp_path / "source.mkv")
    made = _with_text(source, tmp_path / "made.mp4", late=0)

    assert _states(verify(source, made))["stream 2 (subrip subtitle)"] == "changed as asked"


@pytest.mark.parametrize(
    ("change", "words"),
    [("late", "comes 40 ms later"), ("words", "says 'other'"), ("gone", "1 texts are shown, not 2")],
)
def test_converted_subtitles_that_differ_are_told(tmp_path: Path, change: str, words: str) -> None:
    source = source_clip(tmp_path / "source.mkv")
    made = _with_text(
        source,
        tmp_path / "made.mp4",
        late=40 * (change == "late"),
        other=change == "words",
        keep=1 + (change != "gone"),
    )

    (told,) = [f for f in verify(source, made).of("broken") if f.check == "stream 2 (subrip subtitle)"]
    assert words in told.detail


def test_what_a_container_cannot_hold_is_no_fault_unless_strict(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "source.mkv", attachment=b"font", frames=4)
    made = enlarged(source, tmp_path / "made.mkv", Fault(rotation=0, title=None))
    _remuxed(made, tmp_path / "made.mp4")

    verdict = verify(source, tmp_path / "made.mp4")

    assert _states(verdict)["stream 1 (attachment font.ttf)"] == "lost by the container"
    assert verdict.holds
    with pytest.raises(VerifyError, match="attachments"):
        verdict.raise_if_broken(strict=True)


def test_an_attachment_that_is_gone_without_need_breaks_the_verdict(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "source.mkv", attachment=b"font", frames=4)
    made = enlarged(make_clip(tmp_path / "bare.mkv", frames=4), tmp_path / "made.mkv", Fault(rotation=0, title=None))

    assert _states(verify(source, made))["stream 1 (attachment font.ttf)"] == "broken"


def test_sound_that_nobody_wanted_is_not_missed(tmp_path: Path) -> None:
    source = source_clip(tmp_path / "source.mp4")
    silent = _remuxed(enlarged(source, tmp_path / "all.mp4"), tmp_path / "silent.mp4", without="audio")

    assert _states(verify(source, silent))["stream 1 (aac audio)"] == "broken"
    assert _states(verify(source, silent, expected=Expected(audio=False))) == {
        "stream 1 (aac audio)": "changed as asked"
    }


def test_a_plan_that_is_handed_over_is_believed(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "source.mp4", audio=1, frames=4)
    made = enlarged(source, tmp_path / "made.mp4", Fault(rotation=0, title=None))
    drop = StreamPlan(index=1, action="drop", codec="aac", reason="not asked for", is_wanted=False)

    assert "result's stream 1" in _states(verify(source, made, expected=Expected(streams=(drop,))))


def test_a_cut_is_held_against_what_was_cut(tmp_path: Path) -> None:
    """Frames 3 to 8 of 12, from zero on: begin and end lie between two frames."""
    source = moving_clip(tmp_path / "source.mp4", frames=12)

    def cut(frames: Frames) -> Frames:
        return [(pts - frames[3][0] + 256, planes) for pts, planes in frames[3:9]]

    made = enlarged(source, tmp_path / "made.mp4", Fault(frames=cut, rotation=0, title=None))
    asked = Expected(start=Fraction(1, 10), stop=Fraction(35, 100))
    wrong = Expected(start=Fraction(1, 10), stop=Fraction(39, 100))

    verdict = verify(source, made, expected=asked)
    assert verdict.holds, verdict.of("broken")
    assert _states(verdict) == {"frames": "changed as asked", "times": "changed as asked"}
    assert _states(verify(source, made, expected=wrong))["frames"] == "broken"


def test_images_are_told_by_their_places(tmp_path: Path) -> None:
    make_images(tmp_path / "in", count=4, width=32, height=24)
    make_images(tmp_path / "out", count=4, width=64, height=48)
    make_images(tmp_path / "short", count=3, width=64, height=48)

    assert _states(verify(tmp_path / "in", tmp_path / "short"))["frames"] == "broken"
    verdict = verify(tmp_path / "in", tmp_path / "out")
    assert {f.check: f.state for f in verdict.findings}["frames"] == "same"
    assert verdict.look is not None and verdict.look.frames == 4


def test_half_the_depth_is_told(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "source.mkv", pix_fmt="yuv420p10le", frames=3)
    make_clip(tmp_path / "made.mkv", width=128, height=96, frames=3)

    assert _states(verify(source, tmp_path / "made.mkv"))["pixel format"] == "broken"
    asked = Expected(pixel_format="yuv420p")
    assert _states(verify(source, tmp_path / "made.mkv", expected=asked))["pixel format"] == "changed as asked"


def test_hdr_metadata_that_is_lost_is_told(tmp_path: Path) -> None:
    light = (
        "hdr10=1:master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50):max-cll=1000,400"
    )
    clip = {"codec": "libx265", "frames": 2, "b_frames": 0}
    source = _hdr(tmp_path / "source.mkv", f":{light}", **clip)
    same = _hdr(tmp_path / "same.mkv", f":{light}", **clip)
    bare = _hdr(tmp_path / "bare.mkv", "", **clip)

    told = {f.check: f.state for f in verify(source, same).findings}
    assert (told["mastering display"], told["content light level"]) == ("same", "same")
    lost = {f.check: f.detail for f in verify(source, bare).of("broken")}
    assert lost["content light level"] == "none, not (1000, 400)"
    assert "mastering display" in lost


@pytest.mark.parametrize("kind", ["missing", "text", "sound", "cut"])
def test_what_cannot_be_read_is_a_typed_error(tmp_path: Path, kind: str) -> None:
    source = make_clip(tmp_path / "source.mp4", frames=3)
    other = tmp_path / "other.mp4"
    if kind == "text":
        other.write_text("no media")
    if kind == "cut":
        other.write_bytes(source.read_bytes()[:300])

    if kind == "sound":
        from tests.media import make_sound

        make_sound(other)
    errors = {"missing": InputMissing, "text": NotMedia, "sound": NotMedia, "cut": DecodeError}
    with pytest.raises(errors[kind], match="other"):
        verify(source, other)


def test_the_picture_of_the_worst_frame_overwrites_nothing(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="PNG"):
        verify(tmp_path / "a.mp4", tmp_path / "b.mp4", worst=tmp_path / "worst.mp4")
    with pytest.raises(OutputExists):
        verify(tmp_path / "a.png", tmp_path / "b.png", worst=tmp_path / "b.png")


def test_rows_of_hashes_are_matched_over_holes() -> None:
    row = [bytes([n]) for n in range(10)]

    assert paired(row, row) == ([(n, n) for n in range(10)], [], [])
    assert paired(row, [*row[:3], *row[5:]])[1:] == ([3, 4], [])
    assert paired([*row[:3], *row[5:]], row)[1:] == ([], [3, 4])
    assert paired(row, [*row[:4], b"x", *row[5:]])[1:] == ([4], [4])


def test_errors_that_add_up_are_told_from_errors_that_do_not() -> None:
    half = Fraction(1, 2)

    assert rhythm([half, -half, Fraction(0)], half) is None
    shifted = rhythm([Fraction(3), Fraction(3), Fraction(2)], half)
    growing = rhythm([Fraction(n) for n in range(6)], half)
    single = rhythm([Fraction(0), Fraction(5), Fraction(0)], half)
    assert shifted is not None and shifted[0].startswith("everything is")
    assert growing is not None and growing[0].startswith("times drift")
    assert single is not None and single == ("1 times differ: the first is 5000 ms later, the worst 5000 ms later", 1)


def _hdr(path: Path, more: str, *, codec: str, frames: int, b_frames: int) -> Path:
    with av.open(str(path), "w") as out:
        video = out.add_stream(codec, rate=25)
        video.width, video.height, video.pix_fmt = 64, 64, "yuv420p10le"
        video.codec_context.options = {"preset": "ultrafast", "x265-params": f"log-level=none{more}"}
        for n in range(frames):
            frame = av.VideoFrame.from_ndarray(np.full((96, 64), 512 + n, np.uint16), format="yuv420p10le")
            frame.pts = n
            out.mux(video.encode(frame))
        out.mux(video.encode(None))
    return path


def _with_text(source: Path, target: Path, *, late: int, other: bool = False, keep: int = 2) -> Path:
    """Write `source` enlarged into MP4, its subtitles made mov_text by hand: a length in two bytes, then the words."""
    whole = enlarged(source, target.with_suffix(".all.mkv"), Fault(has_subtitle=False))
    with av.open(str(source)) as given:
        shown = [(p.pts, p.duration, bytes(p).decode()) for p in given.demux(given.streams.subtitles[0]) if p.size]
    texts = [(pts + late, span, "other" if other else words) for pts, span, words in shown[:keep]]

    def add(out: av.container.OutputContainer) -> list[av.Packet]:
        stream = out.add_stream("mov_text")
        stream.codec_context.subtitle_header = b"[Script Info]\n\n[Events]\n"
        stream.time_base = Fraction(1, 1000)
        packets = []
        for pts, span, words in texts:
            data = words.strip().encode()
            packet = av.Packet(len(data).to_bytes(2, "big") + data)
            packet.pts = packet.dts = pts
            packet.duration, packet.time_base, packet.stream = span, Fraction(1, 1000), stream
            packets.append(packet)
        return packets

    return _remuxed(whole, target, add=add)


def _remuxed(source: Path, target: Path, *, without: str = "attachment", add=None) -> Path:  # type: ignore[no-untyped-def]
    with av.open(str(source)) as given, av.open(str(target), "w") as out:
        kept = [s for s in given.streams if s.type not in (without, "attachment", "data")]
        routes = {s.index: out.add_stream_from_template(s, opaque=True) for s in kept}
        for stream in kept:
            routes[stream.index].disposition = stream.disposition
            routes[stream.index].metadata["language"] = stream.metadata.get("language", "und")
            routes[stream.index].metadata["title"] = stream.metadata.get("title") or stream.metadata.get("name", "")
        packets = add(out) if add else []
        out.metadata.update({k.lower(): v for k, v in given.metadata.items() if k.lower() in ("title", "comment")})
        out.set_chapters(given.chapters())
        for packet in given.demux(kept):
            if packet.size:
                packet.stream = routes[packet.stream_index]
                packets.append(packet)
        for packet in sorted(packets, key=lambda p: float((p.dts or 0) * p.time_base)):
            out.mux(packet)
    return target
