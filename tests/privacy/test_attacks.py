"""Attacks, recomputed one example at a time, and what an audit makes of known scores."""

from __future__ import annotations

import math

import pytest
import torch

import ddcore as dd
from ddapps.privacy import Canaries, audit, privatize
from ddapps.privacy.audit import loss_scores, nearness_scores, success
from ddcore.evaluation import Protocol
from ddcore.parts import Network, Split
from ddcore.training import Training
from tests.privacy.test_audit import most_probable


def test_success_counts_pairs_and_false_alarms() -> None:
    random = torch.Generator().manual_seed(0)
    members = torch.randint(3, 63, (150,), generator=random).double()
    others = torch.randint(0, 60, (250,), generator=random).double()
    found = success(members, others)
    ahead, level = (members[:, None] > others).double().mean(), (members[:, None] == others).double().mean()
    assert found.auc == pytest.approx(float(ahead + level / 2), abs=1e-6)
    at = [(float((others >= t).double().mean()), float((members >= t).double().mean())) for t in range(70)]
    assert found.tpr_at_1_fpr == pytest.approx(max(right for false, right in at if false <= 0.01), abs=1e-6)


def test_scores_are_losses_and_distances(private_digits: dd.TargetData) -> None:
    candidates = private_digits.train.take(torch.arange(0, 90, 7))
    inputs = private_digits.spec.normalisation.apply(candidates.inputs)
    shape = private_digits.spec.shape
    networks = [dd.images.ConvNet(width=4).build(shape, 10, seed=seed).eval() for seed in (0, 1)]
    losses = loss_scores(networks, private_digits, candidates)
    summary = dd.distill(private_digits, dd.methods.random(ipc={0: 3, 7: 2}))
    synthetic, owners = summary.tensors()
    near = nearness_scores(summary, candidates)
    for place, (image, target) in enumerate(zip(inputs, candidates.targets, strict=True)):
        with torch.no_grad():
            chances = [float(network(image[None]).softmax(dim=1)[0, target]) for network in networks]
        assert float(losses[place]) == pytest.approx(sum(math.log(chance) for chance in chances) / 2, abs=1e-4)
        # no synthetic example is a 1: any will do
        own = synthetic if target == 1 else synthetic[owners == target]
        assert float(near[place]) == pytest.approx(-min(float((image - other).norm()) for other in own), abs=1e-4)


def test_coins_are_fair_and_only_the_inserted_are_planted(private_digits: dd.TargetData) -> None:
    assert abs(sum(Canaries.flip(2000).inserted) - 1000) < 5 * math.sqrt(2000) / 2
    canaries = Canaries(5, (True, False, False, True, False))
    drawn, planted = canaries.examples(private_digits), canaries.planted(private_digits).train
    assert len(planted) == 92
    assert torch.equal(planted.inputs[90:], drawn.inputs[[0, 3]])
    assert torch.equal(planted.targets[90:], drawn.targets[[0, 3]])


def test_an_audit_guesses_the_upper_half_and_bounds_by_the_certificates_delta(
    private_digits: dd.TargetData, small_psg: dd.Method, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With scores that are known: members above others, and canaries in order.

    Of the canaries the first 31 are in: one guess is wrong.
    """
    summary = privatize(small_psg, epsilon=5.0, delta=1e-3, accountant="rdp").distill(private_digits)
    canaries = Canaries(0, (True,) * 31 + (False,) * 29)

    def scores(networks: list[Network], target: dd.TargetData, candidates: Split) -> torch.Tensor:
        if len(candidates) == 60:
            return torch.arange(60.0, 0.0, -1.0)
        return torch.full((len(candidates),), float(candidates is target.train))

    monkeypatch.setitem(audit.__globals__, "loss_scores", scores)
    settings = {"network": "mlp(width=4)", "protocol": Protocol("brief", Training(epochs=1)), "models": 1}
    found = audit(summary, private_digits, canaries=canaries, confidence=0.9, **settings)  # type: ignore[arg-type]
    assert (found.attacks["model_loss"].auc, found.trials, found.confidence) == (1.0, 60, 0.9)
    assert found.strongest == found.attacks["model_loss"]
    bound = found.epsilon_lower_bound
    assert bound is not None
    assert most_probable(59, 60, 60, bound - 1e-4, 1e-3) < 0.1 < most_probable(59, 60, 60, bound + 1e-4, 1e-3)
