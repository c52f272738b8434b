"""What is true of the whole video: pixel format, colour tags, shape, turn, HDR and other data beside the pictures."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from vsr.color.tables import output_color, resolve
from vsr.core.frame import UNSPECIFIED, ColorSpec, pixel_format
from vsr.core.turn import UPRIGHT, turn_of
from vsr.io.decoding.formats import travel_format
from vsr.io.encoding.codecs import CODECS, format_losses, output_pixel_format
from vsr.io.muxing.containers import image_pixel_format
from vsr.io.witness.reading import PictureFacts
from vsr.jobs.verify.comparison import Comparison, asked, broken, clock, lost, same
from vsr.jobs.verify.expected import Finding
from vsr.jobs.verify.holding import holds_captions, holds_hdr, holds_shape, holds_tags
from vsr.jobs.verify.times import Diary

Numbers = tuple[Fraction, ...]
_TAGS = ("matrix", "range", "primaries", "transfer", "siting")
_SIDE_DATA = {
    "DYNAMIC_HDR_PLUS": "HDR10+ metadata",
    "DYNAMIC_HDR_VIVID": "HDR Vivid metadata",
    "DOVI_METADATA": "Dolby Vision metadata",
    "DOVI_RPU_BUFFER": "Dolby Vision metadata",
    "AMBIENT_VIEWING_ENVIRONMENT": "the ambient viewing environment",
    "SPHERICAL": "the spherical projection",
    "STEREO3D": "the stereoscopic arrangement",
}


def check_format(held: Comparison) -> Finding:
    """Hold depth, chroma sampling and alpha: nothing may be lost that the result's codec could keep."""
    source, result = _name(held.source.picture), _name(held.result.picture)
    codec, said = held.result.video.codec, format_losses(source, result)
    what = source if source == result else f"{source} became {result}"
    if not said:
        return same("pixel format", what)
    if held.expected.pixel_format in (result, result.removesuffix("le")):
        return asked("pixel format", f"{what}: {', '.join(said)}")
    closest = source
    if held.is_images:
        closest = image_pixel_format(source, codec)
    elif codec in CODECS:
        closest = output_pixel_format(source, codec)
    is_forced = set(said) <= set(format_losses(source, closest))
    return (lost if is_forced else broken)("pixel format", f"{what} with {codec}: {', '.join(said)}")


def wanted_tags(held: Comparison) -> ColorSpec:
    """Give the colour tags that the result's samples must mean: those of the source, or what its silence means."""
    source, result = held.source.picture, held.result.picture
    told = resolve(source.color, pixel_format(_name(source)), source.width, source.height)
    return held.expected.tags or output_color(told, pixel_format(_name(result)))


def check_tags(held: Comparison) -> Finding:
    """Hold the colour tags that the result says."""
    source, result = held.source.picture, held.result.picture
    format, wanted = pixel_format(_name(result)), wanted_tags(held)
    taken = resolve(result.color, format, result.width, result.height)
    wrong, unsaid, new = [], [], []
    for name in _TAGS:
        want, got = getattr(wanted, name), getattr(result.color, name)
        was = getattr(source.color, name)
        if name == "siting" and (format.chroma_shift_x, format.chroma_shift_y) != (1, 1):
            continue
        if got == want:
            new += [f"{name} {got}"] if was == UNSPECIFIED != got else []
        elif held.is_images and name in ("primaries", "transfer"):
            unsaid.append(f"{name} {want}")  # whoever shows an image takes it for sRGB, unless its profile says more
        elif got != UNSPECIFIED:
            wrong.append(f"{name} is {got}, not {want}")
        elif name in ("matrix", "range", "siting") and getattr(taken, name) == want:
            continue  # its silence means the same
        elif name == "siting" or not holds_tags(held.container):
            unsaid.append(f"{name} {want}")
        else:
            wrong.append(f"{name} {want} is not said any more")
    if wrong:
        return broken("colour tags", "; ".join(wrong))
    if unsaid:
        where = f"{held.container} with {held.result.video.codec}"
        return lost("colour tags", f"{where} does not say {', '.join(unsaid)}")
    words = ", ".join(getattr(result.color, name) for name in _TAGS[:4])
    return same("colour tags", words + (f" (the source is silent about {', '.join(new)})" if new else ""))


def check_shape(held: Comparison) -> Iterator[Finding]:
    """Hold the shape that the picture is shown in, to whole pixels, and how it is turned."""
    source, result = held.source.picture, held.result.picture
    turn = turn_of(source.matrix)
    is_swapped = held.expected.is_turned and turn is not None and turn.swaps
    want = Fraction(source.width, source.height) * source.sar
    want = 1 / want if is_swapped else want
    got = Fraction(result.width, result.height) * result.sar
    off = abs(float(got / want) - 1)
    said = f"{result.width}x{result.height} with pixels of {result.sar} is shown as {float(got):.4f}:1"
    can_hold = holds_shape(held.container, held.result.video.codec)
    if not can_hold and source.sar != 1 and result.sar == 1 and not held.expected.has_square_pixels:
        where = "images hold" if held.is_images else f"{held.container} with {held.result.video.codec} holds"
        yield lost("shape", f"{where} no sample aspect ratio ({source.sar})")
    elif off > 1 / result.width + 1 / result.height:
        yield broken("shape", f"{said}, the source as {float(want):.4f}:1")
    elif held.expected.has_square_pixels and result.sar != 1:
        yield broken("shape", f"its pixels are not square: {result.sar}")
    else:
        yield (asked if held.expected.has_square_pixels and source.sar != 1 else same)("shape", said)
    yield from _turn(held)


def check_side_data(held: Comparison, diary: Diary) -> Iterator[Finding]:
    """Hold what goes beside the pictures: HDR10 metadata, captions, profiles; name what is always dropped."""
    source, result, codec = held.source.picture, held.result.picture, held.result.video.codec
    pairs: tuple[tuple[str, Numbers, Numbers], ...] = (
        ("mastering display", source.mastering, result.mastering),
        ("content light level", source.light, result.light),
    )
    for name, before, after in pairs:
        if not before and not after:
            continue
        if len(before) == len(after) and all(_is_near(a, b) for a, b in zip(before, after, strict=True)):
            yield same(name, ", ".join(f"{float(number):g}" for number in after))
        elif after or holds_hdr(codec):
            yield broken(name, f"{_numbers(after)}, not {_numbers(before)}")
        else:
            yield lost(name, f"{codec} is written without it; hevc and av1 keep it")
    if diary.uncaptioned:
        place, time = diary.uncaptioned[0]
        said = f"{len(diary.uncaptioned)} frames carry others than the source's, or none; frame {place} ({clock(time)})"
        yield (broken if holds_captions(codec) else lost)("captions", said)
    elif diary.captions:
        yield same("captions", f"of {diary.captions} frames")
    if diary.has_profile:
        state = same if diary.is_profile_kept else broken if held.is_images else lost
        yield state("colour profile", "" if diary.is_profile_kept else "the ICC profile is not the source's")
    if diary.has_exif:
        state = same if diary.is_exif_kept else broken if held.is_images else lost
        yield state("EXIF", "" if diary.is_exif_kept else "it does not tell what the source's does")
    gone = {words for kind, words in _SIDE_DATA.items() if kind in source.side_data and kind not in result.side_data}
    if gone:
        yield lost("side data", f"{', '.join(sorted(gone))}: never carried on")


def _turn(held: Comparison) -> Iterator[Finding]:
    before, after = held.source.picture.matrix, held.result.picture.matrix
    turn, made = turn_of(before), turn_of(after)
    if held.expected.is_turned and turn is not None:
        if made != UPRIGHT:
            yield broken("turn", "the picture was to be turned, and its display matrix turns it again")
        elif turn != UPRIGHT:
            yield asked("turn", "the picture is turned, as players show the source")
    elif turn == made == UPRIGHT or _direction(before) == _direction(after):
        if turn != UPRIGHT:
            yield same("turn", _words(before))
    elif not after and (held.rule is None or not held.rule.has_rotation):
        yield lost("turn", f"{held.container} holds no display matrix: shown unturned, not {_words(before)}")
    else:
        yield broken("turn", f"the picture is shown {_words(after)}, the source's {_words(before)}")


def _direction(matrix: tuple[int, ...]) -> tuple[int, ...]:
    """Give a, b, c and d: what turns and mirrors, without the place."""
    return (matrix[0], matrix[1], matrix[3], matrix[4]) if matrix else (65536, 0, 0, 65536)


def _words(matrix: tuple[int, ...]) -> str:
    turn = turn_of(matrix)
    if turn is None:
        return "at an angle"
    quarters = {(False, False, False): "upright", (False, True, True): "turned by 180 degrees",
                (True, True, False): "turned by 90 degrees clockwise",
                (True, False, True): "turned by 90 degrees counter-clockwise",
                (False, True, False): "mirrored", (False, False, True): "upside down, mirrored"}  # fmt: skip
    return quarters.get((turn.swaps, turn.flips_x, turn.flips_y), "turned and mirrored")


def _is_near(a: Fraction, b: Fraction) -> bool:
    """Within what H.265 (1/50000, 1/10000 cd/m2) and AV1 (1/65536, 1/256 and 1/16384 cd/m2) count in."""
    return abs(a - b) <= (Fraction(1, 256) if max(a, b) > 1 else Fraction(1, 8192))


def _numbers(numbers: Numbers) -> str:
    return "(" + ", ".join(f"{float(number):g}" for number in numbers) + ")" if numbers else "none"


def _name(picture: PictureFacts) -> str:
    """Give the planar format of a picture, with the alpha that may be coded beside it."""
    name = travel_format(picture.pixel_format)[0]
    return name.replace("yuv", "yuva", 1) if picture.has_alpha_layer and name.startswith("yuv4") else name
