"""Linear bases, hallucinators, latent codes and frequencies.

The contract, and their mathematics written out.
"""

from __future__ import annotations

import math
import resource
from dataclasses import replace

import pytest
import scipy.fft
import torch
from torch import nn
from torch.nn import functional as F

import ddcore as dd
from ddcore.errors import SettingsError, SummaryFormatError, UnknownNameError
from ddcore.images import Contrast, Frequencies, Hallucinators, LatentCodes, LinearBases, Pixels
from ddcore.images.factorizations.frequencies import dct, inverse_dct
from tests.factorization.contract import FactorizationContract, run_on


class TestLinearBases(FactorizationContract):
    factorization = LinearBases(ipc=4, bases=6, init="random")


class TestLinearBasesOfNoiseInBytes(FactorizationContract):
    factorization = LinearBases(ipc={0: 1, 7: 3}, bases=3, factor=1, storage="uint8")


class TestHallucinators(FactorizationContract):
    factorization = Hallucinators(ipc=2, hallucinators=3, width=2)


class TestHallucinatorsFromTheIdentity(FactorizationContract):
    factorization = Hallucinators(ipc=1, hallucinator_init="identity", init="noise", storage="fp16")


class TestLatentCodes(FactorizationContract):
    factorization = LatentCodes(ipc=3, width=3, fitting_steps=5)


class TestLatentCodesOfNoiseInBytes(FactorizationContract):
    factorization = LatentCodes(ipc="clip:2", decoders=1, factor=3, width=2, init="noise", storage="uint8")


class TestFrequencies(FactorizationContract):
    factorization = Frequencies(ipc=3, kept=20)


class TestFrequenciesOfNoiseInBytes(FactorizationContract):
    factorization = Frequencies(ipc=2, kept=7, init="noise", storage="uint8")


def test_a_linear_example_is_its_coefficients_times_the_bases_enlarged(few_digits: dd.TargetData) -> None:
    examples = LinearBases(ipc=2, bases=5).start(run_on(few_digits))
    (coefficients,), (bases,) = examples.groups()["coefficients"], examples.groups()["bases"]
    mixed = sum(coefficients[4, k] * bases[k] for k in range(5))
    assert bases.shape == (5, 1, 4, 4)
    full = F.interpolate(mixed.unsqueeze(0), size=(8, 8), mode="bilinear", align_corners=False)
    assert torch.allclose(examples.decode(torch.tensor([4])).inputs, full, atol=1e-6)


def test_bases_of_real_images_are_the_best_of_their_number(few_digits: dd.TargetData) -> None:
    """Eckart & Young: what is missing is the energy of the directions left out."""
    real = Pixels(ipc=6).start(run_on(few_digits)).decode().inputs.detach()
    decoded = LinearBases(ipc=6, bases=5, factor=1, init="random").start(run_on(few_digits)).decode().inputs.detach()
    left_out = torch.linalg.svdvals(real.flatten(1).double())[5:].square().sum()
    assert float((decoded - real).square().sum()) == pytest.approx(float(left_out), rel=1e-4)
    few = LinearBases(ipc=1, bases=5, factor=1, init="random").start(run_on(few_digits))
    exact = Pixels(ipc=1).start(run_on(few_digits)).decode().inputs.detach()
    assert float((few.decode().inputs.detach() - exact).abs().max()) < 0.2, "two bases more than images stay small"


def test_the_budget_of_one_image_gives_the_published_number_of_coefficients() -> None:
    """CIFAR-10 at one image per class.

    16 half-resolution bases leave room for 115 vectors per class.
    """
    spec = dd.images.ImageSpec(shape=(3, 32, 32), num_classes=10, classes=tuple(range(10)))
    available = dict.fromkeys(range(10), 5000)
    floats = 4 * 10 * 3072
    ids = 10 * 115
    assert LinearBases().within(floats + ids, spec, available) == LinearBases(ipc=115, bases=16)


def test_hallucinators_restyle_as_written_out(few_digits: dd.TargetData) -> None:
    factorization = Hallucinators(ipc=2, hallucinators=3, width=2)
    examples = factorization.start(run_on(few_digits))
    shared = examples.shared()  # type: ignore[operator]
    for index in (0, 4, 17):
        basis, j = divmod(index, 3)
        encoder, decoder = nn.Conv2d(1, 2, 3), nn.ConvTranspose2d(2, 1, 3)
        with torch.no_grad():
            for module, name in ((encoder, "encoder"), (decoder, "decoder")):
                module.weight.copy_(shared[f"{name}.weight"][j])
                module.bias.copy_(shared[f"{name}.bias"][j])
            image = examples.items[basis : basis + 1]  # type: ignore[index]
            made = decoder(shared["scale"][j] * encoder(image) + shared["shift"][j])
        assert torch.allclose(examples.decode(torch.tensor([index])).inputs, made, atol=1e-6)


@pytest.mark.parametrize(("width", "shape"), [(1, (1, 9, 7)), (3, (3, 8, 8)), (5, (3, 8, 8)), (6, (3, 8, 8))])
def test_the_identity_changes_the_inside_of_an_image_little(width: int, shape: tuple[int, ...]) -> None:
    target = _noise(shape)
    exact = Hallucinators(ipc=1, width=width, hallucinator_init="identity", hallucinators=1)
    examples = exact.start(run_on(target))
    with torch.no_grad():
        for name, tensor in examples.shared().items():  # type: ignore[operator]
            if name.endswith("weight"):
                tensor.mul_(tensor.abs() > 0.25)
            elif name.endswith("bias"):
                tensor.zero_()
        scale = examples.decode().inputs[..., 1:-1, 1:-1] / examples.items[..., 1:-1, 1:-1]  # type: ignore[index]
    assert float(scale.mean()) == pytest.approx(1, abs=0.1)
    assert float(scale.std()) < 0.15


def test_latent_codes_are_smaller_than_the_data_and_decoded_block_by_block(few_digits: dd.TargetData) -> None:
    factorization = LatentCodes(ipc=2, decoders=2, channels=3, factor=4, width=5, init="noise")
    examples = factorization.start(run_on(few_digits))
    shared = examples.shared()  # type: ignore[operator]
    assert factorization.item_shape(few_digits.spec) == (3, 2, 2)
    hidden = F.conv2d(examples.items[1:2], shared["first.weight"][1], shared["first.bias"][1], padding=1)  # type: ignore[index]
    blocks = F.conv2d(F.leaky_relu(hidden, 0.2), shared["last.weight"][1], shared["last.bias"][1])
    made = torch.zeros(1, 1, 8, 8)
    for row, column in torch.cartesian_prod(torch.arange(8), torch.arange(8)).tolist():
        made[0, 0, row, column] = blocks[0, 4 * (row % 4) + column % 4, row // 4, column // 4]
    assert torch.allclose(examples.decode(torch.tensor([3])).inputs, made, atol=1e-6)


def test_fitting_brings_codes_close_to_real_images(few_digits: dd.TargetData) -> None:
    real = Pixels(ipc=6).start(run_on(few_digits)).decode().inputs.detach()

    def error(steps: int) -> float:
        codes = LatentCodes(ipc=6, decoders=1, channels=8, fitting_steps=steps).start(run_on(few_digits))
        return float((codes.decode().inputs.detach() - real).square().mean())

    assert error(300) < 0.3 * error(0)


def test_the_cosine_transform_is_that_of_scipy_and_its_own_inverse() -> None:
    images = torch.randn(2, 3, 7, 10, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    wanted = scipy.fft.dctn(images.numpy(), axes=(-2, -1), norm="ortho")
    assert torch.allclose(dct(images), torch.from_numpy(wanted), atol=1e-12)
    assert torch.allclose(inverse_dct(dct(images)), images, atol=1e-12)


def test_frequencies_keep_those_of_most_energy_in_their_class(few_digits: dd.TargetData) -> None:
    real = Pixels(ipc=3).start(run_on(few_digits)).decode().inputs.detach()
    decoded = Frequencies(ipc=3, kept=9).start(run_on(few_digits)).decode().inputs.detach()
    for mine, exact in zip(dct(decoded).split(3), dct(real).split(3), strict=True):
        energy = exact.square().mean(dim=(0, 1)).flatten()
        kept = energy.argsort(descending=True)[:9]
        expected = torch.zeros_like(exact.flatten(2))
        expected[:, :, kept] = exact.flatten(2)[:, :, kept]
        assert torch.allclose(mine.flatten(2), expected, atol=1e-5)
    whole = Frequencies(ipc=3, kept=64).start(run_on(few_digits)).decode().inputs
    assert torch.allclose(whole, real, atol=1e-5)


def test_many_items_of_a_small_file_take_no_memory_before_they_are_refused() -> None:
    spec = dd.images.ImageSpec(shape=(1, 1000, 1000), num_classes=1, classes=(0,))
    mask = torch.zeros(1, 125_000, dtype=torch.uint8)
    mask[0, 0] = 1
    stored = {
        "coefficients": torch.zeros(50_000, 1, 1),
        "classes": torch.zeros(50_000, dtype=torch.uint8),
        "mask": mask,
    }
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    Frequencies(kept=1).restore(stored, spec)
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024 < 200


def test_a_mask_that_keeps_another_number_is_refused(few_digits: dd.TargetData) -> None:
    factorization = Frequencies(ipc=1, kept=9)
    stored = factorization.start(run_on(few_digits)).stored()
    for change in (stored["mask"] ^ 1, stored["mask"] & 0, torch.full_like(stored["mask"], 255)):
        with pytest.raises(SummaryFormatError, match="mask"):
            factorization.restore({**stored, "mask": change}, few_digits.spec)


@pytest.mark.parametrize(
    "factorization",
    [LinearBases(ipc=1), Hallucinators(ipc=1), LatentCodes(ipc=1), Frequencies(ipc=1, kept=7)],
)
def test_data_without_the_shape_of_images_is_refused(factorization: dd.factorization.Factorization) -> None:
    spec = dd.images.ImageSpec(shape=(6,), num_classes=3, classes=(0, 1, 2))
    with pytest.raises(SettingsError, match="images"):
        factorization.max_bytes(spec, {0: 5, 1: 5, 2: 5})


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"bases": 0}, SettingsError),
        ({"bases": 5000}, SettingsError),
        ({"storage": "int4"}, UnknownNameError),
        ({"init": "nearest"}, UnknownNameError),
        ({"ipc": 0}, SettingsError),
    ],
)
def test_bad_settings_are_refused(settings: dict[str, object], error: type[Exception]) -> None:
    with pytest.raises(error):
        LinearBases(**settings)  # type: ignore[arg-type]


def test_a_factor_or_a_number_beyond_the_image_is_refused(few_digits: dd.TargetData) -> None:
    for factorization in (LinearBases(factor=9, ipc=1), LatentCodes(factor=9, ipc=1), Frequencies(kept=65, ipc=1)):
        with pytest.raises(SettingsError):
            factorization.max_bytes(few_digits.spec, few_digits.counts())
    with pytest.raises(SettingsError, match="two hallucinators"):
        Hallucinators(hallucinators=1, contrast=Contrast())


@pytest.mark.parametrize("storage", ["fp16", "uint8"])
def test_quantised_examples_stay_close(few_digits: dd.TargetData, storage: str) -> None:
    for factorization in (
        LinearBases(ipc=4, bases=6, init="random"),
        Hallucinators(ipc=2, width=1, hallucinator_init="identity"),
        LatentCodes(ipc=4, width=4, fitting_steps=50),
        Frequencies(ipc=4, kept=20),
    ):
        summary = dd.distill(few_digits, dd.Method(factorization=factorization))
        small = summary.quantize(storage)
        error = (small.tensors()[0] - summary.tensors()[0]).std() / summary.tensors()[0].std()
        assert float(error) < (0.002 if storage == "fp16" else 0.05)
        assert small.stored_bytes == replace(factorization, storage=storage).max_bytes(
            few_digits.spec, few_digits.counts()
        )
        assert small.quantize(storage).sha256() == small.sha256()


def _noise(shape: tuple[int, ...]) -> dd.TargetData:
    generator = torch.Generator().manual_seed(0)
    inputs = torch.rand(12, *shape, generator=generator).clamp(0.1)
    targets = torch.arange(12) % 3
    return dd.load_data((inputs, targets), test=(inputs, targets), normalisation="none")


def test_numbers_of_one_value_have_a_span(few_digits: dd.TargetData) -> None:
    stored = dd.factorization.numbers.pack("a", torch.full((3,), 2.5), "uint8")
    numbers, _ = dd.factorization.numbers.unpack("a", stored, (3,), "uint8")
    assert torch.equal(numbers, torch.full((3,), 2.5))
    assert math.isclose(float(stored["a.span"][1] - stored["a.span"][0]), 2.5)
