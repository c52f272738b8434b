"""Events and facts as text: lines for people, JSON for programs. Pure functions; `screen.py` decides where they go."""

from __future__ import annotations

import dataclasses
import json
import math
import unicodedata
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from vsr.core.events import (
    Event,
    FileEnded,
    FolderListed,
    FolderProgress,
    FolderSummary,
    Noted,
    Planned,
    Progress,
    StageLoad,
    Summary,
    Warned,
    Worked,
    WorkerLoad,
)

if TYPE_CHECKING:
    from vsr.core.media import PacketIndex

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"

MOST_WORKERS = 4  # that have a place each on one line

_NAMES: Mapping[type, str] = {
    Planned: "planned",
    Progress: "progress",
    Worked: "worked",
    Noted: "noted",
    Warned: "warning",
    Summary: "summary",
    FolderListed: "folder",
    FolderProgress: "folder_progress",
    FileEnded: "file",
    FolderSummary: "folder_summary",
}


def event_line(event: Event) -> str:
    """Give an event as one line of JSON: `{"event": "progress", ...}`, keys as in `core/events.py`."""
    return json_line(event, event=_NAMES[type(event)])


def json_line(value: object, *, event: str | None = None) -> str:
    """Give a dataclass (or plain data) as one line of JSON, with an `event` key first where one is named."""
    data = jsonable(value)
    if event is not None and isinstance(data, dict):
        data = {"event": event, **data}
    return json.dumps(data, allow_nan=False)


def jsonable(value: object) -> Json:  # noqa: PLR0911 -- one return a kind
    """Give plain data: fields and properties of dataclasses, ratios as `num/den`, unbounded numbers as null.

    A packet index is told by its counts: its lists are as long as the film.
    """
    from vsr.core.media import PacketIndex  # brings numpy, which `vsr --help` can do without

    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return round(value, 6) if math.isfinite(value) else None
    if isinstance(value, PacketIndex):
        return _packets(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [item.name for item in dataclasses.fields(value)]
        names += [name for name, item in vars(type(value)).items() if isinstance(item, property)]
        return {name: jsonable(getattr(value, name)) for name in names}
    if isinstance(value, Mapping):
        return {str(key): jsonable(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [jsonable(item) for item in value]
    assert isinstance(value, Fraction | Path), f"{type(value)} has no form in JSON"
    return str(value)


def _packets(index: PacketIndex) -> Json:
    return {
        "frames": len(index.pts),
        "first_pts": index.pts[0] if index.pts else None,
        "last_pts": index.pts[-1] if index.pts else None,
        "keyframes": len(index.keyframes),
        "is_variable": index.is_variable,
        "bytes": index.bytes,
        "corrupt": index.corrupt,
        "without_pts": index.without_pts,
    }


def progress_line(event: Progress) -> str:
    """Give `42/250 frames (17 %), 24.8 fps, 0:08 left; infer 97 %, encode 40 %`, with the rates of several workers."""
    share = f" ({100 * event.done // event.total} %)" if event.total else ""
    left = f", {clock(event.eta_s)} left" if event.eta_s is not None else ""
    loads = (worker_loads(event.workers), stage_loads(event.stages))
    return "; ".join([f"{event.done}/{event.total} frames{share}, {event.fps:.1f} fps{left}", *filter(None, loads)])


def worker_loads(workers: tuple[WorkerLoad, ...]) -> str:
    """Give how fast each of several workers is: `cuda:0 20.1 fps, cuda:1 6.2 fps`; of many, the slowest and fastest."""
    if len(workers) < 2:
        return ""
    told = sorted(workers, key=lambda load: load.worker)
    if len(workers) > MOST_WORKERS:
        told = sorted(workers, key=lambda load: load.fps)
        told = [told[0], told[-1]]
    each = ", ".join(f"{load.worker} {load.fps:.1f} fps" for load in told)
    return each if len(told) == len(workers) else f"{len(workers)} workers: {each}"


def folder_line(event: FolderListed) -> str:
    """Give `clips: 120 files, 77 to do; 12 others passed over (8 .txt, 4 .nfo)`."""
    files = "1 file" if event.files == 1 else f"{event.files} files"
    said = f"{visible(event.source)}: {files}, {event.to_do} to do"
    if not event.others:
        return said
    most = sorted(event.others.items(), key=lambda item: (-item[1], item[0]))
    kinds = ", ".join(f"{count} {visible(suffix) or 'without a suffix'}" for suffix, count in most[:5])
    return f"{said}; {sum(event.others.values())} others passed over ({kinds}{', ...' if len(most) > 5 else ''})"


def folder_progress_line(event: FolderProgress) -> str:
    """Give `5/77 files (12 %), 24.8 fps, 0:40 left; b.mp4: 100/250 frames`."""
    left = f", {clock(event.eta_s)} left" if event.eta_s is not None else ""
    file = f"; {visible(event.file)}: {event.file_done}/{event.file_total} frames" if event.file else ""
    return f"{event.done}/{event.total} files ({100 * event.share:.0f} %), {event.fps:.1f} fps{left}{file}"


def file_line(event: FileEnded) -> str:
    """Give `[3/77] done: out/a.mp4 (250 frames, 10 s)` or `[4/77] failed: in/b.mp4: it breaks off`."""
    if event.status == "done":
        frames = "1 frame" if event.frames == 1 else f"{event.frames} frames"
        return f"[{event.number}/{event.total}] done: {visible(event.destination)} ({frames}, {clock(event.wall_s)})"
    reason = f": {visible(event.reason)}" if event.reason else ""
    return f"[{event.number}/{event.total}] {event.status}: {visible(event.source)}{reason}"


def folder_summary_line(event: FolderSummary) -> str:
    """Give `out: 75 done, 40 done earlier, 2 failed; 31200 frames in 20:47 (25.02 fps)`."""
    words = {"done": "done", "earlier": "done earlier", "skipped": "skipped", "failed": "failed"}
    words |= {"taken": "taken by another process", "left": "left"}
    counts = [f"{getattr(event, name)} {said}" for name, said in words.items() if getattr(event, name)]
    frames = "1 frame" if event.frames == 1 else f"{event.frames} frames"
    rate = f"; {frames} in {clock(event.wall_s)} ({event.fps:.2f} fps)" if event.frames else ""
    return f"{visible(event.destination)}: {', '.join(counts) or 'nothing to do'}{rate}"


def stage_loads(stages: tuple[StageLoad, ...]) -> str:
    """Give how busy each stage is: `decode 3 %, infer 97 %, encode 40 %`."""
    return ", ".join(f"{stage.name} {100 * stage.busy:.0f} %" for stage in stages)


def summary_lines(event: Summary, *, is_warned: bool) -> tuple[str, ...]:
    """Give the closing words. `is_warned`: the reader has seen the warnings already, their number will do."""
    one = "frame" if event.frames_out == 1 else "frames"
    lines = [
        visible(event.destination),
        f"  {event.width}x{event.height}, {event.frames_in} {one} in = {event.frames_out} {one} out, "
        f"{amount(event.size_bytes)}",
        f"  {clock(event.wall_s)} ({event.fps:.2f} fps); {_limit(event)}"
        f"efficiency {100 * event.efficiency:.0f} % of {event.cores} cores",
    ]
    if event.verified:
        lines.append(f"  verified: {event.verified}")
    if event.warnings and is_warned:
        lines.append(f"  {len(event.warnings)} warning{'s' if len(event.warnings) > 1 else ''}, see above")
    else:
        lines += [f"  warning: {visible(warning)}" for warning in event.warnings]
    return tuple(lines)


def _limit(event: Summary) -> str:
    busy = [stage.busy for stage in event.stages if stage.name == event.bottleneck]
    share = f" ({100 * busy[0]:.0f} % busy)" if busy else ""
    return f"bottleneck: {event.bottleneck}{share}; " if event.bottleneck else ""


def clock(seconds: float) -> str:
    """Give `4.2 s`, `3:07` or `2:03:07`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    hours, minutes, rest = whole // 3600, whole // 60 % 60, whole % 60
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def amount(count: int) -> str:
    """Give bytes in decimal units: `812 B`, `3.1 MB`."""
    value, unit = float(count), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if value < 999.95:
            break
        value, unit = value / 1000, larger
    return f"{value:.1f} {unit}" if unit != "B" else f"{count} B"


def visible(text: str) -> str:
    """Give text without control characters: names and tags come from files, and may hold terminal commands."""
    return "".join(c if unicodedata.category(c) not in ("Cc", "Cs") else repr(c)[1:-1] for c in text)
