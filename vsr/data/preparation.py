"""What `vsr prepare` is asked to make."""

from __future__ import annotations

from dataclasses import dataclass

from vsr.core.errors import SettingsError, UsageError
from vsr.data.degrade import Degradation
from vsr.data.split import Split
from vsr.data.triplets import Geometry, by_scale, by_sizes

BICUBIC = Degradation()


@dataclass(frozen=True, slots=True, kw_only=True)
class Preparation:
    """What to make. size: (L, R), squares; else scale, at the pictures' own size. windows: of each clip, at most."""

    size: tuple[int, int] | None = None
    scale: int | None = None
    frames: int = 3
    stride: int = 1
    windows: int = 1
    split: Split | None = None
    degradation: Degradation = BICUBIC
    seed: int = 0

    def __post_init__(self) -> None:
        if (self.size is None) == (self.scale is None):
            raise UsageError("name either sizes or a scale", hint="For example --size 16,128, or --scale 4.")
        for name in ("frames", "stride", "windows"):
            if getattr(self, name) < 1:
                raise SettingsError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.seed < 0:
            raise SettingsError(f"seed must not be negative, got {self.seed}")
        _ = self.geometry

    @property
    def geometry(self) -> Geometry:
        """Sizes and names of the pictures."""
        if self.size is not None:
            return by_sizes(*self.size)
        assert self.scale is not None
        return by_scale(self.scale)
