"""Calls in processes of Ray return what they would return here."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

import ddcore as dd
from ddcore.errors import MissingExtraError, SettingsError
from ddcore.sources import ExpertBuffer
from tests.engine.beside import ranking
from tests.networks.test_experts import trained

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return where ``beside`` left what it found."""
    pytest.importorskip("ray")
    place = tmp_path_factory.mktemp("beside")
    words = [sys.executable, "-m", "tests.engine.beside", str(place)]
    ended = subprocess.run(
        words, cwd=ROOT, env={**os.environ}, capture_output=True, text=True, timeout=250, check=False
    )
    assert ended.returncode == 0, ended.stderr[-2000:]
    return place


@pytest.fixture(scope="module")
def found(folder: Path) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((folder / "found.json").read_text())
    return read


@pytest.mark.slow
def test_runs_in_processes_have_the_numbers_of_one(found: dict[str, Any]) -> None:
    here, there = found["reports"]
    assert len(here[0]) == 2
    assert here[1] == [
        "4 models will be trained on random of few digits: mlp(width=8) x 2, convnet(width=4) x 2",
        "4 of 4 models:",
    ]
    assert here == there


@pytest.mark.slow
def test_processes_train_the_same_experts(folder: Path, few_digits: dd.TargetData, tmp_path: Path) -> None:
    alone, beside = trained(few_digits, tmp_path), ExpertBuffer(folder / "experts")
    for number in range(2):
        torch.testing.assert_close(alone.rows(number, 3), beside.rows(number, 3), rtol=1e-4, atol=1e-6)


@pytest.mark.slow
def test_a_process_that_dies_is_replaced(found: dict[str, Any]) -> None:
    assert found["dies once"] == [[0, 2]]
    assert found["dies always"].startswith("WorkerError: call 0: its process died 1 times")


@pytest.mark.slow
def test_candidates_reach_the_same_in_processes(found: dict[str, Any]) -> None:
    theirs, ours = found["ranking"], ranking(workers=1)
    assert theirs["truth"]["accuracies"] == ours["truth"]["accuracies"]
    assert theirs["proxies"][0]["scores"] == ours["proxies"][0]["scores"]


@pytest.mark.slow
def test_an_error_of_a_call_is_that_error(found: dict[str, Any]) -> None:
    assert found["refuses"] == "BudgetError: class 3 has too few"


@pytest.mark.slow
def test_ray_is_left_as_it_was(found: dict[str, Any]) -> None:
    assert found["Ray"] == [True, True]


def test_what_workers_need_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError, match="must not be negative"):
        dd.Workers(-1)
    with pytest.raises(SettingsError, match="a Ray cluster needs workers"):
        dd.Workers(0, "127.0.0.1:6379")
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError, match=r"\[ray\]"):
        dd.Workers(1)
