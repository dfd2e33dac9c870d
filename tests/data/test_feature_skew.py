"""Clients that see their images each in a way of their own."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

import ddcore as dd
from ddcore.data import partitions
from ddcore.errors import InputDataError, SettingsError
from ddcore.images import FeatureSkew


def grey(parts: int = 4, size: int = 16) -> list[dd.TargetData]:
    """Parts of equal images, half grey: what differs afterwards is the transformation alone."""
    pixels = torch.full((40 * parts, 1, size, size), 0.5)
    target = dd.load_data({"x_train": pixels, "y_train": torch.arange(40 * parts) % 2}, normalisation="none")
    return partitions.iid(target, parts, seed=0)


def test_noise_grows_with_the_place_of_a_client_and_is_fixed() -> None:
    parts = grey()
    first, again, other = (FeatureSkew(noise=0.1).of(parts, seed=seed) for seed in (3, 3, 4))
    for place, part in enumerate(first):
        deviation = float((part.train.inputs - 0.5).std())
        assert deviation == pytest.approx(0.1 * (place + 1) / 4, rel=0.03)
        assert torch.equal(part.train.inputs, again[place].train.inputs)
        assert not torch.equal(part.train.inputs, other[place].train.inputs)
        assert torch.equal(part.train.targets, parts[place].train.targets)
    drawn = [part.train.inputs - 0.5 for part in first]
    assert abs(float((drawn[0] * drawn[1]).mean())) < 0.05 * float(drawn[0].std() * drawn[1].std())


def test_one_offset_serves_all_images_of_a_client_and_each_client_has_its_own() -> None:
    shifts = []
    for seed in range(8):
        for part in FeatureSkew(brightness=0.3).of(grey(2), seed=seed):
            moved = (part.train.inputs - 0.5).flatten()
            assert float(moved.max() - moved.min()) < 1e-6
            shifts.append(float(moved[0]))
    assert len({round(shift, 6) for shift in shifts}) == 16
    assert min(shifts) < -0.1 and max(shifts) > 0.1 and max(map(abs, shifts)) <= 0.3


def turned_by(images: np.ndarray, degrees: int) -> np.ndarray:
    turned: np.ndarray = ndimage.rotate(images, degrees, axes=(2, 1), order=1, reshape=False, mode="grid-constant")
    return turned


def test_rotation_turns_every_image_of_a_client_by_one_angle(digits: dd.TargetData) -> None:
    """The angle is found again by turning the originals with another library."""
    parts = partitions.iid(digits.with_train(torch.arange(60), "digits"), 3, seed=0)
    angles = []
    for before, after in zip(parts, FeatureSkew(rotation=40).of(parts, seed=2), strict=True):
        turned = after.train.inputs[:, 0].numpy().astype(float)
        original = before.train.inputs[:, 0].numpy().astype(float)
        scale = max(1.0, original.max())
        errors = {angle: np.abs(turned_by(original, angle) - turned).mean() / scale for angle in range(-40, 41)}
        best = min(errors, key=lambda angle: errors[angle])
        assert errors[best] < 0.02 < np.abs(turned - original).mean() / scale
        angles.append(best)
    assert len(set(angles)) == 3


def test_bytes_stay_bytes_in_range_and_what_is_held_out_stays_as_it_is() -> None:
    pixels = torch.randint(0, 256, (30, 3, 6, 6), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    data = {
        "x_train": pixels[:20],
        "y_train": torch.arange(20) % 2,
        "x_test": pixels[20:],
        "y_test": torch.arange(10) % 2,
    }
    target = dd.load_data(data)
    parts = partitions.iid(target, 2, seed=0)
    for before, after in zip(parts, FeatureSkew(noise=1, rotation=30, brightness=0.5).of(parts, seed=0), strict=True):
        assert after.train.inputs.dtype == torch.uint8
        assert not torch.equal(before.train.inputs, after.train.inputs)
        assert after.test is before.test and after.spec == before.spec and after.name == before.name
    same = FeatureSkew().of(parts)
    assert all(torch.equal(a.train.inputs, b.train.inputs) for a, b in zip(parts, same, strict=True))


def test_what_cannot_be_skewed_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"rotation must lie in \[0, 180\], not 200"):
        FeatureSkew(rotation=200)
    with pytest.raises(SettingsError, match="brightness"):
        FeatureSkew(brightness=1)
    with pytest.raises(InputDataError, match="holds tables: features are skewed of images"):
        FeatureSkew(noise=0.1).of([dd.load_data("wine")])
