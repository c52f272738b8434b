"""`--map`: which of the source's streams are carried beside the video.

A list of words with commas between them. A number is the stream of that number; `a`, `s`, `d`, `t`, `v` are all sound,
subtitles, data, attachments, further video and covers; `a:1` is the second of its kind, `s:eng` are those of a
language. A minus before a word takes streams away; a list that begins so begins with all.
"""

from __future__ import annotations

from collections.abc import Sequence

from vsr.core.errors import SettingsError
from vsr.core.media import MediaInfo, StreamInfo, StreamKind

_KINDS: dict[str, StreamKind] = {"a": "audio", "s": "subtitle", "d": "data", "t": "attachment", "v": "video"}
_HINT = "Words are numbers, or a, s, d, t, v, alone or with a number or a language: --map a:0,s:eng,-4."


def selected(info: MediaInfo, text: str) -> frozenset[int]:
    """Give the indices of the streams that `text` names. The video itself may be among them, and always stays.

    Raises:
        SettingsError: a word means nothing, or no stream of the source; with the list of those there are.
    """
    words = [word.strip() for word in text.split(",")]
    numbers = frozenset({info.video.index, *(stream.index for stream in info.streams)})
    chosen = numbers if words[0].startswith("-") else frozenset[int]()
    for word in words:
        found = _matches(info, numbers, word.removeprefix("-").strip(), text)
        chosen = chosen - found if word.startswith("-") else chosen | found
    return chosen


def _matches(info: MediaInfo, numbers: frozenset[int], word: str, text: str) -> frozenset[int]:
    letter, colon, which = word.partition(":")
    if word.isdecimal():
        found = numbers & {int(word)}
    elif letter in _KINDS and (which or not colon):
        found = frozenset(_of_kind(info, _KINDS[letter], which))
    else:
        raise SettingsError(f"--map {text}: {word!r} names no stream", hint=_HINT)
    if not found:
        raise SettingsError(f"--map {text}: {info.path.name} has no stream {word!r}. {_listed(info)}", hint=_HINT)
    return found


def _of_kind(info: MediaInfo, kind: StreamKind, which: str) -> Sequence[int]:
    """Give the streams of a kind in the file's order: all, the n-th (counted with the video), or of a language."""
    ours = StreamInfo(index=info.video.index, kind="video", codec=info.video.codec, language=info.video.language)
    streams = sorted((ours, *info.streams), key=lambda stream: stream.index)
    every = [stream for stream in streams if stream.kind == kind]
    if which.isdecimal():
        return [stream.index for stream in every[int(which) : int(which) + 1]]
    return [stream.index for stream in every if not which or (stream.language or "und") == which.lower()]


def _listed(info: MediaInfo) -> str:
    """Say what there is: `It has 0: video h264; 1: audio aac eng stereo 48000 Hz`."""
    said = {info.video.index: f"video {info.video.codec}"}
    for stream in info.streams:
        words = (stream.kind, stream.codec, stream.language or "", stream.detail)
        said[stream.index] = " ".join(word for word in words if word)
    return "It has " + "; ".join(f"{index}: {words}" for index, words in sorted(said.items()))
