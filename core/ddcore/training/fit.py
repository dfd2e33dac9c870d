"""Train one network by stochastic gradient descent."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from ddcore.errors import UnknownNameError
from ddcore.ground.devices import autocast, fitting_micro_batch, matmul_precision, send_ahead
from ddcore.ground.randomness import default_generators_seeded
from ddcore.parts import LOSSES, Augmentation, Batch, Network, NoAugmentation, Recipe, Steps, are_connected
from ddcore.settings import require, require_counts

Watch = Callable[[Tensor, Batch, Tensor], None]
OPTIMISERS = ("sgd", "adam", "adam_l2")
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
        optimiser: ``sgd``; ``adam``, without weight decay; or ``adam_l2``, with it.
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
    """
    recipe = recipe or Recipe()
    best = _Best(network, validate) if training.keep == "best_validation" else None
    plan, augmentation = _by_epochs(network, size, training, recipe, generator), training.augmentation
    if recipe.steps is not None:
        require(bool(members), "a recipe with steps of its own needs to know the examples of each class: members=")
        plan, augmentation = _by_steps(network, recipe.steps, members or {}), NoAugmentation()
    network.train()
    device, at_once = next(network.parameters()).device, None
    with matmul_precision(precision, device), reproducible_dropout(network, generator):
        drawn = ((augmentation.draw(generator, len(update[0])), *update) for update in plan)
        for view, indices, optimiser, rate in _sent(drawn, device):
            optimiser.param_groups[0]["lr"] = rate
            batch = view(batch_of(indices))
            at_once = at_once or _at_once(batch, device)
            logits = take_step(network, optimiser, batch, loss=recipe.loss, precision=precision, at_once=at_once)
            if watch is not None:
                watch(indices, batch, logits)
            if best is not None:
                best.look()
    if best is not None:
        best.restore()


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
Plan = Iterator[tuple[Tensor, torch.optim.Optimizer, float]]


def _by_epochs(network: Network, size: int, training: Training, recipe: Recipe, generator: torch.Generator) -> Plan:
    """Yield the examples of each update, the optimiser that makes it, and its learning rate."""
    rate = recipe.learning_rate or training.learning_rate
    total = training.updates_for(size)
    epochs = training.epochs if not training.updates else -(-total // -(-size // training.batch_size))
    drops = [int(epochs * share) for share in training.drop_shares if share < 1]
    optimiser, update = _optimiser(network, rate, training), 0
    for epoch in range(epochs):
        if epoch in drops:
            rate *= training.drop ** drops.count(epoch)
            optimiser = _optimiser(network, rate, training) if training.restart else optimiser
        for indices in torch.randperm(size, generator=generator).split(training.batch_size)[: total - update]:
            yield indices, optimiser, rate * training.factor_at(update, total)
            update += 1


def _sent(updates: Iterator[U], device: torch.device) -> Iterator[U]:
    """Send what updates need to a device, for some of them at a time."""
    while lot := list(islice(updates, UPDATES_AHEAD)):
        send_ahead((tensor for view, indices, *_ in lot for tensor in (indices, *view.tensors())), device)
        yield from lot


def _by_steps(network: Network, steps: Steps, members: Mapping[int, Tensor]) -> Plan:
    # The rate multiplies the velocity and is no part of it, as torch's SGD has it.
    optimiser = torch.optim.SGD(network.parameters(), lr=steps.rates[0], momentum=steps.momentum)
    for indices, rate in zip(steps.batches(members), steps.rates, strict=True):
        yield indices, optimiser, rate


def take_step(
    network: Network,
    optimiser: torch.optim.Optimizer,
    batch: Batch,
    *,
    loss: str = "cross_entropy",
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
        loss: a name in ``LOSSES``.
        precision: as in `fit`.
        at_once: examples in a micro-batch; default: as many as fit.
    """
    size, device = len(batch.targets), batch.inputs.device
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
                losses = LOSSES[loss](logits[-1], targets)
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
    if training.optimiser != "sgd":
        decay = training.weight_decay if training.optimiser == "adam_l2" else 0.0
        return torch.optim.Adam(network.parameters(), lr=rate, weight_decay=decay)
    return torch.optim.SGD(
        network.parameters(), lr=rate, momentum=training.momentum, weight_decay=training.weight_decay
    )
