"""The quick protocol stands for the field's longer one, and shows what distillation is worth."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import pytest

import ddcore as dd

NETWORK = "convnet(width=32)"

Accuracy = Callable[[dd.DataSummary, str], float]


@pytest.fixture(scope="module")
def distilled(digits: dd.TargetData) -> dd.DataSummary:
    method = dd.methods.dm(ipc=1, preset="cpu").on_networks(NETWORK)
    return dd.distill(digits, method, steps=60, seed=0)


@pytest.fixture(scope="module")
def selected(digits: dd.TargetData) -> dict[int, dd.DataSummary]:
    return {ipc: dd.distill(digits, dd.methods.random(ipc=ipc), seed=0) for ipc in (1, 10)}


@pytest.fixture(scope="module")
def accuracy(digits: dd.TargetData) -> Accuracy:
    @cache
    def mean(summary: dd.DataSummary, protocol: str) -> float:
        return dd.evaluate(summary, digits, networks=NETWORK, protocol=protocol, runs=2, seed=0).results[0].mean

    return mean


@pytest.mark.slow
def test_quick_is_within_one_point_of_dc(
    accuracy: Accuracy, distilled: dd.DataSummary, selected: dict[int, dd.DataSummary]
) -> None:
    for summary, least, most in ((distilled, 80, 90), (selected[10], 89, 96)):
        quick, dc = (accuracy(summary, protocol) for protocol in ("quick", "dc"))
        assert abs(quick - dc) <= 1.0, f"quick {quick:.2f}, dc {dc:.2f}"
        assert least < quick < most


@pytest.mark.slow
def test_ten_distilled_images_teach_more_than_ten_real_ones(
    accuracy: Accuracy, distilled: dd.DataSummary, selected: dict[int, dd.DataSummary]
) -> None:
    assert accuracy(distilled, "quick") > accuracy(selected[1], "quick") + 12
