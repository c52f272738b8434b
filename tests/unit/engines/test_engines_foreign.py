"""Checkpoints of spandrel's architectures, random weights, against the architecture's own forward pass."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from vsr.core.errors import IncompatibleModel
from vsr.engines import registry
from vsr.engines.base import Batch, Key
from vsr.engines.tiling import Tiled
from vsr.engines.torchvision_stub import ensure_torchvision

ensure_torchvision()
from spandrel.architectures.Compact import Compact  # noqa: E402
from spandrel.architectures.ESRGAN import ESRGAN  # noqa: E402


def compact(scale: int, channels: int = 3) -> Compact:
    torch.manual_seed(scale)
    return Compact(num_in_ch=channels, num_out_ch=channels, num_feat=16, num_conv=3, upscale=scale).eval()


def esrgan(blocks: int = 1) -> ESRGAN:
    torch.manual_seed(0)
    net = ESRGAN(num_filters=8, num_blocks=blocks, scale=4).eval()
    last = [module for module in net.modules() if isinstance(module, torch.nn.Conv2d)][-1]
    assert last.bias is not None
    torch.nn.init.constant_(last.bias, 0.5)  # mid grey: spandrel clips to [0, 1], which would hide differences
    return net


def batch(height: int = 21, width: int = 34, channels: int = 3) -> Batch:
    frames = 0.4 + 0.2 * torch.rand(1, 1, channels, height, width, generator=torch.Generator().manual_seed(5))
    return Batch(frames=frames, keys=(Key(frame=0, seed=0),))


@pytest.mark.parametrize("scale", [2, 4])
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_compact_checkpoint_runs_as_its_own_code_does(tmp_path: Path, scale: int, suffix: str) -> None:
    net = compact(scale)
    path = tmp_path / f"my model{suffix}"
    if suffix == ".pth":
        torch.save({"params_ema": net.state_dict()}, path)
    else:
        save_file(net.state_dict(), path)
    choice = registry.choose(str(path))
    assert (choice.scale, choice.card.domain, choice.card.id) == (scale, "rgb", "my model")
    # 5 convolutions of 3x3
    assert (choice.card.halo, choice.card.tiling) == (5, "exact")
    engine = registry.open_engine(choice.reference, scale=choice.scale)
    given = batch()
    with torch.inference_mode():
        expected = net(given.frames[:, 0])
    torch.testing.assert_close(engine.restore(given), expected, rtol=0, atol=1e-6)


def test_an_esrgan_checkpoint_runs_as_its_own_code_does_and_tiles_exactly(tmp_path: Path) -> None:
    net = esrgan()
    torch.save(net.state_dict(), tmp_path / "rrdb.pth")
    choice = registry.choose(str(tmp_path / "rrdb.pth"))
    # 15 in the block, and 6 more, of which some run on the output grid: a bound
    assert (choice.scale, choice.card.tiling, choice.card.halo) == (4, "exact", 21)
    engine = registry.open_engine(choice.reference, scale=4)
    given = batch(66, 50)
    with torch.inference_mode():
        expected = net(given.frames[:, 0])
    torch.testing.assert_close(engine.restore(given), expected, rtol=0, atol=1e-6)
    torch.testing.assert_close(Tiled(engine, 16).restore(given), expected, rtol=0, atol=1e-5)


def test_a_halo_too_long_to_tile_exactly_is_said_to_blend(tmp_path: Path) -> None:
    torch.save(esrgan(blocks=8).state_dict(), tmp_path / "deep.pth")
    card = registry.choose(str(tmp_path / "deep.pth")).card
    assert (card.tiling, card.halo) == ("blend", 32)


def test_a_grey_model_takes_luma(tmp_path: Path) -> None:
    torch.save(compact(2, channels=1).state_dict(), tmp_path / "grey.pth")
    assert registry.choose(str(tmp_path / "grey.pth")).card.domain == "y"


def test_the_scale_of_the_file_is_the_only_one(tmp_path: Path) -> None:
    torch.save(compact(4).state_dict(), tmp_path / "a.pth")
    with pytest.raises(IncompatibleModel, match="a has no scale x3") as caught:
        registry.choose(str(tmp_path / "a.pth"), 3)
    assert "x4" in (caught.value.hint or "")


def test_a_model_between_channels_is_refused(tmp_path: Path) -> None:
    net = Compact(num_in_ch=3, num_out_ch=1, num_feat=16, num_conv=2, upscale=2)
    torch.save(net.state_dict(), tmp_path / "odd.pth")
    with pytest.raises(IncompatibleModel):
        registry.choose(str(tmp_path / "odd.pth"))


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ({"fc.weight": torch.zeros(3, 4)}, "of no architecture that vsr knows: 1 tensors, first fc.weight 3x4"),
        ({"epoch": 3}, "no tensors, keys epoch"),
    ],
)
def test_an_unknown_checkpoint_is_described(tmp_path: Path, state: dict[str, object], said: str) -> None:
    torch.save(state, tmp_path / "w.pth")
    with pytest.raises(IncompatibleModel, match=said):
        registry.choose(str(tmp_path / "w.pth"))


def test_a_known_architecture_with_a_missing_tensor_is_refused(tmp_path: Path) -> None:
    state = compact(2).state_dict()
    del state["body.2.bias"]
    torch.save(state, tmp_path / "w.pth")
    with pytest.raises(IncompatibleModel, match="does not fit it"):
        registry.choose(str(tmp_path / "w.pth"))


@pytest.mark.parametrize("error", ["RuntimeError('operator torchvision::nms does not exist')", "ImportError('absent')"])
def test_spandrel_imports_where_torchvision_does_not(tmp_path: Path, error: str) -> None:
    broken = tmp_path / "torchvision"
    broken.mkdir()
    (broken / "__init__.py").write_text(f"from torchvision import extension\nraise {error}\n")
    (broken / "extension.py").write_text("")
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
        "from vsr.engines.torchvision_stub import ensure_torchvision\n"
        "assert not ensure_torchvision() and not ensure_torchvision()\n"
        "import spandrel; assert len(spandrel.MAIN_REGISTRY) >= 42"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
