"""What was asked for beside a resolution, and what only some files have: held where it is right, found where not."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from tests import scanlines
from tests.enlarged import Fault, enlarged, moving_clip, source_clip
from tests.media import make_images
from vsr.cli import main
from vsr.core.media import StreamPlan
from vsr.io.images.embedded import embed
from vsr.io.muxing.containers import rule_of
from vsr.io.witness import nal
from vsr.io.witness.reading import StreamFacts, Trail, read
from vsr.jobs.verify.comparison import lift_of
from vsr.jobs.verify.entry import verify
from vsr.jobs.verify.expected import Expected, Verdict
from vsr.jobs.verify.labels import says_the_same


def _broken(verdict: Verdict) -> set[str]:
    return {finding.check for finding in verdict.of("broken")}


@pytest.mark.parametrize(
    ("asked", "wrong"),
    [(["--autorotate"], {"shape", "turn", "pictures"}), (["--square-pixels"], set()), (["--map", "1"], {"stream 2"})],
    ids=["autorotate", "square pixels", "map"],
)
def test_what_was_asked_for_holds_and_is_a_fault_where_nobody_asked(
    tmp_path: Path, asked: list[str], wrong: set[str]
) -> None:
    source, made = source_clip(tmp_path / "source.mp4"), tmp_path / "made.mp4"
    assert main(["upscale", str(source), "-o", str(made), "-m", "nearest", "-s", "2", "-q", *asked]) == 0

    assert main(["verify", str(source), str(made), *asked]) == 0

    found = _broken(verify(source, made))
    assert all(any(check.startswith(word) for check in found) for word in wrong)
    assert bool(found) == bool(wrong)  # the source's pixels are square already: nothing was to be done to them


def test_pixels_that_were_to_be_square_and_are_not_are_found(tmp_path: Path) -> None:
    source = source_clip(tmp_path / "source.mp4")

    verdict = verify(source, enlarged(source, tmp_path / "made.mp4"), expected=Expected(has_square_pixels=True))

    assert _broken(verdict) == {"shape"}


def test_every_field_as_a_frame_is_held_in_its_order(tmp_path: Path) -> None:
    def scene(time: float) -> np.ndarray:
        rows, columns = np.mgrid[: scanlines.HEIGHT, : scanlines.WIDTH]
        return 128 + 60 * np.sin((columns - 3 * time) / 6) * np.cos(rows / 9)

    frames = scanlines.woven(scene, 6, first=scanlines.TOP)
    source, made = scanlines.write(tmp_path / "source.mkv", frames, flag="tff", crf="4"), tmp_path / "made.mkv"
    asked = ["--deinterlace", "field"]
    assert main(["upscale", str(source), "-o", str(made), "-m", "nearest", "-s", "2", "-q", *asked]) == 0

    right = Expected(fields=2, is_deinterlaced=True)
    assert not _broken(verify(source, made, expected=right))
    assert _broken(verify(source, made, expected=replace(right, field_order="bff"))) & {"pictures", "colours", "order"}
    assert "frames" in _broken(verify(source, made))


@pytest.mark.parametrize(("change", "found"), [(0, False), (24, True)])
def test_alpha_that_differs_is_found(tmp_path: Path, change: int, found: bool) -> None:
    import cv2

    make_images(tmp_path / "in", count=1, kind="gbrap")
    (tmp_path / "out").mkdir()
    picture = cv2.imread(str(tmp_path / "in" / "00001.png"), cv2.IMREAD_UNCHANGED).repeat(2, 0).repeat(2, 1)
    picture[..., 3] = np.where(picture[..., 3] > 127, picture[..., 3] - change, picture[..., 3] + change)
    cv2.imwrite(str(tmp_path / "out" / "00001.png"), picture)

    assert _broken(verify(tmp_path / "in", tmp_path / "out")) == ({"alpha"} if found else set())


@pytest.mark.parametrize(("kept", "state"), [("same", "same"), ("another", "broken"), ("none", "broken")])
def test_profile_and_exif_of_an_image_are_held(tmp_path: Path, kept: str, state: str) -> None:
    (small,) = make_images(tmp_path / "in", count=1)
    (large,) = make_images(tmp_path / "out", count=1, width=128, height=96)
    small.write_bytes(embed("png", small.read_bytes(), icc=_profile(b"one"), exif=_exif(b"maker")))
    icc, exif = {"same": (_profile(b"one"), _exif(b"maker")), "another": (_profile(b"two"), _exif(b"other"))}.get(
        kept, (b"", b"")
    )
    large.write_bytes(embed("png", large.read_bytes(), icc=icc, exif=exif))

    told = {finding.check: finding.state for finding in verify(small, large).findings}

    assert (told["colour profile"], told["EXIF"]) == (state, state)


def test_a_title_of_a_track_in_mp4_is_held(tmp_path: Path) -> None:
    source, made = tmp_path / "source.mp4", tmp_path / "made.mp4"
    _titled(source_clip(tmp_path / "plain.mp4"), source, "Commentary")
    enlarged(source, made)

    assert not _broken(verify(source, made))

    _titled(made, tmp_path / "bare.mp4", "")
    assert any(check.endswith("title") for check in _broken(verify(source, tmp_path / "bare.mp4")))


def test_one_small_lossy_frame_holds_and_half_a_code_in_it_is_found(tmp_path: Path) -> None:
    """A picture of few blocks: an encoder's own errors do not average out, yet cutting off moves all of them alike."""
    source = moving_clip(tmp_path / "source.mp4", width=48, height=32, frames=1)
    honest = enlarged(source, tmp_path / "honest.mp4", Fault(rotation=0, crf=24))
    fault = Fault(
        rotation=0, frames=lambda fs: [(t, [p - (np.indices(p.shape).sum(0) % 2).astype(np.uint8) for p in ps])
                                       for t, ps in fs]
    )  # fmt: skip

    assert not _broken(verify(source, honest))
    assert _broken(verify(source, enlarged(source, tmp_path / "cut.mp4", fault))) == {"colours"}


@pytest.mark.parametrize(
    ("container", "first", "action", "lift"),
    [
        ("mkv", Fraction(-2, 5), "drop", Fraction(2, 5)),  # no container shows a picture before zero
        ("mp4", Fraction(-2, 5), "drop", Fraction(2, 5)),
        ("mp4", Fraction(0), "copy", Fraction(0)),
        ("ts", Fraction(0), "copy", Fraction(1, 50)),
        ("ts", Fraction(0), "convert", Fraction(1, 50) + Fraction(1024, 48000)),
    ],
)
def test_everything_is_later_by_what_stands_before_zero(
    tmp_path: Path, container: str, first: Fraction, action: str, lift: Fraction
) -> None:
    plain = read(moving_clip(tmp_path / "source.mp4", frames=1))
    trail = Trail(time_base=Fraction(1, 1000), times=(-20,), durations=(20,), digests=(b"",))
    sound = StreamFacts(index=1, kind="audio", codec="pcm_s16le", trail=trail, sample_rate=48000)
    facts = replace(plain, picture=replace(plain.picture, first=first), streams=(sound,))
    plan = StreamPlan(index=1, action=action, codec="aac", reason="" if action == "copy" else "no PCM here")

    assert lift_of(facts, (plan,), rule_of(container), None) == lift


def test_places_may_be_written_with_more_digits_but_not_moved() -> None:
    assert says_the_same("location", "+40.680-074.500/", "+40.6800-074.5000/")
    assert not says_the_same("location", "+40.680-074.500/", "+40.6800+074.5000/")
    assert not says_the_same("title", "1.0", "1.00")


@pytest.mark.parametrize(("codec", "header"), [("h264", b"\1\0\0\0\xff"), ("hevc", b"\1" + bytes(20) + b"\3")])
def test_the_framing_of_copied_pictures_does_not_count_but_their_bytes_do(codec: str, header: bytes) -> None:
    parameters, picture = {"h264": (b"\x67set", b"\x65pixels"), "hevc": (b"\x42\1set", b"\x26\1pixels")}[codec]

    def framed(picture: bytes) -> bytes:
        return len(picture).to_bytes(4, "big") + picture

    def started(*units: bytes) -> bytes:
        return b"".join(b"\0\0\0\1" + unit for unit in units)

    with_lengths = nal.pictures(framed(picture), codec, header)
    assert nal.pictures(started(parameters, picture), codec, b"") == with_lengths
    assert nal.pictures(started(parameters, picture + b"!"), codec, b"") != with_lengths
    assert nal.pictures(b"no framing", codec, header) == b"no framing"


def _profile(words: bytes) -> bytes:
    """ICC.1:2010 sec. 7.2: a header of 128 bytes with its size and `acsp`."""
    data = bytearray(132) + words
    data[:4], data[16:20], data[36:40] = len(data).to_bytes(4, "big"), b"RGB ", b"acsp"
    return bytes(data)


def _exif(maker: bytes) -> bytes:
    """A directory with the maker (271) alone."""
    value = maker + b"\0"
    entry = (271).to_bytes(2, "big") + (2).to_bytes(2, "big") + len(value).to_bytes(4, "big") + (26).to_bytes(4, "big")
    return b"MM\0*" + (8).to_bytes(4, "big") + (1).to_bytes(2, "big") + entry + bytes(4) + value


def _titled(source: Path, target: Path, title: str) -> None:
    with av.open(str(source)) as given, av.open(str(target), "w") as out:
        kept = [stream for stream in given.streams if stream.type != "data"]
        routes = {stream.index: out.add_stream_from_template(stream, opaque=True) for stream in kept}
        for stream in kept:
            names = {"language": stream.metadata.get("language", "und")}
            routes[stream.index].metadata.update(names | ({"title": title} if stream.type == "audio" else {}))
            routes[stream.index].disposition = stream.disposition
        out.metadata.update({key: value for key, value in given.metadata.items() if key in ("title", "comment")})
        out.set_chapters(given.chapters())
        for packet in given.demux(kept):
            if packet.size:
                packet.stream = routes[packet.stream_index]
                out.mux(packet)
