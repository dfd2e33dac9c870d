"""Matching the class means of features: the loss of DM."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import nn

from ddcore.errors import UnsupportedError
from ddcore.matching.base import Matching, MatchingState, Term
from ddcore.matching.distribution.distances import squared_mean_difference
from ddcore.settings import require

if TYPE_CHECKING:
    from ddcore.run import Run


@dataclass(frozen=True)
class DistributionMatching(Matching):
    """Class means of the features before the classifier, real against synthetic, under one siamese view per class.

    Attributes:
        real_batch: real examples per class and step.

    Source: Zhao & Bilen 2023 (arXiv:2110.04181); survey, equation 11.
    """

    real_batch: int = 256
    family: ClassVar[str] = "distribution"
    trains_labels: ClassVar[bool] = False

    def __post_init__(self) -> None:
        require(self.real_batch > 0, f"real_batch must be above 0, not {self.real_batch}")

    def start(self, run: Run) -> MatchingState:
        for network in run.networks.current():
            if any(isinstance(m, nn.modules.batchnorm._BatchNorm) for m in network.modules()):
                raise UnsupportedError(
                    "BatchNorm mixes the examples of a batch, so class means depend on how batches are cut: "
                    "use norm 'instance', 'layer', 'group' or 'none'"
                )
        return MatchingState()

    def terms(self, run: Run, state: MatchingState) -> Iterator[Term]:
        (network,) = run.networks.current()
        classes = run.examples.classes
        views = {c: run.augmentation.draw(run.generator("view", c)) for c in classes}
        real = run.real.features(network, [[c] for c in classes], list(views.values()), self.real_batch)
        for group in run.group_classes(classes):
            batches = [views[c](run.examples.decode(run.examples.draw([c]), run.generator("decode", c))) for c in group]
            with run.autocast():
                features = network.features(torch.cat([b.inputs for b in batches]))
            parts = features.to(run.dtype).split([len(b.inputs) for b in batches])
            synthetic = torch.stack([part.mean(dim=0) for part in parts])
            wanted = torch.stack([next(real).mean for _ in group])
            yield Term(squared_mean_difference(synthetic, wanted), classes=tuple(group))
