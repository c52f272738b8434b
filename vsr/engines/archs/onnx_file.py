"""ONNX models, ours and other people's, run by onnxruntime.

What is expected of them is what the ecosystem's super-resolution models do: pictures (B, C, H, W) in [0, 1], luma or
RGB, in float32 or float16, one picture out; or windows (B, N, C, H, W), whose centre comes out. Scale, sizes and reach
are read from the card that vsr wrote into the file, else found by running it on small pictures.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vsr.core.card import ModelCard, Tiling
from vsr.core.errors import IncompatibleModel, OutOfMemory, WeightsCorrupt
from vsr.core.frame import Domain
from vsr.engines.base import Batch
from vsr.engines.net import check_batch
from vsr.engines.onnx_graph import EXTRA_HINT, Graph, bytes_per_pixel

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

log = logging.getLogger(__name__)

_TYPES: dict[str, type[np.float32 | np.float16]] = {"tensor(float)": np.float32, "tensor(float16)": np.float16}
_NO_MEMORY = ("Failed to allocate memory", "bad_alloc", "out of memory", "BFCArena")
_SIDES = (32, 64, 128)  # tried until one is taken: some networks want more pixels than others
_DIVISORS = (1, 2, 3, 4, 8, 16, 32, 64)
_MINIMA = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 64, 128)
_LONGEST_HALO = 96  # beyond it an exact tile is mostly halo
_BLEND_OVERLAP = 32  # low-resolution pixels; a usual choice of tools that tile, not a bound
_STRIP = 24  # pixels across the strips on which a halo is tried
_ROUNDING = {np.float32: 1e-5, np.float16: 4 * 2.0**-10}  # sums in another order, on values about 1
_CPU, _CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Doors:
    """Where pictures go in. side: the only height and width that the graph takes, None for any."""

    frames: str
    aligned: str | None
    dtype: type[np.float32 | np.float16]
    windows: int | None  # N of (B, N, C, H, W), None for (B, C, H, W)
    channels: int | None  # None: the graph does not say
    is_one_by_one: bool  # batch fixed to 1
    side: int | None


class OnnxFile:
    """Runs such a model; one session, whose `run` may be called from several threads, each with the thread it has."""

    def __init__(self, content: bytes, *, card: ModelCard, device: str = "cpu") -> None:
        assert card.scale is not None
        self.card = card
        self._content = content
        self._scale = card.scale
        self._session: InferenceSession | None = _session(card.id, content, device)
        self._doors = _doors(card.id, self._session)

    @property
    def scale(self) -> int:
        return self._scale

    @property
    def side(self) -> int | None:
        """The only height and width that the graph takes; None: any."""
        return self._doors.side

    def restore(self, batch: Batch) -> Tensor:
        """See `Engine.restore`.

        Raises:
            OutOfMemory: the pictures do not fit.
            IncompatibleModel: the graph does not take windows of this shape.
        """
        assert self._session is not None, "restore after close"
        check_batch(self.card, batch, self._scale)
        frames = batch.frames.float().cpu().numpy()
        aligned = None if batch.aligned is None else batch.aligned.float().cpu().numpy()
        result = _run(self._session, self._doors, frames, self.card.id, aligned)
        return torch.from_numpy(result).to(batch.frames.device)

    def bytes_per_pixel(self) -> float:
        """Give the working memory of a call in bytes per input pixel and window."""
        return bytes_per_pixel(self._content)

    def close(self) -> None:
        self._session = None


def inspect(name: str, graph: Graph) -> ModelCard:
    """Give the card of a model; `name` becomes its id.

    Raises:
        IncompatibleModel: it is no super-resolution network that vsr can feed, or onnxruntime is missing.
    """
    session = _session(name, graph.content, "cpu")
    doors = _doors(name, session)
    if graph.card is not None:
        return _own(name, graph, graph.card, session, doors)
    channels, side, scale = _shape(name, session, doors)
    domain: Domain = "y" if channels == 1 else "rgb"
    windows = doors.windows or 1
    trial = _Trial(session=session, doors=doors, name=name, channels=channels, scale=scale)
    divisor = 1 if doors.side else next((d for d in _DIVISORS if trial.takes(side + d)), side)
    minimum = side if doors.side else next((m for m in _MINIMA if m % divisor == 0 and trial.takes(m)), side)
    halo, tiling = _reach(graph, trial, divisor, minimum)
    return ModelCard(
        id=name,
        family=name,
        arch="onnx_file",
        scale=scale,
        domain=domain,
        frames=windows,
        divisor=divisor,
        minimum=minimum,
        halo=halo,
        tiling=tiling,
        parameters=max(1, graph.parameters),  # its channels are fixed, which 0 would deny
        digest=graph.digest,
        description=f"ONNX model, {'float16' if doors.dtype is np.float16 else 'float32'}",
    )


def _own(name: str, graph: Graph, stated: ModelCard, session: InferenceSession, doors: _Doors) -> ModelCard:
    """Give the card that vsr wrote into the file, once the graph has been seen to do what it says."""
    channels = 1 if stated.domain == "y" else 3
    side = -(-max(16, stated.minimum) // stated.divisor) * stated.divisor
    trial = _Trial(session=session, doors=doors, name=name, channels=channels, scale=stated.scale or 1)
    windows = doors.windows or 1
    if stated.scale is None or stated.frames != windows or doors.side is not None or not trial.takes(side):
        raise IncompatibleModel(f"{name}: the graph does not do what the card in it says")
    return replace(stated, id=name, family=name, arch="onnx_file", dtypes=("fp32",), digest=graph.digest)


def _shape(name: str, session: InferenceSession, doors: _Doors) -> tuple[int, int, int]:
    """Give (channels, side, scale): the first picture that the graph takes, and how much larger it comes out."""
    said: IncompatibleModel | None = None
    for side in _SIDES if doors.side is None else (doors.side,):
        for channels in (3, 1) if doors.channels is None else (doors.channels,):
            picture = _noise(doors, channels, side, side)
            try:
                result = _run(session, doors, picture, name)
            except IncompatibleModel as error:
                said = said or error
                continue
            scale = result.shape[-1] // side
            if scale < 1 or result.shape != (1, channels, scale * side, scale * side):
                raise IncompatibleModel(
                    f"{name} makes {_size(result)} of {_size(picture)}: not a super-resolution network",
                    hint="It must map (B, C, H, W) to (B, C, s*H, s*W), luma or RGB.",
                )
            return channels, side, scale
    assert said is not None
    raise said


@dataclass(frozen=True, slots=True, kw_only=True)
class _Trial:
    session: InferenceSession
    doors: _Doors
    name: str
    channels: int
    scale: int

    def takes(self, side: int) -> bool:
        """Whether a square picture of this side comes out at the right size."""
        try:
            result = self.run(_noise(self.doors, self.channels, side, side))
        except IncompatibleModel:
            return False
        return result.shape == (1, self.channels, side * self.scale, side * self.scale)

    def run(self, frames: NDArray[np.float32]) -> NDArray[np.float32]:
        aligned = None
        if self.doors.aligned is not None:
            _, windows, channels, height, width = frames.shape
            aligned = np.zeros((1, windows - 1, channels, height * self.scale, width * self.scale), np.float32)
        return _run(self.session, self.doors, frames, self.name, aligned)

    def is_exact(self, halo: int, divisor: int, minimum: int) -> bool:
        """Whether tiles with this halo equal the whole, tried on strips of noise along both axes."""
        far = max(halo + _STRIP, minimum)
        across, along, cut = (-(-n // divisor) * divisor for n in (max(_STRIP, minimum), _STRIP + far, _STRIP))
        for size in ((across, along), (along, across)):
            frames = _noise(self.doors, self.channels, *size)
            at = -1 if size[1] == along else -2
            start = [slice(None)] * frames.ndim
            start[at] = slice(cut, None)
            whole, part = self.run(frames), self.run(np.ascontiguousarray(frames[tuple(start)]))
            away, count = halo * self.scale, part.shape[at]
            own = part.take(range(away, count), at)
            same = whole.take(range(whole.shape[at] - count + away, whole.shape[at]), at)
            if not float(np.abs(own - same).max()) <= _ROUNDING[self.doors.dtype]:
                return False
        return True


def _reach(graph: Graph, trial: _Trial, divisor: int, minimum: int) -> tuple[int, Tiling]:
    """Give the halo, and whether tiles that overlap by it are exact: the operators must say so, and a trial."""
    if trial.doors.side is not None:
        return min(_BLEND_OVERLAP, trial.doors.side // 4), "blend"
    bound = None if graph.reach is None else -(-graph.reach // divisor) * divisor
    if bound is not None and bound <= _LONGEST_HALO and trial.is_exact(bound, divisor, minimum):
        return bound, "exact"
    return _BLEND_OVERLAP, "blend"


def _session(name: str, content: bytes, device: str) -> InferenceSession:
    try:
        import onnxruntime
    except ImportError as error:
        raise IncompatibleModel(f"cannot run {name}: onnxruntime is missing", hint=EXTRA_HINT) from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1  # several lanes call it at a time
    options.log_severity_level = 4  # what fails is raised, not printed
    providers: list[str | tuple[str, dict[str, str]]] = [_CPU]
    if device.startswith("cuda"):
        if _CUDA in onnxruntime.get_available_providers():
            providers.insert(0, (_CUDA, {"device_id": device.partition(":")[2] or "0"}))
        else:
            log.warning("%s runs on the CPU: this onnxruntime has no CUDA (onnxruntime-gpu has)", name)
    try:
        # Its own fallback would print, and hide why CUDA failed.
        return onnxruntime.InferenceSession(content, options, providers=providers, enable_fallback=0)
    except UnicodeDecodeError as error:  # of what it wanted to say about a name in the graph
        raise WeightsCorrupt(f"{name} is damaged: a name in it is no text", hint="Fetch the file again.") from error
    except _runtime_errors() as error:
        raise _translated(error, f"{name} cannot be opened by onnxruntime") from error


def _doors(name: str, session: InferenceSession) -> _Doors:
    """Read what the graph takes.

    Raises:
        IncompatibleModel: not one batch of pictures or windows.
    """
    inputs = {given.name: given for given in session.get_inputs()}
    aligned = "aligned" if "aligned" in inputs and len(inputs) == 2 else None
    names = [given for given in inputs if given != aligned]
    if len(names) != 1 or len(session.get_outputs()) != 1:
        raise IncompatibleModel(
            f"{name} has {len(inputs)} inputs ({', '.join(inputs)}) and {len(session.get_outputs())} outputs",
            hint="vsr runs models with one picture in and one out.",
        )
    shape, dtype = inputs[names[0]].shape, inputs[names[0]].type
    if dtype not in _TYPES:
        raise IncompatibleModel(f"{name} takes {dtype}, vsr feeds float32 or float16 in [0, 1]")
    batch, *windows, channels, height, width = [n if isinstance(n, int) else None for n in shape] or [None] * 3
    is_channels_last = channels is None and width in (1, 3)
    if len(shape) not in (4, 5) or channels not in (None, 1, 3) or batch not in (None, 1) or is_channels_last:
        hint = "Channels come first: (B, C, H, W), luma or RGB."
        raise IncompatibleModel(f"{name} takes pictures of shape {shape}", hint=hint)
    if windows and (windows[0] is None or windows[0] % 2 == 0):
        raise IncompatibleModel(f"{name} takes windows of {shape[1]} pictures: an odd number is needed")
    if (height, width) != (None, None) and height != width:
        raise IncompatibleModel(
            f"{name} takes pictures of {width or 'any'}x{height or 'any'} only",
            hint="Export it with dynamic height and width, or with a square size, which is run in tiles.",
        )
    return _Doors(
        frames=names[0],
        aligned=aligned,
        dtype=_TYPES[dtype],
        windows=windows[0] if windows else None,
        channels=channels,
        is_one_by_one=batch == 1,
        side=height,
    )


def _run(
    session: InferenceSession,
    doors: _Doors,
    frames: NDArray[np.float32],
    name: str,
    aligned: NDArray[np.float32] | None = None,
) -> NDArray[np.float32]:
    """Run windows (B, N, C, H, W) in [0, 1] through the graph, one by one where it takes no batches."""
    if doors.is_one_by_one and len(frames) > 1:
        pairs = [(frames[i : i + 1], None if aligned is None else aligned[i : i + 1]) for i in range(len(frames))]
        return np.concatenate([_run(session, doors, one, name, other) for one, other in pairs])
    fed = frames if doors.windows else frames[:, frames.shape[1] // 2]
    feeds = {doors.frames: np.ascontiguousarray(fed, doors.dtype)}
    if doors.aligned is not None and aligned is not None:
        feeds[doors.aligned] = np.ascontiguousarray(aligned, doors.dtype)
    try:
        result = np.asarray(session.run(None, feeds)[0])
    except _runtime_errors() as error:
        raise _translated(error, f"{name} does not take pictures of {_size(frames)}") from error
    if result.ndim != 4:
        raise IncompatibleModel(f"{name} makes {_size(result)}, not pictures")
    return np.ascontiguousarray(result, np.float32)


def _noise(doors: _Doors, channels: int, height: int, width: int) -> NDArray[np.float32]:
    shape = (1, doors.windows or 1, channels, height, width)
    return np.random.default_rng(0).random(shape, dtype=np.float32)


def _size(array: NDArray[np.float32]) -> str:
    return "x".join(str(n) for n in array.shape)


def _runtime_errors() -> tuple[type[Exception], ...]:
    """Give the exceptions of onnxruntime, which have no base of their own."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    names = "EPFail Fail InvalidArgument InvalidGraph InvalidProtobuf NotImplemented RuntimeException".split()  # noqa: SIM905
    return (*(getattr(state, name) for name in names), RuntimeError, MemoryError)


def _translated(error: Exception, what: str) -> IncompatibleModel | OutOfMemory:
    said = str(error).partition("Status Message: ")[2] or str(error)
    if isinstance(error, MemoryError) or any(word in said for word in _NO_MEMORY):
        return OutOfMemory(f"out of memory: {what}", hint="Use a smaller --tile, --batch 1 or fewer --workers.")
    return IncompatibleModel(f"{what}: {said.splitlines()[0] if said else type(error).__name__}")
