"""Cases of geometry, and of what lies beside the video."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from tests.matrix import make
from tests.matrix.case import Case, case
from tests.matrix.checker import Asked
from tests.matrix.make import beside, captioned, clip, mixed

LOSSLESS = {"codec": "ffv1"}
EXACT = Asked(mean=0.6, bias=0.1)
SOUND = "-f lavfi -i sine=frequency=330:sample_rate=48000:duration=0.32"


def shapes() -> Iterator[Case]:
    yield case("sar 32:27 in mp4", clip("mp4", sar=Fraction(32, 27)), "mp4")
    for suffix in ("mkv", "mov", "ts", "webm"):
        yield case(f"sar 32:27 to {suffix}", clip("mkv", sar=Fraction(32, 27)), suffix)
    yield case(
        "sar to avi", clip("mkv", sar=Fraction(64, 45), b_frames=0), "avi", lost={"aspect ratio": "aspect ratio"}
    )
    for degrees in (90, 180, 270):
        yield case(f"turned {degrees} in mp4", clip("mp4", rotation=degrees), "mp4")
    yield case("turned 90 to mkv", clip("mp4", rotation=90), "mkv")
    yield case("turned 90 to mov", clip("mp4", rotation=90), "mov")
    yield case("turned 90 to webm", clip("mp4", rotation=90), "webm")
    yield case("turned 90 to ts", clip("mp4", rotation=90), "ts", lost={"rotation and mirror": "rotation"})
    yield case("mirrored", mixed("mp4", clip("mp4"), "-c copy", first="-display_hflip"), "mp4")
    yield case(
        "mirrored and turned", mixed("mov", clip("mov"), "-c copy", first="-display_rotation 90 -display_hflip"), "mov"
    )
    yield case("mirrored to mkv", mixed("mp4", clip("mp4"), "-c copy", first="-display_vflip"), "mkv")
    yield case(
        "turned, baked in",
        clip("mp4", rotation=90),
        "mp4",
        settings={"autorotate": True},
        asked=Asked(is_turned=True, mean=3.0),
    )
    yield case(
        "square pixels",
        clip("mp4", sar=Fraction(4, 3)),
        "mp4",
        settings={"square_pixels": True},
        asked=Asked(has_square_pixels=True, mean=6.0),
    )
    yield case(
        "odd size, lossless",
        clip("mkv", width=47, height=31, **LOSSLESS),
        "mkv",
        settings=LOSSLESS,
        asked=Asked(mean=1.0, bias=0.3),
    )
    yield case("odd size of vp9", clip("webm", codec="libvpx-vp9", width=47, height=31, b_frames=0), "webm")
    yield case(
        "odd result in 4:4:4",
        clip("mkv", width=47, height=31, pix_fmt="yuv444p", **LOSSLESS),
        "mkv",
        settings={"codec": "ffv1", "scale": 3.0},
        asked=Asked(scale=Fraction(3), mean=0.6, bias=0.1),
    )
    yield case(
        "scale 1.5",
        clip("mp4"),
        "mp4",
        settings={"scale": 1.5},
        asked=Asked(scale=Fraction(3, 2), mean=8.0, bias=1.0),
    )
    yield case(
        "scale 1",
        clip("mkv", **LOSSLESS),
        "mkv",
        settings={"codec": "ffv1", "scale": 1.0},
        asked=Asked(scale=Fraction(1), mean=0.01, bias=0.01),
    )
    yield case(
        "exact size",
        clip("mp4"),
        "mp4",
        settings={"scale": None, "width": 100, "height": 70},
        asked=Asked(size=(100, 70), mean=8.0, bias=1.0),
    )
    yield case("tiny", clip("mkv", width=16, height=16, **LOSSLESS), "mkv", settings=LOSSLESS, asked=EXACT)
    yield case(
        "one pixel",
        clip("mkv", width=1, height=1, pix_fmt="yuv444p", **LOSSLESS),
        "mkv",
        settings=LOSSLESS,
        asked=EXACT,
    )


def streams() -> Iterator[Case]:
    three = (
        f"{SOUND} -map 0:v -map 1 -map 1 -map 1 -c:v copy -c:a:0 aac -c:a:1 ac3 -c:a:2 {{}} "
        "-metadata:s:a:0 language=eng -metadata:s:a:1 language=fra -metadata:s:a:2 language=jpn "
        "-disposition:a:0 default -disposition:a:1 0 -metadata:s:a:1 title=Ton"
    )
    pcm = f"{SOUND} -map 0 -map 1 -c:v copy -c:a"
    yield case("three sounds in mkv", mixed("mkv", clip("mkv"), three.format("flac")), "mkv")
    yield case("three sounds in mp4", mixed("mp4", clip("mp4"), three.format("flac") + " -strict -2"), "mp4")
    yield case("three sounds in mov", mixed("mov", clip("mov"), three.format("pcm_s24le")), "mov")
    yield case("three sounds in ts", mixed("ts", clip("ts"), three.format("mp2")), "ts")
    yield case("pcm big-endian to mkv", mixed("mov", clip("mov"), f"{pcm} pcm_s16be"), "mkv")
    yield case("pcm big-endian of 24 bits to mp4", mixed("mov", clip("mov"), f"{pcm} pcm_s24be"), "mp4")
    yield case("pcm to mp4", mixed("mkv", clip("mkv"), f"{pcm} pcm_s16le"), "mp4")
    yield case(
        "pcm to ts",
        mixed("mkv", clip("mkv"), f"{pcm} pcm_s16le"),
        "ts",
        lost={"sound": "lossy", "start": "before zero"},
    )
    yield case("pcm in avi", mixed("avi", clip("avi", **LOSSLESS), f"{pcm} pcm_s16le"), "avi", asked=EXACT)
    yield case("mp3 in avi", clip("avi", audio=1, **LOSSLESS), "avi", asked=EXACT)
    yield case("no sound wanted", clip("mp4", audio=1), "mp4", settings={"audio": False}, asked=Asked(has_sound=False))
    words = (
        "-i @/t.srt -i @/t.ass -map 0 -map 1 -map 2 -c copy -metadata:s:s:0 language=eng -metadata:s:s:0 title=Signs"
    )
    texts = beside(mixed("mkv", clip("mkv"), words), t_srt=make.srt(), t_ass=make.ass())
    yield case("srt and ass in mkv", texts, "mkv")
    yield case("srt and ass to mp4", texts, "mp4")
    yield case("srt and ass to mov", texts, "mov")
    yield case("srt to webm", clip("mkv", subtitles=("srt",)), "webm")
    yield case("srt to ts is lost", clip("mkv", subtitles=("srt",)), "ts", lost={"subtitles": "subtitles"})
    yield case(
        "mov_text to mkv",
        beside(
            mixed("mp4", clip("mp4"), "-i @/t.srt -map 0 -map 1 -c:v copy -c:s mov_text -metadata:s:s language=deu"),
            t_srt=make.srt(),
        ),
        "mkv",
    )
    yield case(
        "mov_text in mov",
        beside(mixed("mov", clip("mov"), "-i @/t.srt -map 0 -map 1 -c:v copy -c:s mov_text"), t_srt=make.srt()),
        "mov",
    )
    bitmap = beside(
        mixed("mkv", clip("mkv"), "-i @/t.sup -map 0 -map 1 -c copy -metadata:s:s language=ger -disposition:s forced"),
        t_sup=make.pgs(),
    )
    yield case("pgs in mkv", bitmap, "mkv")
    yield case("pgs to ts is lost", bitmap, "ts", lost={"subtitles": "PGS"})
    yield case("pgs to mp4 is lost", bitmap, "mp4", lost={"subtitles": "PGS"})
    yield case(
        "dvdsub in mkv",
        beside(mixed("mkv", clip("mkv"), "-i @/t.sup -map 0 -map 1 -c:v copy -c:s dvdsub"), t_sup=make.pgs()),
        "mkv",
    )
    marked = clip(
        "mkv",
        chapters=((0.0, 0.12, "One"), (0.12, 0.32, "Zwei ü")),
        metadata={"title": "A film", "artist": "Somebody"},
        attachment=b"not really a font" * 9,
        language="eng",
    )
    yield case("chapters and fonts in mkv", marked, "mkv")
    yield case("chapters and fonts to mp4", marked, "mp4", lost={"attachments": "attachments"})
    yield case("chapters and fonts to mov", marked, "mov", lost={"attachments": "attachments"})
    yield case("chapters and fonts to webm", marked, "webm", lost={"attachments": "attachments"})
    yield case(
        "chapters to ts are lost",
        marked,
        "ts",
        lost={"attachments": "attachments", "chapters": "chapters", "metadata": "metadata", "languages": ""},
    )
    yield case("cover as stream 0 in mp4", clip("mp4", cover="first", audio=1), "mp4")
    yield case("cover in mkv", clip("mkv", cover="last"), "mkv")
    yield case("cover to mov", clip("mp4", cover="last"), "mov", lost={"cover": "cover"})
    yield case("cover to ts", clip("mp4", cover="first"), "ts", lost={"cover": "cover"})
    yield case("sound first", clip("mov", audio=2, audio_first=True), "mov")
    yield case("timecode in mov", mixed("mov", clip("mov"), "-c copy -timecode 01:02:03:04"), "mov")
    yield case("timecode to mkv", mixed("mov", clip("mov"), "-c copy -timecode 01:02:03:04"), "mkv")
    yield case(
        "timecode to ts",
        mixed("mov", clip("mov"), "-c copy -timecode 01:02:03:04"),
        "ts",
        lost={"timecode": "timecode"},
    )
    yield case("captions in ts", captioned("ts"), "ts")
    yield case("captions in mov", captioned("mov"), "mov")
    yield case("captions in mkv", captioned("mkv"), "mkv")
    yield case("captions to hevc", captioned("mp4"), "mp4", settings={"codec": "hevc"})
    yield case("captions in mp4", captioned("mp4"), "mp4")
    yield case("captions to webm are lost", captioned("mkv"), "webm", lost={"captions": "caption"})
    marks = clip(
        "mp4", chapters=((0.0, 0.12, "One"), (0.12, 0.32, "Two")), metadata={"title": "A film"}, language="deu"
    )
    yield case("chapters in mp4", marks, "mp4")
    yield case("chapters of mp4 to mkv", marks, "mkv")
    yield case("two videos", mixed("mkv", clip("mkv"), "-map 0 -map 0 -c copy -disposition:v:1 0"), "mkv")
