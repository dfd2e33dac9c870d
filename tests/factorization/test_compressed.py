from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

import ddcore as dd
from ddcore.errors import BudgetError, SettingsError, SummaryFormatError, UnsupportedError
from ddcore.factorization import Compressed
from ddcore.factorization.coded import code_of, decoded
from ddcore.factorization.rate import rate_of, smoothed
from ddcore.factorization.scale import Levels
from ddcore.ground.entropy_coder import Grid, encode
from ddcore.images import LinearBases, LowResolution, MultiFormation, Pixels
from ddcore.summary import DataSummary
from tests.factorization.contract import FactorizationContract, run_on


class CompressedContract(FactorizationContract):
    """What a code takes is bounded before it is written, and known when it is."""

    def test_bytes_are_known_before(self, examples: dd.parts.Examples, few_digits: dd.TargetData) -> None:
        stored = sum(len(code) for code in examples.stored().values())
        assert 0 < stored <= self.factorization.max_bytes(few_digits.spec, few_digits.counts())

    @pytest.mark.parametrize("more", [0, 40])
    def test_a_budget_is_used_and_never_exceeded(self, few_digits: dd.TargetData, more: int) -> None:
        nbytes = 150 + more
        sized = self.factorization.within(nbytes, few_digits.spec, few_digits.counts())
        assert sized.max_bytes(few_digits.spec, few_digits.counts()) == nbytes
        stored = sized.start(run_on(few_digits)).stored()
        assert sum(len(code) for code in stored.values()) <= nbytes


class TestSmallImages(CompressedContract):
    any_shape = True
    factorization = Compressed(LowResolution(ipc=2, size=4), levels=4)


class TestPalette(CompressedContract):
    any_shape = True
    factorization = Compressed(LowResolution(ipc=2, size=4), levels=3, palette=True)


class TestPixels(CompressedContract):
    factorization = Compressed(Pixels(ipc=2), levels=16)


class TestTiles(CompressedContract):
    factorization = Compressed(MultiFormation(ipc=2, storage="uint8"), levels=3)


class TestBases(CompressedContract):
    factorization = Compressed(LinearBases(ipc=4, bases=2, factor=1), levels=64)

    @pytest.mark.parametrize("more", [300, 500])
    def test_a_budget_is_used_and_never_exceeded(self, few_digits: dd.TargetData, more: int) -> None:
        sized = self.factorization.within(more, few_digits.spec, few_digits.counts())
        stored = sized.start(run_on(few_digits)).stored()
        assert sum(len(code) for code in stored.values()) <= more


def test_examples_lie_on_levels_while_they_are_trained(few_digits: dd.TargetData) -> None:
    examples = Compressed(LowResolution(ipc=2, size=8), levels=5).start(run_on(few_digits))
    (images,) = examples.groups()["images"]
    with torch.no_grad():
        images.add_(0.03).clamp_(0, 1)
    shown = few_digits.spec.normalisation.invert(examples.decode().inputs)
    assert torch.allclose(shown * 4, (shown * 4).round(), atol=1e-4)
    assert torch.allclose(shown, (images * 4).round() / 4, atol=1e-4)


def test_gradients_pass_the_rounding_as_if_it_were_not_there(few_digits: dd.TargetData) -> None:
    plain, coded = LowResolution(ipc=2, size=4), Compressed(LowResolution(ipc=2, size=4), levels=4)
    found = []
    for settings in (plain, coded):
        examples = settings.start(run_on(few_digits))
        (images,) = examples.groups()["images"]
        (gradient,) = torch.autograd.grad((examples.decode().inputs * torch.arange(64).view(8, 8)).sum(), images)
        found.append(gradient)
    assert torch.allclose(found[0], found[1], rtol=1e-4)


@pytest.mark.parametrize("nbytes", [120, 200])
def test_a_run_never_stores_more_than_its_bytes(few_digits: dd.TargetData, nbytes: int, tmp_path: Path) -> None:
    codec = Compressed(LowResolution(ipc=12, size=8), levels=4, nbytes=nbytes)
    free = replace(codec, nbytes=None).start(run_on(few_digits)).stored()
    assert sum(len(code) for code in free.values()) > nbytes
    method = dd.methods.compose("dm", codec, preset="cpu").on_networks("convnet(width=4)").with_steps(3)
    summary = dd.distill(few_digits, dd.override(method, "matching.real_batch", 8), progress=False)
    assert 0.8 * nbytes < summary.stored_bytes <= nbytes
    summary.save(tmp_path / "s")
    again = DataSummary.load(tmp_path / "s")
    assert torch.equal(again.tensors()[0], summary.tensors()[0]) and again.stored_bytes == summary.stored_bytes


def test_the_filter_lowers_the_rate_and_leaves_what_is_flat() -> None:
    noise = torch.rand(4, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    rates = [float(rate_of(smoothed(noise, passes) * 3)) for passes in (0, 0.1, 1, 4)]
    assert rates == sorted(rates, reverse=True) and rates[-1] < 0.5 * rates[0]
    assert torch.equal(smoothed(noise, 0), noise)
    assert torch.allclose(smoothed(noise, 1.5), (smoothed(noise, 1) + smoothed(noise, 2)) / 2)
    step = torch.tensor([[0.0, 0, 0, 1, 1, 1]]).expand(2, 1, 5, 6)
    assert torch.allclose(smoothed(step, 1)[0, 0, 2], torch.tensor([0.0, 0, 0.25, 0.75, 1, 1]))
    assert torch.allclose(smoothed(torch.full((1, 1, 4, 4), 0.3), 5), torch.tensor(0.3))
    assert float(rate_of(torch.zeros(2, 1, 4, 4))) == 0.0


@pytest.mark.parametrize(("levels", "size", "kept"), [(2, 8, 0.95), (2, 4, 0.85), (4, 8, 0.98), (16, 8, 0.9)])
def test_what_is_a_little_too_large_loses_little(
    few_digits: dd.TargetData, levels: int, size: int, kept: float
) -> None:
    """A code that was 3 % too long once made images of two levels black."""
    whole = Compressed(LowResolution(ipc=20, size=size), levels=levels).start(run_on(few_digits))
    nbytes = int(0.97 * sum(len(code) for code in whole.stored().values()))
    tight = Compressed(LowResolution(ipc=20, size=size), levels=levels, nbytes=nbytes).start(run_on(few_digits))
    taken = sum(len(code) for code in tight.stored().values())
    assert 0.9 * nbytes < taken <= nbytes
    pixels = [examples.decode().inputs.detach().flatten() for examples in (whole, tight)]
    assert float(torch.corrcoef(torch.stack(pixels))[0, 1]) > kept


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int32])
def test_whole_numbers_are_kept_as_they_are(dtype: torch.dtype) -> None:
    numbers = torch.tensor([0, 1, 250, 3]).to(dtype) * (1 if dtype == torch.uint8 else 70_000)
    assert torch.equal(decoded("classes", code_of(numbers, None), 4)[0], numbers)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_images_of_one_colour_are_read_again(value: float) -> None:
    images = torch.full((12, 1, 28, 28), value)
    code = code_of(images, Levels(4))
    assert torch.equal(decoded("images", code, 4)[0], images) and len(code) < 60


def test_more_numbers_than_are_read_are_not_written(monkeypatch: pytest.MonkeyPatch) -> None:
    images = torch.zeros(3, 1, 4, 4)
    code = code_of(images, Levels(4))
    monkeypatch.setattr("ddcore.factorization.coded.MAX_NUMBERS", 47)
    with pytest.raises(BudgetError, match="47 numbers at most, not 48"):
        code_of(images, Levels(4))
    with pytest.raises(SummaryFormatError, match="claims 48 numbers"):
        decoded("images", code, 4)


def test_hostile_codes_are_refused() -> None:
    huge = bytes([0, 2, 255, 255, 255, 127, 255, 255, 3, 1, 2, 3])
    levels = bytes([0, 1, 3]) + encode(bytes([7, 7, 7]), Grid.of((3,)), 8)
    for code, reason in (
        (huge, "cannot hold so many"),
        (bytes([9, 1, 1, 0]), "no code of a tensor"),
        (bytes([0, 4, 1]), "ends before"),
        (bytes([1, 1, 1]) + bytes(4) + b"\x00\x00\xc0\x7f" + b"\x01", "span"),
    ):
        with pytest.raises(SummaryFormatError, match=reason):
            decoded("images", torch.tensor(list(code), dtype=torch.uint8), 16)
    with pytest.raises(SummaryFormatError, match="level"):
        decoded("images", torch.tensor(list(levels), dtype=torch.uint8), 5)


def test_too_few_bytes_are_refused_before_the_run(few_digits: dd.TargetData) -> None:
    with pytest.raises(BudgetError, match="10 bytes do not hold 6 examples"):
        Compressed(LowResolution(ipc=2, size=4), nbytes=10).start(run_on(few_digits))


def test_wrong_settings_say_what_to_do() -> None:
    coded = Compressed(Pixels(ipc=1))
    for settings in ({"levels": 1}, {"levels": 257}, {"nbytes": 0}):
        with pytest.raises(SettingsError, match=next(iter(settings))):
            replace(coded, **settings)
    with pytest.raises(SettingsError, match="again"):
        Compressed(coded)
    with pytest.raises(UnsupportedError, match="levels"):
        coded.quantize({}, None, "uint8")  # type: ignore[arg-type]


def test_classes_keep_their_sizes_and_items_their_name() -> None:
    coded = Compressed(MultiFormation(ipc=2, factor=2))
    assert coded.counts_for({0: 20, 3: 20}) == {0: 8, 3: 8}
    assert (coded.items, coded.modality, coded.sized(5).counts_for({0: 20})) == ("examples", "images", {0: 20})
