"""One damaged file through `vsr probe`, `vsr upscale` and `vsr verify`, in a process of its own with limits.

The process is forked from one in which everything is loaded and that has no threads.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

MEMORY_BYTES = 3 << 30  # of addresses, above what the loaded program has
GROWN_BYTES = 700 << 20  # of memory that is really used, above the loaded program
CPU_S = 40
WALL_S = 60
IMAGES = {".png", ".jpg", ".tiff", ".webp", ".bmp"}
FINE = {0, 2, 3, 5, 6, 7, 8}  # 1 is a bug; 5: not enough memory, told; 8: verify says no


@dataclass(kw_only=True)
class Trial:
    """What became of a damaged file: exit code of each verb, and everything that should not be."""

    codes: dict[str, int] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    seconds: float = 0.0
    peak_bytes: int = 0


def load() -> int:
    """Load all of the program; give the bytes of addresses and of memory that it takes."""
    from tests.faults.forks import _load

    _load()
    return _status("VmSize")


def tried(source: Path, folder: Path) -> Trial:
    """Send `source`, which lies alone in `folder`, through the program."""
    base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    addresses = _status("VmSize")
    told = folder.parent / "told.json"
    told.unlink(missing_ok=True)
    began = time.monotonic()
    pid = os.fork()
    if not pid:
        _live(source, told, addresses)
    trial = Trial()
    status, usage, hangs = _wait(pid)
    trial.seconds = time.monotonic() - began
    trial.peak_bytes = usage.ru_maxrss * 1024
    record = json.loads(told.read_text()) if told.exists() else {}
    trial.codes = record.get("codes", {})
    _judge(trial, record, os.waitstatus_to_exitcode(status), hangs=hangs, base=base)
    _judge_files(trial, record, source, folder)
    return trial


def _live(source: Path, told: Path, addresses: int) -> None:
    """Be the child: limits, three verbs, a record after each."""
    code = 70
    try:
        os.setsid()
        resource.setrlimit(resource.RLIMIT_AS, (addresses + MEMORY_BYTES, resource.RLIM_INFINITY))
        resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S + 5))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        out = told.with_suffix(".out")
        out.write_bytes(b"")
        for number, name in ((0, os.devnull), (1, out), (2, told.with_suffix(".err"))):
            flags = os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_CREAT | os.O_TRUNC
            os.dup2(os.open(name, flags), number)
        _verbs(source, told)
        code = 0
    finally:
        os._exit(code)


def _verbs(source: Path, told: Path) -> None:
    from vsr.cli import main

    suffix = source.suffix if source.suffix in IMAGES else ".mkv" if source.suffix != ".mp4" else ".mp4"
    result = source.with_name(f"out{suffix}")
    verbs: dict[str, list[object]] = {
        "probe": ["probe", source, "--json"],
        "upscale": ["upscale", source, "-o", result, "-m", "nearest", "-s", "2", "--json"],
    }
    if source.suffix not in IMAGES:
        verbs["verify"] = ["verify", source, result]
    record: dict[str, object] = {"codes": {}, "result": str(result)}
    codes: dict[str, int] = {}
    for verb, words in verbs.items():
        if verb == "verify" and codes.get("upscale") != 0:
            break
        told.write_text(json.dumps({**record, "codes": codes, "in": verb}))
        mark = os.fstat(1).st_size
        codes[verb] = main([str(word) for word in words])
        sys.stdout.flush()
        sys.stderr.flush()
        if verb == "upscale":
            said = told.with_suffix(".out").read_text(errors="replace")[mark:]
            record["summary"] = next(
                (e for e in map(_event, reversed(said.splitlines())) if e and e.get("event") == "summary"), None
            )
    told.write_text(json.dumps({**record, "codes": codes, "in": ""}))


def _event(line: str) -> dict[str, object] | None:
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _wait(pid: int) -> tuple[int, resource.struct_rusage, bool]:
    until = time.monotonic() + WALL_S
    hangs = False
    while True:
        done, status, usage = os.wait4(pid, os.WNOHANG)
        if done:
            return status, usage, hangs
        if time.monotonic() > until and not hangs:
            hangs = True
            os.killpg(pid, signal.SIGKILL)
        time.sleep(0.005)


def _judge(trial: Trial, record: dict[str, object], code: int, *, hangs: bool, base: int) -> None:
    where = record.get("in") or "the end"
    if hangs:
        trial.faults.append(f"hangs in {where}: more than {WALL_S} s")
    elif code < 0:
        trial.faults.append(f"killed by {signal.Signals(-code).name} in {where}")
    elif code:
        trial.faults.append(f"the process ended with {code} in {where}")
    for verb, ended in trial.codes.items():
        if ended not in FINE:
            trial.faults.append(f"{verb} ends with exit code {ended}")
    if trial.peak_bytes > base + GROWN_BYTES:
        trial.faults.append(f"takes {(trial.peak_bytes - base) >> 20} MiB")


def _judge_files(trial: Trial, record: dict[str, object], source: Path, folder: Path) -> None:
    """A result is there if and only if upscale ended with 0, and is whole then; nothing else is, but work to resume."""
    if "result" not in record or "upscale" not in trial.codes:
        return
    result = Path(str(record["result"]))
    is_done = trial.codes["upscale"] == 0
    if result.exists() != is_done:
        trial.faults.append("exit 0 and no result" if is_done else "a result is there in spite of the error")
    allowed = {source.name, result.name} | (set() if is_done else {f".{result.name}.vsr-work"})
    left = sorted(path.name for path in folder.iterdir() if path.name not in allowed)
    if left:
        trial.faults.append(f"left over: {', '.join(left)}")
    if is_done and result.exists():
        trial.faults += _broken(result, record.get("summary"))


def _broken(result: Path, summary: object) -> list[str]:
    """Decode a result: as many frames as were told, and not a complaint."""
    import av

    want = summary.get("frames_out") or summary.get("frames") if isinstance(summary, dict) else None
    try:
        with av.open(str(result)) as container:
            got = sum(1 for _ in container.decode(video=0))
    except av.FFmpegError as error:
        return [f"the result cannot be decoded: {error.strerror}"]
    return [f"{want} frames were told, {got} are there"] if want is not None and want != got else []


def _status(name: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    return 0
