"""Losses: each term is its formula, compositions are weighted sums, recipes are checked."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from skimage.metrics import mean_squared_error
from torch import Tensor

from tests.textures import textured
from vsr.core.errors import SettingsError
from vsr.evaluation.features import SelfFeat, distance
from vsr.training.losses import COMPOSITIONS, TERMS, Loss, charbonnier, compose, fooling, l1, mse


def _none() -> SelfFeat:
    raise AssertionError("no features are needed")


def _pair(channels: int = 3) -> tuple[Tensor, Tensor]:
    a = torch.stack([textured(1, 32, 40), textured(2, 32, 40)])[:, :channels]
    b = torch.stack([textured(3, 32, 40), textured(4, 32, 40)])[:, :channels]
    return a, b


def test_pixel_terms_are_their_formulas_for_each_picture() -> None:
    a, b = _pair()
    x, y = a.double().numpy(), b.double().numpy()
    assert mse(a, b).tolist() == pytest.approx([mean_squared_error(p, q) for p, q in zip(x, y, strict=True)], rel=1e-5)
    assert l1(a, b).tolist() == pytest.approx(np.abs(x - y).mean((1, 2, 3)), rel=1e-5)
    assert charbonnier(a, b).tolist() == pytest.approx(np.sqrt((x - y) ** 2 + 1e-6).mean((1, 2, 3)), rel=1e-5)


def test_the_generators_term_is_minus_log_d_and_does_not_saturate() -> None:
    logits = torch.tensor([-2.0, 0.5]).view(2, 1, 1, 1).requires_grad_()
    expected = [-math.log(1 / (1 + math.exp(-v))) for v in (-2.0, 0.5)]
    assert fooling(logits).tolist() == pytest.approx(expected, rel=1e-6)
    sure = torch.full((1, 1, 1, 1), -30.0, requires_grad=True)
    fooling(sure).sum().backward()
    assert sure.grad is not None
    assert float(sure.grad) == pytest.approx(-1)  # log(1 - D) would give about 1e-13


@pytest.mark.parametrize("name", ["mse", "l1", "charbonnier"])
def test_a_pixel_loss_is_its_term_and_opens_no_features(name: str) -> None:
    a, b = _pair()
    loss = compose(name, {}, _none)
    assert not loss.is_adversarial
    assert float(loss(a, b)) == pytest.approx(float(TERMS[name](a, b).mean()))


@pytest.mark.parametrize("channels", [1, 3])
def test_perceptual_is_features_plus_a_thousandth_of_the_adversary(channels: int) -> None:
    torch.manual_seed(0)
    features = SelfFeat().requires_grad_(False)
    a, b = _pair(channels)
    logits = torch.randn(2, 1, 2, 3)
    loss = compose("perceptual", {}, lambda: features)
    expected = float(features.error(a, b).mean()) + 1e-3 * float(fooling(logits).mean())
    assert loss.is_adversarial
    assert float(loss(a, b, logits)) == pytest.approx(expected, rel=1e-5)
    assert float(distance(features, a, b).mean()) > 0


def test_per_pix_adds_the_pixels_on_the_papers_range() -> None:
    torch.manual_seed(0)
    features = SelfFeat().requires_grad_(False)
    a, b = _pair()
    logits = torch.randn(2, 1, 2, 3)
    perceptual, per_pix = (compose(name, {}, lambda: features) for name in ("perceptual", "per-pix"))
    on_paper = (2 * a - 2 * b).square().mean()  # [0, 1] -> [-1, 1]
    assert float(per_pix(a, b, logits) - perceptual(a, b, logits)) == pytest.approx(float(on_paper), rel=1e-4)


def test_a_recipe_changes_adds_and_removes_terms() -> None:
    loss = compose("per-pix", {"mse": 0, "l1": 0.01, "adversarial": 5e-3}, SelfFeat)
    assert loss.weights == {"features": 1.0, "adversarial": 5e-3, "l1": 0.01}
    assert compose("mse", {"mse": 2}, _none).weights == {"mse": 2.0}


def test_every_composition_can_be_composed() -> None:
    for name in COMPOSITIONS:
        assert isinstance(compose(name, {}, SelfFeat), Loss)


@pytest.mark.parametrize(
    ("name", "weights", "message", "hint"),
    [
        ("perpix", {}, "unknown loss 'perpix'", "per-pix"),
        ("mse", {"feature": 1.0}, "unknown term 'feature'", "features"),
        ("mse", {"l1": -1.0}, "loss.weights.l1", None),
        ("mse", {"l1": math.nan}, "loss.weights.l1", None),
        ("mse", {"l1": True}, "loss.weights.l1", None),
        ("mse", {"l1": "much"}, "loss.weights.l1", None),
        ("mse", {"mse": 0}, "no term left", "above 0"),
        ("perceptual", {"features": 0}, "no term left", "above 0"),
    ],
)
def test_what_cannot_be_is_refused(name: str, weights: dict[str, object], message: str, hint: str | None) -> None:
    with pytest.raises(SettingsError, match=message) as caught:
        compose(name, weights, _none)
    assert (hint is None and caught.value.hint is None) or (hint or "") in (caught.value.hint or "")


def test_the_gradient_of_a_loss_reaches_the_picture_but_not_the_features() -> None:
    features = SelfFeat().requires_grad_(False)
    a, b = _pair()
    a.requires_grad_()
    compose("per-pix", {"adversarial": 0}, lambda: features)(a, b).backward()
    assert a.grad is not None
    assert float(a.grad.abs().sum()) > 0
    assert all(parameter.grad is None for parameter in features.parameters())
