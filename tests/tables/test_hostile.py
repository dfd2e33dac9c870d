"""A stored summary of a table is a stranger's: what is amiss is an error of ours, and soon."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ddcore as dd
from ddcore.errors import SummaryFormatError

Spec = dict[str, Any]


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One summary of classes, one of a number."""
    random, folder = np.random.default_rng(0), tmp_path_factory.mktemp("stored")
    x = random.normal(size=(60, 2))
    found = {}
    for name, y in (("classes", random.integers(0, 2, 60)), ("number", x[:, 0] * 3 + 1)):
        target = dd.load_data((x, y), name=name)
        summary = dd.distill(target, dd.methods.build_method("random", ipc=2, target=target))
        found[name] = summary.save(folder / name)
    return found


def changed(path: Path, change: Callable[[Spec], object], tmp_path: Path) -> Path:
    config = json.loads((path / "config.json").read_text())
    change(config["spec"])
    for file in path.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "config.json").write_text(json.dumps(config))
    return tmp_path


CHANGES: list[Callable[[Spec], object]] = [
    lambda s: s.update(modality="graphs"),
    lambda s: s.update(modality=["tables"]),
    lambda s: s.pop("columns"),
    lambda s: s.update(extra=1),
    lambda s: s["columns"][0].update(extra=1),
    lambda s: s["columns"][0].update(name="x1"),
    lambda s: s["columns"][0].update(name="a\x1b[2J"),
    lambda s: s["columns"][0].update(name=3),
    lambda s: s["columns"][0].update(categories="uv"),
    lambda s: s["columns"][0].update(categories=["a", "a"]),
    lambda s: s["columns"][0].update(categories=[str(i) for i in range(100_000)]),
    lambda s: s.update(columns=s["columns"] * 500_000),
    lambda s: s.update(columns=[]),
    lambda s: s.update(target="x0"),
    lambda s: s.update(target="p\n"),
    lambda s: s.update(shape=[2.0]),
    lambda s: s.update(shape=[10**9]),
    lambda s: s.update(class_names="01"),
    lambda s: s.update(classes=[0, 0]),
    lambda s: s.update(num_classes=7),
    lambda s: s["normalisation"].update(name="standard"),
    lambda s: s["normalisation"].update(mean="00"),
    lambda s: s["normalisation"].update(mean=[True, 0.0]),
    lambda s: s["normalisation"].update(mean=[float("nan"), 0.0]),
    lambda s: s["normalisation"].update(std=[0.0, 1.0]),
    lambda s: s["normalisation"].update(std=[1e300, 1.0]),
    lambda s: s["normalisation"].update(std=[1.0]),
    lambda s: s.update(task={"name": "ranking"}),
    lambda s: s.update(task={"name": "regression", "scale": "1e3", "mean": 0.0}),
    lambda s: s.update(task={"name": "regression", "scale": 1e308, "mean": 0.0}),
    lambda s: s.update(task={"name": "regression", "scale": 1.0, "mean": float("inf")}),
    lambda s: s.update(task={"name": "regression", "scale": -1.0, "mean": 0.0}),
    lambda s: s.update(task={"name": "regression"}),
    lambda s: s.update(task=None),
]


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("kind", ["classes", "number"])
def test_a_changed_spec_is_refused(
    kind: str, change: Callable[[Spec], object], stored: dict[str, Path], tmp_path: Path
) -> None:
    with pytest.raises(SummaryFormatError):
        dd.DataSummary.load(changed(stored[kind], change, tmp_path))


def test_an_unchanged_one_is_not(stored: dict[str, Path], tmp_path: Path) -> None:
    assert len(dd.DataSummary.load(changed(stored["number"], lambda s: None, tmp_path)).to_dataframe()) == 2


def test_a_number_is_not_learned_by_the_loss_of_classes(stored: dict[str, Path], tmp_path: Path) -> None:
    path = changed(stored["number"], lambda s: None, tmp_path)
    config = json.loads((path / "config.json").read_text())
    config["recipe"]["loss"] = "cross_entropy"
    (path / "config.json").write_text(json.dumps(config))
    with pytest.raises(SummaryFormatError, match="regression is not learned by the loss 'cross_entropy'"):
        dd.DataSummary.load(path)
