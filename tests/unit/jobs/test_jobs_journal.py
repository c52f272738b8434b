"""A record that was appended is there; one that was not is not; whatever becomes of the file in between."""

from __future__ import annotations

import binascii
import errno
import json
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import count
from pathlib import Path

import pytest

from vsr.core.errors import DiskFull, JobError, OutputError
from vsr.jobs.journal import Journal, Record, replay

RECORDS: list[Record] = [
    {"kind": "begun", "facts": {"source": "a'b\n\t%d \udcff é \U0001f600", "scale": "2"}, "device": "cpu"},
    {"kind": "chunk", "index": 0, "pts": [-3, 0, 1 << 40], "wall_s": 0.25, "warnings": []},
    {"kind": "chunk", "index": 1, "pts": [], "worker": None, "is_last": True},
]
MORE: Record = {"kind": "chunk", "index": 2}
CALLS = ("open", "write", "fsync", "ftruncate", "fstat", "replace")


def write(path: Path, *records: Record) -> None:
    with closing(Journal(path)) as journal:
        for record in records:
            journal.append(record)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.jsonl"


def test_what_is_appended_is_replayed_by_others_and_by_the_next_writer(path: Path) -> None:
    assert replay(path) == ()
    write(path, *RECORDS[:1])
    write(path, *RECORDS[1:])
    assert list(replay(path)) == RECORDS
    with closing(Journal(path)) as journal:
        assert list(journal.records) == RECORDS
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_line_is_a_checksum_and_json(path: Path) -> None:
    write(path, *RECORDS)
    lines = path.read_bytes().splitlines(keepends=True)
    assert [json.loads(line[9:]) for line in lines] == RECORDS
    assert all(line[:9].decode() == f"{binascii.crc32(line[9:-1]):08x} " for line in lines)
    assert all(line.isascii() and line.endswith(b"}\n") for line in lines)


def test_cut_at_every_byte_it_gives_the_whole_lines_before_the_cut_and_goes_on_from_there(path: Path) -> None:
    write(path, *RECORDS)
    data = path.read_bytes()
    for cut in range(len(data) + 1):
        path.write_bytes(data[:cut])
        before = RECORDS[: data[:cut].count(b"\n")]
        assert list(replay(path)) == before
        assert path.read_bytes() == data[:cut]  # reading changes nothing
        write(path, MORE)
        assert list(replay(path)) == [*before, MORE]


def test_one_changed_byte_loses_its_line_and_what_follows_and_no_more(path: Path) -> None:
    write(path, *RECORDS)
    data = path.read_bytes()
    for place in range(len(data)):
        for mask in (0x01, 0x20, 0x80, 0xFF, data[place] ^ ord("\n")):
            if mask:
                path.write_bytes(data[:place] + bytes([data[place] ^ mask]) + data[place + 1 :])
                assert list(replay(path)) == RECORDS[: data[:place].count(b"\n")]


@pytest.mark.parametrize(
    "rubbish",
    [b"\0" * 4096, b"\n", b"00000000 \n", b"ffffffff {}\n", b"\xff\xfe" * 50, b"[" * 100_000 + b"\n"],
)
def test_rubbish_after_the_last_line_is_passed_over_and_cut_off(path: Path, rubbish: bytes) -> None:
    write(path, *RECORDS)
    data = path.read_bytes()
    path.write_bytes(data + rubbish)
    assert list(replay(path)) == RECORDS
    write(path)
    assert path.read_bytes() == data


@pytest.mark.parametrize("body", [b"[1]", b"7", b"null", b"", b"{", b"[" * 100_000, b'"\xff"', b"9" * 5000])
def test_a_line_with_the_right_checksum_and_no_record_ends_what_counts(path: Path, body: bytes) -> None:
    write(path, *RECORDS)
    with path.open("ab") as file:
        file.write(f"{binascii.crc32(body):08x} ".encode() + body + b"\n")
    write_after = path.read_bytes()
    assert list(replay(path)) == RECORDS
    assert path.read_bytes() == write_after


def test_a_journal_that_cannot_be_read_says_so(tmp_path: Path) -> None:
    with pytest.raises(JobError, match="cannot be read") as caught:
        replay(tmp_path)
    assert str(tmp_path) in str(caught.value)
    with pytest.raises(OutputError, match="cannot be written"):
        Journal(tmp_path)


def test_a_symbolic_link_is_not_followed(tmp_path: Path, path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("mine")
    path.symlink_to(precious)
    with pytest.raises(OutputError):
        Journal(path)
    assert precious.read_text() == "mine"


def failing(patch: pytest.MonkeyPatch, number: int, code: int, *, for_ever: bool = False) -> Callable[[], int]:
    """Let the `number`-th call of those a journal makes fail (from 1), once or from then on; gives the calls so far."""
    calls = count(1)
    seen = [0]

    def wrapped(name: str) -> Callable[..., object]:
        real = getattr(os, name)

        def call(*args: object, **kwargs: object) -> object:
            seen[0] = next(calls)
            if seen[0] == number or (for_ever and seen[0] > number):
                raise OSError(code, os.strerror(code))
            return real(*args, **kwargs)

        return call

    for name in CALLS:
        patch.setattr(os, name, wrapped(name))
    return lambda: seen[0]


def attempts(path: Path) -> Iterator[tuple[Record, OutputError | None]]:
    """Try to open and to append, and say of each record what became of it."""
    try:
        journal = Journal(path)
    except OutputError as error:
        yield RECORDS[2], error
        return
    with closing(journal):
        for record in (RECORDS[2], MORE):
            try:
                journal.append(record)
            except OutputError as error:
                yield record, error
            else:
                yield record, None


@pytest.mark.parametrize("torn", [False, True])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
def test_whichever_call_fails_there_is_no_false_success_and_no_false_failure(
    path: Path, monkeypatch: pytest.MonkeyPatch, code: int, torn: bool
) -> None:
    reached = 0
    for number in count(1):
        path.unlink(missing_ok=True)
        write(path, *RECORDS[:2])
        if torn:
            with path.open("ab") as file:
                file.write(b"01234567 {to")
        with monkeypatch.context() as patch:
            calls = failing(patch, number, code)
            outcomes = list(attempts(path))
            reached = calls()
        errors = [error for _, error in outcomes if error is not None]
        assert all(type(error) is (DiskFull if code == errno.ENOSPC else OutputError) for error in errors)
        assert all(str(path) in str(error) for error in errors)
        assert list(replay(path)) == [*RECORDS[:2], *(record for record, error in outcomes if error is None)]
        if reached < number:
            assert not errors
            break
        write(path, {"kind": "later"})
        assert replay(path)[-1] == {"kind": "later"}
    assert reached >= (9 if torn else 8)  # open, fstat, (ftruncate,) fsync, open, fsync; write, fsync; write, fsync


def test_when_everything_fails_from_some_call_on_what_was_promised_is_there(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(1, 10):
        path.unlink(missing_ok=True)
        write(path, *RECORDS[:2])
        with monkeypatch.context() as patch:
            failing(patch, number, errno.EIO, for_ever=True)
            outcomes = list(attempts(path))
        promised = [*RECORDS[:2], *(record for record, error in outcomes if error is None)]
        there = list(replay(path))
        assert there[: len(promised)] == promised
        # The file can hold one more: it was written whole, could not be synced, and could not be taken back.
        assert there[len(promised) :] in ([], [RECORDS[2]], [MORE])


def test_a_disk_that_has_room_again_takes_the_next_record_and_not_the_failed_one(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(Journal(path)) as journal:
        journal.append(RECORDS[0])
        with monkeypatch.context() as patch:
            failing(patch, 2, errno.EIO, for_ever=True)  # written, but neither synced nor taken back
            with pytest.raises(OutputError):
                journal.append(RECORDS[1])
        assert list(replay(path)) == RECORDS[:2]
        journal.append(RECORDS[2])
        assert list(replay(path)) == [RECORDS[0], RECORDS[2]]


def test_a_write_that_takes_a_part_is_completed(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.write
    monkeypatch.setattr(os, "write", lambda file, data: real(file, data[:7]))
    write(path, *RECORDS)
    assert list(replay(path)) == RECORDS


def test_a_write_that_takes_a_part_and_then_no_more_is_undone(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.write
    write(path, RECORDS[0])
    size = path.stat().st_size
    with closing(Journal(path)) as journal:
        for room in range(40):
            left = [room]

            def partial(file: int, data: bytes, left: list[int] = left) -> int:
                if not left[0]:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                done = real(file, data[: left[0]])
                left[0] -= done
                return done

            with monkeypatch.context() as patch:
                patch.setattr(os, "write", partial)
                with pytest.raises(DiskFull, match="no space left"):
                    journal.append(RECORDS[1])
            assert path.stat().st_size == size
        journal.append(RECORDS[2])
    assert list(replay(path)) == [RECORDS[0], RECORDS[2]]


def test_an_interrupt_between_write_and_sync_leaves_no_half_record(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.write

    def interrupted(file: int, data: bytes) -> int:
        real(file, data[:11])
        raise KeyboardInterrupt

    with closing(Journal(path)) as journal:
        journal.append(RECORDS[0])
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", interrupted)
            with pytest.raises(KeyboardInterrupt):
                journal.append(RECORDS[1])
        journal.append(RECORDS[2])
    assert list(replay(path)) == [RECORDS[0], RECORDS[2]]


@pytest.mark.parametrize("is_moved", [False, True])
def test_a_journal_whose_folder_vanished_takes_nothing(tmp_path: Path, is_moved: bool) -> None:
    folder = tmp_path / "work"
    folder.mkdir()
    path = folder / "journal.jsonl"
    with closing(Journal(path)) as journal:
        journal.append(RECORDS[0])
        if is_moved:
            folder.rename(tmp_path / "elsewhere")
        else:
            path.unlink()
            folder.rmdir()
        with pytest.raises(OutputError, match=f"{folder} does not exist"):
            journal.append(RECORDS[1])


def test_what_is_no_json_is_refused_before_anything_is_written(path: Path) -> None:
    with closing(Journal(path)) as journal:
        journal.append(RECORDS[0])
        with pytest.raises(ValueError, match="JSON"):
            journal.append({"kind": "chunk", "wall_s": float("nan")})
    assert list(replay(path)) == RECORDS[:1]


def test_closing_twice_is_closing(path: Path) -> None:
    journal = Journal(path)
    journal.close()
    other = os.open(path, os.O_RDONLY)  # very likely the number that was just given back
    journal.close()
    os.fstat(other)
    os.close(other)


WRITER = """
import resource, sys
from pathlib import Path
from vsr.core.errors import OutputError
from vsr.jobs.journal import Journal
limit = int(sys.argv[2])
if limit:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
journal = Journal(Path(sys.argv[1]))
number = 0
try:
    while True:
        journal.append({"kind": "chunk", "index": number})
        number += 1
        print(number, flush=True)
except OutputError as error:
    print(error.message, file=sys.stderr)
"""


def writer(path: Path, limit: int) -> subprocess.Popen[str]:
    words = [sys.executable, "-c", WRITER, str(path), str(limit)]
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_a_file_that_may_grow_no_more_holds_what_was_promised(path: Path) -> None:
    """A real limit: the last line meets a short write, then an error."""
    with writer(path, limit=1000) as process:
        said, complaint = process.communicate(timeout=30)
    promised = len(said.split())
    assert promised > 20
    assert [record["index"] for record in replay(path)] == list(range(promised))
    assert complaint == f"{path} cannot be written: File too large\n"


def test_a_writer_that_is_killed_leaves_what_it_promised(path: Path) -> None:
    with writer(path, limit=0) as process:
        assert process.stdout is not None
        for _ in range(20):
            process.stdout.readline()
        process.send_signal(signal.SIGKILL)
        promised = 20 + len(process.stdout.read().splitlines())
    there = [record["index"] for record in replay(path)]
    assert there == list(range(len(there)))
    assert promised <= len(there) <= promised + 1
    write(path, MORE)
    assert len(replay(path)) == len(there) + 1
