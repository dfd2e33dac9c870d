"""A graph on the command line, from a file to scores."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

import ddcore as dd
from ddapps.cli.main import main
from tests.graphs import sets
from tests.graphs.data import written


def test_distill_evaluate_and_show_work_on_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, out = str(written(tmp_path / "blocks.npz")), str(tmp_path / "out")
    words = [
        "--method",
        "gcond",
        "--ratio",
        "0.1",
        "--steps",
        "3",
        "--set",
        "factorization.width=8",
        "--quiet",
        "--out",
        out,
    ]
    assert main(["distill", data, *words]) == 0
    summary = dd.DataSummary.load(out)
    assert summary.counts == {0: 2, 1: 2, 2: 2} and summary.record["data"] == "blocks"
    capsys.readouterr()
    words = [
        "--protocol",
        "gcond",
        "--networks",
        "gcn(width=8)",
        "--runs",
        "1",
        "--quiet",
        "--json",
        "-",
    ]
    assert main(["evaluate", out, "--data", data, *words]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [r["network"] for r in found["results"]] == ["gcn(width=8)"]
    assert found["details"]["iterate"] == "best_validation"
    assert main(["show", out, "--out", str(tmp_path / "x.png")]) == 0
    with Image.open(tmp_path / "x.png") as drawn:
        assert drawn.size == (640, 640)
    assert main(["show", out]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines[-3:]] == [["0", "2"], ["1", "2"], ["2", "2"]]


def test_sizes_are_said_once_and_settings_reach_the_data(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, out = str(written(tmp_path / "blocks.npz")), str(tmp_path / "out")
    assert main(["distill", data, "--method", "gcond", "--ratio", "0.1", "--ipc", "2", "--out", out]) == 2
    assert "--ipc and --ratio both say how much is stored" in capsys.readouterr().err
    assert main(["distill", "digits", "--ratio", "0.1", "--out", out]) == 2
    assert "must be nodes of a graph" in capsys.readouterr().err
    assert main(["distill", "digits", "--setting", "inductive", "--out", out]) == 2
    assert "images are loaded without 'setting'" in capsys.readouterr().err
    words = ["--matching", "gcond", "--factorization", "graph-similarity(width=4)", "--ratio", "0.1", "--steps", "1"]
    assert main(["distill", data, *words, "--quiet", "--out", f"{out}/pair"]) == 0
    assert dd.DataSummary.load(f"{out}/pair").counts == {0: 2, 1: 2, 2: 2}
    seen = []
    for setting in ("transductive", "inductive"):
        words = ["--setting", setting, "--method", "random", "--ipc", "2", "--quiet", "--out", f"{out}/{setting}"]
        assert main(["distill", data, *words]) == 0
        seen.append(dd.DataSummary.load(f"{out}/{setting}").record["data_sha256"])
    assert seen[0] != seen[1]


def test_sets_of_graphs_go_from_a_file_to_scores(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, out = str(sets.written(tmp_path / "graphs.npz")), str(tmp_path / "out")
    words = ["--method", "doscond", "--ipc", "2", "--steps", "2", "--quiet"]
    assert main(["distill", data, *words, "--out", out]) == 0
    words = [
        "--protocol",
        "doscond",
        "--networks",
        "gcn(width=8),mlp(width=4)",
        "--runs",
        "1",
        "--quiet",
        "--json",
        "-",
    ]
    capsys.readouterr()
    assert main(["evaluate", out, "--data", data, *words]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [r["network"] for r in found["results"]] == ["gcn(width=8)", "mlp(width=4)"]
    assert main(["show", out, "--out", str(tmp_path / "x.png")]) == 0
    with Image.open(tmp_path / "x.png") as drawn:
        assert drawn.size[0] > 1200 and drawn.size[1] == 400
    assert main(["show", out]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:3] for line in lines[-2:]] == [["0", "2", "12"], ["1", "2", "12"]]
