from __future__ import annotations

import pytest
import torch

from vsr.core.errors import OutOfMemory
from vsr.engines.memory import memory_errors


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory"),
        MemoryError(),
    ],
)
def test_failed_allocations_become_out_of_memory(error: Exception) -> None:
    with pytest.raises(OutOfMemory) as caught, memory_errors("a picture"):
        raise error
    assert caught.value.__cause__ is error


def test_a_real_failed_allocation_is_out_of_memory() -> None:
    with pytest.raises(OutOfMemory), memory_errors("a picture"):
        torch.empty(2**60, dtype=torch.uint8)


def test_other_errors_stay_themselves() -> None:
    with pytest.raises(RuntimeError, match="shape mismatch"), memory_errors("a picture"):
        raise RuntimeError("shape mismatch")
