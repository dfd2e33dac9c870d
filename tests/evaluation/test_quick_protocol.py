from __future__ import annotations

import pytest

import ddcore as dd


@pytest.mark.slow
@pytest.mark.parametrize("ipc", [1, 10])
@pytest.mark.parametrize("name", ["random", "dm"])
def test_quick_is_within_one_point_of_dc(digits: dd.TargetData, name: str, ipc: int) -> None:
    method = dd.methods.build_method(name, ipc=ipc, preset="cpu")
    summary = dd.distill(digits, method, steps=60 if name == "dm" else None, seed=0)
    quick, dc = (dd.evaluate(summary, digits, protocol=p, runs=5, seed=0).results[0] for p in ("quick", "dc"))
    assert abs(quick.mean - dc.mean) <= 1.0, f"quick {quick.mean:.2f}, dc {dc.mean:.2f}"
