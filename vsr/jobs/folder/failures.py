"""What a failure means for a folder run: the file is tried again, has failed for good, or nothing more can be done."""

from __future__ import annotations

import traceback

from vsr.core.errors import (
    ChangedSinceStart,
    DeviceError,
    DiskFull,
    InputError,
    InputMissing,
    JobError,
    ModelError,
    OutOfMemory,
    OutputExists,
    UsageError,
    VsrError,
)
from vsr.io import atomic
from vsr.jobs.folder.listing import Found
from vsr.jobs.folder.naming import Entry

_LASTING = (InputError, UsageError, ModelError, OutputExists, ChangedSinceStart)


def ends_all(error: VsrError, *, is_begun: bool) -> bool:
    """Whether no other file can be done either: the device is gone, or the disk is full. is_begun: of the file."""
    is_device = isinstance(error, DeviceError) and not isinstance(error, OutOfMemory)
    return is_device or (is_begun and isinstance(error, DiskFull))


def is_lasting(error: VsrError, found: Found) -> bool:
    """Whether a second try would end as the first; what a network kept from coming here may come yet."""
    if isinstance(error, InputError) and not isinstance(error, InputMissing) and found.is_away:
        return False
    return isinstance(error, _LASTING)


def unforeseen(error: Exception, entry: Entry) -> VsrError:
    """Give an error of ours for one that nobody expected."""
    if isinstance(error, OSError):
        return atomic.translate(error, entry.destination)
    failed = JobError(
        f"{entry.found.address}: {type(error).__name__}: {error}",
        hint="This is a bug in vsr. Please report it with the lines above, the command and what `vsr doctor` prints.",
    )
    failed.add_note("".join(traceback.format_exception(error)).rstrip())
    return failed
