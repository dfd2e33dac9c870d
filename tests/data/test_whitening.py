"""The kinds of ZCA, each against the operations of its source in their order, by numpy's SVD."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import ddcore as dd
from ddcore.errors import SettingsError, UnknownNameError
from ddcore.images import ZCA, fit_normalisation
from ddcore.images.normalisation import restore_normalisation


def photographs(n: int = 200) -> torch.Tensor:
    random = torch.Generator().manual_seed(0)
    grain = torch.rand(n, 3, 4, 4, generator=random)
    light = torch.rand(n, 1, 1, 1, generator=random)
    tint = torch.tensor([0.2, 0.5, 0.9]).view(1, 3, 1, 1)
    return ((0.4 * grain + 0.6 * light) * tint * 255).to(torch.uint8)


def as_published(kind: str, pixels: np.ndarray, regularisation: float) -> np.ndarray:
    """Return the whitened images, step by step as the code of the source has it."""
    n, d = len(pixels), pixels[0].size
    x = pixels.astype(np.float64) / 255
    if kind in ("zca-standard", "zca-uncentred"):
        x = (x - x.mean(axis=(0, 2, 3), keepdims=True)) / x.std(axis=(0, 2, 3), keepdims=True)
    x = x.reshape(n, d)
    if kind in ("zca", "zca-standard"):
        x = x - x.mean(axis=0)
    if kind == "zca-unit":
        x = x - x.mean(axis=1, keepdims=True)
        x = x / np.linalg.norm(x, axis=1, keepdims=True)
    covariance = x.T @ x / (n - 1 if kind == "zca" else n)
    epsilon = regularisation if kind == "zca" else regularisation * np.trace(covariance) / d
    u, s, _ = np.linalg.svd(covariance + epsilon * np.eye(d))
    return x @ (u @ np.diag(s**-0.5) @ u.T)


@pytest.mark.parametrize("kind", ["zca", "zca-unit", "zca-standard", "zca-uncentred"])
@pytest.mark.parametrize("regularisation", [0.1, 100.0])
def test_every_kind_does_what_its_source_does(kind: str, regularisation: float) -> None:
    pixels = photographs()
    fitted = fit_normalisation(f"{kind}(regularisation={regularisation:g})", pixels)
    wanted = as_published(kind, pixels.numpy(), regularisation)
    np.testing.assert_allclose(
        fitted.apply(pixels, torch.float64).flatten(1).numpy(), wanted, atol=2e-5 * abs(wanted).max()
    )


@pytest.mark.parametrize("kind", ["zca", "zca-standard", "zca-uncentred"])
def test_kinds_that_forget_nothing_can_be_undone_and_restored(kind: str) -> None:
    pixels = photographs()
    fitted = fit_normalisation(kind, pixels)
    assert fitted.exact
    back = fitted.invert(fitted.apply(pixels, torch.float64))
    assert torch.allclose(back, pixels.double() / 255, atol=1e-4)
    again = restore_normalisation(fitted.describe(), fitted.tensors(), (3, 4, 4))
    assert again.same_as(fitted)


def test_kinds_differ_and_unknown_ones_are_named() -> None:
    pixels = photographs()
    kinds = [ZCA.fit(pixels, kind) for kind in ("zca", "zca-standard", "zca-uncentred", "zca-unit")]
    for i, one in enumerate(kinds):
        assert all(not one.same_as(other) for other in kinds[i + 1 :])
    assert not fit_normalisation("zca-unit(regularisation=100)", pixels).same_as(kinds[3])
    with pytest.raises(UnknownNameError, match="zca-standard"):
        fit_normalisation("zca-other", pixels)
    with pytest.raises(SettingsError, match="above 0"):
        fit_normalisation("zca(regularisation=0)", pixels)
    assert dd.load_data((pixels, torch.arange(200) % 2), normalisation="zca-standard").spec.normalisation.same_as(
        kinds[1]
    )
