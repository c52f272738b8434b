"""What the machine offers an engine: device, precision, memory left, threads."""

from __future__ import annotations

import logging
import math
import os
import platform
import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from vsr.core.card import ModelCard, Precision
from vsr.core.errors import DeviceError, IncompatibleModel, NoDevice, OutOfMemory
from vsr.engines.base import Batch, Engine, Key

log = logging.getLogger(__name__)

DTYPES: dict[Precision, torch.dtype] = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
FLOOR_DB = 50.0  # a reduced precision must agree with fp32 this well: far below what any codec adds
GAIN = 0.9  # and take less than this share of fp32's time
_CGROUP = Path("/sys/fs/cgroup")
_NO_MEMORY = re.compile(r"can't allocate memory|not enough memory|bad_alloc|CUDA out of memory|Insufficient memory")


def pick_device(name: str) -> str:
    """Resolve `auto`, `cpu`, `cuda` or `cuda:N` to `cpu` or `cuda:N`.

    Raises:
        NoDevice: it is not there, or no such name.
    """
    if name == "cpu":
        return "cpu"
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == "auto":
        return f"cuda:{torch.cuda.current_device()}" if count else "cpu"
    match = re.fullmatch(r"cuda(?::(\d+))?", name)
    if match is None:
        raise NoDevice(f"no device is called {name!r}", hint="Devices: auto, cpu, cuda, cuda:0, cuda:1, …")
    if not count:
        built = "this build of torch has no CUDA" if torch.version.cuda is None else "torch finds no CUDA device"
        raise NoDevice(f"--device {name}: {built}", hint="Use --device cpu, or see `vsr doctor`.")
    index = int(match[1] or 0)
    if index >= count:
        raise NoDevice(f"--device {name}: there are {count} CUDA devices", hint=f"Highest: cuda:{count - 1}.")
    return f"cuda:{index}"


def choose_precision(
    open_as: Callable[[Precision], Engine], card: ModelCard, device: str, wanted: Precision | None = None
) -> Precision:
    """Give the precision to run in: the one wanted, or (None) the fastest that proves itself here.

    The self-test runs a small picture in fp32 and in each precision of the card and keeps the quickest that agrees
    with fp32 by at least 50 dB and saves a tenth of the time. fp16 is never used on a CPU.

    Raises:
        IncompatibleModel: the model's result is not right in the precision wanted.
        DeviceError: fp16 on a CPU.
    """
    if wanted is not None:
        _check_wanted(card, device, wanted)
        return wanted
    candidates = [name for name in card.dtypes if name != "fp32" and not (name == "fp16" and device == "cpu")]
    if not candidates:
        return "fp32"
    batch = _sample(card, device)
    engine = open_as("fp32")
    reference, whole = _timed(engine, batch)
    engine.close()
    best: tuple[float, Precision] = (whole * GAIN, "fp32")
    for name in candidates:
        engine = open_as(name)
        result, took = _timed(engine, batch)
        engine.close()
        agreement = _psnr(result, reference)
        log.info("%s %s: %.1f dB against fp32, %.2f of its time", card.id, name, agreement, took / whole)
        if agreement >= FLOOR_DB and took < best[0]:
            best = (took, name)
    return best[1]


def _check_wanted(card: ModelCard, device: str, wanted: Precision) -> None:
    if wanted == "fp16" and device == "cpu":
        raise DeviceError("fp16 is not done on a CPU", hint="Use --precision bf16 or fp32.")
    if wanted != "fp32" and wanted not in card.dtypes:
        raise IncompatibleModel(
            f"{card.id} does not run in {wanted}", hint=f"It runs in {', '.join(card.dtypes)}, or use --precision auto."
        )


def _sample(card: ModelCard, device: str) -> Batch:
    """Give a window with slopes, edges and fine texture, of about the cost of the milliseconds it may take."""
    side = -(-max(96, card.minimum) // card.divisor) * card.divisor
    generator = torch.Generator().manual_seed(0)
    y, x = torch.meshgrid(torch.linspace(0, 1, side), torch.linspace(0, 1, side), indexing="ij")
    smooth = 0.5 + 0.25 * torch.sin(9 * x + 4 * y) + 0.15 * (x > y)
    channels = 1 if card.domain == "y" else 3
    noise = torch.rand((1, card.frames, channels, side, side), generator=generator)
    frames = (smooth + 0.1 * (noise - 0.5)).clamp(0, 1).to(device)
    return Batch(frames=frames, keys=(Key(frame=0, seed=0),))


def _timed(engine: Engine, batch: Batch) -> tuple[Tensor, float]:
    """Give the result and the least of several times, in seconds; the first call pays for set-up and is not timed."""
    result = engine.restore(batch)
    _wait(batch.frames.device)
    times: list[float] = []
    while len(times) < 3 or (sum(times) < 0.02 and len(times) < 50):
        began = time.perf_counter()
        engine.restore(batch)
        _wait(batch.frames.device)
        times.append(time.perf_counter() - began)
    return result, min(times)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _psnr(a: Tensor, b: Tensor) -> float:
    error = float(((a - b).double() ** 2).mean())
    return math.inf if error == 0 else -10 * math.log10(error) if math.isfinite(error) else -math.inf


@contextmanager
def memory_errors(what: str) -> Iterator[None]:
    """Turn every way in which an allocation fails into OutOfMemory.

    Raises:
        OutOfMemory: for torch's own error, its CPU allocator's RuntimeError, MemoryError and the like.
    """
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise _out_of_memory(what) from error
    except RuntimeError as error:
        if not _NO_MEMORY.search(str(error)):
            raise
        raise _out_of_memory(what) from error


def _out_of_memory(what: str) -> OutOfMemory:
    return OutOfMemory(f"out of memory: {what}", hint="Use a smaller --tile, --batch 1 or fewer --workers.")


def free_bytes(device: str) -> int:
    """Give how much memory can still be taken on a device, within this process's limits."""
    if device == "cpu":
        return _free_host_bytes()
    free, _ = torch.cuda.mem_get_info(device)
    return int(free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device))


def _free_host_bytes() -> int:
    limits = []
    try:
        fields = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
        limits.append(int(fields["MemAvailable"].split()[0]) * 1024)
    except (OSError, KeyError, ValueError):
        limits.append(os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    for limit, used in (
        ("memory.max", "memory.current"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
    ):
        most, now = _number(_CGROUP / limit), _number(_CGROUP / used)
        if most is not None and now is not None:
            limits.append(max(0, most - now + _reclaimable(_CGROUP / limit)))
    return min(limits)


def _reclaimable(limit: Path) -> int:
    """Give the file cache that the kernel counts as used but gives back when asked."""
    try:
        lines = (limit.parent / "memory.stat").read_text().splitlines()
    except OSError:
        return 0
    stat = dict(line.split(maxsplit=1) for line in lines if " " in line)
    return int(stat.get("inactive_file", stat.get("total_inactive_file", "0")))


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):  # not there, or "max"
        return None


def cores() -> int:
    """Give how many cores this process may use: its affinity, and its control group's quota."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = (_CGROUP / "cpu.max").read_text().split()
    except (OSError, ValueError):
        v1 = _number(_CGROUP / "cpu/cpu.cfs_quota_us"), _number(_CGROUP / "cpu/cpu.cfs_period_us")
        quota, period = ("max", "1") if v1[0] is None or v1[1] is None or v1[0] <= 0 else (str(v1[0]), str(v1[1]))
    if quota != "max":
        usable = min(usable, max(1, int(quota) // int(period)))
    return usable


def use_threads(count: int) -> None:
    """Let torch (and OpenCV, where it is loaded) use `count` threads inside one operator.

    torch keeps the number a thread: call it in each worker, before its first operator.
    """
    torch.set_num_threads(count)
    cv2 = sys.modules.get("cv2")
    if cv2 is not None:
        cv2.setNumThreads(count)


def tune_allocator() -> bool:
    """Keep freed activations in the process instead of mapping and zeroing them anew at each operator.

    Only on Linux with glibc, before the first tensor, for CPU engines; saves a fifth of ESPCN's time at 360p. The
    price: memory is not given back to the system. Gives whether it was done.
    """
    if sys.platform != "linux" or platform.libc_ver()[0] != "glibc":
        return False
    import ctypes

    libc = ctypes.CDLL(None)
    m_mmap_max, m_trim_threshold, m_top_pad = -4, -1, -2  # malloc.h
    done = (libc.mallopt(m_mmap_max, 0), libc.mallopt(m_trim_threshold, 2**31 - 1), libc.mallopt(m_top_pad, 64 << 20))
    return all(done)


@dataclass(frozen=True, slots=True, kw_only=True)
class CudaDevice:
    """One CUDA device."""

    name: str  # "cuda:0"
    model: str
    capability: tuple[int, int]
    total_bytes: int
    free_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceReport:
    """What `vsr doctor` says about the machine."""

    torch_version: str
    cuda_version: str | None  # that torch was built with
    cpu: str
    cores: int
    cpu_capability: str  # torch's word for the instructions it uses: "AVX512"
    bf16_native: bool  # else bf16 is emulated on the CPU and slower than fp32
    free_bytes: int
    cuda: tuple[CudaDevice, ...]


def describe() -> DeviceReport:
    """Look at the machine."""
    flags = _cpu_field("flags").split()
    devices = tuple(_cuda(index) for index in range(torch.cuda.device_count() if torch.cuda.is_available() else 0))
    return DeviceReport(
        torch_version=torch.__version__,
        cuda_version=torch.version.cuda,
        cpu=_cpu_field("model name") or platform.processor() or platform.machine(),
        cores=cores(),
        cpu_capability=torch.backends.cpu.get_cpu_capability(),
        bf16_native="avx512_bf16" in flags or "amx_bf16" in flags,
        free_bytes=free_bytes("cpu"),
        cuda=devices,
    )


def _cuda(index: int) -> CudaDevice:
    facts = torch.cuda.get_device_properties(index)
    free, total = torch.cuda.mem_get_info(index)
    return CudaDevice(
        name=f"cuda:{index}",
        model=facts.name,
        capability=(facts.major, facts.minor),
        total_bytes=total,
        free_bytes=free,
    )


def _cpu_field(name: str) -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return ""
    return next((line.split(":", 1)[1].strip() for line in lines if line.split(":")[0].strip() == name), "")
