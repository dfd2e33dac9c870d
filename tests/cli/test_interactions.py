"""Interactions on the command line, from a file to scores beside those of all users."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import ddcore as dd
from ddapps.cli.main import main
from tests.interactions.data import pairs


def test_distill_evaluate_and_show_work_on_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, out = tmp_path / "pairs.csv", str(tmp_path / "out")
    pairs().to_csv(data, index=False)
    words = ["--method", "distill_cf", "--users", "6", "--steps", "2", "--quiet", "--out", out]
    assert main(["distill", str(data), *words]) == 0
    summary = dd.DataSummary.load(out)
    assert summary.counts == {0: 6} and summary.record["data"] == "pairs"
    capsys.readouterr()
    assert main(["evaluate", out, "--data", str(data), "--quiet", "--json", "-"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [r["network"] for r in found["results"]] == ["infinite-autoencoder", "ease"]
    beside = found["full_data"]
    assert [r["network"] for r in beside["results"]] == ["infinite-autoencoder", "ease", "popularity"]
    assert beside["method"] == "full data" and set(beside["results"][0]["scores"]) >= {"ndcg@10", "hr@10", "psp@10"}
    words = ["--networks", "ease(ridges=(5.0,)),mlp(width=4)", "--runs", "1", "--quiet", "--json", "-"]
    assert main(["evaluate", out, "--data", str(data), "--sizes", *words]) == 0
    found = json.loads(capsys.readouterr().out)
    assert "full_data" not in found and found["storage"]["stored"] == summary.stored_bytes
    assert found["storage"]["original"] == 200 * 7 * 2
    assert main(["show", out]) == 0
    assert "items most sampled" in capsys.readouterr().out


def test_users_are_of_interactions_and_said_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["distill", "digits", "--users", "5", "--out", str(tmp_path)]) == 2
    assert "--users is of interactions" in capsys.readouterr().err
    data = tmp_path / "pairs.csv"
    pairs().to_csv(data, index=False)
    words = ["--method", "random", "--users", "5", "--ipc", "6", "--out", str(tmp_path / "out")]
    assert main(["distill", str(data), *words]) == 2
    assert "--ipc and --users both say how much is stored" in capsys.readouterr().err
