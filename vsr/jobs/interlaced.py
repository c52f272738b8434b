"""What becomes of interlaced frames: decided from what the user asks and what the video is.

auto: interlaced frames have their fields merged, one picture a frame. Film that was telecined into fields is merged
too, all of it: every frame stays, at its time. The film's own frames are not restored (inverse telecine), because that
would change how many there are. Film that is whole frames shown for three and two fields in turn stays as it is, and so
do whole frames under the flags of interlaced video.
"""

from __future__ import annotations

from dataclasses import dataclass

from vsr.core.errors import UsageError
from vsr.core.media import FieldOrder, Interlacing, MediaInfo
from vsr.core.settings import Deinterlace, RunSettings
from vsr.io.decoding.deinterlace import Merging
from vsr.io.decoding.fields import fields_of
from vsr.io.decoding.interlacing import detect, flagged
from vsr.io.images.animations import CONTAINER as ANIMATION


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """What is done with the frames of a source.

    info: the source as it will be read: with `field` every field of it a frame. notes: what was seen and done, in
    words; warnings: what the user may wish to do otherwise.
    """

    info: MediaInfo
    merging: Merging = "off"
    order: FieldOrder = ""
    found: Interlacing = Interlacing()
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def as_read(info: MediaInfo, run: RunSettings) -> MediaInfo:
    """Describe a source as it will be read, which nothing has to be decoded for: `auto` never makes fields frames."""
    return fields_of(info) if run.deinterlace == "field" and _is_filmed(info) else info


def _is_filmed(info: MediaInfo) -> bool:
    return info.kind == "video" and info.container != ANIMATION


def decide_deinterlacing(info: MediaInfo, run: RunSettings) -> Decided:
    """Look at a source as far as `run.deinterlace` needs it, which decodes some of its frames, and decide.

    Raises:
        UsageError: the fields are to be merged, and --decoder ffmpeg does not do it.
    """
    setting = run.deinterlace
    if not _is_filmed(info):
        is_idle = setting in ("frame", "field")
        return Decided(info=info, warnings=("--deinterlace: no effect on images",) if is_idle else ())
    found = flagged(info) if setting == "off" else detect(info, max_pixels=run.max_pixels)
    merging, order, warnings = resolve_deinterlace(setting, found, decoder=run.decoder)
    each = {"off": "", "frame": "one picture is made of each frame", "field": "one picture is made of each field"}
    return Decided(
        info=as_read(info, run),
        merging=merging,
        order=order,
        found=found,
        notes=(f"{found.kind} ({found.detail}): {each[merging]}",) if merging != "off" and found.detail else (),
        warnings=warnings,
    )


def resolve_deinterlace(
    setting: Deinterlace, found: Interlacing, *, decoder: str = "pyav"
) -> tuple[Merging, FieldOrder, tuple[str, ...]]:
    """Give what is done, by which field order ("": as each frame says), and what the user should know.

    Raises:
        UsageError: the fields are to be merged, and `decoder` does not do it.
    """
    merging = _merging(setting, found)
    if merging != "off" and decoder != "pyav":
        asked = f"the video is {found.kind} ({found.detail}), and its" if setting == "auto" else "the"
        raise UsageError(
            f"{asked} fields are merged with --decoder pyav alone",
            hint="Leave out --decoder ffmpeg, or take the frames as they are with --deinterlace off.",
        )
    return merging, "" if merging == "off" else found.order, _warnings(merging, found)


def _merging(setting: Deinterlace, found: Interlacing) -> Merging:
    if setting != "auto":
        return setting
    is_whole = found.kind == "progressive" or (found.kind == "telecined" and found.evidence == "flags")
    return "off" if is_whole else "frame"


def _warnings(merging: Merging, found: Interlacing) -> tuple[str, ...]:
    is_kept = merging == "off"
    is_whole = _merging("auto", found) == "off"
    said = ""
    if found.kind == "telecined" and is_whole and is_kept:
        said = f"telecined film: {found.detail}; the frames and their times are kept as they are"
    elif not is_whole and is_kept:
        said = (
            f"{found.kind} ({found.detail}): both fields of a frame are taken as one picture;"
            " --deinterlace frame merges them"
        )
    elif found.kind == "telecined" and not is_whole:
        said = (
            f"telecined film ({found.detail}): the fields of every frame are merged, and every frame is kept; the"
            " film's own frames are not restored, because that would change how many there are"
        )
    elif is_whole and not is_kept and found.evidence != "none":
        said = f"{found.detail}: deinterlacing them costs detail; leave out --deinterlace"
    elif is_whole and is_kept and found.order:  # the flags claim fields
        said = f"{found.detail}: they are taken as they are; --deinterlace frame merges their fields"
    return (said,) if said else ()
