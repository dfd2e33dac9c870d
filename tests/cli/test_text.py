"""Sentences on the command line, from a file and word vectors to scores."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import ddcore as dd
from ddapps.cli.main import main
from tests.text.data import sentences, vectors


def test_distill_evaluate_and_show_work_on_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, out = str(tmp_path / "topics"), str(tmp_path / "out")
    Path(data).write_text("".join(f"{label}\t{text}\n" for text, label in sentences().to_numpy()))
    words, matrix = vectors()
    np.savez(tmp_path / "vectors.npz", words=np.array(words), vectors=matrix)
    options = ["--embeddings", str(tmp_path / "vectors.npz"), "--length", "9"]
    chosen = ["--method", "sucholutsky", "--ipc", "1", "--steps", "1", "--network", "textcnn(width=4)"]
    assert main(["distill", data, *chosen, *options, "--quiet", "--out", out]) == 0
    summary = dd.DataSummary.load(out)
    assert summary.spec.shape == (9, 8) and summary.counts == {0: 1, 1: 1, 2: 1}
    capsys.readouterr()
    words = ["--networks", "textcnn(width=4)", "--runs", "1", "--quiet", "--json", "-"]
    assert main(["evaluate", out, "--data", data, *words]) == 0
    found = json.loads(capsys.readouterr().out)
    assert set(found["results"][0]["scores"]) == {"accuracy", "macro_f1", "roc_auc"}
    assert main(["show", out]) == 0
    shown = capsys.readouterr().out
    assert "animals" in shown and "~" in shown


def test_settings_of_sentences_reach_no_other_data(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["distill", "digits", "--length", "9", "--out", str(tmp_path)]) == 2
    assert "images are loaded without 'length'" in capsys.readouterr().err
    words = ["--embeddings", __file__, "--out", str(tmp_path)]
    assert main(["distill", "digits", *words]) == 2
    assert "images are loaded without 'embeddings'" in capsys.readouterr().err
