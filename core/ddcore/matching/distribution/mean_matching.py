"""Matching class means of features, or of functions of them: the losses of DM and of NCFM."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from ddcore.errors import UnsupportedError
from ddcore.matching.distribution.mean_difference import FeatureDistance, MeanDifference
from ddcore.matching.synthetic import synthetic_batch
from ddcore.parts import (
    LOSSES,
    Batch,
    Matching,
    MatchingState,
    Network,
    NetworkSource,
    Run,
    Segments,
    SegmentSource,
    Term,
    View,
    group_shares,
)
from ddcore.settings import require, require_counts


@dataclass(frozen=True)
class DistributionMatching(Matching):
    """The features before the classifier, real against synthetic, class by class.

    Each class is seen under one siamese view.

    Attributes:
        real_batch: real examples per class and step.
        distance: of the features: `MeanDifference` or `CharacteristicFunction`.
        calibration: weight of a second loss: each class's mean cross-entropy of the synthetic
            examples under the trained weights that segments aim at. With 0 there is none.

    Source: Zhao & Bilen 2023 (arXiv:2110.04181); Wang et al. 2025 (arXiv:2502.20653) and its code;
    survey, equation 11.
    """

    real_batch: int = 256
    distance: FeatureDistance = field(default_factory=MeanDifference)
    calibration: float = 0.0
    family: ClassVar[str] = "distribution"
    trains_labels: ClassVar[bool] = False

    def __post_init__(self) -> None:
        require_counts(real_batch=self.real_batch)
        require(0 <= self.calibration < float("inf"), "calibration must not be negative")

    def check_networks(self, source: NetworkSource) -> None:
        super().check_networks(source)
        if self.calibration > 0 and not isinstance(source, SegmentSource):
            raise UnsupportedError(
                f"calibration needs trained weights, which {type(source).__name__} does not give: use ExpertSegments, or "
                "calibration=0"
            )

    def start(self, run: Run) -> MatchingState:
        for network in run.networks.current():
            network.require_independent_examples()
        return self.distance.start(run)

    def shares_terms(self) -> bool:
        return True

    def asks(self) -> frozenset[str]:
        return frozenset({"batch" if self.distance.learns() else "features"})

    def terms(self, run: Run, state: MatchingState) -> Iterator[Term]:
        (network,) = run.networks.current()
        classes = run.own_classes(run.examples.classes)
        views = run.views(classes)
        groups = run.group_classes(classes)
        seen, width = self.distance.function(run, network, state), self.distance.width(network)
        with network.differentiated(), network.mapped(seen, width):
            real = self._real(run, network, classes, views)
            for group in groups:
                members = {c: run.examples.draw([c]) for c in group}
                batch = synthetic_batch(run, views, members)
                with run.autocast():
                    features = network.features(batch.inputs)
                sizes = [{c: run.examples.counts[c]} for c in group]
                shares = group_shares(members, sizes, run.dtype, run.device)
                synthetic = shares @ features.to(run.dtype)
                wanted = torch.stack([next(real) for _ in group])
                yield Term(self.distance.between(synthetic, wanted), classes=tuple(group))
        if self.calibration > 0:
            yield from self._calibrated(run, network, groups, views)

    def _real(self, run: Run, network: Network, classes: Sequence[int], views: Mapping[int, View]) -> Iterator[Tensor]:
        """Yield the mean of each class; with a graph, if the distance learns."""
        if not self.distance.learns():
            for answer in run.real.features(network, [[c] for c in classes], views, self.real_batch):
                yield answer.mean
            return
        for class_id in classes:
            real = run.real.batch([class_id], self.real_batch, "real")
            parts = []
            for inputs, targets in zip(*(t.split(run.micro_batch) for t in (real.inputs, real.targets)), strict=True):
                batch = views[class_id](Batch(inputs, targets))
                with run.autocast():
                    parts.append(network.features(batch.inputs).to(run.dtype).sum(dim=0))
            yield torch.stack(parts).sum(dim=0) / len(real.targets)

    def _calibrated(
        self, run: Run, network: Network, groups: Sequence[Sequence[int]], views: Mapping[int, View]
    ) -> Iterator[Term]:
        assert isinstance(run.networks, Segments)
        loss_of = LOSSES[run.spec.task.loss("cross_entropy")]
        with network.holding(run.networks.target()), network.differentiated():
            for group in groups:
                members = {c: run.examples.draw([c]) for c in group}
                batch = synthetic_batch(run, views, members)
                with run.autocast():
                    losses = loss_of(network(batch.inputs), batch.targets).to(run.dtype)
                sizes = [{c: run.examples.counts[c]} for c in group]
                shares = group_shares(members, sizes, run.dtype, run.device)
                yield Term(self.calibration * (shares @ losses).sum(), classes=tuple(group))
