"""Matching the class means of features: the loss of DM."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch

from ddcore.matching.distribution.distances import squared_mean_difference
from ddcore.matching.synthetic import synthetic_batch
from ddcore.parts import Matching, MatchingState, Run, Term, group_shares
from ddcore.settings import require_counts


@dataclass(frozen=True)
class DistributionMatching(Matching):
    """Class means of the features before the classifier, real against synthetic.

    Each class is seen under one siamese view.

    Attributes:
        real_batch: real examples per class and step.

    Source: Zhao & Bilen 2023 (arXiv:2110.04181); survey, equation 11.
    """

    real_batch: int = 256
    family: ClassVar[str] = "distribution"
    trains_labels: ClassVar[bool] = False

    def __post_init__(self) -> None:
        require_counts(real_batch=self.real_batch)

    def start(self, run: Run) -> MatchingState:
        for network in run.networks.current():
            network.require_independent_examples()
        return MatchingState()

    def shares_terms(self) -> bool:
        return True

    def asks(self) -> frozenset[str]:
        return frozenset({"features"})

    def terms(self, run: Run, state: MatchingState) -> Iterator[Term]:
        (network,) = run.networks.current()
        classes = run.own_classes(run.examples.classes)
        views = run.views(classes)
        real = run.real.features(network, [[c] for c in classes], views, self.real_batch)
        with network.differentiated():
            for group in run.group_classes(classes):
                members = {c: run.examples.draw([c]) for c in group}
                batch = synthetic_batch(run, views, members)
                with run.autocast():
                    features = network.features(batch.inputs)
                sizes = [{c: run.examples.counts[c]} for c in group]
                shares = group_shares(members, sizes, run.dtype, run.device)
                synthetic = shares @ features.to(run.dtype)
                wanted = torch.stack([next(real).mean for _ in group])
                yield Term(squared_mean_difference(synthetic, wanted), classes=tuple(group))
