from __future__ import annotations

import pytest

import ddcore as dd


def test_recipes_merge_by_geometric_means() -> None:
    a, b = (dd.Recipe(learning_rate=rate) for rate in (0.01, 0.04))
    assert dd.Recipe.merged([a, b]).learning_rate == pytest.approx(0.02)
    assert dd.Recipe.merged([a, a]) == a
    steps = [dd.training.Steps((0.1 * k, 0.4), 1, 0.5) for k in (1, 4)]
    merged = dd.Recipe.merged([dd.Recipe(steps=s) for s in steps]).steps
    assert merged is not None
    assert merged.rates == pytest.approx((0.2, 0.4))
    assert (merged.per_class, merged.momentum) == (1, 0.5)


@pytest.mark.parametrize(
    "others",
    [[dd.Recipe("squared_error")], [dd.Recipe(learning_rate=0.1)], [dd.Recipe(steps=dd.training.Steps((0.1,)))], None],
)
def test_recipes_that_differ_in_kind_do_not_merge(others: list[dd.Recipe] | None) -> None:
    with pytest.raises(dd.errors.SettingsError, match="recipe="):
        dd.Recipe.merged([] if others is None else [dd.Recipe(), *others])
