from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats

import ddcore as dd
from ddapps.cli.main import main
from ddcore.errors import SummaryFormatError
from ddcore.evaluation import PROTOCOLS, Protocol, keep_evaluation, read_evaluations, welch_difference
from ddcore.evaluation.claims import _compared
from ddcore.summary import measured_table
from ddcore.training import Training
from tests.summary.strangers import rewritten

NARROW = "mlp(width=8)"
OTHER = "does not hold: these are other data, or other options of loading"


def kept(directory: Path, target: dd.TargetData, summary: dd.DataSummary, **settings: Any) -> dd.evaluation.Report:
    report = dd.evaluate(summary, target, **{"networks": NARROW, "protocol": "quick", "runs": 3, **settings})
    keep_evaluation(directory, summary, target, report)
    return report


@pytest.fixture(scope="module", autouse=True)
def _short() -> Iterator[None]:
    """Protocol ``quick`` is quicker here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(PROTOCOLS, "quick", Protocol("quick", Training(epochs=20, learning_rate=0.1)))
        yield


@pytest.fixture(scope="module")
def summary(few_digits: dd.TargetData) -> dd.DataSummary:
    return dd.distill(few_digits, dd.methods.random(ipc=1))


@pytest.fixture(scope="module")
def measured(few_digits: dd.TargetData, summary: dd.DataSummary, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = summary.save(tmp_path_factory.mktemp("kept") / "summary")
    kept(place, few_digits, summary)
    keep_evaluation(place, summary, few_digits, dd.evaluate_kernel(summary, few_digits, kernels="ntk(depth=2)"))
    return place


@pytest.fixture
def copy(measured: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(measured, tmp_path / "copy"))


def change(place: Path, how: Callable[[dict[str, Any]], object]) -> None:
    path = place / "evaluations.json"
    held = json.loads(path.read_text())
    how(held["evaluations"][0])
    path.write_text(json.dumps(held))


def verdicts(found: dd.evaluation.Verification) -> list[str]:
    return [f"{check.what}: {check.verdict}" for check in found.failed]


def test_welchs_interval_is_that_of_scipy() -> None:
    first, second = [88.1, 90.4, 87.0, 91.3], [70.2, 71.9, 75.5]
    of = [(float(torch.tensor(v).mean()), float(torch.tensor(v).std()), len(v)) for v in (first, second)]
    apart, half = welch_difference(*of)
    interval = stats.ttest_ind(first, second, equal_var=False).confidence_interval(0.95)
    assert (apart - half, apart + half) == (
        pytest.approx(interval.low, abs=1e-4),
        pytest.approx(interval.high, abs=1e-4),
    )


def test_what_is_kept_is_the_report_and_the_card_shows_it(
    measured: Path, few_digits: dd.TargetData, summary: dd.DataSummary
) -> None:
    first, kernel = read_evaluations(measured)
    report = dd.evaluate(summary, few_digits, networks=NARROW, protocol="quick", runs=3)
    assert first["data_sha256"] == few_digits.fingerprint() and first["summary_sha256"] == summary.sha256()
    assert first["results"][0]["accuracies"] == report.to_json()["results"][0]["accuracies"]
    card = (measured / "README.md").read_text()
    result = report.results[0]
    assert f"| few digits, test | quick | {NARROW} | accuracy | {result.mean:.2f} | ± {result.ci95:.2f} | 3 |" in card
    mean = kernel["results"][0]["mean"]
    assert f"| few digits, test | krr | ntk(depth=2), infinite width | accuracy | {mean:.2f} | none | 1 |" in card


def test_the_same_evaluation_replaces_its_own_entry_alone(
    few_digits: dd.TargetData, summary: dd.DataSummary, tmp_path: Path
) -> None:
    place = summary.save(tmp_path / "s")
    for settings in (
        {"seed": 1},
        {"seed": 2},
        {"runs": 2, "seed": 1},
        {"networks": "mlp(width=4)", "seed": 1},
        {"seed": 1},
    ):
        kept(place, few_digits, summary, **{"runs": 1, **settings})
    seen = [
        (e["details"]["seed"], e["results"][0]["runs"], e["results"][0]["network"]) for e in read_evaluations(place)
    ]
    assert seen == [(2, 1, NARROW), (1, 2, NARROW), (1, 1, "mlp(width=4)"), (1, 1, NARROW)]
    summary.save(place, overwrite=True)
    assert read_evaluations(place) == () and "Measured" not in (place / "README.md").read_text()


def test_a_private_summary_keeps_the_hash_of_its_data_to_itself(
    few_digits: dd.TargetData, summary: dd.DataSummary, tmp_path: Path
) -> None:
    for number, record in enumerate(({"data_sha256": None}, {"privacy": {}}, {"union_of": [{"data_sha256": None}]})):
        own = {name: fact for name, fact in summary.record.items() if name != "data_sha256"}
        private = replace(summary, record={**own, **record})
        place = private.save(tmp_path / str(number))
        kept(place, few_digits, private, runs=1)
        assert few_digits.fingerprint() not in (place / "evaluations.json").read_text()


def test_a_true_card_holds_and_every_claim_is_named(measured: Path, few_digits: dd.TargetData) -> None:
    found = dd.verify(measured, few_digits)
    assert found.holds and found.measured is None
    assert [check.what for check in found.checks] == [
        "tensors",
        "card",
        "data",
        *(f"{score} of {NARROW}, protocol quick on few digits" for score in ("accuracy", "macro_f1")),
        *(f"{score} of ntk(depth=2), infinite width, protocol krr on few digits" for score in ("accuracy", "macro_f1")),
    ]
    assert str(found).endswith("7 of 7 claims hold")


def forged_mean(entry: dict[str, Any]) -> None:
    for held in (entry["results"][0], entry["results"][0]["scores"]["accuracy"]):
        held["mean"] = 99.9


def forged_runs(entry: dict[str, Any]) -> None:
    forged_mean(entry)
    entry["results"][0]["accuracies"] = [99.9] * 3
    for held in (entry["results"][0], entry["results"][0]["scores"]["accuracy"]):
        held.update(std=0.0, ci95=0.0)


def forged_main(entry: dict[str, Any]) -> None:
    entry["results"][0].update(mean=99.9, std=0.0, ci95=0.0, accuracies=[99.9] * 3)


def forged_f1(entry: dict[str, Any]) -> None:
    entry["results"][0]["scores"]["macro_f1"].update(mean=99.9, std=0.1, ci95=0.25)


@pytest.mark.parametrize(
    ("forge", "said"),
    [
        (forged_mean, "by its own runs: does not hold"),
        (forged_runs, f"accuracy of {NARROW}, protocol quick on few digits: claimed 99.90 ± 0.00"),
        (forged_main, "among its own scores: does not hold"),
        (forged_f1, f"macro_f1 of {NARROW}, protocol quick on few digits: claimed 99.90 ± 0.25"),
        (lambda e: e.update(stored_bytes=7), "their evaluation.stored_bytes is 7"),
        (
            lambda e: e["details"]["training"].update(epochs=5),
            "their evaluation.training.epochs is 5, the run's is 20",
        ),
        (lambda e: e.update(summary_sha256="0" * 64), "found other tensors: does not hold"),
        (lambda e: e.update(protocol="unheard"), "cannot be made again: unknown protocol 'unheard'"),
        (lambda e: e["results"][0].update(network="mlp(width=99999)"), "is too large a network to be built"),
    ],
)
def test_a_forged_evaluation_is_found(
    copy: Path, few_digits: dd.TargetData, forge: Callable[[dict[str, Any]], object], said: str
) -> None:
    change(copy, forge)
    found = dd.verify(copy, few_digits)
    assert not found.holds and any(said in str(check) for check in found.failed), verdicts(found)


def test_another_machines_numbers_hold_within_welchs_interval(copy: Path, few_digits: dd.TargetData) -> None:
    def shifted(by: float) -> Callable[[dict[str, Any]], object]:
        def shift(entry: dict[str, Any]) -> None:
            result = entry["results"][0]
            result["accuracies"] = [value + by for value in result["accuracies"]]
            for held in (result, result["scores"]["accuracy"]):
                held["mean"] += by

        return shift

    (check,) = [c for c in dd.verify(copy, few_digits).checks if c.what.startswith("accuracy of mlp")]
    entry = read_evaluations(copy)[0]["results"][0]
    _, half = welch_difference(*[(entry["mean"], entry["std"], 3)] * 2)
    for by, holds in ((0.9 * half, True), (0.2 * half, False)):
        change(copy, shifted(by))
        (check,) = [c for c in dd.verify(copy, few_digits).checks if c.what.startswith("accuracy of mlp")]
        assert check.holds is holds and f"± {half:.2f} (95 %)" in check.verdict


def test_a_forged_card_is_found(copy: Path, few_digits: dd.TargetData) -> None:
    card = (copy / "README.md").read_text()
    (copy / "README.md").write_text(card.replace("3 examples of 3 classes", "2 examples of 4 classes"))
    (check,) = dd.verify(copy, few_digits).failed
    assert check.what == "card" and "2 examples of 4" in check.claim and "3 examples of 3" in check.found
    mean = f"{read_evaluations(copy)[0]['results'][0]['mean']:.2f}"
    (copy / "README.md").write_text(card.replace(mean, "99.99"))
    assert verdicts(dd.verify(copy, few_digits)) == ["card: does not hold"]
    (copy / "README.md").write_text(
        card.replace("| differential privacy | none |", "| differential privacy | epsilon 1 |")
    )
    assert verdicts(dd.verify(copy, few_digits)) == ["card: does not hold"]
    (copy / "README.md").write_text(card + "\n## Measured\n\nBetter than all others.\n")
    assert verdicts(dd.verify(copy, few_digits)) == ["card: does not hold"]


def test_a_claim_gains_nothing_by_runs_that_scatter_widely() -> None:
    found = {"mean": 80.0, "std": 1.0, "ci95": 1.24, "runs": 5}
    wide = {"mean": 95.0, "std": 30.0, "ci95": 37.2, "runs": 5}
    assert "do not scatter as claimed" in _compared("accuracy", wide, found).verdict
    for mean, std, holds in ((81.0, 1.5, True), (79.0, 0.7, True), (82.0, 1.5, False), (81.0, 0.05, False)):
        claim = {"mean": mean, "std": std, "ci95": 1.24 * std, "runs": 5}
        assert _compared("accuracy", claim, found).holds is holds


def test_changed_tensors_are_found_with_their_hash_and_without(
    copy: Path, few_digits: dd.TargetData, summary: dd.DataSummary, tmp_path: Path
) -> None:
    torn = bytearray((copy / "summary.safetensors").read_bytes())
    torn[-1] ^= 1
    (copy / "summary.safetensors").write_bytes(bytes(torn))
    (check,) = dd.verify(copy, few_digits).checks
    assert check.holds is False and "does not have the hash" in check.found
    (tmp_path / "again").mkdir()
    tensors = {f"part0.{name}": t for name, t in summary.parts[0].stored.items()}
    tensors["part0.images"] = tensors["part0.images"].flip(-1)
    changed = rewritten(copy, tmp_path / "again", tensors)
    assert [c.found for c in dd.verify(changed, few_digits).failed] == ["other tensors", "other tensors"]


def test_other_data_are_found(copy: Path, few_digits: dd.TargetData) -> None:
    other = few_digits.with_train(torch.arange(len(few_digits.train))[1:], "few digits")
    assert f"data: {OTHER}" in verdicts(dd.verify(copy, other))
    elsewhere = replace(few_digits, name="elsewhere")
    found = dd.verify(copy, elsewhere)
    assert [c.verdict for c in found.checks if c.what.startswith("protocol")] == ["not checked", "not checked"]
    assert verdicts(found) == [f"data: {OTHER}"]


def test_without_evaluations_it_measures_once_and_says_that_nothing_was_claimed(
    summary: dd.DataSummary, few_digits: dd.TargetData, tmp_path: Path
) -> None:
    place = summary.save(tmp_path / "s")
    found = dd.verify(place, few_digits)
    assert found.holds and found.measured is not None and found.measured.protocol == "quick"
    assert "no evaluation of these data was claimed; measured now:" in str(found)


@pytest.mark.parametrize(
    "forge",
    [
        lambda e: e.update(method="a\nb"),
        lambda e: e["results"][0].update(network="x" * 501),
        lambda e: e["results"][0].update(runs=10**9),
        lambda e: e["results"][0].update(mean="99"),
        lambda e: e["results"][0].update(accuracies=[1.0]),
        lambda e: e.update(results=[]),
        lambda e: e.update(data_sha256="<script>"),
        lambda e: e["details"].pop("tested_on"),
    ],
)
def test_a_strangers_evaluations_are_checked_before_they_are_shown(
    copy: Path, few_digits: dd.TargetData, forge: Callable[[dict[str, Any]], object]
) -> None:
    change(copy, forge)
    with pytest.raises(SummaryFormatError, match=r"evaluations\.json"):
        read_evaluations(copy)
    assert [c.what for c in dd.verify(copy, few_digits).failed] == ["files"]


def test_changed_bytes_of_evaluations_load_or_are_refused(copy: Path) -> None:
    path = copy / "evaluations.json"
    random, whole = np.random.default_rng(0), path.read_bytes()
    refused = 0
    for _ in range(300):
        torn = bytearray(whole)
        torn[random.integers(len(torn))] = random.integers(32, 127)
        path.write_bytes(bytes(torn))
        try:
            measured_table(read_evaluations(copy))
        except SummaryFormatError:
            refused += 1
    assert 50 < refused < 300


def test_names_of_strangers_are_no_markup_on_the_card(copy: Path) -> None:
    change(copy, lambda e: e["results"][0].update(network="a|b <img src=x> [c](d) `e`"))
    table = measured_table(read_evaluations(copy))
    assert "| a&#124;b &lt;img src=x> &#91;c](d) &#96;e&#96; |" in table


def test_a_record_of_strangers_is_no_markup_on_the_card(summary: dd.DataSummary, tmp_path: Path) -> None:
    record = {**summary.record, "data": "<img src=x> [a](b)", "seconds": "1\n\n## Measured\n", "seed": "2|<b>"}
    card = (replace(summary, record=record).save(tmp_path / "summary") / "README.md").read_text()
    assert card.startswith("# random summary of &lt;img src=x> &#91;a](b)\n")
    assert "\n## Measured" not in card and "| seed | 2&#124;&lt;b> |" in card


def test_the_commands_keep_and_verify(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = dd.distill(dd.load_data("digits"), dd.methods.random(ipc=1)).save(tmp_path / "s")
    words = [str(place), "--data", "digits", "--quiet"]
    narrow = ["--networks", "sklearn:k-neighbors(n_neighbors=1)", "--runs", "1"]
    assert main(["evaluate", *words, *narrow, "--no-keep"]) == 0 and not (place / "evaluations.json").exists()
    assert main(["evaluate", *words, *narrow]) == 0 and len(read_evaluations(place)) == 1
    capsys.readouterr()
    assert main(["verify", *words, "--json", str(tmp_path / "found.json")]) == 0
    assert capsys.readouterr().out.endswith("claims hold\n")
    assert json.loads((tmp_path / "found.json").read_text())["holds"] is True
    change(place, lambda e: e.update(ipc=7))
    assert main(["verify", *words]) == 1
    told = capsys.readouterr()
    assert "says what is not true: protocol learners on digits" in told.err and told.err.count("\n") == 1
    (place / "evaluations.json").write_text("{")
    assert main(["evaluate", *words, *narrow]) == 0
    assert f"this evaluation is not kept in {place} (evaluations.json is not readable JSON" in capsys.readouterr().err
