"""Videos, frames or images -> hr / lr / sr triplets with a manifest: what `vsr prepare` does.

`clips` finds what there is, `split` says which part it belongs to, `shot_windows` reads windows, `triplets` makes and
names the pictures, `degrade` does the damage. Workers make the windows of a clip each; the caller's thread keeps the
books (`window_ledger`), in order, so that the result does not depend on how many workers there are.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from vsr.core.errors import InputError, PartialFailure, UsageError
from vsr.core.events import Report, Warned, Worked, silent
from vsr.core.frame import pixel_format
from vsr.data import manifest
from vsr.data import window_ledger as books
from vsr.data.clips import Clip, find_clips
from vsr.data.degrade import Frames
from vsr.data.lmdb_store import require_lmdb, write_store
from vsr.data.preparation import Preparation
from vsr.data.shot_windows import Cut, cut, look
from vsr.data.split import assign
from vsr.data.stills import weaving
from vsr.data.triplets import make_triplet
from vsr.data.window_ledger import PART, Record, files_of
from vsr.engines.device import cores, use_threads
from vsr.io.atomic import translate
from vsr.io.images.files import encode_image, sync_folder, write_whole
from vsr.pipeline.lanes import Lanes

_RGB = pixel_format("gbrp")


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """A clip that could not be used, and why."""

    path: Path
    why: str
    hint: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """What there is now. windows, pictures (of each kind): all in OUT; resumed: windows of an earlier run."""

    out: Path
    windows: int
    pictures: int
    resumed: int
    parts: dict[str, int]
    failed: tuple[Failed, ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Task:
    clip: Clip
    part: str  # "" without a split


@dataclass(frozen=True, slots=True, kw_only=True)
class _Made:
    """What became of one clip: manifest records, or an error."""

    task: _Task
    records: tuple[Record, ...] = ()
    warnings: tuple[str, ...] = ()
    error: InputError | None = None


def prepare(
    source: Path | str,
    out: Path | str,
    wish: Preparation,
    *,
    lmdb: bool = False,
    workers: int | None = None,
    overwrite: bool = False,
    report: Report = silent,
) -> Prepared:
    """Make the triplets of `source` in the folder `out`; an earlier run with the same settings is gone on with.

    lmdb: afterwards put the pictures into an LMDB environment too, `OUT/[part/]lmdb`. overwrite: remove what another
    preparation made in `out`. What cannot be used is named in the result; the others are made.

    Raises:
        InputError: nothing can be used at all.
        ChangedSinceStart, OutputExists: `out` was made otherwise or of other files, or holds other things.
        JobLocked: another process works in it.
        DiskFull, OutputError: it cannot be written.
        UsageError: `lmdb` without the package or without sizes.
    """
    source, out = Path(source), Path(out)
    if lmdb:
        if wish.size is None:
            raise UsageError("LMDB keys name two sizes: --lmdb goes with --size", hint="For example --size 16,128.")
        require_lmdb()
    clips = find_clips(source, out)
    videos = {clip.video for clip in clips}
    if wish.split and len(videos) == 1:
        first, second = wish.split.names
        report(Warned(message=f"{source} is one video: all of it is in {first}, {second} stays empty"))
    parts = assign(videos, wish.split, seed=wish.seed) if wish.split else {}
    with books.locked(out):
        known = books.resume(out, books.header(wish, clips), clips, overwrite=overwrite)
        made = list(_make_all(_left(clips, known, parts), out, wish, workers or cores(), report))
        records = [*known, *(record for one in made for record in one.records)]
        errors = [(one.task.clip.path, one.error) for one in made if one.error]
        if not records:
            _give_up(out, source, [error for _, error in errors])
        if lmdb:
            _store(out, records, wish)
    counts = dict.fromkeys(wish.split.names if wish.split else ("",), 0)
    for record in records:
        counts[str(record["split"] or "")] += 1
    warnings = [warning for one in made for warning in one.warnings]
    for part, count in counts.items():
        if count == 0 and len(videos) > 1:
            warnings.append(f"{part} is empty: none of the videos that fell to it could be used")
            report(Warned(message=f"{warnings[-1]}; another --seed chooses others"))
    return Prepared(
        out=out,
        windows=len(records),
        pictures=sum(len(files_of(record)) for record in records),
        resumed=len(known),
        parts=counts,
        failed=tuple(Failed(path=path, why=error.message, hint=error.hint) for path, error in errors),
        warnings=tuple(warnings),
    )


def raise_failures(result: Prepared) -> None:
    """Raise if a clip could not be used.

    Raises:
        PartialFailure: it names each of them, and why.
    """
    if result.failed:
        said = "\n".join(failed.why for failed in result.failed)
        raise PartialFailure(
            f"{len(result.failed)} of the inputs could not be prepared\n{said}",
            hint="The others are done. Mend these and run the same command again, or without them with --overwrite.",
        )


def _left(clips: Sequence[Clip], known: Sequence[Record], parts: dict[str, str]) -> list[_Task]:
    """Give what is still to do."""
    done = {str(record["clip"]) for record in known}
    return [_Task(clip=clip, part=parts.get(clip.video, "")) for clip in clips if clip.id not in done]


def _make_all(tasks: list[_Task], out: Path, wish: Preparation, workers: int, report: Report) -> Iterator[_Made]:
    """Yield what became of each clip, in order; its records are in the manifest by then."""
    if not tasks:
        return
    report(Worked(done=0, total=len(tasks), unit="clips"))
    with Lanes(limit=2 * workers) as lanes:
        queue = lanes.flow("clips", lambda: iter(tasks))
        setup = partial(use_threads, 1)
        results = lanes.map(
            "prepare", partial(_make, out=out, wish=wish, heed=lanes.heed), queue, workers=workers, setup=setup
        )
        for count, made in enumerate(results, 1):
            if made.records:
                manifest.append_all(out / manifest.NAME, made.records)
            for warning in made.warnings:
                report(Warned(message=warning))
            if made.error is not None:
                report(Warned(message=f"left out: {made.error.message}"))
            yield made
            report(Worked(done=count, total=len(tasks), unit="clips", note=made.task.clip.id))


def _make(task: _Task, *, out: Path, wish: Preparation, heed: Callable[[], None]) -> _Made:
    """Make the windows of one clip; what is wrong with the clip is handed back, what is wrong with `out` is raised.

    Windows of a clip that does not come to its end are removed.
    """
    clip = task.clip
    is_image = clip.kind == "image"
    size, stride, count = (1, 1, 1) if is_image else (wish.frames, wish.stride, wish.windows)
    warnings: list[str] = []
    records: list[Record] = []
    try:
        stamp = clip.stamp
        info, seen = look(clip, size=size, stride=stride, count=count, heed=heed)
        warnings += [f"{clip.path}: {said}" for said in (*info.damage, *info.warnings, *weaving(info))]
        if seen.damaged:
            warnings.append(f"{clip.path}: {seen.damaged} frames are damaged and not used")
        if len(seen.starts) < count:
            warnings.append(f"{clip.path}: {len(seen.starts)} windows fit, not {count}")
        for number, window in enumerate(cut(info, seen.starts, size=size, stride=stride, heed=heed)):
            records.append({**_window(task, number, len(seen.starts), window, out, wish), "stamp": stamp})
    except BaseException as error:
        books.discard(out, records)
        if not isinstance(error, InputError):
            raise
        return _Made(task=task, error=error, warnings=tuple(warnings))
    return _Made(task=task, records=tuple(records), warnings=tuple(warnings))


def _window(task: _Task, number: int, count: int, window: Cut, out: Path, wish: Preparation) -> Record:
    """Make one window's pictures and give its record. Every tree gets its folder, or its image, whole."""
    clip, geometry = task.clip, wish.geometry
    name = clip.id if wish.windows == 1 or clip.kind == "image" else f"{clip.id}_w{number:04d}"
    seed = [wish.seed, int.from_bytes(hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest()[:8])]
    triplet = make_triplet(str(clip.path), window.data, geometry, wish.degradation, seed=seed)
    below = Path(task.part) if task.part else Path()
    files: dict[str, str] = {}
    for tree, mark, frames in zip(geometry.trees, geometry.marks, (triplet.hr, triplet.lr, triplet.sr), strict=True):
        if clip.kind == "image":
            pictures = {f"{name}.png": frames[0]}
            target = below / tree
        else:
            pictures = {f"frame_{index}_{mark}.png": frame for index, frame in enumerate(frames)}
            target = below / tree / name
        digests = _publish(out, target, pictures, is_folder=clip.kind != "image")
        files.update({(target / file).as_posix(): digest for file, digest in digests.items()})
    return {
        "clip": clip.id,
        "name": name,
        "window": number,
        "windows": count,
        "video": clip.video,
        "split": task.part or None,
        "source": str(clip.path),
        "kind": clip.kind,
        "time_base": str(window.time_base),
        "pts": list(window.pts),
        "frames": list(window.indices),
        "hr": [triplet.hr.shape[2], triplet.hr.shape[1]],
        "lr": [triplet.lr.shape[2], triplet.lr.shape[1]],
        "degradation": triplet.degradation,
        "seed": seed,
        "files": files,
    }


def _publish(out: Path, target: Path, pictures: dict[str, Frames], *, is_folder: bool) -> dict[str, str]:
    """Write PNG files into the folder `target` below `out`; a folder of frames bears its name when all are in it."""
    final = out / target
    digests = {}
    # The name is the target's own, so that a run that goes on finds and replaces what was left here.
    part = out / f"{PART}{hashlib.sha256(target.as_posix().encode('utf-8', 'surrogateescape')).hexdigest()[:16]}"
    try:
        folder = part if is_folder else final
        if is_folder and part.exists():
            shutil.rmtree(part)
        folder.mkdir(parents=True, exist_ok=True)
        for name, frame in pictures.items():
            planes = (frame[..., 1], frame[..., 2], frame[..., 0])
            data = encode_image(planes, _RGB, folder / name)
            write_whole(folder / name, data)
            digests[name] = hashlib.sha256(data).hexdigest()
        if is_folder:
            final.parent.mkdir(parents=True, exist_ok=True)
            if final.exists():  # of a run that was killed before the window was noted
                shutil.rmtree(final)
            part.rename(final)
        sync_folder(final.parent)
    except OSError as error:
        raise translate(error, final) from error
    finally:
        if is_folder:
            shutil.rmtree(part, ignore_errors=True)
    return digests


def _give_up(out: Path, source: Path, errors: Sequence[InputError]) -> None:
    (out / manifest.NAME).unlink(missing_ok=True)
    if len(errors) == 1:
        raise errors[0]
    said = "\n".join(error.message for error in errors)
    hints = {error.hint for error in errors}
    hint = hints.pop() if len(hints) == 1 else None
    raise InputError(f"nothing in {source} could be prepared\n{said}", hint=hint or "Mend these files, or name others.")


def _store(out: Path, records: Sequence[Record], wish: Preparation) -> None:
    """Put the pictures of each part into an environment of its own, in the order of the manifest."""
    assert wish.size is not None
    low, high = wish.size
    for part in sorted({str(record["split"] or "") for record in records}):
        triplets = []
        for record in records:
            if str(record["split"] or "") == part:
                files = [out / name for name in files_of(record)]
                count = len(files) // 3
                triplets += list(zip(files[:count], files[count : 2 * count], files[2 * count :], strict=True))
        write_store(out / part / "lmdb", triplets, low=low, high=high)
