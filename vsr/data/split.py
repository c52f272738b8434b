"""Which part of a data set a video belongs to: by video, never by frame, the same in every run."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass

from vsr.core.errors import SettingsError

_NAMES = re.compile(r"(?P<first>[A-Za-z][\w-]*)/(?P<second>[A-Za-z][\w-]*)(?:=(?P<shares>.+))?")
_SHARES = re.compile(r"(\d+)/(\d+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """Two parts and their shares in percent."""

    names: tuple[str, str] = ("train", "val")
    shares: tuple[int, int] = (90, 10)

    def __post_init__(self) -> None:
        if self.names[0] == self.names[1]:
            raise SettingsError(f"both parts of the split are named {self.names[0]}")
        if min(self.shares) < 1:
            raise SettingsError(f"split {self.shares[0]}/{self.shares[1]}: each part needs a share of at least 1")


def read_split(text: str) -> Split:
    """Read `train/val` (90/10), `80/20` (train/val) or `train/test=80/20`.

    Raises:
        SettingsError: it is none of these.
    """
    if shares := _SHARES.fullmatch(text):
        return Split(shares=(int(shares[1]), int(shares[2])))
    named = _NAMES.fullmatch(text)
    if named is None:
        raise SettingsError(f"{text!r} is no split", hint="Write train/val, 80/20 or train/test=80/20.")
    names = (named["first"], named["second"])
    return Split(names=names, shares=read_split(named["shares"]).shares) if named["shares"] else Split(names=names)


def assign(videos: Iterable[str], split: Split, *, seed: int) -> dict[str, str]:
    """Give each video's part: ordered by a hash of seed and name, the last of them go to the second part.

    Of two videos or more each part gets one at least; a single one goes to the first part.
    """
    ordered = sorted(set(videos), key=lambda video: (hashlib.sha256(f"{seed}:{video}".encode()).hexdigest(), video))
    count = round(len(ordered) * split.shares[1] / sum(split.shares))
    second = min(max(count, 1), len(ordered) - 1) if len(ordered) > 1 else 0
    return {video: split.names[k >= len(ordered) - second] for k, video in enumerate(ordered)}
