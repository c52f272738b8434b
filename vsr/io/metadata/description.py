"""What FFmpeg says of a stream in words, where PyAV hands on no number: chroma siting, and side data of the header."""

from __future__ import annotations

import re
from dataclasses import dataclass

from av.container import InputContainer

from vsr.core.frame import UNSPECIFIED
from vsr.io.streams import listing
from vsr.io.tags import SITINGS

# How libavformat's dump.c begins its lines, in small letters, and our words for what the result will not have.
_WORDS = {
    "dovi configuration record": "Dolby Vision metadata",
    "hdr10+": "HDR10+ metadata",
    "ambient viewing environment": "ambient viewing environment",
    "stereo 3d": "stereoscopic layout",
    "3d reference displays": "stereoscopic layout",
    "spherical mapping": "spherical projection",
    "icc profile": "ICC profile",
    "lcevc": "LCEVC enhancement layer",
}
CROPPING = "cropping when shown"
_CROPPING = re.compile(r"frame cropping: (\d+)/(\d+)/(\d+)/(\d+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """siting: of the chroma samples. side_data: of the stream's header, in words for people.

    crop: samples that are not to be shown, at left, right, top and bottom; () where all are.
    """

    siting: str = UNSPECIFIED
    crop: tuple[int, ...] = ()
    side_data: tuple[str, ...] = ()


def describe_video(container: InputContainer, index: int) -> Description:
    """Read FFmpeg's own description of a video stream."""
    return read_description(listing(container), index)


def read_description(text: str, index: int) -> Description:
    """Find the stream `index` in the text that FFmpeg prints of a file."""
    section = re.search(rf"^  Stream #0:{index}\b.*?: Video: .*(?:\n {{4}}.*)*", text, re.MULTILINE)
    if section is None:
        return Description()
    line, _, rest = section[0].partition("\n")
    words = re.findall(r"[(,] ?(\w+)(?=[,)])", line)
    siting = next((word for word in words if word in SITINGS), UNSPECIFIED)
    _, _, said = rest.partition("    Side data:\n")
    cropping = _CROPPING.search(said.lower())
    crop = tuple(int(number) for number in cropping.groups()) if cropping else ()
    return Description(siting=siting, crop=crop if any(crop) else (), side_data=tuple(_side_data(said)))


def _side_data(said: str) -> list[str]:
    found = set()
    for line in said.splitlines():
        text = line.strip().lower()
        found |= {word for start, word in _WORDS.items() if text.startswith(start)}
        if cropping := _CROPPING.match(text):
            left, right, top, bottom = cropping.groups()
            found.add(f"{CROPPING} (left {left}, right {right}, top {top}, bottom {bottom})")
    return sorted(found)
