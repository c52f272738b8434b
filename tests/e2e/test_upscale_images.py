"""Images through the whole program: what they carry, how they are named, and how long animations last."""

from __future__ import annotations

import io
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.e2e.conftest import Ended
from tests.media import make_images, read_number, times_of
from vsr.io.probe import probe

Run = Callable[..., Ended]
NEAREST = ("-m", "nearest", "--scale", "2")
PROFILES = {
    space: bytes(16) + space + bytes(16) + b"acsp" + bytes(96)  # nothing but a header
    for space in (b"RGB ", b"GRAY")
}
_RNG = np.random.default_rng(5)


def _photograph(path: Path, *, mode: str) -> np.ndarray:
    """Save a picture that is to be turned, with a profile and a maker; give it as it is to be seen."""
    exif = Image.Exif()
    exif[0x010F], exif[0x0112] = "vsr test camera", 6
    image = Image.fromarray(_RNG.integers(0, 256, (8, 12, 3), np.uint8)).convert(mode)
    profile = PROFILES[b"GRAY" if mode == "L" else b"RGB "]
    options = {"lossless": True} if path.suffix == ".webp" else {}
    image.save(path, **options)
    flat = np.asarray(Image.open(path))
    image.save(path, exif=exif, icc_profile=profile, **options)
    return np.rot90(flat, -1)


@pytest.mark.parametrize("target", [".png", ".jpg", ".tiff", ".webp"])
@pytest.mark.parametrize("source", [".png", ".jpg", ".tiff", ".webp"])
def test_a_photograph_comes_upright_with_its_profile_and_its_maker(
    source: str, target: str, vsr: Run, tmp_path: Path
) -> None:
    mode = "RGB" if ".webp" in (source, target) else "L"  # grey is scaled exactly; WebP has none
    shown = _photograph(tmp_path / f"in{source}", mode=mode)

    ended = vsr("upscale", tmp_path / f"in{source}", "-o", tmp_path / f"out{target}", *NEAREST, "--strict")

    assert ended.code == 0, ended.err
    result = Image.open(tmp_path / f"out{target}")
    assert (result.size, result.mode) == ((16, 24), mode)
    assert result.info["icc_profile"] == PROFILES[b"GRAY" if mode == "L" else b"RGB "]
    exif = result.getexif()
    assert (exif[0x010F], exif.get(0x0112, 1)) == ("vsr test camera", 1)
    if mode == "L":
        wanted = shown.repeat(2, 0).repeat(2, 1).astype(int)
        np.testing.assert_allclose(np.asarray(result), wanted, atol=12 if target == ".jpg" else 0)


def test_a_folder_of_numbered_frames_keeps_its_numbers(vsr: Run, tmp_path: Path) -> None:
    files = make_images(tmp_path / "in", "%05d.png", count=4, start=20)
    files[2].unlink()

    ended = vsr("upscale", tmp_path / "in", "-o", tmp_path / "out", *NEAREST)

    assert ended.code == 0, ended.err
    assert "number 22 is missing" in ended.err + ended.out
    names = ["00020.png", "00021.png", "00023.png"]
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == names
    shown = [np.asarray(Image.open(tmp_path / "out" / name))[..., 1] for name in names]
    assert [read_number(plane, 255) for plane in shown] == [0, 1, 3]
    assert vsr("upscale", tmp_path / "in", "-o", tmp_path / "strict", *NEAREST, "--strict").code == 3
    assert not (tmp_path / "strict").exists()


@pytest.mark.parametrize("target", ["mp4", "mkv"])
def test_an_animated_webp_becomes_a_video_of_the_same_times(target: str, vsr: Run, tmp_path: Path) -> None:
    frames = [Image.fromarray(np.full((16, 16, 3), 40 * k, np.uint8)) for k in range(5)]
    frames[0].save(
        tmp_path / "a.webp", save_all=True, append_images=frames[1:], duration=[30, 200, 40, 10, 90], lossless=True
    )

    ended = vsr("upscale", tmp_path / "a.webp", "-o", tmp_path / f"a.{target}", *NEAREST)

    assert ended.code == 0, ended.err
    assert times_of(tmp_path / f"a.{target}") == [Fraction(at, 1000) for at in (0, 30, 230, 270, 280)]
    # Matroska keeps no duration of a frame that the next one does not end.
    assert (
        target == "mkv"
        or probe(tmp_path / "a.mp4").packets.durations[-1]
        == Fraction(90, 1000) / probe(tmp_path / "a.mp4").video.time_base
    )


def test_frames_of_an_animation_become_pictures(vsr: Run, tmp_path: Path) -> None:
    frames = [Image.fromarray(np.full((8, 8, 4), (40 * k, 40 * k, 40 * k, 255 - k), np.uint8)) for k in range(1, 4)]
    frames[0].save(tmp_path / "a.webp", save_all=True, append_images=frames[1:], duration=50, lossless=True)

    assert vsr("upscale", tmp_path / "a.webp", "-o", tmp_path / "out", *NEAREST, "--strict").code == 0

    files = sorted((tmp_path / "out").iterdir())
    assert [file.name for file in files] == ["000001.png", "000002.png", "000003.png"]
    with Image.open(io.BytesIO(files[0].read_bytes())) as first:
        assert (first.size, first.mode) == ((16, 16), "RGBA")
