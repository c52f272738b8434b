"""Cases of times: constant, variable, broken ones, and of fields."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from tests.matrix import make
from tests.matrix.case import Case, case
from tests.matrix.checker import Asked
from tests.matrix.make import clip, mixed, recoded, third

LOSSLESS = {"codec": "ffv1"}
SOUND = "-f lavfi -i sine=frequency=330:sample_rate=48000:duration=0.32"


def times() -> Iterator[Case]:
    hold = third(40, hold=3000)
    ms = Fraction(1, 1000)
    for suffix in ("mkv", "mp4", "mov", "webm"):
        codec = {"codec": "libvpx-vp9"} if suffix == "webm" else {}
        yield case(
            f"vfr with a hold of 3 s in {suffix}",
            clip(suffix, pts=hold, time_base=ms, b_frames=0, **codec),
            suffix,
        )
    yield case(
        "vfr ts",
        clip("ts", pts=[0, 3600, 7200, 14400, 18000, 28800, 32400, 36000], time_base=Fraction(1, 90000), b_frames=0),
        "ts",
    )
    yield case("vfr mkv to mp4", clip("mkv", pts=third(17, hold=400), time_base=ms), "mp4")
    yield case("vfr mp4 of 90 kHz to mkv", clip("mp4", pts=third(3003, hold=2000), time_base=Fraction(1, 90000)), "mkv")
    yield case(
        "vfr with b-frames", clip("mp4", pts=[0, 1, 3, 4, 9, 10, 14, 15], time_base=Fraction(1, 30), b_frames=2), "mp4"
    )
    yield case(
        "vfr to avi is refused",
        clip("mkv", pts=[0, 33, 70, 119, 190, 230, 260, 301], time_base=ms, b_frames=0),
        "avi",
        refused=(6, "cannot hold the times"),
    )
    for name, rate in make.RATES.items():
        yield case(f"{name} rate in mp4", clip("mp4", rate=rate, audio=1), "mp4")
        yield case(f"{name} rate in mkv to mov", clip("mkv", rate=rate), "mov")
    yield case("ntsc rate in ts to mp4", clip("ts", rate=make.RATES["ntsc"], audio=1), "mp4")
    yield case("video starts at 0.4 s", clip("mp4", pts=third(1, start=10), audio=1), "mp4")
    yield case(
        "video starts at 10 s in ts",
        clip("ts", pts=third(3600, start=900000), time_base=Fraction(1, 90000)),
        "ts",
    )
    yield case(
        "sound 1.2 s later",
        mixed("mkv", clip("mkv"), f"-itsoffset 1.2 {SOUND} -map 0 -map 1 -c:v copy -c:a flac"),
        "mkv",
    )
    yield case(
        "sound 1.2 s later in mp4",
        mixed("mp4", clip("mp4"), f"-itsoffset 1.2 {SOUND} -map 0 -map 1 -c:v copy -c:a aac"),
        "mp4",
    )
    yield case(
        "sound begins before zero", mixed("mp4", clip("mp4"), f"{SOUND} -map 0 -map 1 -c:v copy -c:a aac"), "mkv"
    )
    yield case(
        "sound before zero to ts",
        mixed("mp4", clip("mp4"), f"{SOUND} -map 0 -map 1 -c:v copy -c:a aac"),
        "ts",
        lost={"start": "before zero", "dispositions": ""},
    )
    yield case("gaps", clip("mkv", pts=[0, 40, 80, 400, 440, 1000, 1040, 1080], time_base=ms), "mkv")
    yield case(
        "repeated times",
        clip("mkv", pts=[0, 40, 40, 120, 160, 200, 240, 280], time_base=ms, b_frames=0, **LOSSLESS),
        "mkv",
        lost={"times": "one tick"},
    )
    yield case("edit list cuts in front", mixed("mp4", clip("mp4", gop=4, audio=1), "-c copy", first="-ss 0.08"), "mp4")
    yield case(
        "open gop",
        clip("mp4", frames=12, gop=4, options={"x264-params": "open-gop=1:keyint=4:bframes=2:scenecut=0"}),
        "mp4",
    )
    yield case("many b-frames", clip("mkv", frames=12, b_frames=3, options={"x264-params": "b-pyramid=normal"}), "mkv")
    yield case("one frame", clip("mp4", frames=1), "mp4")
    yield case("two frames with b-frames", clip("mkv", frames=2), "mkv")
    wrap = mixed("ts", clip("ts", audio=1), "-c copy -output_ts_offset 95441.9")  # FFmpeg gives times below zero before
    yield case("33-bit wrap in ts", wrap, "ts", lost={"start": "before zero"})
    yield case("33-bit wrap to mp4", wrap, "mp4", lost={"start": "starts"})
    yield case("33-bit wrap to mkv", wrap, "mkv", lost={"start": "starts"})
    yield case("fragmented", clip("mp4", audio=1, container_options={"movflags": "frag_keyframe+empty_moov"}), "mp4")
    yield case(
        "a part",
        clip("mkv", frames=12, audio=2),
        "mkv",
        settings={"start": "0.12", "end": "0.36"},
        asked=Asked(start=Fraction(12, 100), stop=Fraction(36, 100)),
    )


def fields() -> Iterator[Case]:
    # The lower half alone, where nothing flickers: a pattern of numbers changes from field to field and back again.
    woven = "-vf crop=48:32:0:32,interlace=scan={0}:lowpass=off -flags +ildct+ilme"
    slow = {"frames": 12, "rate": 50, "height": 64}
    for order in ("tff", "bff"):
        x264 = f" -c:v libx264 -x264-params {order}=1 -crf 10"
        yield case(
            f"interlaced {order} mpeg2",
            recoded("ts", woven.format(order) + " -c:v mpeg2video -b:v 4M", **slow),
            "ts",
            asked=Asked(mean=9.0, bias=2.0),
        )
        yield case(
            f"interlaced {order} h264, as it is",
            recoded("mkv", woven.format(order) + x264, **slow),
            "mkv",
            settings={"deinterlace": "off"},
            asked=Asked(mean=4.0),
        )
        yield case(
            f"interlaced {order}, a frame a field",
            recoded("mp4", woven.format(order) + x264, **slow),
            "mp4",
            settings={"deinterlace": "field"},
            asked=Asked(fields=2, mean=9.0, bias=2.0),
        )
