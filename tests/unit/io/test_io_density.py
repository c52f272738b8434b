"""The size at which a picture is printed goes from file to file. Files are made and read here byte by byte."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from vsr.core.frame import SideData
from vsr.core.media import WHOLE
from vsr.core.presets import resolve
from vsr.io.decoding.decode import open_source
from vsr.io.images.embedded import embed, read_embedded
from vsr.io.probe import probe
from vsr.jobs.plan import plan
from vsr.jobs.run import run

METRE = (11811, 5906)  # 300 and 150 dots an inch


def coded(suffix: str) -> bytes:
    picture = np.random.default_rng(1).integers(0, 256, (24, 40, 3), np.uint8)
    return bytes(cv2.imencode(suffix, picture)[1].tobytes())


def png(content: bytes) -> bytes:
    data = coded(".png")
    chunk = struct.pack(">I", 9) + b"pHYs" + content + struct.pack(">I", zlib.crc32(b"pHYs" + content))
    return data[:33] + chunk + data[33:]


def jpeg(unit: int, across: int, down: int) -> bytes:
    data = coded(".jpg")
    assert data[6:11] == b"JFIF\0"
    return data[:13] + struct.pack(">BHH", unit, across, down) + data[18:]


@pytest.mark.parametrize(
    ("kind", "data", "density"),
    [
        ("png", png(struct.pack(">IIB", *METRE, 1)), METRE),
        ("png", png(struct.pack(">IIB", 3, 2, 0)), ()),  # a ratio
        ("png", png(struct.pack(">IIB", 0, 0, 1)), ()),
        ("jpeg", jpeg(1, 300, 150), METRE),
        ("jpeg", jpeg(2, 118, 59), (11800, 5900)),
        ("jpeg", jpeg(0, 1, 1), ()),
        ("jpeg", jpeg(7, 1, 1), ()),
        ("tiff", coded(".tiff"), ()),
    ],
)
def test_what_a_file_says(kind: str, data: bytes, density: tuple[int, ...]) -> None:
    assert read_embedded(kind, data).density == density


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tiff"])
def test_it_comes_back_from_every_kind_and_the_picture_stays(suffix: str) -> None:
    kind, data = {".jpg": "jpeg"}.get(suffix, suffix[1:]), coded(suffix)
    made = embed(kind, data, density=METRE)
    assert read_embedded(kind, made).density == METRE
    before, after = (cv2.imdecode(np.frombuffer(each, np.uint8), cv2.IMREAD_UNCHANGED) for each in (data, made))
    assert np.array_equal(before, after)


def test_webp_has_no_other_place_than_exif() -> None:
    made = embed("webp", coded(".webp"), density=METRE)
    exif = read_embedded("webp", made).exif
    assert struct.pack("<II", 30000, 100) in exif and struct.pack("<II", 15001, 100) in exif


@pytest.mark.parametrize(("orientation", "density"), [(1, METRE), (6, METRE[::-1])])
def test_a_picture_that_is_turned_upright_has_the_density_turned(
    orientation: int, density: tuple[int, ...], tmp_path: Path
) -> None:
    exif = b"II*\0" + struct.pack("<IHHHIHHI", 8, 1, 0x0112, 3, 1, orientation, 0, 0)
    path = tmp_path / "a.png"
    path.write_bytes(embed("png", png(struct.pack(">IIB", *METRE, 1)), exif=exif))
    (frame,) = open_source(probe(path)).frames(WHOLE)
    assert frame.side_data == SideData(exif=frame.side_data.exif, density=density)


def test_a_result_is_printed_with_as_many_dots_an_inch(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(jpeg(1, 300, 150))
    run(plan(tmp_path / "a.jpg", tmp_path / "b.png", resolve({"model": "nearest", "scale": 2.0})))
    made = (tmp_path / "b.png").read_bytes()
    assert struct.pack(">I", 9) + b"pHYs" + struct.pack(">IIB", *METRE, 1) in made
