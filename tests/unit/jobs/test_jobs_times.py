from fractions import Fraction
from pathlib import Path

import pytest

from vsr.core.errors import UsageError
from vsr.core.frame import ColorSpec
from vsr.core.media import MediaInfo, PacketIndex, Span, VideoInfo
from vsr.jobs.times import seconds, span


def info(pts: tuple[int, ...], base: Fraction) -> MediaInfo:
    video = VideoInfo(
        index=0,
        codec="h264",
        width=64,
        height=48,
        pixel_format="yuv420p",
        coded_pixel_format="yuv420p",
        color=ColorSpec(),
        time_base=base,
        rate=Fraction(25),
    )
    packets = PacketIndex(pts=pts, durations=(1,) * len(pts), keyframes=pts[:1])
    return MediaInfo(path=Path("clip.mp4"), kind="video", container="mp4", video=video, packets=packets)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", Fraction(0)),
        ("12.5", Fraction(25, 2)),
        ("1:30", Fraction(90)),
        ("01:02:03.250", Fraction(14893, 4)),
        ("90:00", Fraction(5400)),
        ("0.1", Fraction(1, 10)),
    ],
)
def test_times_are_read_exactly(text, value):
    assert seconds(text, "--start") == value


@pytest.mark.parametrize("text", ["", "abc", "-1", "1:75", "1:99:00", "1::2", "nan"])
def test_what_is_no_time_is_refused(text):
    with pytest.raises(UsageError, match="--end"):
        seconds(text, "--end")


def test_span_counts_from_the_first_frame_and_holds_whole_frames():
    source = info((9000, 12600, 16200, 19800), Fraction(1, 90000))  # 25 fps, first frame at 0.1 s
    assert span(source, "0.04", "0.12") == Span(start=12600, stop=19800)
    assert span(source, "0.041", None) == Span(start=12690, stop=None)
    assert span(source, None, None) == Span()


@pytest.mark.parametrize(("start", "end"), [("0.08", "0.04"), ("5", None), ("0.041", "0.079"), (None, "0")])
def test_span_without_frames_is_refused(start, end):
    with pytest.raises(UsageError):
        span(info((0, 1, 2, 3), Fraction(1, 25)), start, end)
