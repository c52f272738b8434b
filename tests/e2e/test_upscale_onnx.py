"""Someone's ONNX file through the whole program."""

from __future__ import annotations

import numpy as np

from tests.media import make_clip, planes_of, times_of
from tests.onnxgraph import network


def test_an_onnx_file_upscales_a_clip_as_the_same_network_of_ours_does(tmp_path, vsr, monkeypatch):
    """Ones all the way repeat each pixel: the weightless `nearest`, on luma."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home"))
    ones = [(np.ones((n, 1, 1, 1), np.float32), np.zeros(n, np.float32)) for n in (1, 4)]
    (tmp_path / "repeat.onnx").write_bytes(network(ones, 2).SerializeToString())
    clip = make_clip(tmp_path / "in.mkv", frames=5)
    assert vsr("models", "import", tmp_path / "repeat.onnx", "--name", "again").code == 0
    made = []
    for model in ("nearest", tmp_path / "repeat.onnx", "again"):
        out = tmp_path / f"{len(made)}.mkv"
        ended = vsr("upscale", clip, "-o", out, "-m", model, "--codec", "ffv1", "-q")
        assert ended.code == 0, ended.err
        assert times_of(out) == times_of(clip)
        made.append(planes_of(out))
    for other in made[1:]:
        for (_, wanted), (_, found) in zip(made[0], other, strict=True):
            assert all(np.array_equal(a, b) for a, b in zip(wanted, found, strict=True))


def test_a_broken_onnx_file_ends_with_the_models_code_and_no_output(tmp_path, vsr, leftovers):
    (tmp_path / "broken.onnx").write_bytes(b"not a model at all")
    clip = make_clip(tmp_path / "in.mkv", frames=2)
    ended = vsr("upscale", clip, "-o", tmp_path / "out.mkv", "-m", tmp_path / "broken.onnx")
    assert ended.code == 4 and "broken.onnx" in ended.err
    assert leftovers("in.mkv", "broken.onnx") == []
