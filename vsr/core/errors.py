"""Every error that vsr raises on purpose, and the exit code each one ends the program with.

VsrError                      1   (never raised itself)
├── UsageError                2   a flag, a preset or a setting that cannot be
│   └── SettingsError         2
├── InputError                3   the source
│   ├── InputMissing          3
│   ├── NotMedia              3   no picture in it, or not a media file at all
│   ├── UnsupportedInput      3   media, but of a kind that vsr does not do
│   ├── DecodeError           3   breaks off or is damaged; says at which pts
│   └── InputLimits           3   larger than the limits allow
├── ModelError                4   the engine
│   ├── UnknownModel          4   with close matches
│   ├── WeightsMissing        4
│   ├── WeightsCorrupt        4
│   ├── UnsafeWeights         4   a pickle that wants to run code
│   └── IncompatibleModel     4   wrong architecture, scale, frames or input
├── DeviceError               5   the machine
│   ├── NoDevice              5
│   └── OutOfMemory           5
├── OutputError               6   the destination
│   ├── OutputExists          6
│   ├── DiskFull              6
│   ├── EncodeError           6
│   └── MuxError              6
├── JobError                  7   the work
│   ├── JobLocked             7
│   ├── ChangedSinceStart     7
│   ├── ChunkFailed           7
│   └── NonFiniteLoss         7   training met infinity or NaN; the batch is kept
├── VerifyError               8   the result does not match its source
├── PartialFailure            9   some files of a folder failed
└── Interrupted             130   stopped by the user; can be resumed
"""

from __future__ import annotations


class VsrError(Exception):
    """Base of the tree. `message` says what failed and on which file; `hint` says what the user can do."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.message, self.hint), self.__dict__  # with its notes


def _rebuild(kind: type[VsrError], message: str, hint: str | None) -> VsrError:
    return kind(message, hint=hint)


class UsageError(VsrError):
    """The command line asks for something that cannot be."""

    exit_code = 2


class SettingsError(UsageError):
    """A setting's value is out of its bounds, or its key is unknown."""


class InputError(VsrError):
    """The source cannot be used."""

    exit_code = 3


class InputMissing(InputError):
    """The source does not exist."""


class NotMedia(InputError):
    """The source holds no pictures."""


class UnsupportedInput(InputError):
    """The source is media of a kind that vsr does not process."""


class DecodeError(InputError):
    """The source breaks off or is damaged."""


class InputLimits(InputError):
    """The source is larger than the limits allow."""


class ModelError(VsrError):
    """The engine cannot be used."""

    exit_code = 4


class UnknownModel(ModelError):
    """No model has this name."""


class WeightsMissing(ModelError):
    """The model's weights are not there."""


class WeightsCorrupt(ModelError):
    """The weights cannot be read, or their digest differs from the card's."""


class UnsafeWeights(ModelError):
    """The file wants to run code when it is loaded."""


class IncompatibleModel(ModelError):
    """Wrong architecture, scale, number of frames or kind of input."""


class DeviceError(VsrError):
    """The machine cannot do it."""

    exit_code = 5


class NoDevice(DeviceError):
    """The device asked for is not there."""


class OutOfMemory(DeviceError):
    """Even the smallest tile does not fit."""


class OutputError(VsrError):
    """The destination cannot be written."""

    exit_code = 6


class OutputExists(OutputError):
    """The destination exists and --overwrite was not given."""


class DiskFull(OutputError):
    """No space left on the destination's device."""


class EncodeError(OutputError):
    """The encoder refused the pictures or its options."""


class MuxError(OutputError):
    """The container refused a stream or a packet."""


class JobError(VsrError):
    """The work itself failed."""

    exit_code = 7


class JobLocked(JobError):
    """Another process works on this job."""


class ChangedSinceStart(JobError):
    """The source, the model or a setting differs from when the job began."""


class ChunkFailed(JobError):
    """A chunk failed for a reason of its own."""


class NonFiniteLoss(JobError):
    """Training met a loss or a gradient that is no finite number."""


class VerifyError(VsrError):
    """The result does not match its source."""

    exit_code = 8


class PartialFailure(VsrError):
    """Some files of a folder run failed."""

    exit_code = 9


class Interrupted(VsrError):
    """Stopped by the user; the job can go on later."""

    exit_code = 130
