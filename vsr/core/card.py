"""ModelCard: what a model is, for the planner, the registry and the user."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from vsr.core.frame import Domain

Tiling = Literal["exact", "blend", "never"]
Alignment = Literal["none", "grid"]
Precision = Literal["fp32", "bf16", "fp16"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """A measured figure beside the same figure of bicubic."""

    test_set: str
    metric: str  # "psnr_y" in dB, "ssim_y"
    value: float
    bicubic: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCard:
    """A model's facts.

    scale: integer output / input ratio; None for an engine of any scale. frames: N pictures in a window (odd; the
    centre one is restored). halo: reach of one output pixel in low-resolution pixels; tiles that overlap by it are
    exact where `tiling` is `exact`. divisor: width and height must be multiples of it (the runner pads).
    dtypes: precisions whose result is right, besides fp32 which always is. digest: sha256 of the weight file. weights:
    the file's name without suffix where several cards share one (one network, several scales); empty: the id. usual:
    of a family's scales the one that is meant where none is named.
    """

    id: str  # "espcn-x2"
    family: str  # "espcn": what the user types, with a scale beside it
    arch: str
    scale: int | None
    domain: Domain
    frames: int = 1
    alignment: Alignment = "none"
    divisor: int = 1
    minimum: int = 1  # smallest width and height the net takes
    halo: int = 0
    tiling: Tiling = "exact"
    dtypes: tuple[Precision, ...] = ("fp32",)
    parameters: int = 0
    digest: str = ""
    weights: str = ""
    usual: bool = False
    licence: str = ""
    training: str = ""
    description: str = ""
    scores: tuple[Score, ...] = ()

    def __post_init__(self) -> None:
        if self.frames < 1 or self.frames % 2 == 0:
            raise ValueError(f"card {self.id}: frames must be odd, got {self.frames}")
        if self.scale is not None and self.scale < 1:
            raise ValueError(f"card {self.id}: scale must be at least 1, got {self.scale}")
