"""Which streams `--map` names, and what it says where it names none."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from vsr.core.errors import SettingsError
from vsr.core.frame import ColorSpec
from vsr.core.media import MediaInfo, StreamInfo, StreamKind, VideoInfo
from vsr.io.muxing.containers import plan_streams
from vsr.io.muxing.selection import selected


def stream(index: int, kind: StreamKind, codec: str, language: str | None = None) -> StreamInfo:
    return StreamInfo(index=index, kind=kind, codec=codec, language=language)


INFO = MediaInfo(
    path=Path("film.mkv"),
    kind="video",
    container="matroska,webm",
    video=VideoInfo(
        index=1, codec="h264", width=64, height=48, pixel_format="yuv420p", coded_pixel_format="yuv420p",
        color=ColorSpec(), time_base=Fraction(1, 25), rate=Fraction(25),
    ),
    streams=(
        stream(0, "audio", "aac", "eng"), stream(2, "audio", "ac3", "fra"), stream(3, "subtitle", "subrip", "eng"),
        stream(4, "subtitle", "subrip"), stream(5, "attachment", ""), stream(6, "video", "h264"),
        stream(7, "data", "klv"),
    ),
)  # fmt: skip


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a", {0, 2}),
        ("a:0", {0}),
        ("a:1", {2}),
        ("a:0,s,t", {0, 3, 4, 5}),
        (" 2 , 5 ", {2, 5}),
        ("s:eng", {3}),
        ("s:und", {4}),
        ("a:FRA", {2}),
        ("v", {1, 6}),
        ("v:0", {1}),
        ("v:1", {6}),
        ("d", {7}),
        ("-s", {0, 1, 2, 5, 6, 7}),
        ("-a:1,-d", {0, 1, 3, 4, 5, 6}),
        ("a,-a:0", {2}),
        ("-s,s:eng", {0, 1, 2, 3, 5, 6, 7}),
    ],
)
def test_words_name_streams(text: str, expected: set[int]) -> None:
    assert selected(INFO, text) == expected


@pytest.mark.parametrize("text", ["a:2", "9", "s:deu", "-a:7"])
def test_what_is_not_there_is_refused_with_what_is(text: str) -> None:
    with pytest.raises(SettingsError, match=r"film\.mkv has no stream .*0: audio aac eng; 1: video h264; 2: audio ac3"):
        selected(INFO, text)


@pytest.mark.parametrize("text", ["", "x", "a:", "a,,s", "audio", "1.5", "--a", "a-1"])
def test_a_word_that_means_nothing_is_refused_with_the_grammar(text: str) -> None:
    with pytest.raises(SettingsError, match="names no stream") as caught:
        selected(INFO, text)
    assert "--map a:0,s:eng,-4" in str(caught.value.hint)


def test_what_was_not_chosen_is_no_loss() -> None:
    plans = {plan.index: plan for plan in plan_streams(INFO, "mkv", selection="a:0,d")}
    assert plans[0].action == "copy"
    assert {index for index, plan in plans.items() if plan.reason == "not asked for (--map)"} == {2, 3, 4, 5, 6}
    assert {index for index, plan in plans.items() if plan.is_loss} == {7}  # chosen, and Matroska has no place for it


def test_no_audio_leaves_all_sound_out_and_nothing_else() -> None:
    plans = plan_streams(INFO, "mkv", audio=False)
    silent = [plan.index for plan in plans if plan.reason == "not asked for (--no-audio)"]
    assert silent == [0, 2] and not any(plan.is_loss for plan in plans if plan.index in silent)
    assert [plan.action for plan in plans if plan.index in (3, 4, 5)] == ["copy"] * 3
