"""ICC profiles: read and written in four formats, by another library's reading; none where it does not fit."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from vsr.core.frame import Frame, SideData, pixel_format
from vsr.core.media import WHOLE
from vsr.io.images import icc
from vsr.io.images.embedded import embed, image_losses, read_embedded
from vsr.io.images.files import ImageSource, encode_image, with_side_data
from vsr.io.probe import probe

SUFFIXES = {"png": ".png", "jpeg": ".jpg", "tiff": ".tiff", "webp": ".webp"}
_RNG = np.random.default_rng(3)
RGB = _RNG.integers(0, 256, (6, 10, 3), np.uint8)


def _profile(space: bytes = b"RGB ", name: str = "wide gamut", filler: int = 0) -> bytes:
    """Give a profile of nothing but its header, its name and random bytes, which no compression shortens."""
    text = b"desc\0\0\0\0" + struct.pack(">I", len(name) + 1) + name.encode() + b"\0"
    noise = _RNG.integers(0, 256, filler, np.uint8).tobytes()
    table = struct.pack(">I4sII", 1, b"desc", 144, len(text))
    size = 128 + len(table) + len(text) + filler
    head = struct.pack(">I12x4s16x4s", size, space, b"acsp").ljust(128, b"\0")
    return head + table + text + noise


def _image(kind: str, profile: bytes, folder: Path, *, mode: str = "RGB") -> Path:
    path = folder / f"a{SUFFIXES[kind]}"
    Image.fromarray(RGB).convert(mode).save(path, icc_profile=profile)
    return path


def _written(profile: bytes, target: str, name: str) -> bytes:
    format = pixel_format(name)
    planes = tuple(np.full((4, 6), 40 * k, format.dtype) for k in range(format.plane_count))
    frame = Frame(index=0, pts=0, duration=1, planes=planes, format=format, side_data=SideData(icc=profile))
    return with_side_data(encode_image(planes, format, Path(f"a{SUFFIXES[target]}")), frame)


@pytest.mark.parametrize("filler", [0, 150_000])  # more than two segments of a JPEG
@pytest.mark.parametrize("kind", SUFFIXES)
def test_a_profile_is_read_as_another_library_wrote_it(kind: str, filler: int, tmp_path: Path) -> None:
    profile = _profile(filler=filler)

    (frame,) = ImageSource(info=probe(_image(kind, profile, tmp_path))).frames(WHOLE)

    assert frame.side_data.icc == profile


@pytest.mark.parametrize("filler", [0, 150_000])
@pytest.mark.parametrize("kind", SUFFIXES)
def test_a_profile_is_written_as_another_library_reads_it(kind: str, filler: int) -> None:
    profile = _profile(filler=filler)

    image = Image.open(io.BytesIO(_written(profile, kind, "gbrp")))

    assert image.info["icc_profile"] == profile
    np.testing.assert_allclose(np.asarray(image)[0, 0], (80, 0, 40), atol=1 if kind == "jpeg" else 0)


@pytest.mark.parametrize("kind", ["png", "tiff", "webp"])
@pytest.mark.parametrize("name", ["gbrap", "gbrp16le", "gbrap16le", "gray", "gray16le"])
def test_pictures_with_a_profile_are_those_without(kind: str, name: str, tmp_path: Path) -> None:
    """And keep their transparency: a simple WebP becomes an extended one, with flags of its own."""
    if kind == "webp" and "16" in name:
        return
    profile = _profile(b"GRAY" if name.startswith("gray") and kind != "webp" else b"RGB ")
    for data, file in ((_written(b"", kind, name), "plain"), (_written(profile, kind, name), "held")):
        (tmp_path / f"{file}{SUFFIXES[kind]}").write_bytes(data)

    (plain,) = ImageSource(info=probe(tmp_path / f"plain{SUFFIXES[kind]}")).frames(WHOLE)
    (held,) = ImageSource(info=probe(tmp_path / f"held{SUFFIXES[kind]}")).frames(WHOLE)

    assert (plain.side_data.icc, held.side_data.icc) == (b"", profile)
    assert plain.format.name == held.format.name
    for ours, theirs in zip(held.planes, plain.planes, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_tiff_says_that_its_fourth_channel_is_straight_alpha() -> None:
    assert Image.open(io.BytesIO(_written(b"", "tiff", "gbrap"))).tag_v2[338] == (2,)


def test_a_profile_for_other_channels_is_left_out_and_said(tmp_path: Path) -> None:
    gray = _profile(b"GRAY", "dot gain")
    info = probe(_image("png", gray, tmp_path, mode="L"))

    assert info.video.side_data == ("ICC profile (GRAY, dot gain)",)
    assert image_losses(info, "tiff") == ()
    (loss,) = image_losses(info, "webp")  # which has no grey
    assert loss == "ICC profile (GRAY, dot gain) is left out: it does not fit RGB pictures"
    assert "icc_profile" not in Image.open(io.BytesIO(_written(gray, "webp", "gray"))).info
    assert "icc_profile" not in Image.open(io.BytesIO(_written(gray, "png", "gbrp"))).info


def test_a_video_holds_no_profile_and_only_that_of_srgb_is_no_loss(tmp_path: Path) -> None:
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    (tmp_path / "wide").mkdir()

    assert image_losses(probe(_image("png", srgb, tmp_path)), "mp4") == ()
    (loss,) = image_losses(probe(_image("png", _profile(), tmp_path / "wide")), "mp4")
    assert "ICC profile (RGB, wide gamut) is lost, and colours may look different" in loss
    assert "sRGB" in icc.name_of(srgb)


def test_a_profile_that_unpacks_without_end_or_lacks_a_part_is_as_if_it_were_not_there(tmp_path: Path) -> None:
    data = _image("png", b"", tmp_path).read_bytes()
    packed = b"x\0\0" + zlib.compress(_profile() + bytes(icc.MAX_PROFILE))
    bomb = struct.pack(">I", len(packed)) + b"iCCP" + packed + struct.pack(">I", zlib.crc32(b"iCCP" + packed))
    jpeg = _image("jpeg", _profile(filler=150_000), tmp_path).read_bytes()
    second = jpeg.index(b"ICC_PROFILE\0\x02") - 4
    length = 2 + int.from_bytes(jpeg[second + 2 : second + 4], "big")

    assert read_embedded("png", data[:33] + bomb + data[33:]).icc == b""
    assert read_embedded("jpeg", jpeg[:second] + jpeg[second + length :]).icc == b""
    assert read_embedded("png", embed("png", data, icc=b"not a profile")).icc == b""


def test_what_is_not_carried_on_is_named(tmp_path: Path) -> None:
    path = _image("jpeg", b"", tmp_path)
    content = b"http://ns.adobe.com/xap/1.0/\0<x/>"
    data = path.read_bytes()
    path.write_bytes(data[:2] + b"\xff\xe1" + struct.pack(">H", len(content) + 2) + content + data[2:])

    assert image_losses(probe(path), "jpeg") == ("XMP data is left out: vsr does not carry it on",)


def test_colours_that_a_png_tags_by_number_are_named_too(tmp_path: Path) -> None:
    data = _image("png", b"", tmp_path).read_bytes()
    for numbers, losses in ((b"\1\x0d\0\1", 0), (b"\x09\x10\0\1", 1)):
        tag = struct.pack(">I", 4) + b"cICP" + numbers + struct.pack(">I", zlib.crc32(b"cICP" + numbers))
        (tmp_path / "a.png").write_bytes(data[:33] + tag + data[33:])
        assert len(image_losses(probe(tmp_path / "a.png"), "png")) == losses
