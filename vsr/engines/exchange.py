"""Models out to the world and in from it: ONNX, safetensors and TorchScript, each checked by running what was made.

Nothing here writes a final name: bytes and a card are handed up, `vsr.jobs.exchange` publishes them.
"""

from __future__ import annotations

import io
import logging
import math
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from vsr.core.card import ModelCard
from vsr.core.errors import IncompatibleModel
from vsr.engines import cards, files, own, weights
from vsr.engines.archs.sr3_classic import Sr3Classic
from vsr.engines.base import Batch, Key
from vsr.engines.classic_engine import enlarged
from vsr.engines.onnx_graph import CARD_KEY, EXTRA_HINT, read_graph
from vsr.engines.registry import open_network

Format = Literal["onnx", "safetensors", "torchscript"]
SUFFIX: Mapping[Format, str] = {"onnx": ".onnx", "safetensors": ".safetensors", "torchscript": ".pt"}
OPSET = (
    18  # onnxruntime >= 1.14, and what browsers and phones run of it; Resize and Pad as torch's exporter writes them
)
TOLERANCE = 1e-4  # of values about 1: float32 sums in another order stay a hundred times below
_TRACED = (2, 24, 40)  # (B, H, W) of the example; the trials differ from it in everything
_TRIALS = ((1, 21, 34), (3, 47, 29))

Run = Callable[[Tensor, Tensor | None], Tensor]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Exported:
    """A model in another format.

    card: what the file says of itself. inputs, output: names and shapes, for whoever feeds it. largest_error: the
    largest difference to the network in torch, float32, on random pictures in [0, 1] of the sizes `tried` (BxHxW).
    """

    content: bytes
    format: Format
    card: ModelCard
    inputs: tuple[str, ...]
    output: str
    opset: int | None
    largest_error: float
    tried: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Imported:
    """Someone's model made ours: the bytes of its weight file with that suffix, and a card for each of its scales."""

    content: bytes
    suffix: str
    cards: tuple[ModelCard, ...]

    @property
    def card(self) -> ModelCard:
        """The first of its cards."""
        return self.cards[0]


def export(model: str, *, format: Format = "onnx", scale: int | None = None) -> Exported:
    """Bring a model (a name, or a weight file) into another format, with batch, height and width left open.

    ONNX and TorchScript take `input` (B, C, H, W) in [0, 1], luma or RGB as the card says, or windows (B, N, C, H, W)
    where the model has them, then with `aligned` (B, N-1, C, s*H, s*W) where its card asks for it; they give `output`
    (B, C, s*H, s*W), not clipped. The card travels inside, as JSON.

    Raises:
        UnknownModel, WeightsMissing, WeightsCorrupt, UnsafeWeights: see `registry.choose`.
        IncompatibleModel: the model cannot be brought into this format, or what was made disagrees with it.
    """
    card, net = open_network(model, scale=scale)
    net = net.eval().requires_grad_(False)
    if isinstance(net, Sr3Classic) and format != "safetensors":
        raise IncompatibleModel(
            f"{card.id} is no network that gives a picture in one call: it is sampled", hint="Use --format safetensors."
        )
    write = {"onnx": _onnx, "safetensors": _safetensors, "torchscript": _torchscript}[format]
    content, run = write(net, card)
    error = _largest_error(run, lambda frames, aligned: _call(net, frames, aligned), card)
    if not error <= TOLERANCE:
        raise IncompatibleModel(
            f"{card.id} as {format} differs from the network itself by {error:.2g}: not written",
            hint="Its code depends on the picture's size in a way that the format cannot say; try another format.",
        )
    c, n, s = 1 if card.domain == "y" else 3, card.frames, card.scale
    is_graph = format != "safetensors"
    inputs = [f"input (B, {c}, H, W)" if n == 1 else f"input (B, {n}, {c}, H, W)"]
    if card.alignment == "grid":
        inputs.append(f"aligned (B, {n - 1}, {c}, {s}*H, {s}*W)")
    return Exported(
        content=content,
        format=format,
        card=card,
        inputs=tuple(inputs) if is_graph else (),
        output=f"output (B, {c}, {s}*H, {s}*W)" if is_graph else "",
        opset=OPSET if format == "onnx" else None,
        largest_error=error,
        tried=tuple("x".join(str(side) for side in _sized(card, trial)) for trial in _TRIALS),
    )


def adopt(path: Path, name: str, *, config: Path | None = None) -> Imported:
    """Make a model of a weight file: what it is, is found out; safetensors are written of checkpoints.

    Whole graphs (.onnx with its external weights put in, .pb) stay what they are. config: the JSON file of an SR3
    checkpoint, which does not say all of itself.

    Raises:
        WeightsMissing, WeightsCorrupt, UnsafeWeights, IncompatibleModel: see `files.inspect`.
        ModelError: a config that cannot be read. IncompatibleModel: one that does not fit, or is not needed.
    """
    suffix = path.suffix.lower()
    if config is not None:
        card, content = _configured(path, config)
        suffix = ".safetensors"
    elif suffix in weights.GRAPHS:
        card = files.inspect(path)
        content = read_graph(path).content if suffix == ".onnx" else weights.read(path)
    else:
        card, net = files.network(path)
        card = _with_history(card, path)
        content = _checked(path, net.eval(), card)
        suffix = ".safetensors"
    card = replace(card, id=name, family=name, digest=weights.digest_of(content), licence=card.licence or "unknown")
    every = () if config is not None else files.inspect_all(path)
    if len(every) < 2:
        return Imported(content=content, suffix=suffix, cards=(card,))
    measured = _stated(path)
    scaled = tuple(
        replace(
            card,
            id=f"{name}-x{own.scale}",
            weights=name,
            scale=own.scale,
            usual=own.usual,
            divisor=own.divisor,
            halo=own.halo,
            scores=measured.scores if measured is not None and measured.scale == own.scale else (),
        )
        for own in every
    )
    return Imported(content=content, suffix=suffix, cards=scaled)


def _configured(path: Path, config: Path) -> tuple[ModelCard, bytes]:
    """Give the card and the weight file of an SR3 checkpoint and its config."""
    if path.suffix.lower() in weights.GRAPHS:
        raise IncompatibleModel(f"{path} is a whole graph, which needs no config", hint="Leave out --config.")
    card, net = own.configured(path, weights.unwrapped(weights.load(path).state), config)
    return card, _checked(path, net.eval(), card)


def _checked(path: Path, net: nn.Module, card: ModelCard) -> bytes:
    """Give a network as safetensors, which were read back and give the same pictures.

    Raises:
        IncompatibleModel: they do not.
    """
    content, run = _safetensors(net, card)
    error = _largest_error(run, lambda frames, aligned: _call(net, frames, aligned), card)
    if error != 0:
        raise IncompatibleModel(f"{path} as safetensors gives other pictures (by {error:.2g}): not imported")
    return content


def _with_history(card: ModelCard, path: Path) -> ModelCard:
    """Add what a file that vsr exported says of its making."""
    told = _stated(path)
    if told is None:
        return card
    return replace(card, licence=told.licence, training=told.training, description=told.description, scores=told.scores)


def _stated(path: Path) -> ModelCard | None:
    """Give the card that travels in a file, of the one scale that was exported; None: there is none."""
    stated = weights.load(path).header.get(CARD_KEY) if path.suffix.lower() == ".safetensors" else None
    return None if stated is None else cards.from_json(stated)


class _Door(nn.Module):
    """A network as other programs call it."""

    def __init__(self, net: nn.Module, card: ModelCard) -> None:
        super().__init__()
        self.net = net
        self._is_single = card.frames == 1

    def forward(self, input: Tensor, aligned: Tensor | None = None) -> Tensor:
        frames = input.unsqueeze(1) if self._is_single else input
        result = self.net(frames) if aligned is None else self.net(frames, aligned)
        assert isinstance(result, Tensor)
        return result


def _onnx(net: nn.Module, card: ModelCard) -> tuple[bytes, Run]:
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
        import onnxscript  # type: ignore[import-untyped,unused-ignore]  # noqa: F401
    except ImportError as error:
        raise IncompatibleModel(f"cannot export {card.id}: {error.name} is missing", hint=EXTRA_HINT) from error
    from vsr.engines.archs.onnx_file import OnnxFile

    given = _doorway(card, _example(card, _TRACED))
    names = ["input", "aligned"][: len(given)]
    is_open = torch.export.Dim.DYNAMIC
    sizes = tuple({0: is_open, tensor.dim() - 2: is_open, tensor.dim() - 1: is_open} for tensor in given)
    with _recording(card, "ONNX"):
        program = torch.onnx.export(
            _Door(net, card),
            given,
            dynamo=True,
            input_names=names,
            output_names=["output"],
            dynamic_shapes=sizes,
            opset_version=OPSET,
            verbose=False,
        )
    assert program is not None
    model = program.model_proto
    channels = 1 if card.domain == "y" else 3
    scale = f"{card.scale}*" if card.scale != 1 else ""
    for value in (*model.graph.input, *model.graph.output):
        shape = value.type.tensor_type.shape.dim
        grid = "" if value.name == "input" else scale
        for dim, size in zip((shape[0], shape[-2], shape[-1]), ("batch", f"{grid}height", f"{grid}width"), strict=True):
            dim.dim_param = size
        if value.name == "output":
            shape[1].dim_value = channels
    for key, text in {CARD_KEY: cards.to_json(card), "licence": card.licence or "unknown", "range": "0 to 1"}.items():
        model.metadata_props.add(key=key, value=text)
    content = model.SerializeToString()
    engine = OnnxFile(content, card=replace(card, arch="onnx_file", dtypes=("fp32",)))

    def run(frames: Tensor, aligned: Tensor | None) -> Tensor:
        keys = tuple(Key(frame=i, seed=0) for i in range(len(frames)))
        return engine.restore(Batch(frames=frames, keys=keys, aligned=aligned))

    return content, run


def _torchscript(net: nn.Module, card: ModelCard) -> tuple[bytes, Run]:
    buffer = io.BytesIO()
    with _recording(card, "TorchScript"):
        traced = torch.jit.trace(  # type: ignore[no-untyped-call]
            _Door(net, card), _doorway(card, _example(card, _TRACED)), check_trace=False
        )
        torch.jit.save(traced, buffer, _extra_files={f"{CARD_KEY}.json": cards.to_json(card)})
        buffer.seek(0)
        again = torch.jit.load(buffer)  # type: ignore[no-untyped-call]

    def run(frames: Tensor, aligned: Tensor | None) -> Tensor:
        result = again(*_doorway(card, (frames, aligned)))
        assert isinstance(result, Tensor)
        return result

    return buffer.getvalue(), run


def _safetensors(net: nn.Module, card: ModelCard) -> tuple[bytes, Run]:
    """Write the weights, and read them back the way `--model FILE` does."""
    from safetensors.torch import save

    source = net
    if card.arch.startswith("foreign/"):  # its keys are those of the network that spandrel built
        assert isinstance(net.body, nn.Module)
        source = net.body
    state = {key: value.detach().clone().contiguous() for key, value in source.state_dict().items()}
    if not state or not card.parameters:
        raise IncompatibleModel(f"{card.id} has no weights to write", hint="Use --format onnx.")
    content = save(state, {"format": "pt", CARD_KEY: cards.to_json(card)})
    with tempfile.TemporaryDirectory(prefix="vsr-") as folder:
        path = Path(folder) / "written.safetensors"
        path.write_bytes(content)
        _, again = files.network(path, scale=card.scale)
    again.eval()
    return content, lambda frames, aligned: _call(again, frames, aligned)


@contextmanager
def _recording(card: ModelCard, format: str) -> Iterator[None]:
    """Record a network without torch's talk.

    Raises:
        IncompatibleModel: torch cannot record it.
    """
    talker = logging.getLogger("torch")
    level = talker.level
    talker.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings(action="ignore"), torch.no_grad():
            yield
    except (RuntimeError, ValueError, TypeError, AttributeError, AssertionError) as error:
        lines = str(
            error.__cause__ or error
        ).splitlines()  # the exporter wraps what went wrong in advice for its makers
        said = next((line for line in lines if line.strip()), type(error).__name__)
        raise IncompatibleModel(
            f"{card.id} cannot be written as {format}: {said}", hint="Try another --format."
        ) from error
    finally:
        talker.setLevel(level)


def _largest_error(made: Run, original: Run, card: ModelCard) -> float:
    """Give the largest difference on the trials."""
    worst = 0.0
    with torch.no_grad():
        for trial in _TRIALS:
            frames, aligned = _example(card, trial)
            found, wanted = made(frames, aligned), original(frames, aligned)
            if found.shape != wanted.shape:
                raise IncompatibleModel(f"{card.id}: {tuple(found.shape)} came out instead of {tuple(wanted.shape)}")
            error = float((found - wanted).abs().max())
            worst = error if math.isnan(error) else max(worst, error)
    return worst


def _call(net: nn.Module, frames: Tensor, aligned: Tensor | None) -> Tensor:
    if isinstance(net, Sr3Classic):
        return _prediction(net, frames)
    result = net(frames) if aligned is None else net(frames, aligned)
    assert isinstance(result, Tensor)
    return result


def _prediction(net: Sr3Classic, frames: Tensor) -> Tensor:
    """Give what a network that is sampled says of a corner: one of its calls, which is all that weights can change."""
    side, at = net.layout.divisor, 3 * (net.layout.frames // 2)
    condition = enlarged(frames[..., :side, :side], net.layout.scale)[..., :side, :side]
    x = torch.cat((condition, condition[:, at : at + 3]), dim=1)
    found: Tensor = net(x, torch.full((len(frames), 1), 0.5))
    return found


def _example(card: ModelCard, trial: tuple[int, int, int]) -> tuple[Tensor, Tensor | None]:
    """Give random windows, and differences to the centre where the card asks for them."""
    count, height, width = _sized(card, trial)
    scale, channels = card.scale or 1, 1 if card.domain == "y" else 3
    noise = torch.Generator().manual_seed(height)
    frames = torch.rand(count, card.frames, channels, height, width, generator=noise)
    if card.alignment != "grid":
        return frames, None
    size = (count, card.frames - 1, channels, scale * height, scale * width)
    return frames, 0.2 * torch.rand(size, generator=noise) - 0.1


def _sized(card: ModelCard, trial: tuple[int, int, int]) -> tuple[int, int, int]:
    """Give (B, H, W) with sides that the card allows."""
    count, height, width = trial
    tall, wide = (-(-(side + card.minimum - 1) // card.divisor) * card.divisor for side in (height, width))
    return count, tall, wide


def _doorway(card: ModelCard, example: tuple[Tensor, Tensor | None]) -> tuple[Tensor, ...]:
    frames, aligned = example
    first = frames[:, 0] if card.frames == 1 else frames
    return (first,) if aligned is None else (first, aligned)
