"""Images as a source: one file, a numbered sequence or a folder, found and described without decoding them."""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

from vsr.core.errors import InputError, InputMissing, NotMedia, UnsupportedInput
from vsr.core.frame import ColorSpec
from vsr.core.media import MediaInfo, SourceKind, VideoInfo
from vsr.io.images.embedded import NOTHING, words
from vsr.io.images.headers import ImageHeader, image_kind, parse_header, read_header
from vsr.io.limits import MAX_IMAGE_BYTES, check_image_file, check_pixels

SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp", ".bmp")
DEFAULT_RATE = Fraction(25)
_PATTERN = re.compile(r"%(?:0(\d+))?d")
_LONGEST_STEM = 240  # bytes: with a suffix and more it stays within the 255 of a file's name
_MOST_NAMED = 8


def is_pattern(path: Path) -> bool:
    """Whether a name stands for a numbered sequence: exactly one `%d` or `%05d` in it."""
    return len(_PATTERN.findall(path.name)) == 1


def is_image(path: Path) -> bool:
    """Whether a file is a picture by its first bytes; an animated PNG or WebP is not: it is decoded as a video."""
    with path.open("rb") as content:
        kind = image_kind(content.read(16))
        if kind == "webp":
            return not is_animation(path)
        if kind != "png":
            return kind is not None
        content.seek(0)
        # What tells an animation stands before the picture's data.
        return not parse_header(path, content.read(MAX_IMAGE_BYTES)).is_animated


def is_animation(path: Path) -> bool:
    """Whether a file is an animated WebP by its first bytes (RFC 9649 section 2.7); others FFmpeg knows itself."""
    with path.open("rb") as content:
        head = content.read(32)
    return image_kind(head) == "webp" and head[12:16] == b"VP8X" and len(head) > 20 and bool(head[20] & 0x02)


def natural_key(name: str) -> tuple[tuple[int, str], ...]:
    """Give a sort key that puts `frame_2` before `frame_10`."""
    parts = re.split(r"(\d+)", name)
    return tuple((int(part), "") if part.isdecimal() and part.isascii() else (-1, part.lower()) for part in parts)


def describe_image(path: Path, *, rate: Fraction | None, max_pixels: int) -> MediaInfo:
    """Describe one image.

    Raises:
        NotMedia, UnsupportedInput, InputLimits: it cannot be used.
    """
    return _describe(path, [path], "image", rate, max_pixels)


def describe_pattern(path: Path, *, rate: Fraction | None, max_pixels: int) -> MediaInfo:
    """Describe the files that a pattern names, by number; gaps are passed over, and said to be damage.

    Raises:
        InputMissing: no file fits.
        InputError: see `describe_folder`.
    """
    numbered = sorted(_numbered(path))
    if not numbered:
        raise InputMissing(f"no file fits {path}", hint="%05d stands for 5 digits: frame_%05d.png is frame_00001.png.")
    files = [file for _, file in numbered]
    damage = _gaps([number for number, _ in numbered])
    return _describe(path, files, "sequence", rate, max_pixels, damage=damage)


def describe_folder(path: Path, *, rate: Fraction | None, max_pixels: int) -> MediaInfo:
    """Describe the images of a folder, in natural order; hidden and other files are left out.

    All must have one size, as shown. Formats and depths may be mixed: frames travel in the one that holds them all
    without loss (grey, 8 bits and opaque only if every one is).

    Raises:
        NotMedia: there are none, or one of them is no image.
        UnsupportedInput: one differs in size from the first.
        InputLimits: they are too large.
    """
    try:
        there = [entry for entry in path.iterdir() if entry.is_file()]
    except OSError as error:
        raise InputError(f"folder {path} cannot be read: {error.strerror}") from error
    entries = [entry for entry in there if not entry.name.startswith(".")]
    files = sorted((entry for entry in entries if entry.suffix.lower() in SUFFIXES), key=lambda e: natural_key(e.name))
    if not files:
        others = f"{len(entries)} files of other kinds" if entries else "no files"
        raise NotMedia(f"folder {path} holds no images, only {others}", hint=f"Images end in {', '.join(SUFFIXES)}.")
    warnings = []
    if len(entries) > len(files):
        warnings.append(f"{len(entries) - len(files)} files of {path.name} are no images: left out")
    hidden = sum(1 for entry in there if entry.name.startswith(".") and entry.suffix.lower() in SUFFIXES)
    if hidden:
        warnings.append(f"{hidden} hidden images of {path.name} are left out")
    groups = _groups(files)
    numbered = {name: numbers for name, numbers in groups.items() if len(numbers) > 1}
    if len(numbered) > 1:
        parts = [f"{name} ({len(numbers)} files)" for name, numbers in numbered.items()]
        warnings.append(
            f"{path.name} holds {_listed(parts)}: they are taken together in natural order; name one of them "
            f"({path / next(iter(numbered))}) to take it alone"
        )
    damage = [word for name, numbers in numbered.items() for word in _gaps(numbers, name if len(groups) > 1 else "")]
    return _describe(path, files, "sequence", rate, max_pixels, warnings=warnings, damage=damage)


def kept_names(info: MediaInfo) -> tuple[str, ...]:
    """Give the names, without suffixes, that a sequence's results can have: the sources' own; () where they cannot.

    They cannot where two would be one (`1.png` beside `1.jpg`), are hidden, or leave no room for a longer suffix.
    """
    names = tuple(file.stem for file in info.files)
    is_plain = all(not name.startswith(".") and len(os.fsencode(name)) <= _LONGEST_STEM for name in names)
    is_unique = len({name.casefold() for name in names}) == len(names)
    return names if info.kind == "sequence" and is_plain and is_unique else ()


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


def _groups(files: Sequence[Path]) -> dict[str, list[int]]:
    """Give the numbers of files that differ in nothing else, by their pattern; a file without a number by its name."""
    groups: dict[str, list[tuple[int, int]]] = {}
    widths: dict[str, set[int]] = {}
    for file in files:
        parts = re.fullmatch(r"(.*?)(\d+)(\D*)", file.name, re.ASCII)
        key = f"{parts[1]}\0{parts[3]}" if parts else file.name
        groups.setdefault(key, []).append((int(parts[2]), len(parts[2])) if parts else (0, 0))
        widths.setdefault(key, set()).add(len(parts[2]) if parts else 0)
    named = {}
    for key, numbers in groups.items():
        width = min(widths[key])
        named[key.replace("\0", f"%0{width}d" if width > 1 else "%d")] = sorted(number for number, _ in numbers)
    return named


def _gaps(numbers: Sequence[int], name: str = "") -> list[str]:
    missing = [(a + 1, b - 1) for a, b in pairwise(numbers) if b - a > 1]
    if not missing:
        return []
    count = sum(b - a + 1 for a, b in missing)
    said = _listed([str(a) if a == b else f"{a} to {b}" for a, b in missing])
    of = f" of {name}" if name else ""
    are = f"number {said}{of} is missing" if count == 1 else f"{count} numbers{of} are missing: {said}"
    return [f"the numbering has gaps: {are}; no frame stands in for {'it' if count == 1 else 'them'}"]


def _listed(words: Sequence[str]) -> str:
    shown = words if len(words) <= _MOST_NAMED else words[:_MOST_NAMED]
    return ", ".join(shown) + (f" and {len(words) - len(shown)} more" if len(shown) < len(words) else "")


def _describe(
    path: Path,
    files: Sequence[Path],
    kind: SourceKind,
    rate: Fraction | None,
    max_pixels: int,
    *,
    warnings: Sequence[str] = (),
    damage: Sequence[str] = (),
) -> MediaInfo:
    headers, carried = [], dict[str, None]()
    for file in files:
        check_image_file(file, max_pixels)
        header = read_header(file)
        check_pixels(file, header.width, header.height, max_pixels)
        if header.is_animated:
            raise UnsupportedInput(f"{file} holds several pictures", hint="Split it into files of one picture each.")
        carried |= dict.fromkeys(words(header.embedded))
        headers.append(dataclasses.replace(header, embedded=NOTHING))  # profiles of thousands of files are megabytes
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
        side_data=tuple(carried),
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
        damage=tuple(damage),
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
