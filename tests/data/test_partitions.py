from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import ddcore as dd
from ddcore.data import partitions
from ddcore.errors import BudgetError
from ddcore.parts import stratified_split
from tests.frequency import assert_equally_often, numbered, numbers

SCHEMES: dict[str, Callable[[dd.TargetData, int, int], list[dd.TargetData]]] = {
    "iid": lambda t, n, s: partitions.iid(t, n, seed=s),
    "dirichlet": lambda t, n, s: partitions.dirichlet(t, n, 0.1, seed=s),
    "quantity": lambda t, n, s: partitions.quantity_skew(t, n, 0.5, seed=s),
    "shards": lambda t, n, s: partitions.shards(t, n, 2, seed=s),
    "classes": lambda t, n, s: partitions.classes_each(t, n, 4 if n == 1 else 2 if n < 4 else 1, seed=s),
}


@pytest.mark.parametrize("scheme", SCHEMES)
@given(parts=st.integers(1, 12), seed=st.integers(0, 1000))
@settings(max_examples=25, deadline=None)
def test_every_example_is_in_exactly_one_part_and_no_part_is_empty(scheme: str, parts: int, seed: int) -> None:
    target = numbered()
    pieces = SCHEMES[scheme](target, parts, seed)
    assert len(pieces) == parts
    assert all(len(p.train) for p in pieces)
    ids = torch.cat([p.train.inputs.flatten() for p in pieces])
    assert sorted(ids.tolist()) == list(range(120))
    for piece in pieces:
        assert piece.spec.classes == tuple(sorted(set(piece.train.targets.tolist())))
        assert piece.spec.num_classes == 4


def test_a_small_alpha_gives_fewer_classes_per_part_than_a_large_one() -> None:
    target = numbered(per_class=60)

    def largest_share(alpha: float) -> float:
        shares = []
        for seed in range(5):
            for piece in partitions.dirichlet(target, 4, alpha, seed=seed):
                counts = torch.bincount(piece.train.targets, minlength=4)
                shares.append(float(counts.max() / counts.sum()))
        return sum(shares) / len(shares)

    assert largest_share(0.05) > 0.75
    assert largest_share(100.0) < 0.4


@given(parts=st.integers(1, 9), classes=st.integers(1, 4), seed=st.integers(0, 1000))
@settings(max_examples=40, deadline=None)
def test_each_part_has_its_number_of_classes_and_classes_are_owned_and_cut_evenly(
    parts: int, classes: int, seed: int
) -> None:
    target = numbered()
    if parts * classes < 4:
        with pytest.raises(BudgetError, match="to nobody"):
            partitions.classes_each(target, parts, classes, seed=seed)
        return
    pieces = partitions.classes_each(target, parts, classes, seed=seed)
    assert all(len(piece.spec.classes) == classes for piece in pieces)
    owned = [[n for piece in pieces if (n := piece.counts().get(class_id, 0))] for class_id in range(4)]
    assert all(sum(sizes) == 30 and max(sizes) - min(sizes) <= 1 for sizes in owned)
    owners = [len(sizes) for sizes in owned]
    assert sum(owners) == parts * classes and max(owners) - min(owners) <= 1


def test_which_classes_a_part_owns_is_chance() -> None:
    target, together = numbered(per_class=4), []
    for seed in range(300):
        first = partitions.classes_each(target, 4, 2, seed=seed)[0].spec.classes
        together.append(list(first))
    assert_equally_often(together, range(4))
    assert len({tuple(pair) for pair in together}) == 6


def test_shards_give_each_part_at_most_two_classes_when_they_align() -> None:
    pieces = partitions.shards(numbered(), 2, 2, seed=0)
    assert all(len(p.spec.classes) <= 2 for p in pieces)


@pytest.mark.parametrize("scheme", ["iid", "dirichlet", "quantity"])
def test_which_members_of_a_class_come_together_is_chance(scheme: str) -> None:
    """Neighbours in the data share a part as often as members far apart do."""
    target, together = numbered(per_class=20, classes=2), {"neighbours": 0, "far apart": 0}
    for seed in range(150):
        home = {number: i for i, p in enumerate(SCHEMES[scheme](target, 4, seed)) for number in numbers(p.train.inputs)}
        for first in range(0, 16, 2):
            together["neighbours"] += home[first] == home[first + 2]
            together["far apart"] += home[first] == home[first + 22]
    assert 0 < abs(together["neighbours"] - together["far apart"]) < 0.2 * together["far apart"], together


@pytest.mark.parametrize("scheme", ["iid", "shards"])
def test_every_example_comes_to_the_first_part_equally_often(scheme: str) -> None:
    target = numbered(per_class=10)
    draws = [numbers(SCHEMES[scheme](target, 4, seed)[0].train.inputs) for seed in range(400)]
    assert_equally_often(draws, range(40))


def test_equal_parts_differ_by_one_example_at_most_and_another_seed_cuts_otherwise() -> None:
    target = numbered(per_class=11)
    for scheme in SCHEMES:
        cuts = [[numbers(p.train.inputs) for p in SCHEMES[scheme](target, 3, seed)] for seed in (0, 0, 1)]
        assert cuts[0] == cuts[1] != cuts[2], scheme
    assert sorted(len(p.train) for p in partitions.iid(target, 3)) == [14, 15, 15]


def test_a_validation_split_takes_its_share_of_every_class_from_all_of_it() -> None:
    targets = torch.tensor([0, 1, 1, 1]).repeat(10)
    draws = []
    for seed in range(300):
        kept, carved = stratified_split(targets, 0.2, seed)
        assert torch.cat([kept, carved]).sort().values.tolist() == list(range(40))
        assert targets[carved].bincount().tolist() == [2, 6]
        draws.append(carved.tolist())
    assert_equally_often(draws, range(40))


def test_classes_partition_into_tasks_with_their_test_examples(digits: dd.TargetData) -> None:
    tasks = partitions.by_class(digits, 3, order=[9, 8, 7, 6, 5, 4, 3, 2, 1, 0])
    assert [t.spec.classes for t in tasks] == [(6, 7, 8, 9), (3, 4, 5), (0, 1, 2)]
    for task in tasks:
        assert task.test is not None and set(task.test.targets.tolist()) == set(task.spec.classes)
        assert task.spec.normalisation is digits.spec.normalisation
    assert sum(len(t.train) for t in tasks) == len(digits.train)
    assert [t.spec.classes for t in partitions.by_class(digits, 4)] == [(0, 1, 2), (3, 4, 5), (6, 7), (8, 9)]


def test_impossible_partitions_are_refused() -> None:
    target = numbered(per_class=2)
    for call in (
        lambda: partitions.iid(target, 9),
        lambda: partitions.dirichlet(target, 2, 0.0),
        lambda: partitions.by_class(target, 5),
        lambda: partitions.by_class(target, 2, order=[0, 1, 2, 2]),
        lambda: partitions.shards(target, 5, 2),
        lambda: partitions.classes_each(target, 2, 5),
        lambda: partitions.classes_each(target, 3, 4),
    ):
        with pytest.raises(BudgetError):
            call()
