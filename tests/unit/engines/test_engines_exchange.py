"""Exports run by the libraries they are meant for, beside the network; imports beside the file."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import onnx
import onnxruntime
import pytest
import torch
from safetensors.torch import load as parse
from safetensors.torch import save_file
from torch import Tensor, nn

from tests.graphdef import espcn as graphdef
from tests.onnxgraph import layers, network
from vsr.core.card import ModelCard
from vsr.core.errors import IncompatibleModel, UnsafeWeights
from vsr.engines import cards, exchange, registry, weights
from vsr.engines.archs import sr3
from vsr.engines.archs.compact import Compact
from vsr.engines.archs.compact import Layout as CompactLayout
from vsr.engines.archs.espcn import Espcn, Layout
from vsr.engines.base import Batch, Engine, Key
from vsr.engines.exchange import Exported, adopt, export
from vsr.engines.torchvision_stub import ensure_torchvision


def frames(*shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(7))


def restored(engine: Engine, given: Tensor, aligned: Tensor | None = None) -> Tensor:
    keys = tuple(Key(frame=i, seed=0) for i in range(len(given)))
    return engine.restore(Batch(frames=given, keys=keys, aligned=aligned))


def opened(path: Path) -> Engine:
    choice = registry.choose(str(path))
    return registry.open_engine(choice.reference, scale=choice.scale)


@pytest.fixture(scope="module")
def windows(tmp_path_factory: pytest.TempPathFactory) -> tuple[Espcn, Exported, Path]:
    """ESPCN over three pictures with aligned neighbours, random weights, as ONNX: all that an export has to say."""
    torch.manual_seed(1)
    net = Espcn(Layout(scale=3, middle=(8, 6), frames=3)).eval()
    assert net.temporal is not None
    nn.init.normal_(net.temporal.leave.weight, std=0.2)  # it begins at zero, where neighbours would not be seen
    folder = tmp_path_factory.mktemp("windows")
    save_file(dict(net.state_dict()), folder / "mine.safetensors")
    done = export(str(folder / "mine.safetensors"))
    path = folder / "mine3.onnx"
    path.write_bytes(done.content)
    return net, done, path


@pytest.mark.parametrize("size", [(1, 1, 1), (1, 37, 5), (4, 8, 9)])
def test_the_onnx_file_gives_in_onnxruntime_what_the_network_gives(
    windows: tuple[Espcn, Exported, Path], size: tuple[int, int, int]
) -> None:
    net, done, _ = windows
    count, height, width = size
    given, aligned = frames(count, 3, 1, height, width), frames(count, 2, 1, 3 * height, 3 * width) - 0.5
    session = onnxruntime.InferenceSession(done.content, providers=["CPUExecutionProvider"])
    found = session.run(["output"], {"input": given.numpy(), "aligned": aligned.numpy()})[0]
    with torch.inference_mode():
        wanted, without = net(given, aligned), net(given, torch.zeros_like(aligned))
    # float32 sums in another order
    torch.testing.assert_close(torch.from_numpy(found), wanted, rtol=0, atol=1e-5)
    assert float((wanted - without).abs().max()) > 1e-4
    assert 0 <= done.largest_error < 1e-5


def test_the_onnx_file_is_plain_and_names_its_sizes(windows: tuple[Espcn, Exported, Path]) -> None:
    _, done, _ = windows
    model = onnx.load_from_string(done.content)
    onnx.checker.check_model(model, full_check=True)
    kinds = {node.op_type for node in model.graph.node}
    assert {"Conv", "DepthToSpace", "Pad", "PRelu"} <= kinds
    assert kinds.isdisjoint({"If", "Loop", "Shape", "Reshape", "Transpose"})  # nothing that phones' runtimes refuse
    assert {node.domain for node in model.graph.node} == {""}
    assert [entry.version for entry in model.opset_import if entry.domain == ""] == [done.opset]
    sizes = [
        [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim]
        for value in (*model.graph.input, *model.graph.output)
    ]
    assert sizes == [
        ["batch", 3, 1, "height", "width"],
        ["batch", 2, 1, "3*height", "3*width"],
        ["batch", 1, "3*height", "3*width"],
    ]


def test_the_onnx_file_opens_as_a_model_with_the_card_it_was_given(windows: tuple[Espcn, Exported, Path]) -> None:
    net, done, path = windows
    card = registry.choose(str(path)).card
    assert card == replace(
        done.card,
        id="mine3",
        family="mine3",
        arch="onnx_file",
        dtypes=("fp32",),
        digest=weights.digest_of(done.content),
    )
    assert (card.frames, card.alignment, card.halo) == (3, "grid", Layout(scale=3, middle=(8, 6), frames=3).halo)
    given, aligned = frames(2, 3, 1, 13, 17), frames(2, 2, 1, 39, 51) - 0.5
    with torch.inference_mode():
        wanted = net(given, aligned)
    torch.testing.assert_close(restored(opened(path), given, aligned), wanted, rtol=0, atol=1e-5)


def test_a_card_in_the_file_that_does_not_fit_it_is_not_believed(
    windows: tuple[Espcn, Exported, Path], tmp_path: Path
) -> None:
    model = network(layers(2), 2)
    said = model.metadata_props.add(key="vsr_card", value=cards.to_json(windows[1].card))
    (tmp_path / "net.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(IncompatibleModel, match="does not do what the card in it says"):
        registry.choose(str(tmp_path / "net.onnx"))
    said.value = cards.to_json(replace(windows[1].card, scale=2, frames=1, domain="rgb", description="a\x1b[2Jb"))
    (tmp_path / "fits.onnx").write_bytes(model.SerializeToString())
    card = registry.choose(str(tmp_path / "fits.onnx")).card
    assert card.description == "a [2Jb"  # a terminal would have obeyed it


def test_torchscript_runs_alone_at_any_size_and_carries_the_card(tmp_path: Path) -> None:
    done = export("espcn", format="torchscript", scale=2)
    told = {"vsr_card.json": ""}
    again = torch.jit.load(io.BytesIO(done.content), _extra_files=told)
    assert json.loads(told["vsr_card.json"])["id"] == "espcn-x2"
    engine = registry.open_engine("espcn", scale=2)
    for size in ((1, 1, 1, 1, 1), (3, 1, 1, 9, 40)):
        given = frames(*size)
        torch.testing.assert_close(again(given[:, 0]), restored(engine, given), rtol=0, atol=1e-5)
    (tmp_path / "net.pt").write_bytes(done.content)
    with pytest.raises(UnsafeWeights, match="TorchScript"):
        registry.choose(str(tmp_path / "net.pt"))


def test_safetensors_hold_the_same_tensors_and_what_the_card_says_of_their_making(tmp_path: Path) -> None:
    done = export("espcn-x4", format="safetensors")
    shipped = parse((weights.shipped_folder() / "espcn-x4.safetensors").read_bytes())
    written = parse(done.content)
    assert all(torch.equal(written[key], value) for key, value in shipped.items()) and set(written) == set(shipped)
    (tmp_path / "copy.safetensors").write_bytes(done.content)
    card = adopt(tmp_path / "copy.safetensors", "copy").card
    assert (card.licence, card.training, card.scores) == (done.card.licence, done.card.training, done.card.scores)
    assert (card.id, card.arch) == ("copy", "espcn")


def test_what_has_no_weights_is_not_written_as_weights() -> None:
    with pytest.raises(IncompatibleModel, match="no weights"):
        export("lanczos", format="safetensors", scale=2)


@pytest.mark.parametrize("package", ["onnx", "onnxscript", "onnxruntime"])
def test_an_export_without_the_extra_says_which_package_is_missing(
    monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(IncompatibleModel, match=f"{package} is missing") as caught:
        export("espcn-x2")
    assert "vsr[onnx]" in (caught.value.hint or "")


class _Frozen(nn.Module):
    """A network whose recording is right only at the size it was recorded at."""

    def forward(self, pictures: Tensor) -> Tensor:
        return pictures[:, 0] + 0.001 * int(pictures.shape[-1])


def test_a_file_that_disagrees_with_the_network_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    card = ModelCard(id="frozen", family="frozen", arch="frozen", scale=1, domain="rgb", parameters=1)
    monkeypatch.setattr(exchange, "open_network", lambda model, scale: (card, _Frozen()))
    with pytest.raises(IncompatibleModel, match=r"differs from the network itself by 0\.01"):
        export("frozen", format="torchscript")


def test_a_whole_graph_is_not_exported_again(tmp_path: Path) -> None:
    (tmp_path / "net.onnx").write_bytes(network(layers(2), 2).SerializeToString())
    with pytest.raises(IncompatibleModel, match="whole graph"):
        export(str(tmp_path / "net.onnx"))


def a_compact(folder: Path) -> Path:
    torch.manual_seed(2)
    net = Compact(CompactLayout(channels=3, features=8, depth=2, scale=2))
    torch.save({"params_ema": {key: value.half() for key, value in net.state_dict().items()}}, folder / "net.pth")
    return folder / "net.pth"


def an_esrgan(folder: Path) -> Path:
    ensure_torchvision()
    from spandrel.architectures.ESRGAN import ESRGAN

    torch.manual_seed(3)
    net = ESRGAN(num_filters=8, num_blocks=1, scale=4)
    torch.save(net.state_dict(), folder / "net.pth")
    return folder / "net.pth"


def an_onnx(folder: Path) -> Path:
    model = network(layers(3), 3)
    onnx.save(model, folder / "net.onnx", save_as_external_data=True, location="net.data", size_threshold=0)
    return folder / "net.onnx"


def a_pb(folder: Path) -> Path:
    path = folder / "ESPCN_x2.pb"
    path.write_bytes(graphdef([(w, b) for w, b in layers(2, 1)], 2))
    return path


@pytest.mark.parametrize("make", [a_compact, an_esrgan, an_onnx, a_pb])
def test_an_imported_model_gives_what_its_file_gives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[[Path], Path]
) -> None:
    path = make(tmp_path)
    user = tmp_path / "user"
    user.mkdir()
    monkeypatch.setattr(weights, "folders", lambda: (weights.shipped_folder(), user))
    done = adopt(path, "renamed")
    (user / f"renamed{done.suffix}").write_bytes(done.content)
    (user / "renamed.toml").write_text(cards.dump(done.card))
    choice = registry.choose("renamed")
    assert (choice.reference, choice.card, choice.card.licence) == ("renamed", done.card, "unknown")
    given = frames(2, 1, 1 if choice.card.domain == "y" else 3, 11, 14)
    found = restored(registry.open_engine("renamed", scale=choice.scale), given)
    assert torch.equal(found, restored(opened(path), given))


def test_weights_of_another_network_under_an_imported_card_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weights, "folders", lambda: (weights.shipped_folder(), tmp_path))
    done = adopt(an_esrgan(tmp_path), "mine")
    (tmp_path / "mine.safetensors").write_bytes(done.content)
    (tmp_path / "mine.toml").write_text(cards.dump(replace(done.card, scale=2)))
    with pytest.raises(IncompatibleModel, match="the card says foreign/ESRGAN x2"):
        registry.open_engine("mine", scale=2)


@pytest.mark.parametrize(("format", "scale"), [("onnx", 4), ("torchscript", 2), ("safetensors", 3)])
def test_sr3_goes_out_as_its_first_step(tmp_path: Path, format: exchange.Format, scale: int) -> None:
    torch.manual_seed(0)
    net = sr3.Sr3(sr3.Layout(width=8, blocks=1, middle=1, frames=3, scales=(4, 2, 3)))
    nn.init.normal_(net.head.weight, std=0.02)
    save_file(dict(net.state_dict()), tmp_path / "trained.safetensors")
    done = export(str(tmp_path / "trained.safetensors"), format=format, scale=scale)
    assert done.card.scale == scale
    assert done.largest_error < 1e-5
