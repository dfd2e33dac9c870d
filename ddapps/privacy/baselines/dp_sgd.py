"""DP-SGD: a network trained directly on the private data."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from opacus.accountants import IAccountant

import ddcore as dd
from ddapps.privacy.certificate import Certificate
from ddapps.privacy.entropy import Entropy, SystemEntropy
from ddapps.privacy.plan import ledger_for, ledger_path, plan, remembering, words_of
from ddapps.privacy.signal import PrivateSignal
from ddcore.ground import derive_seed, fitting_micro_batch, generator, matmul_precision, resolve_device, usual_precision
from ddcore.parts import Network, NoAugmentation, as_architecture
from ddcore.settings import require, require_counts


@dataclass(frozen=True)
class PrivateTraining:
    """Settings of DP-SGD; the defaults were chosen on a validation split of digits.

    Attributes:
        steps: updates; each asks the data once.
        learning_rate, momentum: of SGD, without weight decay.
        max_grad_norm: to which each example's gradient is clipped.
        sample_rate: chance of each example to take part in an update.
    """

    steps: int = 50
    learning_rate: float = 0.25
    momentum: float = 0.9
    max_grad_norm: float = 1.0
    sample_rate: float = 0.5

    def __post_init__(self) -> None:
        require_counts(steps=self.steps)
        require(self.learning_rate > 0 and 0 <= self.momentum < 1, "learning_rate must be above 0, momentum in [0, 1)")
        require(0 < self.max_grad_norm < float("inf"), f"max_grad_norm must be above 0, not {self.max_grad_norm}")


def dp_sgd(
    target: dd.TargetData,
    *,
    epsilon: float,
    delta: float,
    network: object = "convnet",
    training: PrivateTraining | None = None,
    accountant: str | IAccountant = "prv",
    counts: Mapping[int, int] | None = None,
    ledger: str | Path | None = None,
    seed: int = 0,
    device: str | torch.device = "auto",
    entropy: Entropy | None = None,
) -> tuple[Network, Certificate]:
    """Return a network trained by DP-SGD, and its certificate.

    Gradients come from the signal that private distillation asks, by the same mechanism. Classes
    weigh the same. To match on such networks, train them with an accountant of yours and pass it
    on: ``privatize(method.on_networks(FixedNetworks((network.module,))), accountant=accountant,
    ...)``.

    Args:
        target: the private data.
        epsilon: as in `privatize`.
        delta: as in `privatize`.
        network: an architecture in any form that ``as_architecture`` takes; no BatchNorm.
        training: settings.
        accountant: as in `privatize`.
        counts: as in `privatize`.
        ledger: as in `PrivateMethod.distill`.
        seed: of the initial weights, which are public.
        device: as in ``ddcore.distill``.
        entropy: of draws and noise; default: the operating system.

    Source: Abadi et al. 2016 (arXiv:1607.00133).
    """
    training, place, spec = training or PrivateTraining(), resolve_device(device), target.spec
    mechanism = plan(
        target,
        epsilon=epsilon,
        delta=delta,
        max_grad_norm=training.max_grad_norm,
        steps=training.steps,
        sample_rate=training.sample_rate,
        accountant=accountant,
        counts=counts,
        initialisation="random weights",
    )
    mechanism = remembering(mechanism, ledger)
    trained = as_architecture(network).build(spec.shape, spec.num_classes, seed=derive_seed(seed, "weights")).to(place)
    trained.eval()
    names = [name for name, _ in trained.module.named_parameters()]
    optimiser = torch.optim.SGD(trained.parameters(), lr=training.learning_rate, momentum=training.momentum)
    words = {
        "method": "dp_sgd",
        "training": dd.describe(training),
        "network": dd.describe(as_architecture(network)),
        "seed": seed,
    }
    watched = None if isinstance(accountant, str) else accountant
    words = words_of(mechanism, words)
    with ledger_for(target, mechanism, ledger_path(target, ledger)) as book:
        book.abandon(json.dumps(words, sort_keys=True))  # nothing of an interrupted training is left to go on from
        signal = PrivateSignal(target, mechanism, book, words, entropy or SystemEntropy(), watched)
        signal.certificate()
        micro_batch = fitting_micro_batch(spec.shape, place, keeps_graph=True)
        run = dd.Run(
            spec=spec,
            real=signal,
            augmentation=NoAugmentation(),
            seed=seed,
            device=place,
            precision=usual_precision(place),
            micro_batch=micro_batch,
        )
        signal.begin(run)
        view = NoAugmentation().draw(generator(seed, "view"))
        classes = [c for c in spec.classes if signal.counts[c]]
        for _ in itertools.takewhile(lambda _: not signal.exhausted(), range(training.steps)):
            with matmul_precision(run.precision, place):
                (answer,) = signal.gradients(trained, [classes], dict.fromkeys(classes, view), 0, names)
            for weight, gradient in zip(trained.module.parameters(), answer.tensors, strict=True):
                weight.grad = gradient
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
        signal.finish()
        return trained, signal.certificate()
