"""Bad input gets a clear error with the tree's exit code, and nothing half-made is left."""

from __future__ import annotations

import errno
import os
import resource
import struct
import tempfile
import zlib
from pathlib import Path

import pytest
import torch

from tests.fidelity import compare
from tests.media import damage, make_clip, make_images, make_sound, truncate


def says(ended, code, *words):
    assert ended.code == code, ended.err
    assert "Traceback" not in ended.err
    for word in words:
        assert word.lower() in ended.err.lower(), ended.err


def test_missing_file(tmp_path, vsr):
    says(vsr("upscale", tmp_path / "nothing.mp4"), 3, "nothing.mp4")


def test_folder_without_media(tmp_path, vsr):
    (tmp_path / "notes.txt").write_text("hello")
    says(vsr("upscale", tmp_path), 3, str(tmp_path))


def test_zero_bytes(tmp_path, vsr):
    (tmp_path / "empty.mp4").write_bytes(b"")
    says(vsr("upscale", tmp_path / "empty.mp4"), 3, "empty.mp4")


def test_text_renamed(tmp_path, vsr, leftovers):
    (tmp_path / "text.mp4").write_text("this is no film\n" * 100)
    says(vsr("upscale", tmp_path / "text.mp4"), 3, "text.mp4")
    assert leftovers("text.mp4") == []


def test_audio_only(tmp_path, vsr):
    only = make_sound(tmp_path / "sound.m4a")
    says(vsr("upscale", only), 3, "sound.m4a", "audio")


def test_truncated_in_mid_frame_keeps_what_decodes_and_says_so(tmp_path, vsr):
    clip = make_clip(tmp_path / "in.mkv", frames=25, width=160, height=120)
    cut = truncate(clip, tmp_path / "cut.mkv", keep=0.6)
    ended = vsr("upscale", cut, "-o", tmp_path / "out.mkv", "-m", "nearest", "--json")
    assert ended.code == 0, ended.err
    summary = ended.events[-1]
    assert 0 < summary["frames_out"] == summary["frames_in"] < 25


def test_damaged_packets_are_counted_and_strict_fails(tmp_path, vsr, leftovers):
    clip = make_clip(tmp_path / "in.mkv", frames=30, width=160, height=120, gop=10)
    bad = damage(clip, tmp_path / "bad.mkv", packet=15)
    ended = vsr("upscale", bad, "-o", tmp_path / "out.mkv", "-m", "nearest", "--json")
    assert ended.code == 0, ended.err
    summary = ended.events[-1]
    assert summary["frames_in"] == summary["frames_out"] > 0
    assert any("damaged" in w or "could not be decoded" in w for w in summary["warnings"])
    (tmp_path / "out.mkv").unlink()
    says(vsr("upscale", bad, "-o", tmp_path / "out.mkv", "-m", "nearest", "--strict", "-q"), 3, "bad.mkv")
    assert leftovers("in.mkv", "bad.mkv") == []


def test_unknown_model_names_close_matches(tmp_path, vsr):
    clip = make_clip(tmp_path / "in.mp4", frames=2)
    says(vsr("upscale", clip, "-m", "bicubik"), 4, "bicubik", "bicubic")


def test_weights_of_something_else(tmp_path, vsr):
    clip = make_clip(tmp_path / "in.mp4", frames=2)
    torch.save({"some.weight": torch.zeros(3)}, tmp_path / "other.pth")
    says(vsr("upscale", clip, "-m", tmp_path / "other.pth"), 4, "other.pth")


def test_malicious_weights_are_refused_and_run_nothing(tmp_path, vsr):
    clip = make_clip(tmp_path / "in.mp4", frames=2)
    touched = tmp_path / "touched"

    class Evil:
        def __reduce__(self):
            return os.system, (f"touch {touched}",)

    torch.save({"params": Evil()}, tmp_path / "evil.pth")
    says(vsr("upscale", clip, "-m", tmp_path / "evil.pth"), 4, "evil.pth")
    assert not touched.exists()


def test_scale_the_model_has_not(tmp_path, vsr):
    clip = make_clip(tmp_path / "in.mp4", frames=2)
    says(vsr("upscale", clip, "-m", "espcn", "-s", 7), 4, "x7", "x2")


def test_even_number_of_frames(tmp_path, vsr):
    clip = make_clip(tmp_path / "in.mp4", frames=2)
    ended = vsr("upscale", clip, "-m", "bicubic", "--frames", 2)
    assert ended.code in (2, 4)
    assert "odd" in ended.err or "frames" in ended.err


def test_output_folder_missing(tmp_path, vsr):
    clip = make_clip(tmp_path / "in.mp4", frames=2)
    says(vsr("upscale", clip, "-o", tmp_path / "no" / "out.mp4", "-m", "nearest"), 6, "no")


def test_output_folder_read_only(tmp_path, vsr, monkeypatch):
    clip = make_clip(tmp_path / "in.mp4", frames=2)
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    if os.geteuid() == 0:  # root may write anywhere: the system's answer to anybody else stands in
        make = tempfile.TemporaryFile

        def refuse(*args, dir=None, **named):
            if Path(dir) == locked:
                raise PermissionError(errno.EACCES, "Permission denied")
            return make(*args, dir=dir, **named)

        monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    says(vsr("upscale", clip, "-o", locked / "out.mp4", "-m", "nearest"), 6, "locked")
    assert list(locked.iterdir()) == []


@pytest.mark.parametrize("place", ["first", "last"])
def test_cover_art_is_never_the_video(tmp_path, vsr, place):
    clip = make_clip(tmp_path / "in.mp4", frames=6, cover=place, audio=1)
    out = tmp_path / "out.mp4"
    ended = vsr("upscale", clip, "-o", out, "-m", "nearest", "-q")
    assert ended.code == 0, ended.err
    assert compare(clip, out) == []
    import av

    with av.open(str(out)) as result:
        covers = [s for s in result.streams.video if s.disposition & av.stream.Disposition.attached_pic]
        assert len(covers) == 1 and len(result.streams.video) == 2


def test_image_that_claims_no_pixels(tmp_path, vsr):
    def part(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 0, 5, 8, 2, 0, 0, 0)
    empty = tmp_path / "empty.png"
    empty.write_bytes(b"\x89PNG\r\n\x1a\n" + part(b"IHDR", header) + part(b"IDAT", b"") + part(b"IEND", b""))
    says(vsr("upscale", empty), 3, "empty.png")


def test_output_is_input(tmp_path, vsr):
    clip = make_clip(tmp_path / "in.mp4", frames=2)
    before = clip.read_bytes()
    says(vsr("upscale", clip, "-o", clip, "-m", "nearest", "--overwrite"), 6, "source")
    assert clip.read_bytes() == before


def test_existing_output_needs_overwrite(tmp_path, vsr):
    clip = make_clip(tmp_path / "in.mp4", frames=2)
    out = tmp_path / "out.mp4"
    out.write_bytes(b"precious")
    says(vsr("upscale", clip, "-o", out, "-m", "nearest"), 6, "exists", "--overwrite")
    assert out.read_bytes() == b"precious"
    assert vsr("upscale", clip, "-o", out, "-m", "nearest", "--overwrite", "-q").code == 0
    assert out.read_bytes() != b"precious"


def test_unknown_suffix_and_unknown_preset_and_its_keys(tmp_path, vsr):
    clip = make_clip(tmp_path / "in.mp4", frames=2)
    says(vsr("upscale", clip, "-o", tmp_path / "out.xyz", "-m", "nearest"), 6, "xyz")
    says(vsr("upscale", clip, "--preset", "wbe"), 2, "wbe", "web")
    (tmp_path / "mine.toml").write_text('description = "mine"\ncodek = "h264"\n')
    says(vsr("upscale", clip, "--preset", tmp_path / "mine.toml"), 2, "codek", "codec")


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without CUDA")
def test_cuda_without_cuda(tmp_path, vsr):
    clip = make_clip(tmp_path / "in.mp4", frames=2)
    says(vsr("upscale", clip, "--device", "cuda", "-m", "nearest"), 5, "cuda")


def test_scale_and_size_together(tmp_path, vsr):
    clip = make_clip(tmp_path / "in.mp4", frames=2)
    says(vsr("upscale", clip, "-s", 2, "--height", 96), 2, "--scale")


def test_no_frames_in_the_span(tmp_path, vsr):
    clip = make_clip(tmp_path / "in.mp4", frames=5)
    says(vsr("upscale", clip, "--start", "100", "-m", "nearest"), 2, "100")


def test_size_the_encoder_refuses_is_refused_before_any_work(tmp_path, vsr, leftovers):
    clip = make_clip(tmp_path / "in.mp4", frames=2)
    ended = vsr("upscale", clip, "-m", "nearest", "--width", 40000, "--height", 64, "-q")
    assert ended.code in (2, 6), ended.err
    assert "40000" in ended.err
    assert leftovers("in.mp4") == []


@pytest.mark.parametrize("size", [(1, 1), (3, 5), (17, 1)])
def test_tiny_images(tmp_path, vsr, size):
    (image,) = make_images(tmp_path / "pic", "%d.png", count=1, width=size[0], height=size[1])
    ended = vsr("upscale", image, "-o", tmp_path / "out.png", "-m", "espcn", "-q")
    assert ended.code == 0, ended.err


@pytest.mark.parametrize(
    "name", ["with space.mp4", "qu'ote\".mp4", "100%d.mp4", "ünï-🎬.mp4", "-dash.mp4", "a" * 200 + ".mp4"]
)
def test_names(tmp_path, vsr, leftovers, name, monkeypatch):
    clip = make_clip(tmp_path / "plain.mp4", frames=3)
    source = tmp_path / name
    clip.rename(source)
    monkeypatch.chdir(tmp_path)
    ended = vsr("upscale", "-m", "nearest", "-q", "--", name)
    assert ended.code == 0, ended.err
    assert len(leftovers(name)) == 1


def test_full_disk(tmp_path, vsr, leftovers):
    """A file size limit stands in for a full disk: the write fails in the middle either way."""
    clip = make_clip(tmp_path / "in.mp4", frames=40, width=160, height=120)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    import signal

    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, hard))
    try:
        ended = vsr("upscale", clip, "-o", tmp_path / "out.mkv", "-m", "bicubic", "--codec", "ffv1", "-q")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
    assert ended.code == 6, ended.err
    assert "Traceback" not in ended.err
    assert leftovers("in.mp4") == []
