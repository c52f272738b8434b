"""Interlaced, telecined or whole: told from flags and content, and never told of what is whole."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.media import make_clip, make_images
from tests.scanlines import BOTTOM, HEIGHT, TOP, WIDTH, Plane, Scene, telecined, whole, woven, write
from vsr.core.errors import InputMissing
from vsr.core.frame import Frame
from vsr.core.media import FieldOrder, Interlacing
from vsr.io.decoding.interlacing import Seen, decide, detect, flagged, look
from vsr.io.probe import probe

Y, X = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float64)
NONE = Interlacing()
TFF = Interlacing(kind="interlaced", order="tff", evidence="flags", detail="flagged top field first")


def texture(seed: int) -> NDArray[np.float64]:
    noise = np.random.default_rng(seed).normal(size=(3 * HEIGHT, 3 * WIDTH))
    soft = cv2.GaussianBlur(noise, (0, 0), 2.0)
    return 128 + 50 * soft / soft.std()


def page() -> NDArray[np.float64]:
    """Black text on white, as a screen shows it."""
    image = np.full((300, 400), 235, np.uint8)
    for line in range(20):
        cv2.putText(image, "The quick brown fox " * 3, (3, 14 + 14 * line), cv2.FONT_HERSHEY_PLAIN, 0.8, 0, 1)
    return image.astype(np.float64)


def panned(picture: NDArray[np.float64], down: float, right: float) -> Scene:
    """Move over a picture by whole pixels, as a screen scrolls."""

    def at(time: float) -> NDArray[np.float64]:
        y, x = round(50 + down * time), round(50 + right * time)
        return picture[y : y + HEIGHT, x : x + WIDTH]

    return at


def bars(time: float) -> NDArray[np.float64]:
    return np.where((X - 3 * time) // 12 % 2 == 0, 200.0, 60.0)


def waves(time: float) -> NDArray[np.float64]:
    return 128 + 90 * np.sin((X + 0.3 * Y - 2 * time) / 5)


def window(step: float) -> Scene:
    """A hard edge that rises: fields of whole frames match as those of interlaced ones do."""
    return lambda time: np.where(step * time + Y >= 80, 220.0, 40.0)


def lines(period: int, step: float) -> Scene:
    """Thin lines that scroll: fields of neighbouring frames may match better than those of one frame."""
    return lambda time: np.where((Y + round(step * time)) % period == 0, 220.0, 30.0)


def noisy(scene: Scene, strength: float) -> Scene:
    return lambda time: scene(time) + np.random.default_rng(int(10 * time)).normal(0, strength, (HEIGHT, WIDTH))


def still(time: float) -> NDArray[np.float64]:
    return texture(1)[:HEIGHT, :WIDTH]


MOVING: dict[str, Scene] = {"bars": bars, "waves": waves, "pan": panned(texture(1), 0.5, 1.5)}
WHOLE: dict[str, Scene] = {
    **MOVING,
    "still": still,
    "scroll by 1": panned(page(), 0.5, 0),
    "scroll by 2": panned(page(), 1, 0),
    "text aside": panned(page(), 0, 1.5),
    "page still": panned(page(), 0, 0),
    "window by 1": window(0.5),
    "window by 2": window(1),
    "window by 4": window(2),
    "lines of 2": lines(2, 0.5),
    "lines of 3": lines(3, 0.5),
    "lines of 4": lines(4, 1),
    "lines of 8": lines(8, 1),
    "checks": lambda time: 20 + 200 * ((X + Y + time // 2) % 2),
    "nearly lines of 2": lambda time: 128 + 100 * np.cos(0.95 * np.pi * Y + 0.4 * time),
    "zone plate": lambda time: 128 + 100 * np.cos(2 * np.pi * ((X**2 / WIDTH + Y**2 / HEIGHT) / 4 + time / 8)),
    "cuts": lambda time: texture(int(time))[:HEIGHT, :WIDTH],
    "noise": noisy(lambda time: np.full((HEIGHT, WIDTH), 128.0), 30),
    "grain": noisy(still, 8),
    "noisy window": noisy(window(1), 10),
    "noisy bars": noisy(bars, 5),
}


def seen(frames: list[Plane]) -> list[Seen]:
    luma = [frame.astype(np.int16) for frame in frames]
    return [look(*three) for three in zip(luma, luma[1:], luma[2:], strict=False)]


@pytest.mark.parametrize("name", WHOLE)
def test_whole_frames_are_never_called_interlaced(name: str) -> None:
    found = decide([seen(whole(WHOLE[name], 12))], NONE)
    assert (found.kind, found.order) == ("progressive", "")


@pytest.mark.parametrize("name", MOVING)
@pytest.mark.parametrize(("first", "order"), [(TOP, "tff"), (BOTTOM, "bff")])
@pytest.mark.parametrize("strength", [0, 6])
def test_two_moments_in_a_frame_are_seen_and_which_is_first(
    name: str, first: int, order: FieldOrder, strength: float
) -> None:
    found = decide([seen(woven(noisy(MOVING[name], strength), 12, first=first))], NONE)
    assert (found.kind, found.order, found.evidence) == ("interlaced", order, "content")
    assert f"{'top' if first == TOP else 'bottom'} field first" in found.detail


@pytest.mark.parametrize("name", MOVING)
@pytest.mark.parametrize(("first", "order"), [(TOP, "tff"), (BOTTOM, "bff")])
@pytest.mark.parametrize("pattern", [(2, 3), (3, 2), (2, 3, 3, 2)], ids=str)
def test_film_in_fields_is_seen(name: str, first: int, order: FieldOrder, pattern: tuple[int, ...]) -> None:
    frames = telecined(MOVING[name], 14, first=first, pattern=pattern)
    for told in (NONE, TFF):
        found = decide([seen(frames)], told)
        assert (found.kind, found.order, found.evidence) == ("telecined", order, "content")


@pytest.mark.parametrize("first", [TOP, BOTTOM])
def test_detail_that_outruns_itself_keeps_its_flags(first: int) -> None:
    """It tells no order, and without one nobody calls it interlaced: scrolling patterns look the same."""
    fine = cv2.GaussianBlur(np.random.default_rng(5).normal(size=(3 * HEIGHT, 3 * WIDTH)), (0, 0), 1.5)
    frames = seen(woven(panned(128 + 50 * fine / fine.std(), 0, 7), 12, first=first))
    assert decide([frames], TFF) == TFF
    assert decide([frames], NONE).kind == "progressive"


def test_flags_hold_where_nothing_moves_and_fall_where_all_is_whole() -> None:
    assert decide([seen(whole(still, 12))], TFF) == TFF
    assert decide([seen(whole(WHOLE["noise"], 12))], TFF) == TFF
    assert decide([[]], TFF) == TFF
    found = decide([seen(whole(bars, 12))], TFF)
    assert (found.kind, found.order, found.evidence) == ("progressive", "tff", "content")
    assert "flagged as interlaced, but all 10 moving frames are whole" in found.detail
    assert decide([seen(whole(bars, 12)), seen(woven(bars, 5, first=TOP))], TFF).kind == "interlaced"


def test_content_corrects_a_wrong_order() -> None:
    found = decide([seen(woven(waves, 12, first=BOTTOM))], TFF)
    assert (found.kind, found.order) == ("interlaced", "bff")
    assert "although flagged top field first" in found.detail


def test_a_few_combed_frames_make_no_interlaced_video() -> None:
    assert decide([seen(whole(bars, 30)), seen(woven(bars, 5, first=TOP))], NONE).kind == "progressive"


@pytest.mark.parametrize(("first", "order"), [(TOP, "tff"), (BOTTOM, "bff")])
def test_of_files_by_flags_and_without(tmp_path: Path, first: int, order: FieldOrder) -> None:
    frames = woven(waves, 40, first=first)
    said = probe(write(tmp_path / "said.mkv", frames, flag=order))
    silent = probe(write(tmp_path / "silent.mkv", frames))
    assert (said.video.is_interlaced, said.video.field_order) == (True, order)
    assert (silent.video.is_interlaced, silent.video.field_order) == (False, "")
    for info, evidence in ((said, "flags"), (silent, "content")):
        found = detect(info)
        assert (found.kind, found.order, found.evidence) == ("interlaced", order, evidence)
        assert detect(info) == found
    assert (flagged(said).order, flagged(silent).kind) == (order, "progressive")


def test_the_middle_is_looked_at_too_and_no_more_than_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frames = whole(still, 60) + woven(waves, 60, first=TOP)
    info = probe(write(tmp_path / "late.mkv", frames, preset="ultrafast"))
    assert detect(info).kind == "interlaced"
    decoded: list[int] = []

    def counted(frame: Frame) -> NDArray[np.int16]:
        decoded.append(frame.index)
        return np.zeros((HEIGHT, WIDTH), np.int16)

    monkeypatch.setattr("vsr.io.decoding.interlacing._luma", counted)
    detect(info, frames=24)
    assert decoded == [*range(8), *range(60, 68), *range(84, 92)]


def test_ten_bits_are_looked_at_as_eight(tmp_path: Path) -> None:
    path = tmp_path / "deep.mkv"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("ffv1", rate=25)
        stream.height, stream.width, stream.pix_fmt = HEIGHT, WIDTH, "yuv422p10le"
        for number, plane in enumerate(woven(waves, 12, first=TOP)):
            frame = av.VideoFrame(WIDTH, HEIGHT, "yuv422p10le")
            for target in frame.planes:
                wide = cv2.resize(plane, (target.width, target.height), interpolation=cv2.INTER_NEAREST)
                rows = np.zeros((target.height, target.line_size // 2), np.uint16)
                rows[:, : target.width] = wide.astype(np.uint16) << 2
                target.update(rows.tobytes())
            frame.pts = number
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    assert detect(probe(path)).order == "tff"


def test_what_cannot_be_interlaced_is_not_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = probe(make_images(tmp_path / "images", count=2)[0].parent)
    clip = probe(make_clip(tmp_path / "a.mp4", frames=4))
    monkeypatch.setattr("vsr.io.decoding.interlacing._runs", lambda *given: pytest.fail("looked at"))
    assert detect(images) == NONE
    assert detect(replace(clip, video=replace(clip.video, height=2160))) == NONE


def test_film_by_the_times_of_whole_frames(tmp_path: Path) -> None:
    info = probe(write(tmp_path / "a.mpg", whole(still, 12), codec="mpeg2video"))
    steps = [4504 if number % 2 else 3003 for number in range(40)]
    pts = tuple(int(at) for at in np.cumsum([0, *steps]))
    film = replace(info, packets=replace(info.packets, pts=pts, durations=(*steps, 3003), keyframes=()))
    found = detect(film)
    assert (found.kind, found.evidence) == ("telecined", "flags")
    assert detect(info).kind == "progressive"


def test_damage_is_left_to_the_run(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mkv", woven(waves, 30, first=TOP), flag="tff", gop=5)
    info = probe(path)
    content = bytearray(path.read_bytes())
    content[len(content) // 5 :] = bytes(len(content) - len(content) // 5)
    path.write_bytes(content)
    assert detect(info).kind == "interlaced"
    path.unlink()
    with pytest.raises(InputMissing):
        detect(info)
