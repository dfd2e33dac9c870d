"""Under Flower itself: processes that talk over the network; its projects and datasets."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from flwr.app import Context, RecordDict
from PIL import Image

import ddcore as dd
from ddapps.federated import ServerData, Settings, from_flwr_dataset, simulate
from ddcore.errors import InputDataError
from ddcore.images import Standardise

ROOT = Path(__file__).resolve().parents[2]
PROJECT = ROOT / "examples" / "federated"


def same_in_process(settings: Settings, clients: int) -> dd.DataSummary:
    target = dd.load_data("digits", normalisation=Standardise((0.5,), (0.5,)), num_classes=10)
    outcome = simulate(settings, dd.data.partitions.dirichlet(target, clients, 0.5, seed=0), ServerData.of(target))
    assert outcome.union is not None
    return outcome.union


def assert_alike(found: dd.DataSummary, wanted: dd.DataSummary) -> None:
    """The same images, up to a grey level or two where threads add in another order."""
    assert found.counts == wanted.counts and len(found.parts) == len(wanted.parts)
    ours, theirs = found.to_pixels(), wanted.to_pixels()
    order = [
        torch.cdist(t.flatten(1), t.flatten(1).mean(dim=0, keepdim=True)).flatten().argsort() for t in (ours, theirs)
    ]
    assert float((ours[order[0]] - theirs[order[1]]).abs().mean()) < 0.02


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_client_that_dies_at_work_and_comes_back_is_in_the_union(tmp_path: Path) -> None:
    words = [sys.executable, str(PROJECT / "deploy_locally.py"), "--steps", "40", "--out", str(tmp_path / "out")]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'core'}:{ROOT}", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
    assert "client 1 is killed at work" in done.stdout
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert results["history"][-1]["in_union"] == 2
    assert results["history"][0]["clients"] < 2
    wanted = same_in_process(Settings(method="dm", ipc=1, steps=40, levels=16, network="convnet(width=4)", epochs=1), 2)
    assert_alike(dd.DataSummary.load(tmp_path / "out" / "union"), wanted)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_all_clients_in_flowers_simulation_engine_are_heard_though_rounds_sample_few() -> None:
    example = ROOT / "examples" / "federated_hundred.py"
    words = [sys.executable, str(example), "--clients", "12", "--rounds", "3"]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'core'}:{ROOT}", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
    heard = re.findall(r"round +(\d+) +(\d+) clients in the union", done.stdout)
    assert heard == [("1", "4"), ("2", "8"), ("3", "12")]


def test_the_projects_settings_are_settings() -> None:
    import tomllib

    config = tomllib.loads((PROJECT / "pyproject.toml").read_text())["tool"]["flwr"]["app"]["config"]
    settings = Settings.from_config({f"distillation.{name}": value for name, value in config["distillation"].items()})
    assert set(config["distillation"]) == {field.name.replace("_", "-") for field in dataclasses.fields(Settings)}
    assert settings.method == "dm" and settings.rounds == 1


def test_rows_of_flwr_datasets_become_data() -> None:
    rows = [{"image": Image.fromarray(np.full((4, 4), 10 * i, np.uint8)), "label": i % 3} for i in range(6)]
    target = from_flwr_dataset(rows, num_classes=5, normalisation=Standardise((0.5,), (0.5,)))
    assert target.counts() == {0: 2, 1: 2, 2: 2} and target.spec.num_classes == 5
    assert target.train.inputs[:, 0, 0, 0].tolist() == [0, 10, 20, 30, 40, 50]
    with pytest.raises(InputDataError, match=r"no column 'img', it has \['image', 'label'\]"):
        from_flwr_dataset(rows, image="img")
    with pytest.raises(InputDataError, match="no row"):
        from_flwr_dataset([])
    uneven = [*rows, {"image": Image.fromarray(np.zeros((5, 4), np.uint8)), "label": 0}]
    with pytest.raises(InputDataError, match="differ in size"):
        from_flwr_dataset(uneven)


def test_a_partition_that_is_no_data_is_refused() -> None:
    from ddapps.federated.client import client_of

    context = Context(1, 1, {"partition-id": 0}, RecordDict(), {})
    with pytest.raises(InputDataError, match=r"must return a ddcore\.TargetData, not list"):
        client_of(context, lambda _: [])  # type: ignore[arg-type,return-value]
