"""Containers as whoever plans an output needs them: which one, with which codec, and what becomes of the streams.

What each holds stands in `muxers`, the streams' fate in `carriage`, how a codec is written in `codecs`: their rules are
handed on here.
"""

from __future__ import annotations

from vsr.core.errors import SettingsError
from vsr.core.frame import pixel_format
from vsr.core.media import MediaInfo
from vsr.io.encoding.codecs import (
    codec_rule,
    encodable_size,
    encoder_for,
    encoder_options,
    format_losses,
    output_pixel_format,
)
from vsr.io.muxing.carriage import plan_streams
from vsr.io.muxing.muxers import CONTAINERS, ContainerRule, container_of, rule_of, suffix_of

__all__ = [
    "CONTAINERS",
    "ContainerRule",
    "check_codec",
    "container_of",
    "default_codec",
    "default_container",
    "encodable_size",
    "encoder_for",
    "encoder_options",
    "format_losses",
    "image_pixel_format",
    "output_pixel_format",
    "plan_streams",
    "rule_of",
    "suffix_of",
]


def default_container(info: MediaInfo) -> str:
    """Give the container of a result whose name nobody chose: the source's own, where it can be written well.

    MP4 and its kin stay mp4 (`.mov` stays mov), Matroska mkv, WebM webm, MPEG-TS ts; animations (GIF, APNG, WebP)
    become mp4. All else becomes mkv, which holds nearly every stream: AVI, which knows no times and so no B-frames,
    FLV, MPEG-PS, ASF and the like.
    """
    suffix = info.path.suffix.lower()
    names = set(info.container.split(","))
    if names & {"mov", "mp4"}:
        return "mov" if suffix in CONTAINERS["mov"].suffixes else "mp4"
    if names & {"matroska", "webm"}:
        return "webm" if suffix == ".webm" else "mkv"
    if "mpegts" in names:
        return "ts"
    return "mp4" if names & {"gif", "apng", "webp", "webp_anim", "webp_pipe"} else "mkv"


def default_codec(container: str) -> str:
    """Give the video codec written to `container` where the user says nothing: h264, or what it holds instead."""
    return rule_of(container).video[0]


def check_codec(codec: str, container: str) -> None:
    """Refuse a codec that `container` does not hold.

    Raises:
        SettingsError: with the codecs it holds and the containers that hold this one.
    """
    codec_rule(codec)
    if codec in rule_of(container).video:
        return
    homes = [rule.suffixes[0] for rule in CONTAINERS.values() if codec in rule.video and rule.name != "nut"]
    raise SettingsError(
        f"{container} does not hold {codec}, only {', '.join(rule_of(container).video)}",
        hint=f"Choose an output that ends in {' or '.join(homes)}, or another --codec.",
    )


def image_pixel_format(source: str, container: str, depth: int | None = None) -> str:
    """Give the pixel format of written images: RGB or grey, 8 or 16 bits, alpha where the source and format have it.

    depth: bits a sample; None for the source's. PNG and TIFF hold 16, JPEG and WebP 8; JPEG holds no alpha.

    Raises:
        SettingsError: the image format does not hold this depth, or is not one that vsr writes.
        UnsupportedInput: frames do not travel in `source`.
    """
    deepest = {"png": 16, "tiff": 16, "jpeg": 8, "webp": 8}
    if container not in deepest:
        raise SettingsError(
            f"{container!r} is no image format that vsr writes", hint=f"There are {', '.join(deepest)}."
        )
    fmt = pixel_format(source)
    if depth not in (None, 8, 16):
        raise SettingsError(f"images hold 8 or 16 bits a sample, not {depth}")
    if depth is not None and depth > deepest[container]:
        raise SettingsError(
            f"{container} holds {deepest[container]} bits a sample, not {depth}", hint="Choose .png or .tiff for 16."
        )
    is_deep = (depth or fmt.depth) > 8 and deepest[container] > 8
    if fmt.family == "gray":
        return "gray16le" if is_deep else "gray"
    family = "gbrap" if fmt.alpha and container != "jpeg" else "gbrp"
    return f"{family}16le" if is_deep else family
