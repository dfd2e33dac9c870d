"""How experts are trained: one network by itself, or several at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call, vmap

from ddcore.errors import DeviceMemoryError
from ddcore.ground.memory import KEPT_ONCE, again_if_it_does_not_fit, fitting, graph_bytes
from ddcore.parts import LOSSES, Augmentation, Batch, UsualAugmentation
from ddcore.settings import require, require_counts

Tensors = Sequence[Tensor]


@dataclass(frozen=True)
class ExpertTraining:
    r"""Stochastic gradient descent on real data, with an augmentation drawn for every example.

    Sharpness-aware training makes trajectories flat, as FTD needs them. Let :math:`g` be the
    gradient at the weights :math:`w`, and :math:`g'` that at
    :math:`w + \rho\, w^2 g / \| w g \|`. Descent follows :math:`g' - \alpha g_\perp`, where
    :math:`g_\perp` is the part of :math:`g` orthogonal to :math:`g'`.

    Attributes:
        epochs: how often weights are kept, beside the first ones.
        passes: over the data in one epoch, from kept weights to the next.
        learning_rate, momentum, weight_decay: of SGD.
        batch_size: examples per update.
        augmentation: of training; default: the usual one of such data (for images siamese).
        sharpness: the radius :math:`\rho`. With 0 descent follows :math:`g`.
        gap: the factor :math:`\alpha`. With 0 descent follows :math:`g'`.

    Source: Cazenavette et al. 2022 (arXiv:2203.11932), section 3.1 and its code. For ``sharpness``
    and ``gap``: Kwon et al. 2021 (arXiv:2102.11600), Zhuang et al. 2022 (arXiv:2203.08065) and Du
    et al. 2023 (arXiv:2211.11004).
    """

    epochs: int = 50
    learning_rate: float = 0.01
    momentum: float = 0.0
    weight_decay: float = 0.0
    batch_size: int = 256
    augmentation: Augmentation = field(default_factory=UsualAugmentation)
    sharpness: float = 0.0
    gap: float = 0.0
    passes: int = 1

    def __post_init__(self) -> None:
        require_counts(epochs=self.epochs, batch_size=self.batch_size, passes=self.passes)
        require(self.learning_rate > 0, f"learning_rate must be positive, not {self.learning_rate}")
        require(0 <= self.momentum < 1, f"momentum must lie in [0, 1), not {self.momentum}")
        require(self.weight_decay >= 0 and min(self.sharpness, self.gap) >= 0, "no setting of training is negative")
        require(self.gap == 0 or self.sharpness > 0, "gap needs a sharpness above 0")


class Together:
    """Several networks of one architecture that take each step at once. Their weights are stacked.

    Args:
        modules: give structure and first weights. They are on their device.
        loss: what the networks minimise, a name in ``LOSSES``.

    Attributes:
        at_once: how many networks' gradients are taken at once. It is settled at the first step:
            all, or as many as fit the free memory of an accelerator. It is halved where they do
            not.
    """

    def __init__(self, modules: Sequence[nn.Module], loss: str = "cross_entropy") -> None:
        self._loss_name = loss
        self._module = modules[0]
        self.names = [name for name, _ in self._module.named_parameters()]
        columns = zip(*(module.parameters() for module in modules), strict=True)
        self.weights = [torch.stack([w.detach() for w in column]).requires_grad_() for column in columns]
        self.velocity = [torch.zeros_like(w) for w in self.weights]
        self.at_once: int | None = None

    def take_step(self, batches: Sequence[Batch], training: ExpertTraining) -> None:
        """Update every network on its own batch."""
        gradients = self._gradients(self.weights, batches)
        if training.sharpness > 0:
            gradients = self._flattening(gradients, batches, training)
        with torch.no_grad():
            for weight, velocity, gradient in zip(self.weights, self.velocity, gradients, strict=True):
                velocity.mul_(training.momentum).add_(gradient).add_(weight, alpha=training.weight_decay)
                weight.sub_(velocity, alpha=training.learning_rate)

    def _flattening(self, gradients: Tensors, batches: Sequence[Batch], training: ExpertTraining) -> Tensors:
        """Return the directions of sharpness-aware descent, given the gradients at the weights."""
        with torch.no_grad():
            scaled = [w * g for w, g in zip(self.weights, gradients, strict=True)]
            steps = _scaled(scaled, training.sharpness / _inner(scaled, scaled).sqrt().clamp_min(1e-12))
            uphill = [(w + w * s).requires_grad_() for w, s in zip(self.weights, steps, strict=True)]
        perturbed = self._gradients(uphill, batches)
        if training.gap == 0:
            return perturbed
        along = _inner(gradients, perturbed) / _inner(perturbed, perturbed).clamp_min(1e-30)
        orthogonal = [g - p for g, p in zip(gradients, _scaled(perturbed, along), strict=True)]
        return [p - training.gap * o for p, o in zip(perturbed, orthogonal, strict=True)]

    def _gradients(self, weights: Tensors, batches: Sequence[Batch]) -> Tensors:
        """Return all networks' gradients. If memory does not suffice, some are taken at a time.

        Nothing is changed before all are there.

        Raises:
            DeviceMemoryError: that of one network does not fit.
        """
        if self.at_once is None:
            inputs = batches[0].inputs
            each = len(inputs) * graph_bytes(tuple(inputs.shape[1:]), KEPT_ONCE)
            self.at_once = fitting(each, weights[0].device, len(batches))
        return again_if_it_does_not_fit(lambda: self._in_lots(weights, batches), self._halve)

    def _halve(self, reason: str) -> None:
        assert self.at_once is not None
        if self.at_once == 1:
            raise DeviceMemoryError(
                f"one step of one expert does not fit the memory ({reason}): lower the batch_size of its training, or take a narrower "
                "network"
            )
        self.at_once = -(-self.at_once // 2)

    def _in_lots(self, weights: Tensors, batches: Sequence[Batch]) -> Tensors:
        at_once = self.at_once or len(batches)
        if at_once >= len(batches):
            return self._of_lot(weights, batches)
        lots = []
        for first in range(0, len(batches), at_once):
            mine = slice(first, first + at_once)
            lots.append(self._of_lot([w[mine].detach().requires_grad_() for w in weights], batches[mine]))
        return [torch.cat(column) for column in zip(*lots, strict=True)]

    def _of_lot(self, weights: Tensors, batches: Sequence[Batch]) -> Tensors:
        loss = self._alone if len(batches) == 1 else self._vectorised
        gradients: Tensors = torch.autograd.grad(loss(weights, batches), list(weights))
        return gradients

    def _alone(self, weights: Tensors, batches: Sequence[Batch]) -> Tensor:
        (batch,) = batches
        return self._loss([w[0] for w in weights], batch.inputs, batch.targets)

    def _vectorised(self, weights: Tensors, batches: Sequence[Batch]) -> Tensor:
        inputs, targets = torch.stack([batch.inputs for batch in batches]), _alike([batch.targets for batch in batches])
        each: Callable[..., Tensor] = vmap(self._loss)
        return each(list(weights), inputs, targets).sum()

    def _loss(self, weights: Tensors, inputs: Tensor, targets: Tensor) -> Tensor:
        logits = functional_call(self._module, dict(zip(self.names, weights, strict=True)), (inputs,))
        if self._loss_name == "cross_entropy":
            return F.cross_entropy(logits, targets)
        return LOSSES[self._loss_name](logits, targets).mean()

    def flat(self) -> Tensor:
        """Return the weights as one row per network, on the CPU in float32."""
        return torch.cat([w.detach().flatten(1) for w in self.weights], dim=1).float().cpu()


def _alike(targets: Tensors) -> Tensor:
    """Return targets stacked: as weights of classes, if those of a network are (CutMix)."""
    width = max((t.shape[1] for t in targets if t.ndim == 2), default=0)
    dtype = next((t.dtype for t in targets if t.ndim == 2), torch.float32)
    return torch.stack([t if t.ndim == 2 or not width else F.one_hot(t, width).to(dtype) for t in targets])


def _inner(a: Tensors, b: Tensors) -> Tensor:
    """Return the inner product of each network's two vectors of weights."""
    return torch.stack([(x * y).flatten(1).sum(dim=1) for x, y in zip(a, b, strict=True)]).sum(dim=0)


def _scaled(vectors: Tensors, factors: Tensor) -> list[Tensor]:
    return [v * factors.view(-1, *[1] * (v.ndim - 1)) for v in vectors]


def worth_stacking(module: nn.Module, device: torch.device) -> bool:
    """Whether several such networks are faster at once than one after the other.

    Several networks at once turn a convolution into a grouped one, for which processors have
    slower kernels: see ``benchmarks.experts``. On a GPU one small network leaves most of it idle.
    """
    return device.type != "cpu" or not any(isinstance(m, nn.modules.conv._ConvNd) for m in module.modules())
