from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import ddcore as dd
from ddcore.errors import InputDataError, SummaryFormatError, UnsupportedError
from ddcore.images import ConvNet, FreshGenerator, GeneratorLatents, GivenGenerator, TrainedGenerator
from ddcore.matching import DistributionMatching
from ddcore.sources import FreshNetworks
from tests.factorization.contract import FactorizationContract, run_on

SMALL = TrainedGenerator(latent=4, width=4, steps=20, batch=30)


class TestTrained(FactorizationContract):
    factorization = GeneratorLatents(ipc=2, generator=SMALL, inversion_steps=5)


class TestNoiseInHalfPrecision(FactorizationContract):
    factorization = GeneratorLatents(ipc={0: 1, 7: 3}, generator=SMALL, init="noise", storage="fp16")


class TestLearnedAndToldTheClass(FactorizationContract):
    factorization = GeneratorLatents(
        ipc=2,
        generator=FreshGenerator(latent=4, width=4, conditional=True),
        learned=True,
        init="noise",
        storage="uint8",
    )


class Own(nn.Module):
    """A caller's generator, with a BatchNorm that must keep its statistics."""

    def __init__(self, side: int = 8) -> None:
        super().__init__()
        self.linear, self.norm, self.side = nn.Linear(3, side * side), nn.BatchNorm1d(side * side), side

    def forward(self, latents: Tensor) -> Tensor:
        return self.norm(self.linear(latents)).sigmoid().view(-1, 1, self.side, self.side)


def method(factorization: GeneratorLatents) -> dd.Method:
    return dd.Method(
        factorization=factorization,
        matching=DistributionMatching(real_batch=20),
        networks=FreshNetworks(ConvNet(width=4)),
        optimiser=dd.Optimiser("adam", learning_rate=0.05),
        steps=3,
    )


def test_training_and_inversion_bring_decoded_images_close_to_real_ones(few_digits: dd.TargetData) -> None:
    def error(steps: int, inversion: int) -> float:
        generator = TrainedGenerator(latent=8, width=16, steps=steps, batch=60)
        examples = GeneratorLatents(ipc=10, generator=generator, inversion_steps=inversion).start(run_on(few_digits))
        real = dd.images.Pixels(ipc=10).start(run_on(few_digits))
        return float((examples.decode().inputs - real.decode().inputs).detach().square().mean())

    assert error(300, 100) < 0.5 * error(1, 0)


def test_the_generator_is_stored_counted_and_unchanged_by_distillation(few_digits: dd.TargetData) -> None:
    factorization = GeneratorLatents(ipc=2, generator=SMALL, inversion_steps=5)
    start = dd.distill(few_digits, method(factorization).with_steps(0))
    end = dd.distill(few_digits, method(factorization))
    before, after = start.parts[0].stored, end.parts[0].stored
    weights = [n for n in before if n.startswith("generator.")]
    assert all(torch.equal(before[n], after[n]) for n in weights)
    assert not torch.equal(before["latents"], after["latents"])
    parameters = list(SMALL.empty(few_digits.spec).parameters())
    numbers = sum(p.numel() for p in parameters)
    assert end.stored_bytes == 4 * (numbers + 6 * 4) + 6
    assert abs(end.quantize("fp16").stored_bytes - (2 * (numbers + 6 * 4) + 6)) == 0
    assert end.quantize("uint8").stored_bytes == numbers + 6 * 4 + 6 + 8 * (len(parameters) + 1)


def test_a_given_generator_is_kept_and_loaded_by_its_own_structure(few_digits: dd.TargetData, tmp_path: Path) -> None:
    torch.manual_seed(0)
    own = Own()
    summary = dd.distill(few_digits, method(GeneratorLatents(ipc=2, generator=GivenGenerator(own, (3,)))))
    assert own.training and own.linear.weight.requires_grad, "the caller's module was changed"
    summary.save(tmp_path / "own")
    with pytest.raises(SummaryFormatError, match="decoding_with"):
        dd.DataSummary.load(tmp_path / "own")
    loader = GeneratorLatents.decoding_with(Own(), (3,))
    again = dd.DataSummary.load(tmp_path / "own", factorizations={"generator_latents": loader})
    assert torch.equal(again.tensors()[0], summary.tensors()[0])


def test_a_given_generator_can_be_learned_and_its_statistics_stay(few_digits: dd.TargetData) -> None:
    torch.manual_seed(0)
    own = GeneratorLatents(ipc=2, generator=GivenGenerator(Own(), (3,)), learned=True, init="noise")
    start, end = (dd.distill(few_digits, method(own).with_steps(steps)).parts[0].stored for steps in (0, 3))
    weights = {"linear.weight", "linear.bias", "norm.weight", "norm.bias"}
    moved = {name.removeprefix("generator.") for name in start if not torch.equal(start[name], end[name])}
    assert moved == weights | {"latents"}


class Named(nn.Module):
    """Capital letters in a name, half precision, and a buffer that is in no state dict."""

    def __init__(self) -> None:
        super().__init__()
        self.FC = nn.Linear(3, 64)
        self.register_buffer("scale", torch.tensor(2.0), persistent=False)

    def forward(self, latents: Tensor) -> Tensor:
        return (self.FC(latents) * self.scale).sigmoid().view(-1, 1, 8, 8)


def test_a_given_generator_may_be_of_any_make(few_digits: dd.TargetData, tmp_path: Path) -> None:
    own = Named().to(torch.bfloat16)
    summary = dd.distill(few_digits, method(GeneratorLatents(ipc=1, generator=GivenGenerator(own, [3]))))  # type: ignore[arg-type]
    summary.save(tmp_path / "named")
    loader = GeneratorLatents.decoding_with(Named(), (3,))
    again = dd.DataSummary.load(tmp_path / "named", factorizations={"generator_latents": loader})
    assert torch.equal(again.tensors()[0], summary.tensors()[0])


class Unbounded(Own):
    def forward(self, latents: Tensor) -> Tensor:
        return super().forward(latents) * 3


class Detached(Own):
    def forward(self, latents: Tensor) -> Tensor:
        return super().forward(latents).detach()


@pytest.mark.parametrize(
    ("module", "shape", "error"),
    [
        (Own(side=9), (3,), InputDataError),
        (Own(), (4,), dd.errors.SettingsError),
        (Unbounded(), (3,), InputDataError),
        (Detached(), (3,), UnsupportedError),
        (3, (3,), dd.errors.SettingsError),
        (Own(), (0,), dd.errors.SettingsError),
        (Own(), "3", dd.errors.SettingsError),
    ],
)
def test_a_generator_that_cannot_serve_is_refused_at_the_start(
    few_digits: dd.TargetData, module: nn.Module, shape: tuple[int, ...], error: type[Exception]
) -> None:
    with pytest.raises(error):
        GeneratorLatents(ipc=1, generator=GivenGenerator(module, shape), init="noise").start(run_on(few_digits))


def test_many_latents_of_a_wide_generator_are_refused_before_they_are_decoded(few_digits: dd.TargetData) -> None:
    wide = GeneratorLatents(generator=TrainedGenerator(latent=1, width=512), storage="fp16")
    stored = {
        f"generator.{name}": torch.zeros(tensor.shape, dtype=torch.float16)
        for name, tensor in wide.generator.empty(few_digits.spec).state_dict().items()
    }
    stored |= {
        "latents": torch.zeros(300_000, 1, dtype=torch.float16),
        "classes": torch.zeros(300_000, dtype=torch.uint8),
    }
    with pytest.raises(SummaryFormatError, match="hidden"):
        wide.restore(stored, few_digits.spec)
