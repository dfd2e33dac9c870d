"""A checkpoint knows its run by everything that its bytes depend on.

Another run is refused by the name of what differs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import ddcore as dd
from ddcore.errors import CheckpointError
from ddcore.ground import read_state
from ddcore.images import Pixels
from ddcore.matching import DistributionMatching
from ddcore.networks import MLP
from ddcore.sources import FreshNetworks

METHOD = dd.Method(
    factorization=Pixels(ipc=1),
    matching=DistributionMatching(real_batch=5),
    networks=FreshNetworks(MLP(width=4, depth=1)),
    steps=2,
)


@pytest.fixture(scope="module")
def starts(few_digits: dd.TargetData) -> list[dd.DataSummary]:
    return [dd.distill(few_digits, METHOD, steps=0, seed=seed) for seed in (5, 6)]


@pytest.fixture(scope="module")
def begun(
    few_digits: dd.TargetData, starts: list[dd.DataSummary], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    """A run with a checkpoint."""
    place = tmp_path_factory.mktemp("fingerprint") / "checkpoint"
    run = {"target": few_digits, "method": METHOD, "start": starts[0], "micro_batch": 8, "checkpoint": place}
    dd.distill(**run, max_seconds=0.0)
    return run


@pytest.fixture
def other_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(before + 1)
    yield
    torch.set_num_threads(before)


def test_it_names_all_that_a_runs_bytes_depend_on(begun: dict[str, Any]) -> None:
    fingerprint = read_state(begun["checkpoint"])["fingerprint"]
    assert set(fingerprint) == {
        "method", "data", "seed", "start", "precision", "device", "micro_batch", "compile", "threads", "versions",
    }  # fmt: skip
    assert fingerprint["versions"].keys() == {"ddcore", "torch", "numpy"}
    assert (fingerprint["threads"], fingerprint["device"]) == (torch.get_num_threads(), "cpu")


def refuses(begun: dict[str, Any], what: str, **change: Any) -> None:
    with pytest.raises(CheckpointError, match=rf"belongs to another run: {what}\S* was"):
        dd.distill(**{**begun, **change})


def test_another_request_is_refused(begun: dict[str, Any], starts: list[dd.DataSummary]) -> None:
    target: dd.TargetData = begun["target"]
    refuses(begun, "seed", seed=1)
    refuses(begun, "method", steps=3)
    refuses(begun, "method", method=dd.override(METHOD, "optimiser.learning_rate", 0.123))
    refuses(begun, "method", precision="fp64")
    refuses(begun, "start", start=starts[1])
    refuses(begun, "start", start=None)
    refuses(begun, "micro_batch", micro_batch=9)
    refuses(begun, "compile", compile=True)
    refuses(begun, "data", target=target.with_train(torch.arange(119), target.name))
    refuses(begun, "data", target=replace(target, spec=replace(target.spec, mirror=True)))


@pytest.mark.usefixtures("other_threads")
def test_another_number_of_threads_is_refused(begun: dict[str, Any]) -> None:
    refuses(begun, "threads")


@pytest.mark.parametrize("name", ["ddcore.engine.distill.__version__", "torch.__version__", "numpy.__version__"])
def test_another_version_is_refused(begun: dict[str, Any], monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(name, "99.0.0")
    refuses(begun, "versions")


def test_the_same_request_goes_on(begun: dict[str, Any], tmp_path: Path) -> None:
    place = tmp_path / "checkpoint"
    place.write_bytes(begun["checkpoint"].read_bytes())
    whole = dd.distill(**{**begun, "checkpoint": None})
    assert dd.distill(**{**begun, "checkpoint": place}).sha256() == whole.sha256()
