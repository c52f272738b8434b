"""Long jobs and uneven ones: memory, handles, threads and queues stay as they are."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.conftest import MakeScene, Tell
from tests.faults.soak import HOUR, SHARE_PER_TENFOLD, soak


@pytest.mark.parametrize(
    "frames", [pytest.param(2500, id="100 s"), pytest.param(HOUR, id="hour", marks=pytest.mark.slow)]
)
def test_nothing_grows_with_the_length(frames: int, tmp_path: Path) -> None:
    soaked = soak(tmp_path, frames, chunk=min(250, frames // 25))
    assert len(soaked.samples) > 3
    # A short job's slope is that of the allocator's last steps: what it has at the end tells as much.
    grown = soaked.at(0.9) / soaked.at(0.3) - 1
    assert grown < SHARE_PER_TENFOLD, str(soaked)
    assert [fault for fault in soaked.faults() if frames == HOUR or "memory" not in fault] == [], str(soaked)


@pytest.mark.parametrize("lane", ["decode", "encode"])
def test_queues_stay_bounded(lane: str, make_scene: MakeScene, tell: Tell) -> None:
    scene = make_scene(frames=120, words=("-m", "nearest", "--codec", "ffv1", "--chunk-frames", 60))
    ended = scene.run(("slow_lane", {"lane": lane, "seconds": 0.005}))
    scene.is_right(ended)
    most = ended.calls
    assert most["bytes"] <= most["limit_bytes"] + most["largest"]
    assert most["items"] <= most["limit"] == 8
    if lane == "encode":
        assert most["items"] == 8, "the lanes before a slow one run as far ahead as they may"
    tell(f"the {'decoder' if lane == 'decode' else 'encoder'} is slow", lost=scene.lost(),
         message=f"at most {most['items']} items wait in a queue")  # fmt: skip
