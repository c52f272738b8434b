"""How a diffusion model is sampled: what a user may choose, and what the engines take."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

NoiseMode = Literal["pan", "static", "frame"]
ColorFix = Literal["none", "adain", "wavelet", "backproject"]

DIFFUSION = ("sr3", "sr3_classic")  # the archs that are sampled


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """None is the model's own choice.

    steps: network calls a frame. detail: 0 the first step's estimate (the mean of what the picture can be), 1 the last
    step's sample. consistency: back-projections onto the LR frame. noise: whether the noise field moves with the
    picture, stands still, or is another one for each frame. color_fix: how the result's colours are brought back to
    LR's, for models that let them drift.
    """

    steps: int | None = None
    detail: float = 1.0
    consistency: int | None = None
    noise: NoiseMode = "pan"
    color_fix: ColorFix | None = None
