"""What an ONNX file says before it is run: its graph in one piece, parameters, a vsr card, how far its pixels reach.

Nothing in such a file is a program, but for custom operators, which are refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from vsr.core.card import ModelCard
from vsr.core.errors import IncompatibleModel, ModelError, WeightsCorrupt, WeightsMissing
from vsr.engines import cards, weights
from vsr.engines.memory import GRAPH_BYTES, SAFETY

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto, TensorProto

_SIDE = 64  # pixels of the picture on which memory is counted
CARD_KEY = "vsr_card"  # in the file's metadata: the model's card as JSON
EXTRA_HINT = 'Install what ONNX files need: pip install "vsr[onnx]".'
_LARGEST_BYTES = 2**31 - 1  # a protobuf message can be no larger
_DOMAINS = ("", "ai.onnx", "com.microsoft")  # operators that onnxruntime brings
_POINTWISE = """
    Abs Add Cast CastLike Ceil Clip Constant ConstantOfShape Cos Div Dropout Elu Equal Erf Exp Floor Gelu Greater
    HardSigmoid HardSwish Identity LeakyRelu Less Log Max Min Mish Mod Mul Neg Not PRelu Pow QuickGelu Reciprocal
    Relu Round Selu Shape Sigmoid Sign Sin Size Softplus Softsign Sqrt Sub Sum Tanh Where
""".split()  # noqa: SIM905
_MOVING = """
    Concat Expand Flatten Gather Pad Reshape Slice Split Squeeze Tile Transpose Unsqueeze
""".split()  # noqa: SIM905 -- they mix no pixels; whether they leave them at their place is for a trial to show
_KERNELS = frozenset(("Conv", "ConvTranspose", "AveragePool", "MaxPool"))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Graph:
    """An ONNX model in one piece.

    content: the model with any external weights put in. digest: sha256 of the file, and of the files of its external
    weights if it has them. card: what vsr wrote into it, None for other people's. reach: an upper bound of how many
    input pixels away an output pixel looks, None where the operators do not tell.
    """

    content: bytes
    digest: str
    card: ModelCard | None
    parameters: int
    reach: int | None


def read_graph(path: Path) -> Graph:
    """Read an ONNX file.

    Raises:
        WeightsMissing: no such file, or the file of its external weights is missing.
        WeightsCorrupt: not an ONNX model, or a card in it is damaged.
        IncompatibleModel: custom operators, larger than 2 GB, or the package `onnx` is missing.
    """
    content = weights.read(path)
    model = _parse(path, content)
    _refuse_custom(path, model)
    outside = _outside(model)
    digest = weights.digest_of(content)
    if outside:
        content, digest = _merged(path, model, content, outside)
    stated = {entry.key: entry.value for entry in model.metadata_props}.get(CARD_KEY)
    try:
        card = None if stated is None else cards.from_json(stated)
    except ModelError as error:
        raise WeightsCorrupt(f"{path} holds a damaged model card: {error.message}") from error
    parameters = sum(_count(tensor.dims) for tensor in model.graph.initializer if len(tensor.dims) > 0)
    return Graph(content=content, digest=digest, card=card, parameters=parameters, reach=reach_bound(model))


def reach_bound(model: ModelProto) -> int | None:
    """Give an upper bound of the reach of one output pixel, in input pixels; None: an operator that may see it all.

    The largest sum of kernel reaches along any path. Kernels behind an upsampling whose factor is not in the graph are
    counted as if they ran on the input's grid, which only makes the bound larger.
    """
    seen: dict[str, tuple[Fraction, Fraction]] = {}  # tensor -> (reach, size of one of its pixels), in input pixels
    start = (Fraction(0), Fraction(1))
    for node in model.graph.node:
        before = [seen.get(name, start) for name in node.input if name]
        reach = max((at[0] for at in before), default=Fraction(0))
        pixel = max((at[1] for at in before if at != start), default=Fraction(1))
        after = _step(node, model, reach, pixel)
        if after is None:
            return None
        seen.update(dict.fromkeys(node.output, after))
    ends = [seen.get(output.name, start)[0] for output in model.graph.output]
    return -(-max(ends, default=Fraction(0)) // 1)


def bytes_per_pixel(content: bytes) -> float:
    """Give the working memory of a call in bytes per input pixel, as far as the shapes in a model tell.

    The largest sum of what goes into and comes out of one operator on a small picture, with `memory`'s safety factor;
    at least `memory.GRAPH_BYTES`, because shapes that are computed as the model runs are not seen.
    """
    import onnx

    model = onnx.load_from_string(content)
    initial = {tensor.name for tensor in model.graph.initializer}
    for given in (given for given in model.graph.input if given.name not in initial):
        dims = given.type.tensor_type.shape.dim
        for dim, size in zip(dims, (1, *(1,) * (len(dims) - 3), _SIDE, _SIDE), strict=False):
            if dim.dim_value == 0:
                dim.dim_value = size
    del model.graph.output[0].type.tensor_type.shape.dim[:]
    model.graph.output[0].type.tensor_type.ClearField("shape")
    inferred = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
    sizes = {
        value.name: _count([dim.dim_value for dim in value.type.tensor_type.shape.dim])
        for value in (*inferred.input, *inferred.value_info, *inferred.output)
        if value.type.tensor_type.HasField("shape")
    }
    most = max(sum(sizes.get(name, 0) for name in (*node.input, *node.output)) for node in inferred.node)
    return max(GRAPH_BYTES, SAFETY * 4 * most / _SIDE**2)


def _step(node: NodeProto, model: ModelProto, reach: Fraction, pixel: Fraction) -> tuple[Fraction, Fraction] | None:
    """Give reach and pixel size behind a node; None for an operator that is not known to be local."""
    kind = node.op_type if node.domain in ("", "ai.onnx") else ""
    block = _integer(node, "blocksize", 1)
    if kind == "DepthToSpace":
        pixel /= block
    elif kind == "SpaceToDepth":
        reach, pixel = reach + (block - 1) * pixel, pixel * block
    elif kind in ("Resize", "Upsample"):
        reach += 2 * pixel  # cubic reads two samples on either side
    elif kind in _KERNELS:
        far = _far(node, model)
        if far is None:
            return None
        stride = 1 if kind == "ConvTranspose" else max(_integers(node, "strides"), default=1)
        reach, pixel = reach + far * pixel, pixel * stride
    elif kind not in _POINTWISE and kind not in _MOVING:
        return None
    return reach, pixel


def _far(node: NodeProto, model: ModelProto) -> int | None:
    """Give how far a kernel reads to either side; None where the graph does not say its size."""
    side = max(_integers(node, "kernel_shape") or _kernel_shape(node, model), default=0)
    if side == 0:
        return None
    span = (side - 1) * max(_integers(node, "dilations"), default=1)
    padded = _integers(node, "pads")
    return max(span // 2, *(max(pad, span - pad) for pad in padded)) if padded else span


def _kernel_shape(node: NodeProto, model: ModelProto) -> tuple[int, ...]:
    if len(node.input) < 2:
        return ()
    return next((tuple(t.dims)[2:] for t in model.graph.initializer if t.name == node.input[1]), ())


def _integer(node: NodeProto, name: str, default: int) -> int:
    return next((int(attribute.i) for attribute in node.attribute if attribute.name == name), default)


def _integers(node: NodeProto, name: str) -> tuple[int, ...]:
    return next((tuple(attribute.ints) for attribute in node.attribute if attribute.name == name), ())


def _parse(path: Path, content: bytes) -> ModelProto:
    try:
        import onnx
        from google.protobuf.message import DecodeError  # type: ignore[import-untyped,unused-ignore]
    except ImportError as error:
        raise IncompatibleModel(f"cannot open {path}: the package onnx is missing", hint=EXTRA_HINT) from error
    try:
        model = onnx.load_from_string(content)
    except DecodeError as error:
        raise WeightsCorrupt(f"{path} is truncated or no ONNX model", hint="Fetch the file again.") from error
    if not model.graph.node or not model.graph.output:
        raise WeightsCorrupt(f"{path} is no ONNX model: it holds no graph", hint="Fetch the file again.")
    return model


def _refuse_custom(path: Path, model: ModelProto) -> None:
    own = {function.domain for function in model.functions}
    strange = sorted({f"{n.domain}.{n.op_type}" for n in model.graph.node if n.domain not in (*_DOMAINS, *own)})
    if strange:
        raise IncompatibleModel(
            f"{path} needs custom operators: {', '.join(strange[:4])}", hint="Export it with ONNX's own operators only."
        )


def _outside(model: ModelProto) -> list[str]:
    """Give the names of the files that hold weights of the model."""
    from onnx import external_data_helper as external

    named = {
        entry.value
        for tensor in _tensors(model)
        if external.uses_external_data(tensor)
        for entry in tensor.external_data
        if entry.key == "location"
    }
    return sorted(named)


def _tensors(model: ModelProto) -> Iterator[TensorProto]:
    """Yield every tensor of a model: initial ones, and those in the attributes of nodes at any depth."""
    yield from model.graph.initializer
    nodes = [*model.graph.node, *(node for function in model.functions for node in function.node)]
    while nodes:
        for attribute in nodes.pop().attribute:
            yield from (attribute.t, *attribute.tensors)
            for graph in (attribute.g, *attribute.graphs):
                yield from graph.initializer
                nodes += graph.node


def _merged(path: Path, model: ModelProto, content: bytes, outside: list[str]) -> tuple[bytes, str]:
    """Put external weights into the model; gives its bytes, and the digest of all the files."""
    from onnx import checker
    from onnx import external_data_helper as external

    files = [path.parent / name for name in outside]
    for name, file in zip(outside, files, strict=True):
        if Path(name).name != name:
            raise IncompatibleModel(f"{path} keeps weights in {name}, outside its own folder")
        if not file.is_file():
            raise WeightsMissing(
                f"{path} keeps its weights in {name}, which is missing", hint="Put it beside the model."
            )
    if sum(file.stat().st_size for file in files) + len(content) > _LARGEST_BYTES:
        raise IncompatibleModel(f"{path} and its weights are larger than 2 GB")
    digest = weights.digest_of(content + b"".join(weights.read(file) for file in files))
    try:
        external.load_external_data_for_model(model, str(path.parent.absolute()))
    except (checker.ValidationError, ValueError, OSError) as error:
        raise WeightsCorrupt(f"{path}: its external weights cannot be read: {error}") from error
    return model.SerializeToString(), digest


def _count(dims: object) -> int:
    total = 1
    for size in dims:  # type: ignore[attr-defined]
        total *= int(size)
    return total
