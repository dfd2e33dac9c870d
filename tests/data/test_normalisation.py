from __future__ import annotations

import numpy as np
import pytest
import torch

from ddcore.images import ZCA, Standardise, fit_normalisation
from ddcore.images.normalisation import restore_normalisation
from ddcore.parts import Identity


@pytest.fixture
def pixels() -> torch.Tensor:
    random = torch.Generator().manual_seed(0)
    smooth = torch.rand(200, 3, 1, 1, generator=random) * 0.4
    return (smooth + 0.5 * torch.rand(200, 3, 4, 5, generator=random)).clamp(0, 1)


def test_standardised_training_pixels_have_mean_0_and_deviation_1(pixels: torch.Tensor) -> None:
    out = Standardise.fit(pixels).apply(pixels)
    assert torch.allclose(out.mean(dim=(0, 2, 3)), torch.zeros(3), atol=1e-5)
    assert torch.allclose(out.std(dim=(0, 2, 3), correction=0), torch.ones(3), atol=1e-5)


def test_bytes_and_the_floats_that_they_stand_for_are_normalised_alike(pixels: torch.Tensor) -> None:
    as_bytes = (pixels * 255).round().to(torch.uint8)
    norm = Standardise.fit(as_bytes)
    assert torch.equal(norm.apply(as_bytes), norm.apply(as_bytes.float() / 255))


@pytest.mark.parametrize("name", ["none", "standard", "zca"])
def test_invert_undoes_apply(name: str, pixels: torch.Tensor) -> None:
    norm = fit_normalisation(name, pixels)
    assert torch.allclose(norm.invert(norm.apply(pixels)), pixels, atol=2e-5)


def test_zca_equals_a_direct_transcription_in_numpy(pixels: torch.Tensor) -> None:
    x = pixels.flatten(1).double().numpy()
    centred = x - x.mean(0)
    u, s, _ = np.linalg.svd(centred.T @ centred / (len(x) - 1))
    expected = centred @ (u @ np.diag(1 / np.sqrt(s + 0.1)) @ u.T)
    got = ZCA.fit(pixels).apply(pixels).flatten(1).double().numpy()
    assert np.abs(got - expected).max() < 1e-5


def test_unit_norm_zca_equals_a_direct_transcription_and_whitens_more_than_it_found(pixels: torch.Tensor) -> None:
    x = pixels.flatten(1).double().numpy()
    x = x - x.mean(1, keepdims=True)
    x = x / np.linalg.norm(x, axis=1, keepdims=True)
    covariance = x.T @ x / len(x)
    d = covariance.shape[0]
    u, s, _ = np.linalg.svd(covariance + 0.1 * np.trace(covariance) / d * np.eye(d))
    expected = x @ (u @ np.diag(s**-0.5) @ u.T)
    got = ZCA.fit(pixels, "zca-unit").apply(pixels).flatten(1).double().numpy()
    assert np.abs(got - expected).max() < 1e-5


def test_unit_norm_zca_inverts_up_to_brightness_and_contrast(pixels: torch.Tensor) -> None:
    norm = ZCA.fit(pixels, "zca-unit")
    back = norm.invert(norm.apply(pixels)).flatten(1)
    for got, wanted in zip(back, pixels.flatten(1), strict=True):
        assert float(torch.corrcoef(torch.stack([got, wanted]))[0, 1]) > 0.9999


@pytest.mark.parametrize("name", ["none", "standard", "zca", "zca-unit"])
def test_a_recorded_normalisation_comes_back_the_same(name: str, pixels: torch.Tensor) -> None:
    norm = fit_normalisation(name, pixels)
    back = restore_normalisation(norm.describe(), norm.tensors(), (3, 4, 5))
    assert torch.equal(back.apply(pixels), norm.apply(pixels))
    assert back.describe() == norm.describe()


def test_a_constant_channel_does_not_divide_by_zero() -> None:
    flat = torch.full((5, 1, 2, 2), 0.5)
    assert torch.isfinite(Standardise.fit(flat).apply(flat)).all()
    assert Identity().apply(torch.full((1, 1, 1, 1), 255, dtype=torch.uint8)).item() == 1.0


def test_the_fit_does_not_depend_on_the_number_of_threads() -> None:
    pixels = torch.randint(0, 256, (3000, 1, 8, 8), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    before, fits = torch.get_num_threads(), []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            fits.append(Standardise.fit(pixels))
    finally:
        torch.set_num_threads(before)
    assert fits[0] == fits[1]


def test_inference_first_leaves_a_gradient_possible_after() -> None:
    """Constants are kept: those of inference could not be saved for a backward pass."""
    standard = Standardise((0.31, 0.32, 0.33), (0.11, 0.12, 0.13))
    pixels = torch.rand(2, 3, 4, 4)
    with torch.inference_mode():
        seen = standard.apply(pixels)
    leaf = pixels.clone().requires_grad_()
    standard.apply(leaf).square().sum().backward()
    assert leaf.grad is not None
    torch.testing.assert_close(leaf.grad, 2 * seen / torch.tensor(standard.std).view(1, 3, 1, 1))
