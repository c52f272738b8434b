"""Which files of a folder are sources."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from vsr.core.errors import InputMissing, UsageError
from vsr.jobs.folder.listing import VIDEO_SUFFIXES, read_folder


def fill(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode("utf-8", "surrogateescape"))
    return folder


def names(folder: Path, **how: object) -> list[str]:
    return [found.name for found in read_folder(folder, **how).files]  # type: ignore[arg-type]


def test_videos_and_images_of_the_whole_tree_in_natural_order(tmp_path: Path) -> None:
    fill(tmp_path, "b10.mp4", "b2.MKV", "deep/er/c.png", "a.txt", "deep/notes.nfo", "README")
    listing = read_folder(tmp_path)
    assert [found.name for found in listing.files] == ["b2.MKV", "b10.mp4", "deep/er/c.png"]
    assert listing.others == {".txt": 1, ".nfo": 1, "": 1}
    assert names(tmp_path, is_recursive=False) == ["b2.MKV", "b10.mp4"]


def test_what_is_found_is_told_as_it_is(tmp_path: Path) -> None:
    fill(tmp_path, "a.mp4")
    (found,) = read_folder(tmp_path).files
    seen = (tmp_path / "a.mp4").stat()
    assert (found.path, found.size, found.mtime_ns) == (tmp_path / "a.mp4", seen.st_size, seen.st_mtime_ns)


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ({"include": ["*.mkv"]}, ["b.mkv", "film/c.mkv"]),
        ({"include": ["film/*"]}, ["film/a.mp4", "film/c.mkv", "film/extra/d.mp4"]),
        ({"include": ["*.mkv", "a.*"]}, ["a.mp4", "b.mkv", "film/a.mp4", "film/c.mkv"]),
        ({"exclude": ["film"]}, ["a.mp4", "b.mkv"]),
        ({"exclude": ["film/extra", "*.mkv"]}, ["a.mp4", "film/a.mp4"]),
        ({"include": ["film/*"], "exclude": ["*.mp4"]}, ["film/c.mkv"]),
        ({"include": ["*.dat"]}, ["odd.dat"]),
    ],
)
def test_globs(how: dict[str, list[str]], expected: list[str], tmp_path: Path) -> None:
    fill(tmp_path, "a.mp4", "b.mkv", "film/a.mp4", "film/c.mkv", "film/extra/d.mp4", "odd.dat", "x.txt")
    assert names(tmp_path, **how) == expected


def test_hidden_and_half_made_files_are_never_sources(tmp_path: Path) -> None:
    fill(
        tmp_path,
        "a.mp4",
        ".hidden.mp4",
        ".git/b.mp4",
        ".a.mp4.vsr-work/000000.nut",
        ".a.vsr-part-1f2e3d4c.mp4",
        ".vsr-claims/x.mp4",
    )
    assert names(tmp_path) == ["a.mp4"]


def test_the_destination_inside_the_source_is_no_source(tmp_path: Path) -> None:
    fill(tmp_path, "a.mp4", "out/a.mp4", "sub/b.mp4")
    (tmp_path / "alias").symlink_to(tmp_path / "out")
    assert names(tmp_path, never=[tmp_path / "out"]) == ["a.mp4", "sub/b.mp4"]
    assert names(tmp_path, never=[tmp_path / "absent"]) == ["a.mp4", "out/a.mp4", "sub/b.mp4"]


def test_links_are_followed_and_what_they_lead_to_is_taken_once(tmp_path: Path) -> None:
    fill(tmp_path / "src", "a.mp4", "sub/b.mp4")
    fill(tmp_path / "elsewhere", "c.mp4")
    (tmp_path / "src" / "0-same.mp4").symlink_to("a.mp4")
    (tmp_path / "src" / "far").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "src" / "far-again").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "src" / "far.mp4").symlink_to(tmp_path / "elsewhere" / "c.mp4")
    os.link(tmp_path / "src" / "a.mp4", tmp_path / "src" / "hard.mp4")
    found = names(tmp_path / "src")
    assert found == ["a.mp4", "far/c.mp4", "hard.mp4", "sub/b.mp4"]


def test_loops_and_links_that_lead_nowhere_are_passed_over(tmp_path: Path) -> None:
    fill(tmp_path, "sub/a.mp4")
    (tmp_path / "sub" / "up").symlink_to(tmp_path)
    (tmp_path / "sub" / "self.mp4").symlink_to("self.mp4")
    (tmp_path / "gone.mp4").symlink_to("nothing.mp4")
    listing = read_folder(tmp_path)
    assert [found.name for found in listing.files] == ["sub/a.mp4"]
    assert len(listing.closed) == 2


def test_pipes_and_folders_with_a_videos_name_are_no_sources(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    fill(tmp_path, "folder.mp4/a.mkv")
    assert names(tmp_path) == ["folder.mp4/a.mkv"]


@pytest.mark.parametrize(
    "name", ["filme \N{CLAPPER BOARD}.mp4", "it's.mp4", "100%d.mp4", "a\nb.mp4", "-i.mp4", "[x].mp4"]
)
def test_odd_names(name: str, tmp_path: Path) -> None:
    fill(tmp_path, name)
    assert names(tmp_path) == [name]
    assert names(tmp_path, include=["*.mp4"]) == [name]


def test_a_name_in_no_encoding(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9.mp4")
    fill(tmp_path, name)
    assert names(tmp_path) == [name]


def test_ten_thousand_files_take_no_time(tmp_path: Path) -> None:
    for number in range(100):
        (tmp_path / f"{number:02d}").mkdir()
        for other in range(100):
            os.close(os.open(tmp_path / f"{number:02d}" / f"{other}.png", os.O_CREAT | os.O_WRONLY))
    began = time.process_time()
    assert len(read_folder(tmp_path).files) == 10_000
    assert time.process_time() - began < 2.0  # 0.25 s on an idle machine


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(InputMissing, match="does not exist"):
        read_folder(tmp_path / "absent")
    fill(tmp_path, "a.mp4")
    with pytest.raises(UsageError, match=r"a\.mp4 is no folder"):
        read_folder(tmp_path / "a.mp4")


def test_what_the_containers_are_called_is_known() -> None:
    assert {".mp4", ".mkv", ".mov", ".webm", ".ts", ".avi", ".mpg", ".wmv"} <= VIDEO_SUFFIXES
