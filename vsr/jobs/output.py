"""What the result's video stream will be: codec, size, pixel format, colours, the encoder and its options."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction

from vsr.color.tables import output_color
from vsr.core.errors import InputLimits
from vsr.core.frame import ColorSpec, pixel_format
from vsr.core.job import Destination
from vsr.core.media import HdrMetadata, MediaInfo, OutputSpec
from vsr.core.settings import Settings
from vsr.core.turn import Turn
from vsr.engines import device
from vsr.io.encoding import bitrate, codecs, hardware
from vsr.io.encoding.options import Options, parse_codec_options
from vsr.io.muxing import containers
from vsr.jobs.geometry import Target, fitted
from vsr.jobs.journal import Record
from vsr.jobs.records import chosen_before


@dataclass(frozen=True, slots=True, kw_only=True)
class _Form:
    """How the pictures are stored."""

    codec: str
    encoder: str
    pixel_format: str
    width: int
    height: int


def output_spec(
    info: MediaInfo,
    settings: Settings,
    where: Destination,
    *,
    color: ColorSpec,
    size: Target,
    turn: Turn | None,
    earlier: Record | None,
) -> tuple[OutputSpec, tuple[str, ...]]:
    """Decide the stream to be made, and what to say of it. color: the source's, resolved. turn: baked in; None: kept.

    A size that follows from a scale is rounded to what the encoder takes; one that was asked for by its numbers is not.

    Raises:
        EncodeError: the encoder does not take the size. InputLimits: it is too large.
        SettingsError: codec, quality, speed, pixel format or options are none that there are.
    """
    encode, video = settings.encode, info.video
    form, notes = _form(info, settings, where, size)
    is_video = where.kind == "video"
    _refuse_large(where, form, settings.run.max_pixels)
    color_made = made_color(color, form.pixel_format, where)
    threads = encode.encoder_threads or chosen_before(earlier).threads or device.cores()
    interval = keyframe_interval(info, encode.keyint)
    hdr = video.hdr if is_video else None
    if is_video:
        interval = codecs.keyframe_interval(form.codec, encode.keyint, interval)
    spec = OutputSpec(
        codec=form.codec,
        encoder=form.encoder,
        options=_options(info, settings, form, threads, interval, color_made, hdr) if is_video else (),
        width=form.width,
        height=form.height,
        pixel_format=form.pixel_format,
        color=color_made,
        tags=color_made,
        time_base=video.time_base,
        rate=rate_hint(info),
        sar=size.sar,
        rotation=video.rotation if turn is None else 0,
        display_matrix=video.display_matrix if turn is None else (),
        hdr=hdr,
        threads=threads,
        keyframe_interval=interval,
    )
    if is_video and (encode.codec_options or encode.encoder):
        hardware.try_options(spec)
    return spec, notes


def made_color(source: ColorSpec, name: str, where: Destination) -> ColorSpec:
    """Give what the codes of a result in the pixel format `name` mean.

    AVI has no word for full range, and its readers take YUV to be limited.
    """
    made = output_color(source, pixel_format(name))
    is_yuv = pixel_format(name).family == "yuv"
    return replace(made, range="tv") if where.container == "avi" and is_yuv else made


def rate_hint(info: MediaInfo) -> Fraction | None:
    """Give the mean rate for the encoder's rate control, from the packets: headers of Matroska say 1000 at times."""
    pts = info.packets.pts
    if len(pts) < 2 or pts[-1] <= pts[0]:
        return info.video.rate
    mean = Fraction(len(pts) - 1) / ((pts[-1] - pts[0]) * info.video.time_base)
    claimed = info.video.rate
    if claimed is not None and abs(mean - claimed) <= claimed / 100:
        return claimed
    return max(mean.limit_denominator(1001), Fraction(1, 100))


def keyframe_interval(info: MediaInfo, wanted: int | None) -> int:
    """Give the frames from keyframe to keyframe: those asked for, else ten seconds, as players expect for seeking.

    250 frames where the rate is unknown or absurd.
    """
    rate = rate_hint(info)
    usual = min(600, max(25, round(10 * rate))) if rate is not None and rate <= 240 else 250
    return wanted or usual


def _form(info: MediaInfo, settings: Settings, where: Destination, size: Target) -> tuple[_Form, tuple[str, ...]]:
    encode, source = settings.encode, info.video.pixel_format
    if where.kind != "video":
        name = containers.image_pixel_format(source, where.container, encode.image_depth)
        kind = where.container
        return _Form(codec=kind, encoder=kind, pixel_format=name, width=size.width, height=size.height), ()
    codec = encode.codec or containers.default_codec(where.container)
    containers.check_codec(codec, where.container)
    encoder = hardware.choose_encoder(codec, encode.encoder)
    name = codecs.output_pixel_format(source, codec, encode.pix_fmt, container=where.container, encoder=encoder)
    if encode.encoder is not None:
        encoder = hardware.choose_encoder(codec, encode.encoder, name)
    is_exact = settings.engine.width is not None and settings.engine.height is not None
    fit = size if is_exact else fitted(size, codecs.size_multiple(name, codec))
    width, height = codecs.encodable_size(fit.width, fit.height, name, codec)
    form = _Form(codec=codec, encoder=encoder, pixel_format=name, width=width, height=height)
    if (width, height) == (size.width, size.height):
        return form, ()
    return form, (f"{size.width}x{size.height} becomes {width}x{height}: {codec} takes whole {name} chroma samples",)


def _refuse_large(where: Destination, form: _Form, max_pixels: int) -> None:
    if form.width * form.height > max_pixels:
        raise InputLimits(
            f"{where.path} would be {form.width}x{form.height}, which is more than the limit of {max_pixels} pixels",
            hint=f"Choose a smaller --scale, or raise the limit: --max-pixels {form.width * form.height}.",
        )


def _options(
    info: MediaInfo,
    settings: Settings,
    form: _Form,
    threads: int,
    interval: int,
    color: ColorSpec,
    hdr: HdrMetadata | None,
) -> Options:
    encode = settings.encode
    return codecs.encoder_options(
        form.codec,
        crf=encode.crf,
        preset=encode.encoder_preset,
        threads=threads,
        keyframe_interval=interval,
        color=color,
        pixel_format=form.pixel_format,
        hdr=hdr,
        extra=parse_codec_options(encode.codec_options or ""),
        max_bitrate=bitrate.cap(info, form.width, form.height, encode.max_bitrate, encoder=form.encoder),
        encoder=form.encoder,
    )
