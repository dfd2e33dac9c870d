"""Train one network by stochastic gradient descent."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from ddcore.errors import UnknownNameError
from ddcore.ground.devices import autocast, fitting_micro_batch, matmul_precision, send_ahead
from ddcore.ground.randomness import default_generators_seeded
from ddcore.parts import (
    Augmentation,
    Batch,
    Feed,
    Network,
    NoAugmentation,
    Recipe,
    Steps,
    Unchanged,
    View,
    are_connected,
)
from ddcore.settings import require, require_counts

Watch = Callable[[Tensor, Batch, Tensor], None]
OPTIMISERS = ("sgd", "adam", "adam_l2", "adamw")
KEPT = ("final", "best_validation")


@dataclass(frozen=True)
class Training:
    """The schedule of a training.

    The defaults are those of the field's evaluation (Zhao et al. 2021): SGD with momentum, and one
    drop of the learning rate.

    Attributes:
        epochs: passes over the examples.
        updates: number of updates in place of epochs, by number of examples. The largest key that
            is not above the number of examples counts. Empty: epochs count.
        optimiser: ``sgd``; ``adam``, without weight decay; ``adam_l2``, with it in the
            gradient; or ``adamw``, with it apart (Loshchilov & Hutter 2019, arXiv:1711.05101).
        learning_rate, momentum, weight_decay: of SGD. Adam takes no momentum.
        batch_size: examples per update.
        drop_at: share of the epochs after which the learning rate drops, or several shares. 1: it
            never drops.
        drop: factor by which the learning rate is multiplied at a drop.
        restart: whether the optimiser is made anew at a drop. Its momentum then starts at zero.
        warmup: number of updates during which the learning rate grows from zero.
        cosine: after the warm-up the learning rate falls along a cosine to this share of it. None:
            it does not.
        augmentation: drawn for every batch. Every example gets a draw of its own.
        keep: which weights the network ends with: ``final``; or ``best_validation``, those after
            the update (the first of equal ones) at which its score on validation data was best.
    """

    epochs: int = 300
    updates: Mapping[int, int] = field(default_factory=dict, hash=False)
    optimiser: str = "sgd"
    learning_rate: float = 0.01
    momentum: float = 0.9
    weight_decay: float = 5e-4
    batch_size: int = 256
    drop_at: float | tuple[float, ...] = 0.5
    drop: float = 0.1
    restart: bool = True
    warmup: int = 0
    cosine: float | None = None
    augmentation: Augmentation = field(default_factory=NoAugmentation)
    keep: str = "final"

    def __post_init__(self) -> None:
        if self.keep not in KEPT:
            raise UnknownNameError("keep", self.keep, KEPT)
        require(self.epochs > 0 and self.batch_size > 0, "epochs and batch_size must be above 0")
        require(self.learning_rate > 0, f"learning_rate must be positive, not {self.learning_rate}")
        require(
            isinstance(self.drop_at, int | float | tuple),
            f"drop_at is a share of the epochs or a tuple of them, not {self.drop_at!r}",
        )
        if self.optimiser not in OPTIMISERS:
            raise UnknownNameError("optimiser", self.optimiser, OPTIMISERS)
        for share in self.drop_shares:
            require(0 <= share <= 1, f"drop_at is a share of the epochs, in [0, 1], not {share}")
        require_counts(**{f"updates for {n} examples": count for n, count in self.updates.items()})
        require(self.warmup >= 0, f"warmup must not be negative, it is {self.warmup}")
        require(self.cosine is None or 0 <= self.cosine <= 1, f"cosine is a share, in [0, 1], not {self.cosine}")

    @property
    def drop_shares(self) -> tuple[float, ...]:
        """The shares of the epochs at which the learning rate drops."""
        return self.drop_at if isinstance(self.drop_at, tuple) else (self.drop_at,)

    def updates_for(self, size: int) -> int:
        """Return the number of updates on ``size`` examples."""
        if not self.updates:
            return self.epochs * -(-size // self.batch_size)
        return self.updates[max((n for n in self.updates if n <= size), default=min(self.updates))]

    def factor_at(self, update: int, updates: int) -> float:
        """Return the factor of warm-up and cosine at ``update`` of ``updates``.

        The learning rate is multiplied by it.
        """
        if update < self.warmup:
            return update / self.warmup
        if self.cosine is None:
            return 1.0
        done = (update - self.warmup) / max(updates - self.warmup, 1)
        return self.cosine + (1 - self.cosine) * 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))


def fit(
    network: Network,
    batch_of: Callable[[Tensor], Batch],
    size: int,
    training: Training,
    *,
    generator: torch.Generator,
    recipe: Recipe | None = None,
    members: Mapping[int, Tensor] | None = None,
    precision: str | None = None,
    watch: Watch | None = None,
    validate: Callable[[Network], float] | None = None,
    feed: Feed | None = None,
) -> None:
    """Train ``network`` in place. It ends with the weights that the schedule keeps.

    A recipe with steps of its own replaces the whole schedule, augmentation included.

    Args:
        network: on the device of the batches.
        batch_of: returns the examples at some indices.
        size: number of examples.
        training: the schedule.
        generator: CPU generator of order and augmentation.
        recipe: the loss. It may also hold a learning rate or steps, in place of the schedule's.
        members: indices of examples per class id. A recipe with steps needs them.
        precision: of the whole training. None: that of the block of `matmul_precision` around, else
            the usual one of the device.
        watch: called after each update with its indices, its batch, and the logits before it.
        validate: returns a network's score on validation data. A schedule that keeps the best
            weights needs it.
        feed: labels in place of those of the batches. It may fix batches and views too.
    """
    recipe = recipe or Recipe()
    if feed is not None:
        require(recipe.steps is None, "a recipe with steps of its own is for its own labels: take none from elsewhere")
        training = under_feed(training, feed)
    best = _Best(network, validate) if training.keep == "best_validation" else None
    plan = _by_epochs(network, size, training, recipe, generator, feed)
    if recipe.steps is not None:
        require(bool(members), "a recipe with steps of its own needs to know the examples of each class: members=")
        plan = _by_steps(network, recipe.steps, members or {})
    network.train()
    device, at_once = next(network.parameters()).device, None
    with matmul_precision(precision, device), reproducible_dropout(network, generator):
        for view, indices, optimiser, rate, place in _sent(plan, device):
            optimiser.param_groups[0]["lr"] = rate
            batch = view(batch_of(indices))
            if feed is not None:
                batch = replace(batch, targets=feed.targets(*place, batch))
            at_once = at_once or _at_once(batch, device)
            logits = take_step(network, optimiser, batch, recipe=recipe, precision=precision, at_once=at_once)
            if watch is not None:
                watch(indices, batch, logits)
            if best is not None:
                best.look()
    if best is not None:
        best.restore()


def under_feed(training: Training, feed: Feed | None) -> Training:
    """Return the schedule with the batches and views that labels fix."""
    if feed is None:
        return training
    augmentation = feed.augmentation or training.augmentation
    return replace(training, batch_size=feed.batch_size or training.batch_size, augmentation=augmentation)


class _Best:
    """The weights at which a network scored best on validation data."""

    def __init__(self, network: Network, validate: Callable[[Network], float] | None) -> None:
        require(
            validate is not None,
            "the best weights on validation data were asked for: give validate=, or take a protocol that keeps the final ones",
        )
        self._network, self._validate = network, validate
        self._score, self._weights = -math.inf, network.module.state_dict()

    def look(self) -> None:
        assert self._validate is not None
        self._network.eval()
        score = self._validate(self._network)
        self._network.train()
        if score > self._score:
            weights = self._network.module.state_dict()
            self._score, self._weights = score, {name: tensor.clone() for name, tensor in weights.items()}

    def restore(self) -> None:
        self._network.module.load_state_dict(self._weights)


UPDATES_AHEAD = 64
"""Updates whose indices and views go to a device together."""
U = TypeVar("U", bound=tuple[Any, ...])
Plan = Iterator[tuple[View, Tensor, torch.optim.Optimizer, float, tuple[int, int]]]
"""View, indices, optimiser and learning rate of each update, and its epoch and place in it."""


class Schedule:
    """Optimiser and learning rate of a training, epoch after epoch.

    Args:
        network: what is trained.
        size: number of examples.
        training: the settings.
        rate: the first learning rate.
    """

    def __init__(self, network: Network, size: int, training: Training, rate: float) -> None:
        self._network, self._training, self._rate = network, training, rate
        self._each = -(-size // training.batch_size)
        self.updates = training.updates_for(size)
        self.epochs = training.epochs if not training.updates else -(-self.updates // self._each)
        self._drops = [int(self.epochs * share) for share in training.drop_shares if share < 1]
        self.optimiser = _optimiser(network, rate, training)

    def begin(self, epoch: int) -> list[float]:
        """Drop the rate if ``epoch`` begins with a drop. Return the rate of each of its updates."""
        training, drops = self._training, self._drops.count(epoch)
        if drops:
            self._rate *= training.drop**drops
            self.optimiser = _optimiser(self._network, self._rate, training) if training.restart else self.optimiser
        first = epoch * self._each
        last = min(first + self._each, self.updates)
        return [self._rate * training.factor_at(update, self.updates) for update in range(first, last)]


def _by_epochs(
    network: Network, size: int, training: Training, recipe: Recipe, generator: torch.Generator, feed: Feed | None
) -> Plan:
    schedule = Schedule(network, size, training, recipe.learning_rate or training.learning_rate)
    for epoch in range(schedule.epochs):
        rates = schedule.begin(epoch)
        fixed = None if feed is None else feed.batches(epoch)
        batches = fixed or drawn_batches(size, training, generator)
        for number, ((indices, view), rate) in enumerate(zip(batches, rates, strict=False)):
            yield view, indices, schedule.optimiser, rate, (epoch, number)


def drawn_batches(size: int, training: Training, generator: torch.Generator) -> Iterator[tuple[Tensor, View]]:
    """Draw the order of an epoch, and a view of each batch."""
    for indices in torch.randperm(size, generator=generator).split(training.batch_size):
        yield indices, training.augmentation.draw(generator, len(indices))


def _sent(updates: Iterator[U], device: torch.device) -> Iterator[U]:
    """Send what updates need to a device, for some of them at a time."""
    while lot := list(islice(updates, UPDATES_AHEAD)):
        send_ahead((tensor for view, indices, *_ in lot for tensor in (indices, *view.tensors())), device)
        yield from lot


def _by_steps(network: Network, steps: Steps, members: Mapping[int, Tensor]) -> Plan:
    # The rate multiplies the velocity and is no part of it, as torch's SGD has it.
    optimiser = torch.optim.SGD(network.parameters(), lr=steps.rates[0], momentum=steps.momentum)
    for number, (indices, rate) in enumerate(zip(steps.batches(members), steps.rates, strict=True)):
        yield Unchanged(), indices, optimiser, rate, (0, number)


def take_step(
    network: Network,
    optimiser: torch.optim.Optimizer,
    batch: Batch,
    *,
    recipe: Recipe | None = None,
    precision: str | None = None,
    at_once: int | None = None,
) -> Tensor:
    """Update ``network`` once on the mean loss of a batch. Return the logits before the update.

    Where the batch has weights, the mean is weighted. The gradient is added up over micro-batches
    that stay in a processor's cache, or fit the free memory of an accelerator. A BatchNorm needs
    the batch as a whole, and connected examples are read as a whole: there it is one.

    Args:
        network: is trained in place.
        optimiser: of its weights.
        batch: on the network's device.
        recipe: the loss; default: cross-entropy.
        precision: as in `fit`.
        at_once: examples in a micro-batch; default: as many as fit.
    """
    size, device, recipe = len(batch.targets), batch.inputs.device, recipe or Recipe()
    weights = torch.ones(size, device=device) if batch.weights is None else batch.weights
    at_once = at_once or _at_once(batch, device)
    mixing = any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in network.modules())
    if mixing or are_connected(batch.inputs):
        at_once = size
    optimiser.zero_grad(set_to_none=True)
    logits = []
    parts = zip(batch.inputs.split(at_once), batch.targets.split(at_once), weights.split(at_once), strict=True)
    with matmul_precision(precision, device):
        for inputs, targets, mine in parts:
            # A block of autocast keeps the casts of weights for as long as it lasts. So it ends
            # before the update.
            with autocast(precision, device):
                logits.append(network.logits(inputs))
                losses = recipe.losses(logits[-1], targets)
            ((losses * mine).sum() / weights.sum()).backward()
        optimiser.step()
    return torch.cat([part.detach() for part in logits])


def _at_once(batch: Batch, device: torch.device) -> int:
    return fitting_micro_batch(tuple(batch.inputs.shape[1:]), device, keeps_graph=True)


@contextmanager
def reproducible_dropout(network: Network, generator: torch.Generator) -> Iterator[None]:
    """Inside the block torch's default generators are seeded from ``generator``.

    Dropout draws from them. A network without dropout leaves both as they are.
    """
    if not any(isinstance(module, nn.modules.dropout._DropoutNd) for module in network.modules()):
        yield
        return
    with default_generators_seeded(int(torch.randint(2**62, (1,), generator=generator))):
        yield


def _optimiser(network: Network, rate: float, training: Training) -> torch.optim.Optimizer:
    if training.optimiser == "adamw":
        return torch.optim.AdamW(network.parameters(), lr=rate, weight_decay=training.weight_decay)
    if training.optimiser != "sgd":
        decay = training.weight_decay if training.optimiser == "adam_l2" else 0.0
        return torch.optim.Adam(network.parameters(), lr=rate, weight_decay=decay)
    return torch.optim.SGD(
        network.parameters(), lr=rate, momentum=training.momentum, weight_decay=training.weight_decay
    )
