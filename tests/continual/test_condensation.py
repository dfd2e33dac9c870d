from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import ddcore as dd
from ddapps.continual import CompositeMemoryBuffer, CondensedMemory, MemoryBudget
from ddapps.continual.memory import examples_of
from ddapps.continual.mixtures import PairMixtures
from ddcore.errors import BudgetError
from tests.running import parameter_gradient, started

QUICK = {"network": "convnet(width=2)", "steps": 1, "inner": 1}


def test_mixtures_start_as_means_and_stay_between_their_two_images(few_digits: dd.TargetData) -> None:
    run = started(few_digits, factorization=PairMixtures(ipc=3))
    pairs = run.examples.get_buffer("pairs")
    assert len({tuple(image.flatten().tolist()) for image in pairs.flatten(0, 1)}) == 18
    torch.testing.assert_close(run.examples.decode().inputs, pairs.mean(dim=1))
    with torch.no_grad():
        run.examples.groups()["mixing"][0].copy_(torch.tensor([[-1.0, 2.0]]).expand(9, 2))
    run.examples.after_step(0)
    mixed = run.examples.decode().inputs
    torch.testing.assert_close(mixed, pairs[:, 1], atol=1e-5, rtol=0)
    assert bool((mixed <= pairs.amax(dim=1) + 1e-9).all())
    assert bool((mixed >= pairs.amin(dim=1) - 1e-9).all())


def test_the_gradient_of_a_mixing_weight_is_a_difference_quotient(few_digits: dd.TargetData) -> None:
    run = started(few_digits, factorization=PairMixtures(ipc=2))
    matching = dd.matching.GradientMatching(distance="mse")
    gradient = parameter_gradient(run, matching)
    (mixing,) = run.examples.groups()["mixing"]

    def loss(change: float) -> float:
        with torch.no_grad():
            mixing[place] += change
        total = sum(float(term.loss.detach()) for term in matching.terms(run, matching.start(run)))
        with torch.no_grad():
            mixing[place] -= change
        return total

    for place in ((0, 0), (3, 1)):
        above, below = loss(1e-6), loss(-1e-6)
        assert float(gradient.view(-1, 2)[place]) == pytest.approx((above - below) / 2e-6, rel=1e-4)


def test_a_summary_of_mixtures_is_one_of_pixels(few_digits: dd.TargetData, tmp_path: Path) -> None:
    method = dd.Method(
        factorization=PairMixtures(ipc=2),
        matching=dd.matching.GradientMatching(),
        networks=dd.sources.FreshNetworks(),
        steps=2,
    )
    summary = dd.distill(few_digits, method.on_networks("convnet(width=2)"), seed=0)
    again = dd.DataSummary.load(summary.save(tmp_path / "s"))
    assert again.parts[0].factorization.name == "pixels"
    assert torch.equal(again.tensors()[0], summary.tensors()[0])


def test_too_few_examples_for_pairs_is_an_error(few_digits: dd.TargetData) -> None:
    with pytest.raises(BudgetError, match="21 mixtures"):
        started(few_digits, factorization=PairMixtures(ipc=21))


@given(
    sizes=st.lists(
        st.dictionaries(st.integers(0, 4), st.integers(1, 12), min_size=1, max_size=3), min_size=1, max_size=4
    ),
    amount=st.integers(1, 20),
    form=st.sampled_from(["bytes", "bytes-per-class", "examples", "examples-per-class"]),
)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_stream_makes_it_exceed_its_budget(
    digits: dd.TargetData, sizes: list[dict[int, int]], amount: int, form: str
) -> None:
    unit, per_class = form.split("-")[0], form.endswith("class")
    budget = MemoryBudget(amount * (65 if unit == "bytes" else 1), unit, per_class)
    memory = CondensedMemory(budget, batch_size=5, every=2, when_short="error", **QUICK)
    seen: dict[int, int] = {}
    for counts in sizes:
        chosen = torch.cat([(digits.train.targets == c).nonzero().flatten()[:n] for c, n in counts.items()])
        try:
            memory.observe(digits.with_train(chosen, "piece"))
        except BudgetError:
            assert len({c for counts in sizes for c in counts}) > amount
            return
        for class_id, n in counts.items():
            seen[class_id] = seen.get(class_id, 0) + n
        classes = len(memory.counts)
        assert sorted(memory.counts) == [(0, c) for c in sorted(seen)]
        held = memory.stored_bytes if unit == "bytes" else sum(memory.counts.values())
        assert held <= budget.amount * (classes if per_class else 1)
        assert all(count <= seen[class_id] for (_, class_id), count in memory.counts.items())


def test_examples_are_kept_as_they_are_while_there_is_room(three_tasks: list[dd.TargetData]) -> None:
    memory = CondensedMemory("1000-per-class", **QUICK)
    memory.observe(three_tasks[0])
    kept, real = examples_of(memory.kept[0].summary).train, three_tasks[0].train
    assert len(kept) == len(real)
    assert torch.equal(
        (255 * kept.inputs).round().flatten(1).sum(dim=1).sort().values,
        real.inputs.flatten(1).sum(dim=1).float().sort().values,
    )


def test_a_full_class_keeps_taking_in_new_examples(three_tasks: list[dd.TargetData]) -> None:
    first, second = dd.data.partitions.iid(three_tasks[0], 2, seed=0)
    memory = CondensedMemory("4-per-class", **QUICK)
    memory.observe(first)
    before = {tuple(image) for image in memory.summary().to_pixels().flatten(1).tolist()}
    memory.observe(second)
    after = {tuple(image) for image in memory.summary().to_pixels().flatten(1).tolist()}
    assert memory.counts == dict.fromkeys([(0, c) for c in three_tasks[0].spec.classes], 4)
    assert not before & after


def test_it_matches_on_the_model_that_is_being_trained(three_tasks: list[dd.TargetData]) -> None:
    results = []
    for seed in (0, 0, 1):
        model = dd.networks.as_architecture("convnet(width=2)").build((1, 8, 8), 10, seed=seed).module
        memory = CondensedMemory("2-per-class", steps=5, inner=1)
        memory.observe(three_tasks[0].with_train(torch.arange(60), "few"), model)
        results.append(memory.summary().sha256())
    assert results[0] == results[1]
    assert results[0] != results[2]


def test_a_crashed_run_goes_on(three_tasks: list[dd.TargetData], tmp_path: Path) -> None:
    whole = CondensedMemory(8, **QUICK)
    first, again = (CondensedMemory(8, directory=tmp_path, **QUICK) for _ in range(2))
    for task in three_tasks:
        whole.observe(task)
    first.observe(three_tasks[0])
    for task in three_tasks:
        again.observe(task)
    assert again.summary().sha256() == whole.summary().sha256()
    assert again.seconds_saved > 0


def test_a_summary_is_of_the_experience_that_it_last_took_in(three_tasks: list[dd.TargetData]) -> None:
    memory = CondensedMemory("3-per-class", **QUICK)
    memory.observe([(0, three_tasks[0])])
    memory.observe([(1, three_tasks[1])])
    memory.resize("2-per-class")
    assert [(kept.task, kept.experience) for kept in memory.kept] == [(0, 0), (1, 1)]
    assert set(memory.counts.values()) == {2}


def test_composite_memory_shares_components_between_all_classes(three_tasks: list[dd.TargetData]) -> None:
    buffer = CompositeMemoryBuffer("1300B", chunk=200, network="convnet(width=2)", steps=1)
    for task in three_tasks:
        buffer.memory.observe(task)
    (kept,) = buffer.memory.kept
    assert kept.summary.parts[0].factorization.name == "linear_bases"
    assert set(kept.summary.counts) == set(range(6))
    assert buffer.stored_bytes <= 1300
    assert "Wiewel" in dd.cite(kept.summary)
