from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

import ddcore as dd
from ddcore.errors import BudgetError, SettingsError, SummaryFormatError, UnknownNameError
from ddcore.images import MultiFormation
from tests.factorization.contract import FactorizationContract, run_on
from tests.running import started


class TestTwoByTwo(FactorizationContract):
    factorization = MultiFormation(ipc=2)


class TestThreeByThreeOfEightPixels(FactorizationContract):
    factorization = MultiFormation(ipc=2, factor=3, init="noise")


class TestBytes(FactorizationContract):
    factorization = MultiFormation(ipc=2, storage="uint8")


class TestUndivided(FactorizationContract):
    factorization = MultiFormation(ipc={0: 1, 7: 3}, factor=1, storage="fp16")


def test_an_example_is_an_upsampled_tile(few_digits: dd.TargetData) -> None:
    examples = MultiFormation(ipc=2, init="noise").start(run_on(few_digits))
    (images,) = examples.groups()["images"]
    decoded = examples.decode().inputs
    assert len(decoded) == 3 * 2 * 4
    for index in (0, 3, 13, 22):
        image, tile = divmod(index, 4)
        row, column = divmod(tile, 2)
        crop = images[image : image + 1, :, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4]
        full = F.interpolate(crop, size=(8, 8), mode="bilinear", align_corners=False)
        assert torch.allclose(decoded[index], few_digits.spec.normalisation.apply(full)[0], atol=1e-6)


def test_mixed_tiles_are_shrunk_real_images_of_their_class(few_digits: dd.TargetData) -> None:
    examples = MultiFormation(ipc=3).start(run_on(few_digits))
    (images,) = examples.groups()["images"]
    for image, class_id in zip(images.detach(), [0] * 3 + [1] * 3 + [7] * 3, strict=True):
        real = few_digits.of_classes([class_id]).train.inputs.float() / 255
        shrunk = F.interpolate(real, size=(4, 4), mode="bilinear", antialias=True).flatten(1)
        for tile in image.unfold(1, 4, 4).unfold(2, 4, 4).reshape(4, 16):
            assert float((shrunk - tile).abs().amax(dim=1).min()) < 1e-5


def test_a_side_that_does_not_divide_is_padded_with_grey(few_digits: dd.TargetData) -> None:
    examples = MultiFormation(ipc=1, factor=3, init="noise").start(run_on(few_digits))
    (images,) = examples.groups()["images"]
    last = examples.decode(torch.tensor([8])).inputs
    corner = F.pad(images[:1, :, 6:, 6:], (0, 1, 0, 1), value=0.5)
    full = F.interpolate(corner, size=(8, 8), mode="bilinear", align_corners=False)
    assert torch.allclose(last, few_digits.spec.normalisation.apply(full), atol=1e-6)


def test_pixels_stay_in_the_unit_interval_and_bytes_are_those_of_the_images(few_digits: dd.TargetData) -> None:
    examples = MultiFormation(ipc=2, storage="uint8").start(run_on(few_digits))
    with torch.no_grad():
        (images,) = examples.groups()["images"]
        images.add_(0.7)
    examples.after_step(0)
    assert float(images.detach().min()) >= 0 and float(images.detach().max()) == 1
    stored = examples.stored()
    assert stored["images"].numel() == 3 * 2 * 64 and stored["images"].dtype == torch.uint8


def test_a_class_with_few_examples_repeats_tiles_and_a_budget_beyond_it_is_refused(few_digits: dd.TargetData) -> None:
    examples = MultiFormation(ipc=20).start(run_on(few_digits))
    assert examples.counts == {0: 80, 1: 80, 7: 80}
    with pytest.raises(BudgetError, match="clip:41"):
        MultiFormation(ipc=41).counts_for(few_digits.counts())
    assert MultiFormation(ipc="clip:41").counts_for(few_digits.counts()) == {0: 160, 1: 160, 7: 160}


@pytest.mark.parametrize(("side", "factor"), [(9, 4), (28, 8), (28, 9)])
def test_a_factor_that_leaves_tiles_empty_is_refused(side: int, factor: int) -> None:
    images = torch.randint(0, 256, (4, side, side), dtype=torch.uint8)
    target = dd.load_data({"x_train": images, "y_train": torch.arange(4) % 2}, name="odd")
    with pytest.raises(SettingsError, match="empty"):
        dd.distill(target, dd.Method(factorization=MultiFormation(ipc=1, factor=factor)))


def test_bad_settings_and_pixels_out_of_range_are_refused(few_digits: dd.TargetData) -> None:
    with pytest.raises(SettingsError, match="factor"):
        MultiFormation(factor=0)
    with pytest.raises(UnknownNameError):
        MultiFormation(storage="int4")
    for factor in (5, 2.0, "2"):
        with pytest.raises(SettingsError):
            MultiFormation(ipc=1, factor=factor).start(run_on(few_digits))  # type: ignore[arg-type]
    stored = MultiFormation(ipc=1).start(run_on(few_digits)).stored()
    with pytest.raises(SummaryFormatError, match=r"\[0, 1\]"):
        MultiFormation().restore({**stored, "images": stored["images"] + 1}, few_digits.spec)
    with pytest.raises(SummaryFormatError):
        MultiFormation.from_decoder({"factor": "2", "storage": "uint8"})


def test_pixels_are_clamped_when_it_is_their_turn_and_when_they_are_stored(few_digits: dd.TargetData) -> None:
    run = started(few_digits, factorization=MultiFormation(ipc=1, clamp_every=3))
    images = run.examples.groups()["images"][0]
    with torch.no_grad():
        images.fill_(1.5)
    for step, largest in enumerate((1.5, 1.5, 1.0)):
        run.examples.after_step(step)
        assert float(images.detach().max()) == largest
    with torch.no_grad():
        images.fill_(1.5)
    assert float(run.examples.stored()["images"].max()) == 1.0
