"""Replay of a memory whose examples have distributions over the classes as labels."""

from __future__ import annotations

from typing import Any

import torch
from avalanche.models import MultiTaskModule
from avalanche.training.plugins import SupervisedPlugin
from torch import Tensor

import ddcore as dd
from ddapps.continual.buffer import SummaryBuffer
from ddcore.errors import UnsupportedError
from ddcore.ground import generator
from ddcore.settings import require_counts


class SoftReplayPlugin(SupervisedPlugin):  # type: ignore[misc]
    r"""Adds the loss on a batch of the memory to that of each batch of the experience.

    .. math:: L = \frac{1}{n + m} \Big(\sum_{i=1}^n \ell(f(x_i), y_i)
        + \sum_{j=1}^m \ell_M(f(\tilde x_j), \tilde y_j)\Big)

    :math:`\ell_M` is the loss of the memory's recipe: cross-entropy to stored distributions, or the
    squared error to stored targets. With class ids as labels the gradient is that of Avalanche's
    ``ReplayPlugin``, for a model whose norms do not mix the examples of a batch.

    Args:
        buffer: the memory. An experience goes into it when its training has ended.
        batch_size_mem: examples of the memory in a batch; default: as many as of the experience. A
            smaller memory is repeated.
        seed: of the draws.
    """

    def __init__(self, buffer: SummaryBuffer, *, batch_size_mem: int | None = None, seed: int = 0) -> None:
        super().__init__()
        if batch_size_mem is not None:
            require_counts(batch_size_mem=batch_size_mem)
        self.storage_policy = buffer
        self._batch_size, self._seed = batch_size_mem, seed
        self._examples: tuple[Tensor, Tensor, dd.Recipe] | None = None
        self._waiting: list[int] = []
        self._passes = 0

    def before_training_exp(self, strategy: Any, **kwargs: Any) -> None:
        """Decode what the memory holds.

        Raises:
            UnsupportedError: the model has a head per task.
        """
        if isinstance(strategy.model, MultiTaskModule):
            raise UnsupportedError(
                "a model with a head per task has no one distribution over the classes: use ReplayPlugin with a memory of hard labels"
            )
        memory = self.storage_policy.memory
        self._examples, self._waiting = None, []
        if memory.kept:
            like, summary = next(strategy.model.parameters()), memory.summary()
            self._examples = (*summary.tensors(strategy.device, like.dtype), summary.recipe)

    def before_backward(self, strategy: Any, **kwargs: Any) -> None:
        """Add the memory's loss.

        Raises:
            UnsupportedError: the model does not have as many logits as soft labels have classes.
        """
        if self._examples is None:
            return
        inputs, targets, recipe = self._examples
        count = len(strategy.mb_x)
        drawn = self._draw(len(inputs), self._batch_size or strategy.train_mb_size).to(inputs.device)
        logits = strategy.model(inputs[drawn])
        if targets.ndim == 2 and targets.shape[1] != logits.shape[1]:
            raise UnsupportedError(
                f"the model has {logits.shape[1]} logits, the memory's labels {targets.shape[1]} classes: give it one logit for each"
            )
        replayed = recipe.losses(logits, targets[drawn]).sum()
        strategy.loss = (count * strategy.loss + replayed) / (count + len(drawn))

    def after_training_exp(self, strategy: Any, **kwargs: Any) -> None:
        """Take the experience in."""
        self.storage_policy.post_adapt(strategy, strategy.experience)

    def _draw(self, size: int, count: int) -> Tensor:
        """Return the next indices: all of the memory in random order, then again in another."""
        while len(self._waiting) < count:
            draw = generator(self._seed, "soft-replay", self._passes)
            self._waiting += torch.randperm(size, generator=draw).tolist()
            self._passes += 1
        drawn, self._waiting = self._waiting[:count], self._waiting[count:]
        return torch.tensor(drawn)
