"""``audit``: attacks on a summary. Evidence, not proof."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch

import ddcore as dd
from ddapps.privacy.audit.attacks import Success, loss_scores, nearness_scores, success
from ddapps.privacy.audit.bound import epsilon_lower_bound
from ddapps.privacy.audit.canaries import Canaries
from ddapps.privacy.certificate import Certificate
from ddcore.evaluation import Protocol, TrainingSource, as_protocol, check_compatible, held_out_split, train_one
from ddcore.ground import Tally, resolve_device
from ddcore.parts import as_architecture
from ddcore.settings import require, require_counts


@dataclass(frozen=True)
class Audit:
    """What attacks found.

    Attributes:
        attacks: success of each, by name: ``nearest_example`` on the summary, ``model_loss`` on
            models trained on it.
        epsilon_lower_bound: that the true epsilon exceeds with ``confidence``; None without
            canaries.
        confidence: of that bound.
        trials: canaries.
    """

    attacks: dict[str, Success]
    epsilon_lower_bound: float | None
    confidence: float
    trials: int

    @property
    def strongest(self) -> Success:
        """The attack with the largest AUC; as the best of two, a little optimistic for it."""
        return max(self.attacks.values(), key=lambda attack: attack.auc)

    def to_json(self) -> dict[str, Any]:
        """Return the object that ``ddapps privacy audit --json`` writes."""
        return {
            **asdict(self.strongest),
            "epsilon_lower_bound": self.epsilon_lower_bound,
            "confidence": self.confidence,
            "trials": self.trials,
            "attacks": {name: asdict(attack) for name, attack in self.attacks.items()},
            "meaning": "evidence, not proof: stronger attacks may exist",
        }


def audit(
    summary: dd.DataSummary,
    target: dd.TargetData,
    *,
    canaries: Canaries | None = None,
    network: object = "convnet",
    protocol: str | Protocol = "quick",
    models: int = 3,
    confidence: float = 0.95,
    seed: int = 0,
    device: str | torch.device = "auto",
    progress: Callable[[str], None] | None = None,
) -> Audit:
    """Attack a summary: members are the target's training examples, others its test examples.

    Args:
        summary: private or not.
        target: the data it was made of, with a test split.
        canaries: coins of `Canaries.planted`, if the data had any. The attack on model loss guesses
            them, half in, half out.
        network: what is trained on the summary.
        protocol: how it is trained.
        models: how many are trained.
        confidence: of the bound on epsilon.
        seed: of the models.
        device: as in ``ddcore.distill``.
        progress: called with lines of text as models are trained: how many of how many, and what
            time is left (`ddcore.ground.Tally`).

    Raises:
        InputDataError: no test split, or data that does not fit the summary.
    """
    require_counts(models=models)
    require(0 < confidence < 1, f"confidence lies in (0, 1), not {confidence}")
    delta = Certificate.of(summary).delta if "privacy" in summary.record else 0.0
    check_compatible(summary, target)
    others = held_out_split(target, "test")
    schedule, place, architecture = as_protocol(protocol), resolve_device(device), as_architecture(network)
    augmentation = schedule.training.augmentation.suited_to(summary.spec).suited_to(target.spec)
    training = replace(schedule.training, augmentation=augmentation)
    source = TrainingSource.of(summary, place, torch.float32)
    trained, tally = [], Tally(progress, models, "models")
    for run in range(models):
        trained.append(train_one(architecture, source, training, target.spec, seed=seed, run=run))
        tally.done("trained")
    attacks = {
        "nearest_example": success(nearness_scores(summary, target.train), nearness_scores(summary, others)),
        "model_loss": success(loss_scores(trained, target, target.train), loss_scores(trained, target, others)),
    }
    if canaries is None:
        return Audit(attacks, None, confidence, 0)
    scores = loss_scores(trained, target, canaries.examples(target))
    count = len(scores)
    guessed = torch.zeros(count, dtype=torch.bool)
    guessed[scores.argsort(descending=True)[: count // 2]] = True
    correct = int((guessed == canaries.coins).sum())
    bound = epsilon_lower_bound(correct, count, delta=delta, confidence=confidence)
    return Audit(attacks, round(bound, 6), confidence, count)
