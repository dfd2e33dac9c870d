from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

import ddapps
import ddcore as dd
from ddapps.cli.main import main

BUDGET = ["--epsilon", "5", "--delta", "1e-4"]
SMALL = ["--network", "convnet(width=4)", "--steps", "3", "--ipc", "1", "--quiet", "--accountant", "rdp"]


def distill(out: Path, *more: str) -> int:
    return main(["privacy", "distill", "digits", *BUDGET, *SMALL, "--out", str(out), *more])


def test_distill_verify_evaluate_and_audit_work_together(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "private"
    assert distill(out, "--canaries", "6") == 0
    said = capsys.readouterr()
    assert "epsilon 4.9" in said.out
    assert main(["privacy", "verify", str(out), "--json", "-"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert set(found) >= {"epsilon", "delta", "holds", "accountants"}
    assert (found["holds"], found["delta"], set(found["accountants"])) == (True, 1e-4, {"prv", "rdp"})
    canaries = ["--canaries", str(tmp_path / "private.private" / "canaries.json")]
    audit = [
        "privacy",
        "audit",
        str(out),
        "--data",
        "digits",
        "--network",
        "mlp",
        "--models",
        "1",
        "--json",
        "-",
        "--quiet",
    ]
    assert main([*audit, *canaries]) == 0
    attacked = json.loads(capsys.readouterr().out)
    assert set(attacked) >= {"auc", "tpr_at_1_fpr", "epsilon_lower_bound", "confidence", "trials"}
    assert (attacked["trials"], attacked["confidence"]) == (6, 0.95)
    assert main(audit) == 0
    assert json.loads(capsys.readouterr().out)["epsilon_lower_bound"] is None
    assert main(["evaluate", str(out), "--data", "digits", "--networks", "mlp", "--runs", "1", "--quiet"]) == 0
    assert distill(out, "--canaries", "7") == 2
    assert "holds 6 canaries" in capsys.readouterr().err
    # finished already: nothing is asked, nothing is paid
    assert distill(out, "--canaries", "6") == 0


def test_methods_that_count_numbers_are_sized_by_public_facts(tmp_path: Path) -> None:
    out = tmp_path / "private"
    assert distill(out, "--method", "linba", "--set", "matching.inner_steps=3") == 0
    assert dd.DataSummary.load(out).stored_bytes <= 10 * 65 + 8


def test_a_tampered_certificate_does_not_pass(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "private"
    assert distill(out) == 0
    config = json.loads((out / "config.json").read_text())
    config["record"]["privacy"]["epsilon"] = 0.5
    (out / "config.json").write_text(json.dumps(config))
    capsys.readouterr()
    assert main(["privacy", "verify", str(out), "--json", "-"]) == 1
    said = capsys.readouterr()
    assert json.loads(said.out)["holds"] is False
    assert "does not hold" in said.err and "Do not rely on it" in said.err


def test_the_initialisation_that_had_to_change_is_said_aloud(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert distill(tmp_path / "dm", "--method", "dm") == 0
    assert "noise, since real examples would be published" in capsys.readouterr().err


def test_spending_is_charged_to_one_ledger_and_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Another seed, another folder, overwriting: the second run is refused, the result stays."""
    assert distill(tmp_path / "a") == 0
    said = capsys.readouterr().out
    (ledger,) = Path(os.environ["DDAPPS_LEDGERS"]).glob("*.json")
    assert f"charged to {ledger}" in said
    before = (tmp_path / "a" / "config.json").read_bytes()
    for out, words in (("a", ["--seed", "1", "--overwrite"]), ("b", ["--seed", "1"])):
        assert distill(tmp_path / out, *words) == 2
        assert "would bring the dataset's total to epsilon" in capsys.readouterr().err
    assert (tmp_path / "a" / "config.json").read_bytes() == before
    assert distill(tmp_path / "c", "--seed", "1", "--ledger", str(tmp_path / "other.json")) == 0


def test_a_ledger_refuses_to_exceed_its_budget(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ledger = ["--ledger", str(tmp_path / "ledger.json")]
    assert distill(tmp_path / "a", *ledger) == 0
    assert distill(tmp_path / "b", *ledger, "--seed", "1") == 2
    assert "its ledger allows 5" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--method", "cafe"], "asks for raw examples"),
        (["--method", "random"], "has no steps to take"),
        (["--method", "sgd"], "unknown method"),
        (["--max-seconds", "5"], "would publish how many steps the clock allowed"),
        (["--max-grad-norm", "1e-44"], "max_grad_norm must lie in [1e-09, 1e+09]"),
        (["--delta", "0.01"], "below 1 / 1438 examples"),
        (["--accountant", "gdp"], "unknown accountant"),
        (["--network", "convnet(norm=batch)"], "norm='instance'"),
        (["--normalisation", "standard"], "the numbers MEAN,STD, not 'standard'"),
        (["--shape", "8"], "the numbers C,H,W, not '8'"),
        (["--shape", "1,8,x"], "the numbers C,H,W, not '1,8,x'"),
        (["--shape", "1,-8,8"], "at least 1 each, not (1, -8, 8)"),
        (["--ledger", "ledger.json", "--ledger-epsilon", "501"], "a ledger's epsilon must lie in (0, 500]"),
        (["--method", "mean_features", "--sample-rate", "0.5"], "means nothing for method mean_features"),
    ],
)
def test_bad_words_are_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    assert distill(tmp_path / "out", *words) == 2
    said = capsys.readouterr().err.strip()
    assert message in said
    assert said.count("\n") == 0
    assert not (tmp_path / "out" / "config.json").exists()


def test_compare_puts_methods_and_baselines_at_one_budget(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "compare.json"
    words = ["--methods", "mean_features,noise", "--ipc", "1", "--runs", "1", "--network", "mlp", "--protocol", "quick"]
    assert main(["privacy", "compare", "digits", *BUDGET, *words, "--json", str(path), "--quiet"]) == 0
    assert "mean_features" in capsys.readouterr().out
    mean, noise = json.loads(path.read_text())["results"]
    assert mean["epsilon"] <= 5
    assert noise["epsilon"] == 0
    assert mean["mean"] > noise["mean"]


def test_without_opacus_one_is_told_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in [m for m in sys.modules if m.startswith("ddapps.privacy")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delattr(ddapps, "privacy", raising=False)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert distill(tmp_path) == 1
    assert "pip install -e '.[privacy]'" in capsys.readouterr().err
    assert main(["methods"]) == 0


def test_new_canaries_do_not_start_a_new_budget(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, kept = tmp_path / "private", tmp_path / "private.private" / "canaries.json"
    assert distill(out, "--canaries", "6") == 0
    coins = kept.read_text()
    assert distill(out, "--canaries", "6", "--overwrite") == 2
    assert "new canaries would make other data" in capsys.readouterr().err
    assert kept.read_text() == coins
    assert distill(tmp_path / "other", "--canaries", "6") == 1
    assert "is of another dataset" in capsys.readouterr().err


def test_labelled_noise_tells_nothing_of_the_data(tmp_path: Path) -> None:
    out = tmp_path / "noise"
    words = ["--method", "noise", "--ipc", "1", "--quiet"]
    assert main(["privacy", "distill", "digits", *BUDGET, *words, "--out", str(out)]) == 0
    assert dd.DataSummary.load(out).record["data_sha256"] is None
