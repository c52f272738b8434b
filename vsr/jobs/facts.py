"""What a job's result depends on, by name: source, settings that touch a pixel, model, machine's choices, version.

Two runs of equal facts on the same kind of device give the same bytes; where they differ, the difference has a name
that a user knows.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from vsr import __version__
from vsr.core.errors import InputError
from vsr.core.job import Job
from vsr.core.media import MediaInfo
from vsr.core.turn import Turn
from vsr.io.images.sequences import kept_names
from vsr.io.inputs import missing

SAMPLED_BYTES = 1 << 20  # at each end of a file
SHOWN = 80  # characters of a value in a message

Facts = Mapping[str, str]


def facts(job: Job) -> dict[str, str]:
    """Give everything that decides the bytes of the job's segments.

    Raises:
        InputError: the source cannot be read.
    """
    output, compute, temporal, packets = job.output, job.compute, job.settings.temporal, job.source.packets
    found: dict[str, object] = {
        "vsr's version": __version__,
        "the source's content": content(job.source),
        "the source's pictures": packets.digest,
        "the source's times": _digest(packets.pts, packets.durations, packets.keyframes, job.source.video.time_base),
        "span": (job.span.start, job.span.stop),
        "model": job.card.id,
        "the model's weights": job.card.digest,
        "scale": job.model_scale,
        "frames": job.card.frames,
        "stride": temporal.stride,
        "edge": temporal.edge,
        "shots": temporal.shots,
        "seed": job.seed,
        "decoder": job.settings.run.decoder,
        "hwaccel": job.settings.run.hwaccel,
        "deinterlace": job.deinterlace,
        "field order": job.field_order,
        "autorotate": turn_in_words(job.turn),
        "precision": compute.precision,
        "batch": compute.batch,
        "tile": compute.tile,
        "chunk_frames": _digest([(chunk.span, chunk.decode) for chunk in job.chunks]),
        "container": job.destination.container if job.destination.kind != "video" else "",
        "names": job.destination.pattern,
        "the sources' names": _digest(kept_names(job.source)) if job.destination.pattern.startswith("*") else "",
    }
    if job.sampling is not None:
        found |= {item.name: getattr(job.sampling, item.name) for item in dataclasses.fields(job.sampling)}
    found |= {
        f"output {item.name}": getattr(output, item.name)
        for item in dataclasses.fields(output)
        if item.name != "options"
    }
    found |= {f"encoder {name}": value for name, value in output.options}
    return {name: _text(value) for name, value in found.items()}


def fingerprint(known: Facts, track: tuple[tuple[int, int, int], ...] = ()) -> str:
    """Give one digest of facts, and of the measured track of noise that moves with the picture."""
    return hashlib.sha256(json.dumps([dict(sorted(known.items())), track]).encode()).hexdigest()


def differences(before: Facts, now: Facts) -> list[str]:
    """Name every fact that is not what it was: `model: espcn, was compact`."""
    said = []
    for name in sorted(before.keys() | now.keys()):
        old, new = before.get(name, "nothing"), now.get(name, "nothing")
        if old != new:
            is_plain = max(len(old), len(new)) <= SHOWN and not (_is_digest(old) or _is_digest(new))
            said.append(f"{name}: {new}, was {old}" if is_plain else f"{name} changed")
    return said


def content(info: MediaInfo) -> str:
    """Give a digest of the source's files: of images all, of a video its size, its beginning and its end.

    What stands between is in the digest of the packet scan. Images are read again only when their size or time is
    another: there may be a hundred thousand.

    Raises:
        InputError: a file is gone or cannot be read.
    """
    if info.kind == "video":
        return _digest_of((info.path,), _sample)
    return _digest_of_images(info.files, stamps(info.files))


def stamps(files: Iterable[Path]) -> tuple[tuple[int, int], ...]:
    """Give size and time of files; zeros for one that is not there."""
    found = []
    for file in files:
        try:
            stat = file.stat()
            found.append((stat.st_size, stat.st_mtime_ns))
        except OSError:
            found.append((0, 0))
    return tuple(found)


@functools.lru_cache(maxsize=1)
def _digest_of_images(files: tuple[Path, ...], stamped: tuple[tuple[int, int], ...]) -> str:
    return _digest_of(files, Path.read_bytes)


def _digest_of(files: tuple[Path, ...], read: Callable[[Path], bytes]) -> str:
    digest = hashlib.sha256()
    for file in files:
        try:
            digest.update(read(file))
        except FileNotFoundError as error:
            raise missing(file) from error
        except OSError as error:
            raise InputError(f"{file} cannot be read: {error.strerror}") from error
    return digest.hexdigest()


def sampled(file: Path) -> str:
    """Give a digest of a file's size, its beginning and its end.

    Raises:
        OSError: it cannot be read.
    """
    return hashlib.sha256(_sample(file)).hexdigest()


def _sample(file: Path) -> bytes:
    with file.open("rb") as opened:
        size = opened.seek(0, 2)
        opened.seek(0)
        head = opened.read(SAMPLED_BYTES)
        opened.seek(max(len(head), size - SAMPLED_BYTES))
        return f"{size} ".encode() + head + opened.read()


def _digest(*values: object) -> str:
    return hashlib.sha256(repr(values).encode()).hexdigest()


def turn_in_words(turn: Turn) -> str:
    """Say what is done to the pixels: two turns have the same words only if they are one."""
    names = {"rows and columns swapped": turn.swaps, "left and right": turn.flips_x, "top and bottom": turn.flips_y}
    return ", ".join(name for name, is_done in names.items() if is_done) or "nothing to turn"


def _text(value: object) -> str:
    return value if isinstance(value, str) else repr(value)


def _is_digest(text: str) -> bool:
    return len(text) >= 32 and all(c in "0123456789abcdef" for c in text)
