from __future__ import annotations

from dataclasses import replace

import pytest

import ddcore as dd
from ddcore.errors import BudgetError, SettingsError
from ddcore.images import Pixels
from ddcore.methods.loops import DC_LOOPS, DCC_LOOPS, loops_for
from ddcore.parts import largest_ipc

AVAILABLE = {0: 3, 2: 50, 7: 10}


def test_a_number_a_mapping_and_a_clipped_number() -> None:
    assert Pixels(ipc=3).counts_for(AVAILABLE) == {0: 3, 2: 3, 7: 3}
    assert Pixels(ipc={7: 2, 0: 1}).counts_for(AVAILABLE) == {0: 1, 7: 2}
    assert Pixels(ipc="clip:20").counts_for(AVAILABLE) == {0: 3, 2: 20, 7: 10}
    assert [largest_ipc(ipc) for ipc in (3, {7: 2, 0: 1}, "clip:20")] == [3, 2, 20]


@pytest.mark.parametrize(
    "ipc", [0, -1, True, 1.5, "clip", "clip:", "clip:0", "clip:-3", "ten", {}, {0: 0}, {"0": 1}, None]
)
def test_other_forms_are_refused(ipc: object) -> None:
    for build in (Pixels, dd.methods.dc, dd.methods.dcc, dd.methods.idc):
        with pytest.raises(SettingsError, match="ipc"):
            build(ipc=ipc)  # type: ignore[operator]


def test_a_budget_beyond_a_class_an_empty_class_and_a_stranger_are_refused_before_any_work(
    few_digits: dd.TargetData,
) -> None:
    with pytest.raises(BudgetError, match=r"it has 3.*clip:4"):
        Pixels(ipc=4).counts_for(AVAILABLE)
    with pytest.raises(SettingsError, match="does not have"):
        Pixels(ipc={5: 1}).counts_for(AVAILABLE)
    with_empty = replace(few_digits, spec=replace(few_digits.spec, classes=(0, 1, 3, 7)))
    for method in (build(ipc=1, preset="paper") for build in (dd.methods.dsa, dd.methods.idc, dd.methods.it_gan)):
        with pytest.raises(BudgetError, match="class 3 has no example"):
            dd.distill(with_empty, method)


def test_every_method_takes_what_small_classes_have(few_digits: dd.TargetData) -> None:
    method = dd.methods.dsa(ipc="clip:100", preset="cpu").on_networks("convnet(width=4)").with_steps(1)
    summary = dd.distill(few_digits, method)
    assert summary.counts == {0: 40, 1: 40, 7: 40}


def test_loops_follow_the_tables_and_straight_lines_between() -> None:
    for ipc, loops in DC_LOOPS.items():
        assert loops_for(ipc) == loops
    assert loops_for(25) == (25, 22) and loops_for(100) == (50, 10)
    assert loops_for(30, DCC_LOOPS) == DCC_LOOPS[30] and loops_for(1, DCC_LOOPS) == (10, 5)
    assert all(min(loops_for(ipc)) >= 1 for ipc in range(1, 120))
