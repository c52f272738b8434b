"""Image files: sequences found and described, read and written."""

from __future__ import annotations

import struct
import zlib
from fractions import Fraction
from itertools import product
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import skimage.io

from tests.media import make_images, picture, read_number
from vsr.core.errors import DecodeError, DiskFull, EncodeError, InputLimits, InputMissing, NotMedia, UnsupportedInput
from vsr.core.frame import ColorSpec, Frame, pixel_format
from vsr.core.media import WHOLE, OutputSpec
from vsr.io.decoding.decode import open_source
from vsr.io.images import files as images
from vsr.io.images.files import ImageSink
from vsr.io.images.sequences import natural_key
from vsr.io.probe import probe


def _read(path: Path, **options: object) -> list[Frame]:
    return list(open_source(probe(path, **options)).frames(WHOLE))  # type: ignore[arg-type]


def _numbers(frames: list[Frame]) -> list[int]:
    return [read_number(frame.planes[0], frame.format.peak) for frame in frames]


def _seen(path: Path) -> list[np.ndarray]:
    """Give the planes G, B, R (, A) or Y of an image by another library: FFmpeg's decoders, or PIL."""
    if path.suffix in (".bmp", ".webp"):
        array = skimage.io.imread(path)
        return [array] if array.ndim == 2 else [array[..., channel] for channel in (1, 2, 0, 3)[: array.shape[2]]]
    with av.open(str(path)) as source:
        frame = next(source.decode(video=0))
    array = frame.to_ndarray()
    assert frame.format.name.startswith(("rgb", "gray")), frame.format.name
    return [array] if array.ndim == 2 else [array[..., channel] for channel in (1, 2, 0, 3)[: array.shape[2]]]


def test_natural_order_counts_as_people_do() -> None:
    names = ["frame_10.png", "frame_2.png", "Frame_1.png", "a.png", "frame_2b.png"]

    assert sorted(names, key=natural_key) == ["a.png", "Frame_1.png", "frame_2.png", "frame_2b.png", "frame_10.png"]


def test_a_folder_is_read_in_natural_order_and_other_files_are_left_out(tmp_path: Path) -> None:
    make_images(tmp_path / "shot", "frame_%d.png", count=12)
    (tmp_path / "shot" / "notes.txt").write_text("x")
    (tmp_path / "shot" / ".hidden.png").write_text("x")

    info = probe(tmp_path / "shot", rate=Fraction(24000, 1001))

    assert (info.kind, info.container, info.frame_count) == ("sequence", "image2", 12)
    assert info.video.time_base == Fraction(1001, 24000)
    assert _numbers(_read(tmp_path / "shot")) == list(range(12))
    assert info.warnings == ("1 files of shot are no images: left out", "1 hidden images of shot are left out")
    assert info.damage == ()


def test_a_pattern_takes_the_numbers_that_fit_it_and_gaps_are_said(tmp_path: Path) -> None:
    files = make_images(tmp_path, "a_%03d.png", count=6, start=998)
    files[2].unlink()  # 1000
    (tmp_path / "a_0999.png").write_bytes(files[0].read_bytes())  # not what printf makes of 999

    info = probe(tmp_path / "a_%03d.png")

    assert [file.name for file in info.files] == ["a_998.png", "a_999.png", "a_1001.png", "a_1002.png", "a_1003.png"]
    assert info.video.time_base == Fraction(1, 25)
    assert info.damage == ("the numbering has gaps: number 1000 is missing; no frame stands in for it",)


def test_a_real_file_whose_name_looks_like_a_pattern_is_a_file(tmp_path: Path) -> None:
    make_images(tmp_path, count=1, start=1)[0].rename(tmp_path / "frame%03d.png")

    assert probe(tmp_path / "frame%03d.png").kind == "image"


def test_a_pattern_without_files_and_a_folder_without_images_say_so(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("x")

    with pytest.raises(InputMissing, match="no file fits"):
        probe(tmp_path / "frame_%05d.png")
    with pytest.raises(NotMedia, match="only 1 files of other kinds"):
        probe(tmp_path)


def test_a_folder_of_mixed_sizes_names_the_first_odd_file(tmp_path: Path) -> None:
    make_images(tmp_path, count=3)
    make_images(tmp_path, count=2, start=4, width=32)

    with pytest.raises(UnsupportedInput, match=r"00004.png is 32x48, but 00001.png is 64x48"):
        probe(tmp_path)


@pytest.mark.parametrize(
    ("suffix", "kind"),
    [
        *product(["png", "tiff"], ["gbrp", "gray", "gbrap", "gbrp16le", "gray16le"]),
        *product(["bmp", "webp"], ["gbrp"]),
    ],
)
def test_codes_are_those_of_another_library(suffix: str, kind: str, tmp_path: Path) -> None:
    (file,) = make_images(tmp_path, f"%d.{suffix}", count=1, kind=kind)

    (frame,) = _read(file)

    assert frame.format.name == kind
    for plane, theirs in zip(frame.planes, _seen(file), strict=True):
        np.testing.assert_array_equal(plane, theirs)


def test_jpeg_is_delivered_as_rgb_and_grey_stays_grey(tmp_path: Path) -> None:
    (color,) = make_images(tmp_path / "c", "%d.jpg", count=1)
    (gray,) = make_images(tmp_path / "g", "%d.jpg", count=1, kind="gray")

    assert _read(color)[0].format.name == "gbrp"
    assert _read(gray)[0].format.name == "gray"
    assert probe(color).video.color.range == "pc"


def test_a_sequence_of_mixed_kinds_travels_in_the_one_that_holds_all(tmp_path: Path) -> None:
    make_images(tmp_path, count=1, start=1, kind="gray")
    make_images(tmp_path, count=1, start=2, kind="gbrp16le")

    first, second = _read(tmp_path)

    assert first.format.name == second.format.name == "gbrp16le"
    eight = picture(0, pixel_format("gray"), 64, 48)[0]
    for plane in first.planes:
        np.testing.assert_array_equal(plane, eight.astype(np.uint16) * 257)


def test_the_orientation_of_a_photograph_is_applied(tmp_path: Path) -> None:
    (file,) = make_images(tmp_path, "%d.jpg", count=1)
    upright = _read(file)[0].planes[0]
    # One tag, 0x0112 = 6: the camera was held upright, turn by 90 degrees clockwise.
    exif = b"Exif\0\0" + b"II*\0" + struct.pack("<IHHHIII", 8, 1, 0x0112, 3, 1, 6, 0)
    data = file.read_bytes()
    file.write_bytes(data[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + data[2:])

    info = probe(file)
    (turned,) = _read(file)

    assert (info.video.width, info.video.height) == (48, 64)
    np.testing.assert_array_equal(turned.planes[0], np.rot90(upright, -1))


def _png(width: int, height: int, *, animated: bool = False) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    moving = chunk(b"acTL", struct.pack(">II", 2, 0)) if animated else b""
    return b"\x89PNG\r\n\x1a\n" + head + moving + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def test_a_bomb_is_refused_by_its_header_alone(tmp_path: Path) -> None:
    bomb = tmp_path / "bomb.png"
    bomb.write_bytes(_png(60000, 60000))

    with pytest.raises(InputLimits, match="60000x60000"):
        probe(bomb)


def test_a_broken_image_is_an_error_that_names_it(tmp_path: Path) -> None:
    files = make_images(tmp_path, count=3)
    files[1].write_bytes(files[1].read_bytes()[:200])
    frames = open_source(probe(tmp_path)).frames(WHOLE)
    next(iter(frames))

    with pytest.raises(DecodeError, match=r"00002.png is damaged"):
        next(iter(frames))
    files[1].write_bytes(b"\x89PNG\r\n\x1a\n\0\0")
    with pytest.raises(NotMedia, match="header is broken off"):
        probe(tmp_path)


def test_several_pictures_in_one_file_are_refused_not_dropped(tmp_path: Path) -> None:
    pages = [np.zeros((8, 8), np.uint8), np.ones((8, 8), np.uint8)]
    cv2.imwritemulti(str(tmp_path / "a.tiff"), pages)

    with pytest.raises(UnsupportedInput, match="several pictures"):
        probe(tmp_path / "a.tiff")


def test_floating_point_tiff_is_refused(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.tiff"), np.zeros((8, 8), np.float32))

    with pytest.raises(UnsupportedInput, match="floating point"):
        probe(tmp_path / "a.tiff")


def test_an_image_that_changed_its_size_since_it_was_probed_is_an_error(tmp_path: Path) -> None:
    make_images(tmp_path, count=2)
    info = probe(tmp_path)
    make_images(tmp_path, count=1, start=2, width=32)

    with pytest.raises(DecodeError, match="32x48 now"):
        list(open_source(info).frames(WHOLE))


def _spec(name: str, *, width: int = 64, height: int = 48) -> OutputSpec:
    color = ColorSpec(matrix="gbr", range="pc")
    return OutputSpec(
        codec="png",
        encoder="png",
        options=(),
        width=width,
        height=height,
        pixel_format=name,
        color=color,
        tags=color,
        time_base=Fraction(1, 25),
        rate=Fraction(25),
    )


def _frame(name: str, number: int = 0) -> Frame:
    format = pixel_format(name)
    return Frame(index=number, pts=number, duration=1, planes=picture(number, format, 64, 48), format=format)


@pytest.mark.parametrize("suffix", [".png", ".tiff", ".webp", ".bmp"])
@pytest.mark.parametrize("name", ["gbrp", "gray", "gbrap", "gbrp16le", "gray16le"])
def test_what_is_written_is_read_back_exactly(suffix: str, name: str, tmp_path: Path) -> None:
    frame = _frame(name)
    sink = ImageSink(tmp_path / f"🎬 a{suffix}", _spec(name), pattern="", single=True)
    if (suffix in (".webp", ".bmp") and "16" in name) or (suffix == ".bmp" and name == "gbrap"):
        with pytest.raises(EncodeError, match="holds"):
            sink.write(frame)
        return

    sink.write(frame)

    # WebP has no grey: it comes back as three equal planes.
    for plane, theirs in zip(frame.planes, _seen(sink.close().path), strict=suffix != ".webp"):
        np.testing.assert_array_equal(theirs, plane)


def test_jpeg_is_close_and_refuses_sixteen_bits(tmp_path: Path) -> None:
    sink = ImageSink(tmp_path / "a.jpg", _spec("gray"), pattern="", single=True)
    sink.write(_frame("gray"))

    back = skimage.io.imread(sink.close().path).astype(int)
    # Quality 95 leaves about a level of noise, more at the blocks' edges.
    assert abs(back - _frame("gray").planes[0]).mean() < 2
    with pytest.raises(EncodeError, match="8 bits"):
        ImageSink(tmp_path / "b.jpg", _spec("gray16le"), pattern="", single=True).write(_frame("gray16le"))


def test_names_count_the_frames_of_the_source_so_that_chunks_do_not_collide(tmp_path: Path) -> None:
    sink = ImageSink(tmp_path / "out", _spec("gbrp"), pattern="f_%04d.png", start_number=20)
    for number in (5, 6):
        sink.write(_frame("gbrp", number))

    sink.close()

    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == ["f_0025.png", "f_0026.png"]


def test_a_second_frame_for_one_image_is_refused(tmp_path: Path) -> None:
    sink = ImageSink(tmp_path / "a.png", _spec("gbrp"), pattern="", single=True)
    sink.write(_frame("gbrp"))

    with pytest.raises(EncodeError, match="second frame"):
        sink.write(_frame("gbrp", 1))


def test_a_full_disk_leaves_no_part_of_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(images.os, "fsync", full)
    sink = ImageSink(tmp_path / "a.png", _spec("gbrp"), pattern="", single=True)

    with pytest.raises(DiskFull):
        sink.write(_frame("gbrp"))
    assert list(tmp_path.iterdir()) == []
