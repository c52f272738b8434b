"""Extraction as a function: which files stand in the folder, what they hold, and that a broken run goes on."""

from __future__ import annotations

import errno
import hashlib
import os
from dataclasses import replace
from fractions import Fraction

import cv2
import numpy as np
import pytest

from tests.media import BT709, make_clip, make_images, make_sound, picture, planes_of, read_number, truncate
from tests.scanlines import HEIGHT, TOP, WIDTH, woven, write
from vsr.core.errors import (
    ChangedSinceStart,
    DiskFull,
    InputError,
    InputMissing,
    JobLocked,
    NotMedia,
    OutputExists,
    UnsupportedInput,
    UsageError,
)
from vsr.core.events import Warned, Worked
from vsr.core.frame import pixel_format
from vsr.data import extract as extracting
from vsr.data import ledger, manifest
from vsr.data.extract import extract
from vsr.data.extraction import Box, Extraction
from vsr.data.stills import losses, still_maker
from vsr.io.probe import probe


def tree(folder):
    """Give every file below a folder with the digest of its bytes."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(f.relative_to(folder)): hashlib.sha256(f.read_bytes()).hexdigest() for f in files}


def pictures(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*.*") if path.suffix != ".jsonl")


def shown(path):
    """Give the number painted into a picture."""
    return read_number(cv2.imread(str(path), cv2.IMREAD_UNCHANGED)[..., 1])


@pytest.fixture
def clip(tmp_path):
    return make_clip(tmp_path / "clip.mkv", frames=12, cuts=(8,))


def test_every_frame_is_there_once_and_the_manifest_tells_it(clip, tmp_path):
    result = extract(clip, tmp_path / "out")
    records = manifest.read(tmp_path / "out" / manifest.NAME)
    assert [record["file"] for record in records] == [f"clip/{k:06d}.png" for k in range(12)]
    assert pictures(tmp_path / "out") == [record["file"] for record in records]
    for number, (record, (pts, _)) in enumerate(zip(records, planes_of(clip), strict=True)):
        path = tmp_path / "out" / str(record["file"])
        assert shown(path) == number == record["index"]
        assert record["pts"] == pts and record["time_base"] == "1/1000" and record["time"] == pts / 1000
        assert record["source"] == str(clip)
        assert record["shot"] == (number >= 8)
        assert record["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (result.pictures, result.frames, result.dropped, result.failures) == (12, 12, {}, ())


@pytest.mark.parametrize(
    ("wish", "indices"),
    [
        (Extraction(every=5), [0, 5, 10]),
        (Extraction(rate=Fraction(5)), [0, 5, 10]),
        (Extraction(rate=Fraction(100)), list(range(12))),
        (Extraction(at=(Fraction("0.21"), Fraction(0), Fraction("0.479"))), [0, 5, 11]),
    ],
)
def test_frames_are_chosen(wish, indices, clip, tmp_path):
    extract(clip, tmp_path / "out", wish)
    assert pictures(tmp_path / "out") == [f"clip/{k:06d}.png" for k in indices]
    assert [shown(tmp_path / "out" / f"clip/{k:06d}.png") for k in indices] == indices


@pytest.mark.parametrize("name", ["c.mp4", "c.ts", "c.avi", "c.mpg"])
def test_times_are_found_by_seeking_in_every_container(name, tmp_path):
    codec = "mpeg2video" if name == "c.mpg" else "libx264"
    clip = make_clip(tmp_path / name, frames=40, gop=10, codec=codec, b_frames=0 if name == "c.avi" else 2)
    extract(clip, tmp_path / "out", Extraction(at=(Fraction("0.6"), Fraction("1.4"))))
    assert [shown(path) for path in sorted((tmp_path / "out" / "c").iterdir())] == [15, 35]


def test_windows_lie_in_one_shot_each_in_a_folder_of_its_own(clip, tmp_path):
    extract(clip, tmp_path / "out", Extraction(windows=2, stride=2))
    found = [path.rsplit("/", 1) for path in pictures(tmp_path / "out")]
    windows = [[int(name[:6]) for place, name in found if place == f"clip/window_{k:06d}"] for k in range(3)]
    assert windows == [[0, 2], [3, 5], [8, 10]]
    records = manifest.read(tmp_path / "out" / manifest.NAME)
    assert [(r["window"], r["shot"], r["index"]) for r in records] == [
        (0, 0, 0), (0, 0, 2), (1, 0, 3), (1, 0, 5), (2, 1, 8), (2, 1, 10),
    ]  # fmt: skip


def test_windows_that_nothing_fits_are_refused_and_leave_nothing(clip, tmp_path):
    with pytest.raises(UnsupportedInput, match="no window of 9 frames in one shot"):
        extract(clip, tmp_path / "out", Extraction(windows=9))
    assert not (tmp_path / "out").exists()


def test_shots_get_folders(clip, tmp_path):
    extract(clip, tmp_path / "out", Extraction(shots=True, every=4))
    expected = ["clip/shot_0000/000000.png", "clip/shot_0000/000004.png", "clip/shot_0001/000008.png"]
    assert pictures(tmp_path / "out") == expected


@pytest.mark.parametrize("kind", ["gbrp", "gbrp16le"])
def test_rgb_sources_come_out_bit_by_bit(kind, tmp_path):
    """FFV1 is lossless: the picture written is the picture drawn."""
    clip = make_clip(tmp_path / "c.mkv", frames=2, codec="ffv1", pix_fmt="bgr0" if kind == "gbrp" else kind)
    extract(clip, tmp_path / "out", Extraction(depth=8 if kind == "gbrp" else 16))
    for number in range(2):
        green, blue, red = picture(number, pixel_format(kind), 64, 48)
        found = cv2.imread(str(tmp_path / "out" / "c" / f"{number:06d}.png"), cv2.IMREAD_UNCHANGED)
        assert np.array_equal(found, np.dstack([blue, green, red]))


def test_yuv_becomes_rgb_by_the_tagged_matrix_and_range(tmp_path):
    """ITU-R BT.709-6 item 3: written out; one code for rounding float32 against float64."""
    clip = make_clip(tmp_path / "c.mkv", frames=1, codec="ffv1", pix_fmt="yuv444p", tags=BT709)
    extract(clip, tmp_path / "out")
    y, cb, cr = (plane.astype(float) for plane in planes_of(clip)[0][1])
    y, cb, cr = (y - 16) / 219, (cb - 128) / 224, (cr - 128) / 224
    rgb = [y + 1.5748 * cr, y - 0.187324 * cb - 0.468124 * cr, y + 1.8556 * cb]
    found = cv2.imread(str(tmp_path / "out" / "c" / "000000.png"))[..., ::-1]
    assert np.abs(found - np.clip(np.dstack(rgb) * 255, 0, 255)).max() <= 1


def test_pictures_are_cut_then_resized(tmp_path):
    clip = make_clip(tmp_path / "c.mkv", frames=1, codec="ffv1", pix_fmt="bgr0")
    green, blue, red = picture(0, pixel_format("gbrp"), 64, 48)
    whole = np.dstack([blue, green, red])
    extract(clip, tmp_path / "a", Extraction(crop=Box(width=20, height=10, x=7, y=3)))
    assert np.array_equal(cv2.imread(str(tmp_path / "a/c/000000.png")), whole[3:13, 7:27])
    extract(clip, tmp_path / "b", Extraction(square=True))
    assert np.array_equal(cv2.imread(str(tmp_path / "b/c/000000.png")), whole[:, 8:56])
    extract(clip, tmp_path / "c", Extraction(square=True, size=(16, 16)))
    assert cv2.imread(str(tmp_path / "c/c/000000.png")).shape == (16, 16, 3)


def test_a_box_outside_of_the_frame_is_refused_before_anything_is_made(clip, tmp_path):
    with pytest.raises(UnsupportedInput, match=r"clip\.mkv is 64x48: the box 60x10\+7\+0"):
        extract(clip, tmp_path / "out", Extraction(crop=Box(width=60, height=10, x=7)))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("format", "head"), [("jpg", b"\xff\xd8\xff"), ("webp", b"RIFF")])
def test_formats_and_quality(format, head, clip, tmp_path):
    sizes = []
    for quality in (20, 90):
        out = tmp_path / f"q{quality}"
        extract(clip, out, Extraction(every=12, format=format, quality=quality))
        data = (out / "clip" / f"000000.{format}").read_bytes()
        assert data.startswith(head)
        sizes.append(len(data))
    assert sizes[0] < sizes[1]


def test_jpeg_keeps_chroma_at_full_resolution(clip, tmp_path):
    """ITU-T T.81 B.2.2: in SOF0 every component's sampling factors are 1x1."""
    extract(clip, tmp_path / "out", Extraction(every=12, format="jpg"))
    data = (tmp_path / "out/clip/000000.jpg").read_bytes()
    start = data.index(b"\xff\xc0")
    assert [data[start + 11 + 3 * k] for k in range(3)] == [0x11, 0x11, 0x11]


def test_black_blurred_and_repeated_frames_are_left_out_and_counted(tmp_path):
    files = make_images(tmp_path / "frames", count=8, width=96, height=64)
    grain = np.random.default_rng(0)
    for k, file in enumerate(files):
        image = cv2.imread(str(file))
        image = np.clip(image + grain.normal(0, 30, image.shape), 0, 255).astype(np.uint8)
        image = {2: np.zeros_like(image), 4: cv2.GaussianBlur(image, (0, 0), 4)}.get(k, image)
        cv2.imwrite(str(file), image)
    files[6].write_bytes(files[5].read_bytes())
    wish = Extraction(duplicates=0.006, blurred=0.58, black=0.98)
    result = extract(tmp_path / "frames" / "%05d.png", tmp_path / "out", wish)
    assert pictures(tmp_path / "out") == [f"frames/{k:06d}.png" for k in (0, 1, 3, 5, 7)]
    assert result.dropped == {"black": 1, "blurred": 1, "duplicate": 1}


def test_same_names_are_told_apart_and_folders_walked(tmp_path):
    for place in ("a", "b/deep", ".hidden"):
        (tmp_path / "in" / place).mkdir(parents=True)
        make_clip(tmp_path / "in" / place / "clip.mp4", frames=2)
    make_clip(tmp_path / "in" / "b" / "clip.MKV", frames=2, format="matroska")
    (tmp_path / "in" / "notes.txt").write_text("no video")
    result = extract([tmp_path / "in", tmp_path / "in" / "a" / "clip.mp4"], tmp_path / "out")
    names = {source.name: source.path for source in result.sources}
    assert names == {
        "clip": str(tmp_path / "in/a/clip.mp4"),
        "clip-2": str(tmp_path / "in/b/clip.MKV"),
        "clip-3": str(tmp_path / "in/b/deep/clip.mp4"),
    }
    assert [record["source"] for record in manifest.read(tmp_path / "out" / manifest.NAME)][::2] == [*names.values()]


def test_a_bad_source_among_good_ones_is_named_and_leaves_nothing(clip, tmp_path):
    sound = make_sound(tmp_path / "sound.mp4")
    seen = []
    result = extract([sound, clip, tmp_path / "gone.mp4"], tmp_path / "out", report=seen.append)
    assert [failure.path.name for failure in result.failures] == ["sound.mp4", "gone.mp4"]
    assert {path.split("/")[0] for path in pictures(tmp_path / "out")} == {"clip"}
    assert len([event for event in seen if isinstance(event, Warned)]) == 2
    with pytest.raises(extracting.PartialFailure, match="2 of 3 inputs"):
        extracting.raise_failures(result)


@pytest.mark.parametrize("kind", ["missing", "sound", "text", "empty", "folder"])
def test_a_single_bad_input_raises_and_makes_nothing(kind, tmp_path):
    path = tmp_path / "in.mp4"
    error: type[InputError] = NotMedia
    if kind == "missing":
        error = InputMissing
    elif kind == "sound":
        make_sound(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path.write_text("hello" if kind == "text" else "")
    with pytest.raises(error, match=r"in\.mp4"):
        extract(path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_truncated_clip_gives_what_is_there_and_says_so(tmp_path):
    clip = make_clip(tmp_path / "whole.mkv", frames=60, width=96, height=64)
    seen = []
    result = extract(truncate(clip, tmp_path / "cut.mkv", keep=0.5), tmp_path / "out", report=seen.append)
    assert 0 < result.pictures < 60
    assert any("breaks off" in event.message for event in seen if isinstance(event, Warned))


def test_the_same_call_again_does_nothing_and_another_is_refused(clip, tmp_path):
    out = tmp_path / "out"
    extract(clip, out, Extraction(every=3))
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.png")}
    again = extract(clip, out, Extraction(every=3))
    assert (again.resumed, again.pictures) == (1, 4)
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*.png")} == before
    with pytest.raises(OutputExists) as refused:
        extract(clip, out, Extraction(every=4))
    assert "every was 3, is 4" in str(refused.value.hint)
    extract(clip, out, Extraction(every=4), overwrite=True)
    assert pictures(out) == [f"clip/{k:06d}.png" for k in (0, 4, 8)]


def test_more_inputs_later_join_what_is_there(clip, tmp_path):
    other = make_clip(tmp_path / "other.mp4", frames=3)
    extract(clip, tmp_path / "out")
    assert extract([other, clip], tmp_path / "out").resumed == 1
    extract([clip, other], tmp_path / "at-once")
    assert tree(tmp_path / "out").keys() == tree(tmp_path / "at-once").keys()
    assert manifest.read(tmp_path / "out" / manifest.NAME) == manifest.read(tmp_path / "at-once" / manifest.NAME)


def test_a_finished_source_that_changed_is_refused(clip, tmp_path):
    extract(clip, tmp_path / "out")
    make_clip(clip, frames=3)
    with pytest.raises(ChangedSinceStart, match=r"clip\.mkv has changed"):
        extract(clip, tmp_path / "out")


def test_a_source_that_changed_half_way_is_begun_anew(clip, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        _fill_disk(patch, after=6)
        with pytest.raises(DiskFull):
            extract(clip, tmp_path / "out", Extraction(shots=True), workers=1)
    make_clip(clip, frames=4, width=96)
    extract(clip, tmp_path / "out", Extraction(shots=True))
    extract(clip, tmp_path / "fresh", Extraction(shots=True))
    assert pictures(tmp_path / "out") == pictures(tmp_path / "fresh")
    assert manifest.read(tmp_path / "out" / manifest.NAME) == manifest.read(tmp_path / "fresh" / manifest.NAME)


@pytest.mark.parametrize(
    "line", ['{"kind": "done"}', '{"kind": "source", "source": "x"}', '{"kind": "x", "source": "x"}']
)
def test_a_damaged_journal_is_named(line, clip, tmp_path):
    extract(clip, tmp_path / "out")
    with (tmp_path / "out" / ledger.NAME).open("a") as file:
        file.write(line + "\n")
    with pytest.raises(InputError, match=r"extract\.jsonl is damaged"):
        extract(clip, tmp_path / "out")
    assert extract(clip, tmp_path / "out", overwrite=True).pictures == 12


@pytest.mark.parametrize("settings", [{}, {"windows": 2, "count": 2}, {"shots": True, "format": "jpg"}])
def test_a_run_broken_off_at_any_picture_ends_as_one_that_was_not(settings, clip, tmp_path, monkeypatch):
    wish = Extraction(**settings)
    other = make_clip(tmp_path / "other.mp4", frames=6)
    whole = extract([clip, other], tmp_path / "whole", wish)
    for stop in (1, 5, whole.pictures):
        out = tmp_path / f"out{stop}"
        with monkeypatch.context() as patch:
            _fill_disk(patch, after=stop)
            with pytest.raises(DiskFull) as full:
                extract([clip, other], out, wish, workers=2)
        assert "goes on from there" in full.value.__notes__[-1]
        # As a kill leaves it: half a picture under a temporary name, half a line.
        (out / "clip").mkdir(exist_ok=True)
        (out / "clip" / ".vsr-part-0123.png").write_bytes(b"half")
        with (out / manifest.NAME).open("ab") as file:
            file.write(b'{"file": "cl')
        extract([clip, other], out, wish)
        assert tree(out).keys() == tree(tmp_path / "whole").keys()
        assert {k: v for k, v in tree(out).items() if k != ledger.NAME} == {
            k: v for k, v in tree(tmp_path / "whole").items() if k != ledger.NAME
        }


def _fill_disk(patch, *, after):
    written = 0
    real = extracting.cutting.write_whole

    def write(target, data):
        nonlocal written
        written += 1
        if written >= after:
            raise DiskFull(f"no space left for {target}: {os.strerror(errno.ENOSPC)}")
        real(target, data)

    patch.setattr(extracting.cutting, "write_whole", write)


def test_a_folder_of_other_things_is_refused(clip, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    with pytest.raises(OutputExists, match="holds other things"):
        extract(clip, tmp_path / "out")
    extract(clip, tmp_path / "out", overwrite=True)
    assert (tmp_path / "out" / "mine.txt").read_text() == "mine"
    extract(clip, tmp_path / "out", Extraction(every=6), overwrite=True)
    assert pictures(tmp_path / "out") == ["clip/000000.png", "clip/000006.png", "mine.txt"]


def test_a_manifest_of_another_command_is_not_written_over(clip, tmp_path):
    (tmp_path / "out").mkdir()
    manifest.write(tmp_path / "out" / manifest.NAME, [{"manifest": "prepare"}])
    with pytest.raises(OutputExists, match="did not write"):
        extract(clip, tmp_path / "out", overwrite=True)
    assert manifest.read(tmp_path / "out" / manifest.NAME) == [{"manifest": "prepare"}]


def test_two_cannot_work_in_one_folder(clip, tmp_path):
    with ledger.open_ledger(tmp_path / "out", Extraction(), overwrite=False), pytest.raises(JobLocked):
        extract(clip, tmp_path / "out")


def test_progress_ends_with_all_frames(clip, tmp_path):
    seen = []
    extract(clip, tmp_path / "out", Extraction(windows=2), report=seen.append)
    last = [event for event in seen if isinstance(event, Worked)][-1]
    assert (last.done, last.total) == (24, 24)  # decoded twice
    assert last.note == "12 pictures, 1 of 1 sources"


@pytest.mark.parametrize(
    "settings",
    [
        {"every": 2, "windows": 3}, {"every": 0}, {"rate": Fraction(0)}, {"at": (Fraction(-1),)}, {"stride": 2},
        {"count": 3}, {"shots": True, "windows": 3}, {"depth": 16, "format": "jpg"}, {"quality": 50},
        {"format": "jpg", "quality": 0}, {"square": True, "crop": Box(width=1, height=1)}, {"black": 1.5},
        {"size": (0, 4)}, {"windows": 0},
    ],
)  # fmt: skip
def test_wishes_that_cannot_be_are_refused(settings):
    with pytest.raises(UsageError):
        Extraction(**settings)


def test_what_is_interlaced_or_mirrored_is_told(tmp_path):
    def moving(moment):
        return 128 + 100 * np.sin((np.arange(WIDTH) + 5 * moment) / 4) * np.ones((HEIGHT, 1))

    write(tmp_path / "tape.mp4", woven(moving, 8, first=TOP), flag="tff")
    said = []
    extract(tmp_path / "tape.mp4", tmp_path / "out", report=lambda e: said.append(e) if isinstance(e, Warned) else None)
    (warning,) = [event.message for event in said]
    assert "interlaced" in warning and "vsr upscale tape.mp4 -o merged.mkv" in warning
    video = replace(probe(tmp_path / "tape.mp4").video, display_matrix=(-65536, 0, 0, 0, 65536, 0, 0, 0, 1 << 30))
    mirrored = replace(probe(tmp_path / "tape.mp4"), video=video)
    assert losses(mirrored, still_maker(mirrored, Extraction())) == [
        "images hold no rotation: they are written unturned (mirrored)"
    ]


def test_a_profile_that_is_left_out_is_told(tmp_path):
    info = probe(make_images(tmp_path / "shots", count=2)[0].parent)
    tagged = replace(info, video=replace(info.video, side_data=("ICC profile (RGB, Display P3)",)))
    (said,) = losses(tagged, still_maker(tagged, Extraction()))
    assert said.startswith("ICC profile (RGB, Display P3) is left out")
