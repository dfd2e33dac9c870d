"""Under Flower's own engines: a simulation by `flwr run`, and processes that talk over the network."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from flwr.app import Context, RecordDict
from PIL import Image

import ddcore as dd
from ddapps.federated import ServerData, Settings, from_flwr_dataset, simulate
from ddcore.data import Standardise
from ddcore.errors import InputDataError

ROOT = Path(__file__).resolve().parents[2]
PROJECT = ROOT / "examples" / "federated"
BIN = Path(sys.executable).parent


def environment(home: Path) -> dict[str, str]:
    return {
        **os.environ,
        "PYTHONPATH": f"{ROOT / 'core'}:{ROOT}",
        "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
        "OMP_NUM_THREADS": "1",
        "FLWR_HOME": str(home),
        "FLWR_TELEMETRY_ENABLED": "0",
        "FLWR_DISABLE_UPDATE_CHECK": "1",
        "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1",
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    }


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
    words = [sys.executable, str(PROJECT / "deploy_locally.py"), "--out", str(tmp_path / "out")]
    done = subprocess.run(words, env=environment(tmp_path), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
    assert "client 1 is killed at work" in done.stdout
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert results["history"][-1]["in_union"] == 2
    assert results["history"][0]["clients"] < 2
    wanted = same_in_process(
        Settings(method="dm", ipc=1, steps=200, levels=16, network="convnet(width=4)", epochs=1), 2
    )
    assert_alike(dd.DataSummary.load(tmp_path / "out" / "union"), wanted)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_flwr_run_gives_what_one_process_gives(tmp_path: Path) -> None:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    home = tmp_path / "home"
    home.mkdir()
    (home / "config.toml").write_text(f'[superlink.here]\naddress = "127.0.0.1:{port}"\ninsecure = true\n')
    link = [str(BIN / "flower-superlink"), "--insecure", "--simulation", "--host", "127.0.0.1", "--port", str(port)]
    log = (tmp_path / "superlink.log").open("wb")
    superlink = subprocess.Popen(
        link, env=environment(home), cwd=tmp_path, stdout=log, stderr=log, start_new_session=True
    )
    try:
        ends = time.monotonic() + 60
        while time.monotonic() < ends:
            with socket.socket() as one:
                if one.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.2)
        changes = (
            'distillation.ipc=1 distillation.steps=2 distillation.network="convnet(width=4)" distillation.epochs=2 '
        )
        words = [
            str(BIN / "flwr"),
            "run",
            str(PROJECT),
            "here",
            "--stream",
            "--run-config",
            f'{changes} out="{tmp_path / "out"}"',
        ]
        words += ["--federation-config", "num-supernodes=3 client-resources-num-cpus=1 init-args-num-cpus=2"]
        done = subprocess.run(words, env=environment(home), cwd=tmp_path, capture_output=True, text=True, check=False)
        assert (tmp_path / "out" / "results.json").exists(), done.stdout[-5000:] + done.stderr[-2000:]
    finally:
        os.killpg(superlink.pid, signal.SIGKILL)
        superlink.wait()
        log.close()
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert results["history"][0]["clients"] == 3 and results["rejections"] == []
    wanted = same_in_process(
        Settings(method="dm", ipc=1, steps=2, levels=16, network="convnet(width=4)", epochs=2, min_clients=3), 3
    )
    assert_alike(dd.DataSummary.load(tmp_path / "out" / "union"), wanted)


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
