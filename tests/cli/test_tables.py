"""A table on the command line, from a file to scores."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import ddcore as dd
from ddapps.cli.main import main


@pytest.fixture
def csv(tmp_path: Path) -> str:
    """Two columns that could be predicted: a class, and a number."""
    random = np.random.default_rng(0)
    x = random.normal(size=200)
    frame = pd.DataFrame({"x": x, "city": random.choice(["Rome", "Oslo"], 200), "label": np.where(x > 0, "yes", "no")})
    frame["price"] = 100 + 20 * x + 5 * (frame["city"] == "Rome")
    frame.to_csv(tmp_path / "table.csv", index=False)
    return str(tmp_path / "table.csv")


def test_distill_evaluate_and_show_work_on_a_file(csv: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(tmp_path / "out")
    words = ["--target", "label", "--method", "kip", "--ipc", "5", "--steps", "20", "--quiet", "--out", out]
    assert main(["distill", csv, *words]) == 0
    summary = dd.DataSummary.load(out)
    assert summary.spec.class_names == ("no", "yes") and summary.record["data"] == "table"
    capsys.readouterr()
    learners = "mlp(width=16),sklearn:logistic-regression,sklearn:k-neighbors(n_neighbors=1)"
    assert main(["evaluate", out, "--data", csv, "--networks", learners, "--runs", "2", "--quiet", "--json", "-"]) == 0
    results = json.loads(capsys.readouterr().out)["results"]
    assert [r["network"] for r in results] == learners.split(",")
    for result in results:
        assert result["score"] == "accuracy" and result["runs"] == 2
        assert result["scores"]["accuracy"] == {k: result[k] for k in ("mean", "std", "ci95")}
        assert set(result["scores"]) == {"accuracy", "macro_f1", "roc_auc"}
        assert result["mean"] > 75
    assert main(["show", out]) == 0
    shown = capsys.readouterr().out
    assert summary.to_dataframe()["city"][0] in shown and "label" in shown
    assert main(["show", out, "--out", str(tmp_path / "x.png")]) == 2
    assert "tables have no picture" in capsys.readouterr().err
    assert main(["distill", csv, *words]) == 0
    assert "was finished already" in capsys.readouterr().out


def test_the_target_and_the_task_are_heard(csv: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--method", "random", "--ipc", "10", "--quiet"]
    assert main(["distill", csv, "--target", "price", *words, "--out", str(tmp_path / "price")]) == 0
    spec = dd.DataSummary.load(tmp_path / "price").spec
    assert spec.task.name == "regression" and spec.modality == "tables"
    capsys.readouterr()
    regressor = ["--networks", "sklearn:ridge", "--runs", "1", "--quiet"]
    assert main(["evaluate", str(tmp_path / "price"), "--data", csv, *regressor]) == 0
    assert "r2 " in capsys.readouterr().out
    assert main(["distill", csv, "--target", "price", "--task", "classification", *words, "--out", "x"]) == 2
    assert "price holds numbers that are not whole" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "which column is predicted? --target COLUMN is one of x, city, label, price"),
        (["--target", "nothing"], "unknown column 'nothing'"),
        (["--target", "label", "--size", "8"], "tables are loaded without 'size'"),
        (["--target", "label", "--network", "convnet"], "ConvNet is for images, the data are tables"),
        (["--target", "label", "--method", "haba"], "hallucinators makes images, the data are tables"),
        (["--target", "label", "--modality", "melodies"], ""),
    ],
)
def test_bad_words_are_one_line(
    csv: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    if not message:
        with pytest.raises(SystemExit):
            main(["distill", csv, *words, "--out", str(tmp_path / "out")])
        return
    assert main(["distill", csv, *words, "--quiet", "--out", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err.strip()
    assert message in said and said.count("\n") == 0
    assert not (tmp_path / "out" / "config.json").exists()


@pytest.mark.parametrize(
    "words",
    [
        ["privacy", "distill", "wine", "--epsilon", "5", "--delta", "1e-3", "--out", "x"],
        ["continual", "run", "wine"],
        ["nas", "rank", "wine"],
    ],
    ids=lambda words: words[0],
)
def test_applications_of_images_alone_say_what_they_take(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    said = capsys.readouterr().err
    assert said.endswith(" error: 'wine' names tables, and images are wanted: give other data\n")


def test_federated_learning_takes_tables_with_a_network_of_theirs(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["federated", "run", "wine", "--clients", "2", "--alpha", "5", "--seeds", "1", "--ipc", "1", "--quiet"]
    words += ["--workers", "1"]
    assert main([*words, "--baselines", ""]) == 2
    assert "ConvNet is for images, the data are tables" in capsys.readouterr().err
    assert main([*words, "--network", "mlp(width=8)", "--steps", "1", "--baselines", "random"]) == 0
    assert "random" in capsys.readouterr().out
