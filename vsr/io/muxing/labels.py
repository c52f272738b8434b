"""What streams and files are called: titles, languages and tags on their way into another container."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from av.container import InputContainer
from av.stream import Stream

from vsr.io.streams import dispositions, language, title

_NOT_SAID = {"attached_pic", "still_image", "timed_thumbnails", "dependent", "multilayer"}

# What the muxer that wrote the source said about its own packets and not about the content.
_NOISE = {
    "encoder", "major_brand", "minor_version", "compatible_brands", "vendor_id", "duration", "number_of_frames",
    "number_of_bytes", "bps", "rotate",
}  # fmt: skip

# The tags that FFmpeg's mp4 muxer writes as iTunes does (libavformat/movenc.c); a tag with a language is one more.
_ITUNES = {
    "title", "artist", "album", "comment", "genre", "date", "description", "synopsis", "show", "copyright", "composer",
    "album_artist", "lyrics", "track", "disc", "grouping", "network", "season_number", "episode_id", "episode_sort",
    "compilation", "media_type", "keywords", "location", "creation_time", "timecode", "hd_video", "gapless_playback",
}  # fmt: skip
# The same for mov: four-letter atoms of QuickTime.
_QUICKTIME = {"title", "artist", "album", "comment", "genre", "date", "copyright", "location", "make", "model"} | {
    "creation_time", "timecode",
}  # fmt: skip

# The codes of ISO 639-2 that mean one language (library and terminology), and what QuickTime calls it in FFmpeg.
_SAME_LANGUAGE = (
    "alb sqi", "arm hye", "baq eus", "bur mya", "cze ces", "dut nld", "fre fra", "geo kat", "ger deu", "gre ell",
    "ice isl", "mac mkd", "may msa", "per fas", "rum ron", "slo slk", "swe sve", "tib bod", "wel cym", "chi zho",
)  # fmt: skip
# The codes that FFmpeg's mov muxer writes; measured.
_IN_MOV = frozenset(
    {
        "eng", "fra", "ger", "ita", "dut", "sve", "spa", "dan", "por", "nor", "heb", "jpn", "ara", "fin", "gre", "ice",
        "mlt", "tur", "chi", "urd", "hin", "tha", "kor", "lit", "pol", "hun", "est", "lav", "rus", "per", "alb", "arm",
        "baq", "bur", "ces", "geo", "mac", "may", "ron", "slk", "slv", "tib", "wel", "cat", "vie", "ind", "ukr", "bul",
        "bel", "lat",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """What a file says of a stream. is_apart: an attachment or a cover, which containers keep beside their tracks."""

    kind: str
    language: str | None
    title: str | None
    flags: frozenset[str]
    is_apart: bool
    is_pcm: bool = False  # its sound is plain samples, which a reader may put into packets of its own


def label_of(stream: Stream) -> Label:
    """Read a stream's label while its file is open."""
    flags = frozenset(dispositions(stream))
    return Label(
        kind=stream.type,
        language=language(stream),
        title=title(stream),
        flags=flags - _NOT_SAID,
        is_apart=stream.type == "attachment" or "attached_pic" in flags,
    )


def kept_metadata(metadata: Mapping[str, str]) -> dict[str, str]:
    """Give metadata without what the source's own muxer added about itself."""
    return {
        key: value
        for key, value in metadata.items()
        if key.lower() not in _NOISE and not key.startswith("_STATISTICS") and not _is_statistics(key.lower())
    }


def file_metadata(container: InputContainer) -> dict[str, str]:
    """Give a file's tags. `location-eng` of mov is what `location` says, for one language, and is left to it."""
    kept = kept_metadata(container.metadata)
    if container.format.name.startswith("mov") and kept.get("location-eng") == kept.get("location"):
        kept.pop("location-eng", None)
    return kept


def stream_metadata(source: Stream, muxer: str) -> dict[str, str]:
    """Give a stream's tags in the words of the result's muxer: its title by that name, its language as it is coded."""
    kept = kept_metadata(source.metadata)
    if (said := title(source)) is not None:
        kept.pop("name", None)
        kept["title"] = said
    key = next((key for key in kept if key.lower() == "language"), None)
    if key is not None:
        kept["language"] = language_in(muxer, kept.pop(key))
    return kept


def language_in(muxer: str, language: str) -> str:
    """Give the code by which a muxer knows a language: mov has a list of its own."""
    if muxer != "mov" or language in _IN_MOV:
        return language
    return next((code for code in _names(language) if code in _IN_MOV), language)


def is_same_language(one: str | None, other: str | None) -> bool:
    """Say whether two codes mean one language."""
    return one == other or (one is not None and other in _names(one))


def needs_free_tags(metadata: Mapping[str, str], muxer: str) -> bool:
    """Say whether mp4 or mov must write tags under free names (`mdta`), because a name has no place of its own.

    Players that know iTunes' tags alone see none of them then; so it is done only where one would be lost otherwise.
    """
    held = {"mp4": _ITUNES, "mov": _QUICKTIME}.get(muxer)
    return held is not None and any(key.lower() not in held for key in metadata)


def _names(language: str) -> list[str]:
    return next((group.split() for group in _SAME_LANGUAGE if language in group.split()), [language])


def _is_statistics(key: str) -> bool:
    """Say whether mkvmerge or FFmpeg counted this of a track: `BPS-eng`, `DURATION-eng`."""
    name, dash, _ = key.partition("-")
    return bool(dash) and name in ("bps", "duration", "number_of_frames", "number_of_bytes")
