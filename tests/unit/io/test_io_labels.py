"""Titles, languages, tags, timecode and covers through `join`, read back with PyAV."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path

import av
import pytest

from tests.joining import Sound, joined, write_source
from tests.media import make_clip
from vsr.core.media import Span
from vsr.io.muxing.containers import plan_streams
from vsr.io.muxing.labels import language_in, needs_free_tags
from vsr.io.probe import probe

TAGS = {"title": "A film", "DIRECTOR": "Nobody", "creation_time": "2023-05-09T11:48:30.000000Z"}


def tagged(path: Path, tags: Mapping[str, str], labels: Mapping[int, Mapping[str, str]] = {}) -> Path:
    """Write 30 frames with two sounds, with these tags of the file and of its streams."""
    bare = write_source(
        path.with_name(f"bare{path.suffix}"),
        [40 * k for k in range(30)],
        Fraction(1, 1000),
        sounds=[Sound(packets=60), Sound(packets=60)],
    )
    options = {"movflags": "use_metadata_tags"} if path.suffix != ".mkv" else {}
    with av.open(str(bare)) as source, av.open(str(path), "w", container_options=options) as out:
        made = [out.add_stream_from_template(stream, opaque=True) for stream in source.streams]
        for index, stream in enumerate(made):
            stream.metadata.update(labels.get(index, {}))
        out.metadata.update(tags)
        for packet in source.demux():
            if packet.size:
                packet.stream = made[packet.stream_index]
                out.mux(packet)
    return path


def tags_of(path: Path) -> dict[str, str]:
    with av.open(str(path)) as file:
        return {name.lower(): text for name, text in file.metadata.items()}


@pytest.mark.parametrize("new", [".mkv", ".mp4", ".mov"])
def test_tags_of_any_name_stay(new: str, tmp_path: Path) -> None:
    made = joined(tagged(tmp_path / "in.mkv", TAGS), tmp_path / f"out{new}")
    found = tags_of(tmp_path / f"out{new}")
    assert {name.lower(): text for name, text in TAGS.items()}.items() <= found.items()
    assert not any("metadata" in warning for warning in made.warnings)


def test_tags_stand_where_itunes_looks_for_them_unless_one_has_no_place_there(tmp_path: Path) -> None:
    plain = {"title": "A film", "artist": "Nobody"}
    assert (needs_free_tags(plain, "mp4"), needs_free_tags(TAGS, "mp4")) == (False, True)
    joined(tagged(tmp_path / "in.mkv", plain), tmp_path / "out.mp4")
    assert b"\xa9nam" in (tmp_path / "out.mp4").read_bytes()


def test_a_container_without_tags_says_which_are_lost(tmp_path: Path) -> None:
    made = joined(tagged(tmp_path / "in.mkv", TAGS, {1: {"title": "Main"}}), tmp_path / "out.ts")
    said = " ".join(made.warnings)
    assert "ts does not hold the metadata DIRECTOR, creation_time, title" in said
    assert "ts does not hold of stream 1: its title (Main)" in said


@pytest.mark.parametrize("new", [".mkv", ".mp4", ".mov"])
def test_a_track_of_mp4_keeps_its_title(new: str, tmp_path: Path) -> None:
    """FFmpeg writes the title of a track as its name, and must be told it again."""
    labels = {1: {"title": "Main", "language": "fre"}, 2: {"title": "Kommentar", "language": "swe"}}
    first = tagged(tmp_path / "in.mkv", {}, labels)
    joined(first, tmp_path / "between.mp4")
    made = joined(tmp_path / "between.mp4", tmp_path / f"out{new}")
    assert [stream.title for stream in probe(tmp_path / f"out{new}").streams] == ["Main", "Kommentar"]
    assert not any("stream" in warning for warning in made.warnings)
    spoken = [stream.language for stream in probe(tmp_path / f"out{new}").streams]
    assert spoken == (["fra", "sve"] if new == ".mov" else ["fre", "swe"])


def test_mov_is_given_the_code_it_knows() -> None:
    assert (language_in("mov", "fre"), language_in("mov", "deu"), language_in("mov", "tlh")) == ("fra", "ger", "tlh")
    assert language_in("mp4", "fre") == "fre"


@pytest.mark.parametrize(("old", "new"), [(".mkv", ".mp4"), (".mkv", ".mkv"), (".mov", ".mov"), (".mov", ".mkv")])
def test_timecode_stays_and_moves_with_the_first_frame(old: str, new: str, tmp_path: Path) -> None:
    source = tagged(tmp_path / f"in{old}", {"timecode": "01:00:00:00"})
    info = probe(source)
    kept = [plan for plan in plan_streams(info, new.removeprefix(".")) if plan.is_loss]
    assert kept == []  # the timecode track of mov is written anew from what it says
    joined(source, tmp_path / f"whole{new}")
    start = info.packets.pts[10]
    joined(source, tmp_path / f"part{new}", span=Span(start=start))
    for name, wanted in (("whole", "01:00:00:00"), ("part", "01:00:00:10")):
        with av.open(str(tmp_path / f"{name}{new}")) as file:
            said = {
                key.lower(): text
                for tags in (file.metadata, file.streams.video[0].metadata)
                for key, text in tags.items()
            }
        assert said["timecode"] == wanted


def test_webm_tells_the_timecode_of_a_mov(tmp_path: Path) -> None:
    source = tagged(tmp_path / "in.mov", {"timecode": "01:00:00:00"})
    assert [plan for plan in plan_streams(probe(source), "webm") if plan.is_loss and plan.codec == "tmcd"] == []
    joined(source, tmp_path / "out.webm", codec="vp9")
    with av.open(str(tmp_path / "out.webm")) as file:
        said = dict(file.metadata) | dict(file.streams.video[0].metadata)
    assert "01:00:00:00" in said.values()


@pytest.mark.parametrize("new", [".mp4", ".mkv"])
def test_a_cover_that_is_stream_0_is_a_cover_still(new: str, tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mp4", cover="first", audio=1, frames=9)
    info = probe(source)
    assert info.video.index != 0 and info.streams[0].is_cover
    joined(source, tmp_path / f"out{new}")
    with av.open(str(source)) as before, av.open(str(tmp_path / f"out{new}")) as after:
        pictures = [
            next(bytes(packet) for packet in file.demux(stream) if packet.size)
            for file in (before, after)
            for stream in file.streams.video
            if stream.disposition & av.stream.Disposition.attached_pic
        ]
    assert len(pictures) == 2 and pictures[0] == pictures[1]
    assert len(probe(tmp_path / f"out{new}").packets.pts) == 9
