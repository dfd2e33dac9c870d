"""How far a client's summary agrees with what the server knows."""

from __future__ import annotations

from collections.abc import Sequence

import torch

import ddcore as dd
from ddapps.federated.global_model import initial_network
from ddapps.federated.server_data import ServerData
from ddapps.federated.terms import Terms
from ddapps.federated.wire import Contribution
from ddcore.evaluation import TrainingSource
from ddcore.ground import generator, matmul_precision, resolve_device
from ddcore.training import Training

UPDATES = 300
"""Updates of the network that judges."""


def scores(contributions: Sequence[Contribution], settings: Terms, data: ServerData) -> list[float]:
    r"""Return a weight in [0, 1] for every client.

    A network of the run's architecture is trained on the server's validation split. A client's
    weight is the share of its examples to which that network gives the client's label, above
    chance: :math:`\max(0, (a - 1/C) / (1 - 1/C))`, C classes.
    """
    assert data.validation is not None
    device = resolve_device(settings.device)
    known = dd.TargetData("validation", data.spec, data.validation)
    source = TrainingSource.of(known, device, torch.float32)
    network = initial_network(settings, data.spec).to(device)
    training = Training(epochs=max(1, UPDATES * 64 // source.size), batch_size=64)
    dd.training.fit(network, source.batch_of, source.size, training, generator=generator(settings.seed, "screening"))
    network.eval()
    chance = 1 / data.spec.num_classes
    found = []
    with torch.no_grad(), matmul_precision(None, device):
        for contribution in contributions:
            inputs, targets = contribution.summary.tensors(device)
            labels = targets.argmax(dim=1) if targets.ndim == 2 else targets
            logits = torch.cat([network(part) for part in inputs.split(256)])
            agreed = float((logits.argmax(dim=1) == labels).double().mean())
            found.append(max(0.0, (agreed - chance) / (1 - chance)))
    return found
