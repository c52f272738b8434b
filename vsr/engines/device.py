"""What the machine offers an engine: device, precision, memory left, threads."""

from __future__ import annotations

import logging
import os
import platform
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import torch

from vsr.core.card import ModelCard, Precision
from vsr.core.errors import DeviceError, IncompatibleModel, NoDevice

log = logging.getLogger(__name__)

_CGROUP = Path("/sys/fs/cgroup")
_MEMORY_LIMITS = (  # of control groups, version 2 and 1
    ("memory.max", "memory.current"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
)


def pick_device(name: str) -> str:
    """Resolve `auto`, `cpu`, `cuda` or `cuda:N` to `cpu` or `cuda:N`.

    Raises:
        NoDevice: it is not there, or no such name.
    """
    if name == "cpu":
        return "cpu"
    count = _cuda_count()
    if name == "auto":
        return f"cuda:{torch.cuda.current_device()}" if count else "cpu"
    match = re.fullmatch(r"cuda(?::(\d+))?", name)
    if match is None:
        raise NoDevice(f"no device is called {name!r}", hint="Devices: auto, cpu, cuda, cuda:0, cuda:1, …, all")
    if not count:
        raise _no_cuda(name)
    index = int(match[1] or 0)
    if index >= count:
        raise NoDevice(f"--device {name}: there are {count} CUDA devices", hint=f"Highest: cuda:{count - 1}.")
    return f"cuda:{index}"


def pick_devices(text: str) -> tuple[str, ...]:
    """Resolve what `--device` says to the devices that share a job: one, several (`cuda:0,cuda:1`), or `all` GPUs.

    `cpu,cpu` gives two workers on the processor. CPU and GPU together are refused: their arithmetic differs in the last
    bits, and the result would hang on who was free for which chunk.

    Raises:
        NoDevice: one of them is not there, or no such name.
        DeviceError: they do not go together.
    """
    if text == "all":
        if not _cuda_count():
            raise _no_cuda(text)
        return tuple(f"cuda:{index}" for index in range(_cuda_count()))
    names = [name.strip() for name in text.split(",")]
    if len(names) > 1 and {"auto", "all"} & set(names):
        raise DeviceError(f"--device {text}: auto and all stand alone", hint="Name each device: cuda:0,cuda:1.")
    devices = tuple(pick_device(name) for name in names)
    if "cpu" in devices and len(set(devices)) > 1:
        raise DeviceError(
            f"--device {text}: the bytes of the result would depend on which of them took which chunk",
            hint="Name GPUs only, or the CPU only.",
        )
    twice = [name for name in devices if name != "cpu" and devices.count(name) > 1]
    if twice:
        raise DeviceError(f"--device {text} names {twice[0]} twice", hint="One worker keeps a GPU busy: name it once.")
    return devices


def _cuda_count() -> int:
    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def _no_cuda(name: str) -> NoDevice:
    built = "this build of torch has no CUDA" if torch.version.cuda is None else "torch finds no CUDA device"
    return NoDevice(f"--device {name}: {built}", hint="Use --device cpu, or see `vsr doctor`.")


def check_precision(card: ModelCard, device: str, wanted: Precision) -> None:
    """Hold a precision against the card and the device.

    Raises:
        IncompatibleModel: the model's result is not right in it.
        DeviceError: fp16 on a CPU.
    """
    if wanted == "fp16" and device == "cpu":
        raise DeviceError("fp16 is not done on a CPU", hint="Use --precision bf16 or fp32.")
    if wanted != "fp32" and wanted not in card.dtypes:
        raise IncompatibleModel(
            f"{card.id} does not run in {wanted}", hint=f"It runs in {', '.join(card.dtypes)}, or use --precision auto."
        )


def quick_precisions(device: str) -> tuple[Precision, ...]:
    """Give the reduced precisions that the device has instructions for, the quickest first.

    Without them torch emulates bf16 on a CPU, slower than fp32; fp16 is never used there.
    """
    if device == "cpu":
        return ("bf16",) if has_native_bf16() else ()
    major, _ = torch.cuda.get_device_capability(device)
    return ("fp16", "bf16") if major >= 8 else ("fp16",) if major >= 7 else ()


def has_native_bf16() -> bool:
    """Whether the processor multiplies bfloat16 itself (AVX512-BF16, AMX, Arm's BF16)."""
    flags = {*_cpu_field("flags").split(), *_cpu_field("Features").split()}
    return bool(flags & {"avx512_bf16", "amx_bf16", "bf16"})


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
    for limit, used in _MEMORY_LIMITS:
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


class Fact(NamedTuple):
    """One thing about the machine. `ok` is None where it is neither good nor bad."""

    name: str
    value: str
    ok: bool | None = None


def describe() -> tuple[Fact, ...]:
    """Look at processor, memory and CUDA devices."""
    is_native = has_native_bf16()
    capability = torch.backends.cpu.get_cpu_capability()
    return (
        Fact("processor", f"{_cpu_field('model name') or platform.machine()}, torch uses {capability}"),
        Fact("cores", f"{cores()} usable of {os.cpu_count()}"),
        Fact("bf16", "native" if is_native else "emulated: fp32 will be used", is_native or None),
        Fact("free memory", f"{free_bytes('cpu') / 2**30:.1f} GiB"),
        *_cuda(),
    )


def _cuda() -> Iterator[Fact]:
    if not torch.cuda.is_available():
        built = "torch is built without it" if torch.version.cuda is None else "no device, or no driver"
        yield Fact("CUDA", f"not available: {built}")
        return
    for index in range(torch.cuda.device_count()):
        facts = torch.cuda.get_device_properties(index)
        free, total = torch.cuda.mem_get_info(index)
        memory = f"{free / 2**30:.1f} of {total / 2**30:.1f} GiB free"
        yield Fact(f"cuda:{index}", f"{facts.name}, capability {facts.major}.{facts.minor}, {memory}", True)


def _cpu_field(name: str) -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return ""
    return next((line.split(":", 1)[1].strip() for line in lines if line.split(":")[0].strip() == name), "")
