"""Cases of codecs, depths, samplings, alpha and colour."""

from __future__ import annotations

from collections.abc import Iterator

from tests.matrix import make
from tests.matrix.case import Case, case
from tests.matrix.checker import Asked
from tests.matrix.make import clip, mixed, recoded
from tests.media import BT601, BT709, BT2020_PQ, Tags

LIGHT = f"-x265-params log-level=none:master-display={make.PQ}:max-cll=1000,400:hdr10=1:repeat-headers=1"
PQ_TAGS = "-color_primaries bt2020 -color_trc smpte2084 -colorspace bt2020nc -color_range tv"
HLG = Tags(matrix=9, range=1, primaries=9, transfer=18)
FULL = Tags(matrix=1, range=2, primaries=1, transfer=1)
LOSSLESS = {"codec": "ffv1"}
EXACT = Asked(mean=0.6, bias=0.1)
LOOSE = Asked(mean=6.0, bias=1.0)


def codecs() -> Iterator[Case]:
    for suffix in ("mp4", "mov", "mkv", "ts"):
        yield case(f"h264 in {suffix}", clip(suffix, audio=1, tags=BT709), suffix)
    yield case("h264 without tags", clip("mp4"), "mp4")
    yield case("hevc in mp4", clip("mp4", codec="libx265", width=64, height=64), "mp4", settings={"codec": "hevc"})
    yield case("hevc to ts", clip("ts", codec="libx265", width=64, height=64), "ts", settings={"codec": "hevc"})
    yield case(
        "av1 in mkv", clip("mkv", codec="libsvtav1", width=64, height=64, b_frames=0), "mkv", settings={"codec": "av1"}
    )
    yield case(
        "av1 in webm",
        clip("webm", codec="libsvtav1", width=64, height=64, b_frames=0),
        "webm",
        settings={"codec": "av1"},
    )
    yield case("vp9 in webm", clip("webm", codec="libvpx-vp9", audio=1, b_frames=0), "webm")
    yield case("vp9 444 in webm", clip("webm", codec="libvpx-vp9", pix_fmt="yuv444p", b_frames=0), "webm")
    yield case("vp8 in webm", recoded("webm", "-c:v libvpx -b:v 1M"), "webm", asked=LOOSE)
    yield case("mpeg2 in ts", clip("ts", codec="mpeg2video", options={"b": "4M"}), "ts")
    yield case("mpeg2 in mpg", clip("mpg", codec="mpeg2video", options={"b": "4M"}), "mkv")
    yield case("mpeg4 in avi to avi", clip("avi", codec="mpeg4", b_frames=0, options={"b": "4M"}), "avi")
    yield case("mpeg4 with b-frames in avi to mkv", clip("avi", codec="mpeg4", options={"b": "4M"}), "mkv")
    yield case(
        "prores 422 in mov",
        clip("mov", codec="prores_ks", pix_fmt="yuv422p10le", b_frames=0, tags=BT709),
        "mov",
        settings={"codec": "prores"},
    )
    yield case(
        "prores 4444 with alpha",
        clip("mov", codec="prores_ks", pix_fmt="yuva444p10le", b_frames=0),
        "mov",
        settings={"codec": "prores"},
    )
    yield case(
        "prores 4444 with alpha to h264",
        clip("mov", codec="prores_ks", pix_fmt="yuva444p10le", b_frames=0),
        "mp4",
        lost={"alpha": "alpha", "depth": "12 bits"},
    )
    yield case("ffv1 in mkv", clip("mkv", **LOSSLESS), "mkv", settings=LOSSLESS, asked=EXACT)
    yield case("ffv1 in avi", clip("avi", **LOSSLESS), "avi", asked=EXACT)
    yield case(
        "mjpeg in avi",
        clip("avi", codec="mjpeg", pix_fmt="yuvj420p", b_frames=0),
        "avi",
        asked=EXACT,
        lost={"colour tags": "players will guess", "picture": "players will guess"},
    )
    yield case("mjpeg in mov", clip("mov", codec="mjpeg", pix_fmt="yuvj422p", b_frames=0), "mov")
    yield case(
        "dnxhd in mov",
        recoded("mov", "-c:v dnxhd -profile:v dnxhr_hq -pix_fmt yuv422p", width=256, height=128, frames=3),
        "mov",
    )
    yield case("flv", mixed("flv", clip("mp4", audio=1), "-c copy"), "mkv")


def depths() -> Iterator[Case]:
    yield case("h264 10 bit", clip("mkv", pix_fmt="yuv420p10le"), "mkv")
    yield case("h264 4:2:2 10 bit", clip("mp4", pix_fmt="yuv422p10le"), "mp4")
    yield case("h264 4:4:4", clip("mkv", pix_fmt="yuv444p"), "mkv")
    yield case(
        "hevc 10 bit 4:2:2",
        clip("mkv", codec="libx265", pix_fmt="yuv422p10le", width=64, height=64),
        "mkv",
        settings={"codec": "hevc"},
    )
    yield case(
        "hevc 12 bit 4:4:4",
        clip("mp4", codec="libx265", pix_fmt="yuv444p12le", width=64, height=64),
        "mp4",
        settings={"codec": "hevc"},
    )
    yield case(
        "hevc 12 bit to h264",
        clip("mp4", codec="libx265", pix_fmt="yuv420p12le", width=64, height=64),
        "mp4",
        lost={"depth": "12 bits"},
    )
    for name in ("yuv420p10le", "yuv422p12le", "yuv444p16le", "gray", "gray10le", "gray16le"):
        yield case(
            f"ffv1 {name}",
            clip("mkv", codec="ffv1", pix_fmt=name),
            "mkv",
            settings=LOSSLESS,
            asked=EXACT,
        )
    for name in ("bgr0", "gbrp10le", "bgra", "yuva420p"):
        yield case(f"ffv1 {name}", clip("mkv", codec="ffv1", pix_fmt=name), "mkv", settings=LOSSLESS, asked=EXACT)
    yield case("rgb to h264", clip("mkv", codec="ffv1", pix_fmt="bgr0"), "mp4", asked=LOOSE)
    yield case("grey in h264", clip("mkv", pix_fmt="gray"), "mkv")
    yield case("vp9 alpha", recoded("webm", "-c:v libvpx-vp9 -pix_fmt yuva420p -b:v 1M", pix_fmt="yuva420p"), "webm")


def colours() -> Iterator[Case]:
    for name, tags in (
        ("601", BT601),
        ("709", BT709),
        ("709 full", FULL),
        ("601 full", Tags(matrix=5, range=2, primaries=5, transfer=1)),
    ):
        yield case(
            f"lossless tagged {name}",
            clip("mkv", tags=tags, **LOSSLESS),
            "mkv",
            settings=LOSSLESS,
            asked=EXACT,
        )
    yield case("h264 full range in mp4", clip("mp4", tags=FULL), "mp4")
    yield case("h264 601 in mov", clip("mov", tags=BT601), "mov")
    yield case("h264 709 full to webm", clip("mp4", tags=FULL), "webm")
    yield case(
        "hlg hevc in mp4",
        clip("mp4", codec="libx265", pix_fmt="yuv420p10le", tags=HLG, width=64, height=64),
        "mp4",
        settings={"codec": "hevc"},
    )
    yield case(
        "pq without light levels",
        clip("mkv", codec="libx265", pix_fmt="yuv420p10le", tags=BT2020_PQ, width=64, height=64),
        "mkv",
        settings={"codec": "hevc"},
    )
    big = {"pix_fmt": "yuv420p10le", "width": 64, "height": 64, "frames": 4, "tags": BT2020_PQ}
    for suffix in ("mp4", "mkv", "mov", "ts"):
        yield case(
            f"hdr10 hevc in {suffix}",
            recoded(suffix, f"-c:v libx265 {LIGHT} {PQ_TAGS}", **big),
            suffix,
            settings={"codec": "hevc"},
        )
    svt = f"-c:v libsvtav1 -preset 12 -svtav1-params mastering-display={make.PQ_AV1}:content-light=1000,400 {PQ_TAGS}"
    yield case("hdr10 av1 in mp4", recoded("mp4", svt, **big), "mp4", settings={"codec": "av1"})
    yield case("hdr10 av1 to webm", recoded("mkv", svt, **big), "webm", settings={"codec": "av1"})
