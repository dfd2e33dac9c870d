from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

import ddcore as dd
from ddcore.errors import SettingsError, SummaryFormatError
from ddcore.images import LowResolution
from tests.factorization.contract import FactorizationContract, run_on


class TestHalf(FactorizationContract):
    any_shape = True
    factorization = LowResolution(ipc=2, size=4)


class TestBytesOfNoise(FactorizationContract):
    any_shape = True
    factorization = LowResolution(ipc=2, size=5, init="noise", storage="uint8")


class TestFullSizeWithSoftLabels(FactorizationContract):
    any_shape = True
    factorization = LowResolution(ipc={0: 1, 7: 3}, size=8, labels="soft", storage="fp16")


def test_examples_are_real_images_made_smaller_and_enlarged(few_digits: dd.TargetData) -> None:
    examples = LowResolution(ipc=3, size=4).start(run_on(few_digits))
    decoded = few_digits.spec.normalisation.invert(examples.decode().inputs.detach())
    for image, class_id in zip(decoded, [0] * 3 + [1] * 3 + [7] * 3, strict=True):
        real = few_digits.of_classes([class_id]).train.inputs.float() / 255
        small = F.interpolate(real, size=(4, 4), mode="bilinear", antialias=True)
        shown = F.interpolate(small, size=(8, 8), mode="bilinear").flatten(1)
        assert float((shown - image.flatten()).abs().amax(dim=1).min()) < 1e-5


def test_bytes_are_those_of_the_small_images(few_digits: dd.TargetData) -> None:
    full, half = (
        LowResolution(ipc=1, size=size, storage="uint8").max_bytes(few_digits.spec, few_digits.counts())
        for size in (8, 4)
    )
    assert (full, half) == (3 * 64 + 3, 3 * 16 + 3)


def test_pixels_stay_within_their_range(few_digits: dd.TargetData) -> None:
    examples = LowResolution(ipc=1, size=4).start(run_on(few_digits))
    (images,) = examples.groups()["images"]
    with torch.no_grad():
        images.add_(2.0)
    examples.after_step(0)
    assert float(images.detach().max()) == 1.0


@pytest.mark.parametrize("size", [1, 0, 5000])
def test_sizes_that_are_none_are_refused(size: int) -> None:
    with pytest.raises(SettingsError, match="size"):
        LowResolution(size=size)


def test_a_size_above_the_data_is_refused(few_digits: dd.TargetData) -> None:
    with pytest.raises(SettingsError, match="at most the 8 rows"):
        LowResolution(ipc=1, size=9).start(run_on(few_digits))


def test_stored_pixels_outside_of_their_range_are_refused(few_digits: dd.TargetData) -> None:
    settings = LowResolution(ipc=1, size=4)
    stored = settings.start(run_on(few_digits)).stored()
    with pytest.raises(SummaryFormatError, match="0, 1"):
        settings.restore({**stored, "images": stored["images"] + 2}, few_digits.spec)
