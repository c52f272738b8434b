"""Trials of a diffusion model: its memory counts, its sampling is what is tried."""

from __future__ import annotations

import pytest

from tests.sr3_weights import write_sr3
from vsr.core.sampling import Sampling
from vsr.engines import trial
from vsr.engines.archs.sr3 import Layout
from vsr.engines.diffusion_engine import DiffusionEngine
from vsr.engines.registry import choose


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    layout = Layout(width=16, blocks=1, middle=1, frames=3, scales=(4, 3, 2))
    return str(write_sr3(tmp_path_factory.mktemp("weights") / "own.safetensors", layout))


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_the_tile_follows_the_memory_that_is_free(scale, model, monkeypatch):
    choice = choose(model, scale)

    def tile(planes: float) -> int | None:
        """Half of what is free is so many planes of the result, in float32."""
        monkeypatch.setattr(trial, "free_bytes", lambda device: 2 * 4.0 * planes * scale**2 * 1080 * 1920)
        return trial.choose_tile(choice.card, model, scale, "cpu", "fp32", (1080, 1920), 1)

    assert tile(1000) is None
    small, large = tile(19), tile(22)
    assert small is not None and large is not None and 64 < small < large
    assert tile(10) == 64  # the smallest there is: whole pictures alone are too much


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_precision_is_tried_with_the_steps_that_will_run(scale, model, monkeypatch):
    tried: list[Sampling] = []
    real = DiffusionEngine.restore

    def restore(self, batch):
        tried.append(self.sampling)
        return real(self, batch)

    monkeypatch.setattr(trial, "quick_precisions", lambda device: ("bf16",))
    monkeypatch.setattr(DiffusionEngine, "restore", restore)
    sampling = Sampling(steps=2)
    found = trial.choose_precision(choose(model, scale).card, model, scale, "cpu", sampling=sampling)
    assert found in ("bf16", "fp32") and tried == [sampling, sampling]
