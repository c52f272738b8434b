"""EXIF: every orientation of every format is shown as Pillow shows it, and blocks come through every format."""

from __future__ import annotations

import io
import struct
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from vsr.core.frame import Frame, SideData, pixel_format
from vsr.core.media import WHOLE
from vsr.io.images.embedded import image_losses
from vsr.io.images.exif import orientation_of, told, upright
from vsr.io.images.files import ImageSource, encode_image, with_side_data
from vsr.io.probe import probe

H, W = 6, 10
_RNG = np.random.default_rng(9)
RGB = _RNG.integers(0, 256, (H, W, 3), np.uint8)
SUFFIXES = {"PNG": ".png", "JPEG": ".jpg", "TIFF": ".tiff", "WEBP": ".webp"}
MAKER, TAKEN, PLACE = "vsr test camera", "2026:11:22 01:02:03", (48.0, 12.0, 30.5)


def _camera(orientation: int) -> Image.Exif:
    """Give a block with a maker, a time in the directory of the camera, and a place in that of GPS."""
    exif = Image.Exif()
    exif[0x010F], exif[0x0112] = MAKER, orientation
    exif.get_ifd(0x8769)[0x9003] = TAKEN
    exif.get_ifd(0x8825).update({1: "N", 2: PLACE})
    return exif


def _photograph(folder: Path, kind: str, orientation: int) -> Path:
    path = folder / f"photo{SUFFIXES[kind]}"
    options = {"WEBP": {"lossless": True}, "JPEG": {"quality": 100, "subsampling": 0}}.get(kind, {})
    Image.fromarray(RGB).save(path, kind, exif=_camera(orientation), **options)
    return path


def _rgb(frame: Frame) -> np.ndarray:
    return np.dstack([frame.planes[2], frame.planes[0], frame.planes[1]])


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", SUFFIXES)
def test_pictures_come_upright_and_their_block_says_so(kind: str, orientation: int, tmp_path: Path) -> None:
    path = _photograph(tmp_path, kind, orientation)

    info = probe(path)
    (frame,) = ImageSource(info=info).frames(WHOLE)

    shown = np.asarray(ImageOps.exif_transpose(Image.open(path)))
    assert (info.video.height, info.video.width) == shown.shape[:2]
    np.testing.assert_array_equal(_rgb(frame), shown)
    assert orientation_of(frame.side_data.exif) == 1


def _written(side_data: SideData, target: str, *, name: str = "gbrp") -> bytes:
    format = pixel_format(name)
    planes = tuple(np.full((4, 6), 40 * k, format.dtype) for k in range(format.plane_count))
    frame = Frame(index=0, pts=0, duration=1, planes=planes, format=format, side_data=side_data)
    return with_side_data(encode_image(planes, format, Path(f"a{SUFFIXES[target]}")), frame)


@pytest.mark.parametrize("target", SUFFIXES)
@pytest.mark.parametrize("source", SUFFIXES)
def test_a_block_goes_from_every_format_to_every_other(source: str, target: str, tmp_path: Path) -> None:
    path = _photograph(tmp_path, source, 6)
    if source == "TIFF":  # Pillow writes no directories into its own; that ours are right the target TIFF shows
        (png,) = ImageSource(info=probe(_photograph(tmp_path, "PNG", 6))).frames(WHOLE)
        path.write_bytes(_written(png.side_data, "TIFF"))
    (frame,) = ImageSource(info=probe(path)).frames(WHOLE)

    written = Image.open(io.BytesIO(_written(frame.side_data, target)))
    found = written.getexif()

    written.load()  # and the picture can still be read
    (tmp_path / f"written{SUFFIXES[target]}").write_bytes(_written(frame.side_data, target))
    (again,) = ImageSource(info=probe(tmp_path / f"written{SUFFIXES[target]}")).frames(WHOLE)
    assert told(again.side_data.exif) == told(frame.side_data.exif) != b""
    assert found[0x010F] == MAKER
    assert found.get(0x0112, 1) == 1
    assert found.get_ifd(0x8769)[0x9003] == TAKEN
    assert [Fraction(value) for value in found.get_ifd(0x8825)[2]] == [Fraction(value) for value in PLACE]


@pytest.mark.parametrize("source", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize("target", ["PNG", "JPEG", "WEBP"])
def test_not_a_byte_changes_but_the_orientation(source: str, target: str, tmp_path: Path) -> None:
    path = _photograph(tmp_path, source, 8)
    block = Image.open(path).info["exif"].removeprefix(b"Exif\0\0")
    (frame,) = ImageSource(info=probe(path)).frames(WHOLE)

    carried = Image.open(io.BytesIO(_written(frame.side_data, target))).info["exif"].removeprefix(b"Exif\0\0")

    (place,) = [at for at in range(len(block)) if block[at] != carried[at]]
    assert (block[place], carried[place]) == (8, 1)
    assert len(block) == len(carried)


def test_a_block_of_the_other_byte_order_is_turned_round_for_a_tiff() -> None:
    block = struct.pack(">4sIH", b"MM\0*", 8, 2)
    block += struct.pack(">HHIHH", 0x0112, 3, 1, 3, 0) + struct.pack(">HHII", 0x0132, 2, 20, 38) + bytes(4)
    block += TAKEN.encode() + b"\0"

    assert orientation_of(block) == 3
    assert orientation_of(upright(block)) == 1
    assert Image.open(io.BytesIO(_written(SideData(exif=block), "TIFF"))).getexif()[0x0132] == TAKEN


@pytest.mark.parametrize("block", [b"", b"II*\0", b"II*\0\xff\xff\xff\x7f", b"nonsense", b"II*\0\x08\0\0\0\xff\xff"])
def test_a_damaged_block_turns_nothing_and_goes_nowhere(block: bytes) -> None:
    assert orientation_of(block) == 1
    assert upright(block) == b""


def test_a_block_too_long_for_a_jpeg_is_said_to_be_lost_and_kept_by_others(tmp_path: Path) -> None:
    exif = _camera(1)
    exif[0x010E] = "x" * 70000
    Image.fromarray(RGB).save(tmp_path / "long.png", exif=exif)
    info = probe(tmp_path / "long.png")
    (frame,) = ImageSource(info=info).frames(WHOLE)

    assert [word for word in image_losses(info, "jpeg") if "EXIF data of more than" in word]
    assert image_losses(info, "png") == ()
    assert "exif" not in Image.open(io.BytesIO(_written(frame.side_data, "JPEG"))).info
    assert len(Image.open(io.BytesIO(_written(frame.side_data, "WEBP"))).getexif()[0x010E]) == 70000


def test_a_video_holds_no_exif_and_that_is_said(tmp_path: Path) -> None:
    info = probe(_photograph(tmp_path, "JPEG", 1))

    assert info.video.side_data == ("EXIF data",)
    assert image_losses(info, "mp4") == ("EXIF data is lost: mp4 does not hold it; write .png or .tiff to keep it",)
    assert all(image_losses(info, container) == () for container in ("png", "jpeg", "tiff", "webp"))
