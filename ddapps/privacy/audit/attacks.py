"""Membership inference: how much likelier a training example looks than a held-out one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from sklearn.metrics import roc_auc_score, roc_curve
from torch import Tensor

from ddcore.evaluation import predict
from ddcore.parts import LOSSES, Network, Split, TargetData
from ddcore.summary import DataSummary


@dataclass(frozen=True)
class Success:
    """How well scores tell members from others.

    Attributes:
        auc: area under the ROC curve; .5 is guessing.
        tpr_at_1_fpr: share of members found where 1 % of others are taken for members; .01 is
            guessing.
    """

    auc: float
    tpr_at_1_fpr: float


def nearness_scores(summary: DataSummary, candidates: Split) -> Tensor:
    """Return minus each candidate's distance to the nearest synthetic example of its class.

    Where its class has none, to the nearest of any class.
    """
    inputs, targets = summary.tensors()
    synthetic = inputs.flatten(1)
    owners = targets.argmax(dim=1) if targets.ndim == 2 else targets
    scores = []
    for pixels, labels in zip(candidates.inputs.split(512), candidates.targets.split(512), strict=True):
        inputs = summary.spec.normalisation.apply(pixels).flatten(1)
        distances = torch.cdist(inputs, synthetic, compute_mode="donot_use_mm_for_euclid_dist")
        same = labels.unsqueeze(1) == owners
        scores.append(-distances.masked_fill(~same & same.any(dim=1, keepdim=True), float("inf")).min(dim=1).values)
    return torch.cat(scores)


def loss_scores(networks: Sequence[Network], target: TargetData, candidates: Split) -> Tensor:
    """Return minus each candidate's mean loss under networks trained on the summary."""
    device = next(networks[0].parameters()).device
    logits = [predict(network, candidates, target.spec, device) for network in networks]
    return -torch.stack([LOSSES["cross_entropy"](out, candidates.targets) for out in logits]).mean(dim=0)


def success(members: Tensor, others: Tensor) -> Success:
    """Return how well scores tell members from others."""
    truth = torch.cat([torch.ones(len(members)), torch.zeros(len(others))]).numpy()
    scores = torch.cat([members, others]).double().numpy()
    false_positives, true_positives, _ = roc_curve(truth, scores, drop_intermediate=False)
    found = float(true_positives[false_positives <= 0.01].max())
    return Success(round(float(roc_auc_score(truth, scores)), 6), round(found, 6))
