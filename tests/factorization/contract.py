"""What every factorization must do; a test class per factorization inherits this one."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import ddcore as dd
from ddcore.data import ExactSignal
from ddcore.errors import BudgetError, SummaryFormatError
from ddcore.images import Pixels
from ddcore.parts import FACTORIZATIONS, Examples, Factorization, NoAugmentation, largest_ipc
from ddcore.summary import DataSummary, Part


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
    any_shape = False
    """Whether what is stored fits data of another size, to which it is enlarged."""

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

    def test_bytes_are_known_before(self, examples: Examples, few_digits: dd.TargetData) -> None:
        stored = examples.stored()
        bytes_stored = sum(t.numel() * t.element_size() for t in stored.values())
        # Pixels store a span only where they leave [0, 1].
        spans = 8 if isinstance(self.factorization, Pixels) and "images.span" not in stored else 0
        most = self.factorization.max_bytes(few_digits.spec, few_digits.counts())
        assert bytes_stored <= most <= bytes_stored + spans

    def test_bytes_reported_are_those_on_disk(
        self, examples: Examples, few_digits: dd.TargetData, tmp_path: Path
    ) -> None:
        summary = DataSummary((Part(self.factorization, examples.stored()),), few_digits.spec)
        path = summary.save(tmp_path / "summary") / "summary.safetensors"
        header = 8 + int.from_bytes(path.read_bytes()[:8], "little")
        assert path.stat().st_size - header == summary.stored_bytes
        again = dd.DataSummary.load(tmp_path / "summary")
        assert torch.equal(again.tensors()[0], summary.tensors()[0])

    @pytest.mark.parametrize("more", [0, 1, 200, 3000])
    def test_a_budget_is_used_and_never_exceeded(self, few_digits: dd.TargetData, more: int) -> None:
        spec, counts = few_digits.spec, few_digits.counts()
        with pytest.raises(BudgetError) as error:
            self.factorization.within(1, spec, counts)
        least = int(re.search(r"(\d+) are the least", str(error.value)).group(1))  # type: ignore[union-attr]
        with pytest.raises(BudgetError):
            self.factorization.within(least - 1, spec, counts)
        sized = self.factorization.within(least + more, spec, counts)
        assert sized.max_bytes(spec, counts) <= least + more
        one_more = largest_ipc(sized.ipc) + 1  # type: ignore[attr-defined]
        assert (
            one_more > max(counts.values())
            or dd.override(sized, "ipc", f"clip:{one_more}").max_bytes(spec, counts) > least + more
        )

    def test_lazy_decoding_agrees_with_decoding_at_once(self, examples: Examples, few_digits: dd.TargetData) -> None:
        summary = DataSummary((Part(self.factorization, examples.stored()),), few_digits.spec)
        whole, targets = summary.tensors()
        lazy = summary.as_dataset(lazy=True)
        assert len(lazy) == len(summary)
        for index in (0, len(lazy) - 1):
            example, target = lazy[index]
            assert torch.allclose(example, whole[index], atol=1e-6) and torch.equal(target, targets[index])

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
        if not self.any_shape:
            with pytest.raises(SummaryFormatError):
                self.factorization.restore(stored, replace(few_digits.spec, shape=(1, 23, 23)))
