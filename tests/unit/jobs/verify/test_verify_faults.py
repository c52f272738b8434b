"""Each fault planted in a result is found and named; the same result without it holds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from tests.enlarged import BASE, STEP, Fault, Frames, enlarged, moving_clip, source_clip
from tests.media import BT601, BT709, Tags
from vsr.core.errors import VerifyError
from vsr.jobs.verify.entry import verify
from vsr.jobs.verify.expected import Verdict


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("sources")
    return {suffix: source_clip(folder / f"source{suffix}") for suffix in (".mkv", ".mp4")}


@pytest.fixture(scope="module")
def pan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return moving_clip(tmp_path_factory.mktemp("pan") / "pan.mp4")


def _swapped(frames: Frames) -> Frames:
    return [*frames[:4], (frames[4][0], frames[5][1]), (frames[5][0], frames[4][1]), *frames[6:]]


def _drifting(frames: Frames) -> Frames:
    return [(pts + place, planes) for place, (pts, planes) in enumerate(frames)]


def _cut_off(frames: Frames) -> Frames:
    """Every second sample one code too low: what cutting off does where rounding would go up, in all planes."""
    return [(pts, [plane - (np.indices(plane.shape).sum(0) % 2).astype(np.uint8) for plane in planes])
            for pts, planes in frames]  # fmt: skip


def _brighter(*, first: float, last: float) -> Callable[[Frames], Frames]:
    """Lift a share of luma's samples by a code, evenly spread: from `first` of them to `last` over the clip."""

    def planted(frames: Frames) -> Frames:
        made = []
        for place, (pts, (luma, *chroma)) in enumerate(frames):
            share = first + (last - first) * place / (len(frames) - 1)
            count = np.arange(luma.size).reshape(luma.shape)
            lifted = np.floor((count + 1) * share) > np.floor(count * share)
            made.append((pts, [luma + lifted.astype(np.uint8), *chroma]))
        return made

    return planted


def _grey_at(number: int) -> Callable[[Frames], Frames]:
    return lambda frames: [
        (pts, [np.full_like(p, 128) for p in planes] if place == number else planes)
        for place, (pts, planes) in enumerate(frames)
    ]


def _broken(verdict: Verdict) -> dict[str, str]:
    return {finding.check: finding.detail for finding in verdict.of("broken")}


@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_a_right_result_holds(sources: dict[str, Path], suffix: str, tmp_path: Path) -> None:
    verdict = verify(sources[suffix], enlarged(sources[suffix], tmp_path / f"made{suffix}"))

    assert verdict.holds, _broken(verdict)
    assert {finding.state for finding in verdict.findings} == {"same"}
    verdict.raise_if_broken(strict=True)
    assert verdict.look is not None and verdict.look.frames == 12


FAULTS = {
    "a frame dropped": (Fault(frames=lambda f: f[:5] + f[6:]), "frames", "the first is frame 5 (0.200 s)"),
    "the tail lost": (Fault(frames=lambda f: f[:-3]), "frames", "the last 3 are missing, from frame 9 (0.360 s) on"),
    "two swapped": (Fault(frames=_swapped), "order", "shows what the source shows at frame 4"),
    "a frame repeated": (
        Fault(frames=lambda f: [*f[:6], (f[6][0], f[5][1]), *f[7:]]),
        "order",
        "frame 6 (0.240 s) shows what the source shows at frame 5",
    ),
    "a grey frame": (Fault(frames=_grey_at(7)), "pictures", "at frame 7 (0.280 s)"),
    "a frame too many": (
        Fault(frames=lambda f: [*f[:6], (f[5][0] + STEP // 2, f[5][1]), *f[6:]]),
        "frames",
        "13 frames, 12 expected; 1 that the source has not, the first is the result's frame 6",
    ),
    "drift by a tick a frame": (Fault(frames=_drifting), "times", "times drift: the first is"),
    "one frame late": (
        Fault(frames=lambda f: [(pts + 40 * (place == 3), planes) for place, (pts, planes) in enumerate(f)]),
        "times",
        "1 times differ",
    ),
    "the last frame's duration": (Fault(last_duration=STEP * BASE / 4), "last frame", "not 0.040 s"),
    # FFmpeg's mp4 muxer moves a track's start to a whole millisecond where nobody asks for a finer clock.
    "40 ms audio shift": (
        Fault(sound_shift=1920),
        "stream 1 (aac audio)",
        "everything is 39.33 ms later (from packet 0",
    ),
    "a packet of sound lost": (Fault(lost_packet=7), "stream 1 (aac audio)", "packet 7 at 0.128 s"),
    "the priming packet lost": (Fault(lost_packet=0), "stream 1 (aac audio)", "it primes the decoder"),
    "the language lost": (Fault(language=None), "stream 1 (aac audio), language", "none, not eng"),
    "a chapter lost": (Fault(chapters=1), "chapters", "1, not 2; 'two' at 0.200 s is missing"),
    "a subtitle lost": (Fault(has_subtitle=False), "stream 2 (mov_text subtitle)", "it is missing"),
    "the turn lost": (Fault(rotation=0), "turn", "the picture is shown upright, the source's turned by 90 degrees"),
    "another turn": (Fault(rotation=180), "turn", "shown turned by 180 degrees"),
    "wrong SAR": (Fault(sar=Fraction(1)), "shape", "with pixels of 1 is shown as 1.3333:1, the source as 1.4222:1"),
    "another title": (Fault(title="another"), "tags", "title is 'another', not 'a clip'"),
    "half a code cut off": (Fault(frames=_cut_off), "colours", "luma -0.5"),
    "matrix: tag alone": (
        Fault(tags=Tags(matrix=6, range=1, primaries=1, transfer=1)),
        "colour tags",
        "matrix is smpte170m, not bt709",
    ),
    "range: tag alone": (
        Fault(tags=Tags(matrix=1, range=2, primaries=1, transfer=1)),
        "colour tags",
        "range is pc, not tv",
    ),
    "tags lost": (Fault(tags=Tags(matrix=2, range=1)), "colour tags", "primaries bt709 is not said any more"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_found_and_named(sources: dict[str, Path], name: str, tmp_path: Path) -> None:
    fault, check, words = FAULTS[name]
    source = sources[".mp4"]

    verdict = verify(source, enlarged(source, tmp_path / "made.mp4", fault))

    assert not verdict.holds
    assert words in _broken(verdict)[check]
    with pytest.raises(VerifyError, match=f"{check.partition(' (')[0]}|and . more"):
        verdict.raise_if_broken()


@pytest.mark.parametrize("shift", [40, 1])
def test_a_shift_of_sound_is_found_in_matroska(sources: dict[str, Path], shift: int, tmp_path: Path) -> None:
    """Its clock counts milliseconds: nothing but half of one may pass as a rounding."""
    source = sources[".mkv"]

    verdict = verify(source, enlarged(source, tmp_path / "made.mkv", Fault(sound_shift=shift)))

    assert f"everything is {shift} ms later" in _broken(verdict)["stream 1 (aac audio)"]


@pytest.mark.parametrize(("told", "meant"), [(BT709, BT601), (BT601, BT709)], ids=["as 601", "as 709"])
def test_samples_of_another_matrix_are_found_by_the_pictures(
    pan: Path, told: Tags, meant: Tags, tmp_path: Path
) -> None:
    """The tag says what it should, but the samples were converted as for the other matrix."""
    source = pan if told is BT709 else moving_clip(tmp_path / "pan.mp4", tags=BT601)
    mixed = _converted(source, tmp_path / "mixed.mp4", told, replace(told, matrix=meant.matrix))

    broken = _broken(verify(source, mixed))

    assert set(broken) == {"colours"}


def test_samples_of_another_range_are_found_by_the_pictures(pan: Path, tmp_path: Path) -> None:
    mixed = _converted(pan, tmp_path / "mixed.mp4", BT709, replace(BT709, range=2))

    assert "colours" in _broken(verify(pan, mixed))


def test_changed_tags_with_unchanged_samples_shift_the_colours_too(pan: Path, tmp_path: Path) -> None:
    fault = Fault(tags=replace(BT709, matrix=6), rotation=0)

    assert {"colours", "colour tags"} <= set(_broken(verify(pan, enlarged(pan, tmp_path / "made.mp4", fault))))


@pytest.mark.parametrize(("codec", "crf"), [("libx264", 18), ("libx264", 30), ("libx265", 20), ("libvpx-vp9", 24),
                                            ("libsvtav1", 30)])  # fmt: skip
def test_an_honest_lossy_result_holds(pan: Path, codec: str, crf: int, tmp_path: Path) -> None:
    made = enlarged(pan, tmp_path / "made.mp4", Fault(codec=codec, crf=crf, rotation=0))

    verdict = verify(pan, made)

    assert set(_broken(verdict)) <= {"colour tags"}  # libvpx writes no primaries: not asked here
    assert verdict.look is not None and verdict.look.worst_psnr > 30


@pytest.mark.parametrize(("codec", "crf"), [("libx264", 18), ("libx264", 24), ("libsvtav1", 20)])
def test_half_a_code_is_found_under_an_encoders_noise(pan: Path, codec: str, crf: int, tmp_path: Path) -> None:
    made = enlarged(pan, tmp_path / "made.mp4", Fault(frames=_cut_off, codec=codec, crf=crf, rotation=0))

    assert set(_broken(verify(pan, made))) == {"colours"}


@pytest.mark.parametrize(
    ("first", "last", "is_fault"),
    [(0.0, 0.55, False), (0.275, 0.275, True), (0.0, 1.0, True)],
    ids=["grows from nothing", "the same in every frame", "grows too far"],
)
def test_an_encoders_drift_is_told_from_a_fault_of_every_frame(
    pan: Path, first: float, last: float, is_fault: bool, tmp_path: Path
) -> None:
    """The first two have one mean. Encoders add up what they round from frame to frame; a wrong formula does not."""
    fault = Fault(frames=_brighter(first=first, last=last), crf=0, rotation=0)

    assert ("colours" in _broken(verify(pan, enlarged(pan, tmp_path / "made.mp4", fault)))) == is_fault


def test_swapped_frames_are_found_under_an_encoders_noise(pan: Path, tmp_path: Path) -> None:
    made = enlarged(pan, tmp_path / "made.mp4", Fault(frames=_swapped, crf=28, rotation=0))

    assert "2 frames in all" in _broken(verify(pan, made))["order"]


def test_the_worst_frame_is_shown(pan: Path, tmp_path: Path) -> None:
    made = enlarged(pan, tmp_path / "made.mp4", Fault(frames=_grey_at(3), rotation=0))

    verdict = verify(pan, made, worst=tmp_path / "worst.png")

    import cv2

    picture = cv2.imread(str(tmp_path / "worst.png"))
    assert verdict.look is not None and verdict.look.worst_frame == 3
    assert picture.shape == (64, 3 * 96, 3)
    assert np.ptp(picture[:, 96:192]) < 12  # the grey frame, as large as the source


def test_a_sample_of_frames_is_looked_at_but_all_times_are_held(pan: Path, tmp_path: Path) -> None:
    made = enlarged(pan, tmp_path / "made.mp4", Fault(frames=_drifting, rotation=0))

    verdict = verify(pan, made, sample=2)

    assert verdict.look is not None and verdict.look.frames == 2
    assert "times" in _broken(verdict)


def _converted(source: Path, target: Path, told: Tags, meant: Tags) -> Path:
    """Twice as large, its samples turned from what `told` says into what `meant` says by swscale, its tags left."""
    with av.open(str(source)) as given:
        frames = list(given.decode(given.streams.video[0]))
        base = given.streams.video[0].time_base

    def wrong(frame: av.VideoFrame) -> av.VideoFrame:
        return frame.reformat(
            width=2 * frame.width,
            height=2 * frame.height,
            format="yuv420p",
            src_colorspace={1: 1, 6: 5}[told.matrix],
            dst_colorspace={1: 1, 6: 5}[meant.matrix],
            src_color_range=told.range,
            dst_color_range=meant.range,
        )

    with av.open(str(target), "w") as out:
        video = out.add_stream("libx264", rate=25, options={"crf": "6"})
        video.width, video.height, video.pix_fmt = 2 * frames[0].width, 2 * frames[0].height, "yuv420p"
        context = video.codec_context
        video.time_base = context.time_base = base
        context.flags |= av.codec.context.Flags.frame_duration
        context.colorspace, context.color_range = told.matrix, told.range
        context.color_primaries, context.color_trc = told.primaries, told.transfer
        for frame in frames:
            made = wrong(frame)
            made.colorspace, made.color_range = told.matrix, told.range
            made.pts, made.time_base, made.duration = frame.pts, base, frame.duration
            out.mux(video.encode(made))
        out.mux(video.encode(None))
    return target
