"""What every factorization must do; a test class per factorization inherits this one."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

import ddcore as dd
from ddcore.augmentation import NoAugmentation
from ddcore.data import ExactSignal
from ddcore.errors import SummaryFormatError
from ddcore.factorization import FACTORIZATIONS, Examples, Factorization


def run_on(target: dd.TargetData, seed: int = 0) -> dd.Run:
    signal = ExactSignal(target)
    run = dd.Run(
        spec=target.spec,
        real=signal,
        augmentation=NoAugmentation(),
        seed=seed,
        device=torch.device("cpu"),
        precision="fp32",
        micro_batch=32,
    )
    signal.begin(run)
    return run


class FactorizationContract:
    """Subclasses give `factorization`."""

    factorization: Factorization

    @pytest.fixture
    def examples(self, few_digits: dd.TargetData) -> Examples:
        return self.factorization.start(run_on(few_digits))

    def test_starts_with_the_counts_it_promised(self, examples: Examples, few_digits: dd.TargetData) -> None:
        assert examples.counts == self.factorization.counts_for(few_digits.counts())
        assert len(examples.decode().inputs) == sum(examples.counts.values())
        for class_id, count in examples.counts.items():
            assert len(examples.indices_of(class_id)) == count

    def test_the_same_seed_starts_the_same(self, examples: Examples, few_digits: dd.TargetData) -> None:
        again = self.factorization.start(run_on(few_digits))
        other = self.factorization.start(run_on(few_digits, seed=1))
        assert torch.equal(again.decode().inputs, examples.decode().inputs)
        assert not torch.equal(other.decode().inputs, examples.decode().inputs)

    def test_decoding_without_a_generator_is_deterministic_and_any_subset_fits(self, examples: Examples) -> None:
        whole = examples.decode()
        assert torch.equal(whole.inputs, examples.decode().inputs)
        indices = examples.draw(list(examples.classes)[::-1])
        subset = examples.decode(indices)
        assert torch.allclose(subset.inputs, whole.inputs[indices], atol=1e-6)
        assert torch.equal(subset.targets, whole.targets[indices])

    def test_draws_are_distinct_and_of_their_class(self, examples: Examples) -> None:
        drawn = examples.draw(examples.classes, 2, torch.Generator().manual_seed(0))
        assert len(set(drawn.tolist())) == len(drawn) == sum(min(2, n) for n in examples.counts.values())
        position = 0
        for class_id, count in examples.counts.items():
            mine = drawn[position : position + min(2, count)]
            assert set(mine.tolist()) <= set(examples.indices_of(class_id).tolist())
            position += min(2, count)

    def test_gradients_reach_every_parameter(self, examples: Examples) -> None:
        batch = examples.decode()
        loss = batch.inputs.square().sum()
        if batch.targets.is_floating_point():
            loss = loss + batch.targets.square().sum()
        loss.backward()
        parameters = [p for group in examples.groups().values() for p in group]
        assert {id(p) for p in parameters} == {id(p) for p in examples.parameters()}
        assert all(p.grad is not None and float(p.grad.abs().max()) > 0 for p in parameters)

    def test_what_is_stored_restores_the_same_examples(self, examples: Examples, few_digits: dd.TargetData) -> None:
        stored = examples.stored()
        table = FACTORIZATIONS[self.factorization.name]
        back = table.from_decoder(self.factorization.decoder()).restore(stored, few_digits.spec)
        assert back.counts == examples.counts
        again = back.stored()
        assert stored.keys() == again.keys()
        assert all(torch.equal(stored[k], again[k]) and stored[k].dtype == again[k].dtype for k in stored)

    def test_wrong_stores_are_refused(self, examples: Examples, few_digits: dd.TargetData) -> None:
        stored = examples.stored()
        for name in stored:
            for change in (stored[name][:0], stored[name].double(), stored[name].unsqueeze(0)):
                with pytest.raises(SummaryFormatError):
                    self.factorization.restore({**stored, name: change}, few_digits.spec)
            with pytest.raises(SummaryFormatError):
                self.factorization.restore({k: v for k, v in stored.items() if k != name}, few_digits.spec)
        with pytest.raises(SummaryFormatError):
            self.factorization.restore({**stored, "extra": torch.zeros(1)}, few_digits.spec)
        with pytest.raises(SummaryFormatError):
            self.factorization.restore(stored, replace(few_digits.spec, shape=(1, 9, 9)))
