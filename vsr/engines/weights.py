"""Weight files: where they lie, whether they are whole, and their tensors. Nothing in a file is ever executed.

Safetensors are read as they are; pickled checkpoints (.pth, .pt, .ckpt, .bin) only through torch's weights-only
unpickler, which refuses every global that is not a tensor's.
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
import pickle
import pickletools
import re
import warnings
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import platformdirs

from vsr.core.card import ModelCard
from vsr.core.errors import UnsafeWeights, WeightsCorrupt, WeightsMissing

if TYPE_CHECKING:
    from torch import Tensor

log = logging.getLogger(__name__)

PICKLED = (".pth", ".pt", ".ckpt", ".bin")
GRAPHS = (".onnx", ".pb")  # whole networks, run by onnxruntime and OpenCV
SUFFIXES = (".safetensors", *PICKLED, *GRAPHS)
_MAX_PACKED, _SMALL_BYTES = 4, 1 << 26  # trained tensors do not compress by half
# The words of torch's weights-only unpickler when it meets something else than a tensor.
_FORBIDDEN = re.compile(r"(?:GLOBAL|unrecognized function|Unsupported class|create new object for \w+ \w+) ([\w.]+)")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Weights:
    """A weight file's content: tensors on the CPU by key (a pickled checkpoint may nest them), header, sha256."""

    path: Path
    state: Mapping[str, object]
    header: Mapping[str, str]
    digest: str


def shipped_folder() -> Path:
    """Give the folder of the shipped cards and weights."""
    return Path(__file__).resolve().parent / "zoo"


def user_folder() -> Path:
    """Give the folder where a user's own cards and weights are found by name; it need not exist."""
    return Path(platformdirs.user_data_dir("vsr", appauthor=False)) / "models"


def folders() -> tuple[Path, ...]:
    """Give where models are looked for, in order: shipped, the user's."""
    return shipped_folder(), user_folder()


def find(card: ModelCard) -> Path:
    """Give the weight file beside the card.

    Raises:
        WeightsMissing: there is none.
    """
    name = card.weights or card.id
    looked = [folder / f"{name}{suffix}" for folder in folders() for suffix in (".safetensors", *GRAPHS)]
    for path in looked:
        if path.is_file():
            return path
    raise WeightsMissing(
        f"the weights of {card.id} are missing", hint=f"Put {looked[0].name} into {user_folder()}, or reinstall vsr."
    )


def verify(card: ModelCard) -> Path:
    """Check the weight file of a card by its digest; gives its path.

    Raises:
        WeightsMissing: there is none.
        WeightsCorrupt: another digest.
    """
    path = find(card)
    check_digest(path, digest_of(read(path)), card.digest)
    return path


def load(path: Path, *, digest: str = "") -> Weights:
    """Read a weight file, read once: what is checked is what is used.

    Args:
        digest: the sha256 that the file must have; empty: any.

    Raises:
        WeightsMissing: no such file.
        WeightsCorrupt: another digest, truncated, or no weight file at all.
        UnsafeWeights: a pickle or an archive that wants to run code.
    """
    content = read(path)
    found = digest_of(content)
    if digest:
        check_digest(path, found, digest)
    if path.suffix.lower() == ".safetensors":
        state, header = _safetensors(path, content)
        return Weights(path=path, state=state, header=header, digest=found)
    return Weights(path=path, state=_pickled(path, content), header={}, digest=found)


def check_digest(path: Path, found: str, wanted: str) -> None:
    """Hold a file's sha256 against its card's.

    Raises:
        WeightsCorrupt: another one.
    """
    if found != wanted:
        raise WeightsCorrupt(
            f"{path} is damaged or not the model's: sha256 {found[:12]}…, the card says {wanted[:12]}…",
            hint="Fetch the file again, or reinstall vsr.",
        )


def digest_of(content: bytes) -> str:
    """Give the sha256 in hex digits: a card's `digest`."""
    return hashlib.sha256(content).hexdigest()


def read(path: Path) -> bytes:
    """Give a weight file's bytes.

    Raises:
        WeightsMissing: no such file, no regular one, or it cannot be read.
        WeightsCorrupt: the file is empty.
    """
    try:
        if path.exists() and not path.is_file():
            raise WeightsMissing(f"{path} is no regular file", hint="Name a weight file.")
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise WeightsMissing(f"weight file {path} does not exist", hint="Check the path.") from error
    except OSError as error:
        raise WeightsMissing(f"cannot read weight file {path}: {error.strerror}") from error
    if not content:
        raise WeightsCorrupt(f"{path} is empty", hint="Fetch the file again.")
    return content


def _safetensors(path: Path, content: bytes) -> tuple[dict[str, Tensor], dict[str, str]]:
    from safetensors import SafetensorError
    from safetensors.torch import load as parse

    try:
        state = parse(content)
    except SafetensorError as error:
        raise WeightsCorrupt(f"{path} is no whole safetensors file: {error}", hint="Fetch the file again.") from error
    # The parser has checked the layout: an 8-byte length, then that many bytes of JSON.
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    return state, dict(header.get("__metadata__") or {})


def _pickled(path: Path, content: bytes) -> Mapping[str, object]:
    import torch

    _refuse_packed(path, content)
    try:
        with warnings.catch_warnings(action="ignore"):  # of what is refused below, or of old pickle protocols
            loaded = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise _refused(path, str(error), content) from error
    except RuntimeError as error:
        if "TorchScript" in str(error):
            raise _refused(path, str(error), content) from error
        raise _broken(path, error) from error
    except (EOFError, KeyError, ValueError, IndexError, TypeError, AttributeError, OSError, OverflowError) as error:
        raise _broken(path, error) from error
    if not isinstance(loaded, Mapping) or not all(isinstance(key, str) for key in loaded):
        raise WeightsCorrupt(f"{path} holds a {type(loaded).__name__}, not a table of tensors")
    return loaded


def _refuse_packed(path: Path, content: bytes) -> None:
    """Refuse an archive that unpacks to far more than it holds: torch stores tensors as they are.

    Raises:
        UnsafeWeights: it does.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
    except (zipfile.BadZipFile, ValueError, NotImplementedError):
        return  # a bare pickle, or broken: torch's reader decides
    if unpacked > _MAX_PACKED * len(content) + _SMALL_BYTES:
        raise UnsafeWeights(
            f"{path} unpacks from {len(content)} to {unpacked} bytes, as no checkpoint does",
            hint="It is made to fill the memory; delete it.",
        )


def _refused(path: Path, reason: str, content: bytes) -> UnsafeWeights | WeightsCorrupt:
    """Tell a pickle that wants more than tensors from bytes that are no pickle."""
    if "TorchScript" in reason:
        return UnsafeWeights(
            f"{path} is a TorchScript archive, which is a program", hint="Save its state_dict as safetensors."
        )
    wanted = _FORBIDDEN.search(reason)
    named = wanted[1] if wanted is not None else _first_call(content)
    if named is None:
        return _broken(path, reason.splitlines()[0] if reason else "no pickle")
    return UnsafeWeights(
        f"{path} wants to run {named} when it is loaded; refused, nothing was run",
        hint="If you trust its author, convert it to safetensors elsewhere; else delete it.",
    )


def _first_call(content: bytes) -> str | None:
    """Give what a bare pickle would call first, read without running it; None if it is no pickle or calls nothing."""
    named, words = None, []
    try:
        for opcode, argument, _ in pickletools.genops(content):
            if isinstance(argument, str):
                words.append(argument)
            if opcode.name == "GLOBAL":
                named = str(argument).replace(" ", ".")
            elif opcode.name == "STACK_GLOBAL":
                named = ".".join(words[-2:])
            elif opcode.name in ("REDUCE", "NEWOBJ", "BUILD", "INST", "OBJ") and named is not None:
                return named
    except ValueError:  # what every wrong byte ends in
        return None
    return None


def _broken(path: Path, reason: object) -> WeightsCorrupt:
    log.debug("cannot load %s: %s", path, reason)
    return WeightsCorrupt(f"{path} is truncated or no weight file", hint="Fetch the file again.")


def unwrapped(state: Mapping[str, object]) -> Mapping[str, object]:
    """Take off what trainers wrap a state dict in: `params_ema` before `params`, `state_dict`; `module.` of names."""
    for wrapper in ("params_ema", "params", "state_dict"):
        inner = state.get(wrapper)
        if isinstance(inner, Mapping):
            return unwrapped(inner)
    if state and all(str(key).startswith("module.") for key in state):  # a pickle's keys may be anything
        return {key.removeprefix("module."): value for key, value in state.items()}
    return state
