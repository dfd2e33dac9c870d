"""Aligning the features of all layers: the loss of CAFE.

Synthetic centres also have to tell real examples apart.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ddcore.errors import UnsupportedError
from ddcore.matching.distribution.distances import centroid_cross_entropy, squared_mean_difference
from ddcore.matching.pieces import losses_by_piece
from ddcore.matching.synthetic import synthetic_batch
from ddcore.parts import Batch, Matching, MatchingState, Network, Run, Term, View, chunks, group_shares
from ddcore.settings import require, require_counts


@dataclass(frozen=True)
class FeatureAlignment(Matching):
    r"""Class means of every layer's features, real against synthetic, and a classifier.

    The classifier is made of synthetic class means.

    .. math:: \sum_l w_l \sum_c \|\bar r_{l,c} - \bar s_{l,c}\|^2
       + \beta \sum_i \mathrm{CE}\big((\langle r_i, \bar s_c \rangle)_c, y_i\big)

    Layers are the outputs of activation modules, from the input on. The last is the classifier's
    input :math:`r_i`.

    Attributes:
        real_batch: real examples per class and step.
        early_weight: of all activations but the last.
        last_weight: of the last activation.
        feature_weight: of the classifier's input. The reference counts it twice, before and after
            flattening, each with weight 1.
        discrimination: weight :math:`\beta` of the classifier's loss, which is summed over real
            examples.

    Source: Wang et al. 2022 (arXiv:2203.01531), section 3 and its code; survey, equation 12.
    """

    real_batch: int = 256
    early_weight: float = 0.1
    last_weight: float = 1.0
    feature_weight: float = 2.0
    discrimination: float = 0.01
    family: ClassVar[str] = "distribution"
    trains_labels: ClassVar[bool] = False

    def __post_init__(self) -> None:
        require_counts(real_batch=self.real_batch)
        weights = (self.early_weight, self.last_weight, self.feature_weight, self.discrimination)
        require(min(weights) >= 0, "weights must not be negative")

    def start(self, run: Run) -> MatchingState:
        if run.spec.task.numeric:
            raise UnsupportedError("feature alignment tells classes apart; the targets here are numbers")
        if not isinstance(run.examples.decode().inputs, Tensor):
            raise UnsupportedError("feature alignment needs a row per example in every layer: graphs have one per node")
        for network in run.networks.current():
            network.require_independent_examples()
            network.activation_names()
        return MatchingState()

    def terms(self, run: Run, state: MatchingState) -> Iterator[Term]:
        (network,) = run.networks.current()
        classes = run.examples.classes
        views = run.views(classes)
        with network.differentiated():
            means, features, targets = self._real(run, network, views)

            def loss(synthetic: Sequence[Tensor]) -> Tensor:
                weights = self._layer_weights(len(synthetic))
                aligned = [w * squared_mean_difference(s, r) for w, s, r in zip(weights, synthetic, means, strict=True)]
                discriminated = centroid_cross_entropy(features, synthetic[-1], targets)
                return torch.stack([*aligned, self.discrimination * discriminated]).sum()

            def layer_means(piece: Mapping[int, Tensor], differentiable: bool) -> list[Tensor]:
                with torch.set_grad_enabled(differentiable):
                    batch = synthetic_batch(run, views, piece)
                    return _add_up(run, network, batch, group_shares(piece, sizes, run.dtype, run.device))

            sizes = [{c: n} for c, n in run.examples.counts.items()]
            pieces = list(chunks({c: run.examples.draw([c]) for c in classes}, run.second_order_micro_batch))
            for term in losses_by_piece(loss, layer_means, pieces):
                yield Term(term, classes=tuple(classes))

    def _layer_weights(self, layers: int) -> list[float]:
        return [self.early_weight] * (layers - 2) + [self.last_weight, self.feature_weight]

    def _real(self, run: Run, network: Network, views: Mapping[int, View]) -> tuple[list[Tensor], Tensor, Tensor]:
        """Return class means per layer, the classifier's inputs, and each example's class.

        A class is given by its place among the run's classes.
        """
        classes = run.examples.classes
        counts = {c: min(self.real_batch, run.real.counts[c]) for c in classes}
        real = run.real.batch(classes, self.real_batch, "real")
        totals: list[Tensor] = []
        features: list[Tensor] = []
        with torch.no_grad():
            for class_id, mine in zip(classes, real.inputs.split(list(counts.values())), strict=True):
                for inputs in mine.split(run.micro_batch):
                    owners = torch.full((len(inputs),), class_id, device=run.device)
                    batch = views[class_id](Batch(inputs, owners))
                    shares = group_shares(
                        {class_id: owners}, [{c: n} for c, n in counts.items()], run.dtype, run.device
                    )
                    parts = _add_up(run, network, batch, shares, features)
                    totals = parts if not totals else [t + p for t, p in zip(totals, parts, strict=True)]
        places = [torch.full((n,), place, device=run.device) for place, n in enumerate(counts.values())]
        return totals, torch.cat(features), torch.cat(places)


def _add_up(
    run: Run, network: Network, batch: Batch, averaging: Tensor, features: list[Tensor] | None = None
) -> list[Tensor]:
    """Return each layer's share of the class means, ``classes x d_l``.

    The classifier's inputs are appended to ``features``.
    """
    with run.autocast():
        layers = network.activations(batch.inputs)
    if features is not None:
        features.append(layers[-1].to(run.dtype))
    return [averaging @ layer.to(run.dtype) for layer in layers]
