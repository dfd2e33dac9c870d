"""Matching what a teacher has seen of its data: the statistics before its layers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ddcore.errors import UnknownNameError, UnsupportedError
from ddcore.matching.distribution.layer_statistics import LayerInputs, convolutions_of, moments_of, norms_of
from ddcore.matching.synthetic import rank_by_rank
from ddcore.parts import LOSSES, Batch, Matching, MatchingState, Network, Run, Term
from ddcore.settings import require, require_counts

ORDERS = ("ranks", "classes")
POOLED = 32
"""Side to which images are pooled before their densities are compared."""


@dataclass(frozen=True)
class StatisticMatching(Matching):
    r"""Synthetic batches are taken for their labels, and look to a teacher as its data did.

    A teacher :math:`f` has kept a mean :math:`\hat\mu_l` and a variance :math:`\hat\sigma^2_l` of
    each channel before its l-th BatchNorm. Of a batch :math:`S` they are :math:`\mu_l, \sigma^2_l`,
    taken over examples and places. The loss is

    .. math:: \frac1{|S|} \sum_{(x, y) \in S} \mathrm{CE}(f(x), y) + \alpha \sum_l w_l \big(
       \|\mu_l - \hat\mu_l\|_2 + \|\sigma^2_l - \hat\sigma^2_l\|_2 \big) + \beta\, D(S)

    with :math:`w_l = 1` but for the first layer, where it is ``first``. A batch has one view.

    With ``convolutions`` layers are also the convolutions. Before them, the same is matched of
    patches: squares of ``patch`` pixels at one place. What real examples give there is measured
    once, when a run starts; without, no real example is asked for.

    With ``momentum`` :math:`a`, the statistics that are matched are running means of those of a
    batch, :math:`a\, m + (1 - a)\, \mu`, while the gradient is that of the present ones.

    The densification :math:`D` wants no class to lie on few directions. With the eigenvalues
    :math:`\lambda_c` of the Gram matrix of a class's pixels in a batch,

    .. math:: D(S) = \sum_c \mathrm{KL}\big(\mathrm{softmax}(\lambda_c / 4) \,\|\,
       \mathrm{softmax}(\lambda_c)\big),

    whose first distribution is taken as it is.

    Attributes:
        weight: :math:`\alpha`.
        first: :math:`w_1`, of the first layer, in the order in which a network was made.
        batch_size: examples per batch.
        order: of the batches: ``ranks``, the first of every class, then the second ones; or
            ``classes``, all of a class, then those of the next.
        momentum: :math:`a`.
        convolutions: whether statistics before convolutions are matched too.
        patch: side of a patch, in pixels.
        drop: probability with which a convolution is left out of a step.
        density: :math:`\beta`.

    Source: Yin et al. 2023 (arXiv:2306.13092), equations 6 to 8, after DeepInversion
    (arXiv:1912.08795). Convolutions, running means and densification: Shao et al. 2024
    (arXiv:2311.17950) and its code, where running means begin at zero and here at the first batch,
    and where the variance of the data is that within batches.
    """

    weight: float = 0.01
    first: float = 10.0
    batch_size: int = 100
    order: str = "ranks"
    momentum: float = 0.0
    convolutions: bool = False
    patch: int = 4
    drop: float = 0.0
    density: float = 0.0
    family: ClassVar[str] = "distribution"
    trains_labels: ClassVar[bool] = False

    def __post_init__(self) -> None:
        require_counts(batch_size=self.batch_size, patch=self.patch)
        require(min(self.weight, self.first, self.density) >= 0, "weights must not be negative")
        require(0 <= self.momentum < 1 and 0 <= self.drop < 1, "momentum and drop lie in [0, 1)")
        if self.order not in ORDERS:
            raise UnknownNameError("order of batches", self.order, ORDERS)

    def start(self, run: Run) -> MatchingState:
        if run.spec.task.numeric:
            raise UnsupportedError("a teacher's classes are matched; the targets here are numbers")
        if self.density and len(run.spec.shape) != 3:
            raise UnsupportedError(f"densification is of images, not of examples of shape {run.spec.shape}: density=0")
        for network in run.networks.current():
            norms_of(network)
        return Moments()

    def asks(self) -> frozenset[str]:
        return frozenset({"batch"}) if self.convolutions else frozenset()

    def layers(self, network: Network) -> list[nn.Module]:
        """Return the layers whose inputs are matched, in the order in which they were made."""
        chosen: set[nn.Module] = {*norms_of(network), *(convolutions_of(network) if self.convolutions else ())}
        return [module for module in network.module.modules() if module in chosen]

    def terms(self, run: Run, state: MatchingState) -> Iterator[Term]:
        assert isinstance(state, Moments)
        (network,) = run.networks.current()
        layers, turn = self.layers(network), run.networks.turn
        wanted = state.of_data(turn, lambda: self._of_data(run, network, layers))
        augmentation = run.augmentation.at(run.step / max(run.steps - 1, 1))
        examples = run.examples
        by_class = torch.cat([examples.indices_of(c) for c in examples.classes])
        order = rank_by_rank(examples) if self.order == "ranks" else by_class
        for number, indices in enumerate(order.split(self.batch_size)):
            view = augmentation.draw(run.generator("view", number))
            batch = view(examples.decode(indices, run.generator("decode", number)))
            with network.differentiated(), LayerInputs(layers) as inputs, run.autocast():
                logits = network(batch.inputs)
                labelled = LOSSES["cross_entropy"](logits, batch.targets).mean()
            kept = self._kept(layers, run, number)
            seen = [moments_of(layers[i], inputs.of(layers[i]), self.patch) for i in kept]
            held = state.running([f"{turn}.{number}.{i}" for i in kept], seen, self.momentum)
            apart = [
                (self.first if i == 0 else 1.0)
                * torch.stack([(m - w).norm() for m, w in zip(mine, wanted[i], strict=True)]).sum()
                for i, mine in zip(kept, held, strict=True)
            ]
            loss = labelled + self.weight * torch.stack(apart).sum()
            yield Term(loss + self.density * densification(batch, examples.classes) if self.density else loss)

    def _kept(self, layers: Sequence[nn.Module], run: Run, number: int) -> list[int]:
        """Return the places of the layers that take part in this step: all norms."""
        if not self.drop:
            return list(range(len(layers)))
        drawn = torch.rand(len(layers), generator=run.generator("drop", number)) >= self.drop
        return [i for i, layer in enumerate(layers) if isinstance(layer, _BatchNorm) or bool(drawn[i])]

    def _of_data(self, run: Run, network: Network, layers: Sequence[nn.Module]) -> list[list[Tensor]]:
        """Return the statistics of real examples before each layer.

        Those of BatchNorms are their own. Others are measured: the mean of means, and of squares.
        """
        totals: dict[int, list[Tensor]] = {}
        count = sum(run.real.counts.values())
        measured = [i for i, layer in enumerate(layers) if not isinstance(layer, _BatchNorm)]
        for class_id, size in run.real.counts.items() if measured else ():
            real = run.real.batch([class_id], size, "statistics").inputs
            for part in real.split(run.micro_batch):
                with torch.no_grad(), LayerInputs(layers) as inputs:
                    network(part)
                for i in measured:
                    moments = moments_of(layers[i], inputs.of(layers[i]), self.patch)
                    pairs = zip(moments[::2], moments[1::2], strict=True)
                    raw = [t * (len(part) / count) for mean, var in pairs for t in (mean, var + mean.square())]
                    totals[i] = [a + b for a, b in zip(totals[i], raw, strict=True)] if i in totals else raw
        found: list[list[Tensor]] = []
        for i, layer in enumerate(layers):
            if isinstance(layer, _BatchNorm):
                assert layer.running_mean is not None and layer.running_var is not None
                found.append([layer.running_mean, layer.running_var])
            else:
                means, squares = totals[i][::2], totals[i][1::2]
                found.append([t for m, s in zip(means, squares, strict=True) for t in (m, s - m.square())])
        return found


@dataclass
class Moments(MatchingState):
    """Running statistics of batches by name, and those of real examples by teacher."""

    means: dict[str, list[Tensor]] = field(default_factory=dict)
    _data: dict[int, list[list[Tensor]]] = field(default_factory=dict)

    def of_data(self, turn: int, measure: Any) -> list[list[Tensor]]:
        """Return the statistics of real examples to a teacher. They are measured once."""
        if turn not in self._data:
            self._data[turn] = measure()
        return self._data[turn]

    def running(self, names: Sequence[str], seen: list[list[Tensor]], momentum: float) -> list[list[Tensor]]:
        """Return running means whose gradients are those of what is ``seen``, and keep them."""
        if momentum == 0:
            return seen
        found = []
        for name, present in zip(names, seen, strict=True):
            before = self.means.get(name, [t.detach() for t in present])
            now = [momentum * old.to(t) + (1 - momentum) * t.detach() for old, t in zip(before, present, strict=True)]
            self.means[name] = now
            found.append([mean + t - t.detach() for mean, t in zip(now, present, strict=True)])
        return found

    def state_dict(self) -> dict[str, Any]:
        return {"means": dict(self.means)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.means = {name: list(means) for name, means in state["means"].items()}


def densification(batch: Batch, classes: Sequence[int]) -> Tensor:
    """Return how far the directions of each class's images are from being equally used.

    See `StatisticMatching`. Images are averaged to 32 pixels a side before.
    """
    total = torch.zeros((), dtype=batch.inputs.dtype, device=batch.inputs.device)
    small = F.adaptive_avg_pool2d(batch.inputs, POOLED) if max(batch.inputs.shape[-2:]) > POOLED else batch.inputs
    for class_id in classes:
        rows = small[batch.targets == class_id].flatten(1)
        if len(rows) > 1:
            values = torch.linalg.eigvalsh(rows @ rows.T)
            spread = (values.detach() / 4).log_softmax(dim=0)
            total = total + (spread.exp() * (spread - values.log_softmax(dim=0))).sum()
    return total
