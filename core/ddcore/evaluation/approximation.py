"""The epsilon by which a summary approximates its data (survey, Definition 2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from ddcore.evaluation.evaluate import predict, train_one
from ddcore.evaluation.given import given
from ddcore.evaluation.protocols import as_protocol
from ddcore.evaluation.source import TrainingSource, check_compatible, held_out_split
from ddcore.ground.devices import resolve_device
from ddcore.parts import (
    LOSSES,
    Architecture,
    TargetData,
    Usual,
    architecture_label,
    as_architecture,
    suited_architecture,
    suited_augmentation,
)
from ddcore.settings import require_counts
from ddcore.summary import DataSummary
from ddcore.training import Protocol

QUANTILES = (0.5, 0.9, 0.95, 0.99)


@dataclass(frozen=True)
class Approximation:
    r"""Differences in loss between networks trained on the data and on the summary.

    Attributes:
        network, protocol: what was trained, and how.
        suprema: per run, the largest difference over held-out points. It is the :math:`\epsilon`
            of Definition 2 on these points.
        quantiles: per run, the quantiles `QUANTILES` of the differences.
        points: number of held-out points.
    """

    network: str
    protocol: str
    suprema: tuple[float, ...]
    quantiles: tuple[tuple[float, ...], ...]
    points: int

    @property
    def epsilon(self) -> float:
        """The largest difference over all runs and points."""
        return max(self.suprema)

    def to_json(self) -> dict[str, Any]:
        """Return the numbers as JSON data."""
        return {
            "network": self.network,
            "protocol": self.protocol,
            "points": self.points,
            "suprema": list(self.suprema),
            "quantiles": [dict(zip(map(str, QUANTILES), q, strict=True)) for q in self.quantiles],
        }


def epsilon_approximation(
    summary: DataSummary | TargetData | str | Path,
    target: TargetData | str | Path,
    *,
    network: object = None,
    protocol: str | Protocol = "dc",
    runs: int = 1,
    seed: int = 0,
    device: str | torch.device = "auto",
    split: str = "test",
) -> Approximation:
    r"""Measure the largest difference in loss between training on the data and on the summary.

    .. math::
        \sup_{x, y} |\,l(\Phi_{\theta_D}(x), y) - l(\Phi_{\theta_{D_{syn}}}(x), y)\,|

    The points (x, y) are held out. Both networks of a run start from the same weights: those that
    the summary holds, if it holds any. The loss is that of the task, such as the cross-entropy of
    the true class. The supremum over a finite sample is a lower bound of that over the
    distribution. So quantiles stand beside it.

    Summary and target may be paths, as in ``evaluate``.

    Source: survey, Definition 2.
    """
    require_counts(runs=runs)
    summary, target = given(summary, target)
    initial = summary.initial if isinstance(summary, DataSummary) else None
    if network is None and initial is not None:
        network = initial.architecture
    protocol, place, architecture = as_protocol(protocol), resolve_device(device), _architecture(network, target)
    if initial is not None:
        initial.require(architecture)
    held_out = held_out_split(target, split)
    check_compatible(summary, target, split)
    training = replace(protocol.training, augmentation=suited_augmentation(protocol.training.augmentation, target.spec))
    suprema, quantiles = [], []
    for run in range(runs):
        losses = []
        for data in (target, summary):
            source = TrainingSource.of(data, place, torch.float32)
            source.initial = initial
            trained = train_one(architecture, source, training, target.spec, seed=seed, run=run)
            logits = predict(trained, held_out, target.spec, place).double()
            losses.append(LOSSES[target.spec.task.loss("cross_entropy")](logits, held_out.targets))
        difference = (losses[0] - losses[1]).abs()
        suprema.append(float(difference.max()))
        quantiles.append(_quantiles(difference, QUANTILES))
    return Approximation(
        architecture_label(architecture), protocol.name, tuple(suprema), tuple(quantiles), len(held_out)
    )


def _architecture(network: object, target: TargetData) -> Architecture:
    return suited_architecture(Usual() if network is None else as_architecture(network), target.spec)


def _quantiles(values: torch.Tensor, at: Sequence[float]) -> tuple[float, ...]:
    return tuple(float(q) for q in values.quantile(torch.tensor(at, dtype=values.dtype)))
