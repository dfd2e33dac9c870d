from __future__ import annotations

import pytest
import torch

import ddcore as dd
from ddcore.errors import BudgetError, SettingsError, SummaryFormatError, UnknownNameError
from ddcore.images import Pixels
from tests.factorization.contract import FactorizationContract, run_on
from tests.frequency import assert_equally_often
from tests.running import started


class TestFloatPixels(FactorizationContract):
    factorization = Pixels(ipc=4)


class TestBytePixels(FactorizationContract):
    factorization = Pixels(ipc=3, storage="uint8")


class TestHalfPixels(FactorizationContract):
    factorization = Pixels(ipc=3, storage="fp16", init="noise")


class TestSoftLabels(FactorizationContract):
    factorization = Pixels(ipc=2, labels="soft", init="noise")


class TestSoftmaxLabels(FactorizationContract):
    factorization = Pixels(ipc=2, labels="softmax", init="noise")


class TestTransformedPixels(FactorizationContract):
    factorization = Pixels(ipc=2, transform=True, init="noise")


class TestUnevenCounts(FactorizationContract):
    factorization = Pixels(ipc={0: 1, 7: 5})


def test_examples_start_as_real_ones_or_as_standard_noise(few_digits: dd.TargetData) -> None:
    real = few_digits.spec.normalisation.apply(few_digits.train.inputs).flatten(1)
    picked = Pixels(ipc=5).start(run_on(few_digits)).decode()
    for image, label in zip(picked.inputs.flatten(1), picked.targets, strict=True):
        matches = (real == image).all(dim=1).nonzero().flatten()
        assert len(matches) and int(few_digits.train.targets[matches[0]]) == int(label)
    noise = Pixels(ipc=40, init="noise").start(run_on(few_digits)).decode().inputs
    assert abs(float(noise.detach().mean())) < 0.05 and abs(float(noise.detach().std()) - 1) < 0.05


def test_draws_reach_every_synthetic_example_of_a_class_equally_often(few_digits: dd.TargetData) -> None:
    examples = Pixels(ipc={0: 12, 7: 3}).start(run_on(few_digits))
    random = torch.Generator().manual_seed(0)
    assert_equally_often([examples.draw([0], 5, random).tolist() for _ in range(300)], range(12))
    assert examples.draw([7, 0]).tolist() == [12, 13, 14, *range(12)]


def test_byte_storage_keeps_real_images_exactly(few_digits: dd.TargetData) -> None:
    stored = Pixels(ipc=40, storage="uint8").start(run_on(few_digits)).stored()["images"]
    assert sorted(map(tuple, stored.flatten(1).tolist())) == sorted(
        map(tuple, few_digits.train.inputs.flatten(1).tolist())
    )


def test_labels_that_are_logits_stay_distributions(few_digits: dd.TargetData) -> None:
    examples = Pixels(ipc=2, labels="softmax").start(run_on(few_digits))
    labels = examples.decode().targets
    assert torch.allclose(labels.sum(dim=1), torch.ones(6)) and labels.argmax(dim=1).tolist() == [0, 0, 1, 1, 7, 7]
    assigned = torch.full((6, 10), 0.1)
    examples.assign_labels(assigned)
    assert torch.allclose(examples.decode().targets, assigned)


@pytest.mark.parametrize(("init", "on", "off"), [("centred", 0.9, -0.1), ("scaled", 0.9, -0.1), ("one_hot", 1.0, 0.0)])
def test_first_labels(few_digits: dd.TargetData, init: str, on: float, off: float) -> None:
    labels = Pixels(ipc=1, labels="soft", label_init=init).start(run_on(few_digits)).decode().targets
    assert sorted(labels[0].unique().tolist()) == pytest.approx([off, on])


def test_soft_labels_start_one_hot(few_digits: dd.TargetData) -> None:
    batch = Pixels(ipc=2, labels="soft").start(run_on(few_digits)).decode()
    assert batch.targets.shape == (6, 10)
    assert batch.targets.argmax(dim=1).tolist() == [0, 0, 1, 1, 7, 7]


def test_class_ids_beyond_the_label_space_are_refused(few_digits: dd.TargetData) -> None:
    stored = Pixels(ipc=1).start(run_on(few_digits)).stored()
    stored["classes"] = torch.tensor([0, 1, 10], dtype=torch.uint8)
    with pytest.raises(SummaryFormatError, match=r"0\.\.9"):
        Pixels().restore(stored, few_digits.spec)


def test_bad_settings_are_refused(few_digits: dd.TargetData) -> None:
    for call, error in (
        (lambda: Pixels(ipc=0), SettingsError),
        (lambda: Pixels(ipc={1: -1}), SettingsError),
        (lambda: Pixels(labels="fuzzy"), UnknownNameError),
        (lambda: Pixels(storage="int4"), UnknownNameError),
        (lambda: Pixels(init="magic"), UnknownNameError),
        (lambda: Pixels(ipc={5: 1}).counts_for(few_digits.counts()), SettingsError),
        (lambda: Pixels(ipc=41).counts_for(few_digits.counts()), BudgetError),
    ):
        with pytest.raises(error):
            call()


@pytest.mark.parametrize("normalisation", ["standard", "zca"])
def test_clipped_pixels_stay_in_the_unit_range_and_cost_what_real_images_cost(normalisation: str) -> None:
    digits = dd.load_data("digits", normalisation=normalisation).of_classes([0, 1, 7])
    method = dd.Method(
        factorization=Pixels(ipc=2, storage="uint8"),
        matching=dd.matching.DistributionMatching(),
        networks=dd.sources.FreshNetworks(),
        optimiser=dd.Optimiser("sgd", learning_rate=5.0),
        steps=5,
    ).on_networks("convnet(width=4)")
    free = dd.distill(digits, method, seed=0)
    clipped = dd.distill(digits, dd.override(method, "factorization.clip", True), seed=0)
    assert "span" in free.parts[0].stored
    assert clipped.stored_bytes == 6 * 65 == dd.Budget.of(dd.override(method, "factorization.clip", True), digits).bytes
    pixels = digits.spec.normalisation.invert(clipped.tensors()[0])
    assert float(pixels.min()) > -1e-4
    assert float(pixels.max()) < 1 + 1e-4


def test_clipping_changes_no_pixel_that_is_inside(few_digits: dd.TargetData) -> None:
    plain, clipped = (started(few_digits, factorization=Pixels(ipc=3, clip=clip)).examples for clip in (False, True))
    assert torch.equal(plain.decode().inputs, clipped.decode().inputs)
    with torch.no_grad():
        clipped.groups()["images"][0].add_(100.0)
    clipped.after_step(0)
    pixels = few_digits.spec.normalisation.invert(clipped.decode().inputs)
    torch.testing.assert_close(pixels, torch.ones_like(pixels))


def test_a_learned_transform_cannot_be_clipped() -> None:
    with pytest.raises(SettingsError, match="clip"):
        Pixels(transform=True, clip=True)
    assert Pixels(transform=True).clipped() == Pixels(transform=True)


def test_glorot_images_are_uniform_like_the_weights_of_a_layer(few_digits: dd.TargetData) -> None:
    images = started(few_digits, factorization=Pixels(ipc=40, init="glorot")).examples.decode().inputs.detach()
    reach = (6 / (images[0].numel() + len(images))) ** 0.5  # Glorot & Bengio 2010, equation 16
    assert 0.99 * reach < float(images.abs().max()) <= reach
    assert float(images.std()) == pytest.approx(reach / 3**0.5, rel=0.02)
