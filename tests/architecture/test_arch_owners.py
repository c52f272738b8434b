"""One owner for each foreign package and each dangerous thing."""

from __future__ import annotations

import ast
from fnmatch import fnmatch

import pytest

from tests.architecture.sources import imported, modules

OWNERS = {
    "threading": ("vsr/pipeline/lanes.py",),
    "queue": ("vsr/pipeline/lanes.py",),
    "_thread": (),
    "concurrent": (),
    "multiprocessing": ("vsr/jobs/executors/*.py",),
    "pickle": ("vsr/engines/weights.py", "vsr/training/checkpoint.py"),  # its error only: see the test below
    "requests": (),
    "urllib": (),
    "socket": ("vsr/jobs/executors/ray_cluster.py",),  # to see whether a cluster is there
    "ray": ("vsr/jobs/executors/ray_cluster.py",),
    "fsspec": ("vsr/io/remote.py",),
    "av": ("vsr/io/*.py", "vsr/io/*/*.py", "vsr/color/swscale.py"),
    "ffmpeg": ("vsr/io/ffmpeg.py",),
    "imageio_ffmpeg": ("vsr/io/ffmpeg.py",),
    "fcntl": ("vsr/io/lock.py", "vsr/data/ledger.py", "vsr/data/window_ledger.py"),  # who may work where: locks alone
    "subprocess": ("vsr/io/ffmpeg.py",),
    "spandrel": ("vsr/engines/*.py", "vsr/engines/archs/foreign.py"),
    "onnxruntime": ("vsr/engines/archs/onnx_file.py", "vsr/engines/exchange.py"),
    "onnx": ("vsr/engines/onnx_graph.py", "vsr/engines/exchange.py"),
    "click": ("vsr/cli.py", "vsr/commands/*.py"),
    "tqdm": ("vsr/commands/bars.py",),
    "accelerate": ("vsr/training/*.py",),
    "tensorboard": (),  # by torch.utils.tensorboard, in training/board.py
    "lmdb": ("vsr/data/*.py",),
    "rich": ("vsr/commands/screen.py", "vsr/commands/tables.py"),
}


@pytest.mark.parametrize("package", OWNERS)
def test_only_its_owner_imports(package: str) -> None:
    found = {path for path, tree in modules() if package in imported(tree)}
    strangers = {path for path in found if not any(fnmatch(path, owner) for owner in OWNERS[package])}
    assert strangers == set()


def test_threads_have_an_owner_at_all() -> None:
    """The rule above would hold for an empty package too."""
    assert [path for path, tree in modules() if "threading" in imported(tree)] == ["vsr/pipeline/lanes.py"]


def test_nobody_unpickles() -> None:
    """Weights are safetensors, or pass torch's weights-only loader."""
    found = []
    for path, tree in modules():
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call):
                continue
            called = ast.unparse(node.func)
            is_tensors_only = any(
                key.arg == "weights_only" and ast.unparse(key.value) == "True" for key in node.keywords
            )
            if called.startswith("pickle.") or (called == "torch.load" and not is_tensors_only):
                found.append(f"{path}:{node.lineno}")
    assert found == []


def _calls(tree: ast.Module) -> set[str]:
    return {node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}


@pytest.mark.parametrize("name", ["print", "eval", "exec", "input"])
def test_nobody_calls(name: str) -> None:
    assert [path for path, tree in modules() if name in _calls(tree)] == []


def test_nobody_swallows_every_error() -> None:
    """`except: pass` and `except Exception: pass`, in whatever spelling."""
    found = []
    for path, tree in modules():
        for node in ast.walk(tree):
            if not isinstance(node, ast.ExceptHandler):
                continue
            caught = ast.unparse(node.type) if node.type is not None else "everything"
            does_nothing = all(isinstance(line, ast.Pass | ast.Continue) for line in node.body)
            if caught == "everything" or (does_nothing and caught in ("Exception", "BaseException")):
                found.append(f"{path}:{node.lineno}")
    assert found == []


def test_public_signatures_name_their_types() -> None:
    """No `Any` in a public signature, but where settings declare fields."""
    found = []
    for path, tree in modules():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
                given = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
                hints = [ast.unparse(hint) for hint in [*(arg.annotation for arg in given), node.returns] if hint]
                if any(hint == "Any" or "[Any" in hint or "Any]" in hint for hint in hints):
                    found.append(f"{path}:{node.name}")
    assert found == ["vsr/core/settings.py:option"]
