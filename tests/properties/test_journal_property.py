"""Whatever the records and wherever a journal breaks: what is replayed is the longest part that is surely whole."""

from __future__ import annotations

import tempfile
from contextlib import closing
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from vsr.jobs.journal import Journal, Record, replay

TEXT = st.text(st.characters(codec=None, exclude_categories=[]), max_size=12)  # lone surrogates, ends of lines, NUL
PLAIN = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    PLAIN | TEXT, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3), max_leaves=6
)
RECORDS = st.lists(st.dictionaries(TEXT, VALUES, max_size=4), max_size=5)


def write(path: Path, records: list[Record]) -> None:
    with closing(Journal(path)) as journal:
        for record in records:
            journal.append(record)


@settings(max_examples=60, deadline=None)
@given(records=RECORDS, more=RECORDS, data=st.data())
def test_a_cut_keeps_the_whole_lines_before_it(records: list[Record], more: list[Record], data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "journal.jsonl")
        write(path, records)
        whole = path.read_bytes()
        cut = data.draw(st.integers(0, len(whole)))
        path.write_bytes(whole[:cut])
        kept = records[: whole.count(b"\n", 0, cut)]
        assert list(replay(path)) == list(replay(path)) == kept
        write(path, more)
        assert list(replay(path)) == [*kept, *more]


@settings(max_examples=60, deadline=None)
@given(records=RECORDS.filter(bool), rubbish=st.binary(min_size=1, max_size=40), data=st.data())
def test_what_is_overwritten_ends_what_counts(records: list[Record], rubbish: bytes, data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "journal.jsonl")
        write(path, records)
        whole = path.read_bytes()
        place = data.draw(st.integers(0, len(whole) - 1))
        harmed = whole[:place] + rubbish + whole[place + len(rubbish) :]
        same = next((n for n, (a, b) in enumerate(zip(whole, harmed, strict=False)) if a != b), len(whole))
        path.write_bytes(harmed)
        assert list(replay(path)) == records[: whole.count(b"\n", 0, same)]


@settings(max_examples=100, deadline=None)
@given(content=st.binary(max_size=200))
def test_no_content_raises(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "journal.jsonl")
        path.write_bytes(content)
        replay(path)
        write(path, [{"kind": "chunk"}])
        assert replay(path)[-1] == {"kind": "chunk"}
