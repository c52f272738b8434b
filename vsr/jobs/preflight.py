"""Can this machine do it? What a job needs of disk and memory is forecast, and what cannot end well is not begun.

A forecast is a span: where not even its low end fits, the job is refused, where its high end does not, that is said.
`rehearsal` tries what cannot be forecast.
"""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from vsr.core.errors import DiskFull, JobError, OutOfMemory, OutputError, VsrError
from vsr.core.frame import pixel_format
from vsr.core.job import Job
from vsr.engines.device import free_bytes
from vsr.io import atomic
from vsr.jobs.rates import Amount, encoder_bytes_per_pixel, samples_per_pixel, video_bytes
from vsr.jobs.work import work_folder

LONGEST_S = 30 * 86400.0
_FAT = {"vfat": (1 << 32) - 1, "msdos": (1 << 32) - 1}  # bytes in the largest file of a file system
_MOUNTS = Path("/proc/self/mountinfo")
_QUEUED = 8  # items in a feed of the pipeline, and the bytes that bound it
_QUEUED_BYTES = 512 << 20
_HELD_BY_DECODER = 20  # frames: 16 references (H.264 table A-1) and what its threads have in hand
# Of a picture at the output's size, as it is restored, resampled and rounded. Measured with x264, x265 and SVT-AV1 to
# 1920x1080 and 2560x1440: a run takes 0.9 to 1.1 times the forecast, 1.3 with the work of ESPCN.
_COPIES = 8
_ANYWAY = "or add --force to start anyway."


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """What a job will need. Each amount says why; nothing that lies there already is counted off.

    result: the finished file, or all images. disk: the most that lies on the destination's device at one time.
    memory: of the host, without the network's own work, which is cut into tiles that fit.
    """

    result: Amount
    disk: Amount
    memory: Amount


def forecast(job: Job) -> Forecast:
    """Give what the job will need, from its plan alone: nothing is decoded or encoded."""
    video, others = video_bytes(job), _others(job)
    result = _sum(video, others, f"{video.reason}, {others.reason}")
    if job.destination.kind != "video":
        disk = result
    else:
        why = f"chunks and the joined file at the same time: twice {video.reason}; {others.reason}"
        disk = _sum(_sum(video, video, ""), others, why)
    return Forecast(result=result, disk=disk, memory=_memory(job))


def forecast_bytes(job: Job) -> int:
    """Give the likely size of the result: the encoded frames, and the source's other streams."""
    return forecast(job).result.likely


def refuse_impossible(job: Job) -> tuple[str, ...]:
    """Refuse a job that cannot end well; give what is worth a warning. With --force a forecast refuses nothing.

    Raises:
        OutputError: the folder is missing or read-only, or the result's own name is where a disk begins.
        DiskFull: not even the low end of the forecast fits on the disk, into a file, or into the names there are.
        OutOfMemory: not even the low end of the forecast fits into memory.
    """
    _refuse_mount(job.destination.path)
    atomic.check_writable(job.destination.path)
    told = []
    for is_sure, error in _doubts(job):
        if is_sure and not job.settings.run.force:
            raise error
        told.append(error.message)
    return tuple(told)


def refuse_endless(job: Job, seconds: float) -> tuple[str, ...]:
    """Refuse a job that takes more than 30 days by a forecast of its `seconds`; with --force give a warning.

    Raises:
        JobError: more than 30 days.
    """
    if seconds <= LONGEST_S:
        return ()
    said = f"{job.destination.path} will take {in_words(seconds)}"
    if job.settings.run.force:
        return (said,)
    hint = f"Choose a quicker --model, a smaller --scale, --start and --end, more devices, {_ANYWAY}"
    raise JobError(f"{said}: more than 30 days", hint=hint)


def in_words(seconds: float) -> str:
    """Give a length of time as people say it: `about 3 h 20 min`."""
    minutes = max(1, round(seconds / 60))
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = [f"{days} d" if days else "", f"{hours} h" if hours else "", f"{minutes} min" if minutes else ""]
    return "about " + " ".join([part for part in parts if part][:2])


def _refuse_mount(path: Path) -> None:
    """A result is made beside its place and takes it in one step; beside a disk's own folder is another disk."""
    place = path.resolve()
    if place.is_mount() or any(place == where for where, _ in _mounts()):
        hint = f"Name something in it: {path / 'result'}" if path.is_dir() else "Name the folder around it."
        raise OutputError(f"{path} is where another disk begins, and cannot be replaced", hint=hint)


def _doubts(job: Job) -> Iterator[tuple[bool, VsrError]]:
    """Yield what speaks against the job, and whether that is as good as sure."""
    ahead = forecast(job)
    path = job.destination.path
    free = atomic.free_bytes(path) + _held(work_folder(job.destination))
    elsewhere = f"Free some space, name an output on another disk with -o, {_ANYWAY}"
    if free < ahead.disk.high:
        said = _short(f"{path}", ahead.disk, f"{_bytes(free)} are free", is_sure=free < ahead.disk.low)
        yield free < ahead.disk.low, DiskFull(said, hint=elsewhere)
    frames = _frames(job)
    file = ahead.result if job.destination.kind == "video" else ahead.result.times(1 / frames)
    largest, whose = _largest_file(path)
    if largest is not None and largest < file.high:
        is_sure = largest < file.low
        yield is_sure, DiskFull(_short(f"{path}", file, f"{whose} {_bytes(largest)}", is_sure=is_sure), hint=elsewhere)
    names = _free_names(path)
    if job.destination.kind == "sequence" and names is not None and names < frames:
        yield True, DiskFull(f"{path} needs {frames} files, the file system has room for {names}", hint=elsewhere)
    memory = free_bytes("cpu")
    if memory < ahead.memory.likely:
        is_sure = memory < ahead.memory.low
        said = _short(f"{path}", ahead.memory, f"{_bytes(memory)} of memory are free", is_sure=is_sure)
        hint = f"Choose a smaller --scale, fewer --workers, a faster --encoder-preset, {_ANYWAY}"
        yield is_sure, OutOfMemory(said, hint=hint)


def _short(what: str, amount: Amount, have: str, *, is_sure: bool) -> str:
    needs = f"needs {_bytes(amount.low)} at the very least" if is_sure else f"may need {_bytes(amount.high)}"
    return f"{what} {needs} and likely {_bytes(amount.likely)} ({amount.reason}); {have}"


def _others(job: Job) -> Amount:
    """Give the bytes of the streams beside the video, which are copied; a span takes its share of them."""
    source = job.source
    kept = [stream for stream in job.streams if stream.action != "drop"]
    if job.destination.kind != "video" or not kept:
        return Amount(low=0, likely=0, high=0, reason="no other streams")
    share = min(1.0, _frames(job) / max(1, source.frame_count))
    whole = int(max(0, source.size_bytes - source.packets.bytes) * share)
    streams = "1 other stream" if len(kept) == 1 else f"{len(kept)} other streams"
    # What is not the video's may also be the container's own, or streams that are left out.
    return Amount(low=whole // 4, likely=whole, high=whole, reason=f"{_bytes(whole)} for {streams}")


def _memory(job: Job) -> Amount:
    """Give the bytes of host memory that decoder, queues, pictures at the output's size and encoder take.

    Every device has its own. The low end is half: decoders and encoders hold fewer frames of simple streams.
    """
    source, out, compute = job.source.video, job.output, job.compute
    pixels = source.width * source.height
    floats = 4.0 * (3 if job.card.domain == "rgb" else samples_per_pixel(pixel_format(source.pixel_format)))
    picture = int(pixels * floats) * compute.batch
    restored = max(pixels * job.model_scale**2, out.width * out.height) * floats * compute.batch
    written = _frame_bytes(out.pixel_format, out.width, out.height)
    parts = {
        "decoder": _HELD_BY_DECODER * _frame_bytes(source.pixel_format, source.width, source.height),
        "queues": min(_QUEUED * picture, _QUEUED_BYTES)
        + min(_QUEUED * written * compute.batch, _QUEUED_BYTES)
        + job.card.frames * picture,
        "pictures": int(_COPIES * restored) * (compute.workers if compute.device == "cpu" else 1),
        "encoder": int(out.width * out.height * encoder_bytes_per_pixel(job)),
    }
    likely = sum(parts.values()) * max(1, len(compute.devices))
    reason = ", ".join(f"{name} {_bytes(size)}" for name, size in parts.items())
    return Amount(low=likely // 2, likely=likely, high=likely * 2, reason=f"{out.width}x{out.height}: {reason}")


def _frame_bytes(name: str, width: int, height: int) -> int:
    fmt = pixel_format(name)
    return int(width * height * samples_per_pixel(fmt)) * (2 if fmt.depth > 8 else 1)


def _sum(a: Amount, b: Amount, reason: str) -> Amount:
    return Amount(low=a.low + b.low, likely=a.likely + b.likely, high=a.high + b.high, reason=reason)


def _frames(job: Job) -> int:
    return max(1, sum(chunk.frames for chunk in job.chunks))


def _held(folder: Path) -> int:
    """Give the bytes that a run which was stopped has left here: they are used, or go."""
    try:
        return sum(path.lstat().st_size for path in folder.rglob("*"))
    except OSError:  # another process tidies it at this moment
        return 0


def _largest_file(path: Path) -> tuple[int | None, str]:
    """Give the bytes of the largest file that may be written at `path`, and who says so; None: as large as you like."""
    most, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
    limits = [] if most == resource.RLIM_INFINITY else [(most, "this process may write files of (ulimit -f)")]
    kind = _file_system(path)
    if kind in _FAT:
        limits.append((_FAT[kind], f"the largest file on {kind} is"))
    return min(limits, default=(None, ""))


def _file_system(path: Path) -> str:
    """Give the kind of the file system that `path` lies on, as Linux names it; "" where nobody says."""
    folder = path.resolve().parent
    found: tuple[int, str] = (-1, "")
    for where, kind in _mounts():
        if folder.is_relative_to(where) and len(where.parts) >= found[0]:
            found = (len(where.parts), kind)
    return found[1]


def _mounts() -> Iterator[tuple[Path, str]]:
    """Yield where file systems begin, and their kinds, as Linux names them; nothing where nobody says."""
    try:
        lines = _MOUNTS.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return
    for line in lines:
        before, _, after = line.partition(" - ")
        yield Path(before.split()[4].replace("\\040", " ")), after.split()[0]


def _free_names(path: Path) -> int | None:
    """Give how many files can still be made beside `path`; None where the file system makes them as needed."""
    try:
        told = os.statvfs(path.resolve().parent)
    except OSError:
        return None
    return told.f_favail if told.f_files else None


def _bytes(count: int) -> str:
    for unit, size in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count / 1e3:.1f} kB"
