"""ONNX files as engines: graphs written by hand, run through the engine and through torch."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import helper

from tests.onnxgraph import constant, layers, network, oracle
from vsr.core.errors import IncompatibleModel, WeightsCorrupt, WeightsMissing
from vsr.engines import registry
from vsr.engines.base import Batch, Engine, Key
from vsr.engines.onnx_graph import bytes_per_pixel, reach_bound
from vsr.engines.tiling import Tiled


def saved(folder: Path, model: onnx.ModelProto, name: str = "net") -> Path:
    path = folder / f"{name}.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def opened(path: Path) -> Engine:
    choice = registry.choose(str(path))
    return registry.open_engine(choice.reference, scale=choice.scale)


def batch(height: int = 19, width: int = 30, *, channels: int = 3, count: int = 2, windows: int = 1) -> Batch:
    frames = torch.rand(count, windows, channels, height, width, generator=torch.Generator().manual_seed(3))
    return Batch(frames=frames, keys=tuple(Key(frame=i, seed=0) for i in range(count)))


@pytest.mark.parametrize(("scale", "channels"), [(2, 3), (3, 1), (4, 3)])
def test_a_foreign_network_runs_as_it_does_in_torch(tmp_path: Path, scale: int, channels: int) -> None:
    weights = layers(scale, channels)
    path = saved(tmp_path, network(weights, scale))
    card = registry.choose(str(path)).card
    assert (card.id, card.scale, card.domain) == ("net", scale, "y" if channels == 1 else "rgb")
    # 2 + 1: the sum of the kernels' reaches
    assert (card.halo, card.tiling, card.divisor, card.minimum) == (3, "exact", 1, 1)
    assert card.parameters == sum(w.size + b.size for w, b in weights)
    engine = opened(path)
    for given in (batch(channels=channels), batch(1, 7, channels=channels, count=1)):
        # float32 sums in another order
        torch.testing.assert_close(engine.restore(given), oracle(given.frames[:, 0], weights, scale), rtol=0, atol=1e-5)


def test_a_half_precision_graph_is_fed_in_half_precision(tmp_path: Path) -> None:
    weights = layers(2)
    engine = opened(saved(tmp_path, network(weights, 2, dtype=np.float16)))
    given = batch()
    result = engine.restore(given)
    assert result.dtype == torch.float32
    # float16 has 11 bits
    torch.testing.assert_close(result, oracle(given.frames[:, 0], weights, 2), rtol=0, atol=8e-3)


def test_a_graph_that_takes_one_picture_at_a_time_gets_batches_one_by_one(tmp_path: Path) -> None:
    weights = layers(2)
    engine = opened(saved(tmp_path, network(weights, 2, shape=(1, 3, "h", "w"))))
    given = batch(count=3)
    torch.testing.assert_close(engine.restore(given), oracle(given.frames[:, 0], weights, 2), rtol=0, atol=1e-5)


def test_a_graph_of_one_size_is_run_in_tiles_of_that_size(tmp_path: Path) -> None:
    weights = layers(2, kernels=(1, 1))  # sees one pixel, so that tiles cannot differ from the whole
    path = saved(tmp_path, network(weights, 2, shape=(1, 3, 24, 24)))
    card = registry.choose(str(path)).card
    assert (card.minimum, card.tiling) == (24, "blend")
    engine = opened(path)
    for size in ((24, 24), (41, 70)):
        given = batch(*size)
        torch.testing.assert_close(engine.restore(given), oracle(given.frames[:, 0], weights, 2), rtol=0, atol=1e-5)


def test_sizes_that_the_graph_does_not_take_are_found_by_trying(tmp_path: Path) -> None:
    """Begins with a pixel-unshuffle, as Real-ESRGAN's x2 model does."""
    weights = layers(4, 3)
    weights[0] = (np.tile(weights[0][0], (1, 4, 1, 1)), weights[0][1])
    before = [helper.make_node("SpaceToDepth", ["input"], ["x"], blocksize=2)]
    path = saved(tmp_path, network(weights, 4, before=before, shape=("n", 3, "h", "w")))
    card = registry.choose(str(path)).card
    assert (card.scale, card.divisor, card.minimum, card.tiling) == (2, 2, 2, "exact")
    # (2 + 1) pixels of twice the size, and the other pixel of the block, in steps of 2
    assert card.halo == 8
    engine = opened(path)
    given = batch(40, 62)
    # float32 sums in another order
    torch.testing.assert_close(Tiled(engine, 10).restore(given), engine.restore(given), rtol=0, atol=1e-5)


def test_a_network_that_sees_the_whole_picture_is_not_tiled_as_if_it_did_not(tmp_path: Path) -> None:
    after = [helper.make_node("GlobalAveragePool", ["y"], ["m"]), helper.make_node("Sub", ["y", "m"], ["output"])]
    path = saved(tmp_path, network(layers(2), 2, after=after))
    assert registry.choose(str(path)).card.tiling == "blend"


def test_a_network_that_moves_pixels_far_is_caught_by_the_trial(tmp_path: Path) -> None:
    """Each operator is local by its name, but the picture is added to its mirror image."""
    after = [
        *(constant(name, [value]) for name, value in (("s", -1), ("e", -(2**31)), ("x_", 3), ("d", -1))),
        helper.make_node("Slice", ["y", "s", "e", "x_", "d"], ["mirrored"]),
        helper.make_node("Add", ["y", "mirrored"], ["output"]),
    ]
    model = network(layers(2), 2, after=after)
    assert reach_bound(model) == 3
    assert registry.choose(str(saved(tmp_path, model))).card.tiling == "blend"


def test_a_network_over_windows_says_how_many_pictures_it_wants(tmp_path: Path) -> None:
    weights = layers(2)
    before = [constant("axes", [1]), constant("at", [1]), helper.make_node("Gather", ["input", "at"], ["one"], axis=1)]
    before.append(helper.make_node("Squeeze", ["one", "axes"], ["x"]))
    path = saved(tmp_path, network(weights, 2, before=before, shape=("n", 3, 3, "h", "w")))
    assert registry.choose(str(path)).card.frames == 3
    given = batch(windows=3)
    torch.testing.assert_close(opened(path).restore(given), oracle(given.frames[:, 1], weights, 2), rtol=0, atol=1e-5)
    with pytest.raises(IncompatibleModel, match="odd number"):
        registry.choose(str(saved(tmp_path, network(weights, 2, before=before, shape=("n", 4, 3, "h", "w")), "even")))


def test_weights_beside_the_model_are_read_and_count_for_its_digest(tmp_path: Path) -> None:
    weights = layers(2)
    model = network(weights, 2)
    path = tmp_path / "net.onnx"
    onnx.save(model, path, save_as_external_data=True, location="net.onnx.data", size_threshold=0)
    before = registry.choose(str(path)).card
    given = batch()
    torch.testing.assert_close(opened(path).restore(given), oracle(given.frames[:, 0], weights, 2), rtol=0, atol=1e-5)
    data = tmp_path / "net.onnx.data"
    data.write_bytes(np.full(data.stat().st_size // 4, 0.01, np.float32).tobytes())
    assert registry.choose(str(path)).card.digest != before.digest
    data.unlink()
    with pytest.raises(WeightsMissing, match=r"net\.onnx\.data"):
        registry.choose(str(path))


def test_weights_outside_the_models_folder_are_not_read(tmp_path: Path) -> None:
    model = network(layers(2), 2)
    onnx.save(model, tmp_path / "net.onnx", save_as_external_data=True, location="w.data", size_threshold=0)
    model = onnx.load(tmp_path / "net.onnx", load_external_data=False)
    for tensor in model.graph.initializer:
        next(entry for entry in tensor.external_data if entry.key == "location").value = "../w.data"
    with pytest.raises(IncompatibleModel, match="outside its own folder"):
        registry.choose(str(saved(tmp_path, model)))


def test_memory_is_counted_from_the_largest_operator() -> None:
    model = network(layers(4, 3, inner=512), 4)
    # 512 planes in and out of the LeakyReLU, four bytes each, twice for safety
    assert bytes_per_pixel(model.SerializeToString()) == 2 * 512 * 4 * 2


def test_files_that_are_no_models_are_told_apart(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    whole = network(layers(2), 2).SerializeToString()
    nameless = whole.replace(b"LeakyRelu", b"Leaky\xa0elu")
    for content in (b"no model at all " * 9, whole[:-20], b"\x08\x0a", nameless):
        (tmp_path / "net.onnx").write_bytes(content)
        with pytest.raises(WeightsCorrupt):
            registry.choose(str(tmp_path / "net.onnx"))
    with pytest.raises(WeightsMissing):
        registry.choose(str(tmp_path / "absent.onnx"))
    assert capfd.readouterr() == ("", "")


def test_graphs_that_do_something_else_are_refused_in_words(tmp_path: Path) -> None:
    custom = [helper.make_node("Magic", ["y"], ["output"], domain="acme")]
    mean = [helper.make_node("ReduceMean", ["y"], ["output"], keepdims=1)]
    unknown = [helper.make_node("Identify", ["y"], ["output"])]
    said = {
        r"custom operators: acme\.Magic": network(layers(2), 2, after=custom),
        "not a super-resolution network": network(layers(2), 2, after=mean),
        "cannot be opened by onnxruntime": network(layers(2), 2, after=unknown),
        r"pictures of shape \['n', 'h', 'w', 3\]": network(layers(2), 2, shape=("n", "h", "w", 3)),
        "pictures of 48x32 only": network(layers(2), 2, shape=(1, 3, 32, 48)),
        "does not take pictures of": network(layers(2, 1), 2, shape=("n", 3, "h", "w")),
    }
    for words, model in said.items():
        with pytest.raises(IncompatibleModel, match=words):
            registry.choose(str(saved(tmp_path, model)))


def test_a_missing_package_is_named_with_the_extra_that_brings_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = saved(tmp_path, network(layers(3), 3))
    for package in ("onnxruntime", "onnx"):
        with monkeypatch.context() as patched:
            patched.setitem(sys.modules, package, None)
            with pytest.raises(IncompatibleModel, match=f"{package} is missing") as caught:
                registry.choose(str(path))
        assert "vsr[onnx]" in (caught.value.hint or "")
