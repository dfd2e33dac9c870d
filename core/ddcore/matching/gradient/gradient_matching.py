"""Matching the gradients of the training loss: DC, DSA, DCC, IDC."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import ClassVar

import torch
from torch import Tensor

from ddcore.errors import UnknownNameError, UnsupportedError
from ddcore.ground.ranks import ALONE
from ddcore.matching.gradient.distances import DISTANCES, Gradient
from ddcore.matching.gradient.matched_weights import LAYERS, matched_weights
from ddcore.matching.pieces import losses_by_piece
from ddcore.matching.real_count import check_real_count, real_count
from ddcore.matching.synthetic import synthetic_batch
from ddcore.parts import LOSSES, Matching, MatchingState, Run, Term, chunks, class_shares, united
from ddcore.settings import require, require_counts

GROUPS = ("class", "joint")
CLASS_WEIGHTS = ("equal", "size")


@dataclass(frozen=True)
class GradientMatching(Matching):
    r"""The gradient of the loss on synthetic examples follows that on real ones.

    .. math:: \sum_{g} D\big(\nabla_\theta \ell(S_g; \theta),\; \nabla_\theta \ell(T_g; \theta)\big)

    over groups :math:`g`: each class alone, or all classes jointly, each with the same weight.

    Attributes:
        distance: a name in ``DISTANCES``: ``cosine``, ``vector_cosine``, ``mse``, ``l1``,
            ``relative_mse``.
        layers: ``all`` weights, those of convolutions: ``conv``; ``parameters``, biases too; or
            ``head``: the classifier's weights and biases.
        groups: ``class``: one gradient per class (survey, equation 7); ``joint``: one for all
            (equation 8).
        warmup_networks, warmup_age: a joint matching goes class by class while the network is among
            the first ``warmup_networks`` *and* younger than ``warmup_age``.
        real_batch: real examples per class and step.
        real_total: real examples per step in all, shared out over the classes. They take the place
            of ``real_batch``. None: ``real_batch`` holds.
        synthetic_batch: most synthetic examples per class and step; None: all.
        update_per_class: step after every class instead of after their sum.
        class_weights: ``equal``; or ``size``: a class's distance counts as its number of synthetic
            examples over that of the largest class.
        updates_per_gradient: steps on one draw of the real gradients, which are kept meanwhile. It
            is worth it where each draw costs privacy.

    Source: Zhao et al. 2021 (arXiv:2006.05929); Lee et al. 2022 (arXiv:2202.02916); Kim et al. 2022
    (arXiv:2205.14959).
    """

    distance: str = "cosine"
    layers: str = "all"
    groups: str = "class"
    warmup_networks: int = 0
    warmup_age: int = 0
    real_batch: int = 256
    real_total: int | None = None
    synthetic_batch: int | None = None
    update_per_class: bool = False
    updates_per_gradient: int = 1
    class_weights: str = "equal"
    family: ClassVar[str] = "gradient"
    trains_labels: ClassVar[bool] = True

    def __post_init__(self) -> None:
        for value, allowed, what in (
            (self.distance, DISTANCES, "distance"),
            (self.layers, LAYERS, "layers"),
            (self.groups, GROUPS, "groups"),
            (self.class_weights, CLASS_WEIGHTS, "class_weights"),
        ):
            if value not in allowed:
                raise UnknownNameError(what, value, allowed)
        check_real_count(self.real_batch, self.real_total)
        require_counts(
            synthetic_batch=1 if self.synthetic_batch is None else self.synthetic_batch,
            updates_per_gradient=self.updates_per_gradient,
        )
        require(self.warmup_networks >= 0 and self.warmup_age >= 0, "warm-ups must not be negative")

    def start(self, run: Run) -> MatchingState:
        for network in run.networks.current():
            network.require_independent_examples()
            matched_weights(network, self.layers)
        if run.spec.connected and (self.update_per_class or self.updates_per_gradient > 1):
            raise UnsupportedError(
                "connected examples share what they are made of, so a step takes all classes at once: leave update_per_class and "
                "updates_per_gradient at their defaults"
            )
        return MatchingState()

    def shares_terms(self) -> bool:
        return not self.update_per_class and self.updates_per_gradient == 1

    def asks(self) -> frozenset[str]:
        return frozenset({"gradients"})

    def terms(self, run: Run, state: MatchingState) -> Iterator[Term]:
        terms = self._by_group(run)
        yield from [united(list(terms))] if run.spec.connected else terms

    def _by_group(self, run: Run) -> Iterator[Term]:
        (network,) = run.networks.current()
        names, loss_of = matched_weights(network, self.layers), LOSSES[run.spec.task.loss("cross_entropy")]
        groups = self._groups(run)
        views = run.views(run.examples.classes)
        ranks = ALONE if self._by_class(run) else run.ranks
        own = {tuple(run.own_classes(group)): group for group in groups}
        real = run.real.gradients(network, list(own), views, real_count(run, self.real_batch, self.real_total), names)
        kept = self.updates_per_gradient > 1
        sweeps = [list(real)] * self.updates_per_gradient if kept else [real]
        with network.differentiated(names) as weights:
            for gradient in chain.from_iterable(sweeps):
                mine, group = gradient.classes, own[gradient.classes]
                last_group = group == groups[-1]
                wanted = gradient.tensors
                if ranks.size > 1:  # each process knows the mean of its own classes
                    wanted = tuple(ranks.sum([t * (len(mine) / len(group)) for t in wanted]))
                distance = self._distance_to(wanted, self._weight_of(group, run))
                drawn = self._drawn(run, group)
                sizes = {c: len(indices) for c, indices in drawn.items()}
                pieces = list(chunks({c: drawn[c] for c in mine}, run.second_order_micro_batch))

                def gradients(
                    piece: Mapping[int, Tensor], differentiable: bool, sizes: Mapping[int, int] = sizes
                ) -> Sequence[Tensor]:
                    batch = synthetic_batch(run, views, piece)
                    with run.autocast():
                        losses = loss_of(network(batch.inputs), batch.targets).to(run.dtype)
                    mean = class_shares(piece, sizes, run.dtype, run.device) @ losses
                    return torch.autograd.grad(
                        mean, weights, create_graph=differentiable, allow_unused=True, materialize_grads=True
                    )

                for i, loss in enumerate(losses_by_piece(distance, gradients, pieces, ranks), start=1):
                    update = i == len(pieces) and (self.update_per_class or (kept and last_group))
                    yield Term(loss, update=update, classes=mine)

    def _distance_to(self, real: Gradient, weight: float) -> Callable[[Gradient], Tensor]:
        distance = DISTANCES[self.distance]
        return lambda synthetic: weight * distance(synthetic, real)

    def _weight_of(self, group: Sequence[int], run: Run) -> float:
        counts = run.examples.counts
        return 1.0 if self.class_weights == "equal" else max(counts[c] for c in group) / max(counts.values())

    def _groups(self, run: Run) -> list[list[int]]:
        classes = list(run.examples.classes)
        return [[c] for c in run.own_classes(classes)] if self._by_class(run) else [classes]

    def _by_class(self, run: Run) -> bool:
        warm = run.networks.episode < self.warmup_networks and run.networks.age < self.warmup_age
        return self.groups == "class" or warm

    def _drawn(self, run: Run, group: Sequence[int]) -> dict[int, Tensor]:
        random = {c: run.generator("synthetic", c) for c in group}
        return {c: run.examples.draw([c], self.synthetic_batch, random[c]) for c in group}
