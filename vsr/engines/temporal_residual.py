"""What neighbours add to a single-frame network: a residual that is exactly zero where they bring nothing new."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vsr.filters import is_traced, unshuffle


class TemporalResidual(nn.Module):
    """Aligned differences and the centre's features -> detail to add before the sub-pixel shuffle.

    The differences (B, N-1, C, s*H, s*W) of the neighbours to the centre, aligned on the output grid, are folded to
    (N-1)*C*s² channels at low resolution. Every layer that they pass through is without bias, so that zero
    differences give exactly zero: a static shot, or one whose motion is not understood, is restored as the
    single-frame network restores it. A gate, which sees the centre's features and the size of the differences,
    decides where they are trusted (they also hold noise and errors of the motion). out: channels of the result, where
    it is not detail to be shuffled.
    """

    def __init__(
        self,
        *,
        frames: int,
        channels: int,
        scale: int,
        context: int,
        features: int,
        depth: int = 2,
        out: int | None = None,
    ) -> None:
        super().__init__()
        self.scale = scale
        self.enter = nn.Conv2d((frames - 1) * channels * scale**2, features, 3, padding=1, bias=False)
        self.gate = nn.Conv2d(context + features, features, 3, padding=1)
        layers: list[nn.Module] = []
        for _ in range(depth):
            layers += [nn.Conv2d(features, features, 3, padding=1, bias=False), nn.PReLU(features)]
        self.chain = nn.Sequential(*layers)
        self.leave = nn.Conv2d(features, out or channels * scale**2, 3, padding=1, bias=False)
        nn.init.zeros_(self.leave.weight)  # training starts from the single-frame network

    def forward(self, aligned: Tensor, context: Tensor) -> Tensor:
        """Give (B, C*s² or `out`, H, W) in the dtype of the weights; `context` is (B, features, H, W)."""
        dtype = self.enter.weight.dtype
        planes = torch.cat(aligned.unbind(1), dim=1) if is_traced() else aligned.flatten(1, 2)
        folded = unshuffle(planes.to(dtype), self.scale)
        entered = self.enter(folded.contiguous(memory_format=torch.channels_last))
        gate = torch.sigmoid(self.gate(torch.cat((context.to(dtype), entered.abs()), dim=1)))
        detail: Tensor = self.leave(self.chain(entered * gate))
        return detail

    @property
    def reach(self) -> int:
        """The reach of one output pixel in low-resolution pixels, seen from the differences."""
        return 2 + len(self.chain) // 2 + 1
