"""The windows that networks of one frame and of several are compared on, and what each restores of them.

Three kinds, LR by MATLAB's bicubic, where it is asked for then through H.264: `pans` of held-out photographs (smooth
motion of up to 8 HR pixels a frame, by fractions), `still` ones (nothing moves), and the clips' own frames.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch

from vsr.core.card import ModelCard
from vsr.data.degrade import Degradation, from_table
from vsr.data.examples import Example, ExampleSpec, build
from vsr.data.material import Item, find
from vsr.engines import registry
from vsr.training.setup import bicubic_score, score

SEED = 3
Sources = Mapping[str, list[Example]]  # by the name of the photograph or clip

_MOTION = {"pans": (0.0, 8.0), "still": (2.0, 0.0), "clips": (0.0, 0.0)}  # share that hardly moves, fastest
_CLEAN = {"blur": 0.0, "noise": 0.0, "shot_noise": 0.0, "jpeg_share": 0.0, "resize": "bicubic"}


def windows(
    photos: Path, clips: Path, *, scale: int, frames: int, pictures: int, crf: float | None
) -> dict[str, Sources]:
    """Give the examples of each kind by their source, in the order `pans`, `still`, `clips`."""
    _, held = find([photos], holdout=["*0"])
    items: dict[str, list[Item]] = {
        "pans": held[:pictures],
        "still": held[: pictures // 4],
        "clips": [item for part in find([clips]) for item in part],
    }
    coded = {"kind": "realistic", **_CLEAN, "video_share": 1.0, "codecs": "h264", "crf": crf}
    degradation = Degradation() if crf is None else from_table(coded)
    found: dict[str, Sources] = {}
    for kind, (still, reach) in _MOTION.items():
        spec = ExampleSpec(
            scale=scale,
            domain="y",
            degradation=degradation,
            frames=frames,
            still=still,
            reach=reach,
            clip_windows=3,
        )
        found[kind] = {item.name: build([item], spec, seed=SEED) for item in items[kind]}
    return found


def by_source(sources: Sources, reference: str | None, scale: int) -> dict[str, float]:
    """Give the mean luma PSNR of each source's windows, restored by a network (one step of sr3), or by bicubic."""
    if reference is None:
        return {name: bicubic_score(examples, scale, "y")["psnr_y"] for name, examples in sources.items()}
    card, net = registry.open_network(reference, scale=scale)
    net.eval()
    return {
        name: score(net, [_inner(example, card) for example in examples], scale, "y")["psnr_y"]
        for name, examples in sources.items()
    }


def machine() -> str:
    """Give what the figures were measured on, in words."""
    return f"{platform.machine()}, {platform.system()}, torch {torch.__version__}, {torch.get_num_threads()} thread(s)"


def _inner(example: Example, card: ModelCard) -> Example:
    """Give an example as a network of fewer frames sees it: the inner neighbours, or none."""
    if example.aligned is None or card.frames == 1:
        return replace(example, aligned=None)
    cut = (len(example.aligned) - (card.frames - 1)) // 2
    return replace(example, aligned=example.aligned[cut : len(example.aligned) - cut])
