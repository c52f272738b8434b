"""Decoders, encoders and lanes that fail in the middle: ended soon, the first cause told, and it goes on."""

from __future__ import annotations

import pytest

from tests.faults.conftest import FRAMES, Scene, Tell


@pytest.mark.parametrize("item", [0, 1, FRAMES - 1])
@pytest.mark.parametrize("lane", ["decode", "infer", "encode"])
def test_lane_raises(lane: str, item: int, scene: Scene, tell: Tell) -> None:
    ended = scene.run(("lane_raises", {"lane": lane, "item": item}))
    assert ended.seconds < 5
    assert ended.code == 7, ended.err
    assert f"planted in {lane} at {item}" in ended.message
    assert ended.left == []
    assert not scene.out.exists()
    assert scene.done() == item // 4
    assert bool(scene.leftovers()) == (item > 4), "a work folder without a chunk is of no use"
    scene.is_right(scene.run())
    tell(f"the {lane} lane raises at its first, second or last item", lost=scene.lost(), message=scene.said(ended))


@pytest.mark.parametrize("lane", ["decode", "infer", "encode"])
def test_bug_in_a_lane_is_told_with_its_traceback(lane: str, scene: Scene, tell: Tell) -> None:
    ended = scene.run(("lane_raises", {"lane": lane, "item": 9, "what": "bug"}))
    assert ended.code in (1, 7)
    assert "Traceback" in ended.err and "nobody foresaw this" in ended.err
    assert ended.left == []
    scene.is_right(scene.run())
    tell(f"a bug in the {lane} lane", lost=scene.lost(), message=scene.said(ended))


@pytest.mark.parametrize("at", [0, 9, FRAMES - 1])
@pytest.mark.parametrize("plant", ["lossy_encoder", "broken_encoder"])
def test_encoder_dies_or_loses_a_frame(plant: str, at: int, scene: Scene, tell: Tell) -> None:
    ended = scene.run((plant, {"at": at}))
    assert (ended.code, ended.left) == (6, []), ended.err
    assert not scene.out.exists()
    scene.is_right(scene.run())
    what = "loses a frame" if plant == "lossy_encoder" else "dies"
    tell(f"the encoder {what} in mid-stream", lost=scene.lost(), message=scene.said(ended))


@pytest.mark.parametrize("at", [0, 9, FRAMES - 1])
@pytest.mark.parametrize("how", ["raise", "end"])
def test_decoder_breaks_off_once(how: str, at: int, scene: Scene, tell: Tell) -> None:
    """Whether it says so or not: what it gave is not taken for all there is."""
    ended = scene.run(("broken_decoder", {"at": at, "how": how}))
    scene.is_honest(ended)
    assert ended.left == []
    if ended.code:
        scene.is_right(scene.run())
    else:
        scene.is_right(ended)
    what = "raises" if how == "raise" else "ends too early, without a word,"
    tell(f"the decoder {what} in mid-stream, once", lost=scene.lost(), message=scene.said(ended))
