from __future__ import annotations

import pytest
import torch

from ddcore.errors import SettingsError, UnsupportedError
from ddcore.images import Chain, CutMix, ImageSpec, SiameseAugmentation
from ddcore.parts import Batch, NoAugmentation

SPEC = ImageSpec(shape=(1, 9, 7), num_classes=4, classes=(0, 1, 2, 3), mirror=False)


def batch() -> Batch:
    """Every image is filled with its label."""
    targets = torch.arange(20) % 4
    return Batch(targets.double().view(-1, 1, 1, 1).expand(-1, 1, 9, 7).clone(), targets)


def test_labels_are_mixed_by_area() -> None:
    settings = CutMix(1.0).suited_to(SPEC)
    areas = []
    for seed in range(50):
        mixed = settings.draw(torch.Generator().manual_seed(seed), 20)(batch())
        assert torch.allclose(mixed.targets.sum(dim=1), torch.ones(20, dtype=torch.float64))
        expected = mixed.targets @ torch.arange(4, dtype=torch.float64)
        assert torch.allclose(mixed.inputs.mean(dim=(1, 2, 3)), expected, atol=1e-12)
        areas.append(float(1 - mixed.targets.max(dim=1).values.min()))
    assert 0.1 < sum(areas) / len(areas) < 0.5 and max(areas) > 0.3


def test_probability_zero_changes_nothing_and_half_mixes_about_half_of_the_batches() -> None:
    assert torch.equal(CutMix(0.0).draw(torch.Generator().manual_seed(0), 20)(batch()).inputs, batch().inputs)
    settings = CutMix(0.5).suited_to(SPEC)
    mixed = [settings.draw(torch.Generator().manual_seed(s), 20)(batch()).targets.ndim == 2 for s in range(200)]
    assert 70 < sum(mixed) < 130


def test_a_chain_applies_all_in_order_and_says_whether_it_mixes() -> None:
    chain = Chain((SiameseAugmentation(("color",)), SiameseAugmentation(("flip",)), CutMix(1.0))).suited_to(SPEC)
    assert chain.mixes_examples and not Chain((SiameseAugmentation(),)).mixes_examples
    assert isinstance(chain, Chain) and isinstance(chain.augmentations[1], NoAugmentation), "digits are not mirrored"
    seeds = [torch.Generator().manual_seed(3) for _ in range(2)]
    together = chain.draw(seeds[0], 20)(batch())
    one_by_one = batch()
    for part in chain.augmentations:
        one_by_one = part.draw(seeds[1], 20)(one_by_one)
    assert torch.equal(together.inputs, one_by_one.inputs)


def test_it_has_no_shared_draw_and_refuses_bad_settings() -> None:
    with pytest.raises(UnsupportedError, match="share"):
        CutMix().draw(torch.Generator())
    with pytest.raises(SettingsError):
        CutMix(1.5)
