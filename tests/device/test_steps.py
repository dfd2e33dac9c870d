"""On a device that is no CPU: the same values, no waiting host, and few transfers.

Run by ``make device``. The device takes a minute to build.
"""

from __future__ import annotations

import os
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import ddcore as dd
from ddcore.engine import Callback
from tests.running import FOLLOWING, STEPPING, doubles, shrunk, untrained_teacher, with_experts

if "DDAPPS_DEVICE" not in os.environ or shutil.which("c++") is None:
    pytest.skip("needs DDAPPS_DEVICE and a C++ compiler", allow_module_level=True)

from tests.device.pretend import Watch, set_up

# The device resizes the output of an operator, where others make it anew.
pytestmark = pytest.mark.filterwarnings("ignore:An output with one or more elements was resized:UserWarning")
DEVICE = set_up()
MOST_TRANSFERS = {"cafe": 30, "haba": 30, "linba": 8, "rfad": 5}
"""Loops that end by accuracy draw at every look; random indices of decoders do not come again."""
WAITING = ("cafe",)
"""The host decides by the accuracy of each look how long inner training lasts."""


def images(classes: int, per_class: int) -> dd.TargetData:
    random = torch.Generator().manual_seed(0)
    inputs = torch.randint(0, 256, (classes * per_class, 3, 16, 16), generator=random, dtype=torch.uint8)
    targets = torch.arange(classes).repeat_interleave(per_class)
    return dd.load_data((inputs, targets, inputs[::per_class], targets[::per_class]), num_classes=classes)


def method_of(name: str, target: dd.TargetData, ipc: int = 2) -> dd.Method:
    frozen = "batch" if name == "dm" else "instance"
    method = replace(shrunk(name, f"convnet(width=4,norm={frozen})", ipc=ipc, steps=5), normalisation=None)
    return method.with_teachers(untrained_teacher(target.spec)) if name in FOLLOWING else method


def watched(target: dd.TargetData, method: dd.Method, *callbacks: Callback) -> Counter[str]:
    """Return the counts of the last but one step: the last one draws no further network."""
    seen: list[Counter[str]] = []
    with Watch() as watch:
        dd.distill(target, method, device=DEVICE, callbacks=[*callbacks, lambda progress: seen.append(watch.taken())])
    return seen[-2]


@pytest.mark.parametrize("name", STEPPING)
def test_a_steady_step_does_not_wait_and_hardly_talks(name: str) -> None:
    target = images(4, 20)
    counts = watched(target, method_of(name, target))
    assert counts["kernels"] > 50
    assert counts["waits"] == 0 or name in WAITING, counts
    assert counts["transfers"] <= MOST_TRANSFERS.get(name, 4), counts


def test_callbacks_read_no_loss_at_a_steady_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ddcore.callbacks.rows.READ_SECONDS", 1e9)  # a slow machine would read meanwhile
    target = images(4, 20)
    observers = (
        dd.callbacks.CSVLog(tmp_path / "progress.csv"),
        dd.callbacks.Snapshots(tmp_path / "snapshots", 2),
        dd.callbacks.TensorBoard(tmp_path / "events", pictures=2),
    )
    plain, observed = (watched(target, method_of("dm", target), *some) for some in ((), observers))
    assert observed["waits"] == plain["waits"] == 0
    assert observed["transfers"] == plain["transfers"]


@pytest.mark.parametrize("name", STEPPING)
def test_the_values_are_those_of_a_cpu(name: str, tmp_path: Path) -> None:
    target = images(3, 12)
    method = with_experts(method_of(name, target), target, tmp_path)
    found = [doubles(target, method, steps=3, device=device) for device in ("cpu", DEVICE)]
    torch.testing.assert_close(found[1], found[0], rtol=1e-8, atol=1e-9)


def test_a_hundred_classes_cost_little_more_than_ten() -> None:
    some = {n: images(n, 400 // n) for n in (10, 100)}
    few, many = (watched(target, method_of("dm", target, ipc=100 // n)) for n, target in some.items())
    assert many["kernels"] <= 3 * few["kernels"]


def test_a_summary_is_evaluated_without_waiting_at_every_update() -> None:
    target = images(3, 12)
    summary = dd.distill(target, dd.methods.build_method("random", ipc=4, target=target))
    counts = []
    for epochs in (10, 20):
        protocol = replace(dd.evaluation.as_protocol("dsa"), name="short").with_epochs(epochs)
        with Watch() as watch:
            dd.evaluate(summary, target, networks="convnet(width=4)", protocol=protocol, runs=1, device=DEVICE)
        counts.append(watch.taken())
    assert counts[0]["waits"] == counts[1]["waits"]
    assert counts[1]["transfers"] - counts[0]["transfers"] <= 1
