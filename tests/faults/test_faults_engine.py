"""Networks that run out of memory, or give infinities, NaN or black pictures: nothing dropped, the same pictures."""

from __future__ import annotations

import pytest

from tests.faults.conftest import CHUNK, FRAMES, MakeScene, Tell

TILED = ("-m", "bicubic", "--codec", "ffv1", "--chunk-frames", CHUNK, "--batch", 3)


@pytest.mark.parametrize(
    "frames", [pytest.param((0, 5, 22), id="some"), pytest.param(range(FRAMES), id="every", marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("limit", [pytest.param(64 * 48, id="batch"), pytest.param(40 * 48, id="tile")])
def test_memory_runs_out_at_any_frame(frames: range, limit: int, make_scene: MakeScene, tell: Tell) -> None:
    """The whole batch is run again in smaller parts; its bytes are those of a run in small parts from the start."""
    scene = make_scene(words=TILED)
    small = scene.run(more=("--batch", 1, "--tile", 32))
    assert small.code == 0, small.err
    assert scene.lost() == 0, "tiles of this engine are exact"
    for frame in frames:
        scene.fresh()
        ended = scene.run(("little_memory", {"frame": frame, "limit": limit}))
        scene.is_right(ended)
        is_alone = limit == 64 * 48 and frame % CHUNK == CHUNK - 1  # the batches of a chunk are of 3 frames and 1
        assert is_alone or "memory ran out" in ended.err
        said = [line.removeprefix("warning: ") for line in ended.err.splitlines() if "memory ran out" in line]
        tell("the device's memory runs out at any frame", lost=scene.lost(), message=said[0] if said else "")


def test_memory_that_is_never_enough_is_told(make_scene: MakeScene, tell: Tell) -> None:
    scene = make_scene(words=TILED)
    ended = scene.run(("little_memory", {"frame": 9, "limit": 10}))
    assert ended.code == 5
    assert "hint:" in ended.err
    assert scene.done() == 2
    scene.is_right(scene.run())
    tell("the device's memory is not enough for the smallest tile", lost=scene.lost(), message=scene.said(ended))


@pytest.mark.parametrize("value", ["nan", "inf", "0"])
@pytest.mark.parametrize("frames", [(0,), (5, 6, 7), (23,)], ids=str)
def test_bad_pictures_are_run_again_and_counted(
    value: str, frames: tuple[int, ...], make_scene: MakeScene, tell: Tell
) -> None:
    scene = make_scene(words=TILED)
    ended = scene.run(("bad_pictures", {"frames": frames, "value": value}), more=("--json",))
    scene.is_right(ended)
    (summary,) = [event for event in ended.events if event["event"] == "summary"]
    said = [str(text) for text in summary["warnings"] if "run again in float32" in str(text)]
    assert sum(int(text.split()[0]) for text in said) == len(frames)
    assert all(("black" in text) == (value == "0") for text in said)
    what = "black pictures" if value == "0" else "NaN or infinities"
    tell(f"the network gives {what}", lost=scene.lost(), message=said[0])


@pytest.mark.parametrize("value", ["nan", "0"])
def test_network_that_gives_nothing_else_is_told(value: str, make_scene: MakeScene, tell: Tell) -> None:
    scene = make_scene(words=TILED)
    ended = scene.run(("bad_pictures", {"frames": [9], "value": value, "forever": True}))
    assert ended.code == 7
    assert "frame 9" in ended.message
    assert scene.done() == 2
    scene.is_right(scene.run())
    what = "black pictures" if value == "0" else "NaN or infinities"
    tell(f"the network gives {what}, in float32 too", lost=scene.lost(), message=scene.said(ended))
