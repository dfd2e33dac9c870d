"""What learns from users beside networks: closed forms against their definitions."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

import ddcore as dd
from ddcore.errors import SettingsError, UnsupportedError
from ddcore.interactions import EASE, MVAE, InfiniteAutoencoder, Popularity
from ddcore.interactions.baselines import _by_items, _by_users
from ddcore.kernels import AnalyticKernel
from ddcore.parts import Batch, Predictor, as_dense
from tests.interactions.data import ITEMS, tastes

CPU = torch.device("cpu")


def batch_of(target: dd.TargetData) -> Batch:
    return Batch(target.train.inputs, target.train.targets)


def test_ease_is_the_constrained_regression_either_way() -> None:
    """Its weights have a zero diagonal, and no other such weights have a smaller loss."""
    rows = as_dense(tastes().train.inputs[:30]).double()
    tested = torch.eye(ITEMS, dtype=torch.float64)
    weights = _by_items(rows, 3.0)(tested)
    assert torch.allclose(weights, _by_users(rows, 3.0)(tested), atol=1e-9)
    assert float(weights.diagonal().abs().max()) < 1e-12

    def loss(b: Tensor) -> float:
        return float((rows - rows @ b).square().sum() + 3.0 * b.square().sum())

    random = torch.Generator().manual_seed(0)
    for _ in range(5):
        step = 1e-3 * torch.randn(ITEMS, ITEMS, generator=random, dtype=torch.float64).fill_diagonal_(0.0)
        assert loss(weights) < loss(weights + step)


def test_the_infinite_autoencoder_is_ridge_regression_on_the_rows() -> None:
    target = tastes()
    predict = InfiniteAutoencoder(ridges=(0.7,)).fit(batch_of(target), target.spec, 0, None)
    rows = as_dense(target.train.inputs).double()
    gram = AnalyticKernel().product(rows, rows)
    added = 0.7 * gram.trace() / len(rows)
    tested = as_dense(target.test.inputs[:5]).double()  # type: ignore[union-attr]
    wanted = AnalyticKernel().product(tested, rows) @ torch.linalg.solve(gram + added * torch.eye(len(rows)), rows)
    assert torch.allclose(predict(target.test.inputs[:5]), wanted, atol=1e-9)  # type: ignore[union-attr]


@pytest.mark.parametrize("learner", [InfiniteAutoencoder(ridges=(1e-5, 50.0, 0.1)), EASE(ridges=(1e6, 20.0))])
def test_validation_data_choose_the_ridge(learner: InfiniteAutoencoder | EASE) -> None:
    target = tastes()
    validated: list[float] = []

    def validate(predict: Predictor) -> dict[str, float]:
        validated.append([3.0, 9.0, 4.0][len(validated)])
        return {target.spec.task.score: validated[-1]}

    chosen = learner.fit(batch_of(target), target.spec, 0, validate)
    alone = type(learner)(ridges=learner.ridges[1:2]).fit(batch_of(target), target.spec, 0, None)
    tested = target.train.inputs[:4]
    assert len(validated) == len(learner.ridges)
    assert torch.equal(chosen(tested), alone(tested))


def test_popularity_counts_users() -> None:
    target = tastes()
    scores = Popularity().fit(batch_of(target), target.spec, 0, None)(target.train.inputs[:3])
    assert torch.equal(scores, as_dense(target.train.inputs).sum(dim=0).expand(3, -1))


def test_all_of_them_find_the_tastes_and_are_in_one_report() -> None:
    target = tastes()
    networks = ["infinite-autoencoder", "ease", "mvae(width=32,latent=8,epochs=60,learning_rate=0.005)", "popularity"]
    report = dd.evaluate(target, target, networks=networks, runs=2)
    found = {result.network.partition("(")[0]: result for result in report.results}
    assert report.protocol == "learners" and set(found["ease"].scores) >= {"ndcg@5", "hr@10", "psp@5", "auc"}
    for name in ("infinite-autoencoder", "ease", "mvae"):
        assert found[name].mean > found["popularity"].mean + 3, name
    assert [len(result.values) for result in report.results] == [1, 1, 2, 1]


def test_the_variational_one_is_the_same_for_the_same_seed_and_no_other() -> None:
    target, learner = tastes(), MVAE(width=16, latent=4, epochs=2)
    outputs = [learner.fit(batch_of(target), target.spec, seed, None)(target.train.inputs[:3]) for seed in (0, 0, 1)]
    assert torch.equal(outputs[0], outputs[1]) and not torch.equal(outputs[0], outputs[2])


def test_learners_of_users_refuse_other_data(digits: dd.TargetData) -> None:
    with pytest.raises(UnsupportedError, match="ease is for interactions"):
        dd.evaluate(digits, digits, networks="ease")
    with pytest.raises(SettingsError, match="one class or one number, not a ranking"):
        dd.evaluate(tastes(), tastes(), networks="sklearn:ridge", runs=1)
    with pytest.raises(SettingsError, match="positive"):
        EASE(ridges=(0.0,))
