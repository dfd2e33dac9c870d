from __future__ import annotations

import json
from pathlib import Path

import pytest

import ddcore as dd
from ddapps.cli.main import main
from tests.cli.test_commands import npz  # noqa: F401

NETWORK = ["--network", "convnet(width=4,depth=2)"]
TRAIN = ["--epochs", "4", "--set", "batch_size=60", "--quiet", *NETWORK]
DISTILL = ["--method", "mtt", "--ipc", "1", "--steps", "2", "--quiet", *NETWORK]


def test_experts_are_trained_once_and_used_by_runs(
    npz: str,  # noqa: F811
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    experts, out = str(tmp_path / "experts"), str(tmp_path / "out")
    segments = ["--set", "networks.last_start=2", "--set", "networks.length=2"]
    assert main(["experts", "train", npz, "--count", "1", "--out", experts, *TRAIN]) == 0
    assert main(["experts", "train", npz, "--count", "2", "--out", experts, *TRAIN]) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith("2 experts of 4 epochs")
    words = ["distill", npz, "--experts", experts, "--out", out, *DISTILL, *segments]
    assert main(words) == 0
    assert "its experts" not in capsys.readouterr().out
    summary = dd.DataSummary.load(out)
    assert summary.record["experts"]["count"] == 2
    assert tmp_path.name not in json.dumps(summary.record)
    assert main(words) == 0
    assert "was finished already" in capsys.readouterr().out
    assert main(["experts", "train", npz, "--count", "2", "--seed", "1", "--out", experts, *TRAIN]) == 1
    assert "seed is 0, the run's is 1" in capsys.readouterr().err
    assert main([*words, "--set", "networks.last_start=4", "--overwrite"]) == 1
    assert "need experts of 5 epochs; these have 4" in capsys.readouterr().err


def test_a_run_without_experts_trains_its_own_and_says_where_they_lie(
    npz: str,  # noqa: F811
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "out"
    few = ["networks.count=1", "networks.last_start=1", "networks.length=1", "networks.training.epochs=1"]
    settings = [word for setting in few for word in ("--set", setting)]
    assert main(["distill", npz, "--out", str(out), *DISTILL, *settings]) == 0
    printed = capsys.readouterr().out
    assert "of training) lie in" in printed and "--experts" in printed
    assert (out / "checkpoint.safetensors.experts" / "experts.json").exists()
    assert not (out / "checkpoint.safetensors").exists()
    reused = ["--experts", str(out / "checkpoint.safetensors.experts"), *settings[:-2]]
    assert main(["distill", npz, "--out", str(tmp_path / "again"), *DISTILL, *reused]) == 0


def test_experts_are_for_trajectories_alone(npz: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:  # noqa: F811
    assert (
        main(["distill", npz, "--method", "dm", "--experts", str(tmp_path), "--out", str(tmp_path / "out"), "--quiet"])
        == 2
    )
    assert "--experts is for trajectory matching" in capsys.readouterr().err


def test_kernel_regression_is_a_protocol(npz: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:  # noqa: F811
    out = str(tmp_path / "out")
    assert main(["distill", npz, "--method", "kip", "--ipc", "2", "--steps", "3", "--quiet", "--out", out]) == 0
    capsys.readouterr()
    words = ["evaluate", out, "--data", npz, "--protocol", "krr", "--kernels", "ntk,nngp(layers=conv,depth=2)"]
    assert main([*words, "--json", "-"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["protocol"] == "krr" and report["details"]["ridge"] == 1e-6
    assert [r["network"] for r in report["results"]] == [
        "ntk, infinite width",
        "nngp(layers=conv,depth=2), infinite width",
    ]
    assert all(r["runs"] == 1 and r["mean"] > 80 for r in report["results"])
