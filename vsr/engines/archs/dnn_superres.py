"""OpenCV's `dnn_superres` models: frozen TensorFlow graphs of EDSR, ESPCN, FSRCNN and LapSRN (`ESPCN_x3.pb`).

The graph is read by cv2.dnn itself and fed with float planes: `DnnSuperResImpl.upsample` takes and gives 8-bit BGR
only, which would cost rounding twice. Its conventions are kept (opencv_contrib, modules/dnn_superres/src/
dnn_superres.cpp): ESPCN, FSRCNN and LapSRN see luma in [0, 1]; EDSR sees BGR in 0..255 less the mean of DIV2K.
"""

from __future__ import annotations

import re
from collections import deque
from typing import TYPE_CHECKING

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vsr.core.card import ModelCard
from vsr.core.errors import IncompatibleModel, OutOfMemory, WeightsCorrupt
from vsr.core.frame import Domain
from vsr.engines.base import Batch
from vsr.engines.net import check_batch

if TYPE_CHECKING:
    from cv2.dnn import Net

_NAME = re.compile(r"(?P<kind>EDSR|ESPCN|FSRCNN|LapSRN)", re.IGNORECASE)
_MEAN_RGB = (114.35629928, 111.561547, 103.1545782)
_PROBE = 64  # pixels a side
_REACH_SEEN = 24  # a reach up to here is believed; beyond, the probe's borders are near
_BLEND_OVERLAP = 32  # low-resolution pixels; conservative, not a bound
_MARGIN = 2
_SEEN = 1e-5  # smaller changes are rounding (Winograd convolutions spread it by some pixels)


class DnnSuperres:
    """Runs such a graph on the CPU. A cv2 net is not safe to share between threads: each call takes one from a pool."""

    def __init__(self, content: bytes, *, card: ModelCard, scale: int) -> None:
        self.card = card
        self._content = content
        self._scale = scale
        self._pool: deque[Net] = deque()

    @property
    def scale(self) -> int:
        return self._scale

    def restore(self, batch: Batch) -> Tensor:
        """See `Engine.restore`.

        Raises:
            OutOfMemory: the picture does not fit.
            IncompatibleModel: the graph does not take pictures of this size.
        """
        check_batch(self.card, batch)
        centre = batch.frames[:, batch.frames.shape[1] // 2]
        planes: NDArray[np.float32] = centre.float().cpu().numpy()
        try:
            net = self._pool.pop()
        except IndexError:
            net = _read(self.card.id, self._content)
        try:
            result = np.concatenate([_run(net, picture[None], self.card.id, self.card.domain) for picture in planes])
        finally:
            self._pool.append(net)
        return torch.from_numpy(result).to(batch.frames.device)

    def close(self) -> None:
        self._pool.clear()


def inspect(name: str, content: bytes, *, digest: str = "") -> ModelCard:
    """Give the card of a graph; scale and halo are found by running it on a small picture.

    `name` (the file's, without suffix) must say which of the four networks it is.

    Raises:
        WeightsCorrupt: not a TensorFlow graph.
        IncompatibleModel: the name says none of the four, or the graph does not behave like it.
    """
    match = _NAME.search(name)
    if match is None:
        raise IncompatibleModel(
            f"{name}.pb does not say which network it is",
            hint="Name it as OpenCV does: EDSR_x4.pb, ESPCN_x3.pb, FSRCNN_x2.pb, LapSRN_x8.pb.",
        )
    kind = match["kind"].lower()
    domain: Domain = "rgb" if kind == "edsr" else "y"
    net = _read(name, content)
    picture = np.random.default_rng(0).random((1, 3 if domain == "rgb" else 1, _PROBE, _PROBE), dtype=np.float32)
    result = _run(net, picture, name, domain)
    scale = result.shape[-1] // _PROBE
    if scale < 1 or result.shape != (1, picture.shape[1], scale * _PROBE, scale * _PROBE):
        raise IncompatibleModel(f"{name}.pb makes {result.shape} of {picture.shape}: not a super-resolution network")
    # The big RGB network is not measured: its halo would be impractical anyway.
    reach = _reach(net, picture, result, name) if domain == "y" else None
    return ModelCard(
        id=name,
        family=name,
        arch=f"dnn_superres/{kind}",
        scale=scale,
        domain=domain,
        halo=_BLEND_OVERLAP if reach is None else reach,
        tiling="blend" if reach is None else "exact",
        parameters=_parameters(net),
        digest=digest,
        description=f"OpenCV dnn_superres {kind.upper()} x{scale}",
    )


def _read(name: str, content: bytes) -> Net:
    # Making one registers the TensorFlow DepthToSpace layer, which cv2.dnn alone does not have.
    cv2.dnn_superres.DnnSuperResImpl.create()
    try:
        return cv2.dnn.readNetFromTensorflow(np.frombuffer(content, np.uint8))
    except cv2.error as error:
        raise WeightsCorrupt(
            f"{name}.pb is no TensorFlow graph that OpenCV reads: {error.err}", hint="Fetch the file again."
        ) from error


def _run(net: Net, planes: NDArray[np.float32], name: str, domain: Domain) -> NDArray[np.float32]:
    """Run (1, C, H, W) in [0, 1] through the graph."""
    mean = np.array(_MEAN_RGB, np.float32)[:, None, None]
    fed = (planes * 255 - mean)[:, ::-1] if domain == "rgb" else planes
    try:
        net.setInput(np.ascontiguousarray(fed))
        result = np.array(net.forward(), np.float32)  # a copy: the net writes its own anew at the next call
    except cv2.error as error:
        if error.code == cv2.Error.StsNoMem:
            raise OutOfMemory(f"out of memory: {name} on {planes.shape}", hint="Use a smaller --tile.") from error
        size = f"{planes.shape[1]} planes of {planes.shape[3]}x{planes.shape[2]}"
        raise IncompatibleModel(f"{name}: the graph refuses {size}: {error.err}") from error
    if domain == "rgb":
        return np.ascontiguousarray((result[:, ::-1] + mean) / 255, np.float32)
    return result


def _reach(net: Net, picture: NDArray[np.float32], result: NDArray[np.float32], name: str) -> int | None:
    """Measure how far one input pixel is seen; None: too far to tell.

    A margin is added, for what the activations of this one picture may have hidden.
    """
    touched = picture.copy()
    middle = _PROBE // 2
    touched[..., middle, middle] += 1.0
    changed = np.abs(_run(net, touched, name, "y") - result)[0, 0] > _SEEN
    scale = result.shape[-1] // _PROBE
    rows, columns = np.nonzero(changed)
    if not len(rows):
        return None
    away = max(int(np.abs(axis // scale - middle).max()) for axis in (rows, columns)) + _MARGIN
    return away if away <= _REACH_SEEN else None


def _parameters(net: Net) -> int:
    total = 0
    for name in net.getLayerNames():
        total += sum(int(blob.size) for blob in net.getLayer(net.getLayerId(name)).blobs)
    return total
