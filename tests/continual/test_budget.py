from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

import ddcore as dd
from ddapps.continual import MemoryBudget
from ddcore.errors import BudgetError, SettingsError


@pytest.mark.parametrize(
    ("text", "budget"),
    [
        (200, MemoryBudget(200)),
        ("200", MemoryBudget(200)),
        ("10-per-class", MemoryBudget(10, per_class=True)),
        ("20kB", MemoryBudget(20_000, "bytes")),
        ("1.5KiB", MemoryBudget(1536, "bytes")),
        ("650B-per-class", MemoryBudget(650, "bytes", per_class=True)),
        (dd.Budget(99), MemoryBudget(99, "bytes")),
    ],
)
def test_a_budget_is_what_its_text_says(text: int | str | dd.Budget, budget: MemoryBudget) -> None:
    assert MemoryBudget.parse(text) == budget


@pytest.mark.parametrize("text", ["", "ten", "0", -3, "1.5", "1.5-per-class", "3 apples", "10-per-task"])
def test_what_is_no_budget_is_refused(text: int | str) -> None:
    with pytest.raises(SettingsError):
        MemoryBudget.parse(text)


streams = st.lists(st.lists(st.integers(0, 4), min_size=1, max_size=4, unique=True), min_size=1, max_size=6)


@given(amount=st.integers(30, 500), parts=streams)
def test_what_all_parts_may_hold_is_the_whole_amount(amount: int, parts: list[list[int]]) -> None:
    keys = [[(0, class_id) for class_id in part] for part in parts]
    allowed = MemoryBudget(amount).allowances(keys)
    assert sum(sum(part.values()) for part in allowed) == amount
    each = {key: sum(part.get(key, 0) for part in allowed) for part in allowed for key in part}
    assert max(each.values()) - min(each.values()) <= 1


@given(amount=st.integers(6, 50), parts=streams)
def test_a_class_holds_its_own_amount_in_however_many_parts(amount: int, parts: list[list[int]]) -> None:
    allowed = MemoryBudget(amount, per_class=True).allowances([[(0, c) for c in part] for part in parts])
    for class_id in {c for part in parts for c in part}:
        held = [part[0, class_id] for part in allowed if (0, class_id) in part]
        assert sum(held) == amount
        assert max(held) - min(held) <= 1


def test_the_same_class_of_two_tasks_is_two_classes() -> None:
    assert MemoryBudget(10).allowances([[(0, 3)], [(1, 3)]]) == [{(0, 3): 5}, {(1, 3): 5}]


def test_a_share_of_nothing_is_refused() -> None:
    with pytest.raises(BudgetError, match="give more memory"):
        MemoryBudget(1, per_class=True).allowances([[(0, 3)], [(0, 3)]])
