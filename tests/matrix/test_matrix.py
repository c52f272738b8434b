"""Every case of the matrix: nothing but the resolution changes, but for what stands in the case's list of losses."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from tests.matrix.case import Case
from tests.matrix.cases import CASES
from tests.matrix.make import NoProgram
from tests.matrix.reading import shrunk
from tests.matrix.trial import note, tried
from tests.media import picture, planes_of
from vsr.core.frame import pixel_format
from vsr.jobs.run import upscale


@pytest.mark.parametrize("case", CASES, ids=[re.sub(r"\W+", "_", case.name) for case in CASES])
def test_nothing_but_the_resolution_changes(case: Case, tmp_path: Path) -> None:
    try:
        outcome = tried(case, tmp_path)
    except NoProgram:
        pytest.skip("the ffmpeg program is not there")
    note(outcome)
    assert outcome.faults == []


@pytest.mark.parametrize("order", ["tff", "bff"])
def test_fields_come_out_in_the_order_of_their_time(order: str, tmp_path: Path) -> None:
    """Of fields woven from 50 pictures a second each result shows its own: every one, or with `frame` every other."""
    case = next(case for case in CASES if case.name == f"interlaced {order}, a frame a field")
    try:
        source = case.make(tmp_path)
    except NoProgram:
        pytest.skip("the ffmpeg program is not there")
    form = pixel_format("yuv420p")
    true = [picture(number, form, 48, 64)[0][32:].astype(float) for number in range(12)]
    for how, want in (("field", list(range(12))), ("frame", list(range(0, 12, 2)))):
        result = tmp_path / f"{how}.mp4"
        upscale(source, result, settings={"model": "nearest", "scale": 2.0, "deinterlace": how})
        shown = [shrunk(planes[0].astype(float), (32, 48)) for _, planes in planes_of(result)]
        assert [int(np.argmin([np.abs(a - b)[4:-4].mean() for b in true])) for a in shown] == want


def test_the_cases_have_names_of_their_own() -> None:
    assert len({case.name for case in CASES}) == len(CASES) >= 60
