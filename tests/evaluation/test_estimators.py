"""Estimators of scikit-learn are trained on the same examples as networks."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

import ddcore as dd
from ddcore.errors import SettingsError, UnknownNameError
from ddcore.evaluation import as_estimator
from ddcore.networks import MLP
from ddcore.parts import OneOf, Usual
from ddcore.training import Protocol, Training


@pytest.fixture(scope="module")
def target() -> dd.TargetData:
    random = np.random.default_rng(0)
    y = random.integers(0, 3, 300)
    return dd.load_data((random.normal(size=(300, 3)) + 1.5 * np.eye(3)[y], y), name="corners")


@pytest.fixture(scope="module")
def summary(target: dd.TargetData) -> dd.DataSummary:
    return dd.distill(target, dd.methods.build_method("random", ipc=10, target=target))


def by_hand(estimator: object, summary: dd.DataSummary, target: dd.TargetData) -> float:
    inputs, labels = summary.tensors(dtype=torch.float64)
    assert target.test is not None
    tested = target.spec.normalisation.apply(target.test.inputs).double()
    estimator.fit(inputs.numpy(), labels.numpy())  # type: ignore[attr-defined]
    found = estimator.predict(tested.numpy())  # type: ignore[attr-defined]
    return 100 * float((found == target.test.targets.numpy()).mean())


@pytest.mark.parametrize(
    ("named", "estimator"),
    [
        ("sklearn:logistic-regression", LogisticRegression()),
        ("sklearn:logistic-regression(C=0.01)", LogisticRegression(C=0.01)),
        (LogisticRegression(C=0.01), LogisticRegression(C=0.01)),
        ("sklearn:hist-gradient-boosting(min_samples_leaf=2)", HistGradientBoostingClassifier(min_samples_leaf=2)),
        ("sklearn:linear-svc", LinearSVC()),
    ],
)
def test_accuracy_is_that_of_the_estimator_itself(
    named: object, estimator: object, summary: dd.DataSummary, target: dd.TargetData
) -> None:
    result = dd.evaluate(summary, target, networks=[named], runs=1).results[0]
    assert result.accuracies == (pytest.approx(by_hand(estimator, summary, target)),)
    assert result.parameters == 0


def test_probabilities_rank_as_the_estimators_do(summary: dd.DataSummary, target: dd.TargetData) -> None:
    from sklearn.metrics import roc_auc_score

    inputs, labels = summary.tensors(dtype=torch.float64)
    assert target.test is not None
    tested = target.spec.normalisation.apply(target.test.inputs).double().numpy()
    shares = LogisticRegression().fit(inputs.numpy(), labels.numpy()).predict_proba(tested)
    found = dd.evaluate(summary, target, networks="sklearn:logistic-regression", runs=1).results[0].scores["roc_auc"]
    assert found[0] == pytest.approx(100 * roc_auc_score(target.test.targets.numpy(), shares, multi_class="ovr"))


def test_runs_differ_where_an_estimator_is_random_and_repeat_by_seed(
    summary: dd.DataSummary, target: dd.TargetData
) -> None:
    forest = RandomForestClassifier(n_estimators=3)
    first, again, other = (
        dd.evaluate(summary, target, networks=[forest], runs=4, seed=seed).results[0].accuracies for seed in (0, 0, 1)
    )
    assert first == again != other
    assert len(set(first)) > 1
    assert not hasattr(forest, "classes_")


def test_numbers_are_predicted_in_the_units_of_the_data() -> None:
    random = np.random.default_rng(0)
    x = random.normal(size=(100, 2))
    target = dd.load_data((x, 50 + 8 * x[:, 0] + random.normal(size=100)), name="line")
    summary = dd.distill(target, dd.methods.build_method("random", ipc=30, target=target))
    result = dd.evaluate(summary, target, networks=["sklearn:linear-regression", LinearRegression()], runs=1).results
    assert result[0].scores == result[1].scores
    assert result[0].score == "r2" and result[0].mean > 0.95
    assert 0.7 < result[0].scores["rmse"][0] < 1.5  # the noise has deviation 1


def test_soft_labels_count_as_their_likeliest_class(target: dd.TargetData) -> None:
    method = dd.Method(
        dd.tables.Rows(ipc=5, labels="soft"), dd.matching.UnrolledTraining(), dd.sources.FreshNetworks(), steps=2
    )
    summary = dd.distill(target, method)
    inputs, labels = summary.tensors(dtype=torch.float64)
    assert target.test is not None
    hard = LogisticRegression().fit(inputs.numpy(), labels.argmax(dim=1).numpy())
    tested = target.spec.normalisation.apply(target.test.inputs).double().numpy()
    wanted = 100 * float((hard.predict(tested) == target.test.targets.numpy()).mean())
    assert dd.evaluate(summary, target, networks="sklearn:logistic-regression", runs=1).results[0].mean == wanted


def test_images_are_flattened(few_digits: dd.TargetData) -> None:
    result = dd.evaluate(few_digits, few_digits, networks="sklearn:k-neighbors(n_neighbors=1)", runs=1).results[0]
    assert result.mean > 90


def test_every_random_state_within_an_estimator_is_seeded(summary: dd.DataSummary, target: dd.TargetData) -> None:
    nested = make_pipeline(StandardScaler(), RandomForestClassifier(n_estimators=3))
    first, again = (dd.evaluate(summary, target, networks=[nested], runs=3).results[0].accuracies for _ in range(2))
    assert first == again and len(set(first)) > 1


@pytest.mark.parametrize(
    "named", ["sklearn:k-neighbors(n_neighbors=99)", "sklearn:logistic-regression(C=-1)", "sklearn:multinomial-nb"]
)
def test_an_estimator_that_cannot_be_trained_says_so(
    named: str, summary: dd.DataSummary, target: dd.TargetData
) -> None:
    with pytest.raises(SettingsError, match=r"sklearn:.* cannot be trained on 30 examples: "):
        dd.evaluate(summary, target, networks=named, runs=1)


def test_networks_that_stand_for_others_have_a_label(summary: dd.DataSummary, target: dd.TargetData) -> None:
    short = Protocol("short", Training(epochs=1))
    for network, label in ((Usual(), "mlp"), (OneOf((MLP(width=2), MLP(width=3))), "one_of")):
        assert dd.evaluate(summary, target, networks=network, protocol=short, runs=1).results[0].network == label


def test_what_is_no_estimator_says_so(summary: dd.DataSummary, target: dd.TargetData) -> None:
    assert as_estimator("mlp") is None and as_estimator(LogisticRegression) is None
    with pytest.raises(
        UnknownNameError,
        match=r"unknown estimator for classification 'trees' \(did you mean 'extra-trees'\?\): choose one of",
    ):
        dd.evaluate(summary, target, networks="sklearn:trees", runs=1)
    with pytest.raises(UnknownNameError, match="estimator for classification 'lasso'"):
        dd.evaluate(summary, target, networks="sklearn:lasso", runs=1)
    with pytest.raises(SettingsError, match=r"k-neighbors.*depth"):
        dd.evaluate(summary, target, networks="sklearn:k-neighbors(depth=2)", runs=1)
    with pytest.raises(SettingsError, match="not of the form name=value"):
        dd.evaluate(summary, target, networks="sklearn:k-neighbors(2)", runs=1)
