"""Networks of other people's checkpoints, recognised and built by spandrel.

spandrel (MIT) tells an architecture from the names and shapes of the tensors, 42 of them. What its description says
of scale, channels, sizes, tiling and precisions becomes the card.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from vsr.core.card import ModelCard, Precision, Tiling
from vsr.core.errors import IncompatibleModel
from vsr.engines.torchvision_stub import ensure_torchvision
from vsr.filters import is_traced

ensure_torchvision()  # before spandrel is imported
from spandrel import (  # noqa: E402
    ImageModelDescriptor,
    ModelDescriptor,
    ModelLoader,
    ModelTiling,
    UnsupportedModelError,
    canonicalize_state_dict,
)

# Architectures whose forward pass is plain convolutions, activations, nearest upsampling and pixel shuffles, each
# layer used once: the sum of all kernels' reaches bounds one output pixel's.
_PLAIN = ("Compact", "ESRGAN")
_LONGEST_HALO = 96  # beyond it an exact tile is mostly halo
_BLEND_OVERLAP = 32  # low-resolution pixels; a usual choice of tools that tile, not a bound


class Foreign(nn.Module):
    """(B, N, C, H, W) in [0, 1] -> (B, C, scale*H, scale*W) in [0, 1]: the centre picture through `descriptor`."""

    def __init__(self, descriptor: ImageModelDescriptor[nn.Module]) -> None:
        super().__init__()
        self.body = descriptor.model
        self._descriptor = descriptor
        self._takes_batches = descriptor.architecture.id in _PLAIN

    def forward(self, frames: Tensor) -> Tensor:
        first = next(self.body.parameters())
        centre = frames[:, frames.shape[1] // 2].to(first.dtype, memory_format=torch.channels_last)
        if self._takes_batches or is_traced():
            return self._call(centre)
        return torch.cat([self._call(picture[None]) for picture in centre.unbind()])

    def _call(self, pictures: Tensor) -> Tensor:
        result = self._descriptor(pictures)
        assert isinstance(result, Tensor)
        return result.float()


def build(card: ModelCard, state: Mapping[str, Tensor], *, scale: int) -> Foreign:
    """Build the network of a card. Raises RuntimeError when the weights are of another network or scale."""
    found, net = identify(card.id, state)
    if (found.scale, found.domain, found.arch) != (scale, card.domain, card.arch):
        raise RuntimeError(f"found {found.arch} x{found.scale}, the card says {card.arch} x{scale}")
    return net


def identify(name: str, state: Mapping[str, object], *, digest: str = "") -> tuple[ModelCard, Foreign]:
    """Give the card and the network of a checkpoint's content.

    `name` becomes the card's id; a usual wrapping (`params_ema`, `state_dict`, `module.`) is taken off.

    Raises:
        IncompatibleModel: no known architecture, or one that does not restore pictures.
    """
    descriptor = _recognise(name, state)
    kind = descriptor.architecture.id
    if not isinstance(descriptor, ImageModelDescriptor) or descriptor.purpose not in ("SR", "Restoration"):
        raise IncompatibleModel(
            f"{name} is a {kind} model for {descriptor.purpose}, not for restoring whole pictures",
            hint="Use a super-resolution or restoration model.",
        )
    channels = (descriptor.input_channels, descriptor.output_channels)
    if channels not in ((1, 1), (3, 3)):
        raise IncompatibleModel(
            f"{name} ({kind}) maps {channels[0]} channels to {channels[1]}; vsr runs grey or RGB models"
        )
    net = Foreign(descriptor)
    halo, tiling = _reach(descriptor)
    size = descriptor.size_requirements
    card = ModelCard(
        id=name,
        family=name,
        arch=f"foreign/{kind}",
        scale=descriptor.scale,
        domain="y" if channels[0] == 1 else "rgb",
        divisor=size.multiple_of,
        minimum=max(1, size.minimum),
        halo=halo,
        tiling=tiling,
        dtypes=_dtypes(descriptor),
        parameters=sum(p.numel() for p in net.body.parameters()),
        digest=digest,
        description=f"{descriptor.architecture.name} {' '.join(descriptor.tags)}".strip(),
    )
    return card, net


def _recognise(name: str, state: Mapping[str, object]) -> ModelDescriptor:
    plain = canonicalize_state_dict(dict(state))
    try:
        return ModelLoader(device="cpu").load_from_state_dict(plain)
    except UnsupportedModelError as error:
        raise IncompatibleModel(
            f"{name} is of no architecture that vsr knows: {_look(plain)}",
            hint="It must be the weights of a super-resolution network that spandrel supports.",
        ) from error
    except (RuntimeError, KeyError, ValueError, IndexError, TypeError, AttributeError, AssertionError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise IncompatibleModel(
            f"{name} looks like a known architecture but does not fit it ({reason}): {_look(plain)}",
            hint="The file may be incomplete, or of a variant that spandrel does not support.",
        ) from error


def _look(state: Mapping[str, object]) -> str:
    """Say what a state dict looks like: how many tensors, the first few keys and shapes."""
    tensors = {key: value for key, value in state.items() if isinstance(value, Tensor)}
    if not tensors:
        return f"no tensors, keys {', '.join(list(state)[:4]) or 'none'}"
    first = ", ".join(f"{key} {'x'.join(map(str, value.shape))}" for key, value in list(tensors.items())[:3])
    return f"{len(tensors)} tensors, first {first}"


def _reach(descriptor: ImageModelDescriptor[nn.Module]) -> tuple[int, Tiling]:
    """Give the halo, and whether tiles that overlap by it are exact."""
    if descriptor.tiling is ModelTiling.INTERNAL:
        return 0, "never"
    if descriptor.architecture.id in _PLAIN:
        convs = [module for module in descriptor.model.modules() if isinstance(module, nn.Conv2d)]
        reach = sum((conv.kernel_size[0] - 1) // 2 * conv.dilation[0] for conv in convs)
        shuffle = max(1, descriptor.size_requirements.multiple_of)  # a net that begins with a pixel-unshuffle
        if reach * shuffle <= _LONGEST_HALO:
            return reach * shuffle, "exact"
    return _BLEND_OVERLAP, "blend"


def _dtypes(descriptor: ImageModelDescriptor[nn.Module]) -> tuple[Precision, ...]:
    names: tuple[Precision, ...] = ("fp32",)
    if descriptor.supports_bfloat16:
        names += ("bf16",)
    return (*names, "fp16") if descriptor.supports_half else names
