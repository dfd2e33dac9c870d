"""Compress, then recall: a fresh network learns from summaries alone.

Deng & Russakovsky 2022.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from avalanche.models import MultiTaskModule
from avalanche.training.plugins import SupervisedPlugin
from avalanche.training.templates import SupervisedTemplate
from torch import nn

import ddcore as dd
from ddapps.continual.buffer import SummaryBuffer
from ddapps.continual.experiences import width_of
from ddcore.errors import UnsupportedError
from ddcore.evaluation import Protocol, TrainingSource, as_protocol, train_one
from ddcore.parts import Architecture, Redrawn


class CompressThenRecallPlugin(SupervisedPlugin):  # type: ignore[misc]
    """Trains the strategy's model anew on the summaries of all experiences, by their recipes.

    When an experience comes, its data goes into the memory and is seen no more. The model's weights
    are then drawn afresh and trained on what the memory holds, with its soft labels, learned step
    sizes and loss. The strategy's own epochs do not take place.

    Parts of a model with ``reset_parameters`` are drawn anew. Weights of others, such as a bare
    ``nn.Parameter``, begin with the values that they had when the first experience came.

    Args:
        buffer: the memory.
        protocol: how the network is trained: ``dc``, ``dsa``, ``quick`` or a
            `ddcore.evaluation.Protocol`. A recipe's own steps replace it.
        seed: of weights, order and augmentation.
    """

    def __init__(self, buffer: SummaryBuffer, *, protocol: str | Protocol = "dc", seed: int = 0) -> None:
        super().__init__()
        self.storage_policy = buffer
        self.protocol = as_protocol(protocol)
        self.seed = seed
        self._first: dict[str, torch.Tensor] | None = None

    def before_training_exp(self, strategy: Any, **kwargs: Any) -> None:
        """Compress the experience, recall everything, and leave nothing to be trained."""
        if isinstance(strategy.model, MultiTaskModule):
            raise UnsupportedError(
                "a model with a head per task cannot be trained by a summary's recipe: use ReplayPlugin with a DistilledBuffer, or a model with "
                "one head for all classes"
            )
        if self._first is None:
            self._first = values_that_stay(strategy.model)
        as_trained(strategy.model, tuple(strategy.experience.dataset.eval()[0][0].shape), self._first)
        self.storage_policy.post_adapt(strategy, strategy.experience)
        summary = self.storage_policy.memory.summary()
        run = self.storage_policy.memory.experiences - 1
        recall(strategy.model, summary, self.protocol, seed=self.seed, run=run, first=self._first)
        strategy.stop_training()


def values_that_stay(model: nn.Module) -> dict[str, torch.Tensor]:
    """Return copies of the weights that no ``reset_parameters`` draws anew, by name."""
    return {
        name: weight.detach().clone().cpu()
        for place, part in model.named_modules()
        if not callable(getattr(part, "reset_parameters", None))
        for name, weight in part.named_parameters(prefix=place, recurse=False)
    }


def as_trained(
    model: nn.Module, shape: tuple[int, ...], first: Mapping[str, torch.Tensor] | None = None
) -> tuple[Architecture, int]:
    """Return a model as an architecture, whose weights can be drawn anew, and its logits.

    Args:
        model: as it is.
        shape: of an example.
        first: what weights begin with that cannot be drawn (`values_that_stay`, before any
            training).

    Raises:
        UnsupportedError: the weights of some part cannot be drawn anew, or the model takes no
            examples of this shape.
    """
    width = width_of(model, torch.zeros(2, *shape))
    architecture = Redrawn(model, first)
    architecture.build(shape, width, seed=0)
    return architecture, width


def recall(
    model: nn.Module,
    summary: dd.DataSummary,
    protocol: Protocol,
    *,
    seed: int = 0,
    run: int = 0,
    first: Mapping[str, torch.Tensor] | None = None,
) -> None:
    """Train a model on a summary, from new weights; it keeps its place and type.

    Raises:
        UnsupportedError: the model does not have as many logits as soft labels have classes, or
            fewer than there are classes.
    """
    weights = next(model.parameters())
    source = TrainingSource.of(summary, weights.device, weights.dtype)
    architecture, width = as_trained(model, summary.spec.shape, first)
    if width <= max(summary.counts) or (source.labels == "soft" and width != summary.spec.num_classes):
        raise UnsupportedError(
            f"the model has {width} logits, the memory's labels {summary.spec.num_classes} classes: give it one logit for each"
        )
    suited = dd.override(protocol.training, "augmentation", protocol.training.augmentation.suited_to(summary.spec))
    spec = replace(summary.spec, num_classes=width, class_names=())
    precision = "fp64" if weights.dtype == torch.float64 else None
    trained = train_one(architecture, source, suited, spec, seed=seed, run=run, precision=precision)
    model.load_state_dict(trained.module.state_dict())


class CompressThenRecall(SupervisedTemplate):  # type: ignore[misc]
    """The strategy whose only training is `CompressThenRecallPlugin`'s.

    Args:
        model: one head for all classes; its weights are drawn anew for each experience.
        buffer: the memory.
        protocol: see `CompressThenRecallPlugin`.
        seed: see `CompressThenRecallPlugin`.
        settings: further arguments of Avalanche's ``SupervisedTemplate``: ``device``,
            ``evaluator``, ``plugins``, ``eval_mb_size``, ...
    """

    def __init__(
        self,
        *,
        model: nn.Module,
        buffer: SummaryBuffer,
        protocol: str | Protocol = "dc",
        seed: int = 0,
        plugins: list[Any] | None = None,
        **settings: Any,
    ) -> None:
        recalling = CompressThenRecallPlugin(buffer, protocol=protocol, seed=seed)
        super().__init__(
            model=model,
            optimizer=torch.optim.SGD(model.parameters(), lr=recalling.protocol.training.learning_rate),
            plugins=[*(plugins or []), recalling],
            **{"eval_mb_size": 128, **settings},
        )
        self.buffer = buffer
