"""Hardware that loses frames, against software: through `open_source`, with a device that is not there."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import pytest

from tests.media import make_clip
from vsr.core.errors import NoDevice, SettingsError
from vsr.core.media import WHOLE, MediaInfo, Span
from vsr.io.base import DecodeTally
from vsr.io.decoding import hwdecode
from vsr.io.decoding.decode import open_source
from vsr.io.decoding.frames import Decoded
from vsr.io.decoding.hwdecode import Device, check_hwaccel, chosen_kind
from vsr.io.probe import probe

Fault = Callable[[Iterable[Decoded]], Iterator[Decoded]]
COUNT = 30


def clip(folder: Path, **options: object) -> MediaInfo:
    """Give a clip of 30 frames with B-frames, keyframes at 0, 12 and 24, and uneven times."""
    times = [number * 40 + (number % 3) * 7 for number in range(COUNT)]
    path = folder / "a.mkv"
    return probe(make_clip(path, frames=COUNT, pts=times, time_base=Fraction(1, 1000), **options))  # type: ignore[arg-type]


def device(fault: Fault, *, native: str | None = None, given: list[int] | None = None) -> Device:
    """Give a device that decodes in software from the start of the file, and then does what `fault` does."""

    def decoded(info: MediaInfo, *, seek: int | None, max_pixels: int) -> Iterator[Decoded]:
        def shown() -> Iterator[Decoded]:
            with av.open(str(info.path)) as file:
                for frame in file.decode(video=0):
                    made = frame if native is None else interleaved(frame, native)
                    yield frame.pts, frame.duration, made

        for item in fault(item for item in shown() if seek is None or (item[0] or 0) >= seek - 40):
            if given is not None:
                given.append(item[0] or 0)
            yield item

    return decoded


def interleaved(frame: av.VideoFrame, native: str) -> av.VideoFrame:
    """With several threads swscale loses samples of these now and then, unless it is told to be exact."""
    return frame.reformat(format=native, src_color_range=2, dst_color_range=2, threads=1)


def honest(shown: Iterable[Decoded]) -> Iterator[Decoded]:
    yield from shown


def swallows(shown: Iterable[Decoded]) -> Iterator[Decoded]:
    yield from (item for place, item in enumerate(shown) if place != 9)


def swallows_the_first(shown: Iterable[Decoded]) -> Iterator[Decoded]:
    yield from list(shown)[2:]


def ends_early(shown: Iterable[Decoded]) -> Iterator[Decoded]:
    yield from list(shown)[:17]


def breaks(shown: Iterable[Decoded]) -> Iterator[Decoded]:
    for place, item in enumerate(shown):
        if place == 9:
            raise av.error.ExternalError(-542398533, "generic error in an external library", "cuda")
        yield item


def breaks_at_once(shown: Iterable[Decoded]) -> Iterator[Decoded]:
    raise RuntimeError("the device is gone")
    yield from shown


def shows_another_time(shown: Iterable[Decoded]) -> Iterator[Decoded]:
    for place, (pts, duration, frame) in enumerate(shown):
        yield (pts or 0) + (place == 9), duration, frame


def shows_no_time(shown: Iterable[Decoded]) -> Iterator[Decoded]:
    for place, (pts, duration, frame) in enumerate(shown):
        yield None if place == 9 else pts, duration, frame


def shows_one_twice(shown: Iterable[Decoded]) -> Iterator[Decoded]:
    for place, item in enumerate(shown):
        yield item
        if place == 9:
            yield item


def swaps_two(shown: Iterable[Decoded]) -> Iterator[Decoded]:
    every = list(shown)
    every[9], every[10] = every[10], every[9]
    yield from every


def shows_one_too_many(shown: Iterable[Decoded]) -> Iterator[Decoded]:
    every = list(shown)
    yield from every
    yield (every[-1][0] or 0) + 40, 40, every[-1][2]


def shows_another_size(shown: Iterable[Decoded]) -> Iterator[Decoded]:
    for place, (pts, duration, frame) in enumerate(shown):
        yield pts, duration, frame.reformat(width=32, height=32) if place == 9 else frame


FAULTS = (
    swallows,
    swallows_the_first,
    ends_early,
    breaks,
    breaks_at_once,
    shows_another_time,
    shows_no_time,
    shows_one_twice,
    swaps_two,
    shows_one_too_many,
    shows_another_size,
)


def seen(info: MediaInfo, hwaccel: str, span: Span = WHOLE, **options: object) -> tuple[list[object], DecodeTally]:
    tally = DecodeTally()
    source = open_source(info, hwaccel=hwaccel, deinterlace=options.get("deinterlace", "off"))  # type: ignore[arg-type]
    frames = source.frames(span, seek=options.get("seek"), tally=tally)  # type: ignore[arg-type]
    return [
        (f.index, f.pts, f.duration, hashlib.md5(b"".join(plane.tobytes() for plane in f.planes)).hexdigest())
        for f in frames
    ], tally


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_every_frame_comes_once_whatever_the_device_does(
    fault: Fault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = clip(tmp_path)
    monkeypatch.setitem(hwdecode.DEVICES, "cuda", device(fault))
    expected, _ = seen(info, "off")
    found, tally = seen(info, "cuda")
    assert found == expected
    assert len(found) == tally.frames == COUNT
    assert tally.fell_back.startswith("cuda, after ")


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_chunk_in_the_middle_is_made_whole_too(fault: Fault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = clip(tmp_path)
    keyframe = info.packets.keyframes[1]
    span = Span(start=info.packets.pts[14], stop=info.packets.pts[28])
    monkeypatch.setitem(hwdecode.DEVICES, "cuda", device(fault))
    expected, _ = seen(info, "off", span, seek=keyframe)
    found, _ = seen(info, "cuda", span, seek=keyframe)
    assert [entry[1] for entry in expected] == list(info.packets.pts[14:28])  # type: ignore[index]
    assert found == expected


def test_a_device_that_loses_nothing_does_all_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = clip(tmp_path)
    given: list[int] = []
    monkeypatch.setitem(hwdecode.DEVICES, "cuda", device(honest, given=given))
    expected, _ = seen(info, "off")
    monkeypatch.setattr("vsr.io.decoding.decode.PyavSource._decoded", None)  # nobody may ask software
    found, tally = seen(info, "cuda")
    assert found == expected
    assert given == list(info.packets.pts)
    assert tally.fell_back == ""


@pytest.mark.parametrize(
    ("codec", "pix_fmt", "native"), [("libx264", "yuv420p", "nv12"), ("libx265", "yuv420p10le", "p010le")]
)
@pytest.mark.parametrize("deinterlace", ["off", "frame"])
def test_interleaved_frames_travel_as_those_of_software(
    codec: str, pix_fmt: str, native: str, deinterlace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where software takes over in mid-way: the deinterlacer must not see the format change."""
    options = {"x265-params": "log-level=none"} if codec == "libx265" else {}
    info = clip(tmp_path, codec=codec, pix_fmt=pix_fmt, options=options)
    expected, _ = seen(info, "off", deinterlace=deinterlace)
    for fault in (honest, swallows):
        monkeypatch.setitem(hwdecode.DEVICES, "cuda", device(fault, native=native))
        assert seen(info, "cuda", deinterlace=deinterlace)[0] == expected


def test_what_cannot_be_counted_is_decoded_in_software(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """AVI knows only when frames are decoded: a lost one would leave no gap."""
    info = probe(make_clip(tmp_path / "a.avi", frames=12))
    assert info.packets.has_decoding_times
    monkeypatch.setitem(hwdecode.DEVICES, "cuda", device(breaks_at_once))
    assert seen(info, "cuda")[0] == seen(info, "off")[0]
    assert chosen_kind("cuda", info) == ""
    with pytest.raises(SettingsError, match="packets"):
        check_hwaccel("cuda", info)


def test_a_device_that_is_not_there_is_refused_beforehand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = clip(tmp_path)
    monkeypatch.setattr(hwdecode, "device_trouble", lambda kind, codec="h264": "no such device")
    with pytest.raises(NoDevice, match="no such device") as caught:
        check_hwaccel("cuda", info)
    assert "--hwaccel" in str(caught.value.hint)
    check_hwaccel("auto", info)
    check_hwaccel("off", info)
    assert chosen_kind("auto", info) == ""


def test_a_codec_that_the_device_does_not_know_is_refused_beforehand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = clip(tmp_path, codec="mpeg4")
    trouble = {"h264": "", "mpeg4": "no decoder"}
    monkeypatch.setattr(hwdecode, "device_trouble", lambda kind, codec="h264": trouble[codec])
    with pytest.raises(SettingsError, match="mpeg4"):
        check_hwaccel("cuda", info)


def test_auto_takes_the_first_that_works_and_software_where_none_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = clip(tmp_path)
    monkeypatch.setattr(hwdecode, "device_trouble", lambda kind, codec="h264": "" if kind == "vaapi" else "none")
    monkeypatch.setitem(hwdecode.DEVICES, "vaapi", device(swallows))
    assert chosen_kind("auto", info) == "vaapi"
    found, tally = seen(info, "auto")
    assert found == seen(info, "off")[0]
    assert tally.fell_back.startswith("vaapi")


@pytest.mark.parametrize("kind", hwdecode.KINDS)
def test_every_kind_is_really_tried(kind: str) -> None:
    """Where it works nothing is said; elsewhere FFmpeg says what it lacks."""
    said = hwdecode.device_trouble(kind)
    assert said == "" or len(said) > 5


def test_a_device_that_cannot_be_opened_gives_way_to_software(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The real road, where FFmpeg has no such hardware at all."""
    info = clip(tmp_path)
    missing = next(kind for kind in hwdecode.KINDS if hwdecode.device_trouble(kind))
    found, tally = seen(info, missing)
    assert found == seen(info, "off")[0]
    assert tally.fell_back


def test_the_ffmpeg_program_is_not_asked(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="ffmpeg"):
        open_source(clip(tmp_path), decoder="ffmpeg", hwaccel="cuda")
