"""Images as a source: one file, a numbered sequence or a folder, found and described without decoding them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

from vsr.core.errors import InputError, InputMissing, NotMedia, UnsupportedInput
from vsr.core.frame import ColorSpec
from vsr.core.media import MediaInfo, SourceKind, VideoInfo
from vsr.io.headers import ImageHeader, image_kind, parse_header, read_header
from vsr.io.limits import MAX_IMAGE_BYTES, check_image_file, check_pixels

SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp", ".bmp")
DEFAULT_RATE = Fraction(25)
_PATTERN = re.compile(r"%(?:0(\d+))?d")


def is_pattern(path: Path) -> bool:
    """Whether a name stands for a numbered sequence: exactly one `%d` or `%05d` in it."""
    return len(_PATTERN.findall(path.name)) == 1


def is_image(path: Path) -> bool:
    """Whether a file is a picture by its first bytes; an animated PNG is not: it is decoded as a video."""
    with path.open("rb") as content:
        kind = image_kind(content.read(16))
        if kind != "png":
            return kind is not None
        content.seek(0)
        # What tells an animation stands before the picture's data.
        return not parse_header(path, content.read(MAX_IMAGE_BYTES)).is_animated


def natural_key(name: str) -> tuple[tuple[int, str], ...]:
    """Give a sort key that puts `frame_2` before `frame_10`."""
    parts = re.split(r"(\d+)", name)
    return tuple((int(part), "") if part.isdecimal() and part.isascii() else (-1, part.lower()) for part in parts)


def describe_image(path: Path, *, rate: Fraction | None, max_pixels: int) -> MediaInfo:
    """Describe one image.

    Raises:
        NotMedia, UnsupportedInput, InputLimits: it cannot be used.
    """
    return _describe(path, [path], "image", rate, max_pixels, [])


def describe_pattern(path: Path, *, rate: Fraction | None, max_pixels: int) -> MediaInfo:
    """Describe the files that a pattern names, by number; gaps are passed over with a warning.

    Raises:
        InputMissing: no file fits.
        InputError: see `describe_folder`.
    """
    numbered = sorted(_numbered(path))
    if not numbered:
        raise InputMissing(f"no file fits {path}", hint="%05d stands for 5 digits: frame_%05d.png is frame_00001.png.")
    files = [file for _, file in numbered]
    return _describe(path, files, "sequence", rate, max_pixels, _gaps([number for number, _ in numbered]))


def describe_folder(path: Path, *, rate: Fraction | None, max_pixels: int) -> MediaInfo:
    """Describe the images of a folder, in natural order; hidden and other files are left out.

    Raises:
        NotMedia: there are none, or one of them is no image.
        UnsupportedInput: one differs in size from the first.
        InputLimits: they are too large.
    """
    try:
        entries = [entry for entry in path.iterdir() if entry.is_file() and not entry.name.startswith(".")]
    except OSError as error:
        raise InputError(f"folder {path} cannot be read: {error.strerror}") from error
    files = sorted((entry for entry in entries if entry.suffix.lower() in SUFFIXES), key=lambda e: natural_key(e.name))
    if not files:
        there = f"{len(entries)} files of other kinds" if entries else "no files"
        raise NotMedia(f"folder {path} holds no images, only {there}", hint=f"Images end in {', '.join(SUFFIXES)}.")
    warnings = _gaps(_last_numbers(files))
    if len(entries) > len(files):
        warnings.append(f"{len(entries) - len(files)} files of {path.name} are no images: left out")
    return _describe(path, files, "sequence", rate, max_pixels, warnings)


def _numbered(path: Path) -> Iterator[tuple[int, Path]]:
    match = _PATTERN.search(path.name)
    assert match is not None, path
    digits = int(match[1] or 1)
    before, after = re.escape(path.name[: match.start()]), re.escape(path.name[match.end() :])
    # As printf does: at least so many digits, padded with zeros and not longer than the number needs.
    name = re.compile(rf"{before}(\d{{{digits}}}|[1-9]\d{{{digits},}}){after}", re.ASCII)
    if not path.parent.is_dir():
        return
    for file in path.parent.iterdir():
        if (found := name.fullmatch(file.name)) and file.is_file():
            yield int(found[1]), file


def _last_numbers(files: Sequence[Path]) -> list[int]:
    """Give the numbers of a folder's files if they differ in nothing else, else nothing."""
    parts = [re.fullmatch(r"(.*?)(\d+)(\D*)", file.name) for file in files]
    stems = {(part[1], part[3]) for part in parts if part is not None}
    return [int(part[2]) for part in parts if part is not None] if len(stems) == 1 and all(parts) else []


def _gaps(numbers: Sequence[int]) -> list[str]:
    missing = [(a + 1, b - 1) for a, b in pairwise(numbers) if b - a > 1]
    if not missing:
        return []
    count = sum(b - a + 1 for a, b in missing)
    first = str(missing[0][0]) if missing[0][0] == missing[0][1] else f"{missing[0][0]} to {missing[0][1]}"
    return [f"the numbering has gaps: {count} numbers are missing, the first {first}; no frame stands in for them"]


def _describe(
    path: Path, files: Sequence[Path], kind: SourceKind, rate: Fraction | None, max_pixels: int, warnings: list[str]
) -> MediaInfo:
    headers = []
    for file in files:
        check_image_file(file, max_pixels)
        header = read_header(file)
        check_pixels(file, header.width, header.height, max_pixels)
        if header.is_animated:
            raise UnsupportedInput(f"{file} holds several pictures", hint="Split it into files of one picture each.")
        headers.append(header)
        if (header.width, header.height) != (headers[0].width, headers[0].height):
            raise UnsupportedInput(
                f"{file} is {header.width}x{header.height}, but {files[0].name} is {headers[0].width}x"
                f"{headers[0].height}",
                hint="All images of a sequence must have one size.",
            )
    name = _format(headers)
    fps = rate or DEFAULT_RATE
    size = sum(file.stat().st_size for file in files)
    video = VideoInfo(
        index=0,
        codec=headers[0].kind,
        width=headers[0].width,
        height=headers[0].height,
        pixel_format=name,
        coded_pixel_format=name,
        color=_color(name),
        time_base=1 / fps,
        rate=fps,
    )
    return MediaInfo(
        path=path,
        kind=kind,
        container="image2",
        video=video,
        duration_s=float(len(files) / fps),
        size_bytes=size,
        files=tuple(files),
        warnings=tuple(warnings),
    )


def _format(headers: Sequence[ImageHeader]) -> str:
    """Give the format that holds all of them: grey, 8 bit and opaque only if every one is."""
    has_alpha = any(header.has_alpha for header in headers)
    is_color = has_alpha or any(header.is_color for header in headers)
    depth = max(header.depth for header in headers)
    stem = ("gbrap" if has_alpha else "gbrp") if is_color else "gray"
    return f"{stem}16le" if depth == 16 else stem


def _color(name: str) -> ColorSpec:
    """Image files hold full-range sRGB (IEC 61966-2-1) unless a profile says otherwise, which is not read."""
    matrix = "unspecified" if name.startswith("gray") else "gbr"
    return ColorSpec(matrix=matrix, range="pc", primaries="bt709", transfer="iec61966-2-1")
