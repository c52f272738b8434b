"""Failed allocations become OutOfMemory, whichever way they fail."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from vsr.core.errors import OutOfMemory

_NO_MEMORY = re.compile(r"can't allocate memory|not enough memory|bad_alloc|CUDA out of memory")


@contextmanager
def memory_errors(what: str) -> Iterator[None]:
    """Run a block; `what` is said to have failed when memory runs out in it.

    Raises:
        OutOfMemory: for torch's own error, its CPU allocator's RuntimeError and MemoryError.
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
