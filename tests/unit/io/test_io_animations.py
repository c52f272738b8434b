"""Animated WebP, GIF and APNG as videos: every frame and every duration as Pillow gives them."""

from __future__ import annotations

import io
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vsr.core.errors import DecodeError, InputLimits, NotMedia, UnsupportedInput
from vsr.core.frame import Frame
from vsr.core.media import WHOLE, Span
from vsr.io.decoding.decode import open_source
from vsr.io.probe import probe

W, H = 20, 14
DURATIONS = [40, 70, 10, 200, 130]
_RNG = np.random.default_rng(2)


def _frames(*, alpha: bool, soft: bool = False) -> list[Image.Image]:
    """Give frames in which a block moves over a still background, so that writers store parts of the canvas only."""
    back = _RNG.integers(0, 256, (H, W, 3), np.uint8)
    made = []
    for number in range(len(DURATIONS)):
        picture = back.copy()
        picture[2:8, 2 * number : 2 * number + 6] = (250, 40 * number, 10)
        cover = np.full((H, W), 255, np.uint8)
        if alpha:
            cover[9:, : 3 + 2 * number] = 0
            if soft:
                cover[2:8, 2 * number : 2 * number + 6] = 60 + 30 * number
        made.append(Image.fromarray(np.dstack([picture, cover]) if alpha else picture))
    return made


def _save(path: Path, frames: list[Image.Image], **options: object) -> Path:
    given = {"duration": DURATIONS, "loop": 0, **options}
    frames[0].save(path, save_all=True, append_images=frames[1:], **given)
    return path


def _pillow(path: Path, mode: str) -> list[np.ndarray]:
    image = Image.open(path)
    seen = []
    for number in range(image.n_frames):
        image.seek(number)
        seen.append(np.asarray(image.convert(mode)))
    return seen


def _rgb(frame: Frame) -> np.ndarray:
    return np.dstack([frame.planes[2], frame.planes[0], frame.planes[1], *frame.planes[3:]])


def _same(path: Path, *, most: int = 0) -> None:
    """Hold all frames against Pillow's; colours count where they can be seen."""
    info = probe(path)
    frames = list(open_source(info).frames(WHOLE))
    mode = "RGBA" if frames[0].format.alpha else "RGB"
    for ours, theirs in zip(map(_rgb, frames), _pillow(path, mode), strict=True):
        hidden = theirs[..., 3:] == 0 if mode == "RGBA" else np.zeros((H, W, 1), bool)
        assert abs(ours.astype(int) - theirs)[..., :3][~hidden[..., 0]].max() <= most
        if mode == "RGBA":
            assert abs(ours[..., 3].astype(int) - theirs[..., 3]).max() <= most


def test_a_webp_is_a_video_of_its_own_times(tmp_path: Path) -> None:
    path = _save(tmp_path / "a.webp", _frames(alpha=False), lossless=True)

    info = probe(path)
    frames = list(open_source(info).frames(WHOLE))

    assert (info.kind, info.container, info.video.pixel_format) == ("video", "webp", "gbrp")
    assert info.video.time_base == Fraction(1, 1000)
    assert [frame.duration for frame in frames] == DURATIONS  # the last one's too
    assert [frame.pts for frame in frames] == [0, 40, 110, 120, 320]
    assert info.duration_s == 0.45
    assert info.frame_count == len(frames)
    assert not info.damage
    assert not frames[0].planes[0].flags.writeable
    _same(path)


@pytest.mark.parametrize("options", [{"lossless": True}, {"quality": 60}, {"lossless": True, "kmin": 1, "kmax": 2}])
@pytest.mark.parametrize("soft", [False, True])
def test_a_webp_with_alpha_is_composed_as_libwebp_does(options: dict[str, object], soft: bool, tmp_path: Path) -> None:
    path = _save(tmp_path / "a.webp", _frames(alpha=True, soft=soft), **options)

    assert probe(path).video.pixel_format == "gbrap"
    _same(path, most=2 if soft else 0)  # libwebp mixes in integers of its own


def test_decoding_from_the_middle_gives_the_same_frames(tmp_path: Path) -> None:
    path = _save(tmp_path / "a.webp", _frames(alpha=False), lossless=True, kmin=1, kmax=2)
    source = open_source(probe(path))
    whole = list(source.frames(WHOLE))
    keyframes = source.info.packets.keyframes

    assert len(keyframes) > 1
    for key in keyframes:
        part = list(source.frames(Span(start=key), seek=key))
        assert [frame.index for frame in part] == [frame.index for frame in whole if frame.pts >= key]
        for ours, theirs in zip(part, whole[-len(part) :], strict=True):
            np.testing.assert_array_equal(_rgb(ours), _rgb(theirs))


def test_a_frame_of_no_duration_is_shown_for_a_tenth_of_a_second_and_that_is_said(tmp_path: Path) -> None:
    info = probe(_save(tmp_path / "a.webp", _frames(alpha=False), duration=[40, 0, 40, 40, 40], lossless=True))

    assert info.packets.durations == (40, 100, 40, 40, 40)
    assert any("1 frames of a.webp have no duration" in warning for warning in info.warnings)


def test_a_gif_frame_of_no_duration_is_shown_for_a_tenth_of_a_second(tmp_path: Path) -> None:
    path = _save(tmp_path / "a.gif", _frames(alpha=False), duration=[40, 0, 40, 40, 50])

    assert probe(path).packets.durations == (4, 10, 4, 4, 5)


@pytest.mark.parametrize("disposal", [0, 1, 2])
@pytest.mark.parametrize("name", ["a.gif", "a.png"])
def test_gif_and_apng_have_their_frames_and_times(name: str, disposal: int, tmp_path: Path) -> None:
    is_gif = name == "a.gif"
    frames = [frame.quantize(32) if is_gif else frame for frame in _frames(alpha=True)]
    path = _save(tmp_path / name, frames, disposal=disposal)

    info = probe(path)

    tick = info.video.time_base
    assert [duration * tick * 1000 for duration in info.packets.durations] == DURATIONS
    assert info.kind == "video"
    _same(path)


def test_a_still_webp_stays_an_image(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(tmp_path / "a.webp")

    assert probe(tmp_path / "a.webp").kind == "image"


def test_damaged_animations_are_errors_that_name_them(tmp_path: Path) -> None:
    whole = _save(tmp_path / "a.webp", _frames(alpha=False), lossless=True).read_bytes()
    last = whole.rindex(b"ANMF")
    (tmp_path / "cut.webp").write_bytes(whole[: last + 40])
    (tmp_path / "empty.webp").write_bytes(whole[: whole.index(b"ANMF")])
    (tmp_path / "outside.webp").write_bytes(whole[: last + 8] + b"\x40" + whole[last + 9 :])

    info = probe(tmp_path / "cut.webp")
    assert "breaks off" in info.damage[0]
    with pytest.raises(DecodeError, match=r"cut\.webp"):
        list(open_source(info).frames(WHOLE))
    with pytest.raises(NotMedia, match=r"empty\.webp is an animation without frames"):
        probe(tmp_path / "empty.webp")
    with pytest.raises(UnsupportedInput, match="outside of its canvas"):
        probe(tmp_path / "outside.webp")
    with pytest.raises(InputLimits, match="20x14"):
        probe(tmp_path / "a.webp", max_pixels=200)


def test_an_animation_that_changed_since_it_was_probed_is_an_error(tmp_path: Path) -> None:
    path = _save(tmp_path / "a.webp", _frames(alpha=False), lossless=True)
    info = probe(path)
    out = io.BytesIO()
    _frames(alpha=False)[0].save(out, "WEBP", save_all=True, append_images=_frames(alpha=False)[1:3])
    path.write_bytes(out.getvalue())

    with pytest.raises(DecodeError, match="not what it was"):
        list(open_source(info).frames(WHOLE))
