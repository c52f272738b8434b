"""What sound and text subtitles say once they are decoded: for streams that had to be converted."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import av.error
from av.audio.stream import AudioStream
from av.subtitles.stream import SubtitleStream
from av.subtitles.subtitle import AssSubtitle

from vsr.core.errors import DecodeError
from vsr.io.inputs import open_input

_OVERRIDES = re.compile(r"\{[^}]*\}|<[^>]*>")


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """A text that is shown, in exact seconds; without the marks of its font."""

    start: Fraction
    stop: Fraction
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sound:
    """Decoded sound: samples of each channel, and a hash of all of them as 32-bit integers."""

    samples: int
    rate: int
    channels: int
    digest: bytes


def texts(path: Path, index: int) -> tuple[Text, ...]:
    """Give the texts of a subtitle stream, in the file's order; those that show nothing are left out.

    Raises:
        DecodeError: they cannot be read.
    """
    found = []
    with open_input(path) as container:
        stream = cast(SubtitleStream, container.streams[index])
        base = Fraction(stream.time_base or 1)
        try:
            for packet in container.demux(stream):
                shown = packet.decode() if packet.size and packet.pts is not None else []
                words = "\n".join(_plain(rect) for rect in shown if isinstance(rect, AssSubtitle))
                if words and packet.pts is not None:
                    start = packet.pts * base
                    found.append(Text(start=start, stop=start + (packet.duration or 0) * base, words=words))
        except av.error.FFmpegError as error:
            raise DecodeError(f"{path}: subtitles in stream {index} cannot be read: {error.strerror}") from error
    return tuple(found)


def sound(path: Path, index: int) -> Sound:
    """Decode a sound stream to its end.

    Raises:
        DecodeError: it cannot be decoded.
    """
    digest, samples = hashlib.sha256(), 0
    with open_input(path) as container:
        stream = cast(AudioStream, container.streams[index])
        resampler = av.AudioResampler(format="s32")
        try:
            for frame in container.decode(stream):
                for part in resampler.resample(frame):
                    digest.update(part.to_ndarray().tobytes())
                    samples += part.samples
        except av.error.FFmpegError as error:
            raise DecodeError(f"{path}: sound in stream {index} cannot be decoded: {error.strerror}") from error
        rate, channels = stream.rate, stream.channels
    return Sound(samples=samples, rate=rate, channels=channels, digest=digest.digest())


def _plain(shown: AssSubtitle) -> str:
    """Give the words of a line of ASS: its ninth field (text may hold commas), without overrides and tags."""
    dialogue = shown.dialogue
    text = dialogue.decode("utf-8", "replace") if isinstance(dialogue, bytes) else str(dialogue)
    lines = _OVERRIDES.sub("", text).replace("\\N", "\n").replace("\\n", "\n").replace("\\h", " ").splitlines()
    return "\n".join(line.strip() for line in lines if line.strip())
