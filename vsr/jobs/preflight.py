"""Can this machine do it? Disk and output are checked before any work."""

from __future__ import annotations

from vsr.core.errors import DiskFull
from vsr.core.job import Job
from vsr.io import atomic

# Bytes a pixel of the result, generous: x264 at crf 18 needs about 0.02 on film, ffv1 and PNG up to 1.5 a sample.
_LOSSY = 0.05
_LOSSLESS = 1.0
_LOSSLESS_CODECS = {"ffv1", "png", "tiff"}
_INTRA_CODECS = {"prores": 0.5, "jpeg": 0.4, "webp": 0.25}


def forecast_bytes(job: Job) -> int:
    """Give a rough size of the result: the encoded frames, and the source's other streams."""
    out = job.output
    frames = sum(chunk.frames for chunk in job.chunks)
    depth = 2 if not out.pixel_format.endswith("p") and "le" in out.pixel_format else 1
    each = _LOSSLESS * 1.5 * depth if out.codec in _LOSSLESS_CODECS else _INTRA_CODECS.get(out.codec, _LOSSY)
    others = max(0, job.source.size_bytes - job.source.packets.bytes)
    return int(out.width * out.height * each) * frames + others


def refuse_impossible(job: Job) -> None:
    """Refuse a job that cannot be written.

    Raises:
        OutputError: the folder is missing or read-only.
        DiskFull: not even a tenth of the forecast fits: the forecast is rough, this much is not.
    """
    atomic.check_writable(job.destination.path)
    need, free = forecast_bytes(job), atomic.free_bytes(job.destination.path)
    if free < need // 10:
        raise DiskFull(
            f"{job.destination.path} needs about {need / 1e9:.1f} GB, {free / 1e9:.1f} GB are free",
            hint="Free some space, or name an output on another disk with -o.",
        )
