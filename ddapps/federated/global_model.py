"""The global model, as client and server build it alike."""

from __future__ import annotations

from collections.abc import Mapping

import torch

import ddcore as dd
from ddapps.federated.terms import Terms
from ddapps.federated.transport import decoded
from ddcore.ground import derive_seed, resolve_device
from ddcore.parts import Network, as_architecture
from ddcore.settings import require

Weights = Mapping[str, torch.Tensor]


def initial_network(settings: Terms, spec: dd.Spec) -> Network:
    """Return the global model before the first round; client and server draw the same."""
    architecture = as_architecture(settings.network)
    return architecture.build(spec.shape, spec.num_classes, seed=derive_seed(settings.seed, "global model"))


def with_weights(settings: Terms, spec: dd.Spec, weights: Weights) -> Network:
    """Return the global model with these weights.

    Raises:
        SettingsError: they are not the network's.
    """
    network = initial_network(settings, spec)
    held = network.module.state_dict()
    weights = decoded(weights, held)
    same = set(held) == set(weights) and all(held[name].shape == weights[name].shape for name in held)
    require(
        same,
        f"the weights that were sent are not those of {settings.network}: server and clients must name one network",
    )
    network.module.load_state_dict(dict(weights))
    return network.to(resolve_device(settings.device))
