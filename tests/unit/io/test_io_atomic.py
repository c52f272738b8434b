"""Nothing half-written bears its final name."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from vsr.core.errors import DiskFull, OutputError, OutputExists
from vsr.io.atomic import check_writable, free_bytes, staged, staged_folder, translate


def entries(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_name_appears_only_when_the_block_has_ended(tmp_path: Path) -> None:
    final = tmp_path / "clip.mp4"
    with staged(final, overwrite=False) as part:
        part.write_bytes(b"whole")
        assert not final.exists()
        assert (part.parent, part.suffix) == (tmp_path, ".mp4")
        assert part.name.startswith(".clip.vsr-part-")
    assert final.read_bytes() == b"whole"
    assert entries(tmp_path) == ["clip.mp4"]


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt()])
def test_an_exception_leaves_nothing_and_passes_through(tmp_path: Path, error: BaseException) -> None:
    with pytest.raises(type(error)), staged(tmp_path / "clip.mp4", overwrite=False) as part:
        part.write_bytes(b"half")
        raise error
    assert entries(tmp_path) == []


def test_an_exception_leaves_the_old_file_as_it_was(tmp_path: Path) -> None:
    final = tmp_path / "clip.mp4"
    final.write_bytes(b"old")
    with pytest.raises(RuntimeError), staged(final, overwrite=True) as part:
        part.write_bytes(b"half")
        raise RuntimeError
    assert final.read_bytes() == b"old"
    assert entries(tmp_path) == ["clip.mp4"]


def test_an_existing_file_needs_overwrite(tmp_path: Path) -> None:
    final = tmp_path / "clip.mp4"
    final.write_bytes(b"old")
    with pytest.raises(OutputExists, match=r"clip\.mp4") as caught, staged(final, overwrite=False):
        pytest.fail("the block must not run")
    assert "--overwrite" in str(caught.value.hint)
    with staged(final, overwrite=True) as part:
        part.write_bytes(b"new")
    assert final.read_bytes() == b"new"


def test_a_file_that_appears_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    final = tmp_path / "clip.mp4"
    with pytest.raises(OutputExists), staged(final, overwrite=False) as part:
        part.write_bytes(b"mine")
        final.write_bytes(b"theirs")
    assert final.read_bytes() == b"theirs"
    assert entries(tmp_path) == ["clip.mp4"]


@pytest.mark.parametrize("code", [errno.EPERM, errno.EXDEV])
def test_without_hard_links_it_is_renamed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    def refuse(*_: object) -> None:
        raise OSError(code, "no links here")

    monkeypatch.setattr(os, "link", refuse)
    with staged(tmp_path / "clip.mp4", overwrite=False) as part:
        part.write_bytes(b"whole")
    assert entries(tmp_path) == ["clip.mp4"]


def test_a_pipe_is_never_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "clip.mp4"
    os.mkfifo(pipe)
    with pytest.raises(OutputError, match="device or a pipe"), staged(pipe, overwrite=True) as part:
        part.write_bytes(b"whole")
    assert pipe.is_fifo()
    assert entries(tmp_path) == ["clip.mp4"]


def test_a_link_is_written_through(tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    link = tmp_path / "clip.mp4"
    link.symlink_to(tmp_path / "far" / "real.mp4")
    with staged(link, overwrite=True) as part:
        part.write_bytes(b"whole")
    assert link.is_symlink()
    assert entries(tmp_path / "far") == ["real.mp4"]


@pytest.mark.parametrize(
    "name", ["a" * 251 + ".mp4", "ü" * 125 + ".mp4", "🎬" * 62 + ".mp4", "x" * 255, ".mp4", "-o %d '\".mp4"]
)
def test_names_of_any_length_and_script_fit(tmp_path: Path, name: str) -> None:
    with staged(tmp_path / name, overwrite=False) as part:
        assert len(os.fsencode(part.name)) <= 255
        part.write_bytes(b"whole")
    assert entries(tmp_path) == [name]


def test_two_at_once_do_not_share_a_name(tmp_path: Path) -> None:
    with staged(tmp_path / "a.mp4", overwrite=True) as one, staged(tmp_path / "a.mp4", overwrite=True) as other:
        assert one != other
        one.touch()
        other.touch()


def test_a_block_that_writes_nothing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"clip\.mp4"), staged(tmp_path / "clip.mp4", overwrite=False):
        pass


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="none does not exist") as caught:
        check_writable(tmp_path / "none" / "clip.mp4")
    assert caught.value.exit_code == 6


def test_a_file_in_place_of_the_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="file is not a folder"):
        check_writable(tmp_path / "file" / "clip.mp4")


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs a folder that not even root can write to")
def test_a_folder_that_takes_no_file_is_refused_before_any_work() -> None:
    with pytest.raises(OutputError, match=r"clip\.mp4"):
        check_writable(Path("/proc/self/clip.mp4"))


def test_checking_leaves_nothing(tmp_path: Path) -> None:
    check_writable(tmp_path / "clip.mp4")
    assert entries(tmp_path) == []


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_has_its_own_error(code: int) -> None:
    made = translate(OSError(code, os.strerror(code)), Path("/x/clip.mp4"))
    assert type(made) is DiskFull
    assert "clip.mp4" in made.message


@pytest.mark.parametrize("code", [errno.EACCES, errno.EROFS, errno.EIO, errno.ENAMETOOLONG, errno.ENOENT])
def test_every_other_error_names_the_file(code: int) -> None:
    made = translate(OSError(code, os.strerror(code)), Path("/x/clip.mp4"))
    assert type(made) is OutputError
    assert "clip.mp4" in made.message


def test_free_space_is_that_of_the_nearest_folder(tmp_path: Path) -> None:
    stats = os.statvfs(tmp_path)
    found = free_bytes(tmp_path / "not" / "yet" / "clip.mp4")
    # Others write to the same disk while the test runs: 1 GB of slack against a free space of many.
    assert abs(found - stats.f_bavail * stats.f_frsize) < 1 << 30


def test_a_folder_appears_as_a_whole(tmp_path: Path) -> None:
    final = tmp_path / "frames"
    with staged_folder(final, overwrite=False) as part:
        (part / "1.png").write_bytes(b"1")
        assert not final.exists()
    assert entries(tmp_path) == ["frames"]
    assert entries(final) == ["1.png"]


def test_an_empty_folder_may_be_there(tmp_path: Path) -> None:
    (tmp_path / "frames").mkdir()
    with staged_folder(tmp_path / "frames", overwrite=False) as part:
        (part / "1.png").write_bytes(b"1")
    assert entries(tmp_path / "frames") == ["1.png"]


def test_a_folder_that_holds_something_needs_overwrite_and_keeps_what_is_not_ours(tmp_path: Path) -> None:
    final = tmp_path / "frames"
    final.mkdir()
    (final / "1.png").write_bytes(b"old")
    (final / "thesis.doc").write_bytes(b"precious")
    with pytest.raises(OutputExists), staged_folder(final, overwrite=False):
        pytest.fail("the block must not run")
    with staged_folder(final, overwrite=True) as part:
        (part / "1.png").write_bytes(b"new")
    assert (final / "1.png").read_bytes() == b"new"
    assert (final / "thesis.doc").read_bytes() == b"precious"
    assert entries(tmp_path) == ["frames"]


def test_an_exception_leaves_no_folder(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), staged_folder(tmp_path / "frames", overwrite=False) as part:
        (part / "1.png").write_bytes(b"1")
        raise RuntimeError
    assert entries(tmp_path) == []


def test_a_file_where_a_folder_should_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "frames").touch()
    with pytest.raises(OutputError, match="not a folder"), staged_folder(tmp_path / "frames", overwrite=True):
        pytest.fail("the block must not run")
