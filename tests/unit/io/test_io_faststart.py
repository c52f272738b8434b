"""The index of MP4 and QuickTime first, so that a player starts before all is loaded."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from tests.media import make_clip
from tests.unit.io.test_io_choices import make_spec, write
from vsr.io.muxing.mux import join
from vsr.io.probe import probe


def boxes(path: Path) -> list[bytes]:
    """Give the names of a file's outermost boxes in order (ISO/IEC 14496-12 sec. 4.2)."""
    data, at, names = path.read_bytes(), 0, []
    while at < len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        names.append(data[at + 4 : at + 8])
        at += int.from_bytes(data[at + 8 : at + 16], "big") if size == 1 else size or len(data)
    return names


def joined(folder: Path, container: str, *, faststart: bool | None) -> Path:
    spec = make_spec("h264")
    source = probe(make_clip(folder / "source.mp4", frames=4, audio=1))
    target = folder / f"made.{container}"
    choice = {} if faststart is None else {"faststart": faststart}
    join(
        [write(folder / "segment", spec, frames=4)],
        target,
        source=source,
        spec=spec,
        container=container,
        streams=(),
        pts=[0, 1, 2, 3],
        durations=[1, 1, 1, 1],
        **choice,
    )
    return target


@pytest.mark.parametrize("container", ["mp4", "mov"])
def test_the_index_comes_before_the_pictures_unless_it_is_told_not_to(container: str, tmp_path: Path) -> None:
    for faststart, order in ((None, (b"moov", b"mdat")), (True, (b"moov", b"mdat")), (False, (b"mdat", b"moov"))):
        found = [name for name in boxes(joined(tmp_path, container, faststart=faststart)) if name in order]
        assert tuple(found) == order
        assert all(a != b for a, b in pairwise(found))
