from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats

import ddcore as dd
from ddcore.errors import InputDataError, SettingsError, UnknownNameError
from ddcore.evaluation import PROTOCOLS, Protocol, TrainingSource, mean_std_ci95, train_one
from ddcore.training import Training

SHORT = Protocol("short", Training(epochs=20, learning_rate=0.1))
SMALL = "convnet(width=16,depth=2)"


@pytest.fixture(scope="module")
def summary(digits: dd.TargetData) -> dd.DataSummary:
    return dd.distill(digits, dd.methods.random(ipc=5, preset="cpu"), seed=0)


def test_statistics_equal_scipys() -> None:
    values = [88.1, 90.4, 87.0, 91.3, 89.9]
    mean, std, ci95 = mean_std_ci95(values)
    low, high = stats.t.interval(0.95, 4, loc=np.mean(values), scale=stats.sem(values))
    assert mean == pytest.approx(np.mean(values)) and std == pytest.approx(np.std(values, ddof=1))
    assert (mean - ci95, mean + ci95) == (pytest.approx(low), pytest.approx(high))
    assert math.isnan(mean_std_ci95([3.0])[1])


def test_accuracy_is_the_share_of_correct_final_predictions(summary: dd.DataSummary, digits: dd.TargetData) -> None:
    report = dd.evaluate(summary, digits, networks=SMALL, protocol=SHORT, runs=2)
    source = TrainingSource.of(summary, torch.device("cpu"), torch.float32)
    architecture = dd.networks.parse_architecture(SMALL)
    assert digits.test is not None
    for run, accuracy in enumerate(report.results[0].accuracies):
        network = train_one(architecture, source, SHORT.training, digits.spec, seed=0, run=run)
        predicted = network.eval()(digits.spec.normalisation.apply(digits.test.inputs)).argmax(dim=1)
        assert accuracy == pytest.approx(100 * float((predicted == digits.test.targets).float().mean()))


def test_results_repeat_with_the_seed_and_runs_differ(summary: dd.DataSummary, digits: dd.TargetData) -> None:
    reports = [dd.evaluate(summary, digits, networks=SMALL, protocol=SHORT, runs=3, seed=s) for s in (0, 0, 1)]
    accuracies = [r.results[0].accuracies for r in reports]
    assert accuracies[0] == accuracies[1] != accuracies[2]
    assert len(set(accuracies[0])) > 1


def test_networks_learn_from_a_summary_and_transfer_is_the_same_call(
    summary: dd.DataSummary, digits: dd.TargetData
) -> None:
    report = dd.evaluate(summary, digits, networks=[SMALL, "mlp"], protocol="quick", runs=2)
    assert [r.network for r in report.results] == ["convnet(width=16,depth=2)", "mlp"]
    assert all(r.mean > 80 for r in report.results)


def test_the_report_says_what_was_run(summary: dd.DataSummary, digits: dd.TargetData) -> None:
    json = dd.evaluate(summary, digits, networks=SMALL, protocol=SHORT, runs=1).to_json()
    assert (json["data"], json["method"], json["ipc"], json["stored_bytes"]) == ("digits", "random", 5, 50 * 65)
    assert json["results"][0]["std"] is None and json["results"][0]["runs"] == 1
    details = json["details"]
    assert details["training"]["epochs"] == 20 and details["iterate"] == "final" and details["labels"] == "hard"
    assert details["tested_on"] == {"data": "digits", "split": "test", "examples": 359}


def test_full_data_is_evaluated_by_the_same_call(digits: dd.TargetData) -> None:
    report = dd.evaluate(digits, digits, networks=SMALL, protocol=SHORT, runs=1)
    assert report.method == "full data" and report.stored_bytes == len(digits.train) * 65
    assert report.results[0].mean > 96


def test_settings_are_chosen_on_validation(digits: dd.TargetData) -> None:
    carved = dd.load_data("digits", validation=0.2)
    summary = dd.distill(carved, dd.methods.random(ipc=2))
    report = dd.evaluate(summary, carved, networks=SMALL, protocol=SHORT, runs=1, split="validation")
    assert report.details["tested_on"]["split"] == "validation"
    other = dd.load_data("digits", normalisation=summary.spec.normalisation)
    with pytest.raises(InputDataError, match="no validation"):
        dd.evaluate(summary, other, split="validation")


def test_the_epsilon_of_the_data_itself_is_nought_and_of_a_summary_is_not(
    summary: dd.DataSummary, digits: dd.TargetData
) -> None:
    itself = dd.epsilon_approximation(digits, digits, network=SMALL, protocol=Protocol("one", Training(epochs=2)))
    assert itself.epsilon == 0.0
    found = dd.epsilon_approximation(summary, digits, network=SMALL, protocol=SHORT, runs=2)
    assert len(found.suprema) == 2 and found.points == 359
    for supremum, quantiles in zip(found.suprema, found.quantiles, strict=True):
        assert supremum >= quantiles[-1] >= quantiles[0] > 0
    assert found.epsilon == max(found.suprema)


def test_more_examples_per_class_are_better(digits: dd.TargetData) -> None:
    curve = dd.efficiency_curve(
        digits, lambda ipc: dd.methods.random(ipc=ipc), [20, 1], networks=SMALL, protocol=SHORT, runs=2
    )
    assert curve.ipcs == (1, 20)
    one, twenty = (r.results[0].mean for r in curve.reports)
    assert twenty > one + 10
    assert [r["ipc"] for r in curve.to_json()] == [1, 20]


def test_protocols_are_the_fields() -> None:
    dc, dsa = PROTOCOLS["dc"].training, PROTOCOLS["dsa"].training
    assert (dc.epochs, dsa.epochs) == (300, 1000)
    for training in (dc, dsa):
        assert (training.learning_rate, training.momentum, training.weight_decay) == (0.01, 0.9, 5e-4)
        assert (training.batch_size, training.drop_at, training.drop) == (256, 0.5, 0.1)
    assert PROTOCOLS["dc"].with_epochs(5).name == "dc[epochs=5]"


def test_what_does_not_fit_is_refused(summary: dd.DataSummary, digits: dd.TargetData) -> None:
    with pytest.raises(UnknownNameError, match="dsa"):
        dd.evaluate(summary, digits, protocol="best-of")
    with pytest.raises(SettingsError, match="runs"):
        dd.evaluate(summary, digits, runs=0)
    with pytest.raises(InputDataError, match="normalisation"):
        dd.evaluate(summary, dd.load_data("digits", normalisation="none"))
    with pytest.raises(InputDataError, match="classes"):
        dd.evaluate(summary, dd.load_data("digits", num_classes=12))
    with pytest.raises(SettingsError, match="split"):
        dd.evaluate(summary, digits, split="train")


def test_evaluation_in_bf16_comes_near_single_precision(digits: dd.TargetData) -> None:
    summary = dd.distill(digits, dd.methods.random(ipc=5))
    means = [
        dd.evaluate(summary, digits, networks="mlp(width=32)", protocol="quick", runs=2, precision=p).results[0].mean
        for p in ("fp32", "bf16")
    ]
    assert means[0] > 70 and abs(means[0] - means[1]) < 3
