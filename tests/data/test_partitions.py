from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import ddcore as dd
from ddcore.data import partitions
from ddcore.errors import BudgetError

SCHEMES: dict[str, Callable[[dd.TargetData, int, int], list[dd.TargetData]]] = {
    "iid": lambda t, n, s: partitions.iid(t, n, seed=s),
    "dirichlet": lambda t, n, s: partitions.dirichlet(t, n, 0.1, seed=s),
    "quantity": lambda t, n, s: partitions.quantity_skew(t, n, 0.5, seed=s),
    "shards": lambda t, n, s: partitions.shards(t, n, 2, seed=s),
}


def numbered(per_class: int = 30, classes: int = 4) -> dd.TargetData:
    n = per_class * classes
    pixels = torch.arange(n, dtype=torch.uint8).view(n, 1, 1, 1)
    return dd.load_data({"x_train": pixels, "y_train": torch.arange(n) % classes}, normalisation="none")


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


def test_shards_give_each_part_at_most_two_classes_when_they_align() -> None:
    pieces = partitions.shards(numbered(), 2, 2, seed=0)
    assert all(len(p.spec.classes) <= 2 for p in pieces)


def test_classes_partition_into_tasks_with_their_test_examples(digits: dd.TargetData) -> None:
    tasks = partitions.by_class(digits, 3, order=[9, 8, 7, 6, 5, 4, 3, 2, 1, 0])
    assert [t.spec.classes for t in tasks] == [(6, 7, 8, 9), (3, 4, 5), (0, 1, 2)]
    for task in tasks:
        assert task.test is not None and set(task.test.targets.tolist()) == set(task.spec.classes)
        assert task.spec.normalisation is digits.spec.normalisation
    assert sum(len(t.train) for t in tasks) == len(digits.train)


def test_impossible_partitions_are_refused() -> None:
    target = numbered(per_class=2)
    for call in (
        lambda: partitions.iid(target, 9),
        lambda: partitions.dirichlet(target, 2, 0.0),
        lambda: partitions.by_class(target, 5),
        lambda: partitions.by_class(target, 2, order=[0, 1, 2, 2]),
        lambda: partitions.shards(target, 5, 2),
    ):
        with pytest.raises(BudgetError):
            call()
