"""Training of the global model on a client's own data."""

from __future__ import annotations

from itertools import count, islice

import torch

from ddapps.federated.roles import Client
from ddcore.evaluation import TrainingSource
from ddcore.ground import generator, resolve_device
from ddcore.parts import Augmentation, Network, NoAugmentation
from ddcore.training import take_step


def train_locally(client: Client, network: Network, round: int, *, proximal_mu: float = 0.0) -> Network:
    r"""Train a network in place for the settings' local epochs or updates, and return it.

    Under the augmentation of the settings' protocol, if they say so: as the server trains unions.

    Args:
        client: at work.
        network: the global model.
        round: which one, for the order of examples.
        proximal_mu: :math:`\mu` of the term :math:`\frac\mu2 \|w - w_0\|^2` (Li et al. 2020,
            arXiv:1812.06127).
    """
    settings = client.settings
    source = TrainingSource.of(client.target, resolve_device(settings.device), torch.float32)
    optimiser = torch.optim.SGD(network.parameters(), lr=settings.learning_rate, momentum=settings.momentum)
    start = [weight.detach().clone() for weight in network.parameters()]

    def pull(*_: object) -> None:
        for weight, first in zip(network.parameters(), start, strict=True):
            if weight.grad is not None:
                weight.grad.add_(weight.detach() - first, alpha=proximal_mu)

    if proximal_mu:
        optimiser.register_step_pre_hook(pull)
    network.train()
    random = generator(client.seed(round), "local training")
    augmentation: Augmentation = NoAugmentation()
    if settings.augmented:
        augmentation = settings.training.training.augmentation.suited_to(client.target.spec)
    epochs = count() if settings.local_updates else range(settings.local_epochs)
    batches = (
        indices for _ in epochs for indices in torch.randperm(source.size, generator=random).split(settings.batch_size)
    )
    for indices in islice(batches, settings.local_updates or None):
        view = augmentation.draw(random, len(indices))
        take_step(network, optimiser, view(source.batch_of(indices)))
    return network
